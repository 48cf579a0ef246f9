import numpy as np
import pytest
import torch

from measure import models, sources
from measure.errors import BadInput
from measure.residual_attribution import attributions, frozen_norm, records
from tests.conftest import ARCHITECTURES
from tests.measure.handmade import N_TOKENS, TERM, copying, one_term_differs
from tests.measure.tasksets import answered


def loaded(folder):
    return models.load(sources.find(str(folder)), device="cpu")


def quiet(_):
    pass


def test_a_copying_head_writes_what_it_has_read_so_far(model_folder):
    """At token t, of T = t + 1: 8/T of the answer from where it stands on, in a stream of norm
    sqrt(1 + 64/T), of which the final norm makes a norm of 8."""
    found = attributions(copying(model_folder), one_term_differs(), quiet)
    so_far = np.arange(1, N_TOKENS + 1)
    expected = np.where(so_far > TERM, 8 / so_far * 8 / np.sqrt(1 + 64 / so_far), 0)
    np.testing.assert_allclose(found["attn", 0], [expected] * 3, rtol=1e-3, atol=1e-6)
    assert expected[-1] == pytest.approx(8 / 3)
    silent = [found[part] for part in found if part != ("attn", 0)]
    assert len(silent) == 4  # the embedding, two MLPs, the other layer's attention
    np.testing.assert_allclose(silent, 0, atol=1e-6)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_parts_add_up_to_the_logit_difference(model_folder, architecture):
    model = loaded(model_folder(architecture))
    task = answered(model)
    found = attributions(model, task, quiet, rows=4)
    head, rows = model.model.get_output_embeddings().weight, np.arange(6)
    with torch.inference_mode():
        ids = torch.from_numpy(task.clean)
        states = model.decoder(input_ids=ids).last_hidden_state
        logits = (states @ head.T).numpy()  # before a soft-cap
        towards = head[task.answer] - head[task.foil]
        of_bias = model.final_norm(torch.zeros(16)) @ towards.T
    scale = {"cohere": 0.25, "granite": 1 / 4}.get(architecture, 1)
    expected = logits[rows, -1, task.answer] - logits[rows, -1, task.foil] - of_bias.numpy()
    whole = np.sum(list(found.values()), axis=0)
    np.testing.assert_allclose(whole[:, -1], scale * expected, rtol=1e-3, atol=1e-3)
    assert len(found) == 1 + 2 * model.card.n_layers
    assert np.abs(found["mlp", 0]).max() > 1e-2


def test_an_mlp_by_its_weights(model_folder):
    """The other route: a llama's second MLP by hand, out of the hidden states of the model."""
    model = loaded(model_folder("llama"))
    task = answered(model)
    kept = []
    mlp = model.model.model.layers[1].mlp
    handle = mlp.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    ids = torch.from_numpy(task.clean)
    with torch.inference_mode():
        last = model.states(model.pad(ids.tolist())).before_norm
        handle.remove()
        inner = torch.nn.functional.silu(kept[0] @ mlp.gate_proj.weight.T)
        out = (inner * (kept[0] @ mlp.up_proj.weight.T)) @ mlp.down_proj.weight.T
        eps = model.model.config.rms_norm_eps
        normed = out / (last.square().mean(-1, keepdim=True) + eps).sqrt()
        normed = normed * model.final_norm.weight
        head = model.model.lm_head.weight
        expected = (normed * (head[task.answer] - head[task.foil])[:, None]).sum(-1)
    found = attributions(model, task, quiet)["mlp", 1]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_an_mlp_without_weights_writes_nothing(model_folder, architecture):
    model = loaded(model_folder(architecture))
    task = answered(model)
    layer = model.decoder.layers[0] if architecture == "llama" else model.decoder.h[0]
    with torch.no_grad():
        for weights in layer.mlp.parameters():
            weights.zero_()
    found = attributions(model, task, quiet)
    np.testing.assert_allclose(found["mlp", 0], 0, atol=1e-5)
    assert np.abs(found["mlp", 1]).max() > 1e-2


def test_a_norm_at_its_own_scale_is_that_norm():
    torch.manual_seed(0)
    whole = torch.randn(3, 5, 16)
    for norm in (torch.nn.LayerNorm(16), torch.nn.RMSNorm(16)):
        torch.nn.init.normal_(norm.weight)
        if getattr(norm, "bias", None) is not None:
            torch.nn.init.normal_(norm.bias)
        through = frozen_norm(norm, whole)
        bias = norm(torch.zeros(16))
        torch.testing.assert_close(through(whole) + bias, norm(whole), rtol=1e-4, atol=1e-4)
        part = torch.randn(3, 5, 16)
        rest = through(whole - part)
        torch.testing.assert_close(through(part) + rest + bias, norm(whole), rtol=1e-4, atol=1e-4)


def test_a_norm_that_is_none_is_refused():
    with pytest.raises(BadInput, match="class 'Tanh' is no sum of what its parts give"):
        frozen_norm(torch.nn.Tanh(), torch.randn(2, 3, 16))


def test_records_are_of_every_part_and_token(model_folder):
    model, task, heard = copying(model_folder), one_term_differs(), []
    found = list(records(model, task, heard.append))
    assert len(found) == 5 * 3 * N_TOKENS
    assert sum(heard) == 3
    assert {r.role for r in found if r.position == TERM} == {"term"}
    assert {r.role for r in found if r.position == 0} == {None}
    values = attributions(model, task, quiet)
    (one,) = [r for r in found if (r.part, r.layer, r.position, r.prompt_id)
              == ("attn", 0, TERM, "prompt-1")]  # fmt: skip
    assert one.attribution == values["attn", 0][1, TERM] > 1
