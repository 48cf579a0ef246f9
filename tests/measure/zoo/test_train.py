import numpy as np
import pytest
import torch

from measure.zoo import train
from measure.zoo.recipes import Shape

_IDS = train.SpecialIds(bos=1, eos=2, pad=0)
_PAD = _IDS.pad
_SHAPES = [
    Shape("LlamaForCausalLM", 16, 2, 32, 4, 2, is_tied=False),
    Shape("Qwen2ForCausalLM", 16, 2, 32, 4, 2, is_tied=True),
]


def _rows() -> np.ndarray:
    """Rows that count up from a random token and wrap: the next token is always known."""
    starts = np.random.default_rng(0).integers(0, 29, size=(64, 1))
    return (3 + (starts + np.arange(12)) % 29).astype(np.uint16)


def _trained(shape: Shape, seed: int) -> tuple[list[float], torch.Tensor]:
    model = train.new_model(shape, 32, _IDS, seed)
    losses = train.train(model, train.batches(_rows(), 40, 16, seed), 40, 1e-2)
    return losses, torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("shape", _SHAPES, ids=lambda s: s.model_class)
def test_training_learns_and_repeats(shape: Shape):
    torch.set_num_threads(1)
    losses, weights = _trained(shape, seed=3)
    again, same_weights = _trained(shape, seed=3)
    # Untrained, 32 tokens cost about ln 32 = 3.47 nats; the rule is certain, so it can go to 0.
    assert losses[0] == pytest.approx(np.log(32), abs=0.2)
    assert losses[-1] < 0.5 * losses[0]
    assert losses == again
    assert torch.equal(weights, same_weights)
    assert not torch.equal(weights, _trained(shape, seed=4)[1])


def test_new_model_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    train.new_model(_SHAPES[0], 32, _IDS, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_loss_is_the_mean_over_tokens_that_are_not_padding():
    model = train.new_model(_SHAPES[0], 32, _IDS, seed=0).eval()
    ids = torch.tensor([[1, 5, 6, 7], [1, 9, _PAD, _PAD]])
    with torch.inference_mode():
        logs = model(input_ids=ids).logits.log_softmax(-1)
        loss = train.next_token_loss(model, ids, _PAD)
    by_hand = -(logs[0, 0, 5] + logs[0, 1, 6] + logs[0, 2, 7] + logs[1, 0, 9]) / 4
    torch.testing.assert_close(loss, by_hand)


def test_packing_keeps_every_document_whole():
    rng = np.random.default_rng(1)
    # Document i is i+1 repeated, so that a row shows whose tokens it holds.
    documents = [[i + 1] * int(n) for i, n in enumerate(rng.integers(1, 12, size=200))]
    rows = list(train.pack(documents, 12, _PAD))
    assert {len(row) for row in rows} == {12}
    for i, document in enumerate(documents):
        holding = [row for row in rows if i + 1 in row]
        assert len(holding) == 1
        assert holding[0].count(i + 1) == len(document)
    n_tokens = sum(map(len, documents))
    assert n_tokens / (12 * len(rows)) > 0.9


def test_a_document_longer_than_a_row_is_cut():
    assert list(train.pack([[5] * 9], 4, _PAD)) == [[5] * 4]


def test_each_pass_over_the_rows_takes_every_row_once():
    rows = np.arange(10, dtype=np.uint16)[:, None]
    taken = torch.cat(list(train.batches(rows, 4, 5, seed=2))).flatten().tolist()
    assert sorted(taken[:10]) == sorted(taken[10:]) == list(range(10))
    assert taken[:10] != taken[10:]


def test_learning_rate_rises_then_falls_to_nothing():
    rates = [train.rate_at(step, 100, 1.0) for step in range(100)]
    # 5 steps of warm-up: 1/5 .. 5/5; at the middle of the remaining 95 the cosine is at its half.
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == 1.0
    assert 0 < rates[99] < 0.001
    assert all(a >= b for a, b in zip(rates[5:], rates[6:], strict=False))
