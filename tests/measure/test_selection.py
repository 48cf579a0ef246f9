"""Selection: responses made by hand, of which each criterion must take a known one; the ranking."""

from collections import Counter
from math import exp, gamma, log, pi, sqrt

import numpy as np
import pytest
import torch

from measure import intervals, models, problems, published, selection, sentence_scores, sources
from measure.records import Rollout, SentenceScore
from measure.selection import CRITERIA, Candidate, candidates, find_beta, rank_criteria, select
from measure.sentences import segment

BETA = 0.1
OURS, BOTH = (0.9, 0.5), (0.5, 0.5)  # p of teacher and student: the teacher's, and common


def rollout(sample: int = 0, text: str = "One.", *, problem="q", is_correct=True) -> Rollout:
    return Rollout(
        problem_id=problem,
        sample=sample,
        category="",
        problem="How many?",
        gold="1",
        text=text,
        n_tokens=None,
        finish="stop",
        answer="1",
        is_correct=is_correct,
        reason=None,
    )


def score(rollout, number, at, p, n_tokens=1, *, is_special=False, reason=None) -> SentenceScore:
    total = None if reason or not n_tokens else n_tokens * log(p)
    return SentenceScore(
        problem_id=rollout.problem_id,
        sample=rollout.sample,
        sentence=number,
        char_start=at[0],
        char_end=at[1],
        is_special=is_special,
        n_tokens=n_tokens,
        sum_logprob=total,
        span_tokens=(n_tokens,),
        span_logprobs=None if total is None else (total,),
        reason=reason,
    )


def made(sample: int, sentences: list, n_tokens: int, *, problem="q") -> Candidate:
    """A candidate whose sentences have these probabilities and as many tokens each."""
    p_teacher, p_student = np.array(sentences).T
    return Candidate(
        rollout(sample, problem=problem),
        p_teacher,
        p_student,
        n_tokens * len(sentences),
        float(np.log(p_student).mean()),
    )


# Teacher sentences, all sentences, tokens: 4 of 5, 50; 1 of 2, 120; 3 of 3, 15; 0 of 2, 40; 1 of 2,
# 60 and the likeliest to the student (0.95 - 0.8 = 0.15 is the teacher's, 0 is not).
FIVE = [
    made(0, [OURS] * 4 + [BOTH], 10),
    made(1, [OURS, BOTH], 60),
    made(2, [OURS] * 3, 5),
    made(3, [BOTH] * 2, 20),
    made(4, [(0.95, 0.8), (0.98, 0.98)], 30),
]
TAKEN = {"max-count": 0, "longest": 1, "highest-proportion": 2, "min-count": 3, "grape": 4}


@pytest.mark.parametrize(("criterion", "sample"), TAKEN.items())
def test_each_criterion_takes_its_own_response(criterion, sample):
    for among in (FIVE, FIVE[::-1]):  # whatever their order
        (chosen,) = select(among, criterion, BETA)
        assert chosen.rollout.sample == sample


def test_every_criterion_but_random_is_tried():
    assert set(CRITERIA) == {*TAKEN, "random"}


@pytest.mark.parametrize("criterion", TAKEN)
def test_ties_go_to_the_shorter_then_to_the_lowest_sample(criterion):
    # All have 2 Teacher sentences of 2 and p 0.5 under the student; two of them have 8 tokens.
    long, low, high = made(0, [OURS] * 2, 9), made(1, [OURS] * 2, 4), made(2, [OURS] * 2, 4)
    (chosen,) = select([high, low, long], criterion, BETA)
    assert chosen is (long if criterion == "longest" else low)
    (chosen,) = select([high, low], criterion, BETA)
    assert chosen is low


def test_beta_decides_what_is_the_teachers():
    # d_TS 0.4 is above any beta, 0.07 is above 0.05 alone.
    few, many = made(0, [(0.9, 0.5)], 1), made(1, [(0.57, 0.5)] * 2, 1)
    assert [select([few, many], "max-count", at)[0].rollout.sample for at in (0.05, 0.1)] == [1, 0]
    rows = selection.at_betas([few, many], "max-count", 0.1)
    assert [row.beta for row in rows] == [0.05, 0.10, 0.15]
    assert [row.teacher_share for row in rows] == [1, 1 / 3, 1 / 3]
    assert [row.mean_selected for row in rows] == [2, 1, 1]
    assert [row.same_choice_frac for row in rows] == [0, 1, 1]
    # One question has no interval.
    assert [(row.n_questions, row.ci_low_teacher_share) for row in rows] == [(1, None)] * 3


def test_the_beta_in_use_is_reported_beside_the_three():
    rows = selection.at_betas([*FIVE, *(made(0, [OURS], 1, problem="r"),)], "max-count", 0.07)
    assert [row.beta for row in rows] == [0.05, 0.07, 0.10, 0.15]
    for row in rows:
        assert row.n_questions == 2
        assert row.ci_low_teacher_share <= row.teacher_share <= row.ci_high_teacher_share


def test_no_candidates_give_nothing():
    for criterion in CRITERIA:
        assert select([], criterion, BETA) == []
    assert selection.at_betas([], "max-count", BETA) == []
    assert find_beta([]) == (0.10, "fallback")


def test_random_is_uniform_seeded_and_each_questions_own():
    among = [made(s, [OURS], 1, problem=f"q{i}") for i in range(2000) for s in range(4)]
    drawn = [one.rollout.sample for one in select(among, "random", BETA, seed=0)]
    counts = Counter(drawn)
    # 500 expected of each, with a standard deviation of sqrt(2000 * 1/4 * 3/4) = 19.4.
    assert sorted(counts) == [0, 1, 2, 3] and all(abs(n - 500) < 4 * 19.4 for n in counts.values())
    assert drawn == [one.rollout.sample for one in select(among, "random", BETA, seed=0)]
    assert drawn != [one.rollout.sample for one in select(among, "random", BETA, seed=1)]
    alone = [one.rollout.sample for one in select(among[400:], "random", BETA, seed=0)]
    assert alone == drawn[100:]


def test_beta_is_the_mirror_rule_over_all_candidates():
    """30 sentences at d_TS 0.3, 30 at -0.155: below 0.16 the student has as many as the teacher."""
    one = made(0, [(0.8, 0.5)] * 30 + [(0.345, 0.5)] * 30, 1)
    assert find_beta([one]) == (0.16, "mirror")
    assert find_beta([made(0, [(0.8, 0.5)] * 29, 1)]) == (0.10, "fallback")  # 30 are needed
    assert find_beta([made(i, [(0.8, 0.5)], 1) for i in range(30)]) == (0.05, "mirror")


# --- candidates from scores ---------------------------------------------------------------------


def scored(of, text_p):
    """Both models' scores: one (p_teacher, p_student) a sentence of 2 tokens."""
    cut = segment(of.text)
    assert len(cut) == len(text_p)
    at = [(s.start, s.end) for s in cut]
    return [
        [score(of, i, at[i], p[m], 2, is_special=cut[i].is_special) for i, p in enumerate(text_p)]
        for m in (0, 1)
    ]


def test_marks_and_repeats_are_tokens_but_no_sentences():
    text = "<think> Add them. Add them. It is 4. </think> 4 it is."
    one = rollout(text=text)
    p = [(0.5, 0.5), OURS, OURS, BOTH, (0.5, 0.5), BOTH]  # open, add, add again, 4, close, answer
    found, left_out = candidates([one], *scored(one, p))
    assert not left_out
    (candidate,) = found
    np.testing.assert_allclose(candidate.p_teacher, [0.9, 0.5, 0.5])
    np.testing.assert_allclose(candidate.p_student, [0.5, 0.5, 0.5])
    assert (candidate.n_teacher(BETA), candidate.n_tokens) == (1, 12)
    assert candidate.mean_logprob == pytest.approx(log(0.5))


def test_only_right_answers_are_candidates_unless_asked_otherwise():
    three = [rollout(i, is_correct=right) for i, right in enumerate((True, False, None))]
    both = [sum(parts, []) for parts in zip(*(scored(one, [OURS]) for one in three), strict=True)]
    found, left_out = candidates(three, *both)
    assert [one.rollout.sample for one in found] == [0]
    assert left_out == {"not answered right": 1, "without an answer to check": 1}
    found, left_out = candidates(three, *both, only_right=False)
    assert [one.rollout.sample for one in found] == [0, 1, 2] and not left_out


def test_what_cannot_be_scored_is_left_out_with_its_reason():
    one = rollout(text="Add them. It is 4.")
    teacher, student = scored(one, [OURS, BOTH])
    why = "600 tokens with the prompt, 512 fit the model"
    refused = [score(one, 0, (0, 10), 1, 5, reason=why), score(one, 1, (10, 18), 1, 5, reason=why)]
    assert candidates([one], refused, student) == ([], {f"teacher: {why}": 1})
    assert candidates([one], teacher, refused) == ([], {f"student: {why}": 1})
    none = "no sentence that both models have tokens in"
    assert candidates([one], [], []) == ([], {none: 1})
    # A sentence in which no token of the student begins has no probability: the other one counts.
    (found,), _ = candidates([one], teacher, [score(one, 0, (0, 10), 1, 0), student[1]])
    assert (len(found.p_teacher), found.n_tokens) == (1, 2)


def test_both_probabilities_are_over_the_students_tokens():
    """The teacher's 4 tokens of p 0.5 are, over the student's 2, 0.5 ** 2."""
    one = rollout()
    (found,), _ = candidates(
        [one], [score(one, 0, (0, 4), 0.5, 4)], [score(one, 0, (0, 4), 0.5, 2)]
    )
    assert (found.p_teacher[0], found.p_student[0]) == pytest.approx((0.25, 0.5))


def test_scores_of_other_sentences_are_refused():
    one = rollout(text="Add them. It is 4.")
    teacher, student = scored(one, [OURS, BOTH])
    with pytest.raises(ValueError, match="different sentences"):
        candidates([one], teacher, student[:1])


def test_probabilities_equal_those_of_the_models_own_logits(model_folder):
    """The independent route: one token a byte, log-softmax of the whole model, summed by hand."""
    refs = [str(model_folder("llama", seed)) for seed in (1, 2)]
    read = [models.load(sources.find(ref), device="cpu") for ref in refs]
    one = rollout(text="Add them now. It is 4.")
    texts = sentence_scores.Texts("mine", "", (one,))
    both = [
        list(sentence_scores.measure_unit(m, texts, texts.units[0], 4, lambda _: None))
        for m in read
    ]
    (found,), _ = candidates([one], *both)
    prompt = problems.plain_prompt(problems.PLAIN_PROMPT, one.problem)
    for model, got in zip(read, (found.p_teacher, found.p_student), strict=True):
        ids = torch.tensor([model.encode(prompt + one.text)])
        with torch.inference_mode():
            logs = model.model(ids).logits[0].double().log_softmax(-1)
        each = [float(logs[i - 1, ids[0, i]]) for i in range(len(prompt), ids.shape[1])]
        assert len(each) == len(one.text)
        wanted = [exp(np.mean(each[:14])), exp(np.mean(each[14:]))]  # "Add them now. " has 14
        np.testing.assert_allclose(got, wanted, rtol=1e-4)
    assert found.mean_logprob == pytest.approx(np.mean(each), rel=1e-5)


# --- the ranking --------------------------------------------------------------------------------

NAMES = {
    "max count": "max-count",
    "vanilla": "random",
    "longest": "longest",
    "highest proportion": "highest-proportion",
    "min count": "min-count",
    "GRAPE": "grape",
}


def table():
    """The published table, as criterion, benchmark and one value."""
    points = {}
    for row in published.load():
        if row.source == "S4" and row.quantity == "accuracy":
            points.setdefault(NAMES[row.subject], {})[row.convention] = [row.value]
    return points


def test_the_published_table_is_ranked_as_published():
    found = rank_criteria(table())
    # The paper's own averages, which the means agree with to their rounding.
    averages = {
        NAMES[row.subject]: row.value
        for row in published.load()
        if row.source == "S4" and row.quantity == "mean_accuracy"
    }
    assert len(averages) == 6
    best_first = sorted(averages, key=lambda name: -averages[name])
    assert [row.criterion for row in found.rows] == best_first
    assert {row.criterion: row.average for row in found.rows} == pytest.approx(averages, abs=0.1)
    assert all(len(row.by_benchmark) == 4 for row in found.rows)
    assert found.over_vanilla.points == pytest.approx(2.5, abs=0.1)


def test_the_published_gain_is_not_established_and_length_explains_most_of_it():
    found = rank_criteria(table())
    assert found.label == found.over_longest.label == "not established"
    assert found.over_longest.points == pytest.approx(0.8, abs=0.05)
    assert "1 seed: no variance is known" in found.reasons[0]
    assert found.reasons[1].startswith("max-count +0.8 points over longest")
    assert "the effect that length does not explain" in found.reasons[1]
    assert all(row.gain is None or row.gain.ci_low_points is None for row in found.rows)


def of_seeds(guided, vanilla, longest=None):
    found = {"max-count": guided, "random": vanilla, "longest": longest or vanilla}
    return {name: {"one": list(values)} for name, values in found.items()}


def test_a_gain_of_every_seed_improves():
    # Differences 1 to 5: mean 3, sd sqrt(2.5), over sqrt(5) is sqrt(0.5); t of 4 is 2.776.
    found = rank_criteria(of_seeds([51, 42, 63, 24, 35], [50, 40, 60, 20, 30]))
    gain = found.over_vanilla
    assert found.label == "improves"
    assert (gain.points, gain.n_seeds) == (3, 5)
    half = 2.776 * sqrt(0.5)
    assert (gain.ci_low_points, gain.ci_high_points) == pytest.approx((3 - half, 3 + half))
    # Unpaired, 3 points are nothing beside seeds that are up to 40 apart.
    best = found.rows[0]
    assert best.ci_low_average < 40 < best.ci_high_average


@pytest.mark.parametrize(
    ("guided", "why"),
    [
        ([50, 40, 60, 20, 30], "no difference at all"),
        ([56, 38, 64, 19, 33], "differences 6, -2, 4, -1, 3: mean 2, half 2.776 * 1.52 = 4.2"),
        ([45, 36, 54, 15, 24], "worse on every seed"),
    ],
)
def test_an_interval_that_is_not_above_zero_establishes_nothing(guided, why):
    found = rank_criteria(of_seeds(guided, [50, 40, 60, 20, 30]))
    assert found.label == "not established", why
    assert found.over_vanilla.ci_low_points <= 0


def test_benchmarks_count_alike_and_the_longest_has_its_own_interval():
    points = {
        "max-count": {"a": [10, 12], "b": [30, 34]},  # 20 and 23
        "random": {"a": [10, 10], "b": [20, 20]},  # 15 and 15
        "longest": {"a": [12, 12], "b": [26, 30]},  # 19 and 21
    }
    found = rank_criteria(points)
    assert found.rows[0].by_benchmark == {"a": 11, "b": 32} and found.rows[0].average == 21.5
    assert found.over_vanilla.points == 6.5  # of 5 and 8
    assert found.over_longest.points == 1.5  # of 1 and 2
    half = 12.706 * sqrt(0.5) / sqrt(2)
    assert found.over_longest.ci_high_points == pytest.approx(1.5 + half)


def test_two_vanilla_selections_seldom_differ():
    """The null: seeds of one distribution; by definition 2.5 % of intervals lie above 0."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(50, 3, size=(2, 2000, 5))
    labels = Counter(
        rank_criteria(of_seeds(*(drawn[side, i] for side in (0, 1)))).label for i in range(2000)
    )
    # 50 expected, with a standard deviation of 7.
    assert abs(labels["improves"] - 50) < 28
    alone = Counter(
        rank_criteria(of_seeds(*(drawn[side, i, :1] for side in (0, 1)))).label for i in range(50)
    )
    assert alone == {"not established": 50}


@pytest.mark.parametrize(
    ("points", "what"),
    [
        ({"max-count": {"a": [1]}, "random": {"a": [1]}}, "no points of longest"),
        ({**of_seeds([1], [1]), "grape": {"two": [1]}}, "grape has seeds"),
        ({**of_seeds([1, 2], [1, 2]), "grape": {"one": [1]}}, "grape has seeds"),
        (of_seeds([], []), "at least 1"),
    ],
)
def test_tables_with_holes_are_refused(points, what):
    with pytest.raises(ValueError, match=what):
        rank_criteria(points)


def test_students_t_quantiles_follow_from_its_density():
    """Half of 0.95 lies between 0 and the quantile, by the trapezoid rule."""
    assert len(intervals._T) == 30
    for df, quantile in enumerate(intervals._T, start=1):
        x = np.linspace(0, quantile, 20_001)
        scale = gamma((df + 1) / 2) / (sqrt(df * pi) * gamma(df / 2))
        density = scale * (1 + x**2 / df) ** (-(df + 1) / 2)
        assert np.trapezoid(density, x) == pytest.approx(0.475, abs=5e-5), df


# --- the problems to select on ------------------------------------------------------------------


def test_stories_to_train_on_are_no_held_out_ones():
    training, more, held_out = (
        problems.load(name).problems for name in ("zoo-train60", "zoo-train80", "zoo40")
    )
    assert (len(training), len(more), len(held_out)) == (60, 80, 40)
    assert more[:60] == training  # more of them change none
    assert not {p.text for p in more} & {p.text for p in held_out}
    assert len({p.problem_id for p in more}) == 80
    assert Counter(p.category for p in more)["short clean"] == 20  # half clean, half of those short


@pytest.mark.parametrize("name", ["zoo-train0", "zoo-train", "zoo-train-5", "zoo-train5x"])
def test_a_number_of_stories_must_be_one(name):
    with pytest.raises(problems.BadInput, match="does not exist"):
        problems.load(name)
