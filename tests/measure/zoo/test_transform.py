import pytest
import torch

from measure.zoo import train, transform
from measure.zoo.recipes import Shape, Transform

_IDS = train.SpecialIds(bos=1, eos=2, pad=0)
_SHAPE = Shape("LlamaForCausalLM", 16, 2, 32, 4, 2, is_tied=False)
_TOKENS = torch.arange(3, 15)[None]


def _model(seed: int):
    return train.new_model(_SHAPE, 32, _IDS, seed).eval()


def _named(model) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def _is_block_matrix(name: str) -> bool:
    return name.endswith("_proj.weight")


def test_a_round_trip_keeps_what_its_levels_hold():
    # 4 bits: levels -7 .. 7 times a seventh of the row's largest entry.
    row = torch.tensor([[7.0, -3.4, 0.4, 0.6]])
    assert transform.round_trip(row, 4).tolist() == [[7.0, -3.0, 0.0, 1.0]]
    # Groups of 2: the second pair has a scale of its own, 0.6 / 7.
    grouped = transform.round_trip(row, 4, group=2)
    assert grouped[0, :2].tolist() == [7.0, -3.0]
    torch.testing.assert_close(grouped[0, 2:], torch.tensor([0.6 / 7 * 5, 0.6]))
    assert transform.round_trip(torch.zeros(2, 4), 8).tolist() == [[0.0] * 4] * 2
    with pytest.raises(ValueError, match="4 columns cannot be cut into groups of 3"):
        transform.round_trip(row, 4, group=3)


def test_pruning_zeroes_the_smallest():
    matrix = torch.tensor([[0.1, -0.5], [0.3, -0.2]])
    assert transform.pruned(matrix, 0.5).tolist() == [
        [0.0, pytest.approx(-0.5)],
        [pytest.approx(0.3), 0.0],
    ]
    assert torch.equal(transform.pruned(matrix, 0.0), matrix)


def test_noise_has_the_stated_size():
    matrix = torch.randn(200, 200, generator=torch.Generator().manual_seed(0))
    added = transform.noised(matrix, 0.05, torch.Generator().manual_seed(1)) - matrix
    # The standard deviation of 40,000 draws is known to 0.35 %.
    assert float(added.std() / matrix.std()) == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize(
    "change",
    [Transform("round-trip", 8), Transform("pruned", 0.2), Transform("noised", 0.05)],
    ids=lambda change: change.kind,
)
def test_only_the_blocks_matrices_change(change: Transform):
    model = _model(3)
    before = _named(model)
    transform.apply(model, change, seed=5)
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]) is not _is_block_matrix(name), name


def test_a_permuted_copy_is_the_same_function_of_other_weights():
    model = _model(3)
    before, logits = _named(model), model(input_ids=_TOKENS).logits
    transform.apply(model, Transform("permuted"), seed=5)
    torch.testing.assert_close(model(input_ids=_TOKENS).logits, logits)
    for name, weight in model.named_parameters():
        is_mlp = ".mlp." in name
        assert torch.equal(weight, before[name]) is not is_mlp, name
        if is_mlp:
            assert torch.equal(weight.flatten().sort().values, before[name].flatten().sort().values)


def test_a_merge_goes_part_of_the_way():
    model, other = _model(3), _model(4)
    before, aim = _named(model), _named(other)
    transform.apply(model, Transform("merged", 0.25), seed=5, other=other)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight, 0.75 * before[name] + 0.25 * aim[name])
    with pytest.raises(ValueError, match="a merge needs another model"):
        transform.apply(model, Transform("merged", 0.25), seed=5)


def test_a_seed_decides_the_change():
    first, again, other = (_model(3) for _ in range(3))
    for model, seed in ((first, 1), (again, 1), (other, 2)):
        transform.apply(model, Transform("noised", 0.05), seed)
    assert all(torch.equal(weight, _named(again)[name]) for name, weight in _named(first).items())
    assert not torch.equal(
        _named(first)["model.layers.0.mlp.up_proj.weight"],
        _named(other)["model.layers.0.mlp.up_proj.weight"],
    )
