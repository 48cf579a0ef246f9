"""States by other routes, steps in closed form, and what cannot be read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from measure import block_states, burden, models, sentences, sources, step_burdens
from measure.block_states import Trajectory
from measure.burden import Limits, Region
from measure.errors import BadInput
from measure.problems import Problem
from measure.records import Rollout
from measure.sentence_scores import Texts
from measure.stability_records import StabilityLimit, StabilityRegion, StepBurden
from measure.variants import Variant
from tests.conftest import ARCHITECTURES

PLAIN = "Q: {problem}\nA:"
SAID = " <think> Five and two. That is seven!\nSo it is 7. </think> 7"


def rollout(text=SAID, problem_id="p", sample=0, *, is_correct=True):
    return Rollout(
        problem_id=problem_id, sample=sample, category="", problem="5 + 2?", gold="7", text=text,
        n_tokens=None, finish="stop", answer="7", is_correct=is_correct, reason=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tiny(model_folder):
    def load(architecture="llama", **sizes):
        return models.load(sources.find(str(model_folder(architecture, **sizes))), device="cpu")

    return load


def read(model, rollouts, batch_size=8):
    done = []
    found = list(block_states.trajectories(model, rollouts, PLAIN, batch_size, done.append))
    assert sum(done) == len(rollouts)
    return {(one.rollout.problem_id, one.rollout.sample): one for one in found}


def whole(model, text=SAID):
    """Token ids of prompt and text, and where each sentence's tokens are: a byte is a token."""
    prompt = PLAIN.replace("{problem}", "5 + 2?")
    kept = [s for s in sentences.segment(text) if not s.is_special]
    spans = [range(len(prompt) + s.start, len(prompt) + s.end) for s in kept]
    return torch.tensor([model.encode(prompt + text)]), spans


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_states_entropy_and_attention_by_the_model_s_own_outputs(tiny, architecture):
    model = tiny(architecture)
    found = read(model, [rollout()])["p", 0]
    ids, spans = whole(model)
    assert len(spans) == len(found.sentences) == 4
    # Of two blocks the one after which states are read is the last: its output enters the norm.
    states = model.states(model.pad(ids.tolist()))
    expected = [states.before_norm[0, list(span)].mean(0).numpy() for span in spans]
    np.testing.assert_allclose(found.states, expected, rtol=1e-4, atol=1e-5)
    p = model.logits(states.after_norm)[0].softmax(-1)
    entropy = torch.distributions.Categorical(p).entropy()
    np.testing.assert_allclose(
        found.entropy, [entropy[list(span)].mean() for span in spans], rtol=1e-4
    )
    model.model.set_attn_implementation("eager")
    with torch.inference_mode():
        weights = model.model(input_ids=ids, output_attentions=True).attentions[1][0]
    largest = weights.amax(-1).mean(0)
    np.testing.assert_allclose(
        found.attention, [largest[list(span)].mean() for span in spans], rtol=1e-4
    )


def test_two_thirds_of_the_way_up(tiny):
    model = tiny("llama", num_hidden_layers=6)
    assert block_states.layer_of(model) == 4
    ids, spans = whole(model)
    with torch.inference_mode():
        hidden = model.model(input_ids=ids, output_hidden_states=True).hidden_states
    found = read(model, [rollout()])["p", 0]
    # hidden_states[0] is the embedding, so that after block 4 is the sixth.
    expected = [hidden[5][0, list(span)].mean(0).numpy() for span in spans]
    np.testing.assert_allclose(found.states, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 32])
def test_the_layer_exists(n):
    class Model:
        decoder = torch.nn.Module()

    Model.decoder.layers = torch.nn.ModuleList(torch.nn.Identity() for _ in range(n))
    assert block_states.layer_of(Model()) == {1: 0, 2: 1, 3: 2, 4: 3, 32: 21}[n]


def test_a_decoder_without_known_blocks_is_refused(tiny):
    model = tiny()
    own, model.decoder = model.decoder, torch.nn.Identity()
    with pytest.raises(BadInput, match="has no blocks under layers, h, blocks"):
        block_states.blocks(model)
    model.decoder = own


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2"])
def test_the_same_in_any_batch(tiny, architecture):
    model = tiny(architecture)
    given = [rollout(SAID * (1 + i % 3), sample=i) for i in range(5)]
    alone, together = read(model, given, 1), read(model, given, 8)
    assert alone.keys() == together.keys()
    for key, one in alone.items():
        for name in ("states", "entropy", "attention"):
            mine, other = getattr(one, name), getattr(together[key], name)
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_memory_is_bounded(tiny, monkeypatch):
    model = tiny()
    given = [rollout(SAID * (1 + i), sample=i) for i in range(6)]
    rows = []
    own = model.states

    def counted(batch):
        rows.append((tuple(batch.ids.shape), model.model.config._attn_implementation))
        return own(batch)

    monkeypatch.setattr(model, "states", counted)
    n_prompt, n_text = len(PLAIN.replace("{problem}", "5 + 2?")), len(SAID)
    assert (n_prompt, n_text) == (12, 60)  # so rows of 72, 132, 192, 252, 312, 372 tokens
    # With 4 heads three rows of 192 fit (442,368 weights), one of 312 (389,376), none of 372.
    monkeypatch.setattr(block_states, "MAX_ATTENTION", 4 * 3 * 192**2)
    found = read(model, given)
    assert rows == [((3, 192), "eager"), ((1, 252), "eager"), ((1, 312), "eager"),
                    ((1, 372), "sdpa")]  # fmt: skip
    assert found["p", 5].attention is None and found["p", 5].states is not None
    assert found["p", 0].attention is not None
    assert model.model.config._attn_implementation == "sdpa"  # as it was


def test_what_is_no_trajectory_is_not_read(tiny, monkeypatch):
    model = tiny()
    given = [
        rollout("", sample=0),
        rollout(" 7", sample=1),
        rollout("<think> It is. </think> 7", sample=2),
        rollout("One. Two. Three. " * 40, sample=3),  # more than 512 tokens
    ]
    monkeypatch.setattr(model, "states", lambda _: pytest.fail("nothing is to be read"))
    found = read(model, given)
    assert [found["p", i].reason for i in range(4)] == [
        "of 0 sentences, 3 are needed",
        "of 1 sentences, 3 are needed",
        "of 2 sentences, 3 are needed",
        f"{12 + 17 * 40} tokens with the prompt, 512 fit the model",
    ]


# --- steps in closed form -----------------------------------------------------------------------

TEN = np.ones(10)


def limits(b=0.5, mean=10.0, sd=1.0):
    return Limits(b * TEN, mean * TEN, sd * TEN, TEN.astype(int), TEN.astype(int))


def path(*states, entropy=None, attention=(0.5, 0.25, 0.125, 0.0625)):
    n = len(states)
    cut = tuple(sentences.Sentence(10 * i, 10 * i + 10, is_special=False) for i in range(n))
    return Trajectory(
        rollout(), cut, np.array(states, dtype=float),
        np.array(entropy if entropy is not None else [1.0] * n),
        None if attention is None else np.array(attention), None,
    )  # fmt: skip


# A plane whose centre is direction (1, 0); distances are those of the unit vectors from it.
REGION = Region(np.array([1.0, 0.0]), np.eye(2), np.array([1.0, 1.0]), 1.5, 100)
VARIANT = Variant(Problem("p", "", "5 + 2?", "7"), "s", "long", "perturbed")


def measured(one, region=REGION, **kw):
    steps = list(step_burdens._steps(one, region, limits(**kw)))
    return steps, step_burdens._trajectory(one, steps, VARIANT)


def test_steps_in_closed_form():
    one = path([1, 0], [2, 0], [0, 1], [0, -3], entropy=[1.0, 0.5, 2.0, 2.0])
    steps, whole_one = measured(one)
    assert [s.b for s in steps] == pytest.approx([0, 1, 2])
    assert [s.path_load for s in steps] == pytest.approx([0, 1, 3])
    assert [s.b_rel for s in steps] == pytest.approx([1, np.sqrt(5) / 2, 4])
    assert [s.d_entropy_nats for s in steps] == pytest.approx([0, 1.5, 0])
    assert [s.attn_conc for s in steps] == [0.25, 0.125, 0.0625]
    assert [s.decile for s in steps] == [0, 2, 5]
    assert [s.is_violation for s in steps] == [False, True, True]
    # (1, 0) is at the centre; (0, 1) and (0, -1) are root 2 away, and 1.5 is the radius.
    assert [s.distance for s in steps] == pytest.approx([0, np.sqrt(2), np.sqrt(2)])
    assert [s.radius for s in steps] == [1.5] * 3 and not any(s.is_outside for s in steps)
    assert [(s.char_start, s.char_end) for s in steps] == [(10, 20), (20, 30), (30, 40)]
    assert (whole_one.n_states, whole_one.n_violations, whole_one.n_outside) == (4, 2, 0)
    assert (whole_one.mean_b, whole_one.path_load) == (pytest.approx(1), pytest.approx(3))
    assert (whole_one.v_rate, whole_one.f_rate, whole_one.n_both) == (pytest.approx(2 / 3), 0, 0)
    assert (whole_one.story, whole_one.horizon, whole_one.condition) == ("s", "long", "perturbed")


def test_load_beyond_the_usual_shrinks_the_region():
    # Usual is a load of 0 with a spread of 1: after load 1 the radius is exp(-0.1), after 3
    # exp(-0.3), of 1.5: 1.357 and 1.111, both below root 2.
    steps, whole_one = measured(path([1, 0], [2, 0], [0, 1], [0, -3]), mean=0.0)
    assert [s.radius for s in steps] == pytest.approx([1.5, 1.5 * np.exp(-0.1), 1.5 * np.exp(-0.3)])
    assert [s.is_outside for s in steps] == [False, True, True]
    assert (whole_one.n_outside, whole_one.n_both) == (2, 2)


def test_a_burden_at_its_limit_is_no_violation():
    steps, _ = measured(path([1, 0], [0, 1], [1, 0]), b=1.0)
    assert [s.is_violation for s in steps] == [False, False]


def test_without_a_region_violations_remain():
    steps, whole_one = measured(path([1, 0], [0, 1], [1, 0]), region=None)
    assert all(s.is_outside is None and "no feasible region" in s.reason for s in steps)
    assert (whole_one.n_violations, whole_one.n_outside, whole_one.f_rate) == (2, None, None)
    assert "no feasible region" in whole_one.reason


def test_a_state_of_no_length_leaves_the_trajectory_out():
    steps, whole_one = measured(path([1, 0], [0, 0], [1, 0]))
    assert [s.b for s in steps] == [None, None]
    assert (whole_one.n_violations, whole_one.path_load) == (None, None)
    assert whole_one.reason == "a state of length 0 before it"


def test_attention_that_cannot_be_held_says_so():
    steps, whole_one = measured(path([1, 0], [0, 1], [1, 0], attention=None))
    assert {s.reason for s in steps} == {"the attention of one block cannot be held"}
    assert whole_one.reason is None and whole_one.n_outside == 0


# --- calibration --------------------------------------------------------------------------------


def texts(rollouts):
    return Texts("set", "5e7", tuple(rollouts), PLAIN)


def varied(n, **over):
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    return [
        rollout(
            f" {words[i % 7]} and {words[i % 5]}. So {words[i % 3]} is {i}! Then {i * i} "
            f"{words[i % 7]}. It is {words[i % 2]}.",
            sample=i, **over,
        )
        for i in range(n)
    ]  # fmt: skip


def calibrated(model, rollouts):
    found = step_burdens.calibrate(model, texts(rollouts), 8, lambda _: None)
    regions = [one for one in found if isinstance(one, StabilityRegion)]
    assert len(regions) == 1
    return regions[0], [one for one in found if isinstance(one, StabilityLimit)]


def test_only_right_answers_are_calibrated_on(tiny):
    model = tiny()
    right, wrong = varied(30), [replace(one, sample=99) for one in varied(9, is_correct=False)]
    region, rows = calibrated(model, [*right, *wrong])
    assert (region, rows) == calibrated(model, right)
    assert (region.n_trajectories, region.n_states, region.layer) == (30, 120, 1)
    assert [one.decile for one in rows] == list(range(10))
    # Steps of four sentences begin at deciles 0, 2 and 5.
    assert [rows[u].n_steps for u in (0, 2, 5)] == [30, 30, 30]


def test_region_and_limits_by_the_pure_functions(tiny):
    model = tiny()
    right = varied(30)
    region, rows = calibrated(model, right)
    found = read(model, right)
    states = [one.states for one in found.values()]
    expected = burden.fit_region(np.concatenate(states))
    stored = step_burdens.region_of(region)
    assert stored.radius == pytest.approx(expected.radius)
    some = np.concatenate(states)[:20]
    np.testing.assert_allclose(stored.distance(some), expected.distance(some), rtol=1e-3)
    usual = burden.fit_limits([burden.burdens(one) for one in states])
    again = step_burdens.limits_of(rows, "t")
    np.testing.assert_allclose(again.burden, usual.burden)
    np.testing.assert_allclose(again.load_sd, usual.load_sd)


def test_states_are_thinned_evenly_beyond_the_most_that_are_kept(tiny, monkeypatch):
    model = tiny()
    monkeypatch.setattr(step_burdens, "MAX_STATES", 70)
    region, rows = calibrated(model, varied(33))  # 132 sentences: every second
    assert region.n_states == 66
    assert rows[0].n_steps == 33  # limits are of all


def test_too_few_right_answers_say_so(tiny):
    region, rows = calibrated(tiny(), varied(4))
    assert region.radius is None and not rows
    assert region.reason == "16 states of right answers, 64 that differ are needed"
    assert step_burdens.region_of(region) is None
    with pytest.raises(BadInput, match="teacher 'zoo:t' has fewer than 20 steps"):
        step_burdens.limits_of(rows, "zoo:t")


def test_a_unit_yields_each_rollout_and_its_steps(tiny):
    model = tiny()
    given = [*varied(3), rollout("No.", sample=7)]
    found = list(
        step_burdens.measure_unit(
            model, texts(given), "rollouts-00001-00003", {"p": VARIANT}, None, limits(), 2,
            lambda _: None,
        )
    )  # fmt: skip
    steps = [one for one in found if isinstance(one, StepBurden)]
    others = [one for one in found if not isinstance(one, StepBurden)]
    assert sorted(one.sample for one in others) == [1, 2, 7]
    assert len(steps) == 6 and {one.sample for one in steps} == {1, 2}
    for step in steps:  # it names the sentence that it arrives at
        text = given[step.sample].text
        cut = sentences.segment(text)[step.t + 1]
        assert (step.char_start, step.char_end) == (cut.start, cut.end)
