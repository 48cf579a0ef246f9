"""Sampling: exact by the inverse distribution function, and nobody's batch."""

import json

import numpy as np
import pytest
import torch

from measure import decoding, functional, models, problems, rollouts, sources
from measure.errors import BadInput
from measure.problems import Problem, ProblemSet


def load(folder):
    return models.load(sources.find(str(folder)), device="cpu")


def three(u: list[float], temperature: float, top_p: float) -> list[int]:
    """Tokens drawn at `u` from probabilities 0.3, 0.5, 0.2."""
    logits = torch.tensor([[0.3, 0.5, 0.2]]).log().expand(len(u), -1)
    at = torch.tensor(u, dtype=torch.float64)
    return decoding.draw(logits, at, temperature, top_p).tolist()


def test_a_draw_by_hand():
    # Most probable first: 1 up to 0.5, 0 up to 0.8, 2 up to 1.
    assert three([0.0, 0.49, 0.51, 0.79, 0.81, 0.999], 1.0, 1.0) == [1, 1, 0, 0, 2, 2]
    # At half the temperature the squares 0.25, 0.09, 0.04 of 0.38: ends at 0.658 and 0.895.
    assert three([0.65, 0.67, 0.89, 0.90], 0.5, 1.0) == [1, 0, 0, 2]
    # The fewest that reach 0.7 are 0.5 and 0.3: the first has 0.625 of them.
    assert three([0.62, 0.63, 0.999], 1.0, 0.7) == [1, 0, 0]
    # 0.5 is reached by one alone.
    assert three([0.0, 0.999], 1.0, 0.499) == [1, 1]


def test_frequencies_are_the_probabilities():
    u = ((np.arange(1000) + 0.5) / 1000).tolist()
    assert np.bincount(three(u, 1.0, 1.0)).tolist() == [300, 500, 200]


@pytest.mark.parametrize("top_p", [1.0, 0.95, 0.3])
@pytest.mark.parametrize("spread", [0.1, 2.0, 8.0])
@pytest.mark.parametrize("steps", [None, 0.5])
def test_of_a_large_vocabulary_the_head_draws_what_all_of_it_would(top_p, spread, steps):
    rng = np.random.default_rng(5)
    vocab = 3 * decoding.HEAD
    logits = torch.from_numpy(rng.normal(0, spread, (300, vocab))).float()
    if steps is not None:
        logits = (logits / steps).round() * steps  # many are equal, at the head's end too
    at = torch.from_numpy(rng.random(300))
    drawn = decoding.draw(logits, at, 0.6, top_p)
    # By another route: NumPy sorts all of it, equal ones by their ids.
    for row, u, token in zip(
        logits.numpy().astype(float), at.tolist(), drawn.tolist(), strict=True
    ):
        order = np.lexsort((np.arange(vocab), -row))
        p = np.exp((row[order] - row.max()) / 0.6)
        reached = np.cumsum(p / p.sum())
        kept = min(int((reached < top_p).sum()), vocab - 1)
        place = min(int((reached <= u * reached[kept]).sum()), kept)
        assert token == order[place]


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2", "gemma2"])
def test_a_batch_draws_what_each_row_draws_alone(model_folder, architecture):
    model = load(model_folder(architecture))
    rows = [model.encode(text) for text in ("a", "Some longer text", "x y", "ends", "The fifth")]
    uniforms = np.random.default_rng(3).random((5, 24))
    limits = [24, 7, 24, 0, 15]
    together = decoding.sample(model, rows, uniforms, limits, 1.0, 1.0)
    for row, u, limit, found in zip(rows, uniforms, limits, together, strict=True):
        alone = decoding.sample(model, [row], u[None], [limit], 1.0, 1.0)
        assert alone == [found]
    assert [len(ids) for ids, _ in together][1::2] == [7, 0]


def test_with_one_token_kept_it_is_the_greedy_text(model_folder):
    model = load(model_folder("qwen2"))
    rows = [model.encode("Once upon"), model.encode("A")]
    uniforms = np.full((2, functional.MAX_NEW_TOKENS), 0.999)
    limits = [functional.MAX_NEW_TOKENS] * 2
    found = decoding.sample(model, rows, uniforms, limits, 1.0, 1e-9)
    assert [ids for ids, _ in found] == decoding.greedy(model, rows, 1, functional.MAX_NEW_TOKENS)[
        1
    ]


ASKED = ProblemSet(
    "two", (Problem("p1", "", "What is 1 + 1?", "2"), Problem("p2", "", "Half of 3?", None))
)


def measured(model, sampling, asked=ASKED, batch_size=64):
    done: list[int] = []
    found = [
        record
        for unit in rollouts.units(asked, sampling.n_samples)
        for record in rollouts.measure_unit(model, asked, unit, sampling, batch_size, done.append)
    ]
    assert sum(done) == len(found) == len(asked.problems) * sampling.n_samples
    return found


def test_records_are_the_same_in_any_batch_and_beside_any_problem(model_folder):
    model = load(model_folder())
    sampling = rollouts.Sampling(n_samples=3, max_new_tokens=12)
    found = measured(model, sampling)
    assert found == measured(model, sampling, batch_size=2)
    alone = ProblemSet("one", ASKED.problems[1:])
    assert measured(model, sampling, alone) == [r for r in found if r.problem_id == "p2"]
    assert len({r.text for r in found}) == 6  # samples differ
    other = rollouts.Sampling(n_samples=3, max_new_tokens=12, seed=1)
    assert {r.text for r in measured(model, other)}.isdisjoint(r.text for r in found)
    assert all(r.is_correct is False for r in found if r.problem_id == "p1" and r.answer is None)
    assert all(r.is_correct is None and r.reason for r in found if r.problem_id == "p2")


def test_a_reply_ends_where_the_models_positions_end(model_folder):
    model = load(model_folder("gpt2"))
    long = ProblemSet("long", (Problem("l", "", "x" * 500, "1"), Problem("xl", "", "x" * 600, "1")))
    sampling = rollouts.Sampling(n_samples=1, max_new_tokens=50, plain_prompt="{problem}")
    first, second = measured(model, sampling, long)
    # Positions for 512 tokens, a byte each: room for 12 and for none.
    assert first.n_tokens == 12 and first.finish == "context"
    assert (second.n_tokens, second.text, second.finish) == (0, "", "context")
    assert second.reason == "empty completion" and second.is_correct is False


def test_rollouts_made_elsewhere(tmp_path):
    file = tmp_path / "r.jsonl"
    lines = [
        {"problem_id": "p1", "text": "It is 2."},
        {"problem": "What is 1 + 1?", "text": "3", "sample": 4},
        {"problem_id": "p1", "text": "again", "sample": 4},
        {"problem_id": "unheard of", "text": "2"},
        {"problem_id": "p2"},
        [],
    ]
    content = (
        "\n".join(map(json.dumps, lines)).encode() + b'\n{"problem_id": "p1", "text": "\xff"}\n{'
    )
    file.write_bytes(content)
    found, skipped = rollouts.read(file, ASKED)
    assert [(r.problem_id, r.sample, r.is_correct, r.finish) for r in found] == [
        ("p1", 0, True, "imported"),
        ("p1", 4, False, "imported"),
    ]
    assert [why.partition(":")[0] for why in skipped] == [f"line {n}" for n in (3, 4, 5, 6, 7, 8)]
    file.write_text("{}")
    with pytest.raises(BadInput, match="has no rollout on a problem of 'two'"):
        rollouts.read(file, ASKED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_samples": 0},
        {"temperature": 0.0},
        {"top_p": 1.5},
        {"max_new_tokens": 0},
        {"seed": -1},
        {"plain_prompt": "no slot"},
    ],
)
def test_what_cannot_be_sampled_is_refused(wrong):
    with pytest.raises(BadInput, match=r"give|must say"):
        rollouts.Sampling(**wrong)


def test_the_problem_itself_may_hold_braces():
    assert problems.plain_prompt("Q: {problem}\nA:", "{x} {problem}") == "Q: {x} {problem}\nA:"


def test_a_chat_template_makes_the_prompt(model_folder, tmp_path):
    model = load(model_folder())
    assert rollouts.prompt_text(model, "Why?", "Q: {problem}\nA:") == ("Q: Why?\nA:", True)
    model.tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<reply>{% endif %}"
    )
    assert rollouts.prompt_text(model, "Why?", "Q: {problem}\nA:") == ("<user>Why?<reply>", False)
