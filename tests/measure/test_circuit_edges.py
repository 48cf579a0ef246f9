"""Edges of a circuit: by hand, by the residual stream's arithmetic, and where nothing is read."""

import numpy as np
import pytest
import torch

from measure import circuit_edges, models, sources
from measure.circuit_edges import Edge, Wiring, edges
from measure.components import Blocks, Component
from measure.errors import BadInput
from tests.measure.handmade import LOGIT, copying, one_term_differs
from tests.measure.tasksets import answered, gaps, means_of

HEAD, MLP = Component(0, 0), Component(0)


def nothing(_):
    pass


def loaded(folder):
    return models.load(sources.find(str(folder)), device="cpu")


def test_edges_lead_onward_only():
    later = Component(1, 2)
    found = {(e.source, e.destination, e.reader) for e in edges([later, MLP, HEAD])}
    assert found == {
        (HEAD, MLP, "mlp"),
        *((source, later, name) for source in (HEAD, MLP) for name in ("q", "k", "v")),
        *((source, None, "output") for source in (HEAD, MLP, later)),
    }
    assert edges([]) == ()


def test_the_edge_to_the_logits_by_hand(model_folder):
    """Head 0 copies the answer, LOGIT high, straight to the logits, and nothing else does.

    Of three prompts its mean over the corrupted ones writes each of their 8 tokens 1/3 as far as it
    stands in one of them. All other components are silent, so that nothing else is lost.
    """
    model, task = copying(model_folder), one_term_differs()
    wiring = Wiring(model, task)
    some = edges([HEAD, Component(0, 1), MLP, Component(1, 0), Component(1)])
    clean, ablated = wiring.differences(some, nothing)
    # Each clean prompt has its answer among 8 tokens, and not its foil.
    np.testing.assert_allclose(clean, LOGIT, rtol=1e-4)
    told = {(e.source, e.destination, e.reader): row for e, row in zip(some, ablated, strict=True)}
    for key, left in told.items():
        if key != (HEAD, None, "output"):
            np.testing.assert_allclose(left, clean, atol=1e-5)
    # The mean writes 8/8 of token t at the last place for each 3rd of the prompts that have it; the
    # last token's own vector, of length 1, stays. u: what is written, to 16 tokens.
    written = np.stack([(task.corrupted == t).sum(1) for t in range(16)], axis=1).mean(0)
    norm = np.sqrt(1 + (written**2).sum())
    expected = (written[task.answer] - written[task.foil]) / (norm / 8)
    np.testing.assert_allclose(told[HEAD, None, "output"], expected, atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2", "qwen2"])
def test_edges_by_the_arithmetic_of_the_stream(model_folder, architecture):
    """The other route: the whole model, where one module alone is given another stream to read."""
    model = loaded(model_folder(architecture))
    task = answered(model)
    wiring = Wiring(model, task, rows=4)
    nodes = [Component(0, 1), Component(0), Component(1, 2), Component(1)]
    some = edges(nodes)
    clean, ablated = wiring.differences(some, nothing)
    np.testing.assert_allclose(clean, gaps(model, task.clean, task), atol=1e-4)
    for edge, left in zip(some, ablated, strict=True):
        expected = by_hooks(model, task, edge)
        np.testing.assert_allclose(left, expected, rtol=1e-3, atol=1e-3, err_msg=str(edge))
    assert np.abs(ablated - clean).max() > 1e-2  # what is compared is no null


def by_hooks(model, task, edge):
    """Two whole passes: one with the source's mean, whose reader is kept; one that is given it."""
    ids = torch.from_numpy(task.clean)
    blocks = Blocks(model, ids)
    here = blocks._blocks[edge.source.layer]
    z_mean, mlp_mean = means_of(model, task, here)
    z_clean, mlp_clean = clean_parts(model, task, blocks)
    handles = []
    # All heads and MLPs say what they say in the clean run, but for the source.
    for layer, block in enumerate(blocks._blocks):
        z, mlp = z_clean[layer].clone(), mlp_clean[layer]
        if layer == edge.source.layer and edge.source.is_head:
            where = blocks.head_slice(layer, edge.source.head)
            z[:, :, where] = z_mean[:, where]
        elif layer == edge.source.layer:
            mlp = mlp_mean.expand_as(mlp)
        module = block.layer.get_submodule(block.mlp)
        handles.append(block.projection.register_forward_pre_hook(lambda _, __, z=z: (z,)))
        handles.append(module.register_forward_hook(lambda _, __, ___, mlp=mlp: mlp))
    if edge.destination is None:
        found = gaps(model, task.clean, task)
        for handle in handles:
            handle.remove()
        return found
    there = blocks._blocks[edge.destination.layer]
    reader = reading(there, edge.reader)
    caught = []
    handles.append(reader.register_forward_pre_hook(lambda _, args: caught.append(args[0])))
    gaps(model, task.clean, task)
    for handle in handles:
        handle.remove()
    if edge.reader == "mlp":
        handle = reader.register_forward_pre_hook(lambda _, __: (caught[0],))
        found = gaps(model, task.clean, task)
        handle.remove()
        return found
    # A head's input: what all heads make of it, of which this head's alone is then put in.
    width = there.projection.weight.shape[0] // there.n_heads
    with_input = []
    handles = [
        reader.register_forward_hook(
            lambda module, args, out: third(there, edge.reader, out, module.forward(caught[0]))
        ),
        there.projection.register_forward_pre_hook(lambda _, args: with_input.append(args[0])),
    ]
    gaps(model, task.clean, task)
    for handle in handles:
        handle.remove()
    where = slice(edge.destination.head * width, (edge.destination.head + 1) * width)

    def put(_, args):
        z = args[0].clone()
        z[:, :, where] = with_input[0][:, :, where]
        return (z,)

    handle = there.projection.register_forward_pre_hook(put)
    found = gaps(model, task.clean, task)
    handle.remove()
    return found


def third(block, name, clean, changed):
    """Of GPT-2, which makes all three at once, the one that is asked for."""
    if clean.shape[-1] != 3 * block.projection.weight.shape[0]:
        return changed
    parts, others = list(clean.chunk(3, -1)), changed.chunk(3, -1)
    at = "qkv".index(name)
    parts[at] = others[at]
    return torch.cat(parts, -1)


def reading(block, reader):
    attention = block.layer.get_submodule(block.attention)
    if reader == "mlp":
        return block.layer.get_submodule(block.mlp)
    return getattr(attention, f"{reader}_proj", None) or attention.c_attn


def clean_parts(model, task, blocks):
    z, mlp, handles = [], [], []
    for block in blocks._blocks:
        module = block.layer.get_submodule(block.mlp)
        handles.append(block.projection.register_forward_pre_hook(lambda _, a: z.append(a[0])))
        handles.append(module.register_forward_hook(lambda _, __, out: mlp.append(out)))
    gaps(model, task.clean, task)
    for handle in handles:
        handle.remove()
    return z, mlp


def test_a_destination_that_does_not_listen_has_no_edge(model_folder):
    """Values, queries and keys read nothing where their weights are 0; the logits still do."""
    model = loaded(model_folder())
    with torch.no_grad():
        attention = model.model.model.layers[1].self_attn
        for module in (attention.q_proj, attention.k_proj, attention.v_proj):
            module.weight.zero_()
    task = answered(model)
    found = list(circuit_edges.circuit_edges(model, task, [Component(0), Component(1, 0)], nothing))
    to_head = [edge for edge in found if edge.destination == "1.0"]
    assert [edge.reader for edge in to_head] == ["q", "k", "v"]
    for edge in to_head:
        assert edge.delta_p_edge == pytest.approx(0, abs=1e-3) and not edge.is_kept
        assert edge.ci_low_delta_p_edge <= edge.delta_p_edge <= edge.ci_high_delta_p_edge
    (direct,) = [edge for edge in found if (edge.source, edge.destination) == ("0.mlp", "output")]
    assert abs(direct.delta_p_edge) > 0.1
    assert {edge.n_prompts for edge in found} == {6}


def test_what_is_refused(model_folder, monkeypatch):
    model = loaded(model_folder())
    task = answered(model)
    with pytest.raises(BadInput, match=r"has no component 7\.0"):
        list(circuit_edges.circuit_edges(model, task, [Component(7, 0)], nothing))
    monkeypatch.setattr(circuit_edges, "MOST_COMPONENTS", 9)  # it has 2 layers of 4 heads and one
    with pytest.raises(BadInput, match="has 10 components, and edges are ablated one by one"):
        Wiring(model, task)
    assert Edge(HEAD, None, "output") in edges([HEAD])
