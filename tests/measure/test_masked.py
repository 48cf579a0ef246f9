"""Masked models (BERT, DistilBERT): heads and MLPs found and ablated; nothing else of them."""

import pytest
import torch

from measure import ablation, models, sources, tasks
from measure.components import Blocks
from measure.errors import BadInput
from tests.masked import MASKED, write_masked

N_PROMPTS = 6


@pytest.fixture(scope="module", params=sorted(MASKED))
def folder(request, tmp_path_factory):
    return write_masked(tmp_path_factory.mktemp("masked") / request.param, request.param)


@pytest.fixture
def asked(folder):
    """A model, and a task of prompts with a mask."""
    source = sources.find(str(folder), may_be_masked=True)
    model = models.load(source, device="cpu")
    task = tasks.task_set(model.tokenizer, "numerals", N_PROMPTS, is_masked=True)
    return model, task


def whole(model, task):
    """Logit of the answer less the foil's by the model's own pass."""
    with torch.inference_mode():
        logits = model.model(input_ids=torch.from_numpy(task.clean)).logits[:, task.position]
    rows = torch.arange(len(logits))
    return logits[rows, torch.from_numpy(task.answer)] - logits[rows, torch.from_numpy(task.foil)]


def test_the_mask_stands_where_the_answer_would(asked):
    model, task = asked
    ids = task.clean[:, task.position]
    assert set(ids.tolist()) == {model.tokenizer.mask_token_id}
    said = model.tokenizer.convert_ids_to_tokens([task.answer[0], task.foil[0]])
    assert said == ["5", "4"]  # methods 4.1: numerals from 1 to 4, the mask, "5" against "4"


def test_a_sweep_is_the_whole_model_with_weights_taken_away(asked):
    """A zero in place of the mean: the other route edits the weights and runs all of it."""
    model, task = asked
    sweep = ablation.Sweep(model, task, rows=4)
    torch.testing.assert_close(torch.from_numpy(sweep.clean()).float(), whole(model, task))
    blocks, layer = sweep._blocks, 1
    sweep._means = ablation.Means(
        tuple(torch.zeros_like(z) for z in sweep._means.z),
        tuple(torch.zeros_like(mlp) for mlp in sweep._means.mlp),
    )
    found = torch.from_numpy(sweep.layer(layer, lambda _: None)).float()
    bert = hasattr(model.model, "bert")
    block = blocks._blocks[layer].layer
    projection = block.attention.output.dense if bert else block.attention.out_lin
    for head in range(4):
        kept = projection.weight.data.clone()
        projection.weight.data[:, 4 * head : 4 * head + 4] = 0
        torch.testing.assert_close(found[head], whole(model, task), rtol=1e-4, atol=1e-4)
        projection.weight.data = kept
    last = block.output.dense if bert else block.ffn.lin2
    for parameter in last.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(found[4], whole(model, task), rtol=1e-4, atol=1e-4)


def test_patterns_look_both_ways_and_add_up_to_one(asked):
    model, task = asked
    patterns = Blocks(model, torch.from_numpy(task.clean)).patterns(torch.from_numpy(task.clean))
    assert patterns.shape[:2] == (N_PROMPTS, 2 * 4)
    torch.testing.assert_close(patterns.sum(-1), torch.ones(patterns.shape[:-1]))
    assert patterns.triu(1).abs().max() > 0


def test_queries_keys_and_values_are_found(asked):
    model, task = asked
    blocks = Blocks(model, torch.from_numpy(task.clean))
    with torch.inference_mode():
        stream = blocks.embed(torch.from_numpy(task.clean))
        nothing = blocks.attend(0, stream, {"v": torch.zeros_like})
        usual = blocks.attend(0, stream, {"q": lambda q: q, "k": lambda k: k})
        read = blocks.read(0, stream).z
    assert nothing.abs().max() == 0
    torch.testing.assert_close(usual, read)


def test_no_part_writes_towards_a_token_by_itself(asked):
    model, _ = asked
    with pytest.raises(BadInput, match="is a masked model"):
        model.token_directions(torch.tensor([[1, 2]]))


def test_other_measurements_refuse_a_masked_model(folder):
    with pytest.raises(BadInput, match="no decoder that continues a text"):
        sources.find(str(folder))
    with pytest.raises(BadInput, match="no decoder that continues a text"):
        sources.model_id_of(str(folder))
