import pytest
import torch

from measure import models, sources
from measure.components import Blocks, Component
from measure.errors import BadInput
from tests.conftest import ARCHITECTURES

TEXTS = ("the quick brown fox", "jumps over the lazy")


def loaded(folder):
    model = models.load(sources.find(str(folder)), device="cpu")
    return model, torch.tensor([model.encode(text) for text in TEXTS])


def last_logits(model, ids):
    with torch.inference_mode():
        return model.model(input_ids=ids).logits[:, -1].float()


@torch.inference_mode()
def through(blocks, ids, n_tokens=257, **edits):
    """Logits at the end, layer by layer; edits of layer 0."""
    stream = blocks.run(0, blocks.embed(ids), **edits)
    for layer in range(1, blocks.n_layers):
        stream = blocks.run(layer, stream, only=-1 if layer == blocks.n_layers - 1 else None)
    return blocks.final(stream, torch.arange(n_tokens).expand(len(ids), -1))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_layers_one_by_one_give_what_the_model_gives(model_folder, architecture):
    model, ids = loaded(model_folder(architecture))
    torch.testing.assert_close(
        through(Blocks(model, ids), ids), last_logits(model, ids), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_head_set_to_zero_is_a_head_without_weights(model_folder, architecture):
    """The other route edits the weights and runs the whole model."""
    model, ids = loaded(model_folder(architecture))
    blocks, head = Blocks(model, ids), 2
    where = blocks.head_slice(0, head)

    def zero(z):
        z = z.clone()
        z[:, :, where] = 0
        return z

    hooked = through(blocks, ids, edit_z=zero)
    given = through(blocks, ids, z=zero(read(blocks, ids).z))
    projection = blocks._blocks[0].projection
    with torch.no_grad():
        if isinstance(projection, torch.nn.Linear):
            projection.weight[:, where] = 0
        else:
            projection.weight[where] = 0
    edited = last_logits(model, ids)
    torch.testing.assert_close(hooked, edited, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(given, edited, rtol=1e-4, atol=1e-4)
    assert (hooked - through(blocks, ids)).abs().max() < 1e-4  # nothing of it is left


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_an_mlp_given_as_zero_is_an_mlp_without_weights(model_folder, architecture):
    model, ids = loaded(model_folder(architecture))
    blocks = Blocks(model, ids)
    parts = read(blocks, ids)
    given = through(blocks, ids, z=parts.z, mlp=torch.zeros_like(parts.mlp))
    edited = through(blocks, ids, edit_mlp=torch.zeros_like)
    mlp = blocks._blocks[0].layer.get_submodule(blocks._blocks[0].mlp)
    last = [m for m in mlp.modules() if hasattr(m, "weight") and m.weight.dim() == 2]
    name = "c_proj" if hasattr(mlp, "c_proj") else "down_proj"
    assert mlp.get_submodule(name) in last
    with torch.no_grad():
        for parameter in mlp.get_submodule(name).parameters():
            parameter.zero_()
    torch.testing.assert_close(given, last_logits(model, ids), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(edited, last_logits(model, ids), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def read(blocks, ids):
    return blocks.read(0, blocks.embed(ids))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_only_one_position_is_that_position_of_all(model_folder, architecture):
    model, ids = loaded(model_folder(architecture))
    blocks = Blocks(model, ids)
    with torch.inference_mode():
        stream = blocks.embed(ids)
        whole = blocks.run(0, stream)
        for position in (-1, 3):
            one = blocks.run(0, stream, only=position)
            torch.testing.assert_close(one[:, position], whole[:, position], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_projection_of_heads_adds_up_to_that_of_all(model_folder, architecture):
    model, ids = loaded(model_folder(architecture))
    blocks = Blocks(model, ids)
    z = read(blocks, ids).z
    apart = sum(
        z[:, :, blocks.head_slice(0, head)] @ blocks.head_projection(0, head)
        for head in range(blocks.n_heads(0))
    )
    projection = blocks._blocks[0].projection
    with torch.inference_mode():
        whole = projection(z)
    if getattr(projection, "bias", None) is not None:
        whole = whole - projection.bias
    torch.testing.assert_close(apart, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_patterns_are_rows_of_shares_that_look_back_only(model_folder, architecture):
    model, ids = loaded(model_folder(architecture))
    before = last_logits(model, ids)
    blocks = Blocks(model, ids)
    patterns = blocks.patterns(ids)
    n_heads = sum(blocks.n_heads(layer) for layer in range(blocks.n_layers))
    assert patterns.shape == (2, n_heads, ids.shape[1], ids.shape[1])
    torch.testing.assert_close(patterns.sum(-1), torch.ones(patterns.shape[:-1]))
    assert patterns.triu(1).abs().max() == 0
    torch.testing.assert_close(last_logits(model, ids), before)  # left as it was


def test_components_come_layer_by_layer_heads_first(model_folder):
    model, ids = loaded(model_folder())
    names = [component.name for component in Blocks(model, ids).components]
    assert names == [f"{layer}.{part}" for layer in (0, 1) for part in (0, 1, 2, 3, "mlp")]
    assert [Component.parse(name).name for name in names] == names


@pytest.mark.parametrize("name", ["", "4", "4.", "mlp.4", "4.-1", "4.1.2", "x.1"])
def test_what_names_no_component_is_refused(name):
    with pytest.raises(BadInput, match=r"give LAYER\.HEAD such as 4\.10, or LAYER\.mlp"):
        Component.parse(name)


def test_a_component_that_does_not_exist_is_refused(model_folder):
    model, ids = loaded(model_folder())
    with pytest.raises(BadInput, match=r"no component 7\.1: its layers are 0 to 1"):
        Blocks(model, ids).check(Component(7, 1))


def test_layers_that_lie_elsewhere_are_refused(model_folder, monkeypatch):
    model, ids = loaded(model_folder())
    monkeypatch.setattr("measure.components.MLPS", ("elsewhere",))
    with pytest.raises(BadInput, match="attention and MLP cannot be found .* needs support"):
        Blocks(model, ids)
