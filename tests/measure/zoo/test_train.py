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
    Shape("MistralForCausalLM", 16, 2, 32, 4, 2, is_tied=False, window=8),
    Shape("Gemma2ForCausalLM", 16, 2, 32, 4, 2, is_tied=True, window=8),
    Shape("GPT2LMHeadModel", 16, 2, 32, 4, 4, is_tied=True),
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


class _Interrupted(Exception):
    pass


def _stopping(n_steps: int):
    """Batches that end in an interruption after `n_steps`."""
    stream = train.batches(_rows(), 40, 16, 3)
    for _ in range(n_steps):
        yield next(stream)
    raise _Interrupted


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 10)
    losses, weights = _trained(_SHAPES[0], seed=3)
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(_Interrupted):
        model = train.new_model(_SHAPES[0], 32, _IDS, 3)
        train.train(model, _stopping(25), 40, 1e-2, checkpoint=checkpoint)
    seen: list[int] = []

    def counted():
        for step, ids in enumerate(train.batches(_rows(), 40, 16, 3)):
            seen.append(step)
            yield ids

    model = train.new_model(_SHAPES[0], 32, _IDS, 3)
    forward = model.forward
    n_passes = 0

    def counting(**given):
        nonlocal n_passes
        n_passes += 1
        return forward(**given)

    monkeypatch.setattr(model, "forward", counting)
    again = train.train(model, counted(), 40, 1e-2, checkpoint=checkpoint)
    assert again == losses
    assert torch.equal(torch.cat([p.detach().flatten() for p in model.parameters()]), weights)
    assert n_passes == 20  # from the checkpoint at step 20, not from the first


def test_what_is_frozen_goes_on_frozen(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 10)

    def half_frozen() -> tuple[torch.nn.Module, torch.nn.Parameter]:
        model = train.new_model(_SHAPES[0], 32, _IDS, 3)
        embedding = model.get_input_embeddings().weight
        embedding.requires_grad_(False)
        return model, embedding

    model, embedding = half_frozen()
    before = embedding.clone()
    whole = train.train(model, train.batches(_rows(), 40, 16, 3), 40, 1e-2)
    assert torch.equal(embedding, before)
    with pytest.raises(_Interrupted):
        train.train(half_frozen()[0], _stopping(25), 40, 1e-2, checkpoint=tmp_path / "c")
    stream = train.batches(_rows(), 40, 16, 3)
    assert train.train(half_frozen()[0], stream, 40, 1e-2, checkpoint=tmp_path / "c") == whole


def test_a_student_of_logits_comes_nearer_to_its_teacher_than_one_of_text_alone():
    torch.set_num_threads(1)
    teacher = train.new_model(_SHAPES[0], 32, _IDS, 9)
    # A teacher of one step knows nothing of the rule: what it says differs from the text.
    ids = torch.from_numpy(_rows().astype(np.int64))
    gaps: list[float] = []
    for taught_by in (teacher, None):
        student = train.new_model(_SHAPES[0], 32, _IDS, 10)
        train.train(student, train.batches(_rows(), 60, 16, 1), 60, 1e-2, teacher=taught_by)
        with torch.inference_mode():
            wanted, found = (m(input_ids=ids).logits.log_softmax(-1) for m in (teacher, student))
            gaps.append(float((wanted.exp() * (wanted - found)).sum(-1).mean()))
    assert gaps[0] < 0.5 * gaps[1]


def test_loss_with_a_teacher_is_the_mean_of_text_and_softened_divergence():
    student, teacher = (train.new_model(_SHAPES[0], 32, _IDS, seed).eval() for seed in (0, 1))
    ids = torch.tensor([[1, 5, 6, _PAD]])
    with torch.inference_mode():
        loss = train.next_token_loss(student, ids, _PAD, teacher)
        text = train.next_token_loss(student, ids, _PAD)
        # Positions that predict 5 and 6; the pad counts for neither part.
        p, q = (m(input_ids=ids).logits[0, :2].double() / 2 for m in (teacher, student))
        p, q = p.softmax(-1), q.softmax(-1)
        divergence = (p * (p / q).log()).sum() / 2
    torch.testing.assert_close(loss.double(), 0.5 * text.double() + 0.5 * 4 * divergence)


def test_half_of_a_model_keeps_every_other_block_and_the_last():
    shape = Shape("LlamaForCausalLM", 16, 6, 32, 4, 2, is_tied=False)
    model = train.new_model(shape, 32, _IDS, 0)
    blocks = [block.mlp.up_proj.weight for block in model.model.layers]
    embedding = model.model.embed_tokens.weight
    half = train.half_of(model)
    kept = [block.mlp.up_proj.weight for block in half.model.layers]
    assert [next(i for i, b in enumerate(blocks) if b is k) for k in kept] == [0, 2, 5]
    assert half.config.num_hidden_layers == 3
    assert half.model.embed_tokens.weight is embedding
    # It runs with a cache too: every block knows its new place.
    assert half.generate(torch.tensor([[1, 5]]), max_new_tokens=3).shape == (1, 5)


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
