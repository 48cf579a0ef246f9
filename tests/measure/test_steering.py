"""Steering through the project's sampler: against editing by hand, and verdicts of given texts."""

import math

import numpy as np
import pytest
import torch

from measure import decoding, models, residual, rollouts, sources, steering
from measure.errors import BadInput
from measure.feature_records import SteeredRollout
from measure.problems import Problem, ProblemSet
from measure.rollouts import Sampling
from measure.stability_verdicts import Estimate
from measure.steering import Direction
from tests.measure.latents import handmade

ASKED = ProblemSet("two", (Problem("p", "", "5 + 2?", "7"), Problem("q", "", "1 + 1?", "2")))
SAMPLING = Sampling(n_samples=2, max_new_tokens=12, seed=3)


@pytest.fixture(scope="module")
def model(model_folder):
    return models.load(sources.find(str(model_folder("llama"))), device="cpu")


def direction(category="deductive"):
    return steering.direction_of(handmade(), 2, category)


def nothing(_):
    pass


# --- directions ---------------------------------------------------------------------------------


def test_directions_have_length_1():
    made = handmade()
    found = steering.direction_of(made, 2, "deductive")
    row = made.W_dec[2, 1].detach()
    torch.testing.assert_close(found.vector, row / row.norm())
    assert (found.name, found.latent) == ("latent 2", 2)
    made.W_dec.data[2, 1] = 0
    with pytest.raises(BadInput, match="no direction"):
        steering.direction_of(made, 2, "deductive")
    one, other = (steering.random_direction(300, "deductive", seed) for seed in (0, 1))
    assert float(one.vector.norm()) == pytest.approx(1) and one.latent is None
    assert abs(float(one.vector @ other.vector)) < 4 / 300**0.5


def test_the_latent_to_steer_by_hand():
    nrn = np.array([0.9, 0.6, 0.3, np.nan, 0.95])
    largest = np.array([1.0, 5.0, 9.0, 9.0, 7.0])
    labels = ["deductive", "deductive", "deductive", "deductive", "other"]
    assert steering.latent_to_steer(nrn, largest, labels, "deductive") == 1
    assert steering.latent_to_steer(nrn - 0.5, largest, labels, "deductive") == 0
    assert steering.latent_to_steer(nrn, largest, labels, "contrastive") is None


def test_the_mean_norm_leaves_out_first_tokens(model):
    rows = [model.encode("abc"), model.encode("de"), model.encode("f")]
    norms = []
    for row in rows:
        # After the last block stands what the final norm is given.
        states = model.states(model.pad([row])).before_norm[0]
        norms += states[1:].norm(dim=-1).tolist()
    assert len(norms) == 3
    assert residual.mean_norm(model, 1, rows, 2) == pytest.approx(np.mean(norms), rel=1e-5)
    assert math.isnan(residual.mean_norm(model, 1, rows[2:]))


# --- completions --------------------------------------------------------------------------------


def run(model, amplitude, layer=1, batch_size=8, asked=ASKED):
    given = (layer, direction(), amplitude, 20.0, asked, SAMPLING, batch_size, nothing)
    return list(steering.steered(model, *given))


def test_amplitude_0_is_what_the_model_writes(model):
    plain = [
        r
        for unit in rollouts.units(ASKED, SAMPLING.n_samples)
        for r in rollouts.measure_unit(model, ASKED, unit, SAMPLING, 8, nothing)
    ]
    assert [r.text for r in run(model, 0.0)] == [r.text for r in plain]
    assert [r.text for r in run(model, 0.4)] != [r.text for r in plain]


@pytest.mark.parametrize("layer", [0, 1])
def test_a_steered_text_by_another_route(model, layer):
    """Token by token without a cache, the generated positions edited by hand."""
    found = run(model, 0.4, layer, batch_size=1)[0]
    prompt = rollouts.prompt_ids(model, "5 + 2?", SAMPLING.plain_prompt)
    uniforms = torch.from_numpy(
        rollouts.generator(SAMPLING.seed, "p", 0).random(SAMPLING.max_new_tokens)
    )
    shift = 0.4 * 20.0 * direction().vector
    ids: list[int] = []
    for step in range(SAMPLING.max_new_tokens):

        def push(stream):
            stream = stream.clone()
            stream[:, len(prompt) :] += shift
            return stream

        with residual.edited(model, layer, push):
            last = model.states(model.pad([[*prompt, *ids]])).after_norm[:, -1]
        drawn = decoding.draw(
            model.logits(last), uniforms[step : step + 1], SAMPLING.temperature, SAMPLING.top_p
        )
        if (token := int(drawn[0])) in model.eos_ids:
            break
        ids.append(token)
    assert found.text == model.continuation(prompt, ids)


def test_batches_change_nothing(model):
    assert [r.text for r in run(model, 0.2, batch_size=1)] == [r.text for r in run(model, 0.2)]


def test_a_prompt_of_one_token_is_refused(model):
    sampling = Sampling(n_samples=1, max_new_tokens=2, plain_prompt="{problem}")
    asked = ProblemSet("one", (Problem("p", "", "5", "7"),))
    with pytest.raises(BadInput, match="is one token"):
        list(steering.steered(model, 1, direction(), 0.1, 1.0, asked, sampling, 1, nothing))


def test_a_sweep_is_texts_and_verdicts(model):
    given = (1, direction(), 20.0, ASKED, SAMPLING, 8, nothing, (0.0, 0.4))
    found = list(steering.sweep(model, *given))
    texts = [one for one in found if isinstance(one, SteeredRollout)]
    assert [one.text for one in texts] == [
        one.text for amplitude in (0.0, 0.4) for one in run(model, amplitude)
    ]
    assert [(v.amplitude, v.label, v.n_rollouts) for v in found[len(texts) :]] == [
        (0.0, "NOT ENOUGH", 4), (0.4, "NOT ENOUGH", 4),  # two problems
    ]  # fmt: skip


# --- what is told of a completion ---------------------------------------------------------------


def test_repetition_by_hand():
    assert steering.repetition(list(range(8))) == 0.0
    assert steering.repetition([1] * 11) == 0.75  # four 8-grams, one kind
    assert steering.repetition(list(range(8)) * 2) == pytest.approx(1 / 9)  # the last is the first
    assert steering.repetition([1] * 7) is None


def test_what_is_told_of_a_text(model):
    (first, *_) = rollouts.measure_unit(
        model, ASKED, rollouts.units(ASKED, 2)[0], SAMPLING, 8, nothing
    )
    said = " <think>So 5, thus but</think> 7"
    made = rollouts.record(ASKED.problems[0], 0, said, 3, "stop")
    assert first.problem_id == made.problem_id
    found = steering._record(model, made, direction(), 0.1)
    # A byte is a token; the reasoning ends before its mark.
    assert (found.n_tokens, found.n_think_tokens, found.is_closed) == (len(said), 22, True)
    assert said.index("</think>") == 22
    assert (found.n_triggers, found.is_correct, found.answer) == (2, True, "7")
    unclosed = rollouts.record(ASKED.problems[0], 0, " <think>So", 3, "length")
    found = steering._record(model, unclosed, direction(), 0.1)
    assert (found.n_think_tokens, found.is_closed) == (10, False)


# --- verdicts -----------------------------------------------------------------------------------


def one(problem, amplitude, length, *, correct=True, repetition=0.0, sample=0, triggers=1):
    return SteeredRollout(
        direction="latent 2", latent=2, category="deductive", amplitude=amplitude,
        problem_id=f"{problem:02d}", sample=sample, problem="", text="", finish="stop",
        n_tokens=2 * length, n_think_tokens=length, is_closed=True, n_triggers=triggers,
        answer="7", is_correct=correct, repetition=repetition,
    )  # fmt: skip


def judged(length, *, n=40, **given):
    """At amplitude 0.1, against lengths of 9 and 11 by turns; half of them right."""
    rows = []
    for i in range(n):
        rows.append(one(i, 0.0, 9 + 2 * (i % 2), correct=i % 2 == 0))
        own = {key: value(i) for key, value in given.items()}
        rows.append(one(i, 0.1, length(i), **{"correct": i % 2 == 0, **own}))
    return {v.amplitude: v for v in steering.verdicts(rows)}


@pytest.mark.parametrize(
    ("length", "given", "label"),
    [
        (lambda i: 15, {}, "over-thinking"),
        (lambda i: 15, {"correct": lambda i: i == 0}, "over-thinking"),
        (lambda i: 15, {"correct": lambda i: i != 0}, "neither"),  # more of them right
        (lambda i: 12, {}, "neither"),  # 1.2 itself is not above it
        (lambda i: 5, {}, "incisive"),
        (lambda i: 5, {"correct": lambda i: i == 0}, "neither"),  # at the cost of answers
        (lambda i: 5, {"correct": lambda i: True}, "incisive"),
        (lambda i: 10, {}, "neither"),
        (lambda i: 30, {"repetition": lambda i: 0.31}, "degenerate"),
        (lambda i: 30, {"repetition": lambda i: 0.3}, "over-thinking"),
        (lambda i: 30, {"correct": lambda i: None}, "NOT ENOUGH"),
    ],
)
def test_labels(length, given, label):
    assert judged(length, **given)[0.1].label == label


def test_two_points_of_accuracy_may_be_lost():
    # One of 50 right answers less is exactly 0.02, two are more.
    for n_lost, label in ((1, "incisive"), (2, "neither")):
        found = judged(lambda i: 5, n=50, correct=lambda i, n=n_lost: i % 2 == 0 and i >= 2 * n)
        assert found[0.1].d_accuracy == pytest.approx(-n_lost / 50)
        assert found[0.1].label == label


def test_amplitude_0_against_itself():
    found = judged(lambda i: 15)[0.0]
    assert (found.length_ratio, found.ci_low_length_ratio, found.ci_high_length_ratio) == (1, 1, 1)
    assert (found.d_accuracy, found.label) == (0.0, "neither")
    assert (found.length, found.accuracy) == (10.0, 0.5)


def test_numbers_by_hand():
    found = judged(lambda i: 15)[0.1]
    assert found.length_ratio == pytest.approx(1.5)
    assert found.ci_low_length_ratio == pytest.approx(1.5, abs=0.1) and found.n_closed == 40
    assert found.triggers_per_100 == pytest.approx(100 * 1 / 30)
    assert found.reasons.startswith("repetition 0.000 [0.000, 0.000]; length ratio 1.500 [1.4")


def test_samples_of_a_problem_are_one_unit():
    rows = [one(i, a, 10, sample=s) for i in range(12) for a in (0.0, 0.1) for s in range(5)]
    found = next(steering.verdicts(rows))
    assert (found.n_problems, found.n_rollouts) == (12, 60)
    found = next(steering.verdicts([r for r in rows if r.problem_id < "09"]))
    assert (found.label, found.reasons) == ("NOT ENOUGH", "9 problems, 10 are needed")


def test_no_token_at_amplitude_0():
    rows = [one(i, a, 0 if a == 0 else 5) for i in range(12) for a in (0.0, 0.1)]
    labels = {v.amplitude: v.label for v in steering.verdicts(rows)}
    assert labels == {0.0: "NOT ENOUGH", 0.1: "NOT ENOUGH"}
    ratio, nothing_known = Estimate(2.0, 1.9, 2.1), Estimate(None, None, None)
    assert steering.label(ratio, nothing_known, nothing_known, 12)[0] == "NOT ENOUGH"
    assert Direction("random 0", None, "deductive", torch.ones(1)).latent is None
