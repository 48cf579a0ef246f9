"""Shares, areas and decisions on sentences that are made by hand."""

import math

import numpy as np
import pytest

from measure import transfer
from measure.records import (
    ProvenanceArea,
    ProvenanceSentence,
    ProvenanceShare,
    ProvenanceSummary,
    Rollout,
    SentenceScore,
)
from measure.transfer import Options, Scored

# p of teacher, student, distilled that give each label at alpha = beta = 0.1.
P = {
    "T": (0.9, 0.4, 0.9),
    "S": (0.4, 0.9, 0.4),
    "B": (0.5, 0.5, 0.9),
    "C": (0.5, 0.5, 0.5),
    "N": (0.62, 0.5, 0.62),  # narrowly the teacher's
}
ROLES = ("teacher", "student", "distilled")
GIVEN = Options(beta=0.1)


def scored(given):
    """`given`: (problem, sample) -> (letters of `P`, one a sentence; is_correct)."""
    rollouts, scores = [], {role: [] for role in ROLES}
    for (problem_id, sample), (letters, is_correct) in given.items():
        text = "".join(f"{letter}{i:03d}. " for i, letter in enumerate(letters))
        rollouts.append(
            Rollout(
                problem_id=problem_id, sample=sample, category="", problem="?", gold="1",
                text=text, n_tokens=9, finish="stop", answer="1", is_correct=is_correct,
                reason=None,
            )
        )  # fmt: skip
        for i, letter in enumerate(letters):
            for role, p in zip(ROLES, P[letter], strict=True):
                total = 3 * math.log(p)  # of three tokens
                scores[role].append(
                    SentenceScore(
                        problem_id=problem_id, sample=sample, sentence=i, char_start=6 * i,
                        char_end=6 * i + 6, is_special=False, n_tokens=3, sum_logprob=total,
                        span_tokens=(3,), span_logprobs=(total,), reason=None,
                    )
                )  # fmt: skip
    return Scored(rollouts, scores)


def measured(distilled, student, control=None, options=GIVEN):
    found = transfer.measure(
        scored(distilled), scored(student), None if control is None else scored(control), options
    )
    by_kind = {}
    for record in found:
        by_kind.setdefault(type(record), []).append(record)
    return by_kind


def of_questions(n, letters, is_correct=True):
    return {(f"q{i:02d}", 0): (letters, is_correct) for i in range(n)}


def test_shares_by_hand():
    found = measured(of_questions(12, "TTBC"), of_questions(12, "SC"))
    shares = {(s.rollouts_of, s.label): s for s in found[ProvenanceShare]}
    assert len(shares) == 2 * 7
    teacher = shares["distilled", "Teacher"]
    # Every question has two of four: each resample has the same share.
    assert (teacher.n_sentences, teacher.n_all, teacher.n_questions) == (24, 48, 12)
    assert teacher.share == teacher.ci_low_share == teacher.ci_high_share == 0.5
    assert shares["distilled", "boosted_up"].n_sentences == 12
    assert shares["student", "Student"].share == 0.5
    # None in 12 questions: the upper end solves (1 - x)^12 = 0.025.
    none = shares["student", "Teacher"]
    assert (none.share, none.ci_low_share) == (0, 0)
    assert (1 - none.ci_high_share) ** 12 == pytest.approx(0.025)
    summary = found[ProvenanceSummary][0]
    assert summary.teacher_minus_null == pytest.approx(0.5)
    assert summary.teacher_minus_control is None
    assert (summary.transfer, summary.n_sentences) == ("NOT ENOUGH", 48)
    assert "no wrong teacher was given" in summary.transfer_reasons


def test_the_interval_of_a_share_is_that_of_its_questions():
    """Half of 40 questions have only Teacher: the mean of 40 coins, sd sqrt(0.25 / 40)."""
    distilled = of_questions(20, "TTT") | {(f"r{i}", 0): ("CCC", True) for i in range(20)}
    share = next(
        s
        for s in measured(distilled, of_questions(2, "C"))[ProvenanceShare]
        if (s.rollouts_of, s.label) == ("distilled", "Teacher")
    )
    sd = math.sqrt(0.25 / 40)
    assert share.share == 0.5
    assert share.ci_low_share == pytest.approx(0.5 - 1.96 * sd, abs=0.02)
    assert share.ci_high_share == pytest.approx(0.5 + 1.96 * sd, abs=0.02)


@pytest.mark.parametrize(
    ("distilled", "student", "control", "label"),
    [
        ("TTTC", "CCC", "CCCC", "TRANSFERS"),
        ("TCCC", "TTTC", "CCCC", "DOES NOT TRANSFER"),  # the student's own text has more
        ("TTTC", "CCC", "TTTC", "DOES NOT TRANSFER"),  # any teacher earns as many
        ("TSSC", "CCC", "CCCC", "DOES NOT TRANSFER"),  # the student explains more
    ],
)
def test_decisions(distilled, student, control, label):
    found = measured(*(of_questions(15, letters) for letters in (distilled, student, control)))
    assert found[ProvenanceSummary][0].transfer == label


def test_few_questions_decide_nothing():
    found = measured(*(of_questions(9, letters) for letters in ("TTT", "CCC", "CCC")))
    summary = found[ProvenanceSummary][0]
    assert summary.transfer == "NOT ENOUGH"
    assert summary.transfer_reasons == "9 questions, 10 are needed"


def test_under_no_effect_the_decision_is_rarely_made():
    """Teacher share drawn alike in both texts: the paired interval is above 0 in about 2.5 %."""
    rng = np.random.default_rng(5)
    n_above = 0
    for _ in range(60):
        draw = [
            {(f"q{i:02d}", 0): ("".join(rng.choice(["T", "C"], 6)), True) for i in range(20)}
            for _ in range(2)
        ]
        summary = measured(*draw)[ProvenanceSummary][0]
        n_above += summary.ci_low_teacher_minus_null > 0
    assert n_above <= 6  # of 60 at 2.5 %: more with probability 0.0006


def outcomes(n, right, wrong):
    """Questions with one right and one wrong rollout each."""
    return {
        (f"q{i:02d}", s): (letters, s == 0)
        for i in range(n)
        for s, letters in enumerate((right, wrong))
    }


def test_areas_by_hand():
    # At positions 0, 1, 2 right rollouts are T T C, wrong ones C T C: 1 + 0 + 0.
    found = measured(outcomes(50, "TTC", "CTC"), of_questions(3, "C"))
    areas = {(a.label, a.kind): a for a in found[ProvenanceArea]}
    for kind in ("raw", "within"):
        teacher = areas["Teacher", kind]
        assert teacher.n_positions == 3 and teacher.n_questions == 50
        assert teacher.area == teacher.ci_low_area == teacher.ci_high_area == pytest.approx(1)
        assert areas["Shared", kind].area == pytest.approx(-1)
    assert found[ProvenanceSummary][0].correctness == "CORRELATES"
    reverse = measured(outcomes(50, "CTC", "TTC"), of_questions(3, "C"))
    assert reverse[ProvenanceSummary][0].correctness == "DOES NOT CORRELATE"


def test_what_hard_questions_bring_is_not_within():
    """Easy questions are answered with Teacher sentences and right, hard ones neither."""
    easy = {(f"e{i}", s): ("T", s < 9) for i in range(12) for s in range(10)}
    hard = {(f"h{i}", s): ("C", s < 1) for i in range(12) for s in range(10)}
    found = measured(easy | hard, of_questions(3, "C"))
    areas = {(a.label, a.kind): a for a in found[ProvenanceArea]}
    # Of 120 right answers 108 are easy, of 120 wrong ones 12: 0.9 - 0.1.
    assert areas["Teacher", "raw"].area == pytest.approx(0.8)
    assert areas["Teacher", "raw"].ci_low_area > 0
    assert areas["Teacher", "within"].area == 0
    assert found[ProvenanceSummary][0].correctness == "DOES NOT CORRELATE"


def test_positions_need_fifty_sentences_of_either_outcome():
    found = measured(outcomes(49, "TT", "CC"), of_questions(3, "C"))
    area = next(a for a in found[ProvenanceArea] if (a.label, a.kind) == ("Teacher", "within"))
    assert area.area is None and area.n_positions == 0
    assert area.reason.startswith("no sentence position has 50 sentences")
    assert found[ProvenanceSummary][0].correctness == "NOT ENOUGH"


def test_without_wrong_answers_there_is_no_area_but_all_else():
    found = measured(of_questions(60, "TC"), of_questions(60, "CC"), of_questions(60, "CC"))
    assert all(a.area is None and a.reason for a in found[ProvenanceArea])
    assert found[ProvenanceSummary][0].transfer == "TRANSFERS"


def test_counts_of_what_is_left_out():
    given = of_questions(12, "TC") | {("empty", 0): ("", False), ("open", 0): ("T", None)}
    found = measured(given, of_questions(2, "C"))
    summary = found[ProvenanceSummary][0]
    assert (summary.n_rollouts, summary.n_correct, summary.n_incorrect) == (14, 12, 1)
    assert (summary.n_unchecked, summary.n_empty, summary.n_unscored) == (1, 1, 0)
    rows = [r for r in found[ProvenanceSentence] if r.rollouts_of == "distilled"]
    assert len(rows) == 25 and sum(r.is_correct is None for r in rows) == 1
    assert rows[0].problem_id == "open" and rows[0].label4 == rows[0].label3 == "Teacher"
    assert all((r.label4 is None) == (r.reason is not None) for r in rows)


def test_no_rollout_at_all_is_not_enough():
    found = measured({}, {})
    summary = found[ProvenanceSummary][0]
    assert (summary.n_sentences, summary.transfer) == (0, "NOT ENOUGH")
    assert all(s.share is None for s in found[ProvenanceShare])
    assert summary.least_kappa is None and summary.is_stable is None


def test_thresholds_that_decide_everything_are_called_unstable():
    """p_T - p_S of 0.12 everywhere: Teacher at 0.1, Boosted at 0.15."""
    found = measured(of_questions(12, "NNCB"), of_questions(2, "C"))
    summary = found[ProvenanceSummary][0]
    assert summary.is_stable is False and summary.least_kappa < 0.6
    assert (summary.beta_source, summary.n_masked) == ("given", 0)
