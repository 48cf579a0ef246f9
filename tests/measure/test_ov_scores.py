from dataclasses import replace

import numpy as np
import pytest
import torch

from measure import models, sources
from measure.components import Blocks
from measure.ov_scores import ov_scores, top_tokens
from tests.conftest import ARCHITECTURES
from tests.measure.handmade import copying, one_term_differs
from tests.measure.tasksets import answered


def test_a_copying_head_writes_what_it_has_read(model_folder):
    """Each prompt has five tokens, which are then the first five of head 0; head 1 is silent."""
    clean = np.array(
        [[1, 1, 2, 2, 3, 3, 4, 5], [2, 2, 4, 4, 6, 6, 8, 10], [1, 1, 2, 2, 3, 3, 4, 0]]
    )
    task = replace(
        one_term_differs(), clean=clean, answer=np.array([5, 3, 7]), foil=np.array([4, 10, 0])
    )
    heard = []
    found = list(ov_scores(copying(model_folder), task, heard.append, rows=2))
    # The answer is there in the first prompt alone, the foil in all three. Layer 1 is silent.
    assert [(r.layer, r.head, r.n_successor, r.n_copy) for r in found] == [
        (0, 0, 1, 3), (0, 1, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0),
    ]  # fmt: skip
    assert {r.n_prompts for r in found} == {3}
    assert sum(heard) == 3 * 4


@torch.inference_mode()
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_first_tokens_by_the_weights(model_folder, architecture):
    """The other route: the head's output times its rows of the projection."""
    model = models.load(sources.find(str(model_folder(architecture))), device="cpu")
    if architecture == "gpt2":  # what the layer adds without the head is not the head's
        torch.nn.init.normal_(model.decoder.h[0].attn.c_proj.bias)
    task = answered(model)
    blocks = Blocks(model, torch.from_numpy(task.clean))
    z = blocks.read(0, blocks.embed(torch.from_numpy(task.clean))).z
    for head in range(4):
        where = blocks.head_slice(0, head)
        written = z[:, task.position, where] @ blocks.head_projection(0, head)
        if architecture.startswith("gemma"):
            written = model.decoder.layers[0].post_attention_layernorm(written)
        expected = model.logits(model.final_norm(written)).topk(5).indices
        found = top_tokens(blocks, 0, head, z, task.position)
        assert found.sort().values.tolist() == expected.sort().values.tolist()
