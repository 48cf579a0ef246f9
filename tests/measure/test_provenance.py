"""Labels by hand, and the choice of beta on sentences whose origin is known."""

import math

import numpy as np
import pytest

from measure import provenance
from measure.provenance import BOOSTED, BOOSTED_KINDS, LABELS, SHARED, STUDENT, TEACHER
from measure.records import Rollout, SentenceScore


def label(p_t, p_s, p_d, alpha=0.1, beta=0.1):
    three = (np.array([p]) for p in (p_t, p_s, p_d))
    return LABELS[provenance.label4(*three, alpha, beta)[0]]


@pytest.mark.parametrize(
    ("p_t", "p_s", "p_d", "expected"),
    [
        (0.50, 0.50, 0.50, "Shared"),
        (0.60, 0.51, 0.52, "Shared"),  # none is more than 0.1 apart
        (0.90, 0.50, 0.90, "Teacher"),
        (0.90, 0.50, 0.10, "Teacher"),  # p_D does not enter once they are apart
        (0.50, 0.90, 0.90, "Student"),
        (0.50, 0.50, 0.90, "Boosted"),
        (0.55, 0.50, 0.20, "Boosted"),
    ],
)
def test_labels_by_hand(p_t, p_s, p_d, expected):
    assert label(p_t, p_s, p_d) == expected


def test_a_beta_below_alpha_is_masked_by_shared():
    # d_TS = 0.08: Teacher by beta 0.05, but all three lie within alpha.
    assert label(0.58, 0.50, 0.54, beta=0.05) == "Shared"
    three = provenance.label3(np.array([0.58]), np.array([0.50]), 0.05)
    assert LABELS[three[0]] == "Teacher"
    assert label(0.58, 0.50, 0.80, beta=0.05) == "Teacher"


def test_equality_of_the_difference_with_beta_is_boosted():
    assert label(0.75, 0.50, 0.0, beta=0.25) == "Boosted"  # exact in binary


def test_kinds_of_boosted():
    p_t, p_s = np.array([0.5, 0.5, 0.5]), np.array([0.6, 0.6, 0.6])
    kinds = provenance.boosted_kind(p_t, p_s, np.array([0.7, 0.55, 0.4]))
    assert [BOOSTED_KINDS[k] for k in kinds] == ["boosted_up", "between", "suppressed"]


def test_teacher_and_student_alike_give_shared_or_boosted_only():
    rng = np.random.default_rng(0)
    p, p_d = rng.random(5000), rng.random(5000)
    assert set(provenance.label4(p, p, p_d, 0.1, 0.1).tolist()) == {SHARED, BOOSTED}


def test_threshold_zero_one_alike():
    """Swapping teacher and student swaps their labels and nothing else."""
    rng = np.random.default_rng(1)
    p_t, p_s, p_d = rng.random((3, 5000))
    one, other = (provenance.label4(*p, p_d, 0.1, 0.15) for p in ((p_t, p_s), (p_s, p_t)))
    swapped = np.select([other == TEACHER, other == STUDENT], [STUDENT, TEACHER], other)
    assert np.array_equal(one, swapped)
    assert len(set(one.tolist())) == 4


def simulated(seed=0, n=20_000):
    """Sentences of known origin: teacher ones have p_D near p_T, boosted ones above both."""
    rng = np.random.default_rng(seed)
    p_s = rng.beta(4, 4, n)
    origin = rng.choice(3, n, p=[0.4, 0.3, 0.3])  # shared, teacher, boosted
    noise = rng.normal(0, 0.03, (3, n))
    gain = np.abs(rng.normal(0.25, 0.1, n))
    p_t = p_s + noise[0] + np.where(origin == 1, gain, 0)
    p_d = np.where(origin == 1, p_t, p_s) + noise[1] + np.where(origin == 2, gain, 0)
    return tuple(np.clip(p, 0, 1) for p in (p_t, p_s, p_d)), origin


def test_adaptive_beta_is_near_the_most_accurate_one():
    p, origin = simulated()
    apart = np.isin(origin, (1, 2))
    want = np.where(origin == 1, TEACHER, BOOSTED)

    def accuracy(beta):
        return (provenance.label4(*p, 0.1, beta) == want)[apart].mean()

    found = provenance.adaptive_beta(*p)
    best = max(accuracy(beta) for beta in provenance.BETAS)
    assert 0.02 < found < 0.40  # an end of the grid would say nothing
    assert accuracy(found) > best - 0.02


def test_adaptive_beta_takes_the_smallest_that_overlaps_least():
    """By another route, in loops over bins."""
    p, _ = simulated(2, 3000)
    overlaps = {}
    for beta in provenance.BETAS:
        labels = provenance.label4(*p, 0.1, beta)
        d_td = p[0] - p[2]
        groups = [d_td[labels == code] for code in (TEACHER, BOOSTED)]
        if min(map(len, groups)) < 30:
            continue
        total = 0.0
        for i in range(40):
            low, high = -1 + i / 20, -1 + (i + 1) / 20
            inside = [((g >= low) & ((g < high) | (i == 39))).mean() for g in groups]
            total += min(inside)
        overlaps[beta] = total
    least = min(overlaps.values())
    assert provenance.adaptive_beta(*p) == min(b for b, o in overlaps.items() if o <= least + 0.005)


def test_without_enough_sentences_there_is_no_adaptive_beta():
    p, _ = simulated(3, 60)
    assert provenance.adaptive_beta(*p) is None
    assert provenance.pretraining_beta(p[0][:20], p[1][:20]) is None


def test_pretraining_beta_mirrors_the_students_side():
    # 100 sentences at +0.30; 40 at -0.115 and 8 at -0.31: a tenth of 100 is not exceeded once
    # beta passes 0.115, at 0.12.
    d = np.repeat([0.30, -0.115, -0.31], [100, 40, 8])
    assert provenance.pretraining_beta(0.5 + d, np.full(148, 0.5)) == pytest.approx(0.12)
    # Without anything on the student's side the smallest beta holds, kept within its range.
    only = np.full(100, 0.3)
    assert provenance.pretraining_beta(0.5 + only, np.full(100, 0.5)) == pytest.approx(0.05)


def test_kappa_by_hand():
    one = np.array([0, 0, 1, 1], np.int8)
    # Observed 3/4; chance (1/2)(1/4) + (1/2)(3/4) = 1/2: kappa 1/2.
    assert provenance.cohen_kappa(one, np.array([0, 1, 1, 1], np.int8)) == pytest.approx(0.5)
    assert provenance.cohen_kappa(one, one) == 1
    assert provenance.cohen_kappa(one, one[::-1]) == -1
    assert provenance.cohen_kappa(one[:0], one[:0]) is None
    assert provenance.cohen_kappa(one[:2], one[:2]) == 1


# --- alignment ----------------------------------------------------------------------------------


def rollout(text, is_correct, problem_id="p", sample=0):
    return Rollout(
        problem_id=problem_id, sample=sample, category="", problem="?", gold="1", text=text,
        n_tokens=9, finish="stop", answer="1", is_correct=is_correct, reason=None,
    )  # fmt: skip


def score(sentence, span, n, total, *, is_special=False, reason=None, problem_id="p", sample=0):
    return SentenceScore(
        problem_id=problem_id, sample=sample, sentence=sentence, char_start=span[0],
        char_end=span[1], is_special=is_special, n_tokens=n, sum_logprob=total,
        span_tokens=(n,), span_logprobs=None if total is None else (total,), reason=reason,
    )  # fmt: skip


def test_lengths_are_the_students_and_can_be_each_models_own():
    # 20 nats over 25 tokens and over 40: 0.449 and 0.607; over the student's 25 they are alike.
    sums = {"teacher": (40, -20.0), "student": (25, -20.0), "distilled": (25, -20.0)}
    scores = {role: [score(0, (0, 5), *found)] for role, found in sums.items()}
    found = provenance.align([rollout("abcd.", True)], scores)
    assert [p[0] for p in found.p("student")] == pytest.approx([math.exp(-0.8)] * 3)
    own = [p[0] for p in found.p("own")]
    assert own == pytest.approx([math.exp(-0.5), math.exp(-0.8), math.exp(-0.8)])
    assert own[0] == pytest.approx(0.607, abs=1e-3) and own[1] == pytest.approx(0.449, abs=1e-3)


def test_positions_repeats_marks_and_gaps():
    text = "<think>Same. Same. Other. Same.</think>Big."
    ends = [0, 7, 13, 19, 26, 31, 39, 43]
    spans = list(zip(ends[:-1], ends[1:], strict=True))

    def three(role):
        rows = [score(i, span, 4, -1.0, is_special=i in (0, 5)) for i, span in enumerate(spans)]
        if role == "teacher":
            rows[6] = score(6, spans[6], 0, None, reason="no token of the model begins in it")
        return rows

    scores = {role: three(role) for role in provenance.ROLES}
    found = provenance.align([rollout(text, False)], scores)
    assert found.j.tolist() == [-1, 0, 1, 2, 3, -1, 4]
    assert found.rel_pos[1] == pytest.approx(0.1) and found.rel_pos[6] == pytest.approx(0.9)
    assert found.is_repeat.tolist() == [False, False, True, False, False, False, False]
    assert found.is_used.tolist() == [False, True, False, True, True, False, False]
    assert found.reasons[2] == "repeats the sentence before it"
    assert found.reasons[6] == "teacher: no token of the model begins in it"
    assert np.isnan(found.p("student")[0][6]) and found.correct.tolist() == [0.0] * 7


def test_scores_of_other_sentences_are_refused():
    scores = {role: [score(0, (0, 5), 4, -1.0)] for role in provenance.ROLES}
    scores["teacher"] = [score(1, (0, 5), 4, -1.0)]
    with pytest.raises(ValueError, match="score all models on the same rollouts"):
        provenance.align([rollout("abcd.", True)], scores)
