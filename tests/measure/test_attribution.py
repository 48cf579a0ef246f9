"""Attribution: worked out by hand, by another route, and where there is nothing to be found."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measure import attribution, rollouts, sentence_scores, spans
from measure.attribution import DISTILLED, STUDENT, Options, Scored
from measure.problems import Problem
from measure.records import Attribution, AttributionCandidate, Rollout, SentenceScore
from measure.spans import Spans

OPTIONS = Options()
TEXT = "One two three four five six seven eight. And then some more of it."  # spans of 4, 4 and 6


def rollout(problem_id: str, text: str = TEXT, sample: int = 0) -> Rollout:
    return rollouts.record(Problem(problem_id, "", "?", None), sample, text, None, "stop")


def texts_of(n_questions: int, roles, logprobs) -> dict[str, Spans]:
    """Texts of `roles`, all alike; `logprobs(text, reader, n_spans)` says how each is read."""
    layout = spans.lay_out([rollout(f"q{i}") for i in range(n_questions)])
    readers = (STUDENT, *roles)
    count = len(layout.n_bytes)
    return {
        text: Spans(layout, {reader: logprobs(text, reader, count) for reader in readers})
        for text in roles
    }


def toy(n_questions: int, weight: float, noise: float = 0.0, seed: int = 0):
    """D moved `weight` of the way to the teacher, with noise; a stranger went its own.

    Each model's own rollouts are what it finds likelier than the base does, by 1 nat a span; of
    the other's shift it has nothing there.
    """
    rng = np.random.default_rng(seed)
    shift = {"teacher": "teacher", "teacher-2": "teacher-2", DISTILLED: "teacher"}

    def logprobs(text: str, reader: str, count: int):
        base = np.full(count, -5.0)
        if reader == STUDENT:
            return base
        moved = 1.0 if shift[text] == shift[reader] else 0.0
        if DISTILLED in (reader, text):
            moved *= weight
        return base + moved + (noise * rng.standard_normal(count) if reader == DISTILLED else 0)

    return texts_of(n_questions, (DISTILLED, "teacher", "teacher-2"), logprobs)


def attributed(texts, options=OPTIONS):
    found = attribution.attribute(texts, options)
    rows = {row.role: row for row in found if isinstance(row, AttributionCandidate)}
    (summary,) = (row for row in found if isinstance(row, Attribution))
    return rows, summary


# --- closed form --------------------------------------------------------------------------------


def test_part_of_the_way_to_the_teacher_by_hand():
    # On D's rollouts T explains 0.5 of what D does (0.5 nat a span); on T's, D has 0.5 of T's 1.
    # share = (0.5 + 0.5) / (0.5 + 1) = 2/3; of the stranger (0 + 0) / (0.5 + 1) = 0.
    rows, summary = attributed(toy(12, 0.5))
    assert rows["teacher"].share == pytest.approx(2 / 3)
    assert rows["teacher"].ci_low_share == pytest.approx(2 / 3)  # all questions are alike
    assert rows["teacher-2"].share == pytest.approx(0)
    assert rows["teacher"].learned == pytest.approx(0.5)
    assert rows["teacher-2"].learned == pytest.approx(0)
    assert [rows["teacher"].rank, rows["teacher-2"].rank] == [1, 2]
    assert rows["teacher-2"].behind_first == pytest.approx(2 / 3)
    # A text has 3 spans of 66 bytes in all: 3 x 0.5 nats.
    assert len(TEXT.encode()) == 66
    assert rows["teacher"].gain_distilled == pytest.approx(3 * 0.5 / np.log(2) / 66)
    assert summary.own_gain == pytest.approx(3 * 0.5 / np.log(2) / 66)
    assert (summary.attribution, summary.role) == ("ATTRIBUTED", "teacher")


def test_gains_are_bits_per_byte_beyond_the_base():
    # 8 bytes; the base gives 4 nats less than one model and 2 more than another.
    means = np.array([[8.0, -6.0, -2.0, -8.0]])
    assert attribution.gains(means) == pytest.approx(np.array([[4, -2]]) / 8 / np.log(2))
    assert np.isnan(attribution.gains(np.array([[0.0, 0.0, 0.0]]))).all()


def test_shares_of_three_models_by_hand():
    gained = np.array([[2.0, 1.0, -1.0], [0.5, 1.0, 0.0], [0.0, -2.0, 2.0]])
    expected = np.array(
        [
            [1, (1 + 0.5) / (2 + 1), (-1 + 0) / (2 + 2)],
            [(1 + 0.5) / (2 + 1), 1, (0 - 2) / (1 + 2)],
            [(-1 + 0) / (2 + 2), (0 - 2) / (1 + 2), 1],
        ]
    )
    assert attribution.shares(gained) == pytest.approx(expected)
    assert np.isnan(attribution.shares(np.zeros((2, 2)))).all()  # nothing to explain


# --- another route ------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_share_is_the_divergence_from_each_other_over_that_from_the_base(seed: int):
    """Texts weighed by exact probabilities: gains are differences of divergences."""
    rng = np.random.default_rng(seed)
    p = {role: rng.dirichlet(np.ones(7)) for role in "SDT"}

    def divergence(one: str, other: str) -> float:
        return float(p[one] @ (np.log2(p[one]) - np.log2(p[other])))

    gained = np.array(
        [[float(p[x] @ (np.log2(p[m]) - np.log2(p["S"]))) for m in "DT"] for x in "DT"]
    )
    apart = divergence("D", "T") + divergence("T", "D")
    from_base = divergence("D", "S") + divergence("T", "S")
    assert attribution.shares(gained)[0, 1] == pytest.approx(1 - apart / from_base)


def test_alignment_is_the_correlation_of_shifts():
    rng = np.random.default_rng(3)
    x = rng.standard_normal(50)
    y = 0.3 * x + rng.standard_normal(50)
    moments = np.array([50, x.sum(), y.sum(), x @ x, y @ y, x @ y])
    assert attribution.alignment(moments) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert np.isnan(attribution.alignment(np.array([3, 3, 6, 3, 12, 6.0])))  # y is always 2


def test_sums_by_question_are_those_of_the_spans():
    """Rows read by span, summed here without the sums of the module."""
    rng = np.random.default_rng(5)
    roles = (DISTILLED, "teacher")
    texts = texts_of(11, roles, lambda t, r, n: rng.normal(-4 + (t == r), 1, n))
    rows, _ = attributed(texts)
    total = {
        (x, m): float((texts[x].logprobs[m] - texts[x].logprobs[STUDENT]).sum())
        for x in roles
        for m in roles
    }
    explained = total[DISTILLED, "teacher"] + total["teacher", DISTILLED]
    explainable = total[DISTILLED, DISTILLED] + total["teacher", "teacher"]
    assert explainable > 0
    assert rows["teacher"].share == pytest.approx(explained / explainable)
    shifts = [texts["teacher"].logprobs[m] - texts["teacher"].logprobs[STUDENT] for m in roles]
    assert rows["teacher"].alignment == pytest.approx(np.corrcoef(*shifts)[0, 1])


# --- nulls and verdicts -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_base_with_noise_is_of_none(seed: int):
    rows, summary = attributed(toy(20, 0.0, noise=0.3, seed=seed))
    assert (summary.attribution, summary.role) == ("NONE OF THESE", None)
    assert not any(row.is_attributed for row in rows.values())


def test_a_copy_of_the_base_shares_nothing_with_a_teacher():
    def logprobs(text: str, reader: str, count: int):
        moved = 1.0 if text == "teacher" else -3.0  # the teacher finds the copy's text unlikely
        return np.full(count, -5.0 + (moved if reader == "teacher" else 0.0))

    rows, summary = attributed(texts_of(12, (DISTILLED, "teacher"), logprobs))
    assert rows["teacher"].share == pytest.approx(-3.0)  # (-3 + 0) / (0 + 1)
    assert summary.attribution == "NONE OF THESE"


def test_a_fluent_stranger_explains_the_text_and_is_not_the_teacher():
    """It explains all that D does of D's text, but D learnt nothing of its own."""

    def logprobs(text: str, reader: str, count: int):
        moved = {(DISTILLED, DISTILLED): 0.5, (DISTILLED, "teacher"): 0.5, ("teacher",) * 2: 3.0}
        return np.full(count, -5.0 + moved.get((text, reader), 0.0))

    rows, summary = attributed(texts_of(12, (DISTILLED, "teacher"), logprobs))
    assert rows["teacher"].share == pytest.approx(0.5 / 3.5)
    assert summary.attribution == "NONE OF THESE"


def test_without_anything_to_explain_there_is_no_verdict():
    rows, summary = attributed(
        texts_of(12, (DISTILLED, "teacher"), lambda text, reader, count: np.full(count, -5.0))
    )
    row = rows["teacher"]
    assert (row.share, row.rank, row.alignment) == (None, None, None)
    assert row.reason is not None and "than the base does" in row.reason
    assert summary.attribution == "NOT ENOUGH"


def row(role: str, share: float, **changed) -> AttributionCandidate:
    blank = {name: None for name in AttributionCandidate.__slots__}
    counts = {"n_questions": 40, "n_rollouts_distilled": 40, "n_rollouts_own": 40, "n_unscored": 0}
    given = {
        "role": role, "share": share, "ci_low_share": share - 0.05, "ci_high_share": share + 0.05,
        "null_share": OPTIONS.null_share, "is_attributed": False,
    }  # fmt: skip
    return AttributionCandidate(**blank | counts | given | changed)


def behind(low: float, *, is_sibling: bool):
    return {"ci_low_behind_first": low, "is_sibling": is_sibling}


NULL, MARGIN = OPTIONS.null_share, OPTIONS.margin


@pytest.mark.parametrize(
    ("ranked", "label", "roles"),
    [
        ([row("a", 0.9), row("b", 0.2, **behind(0.6, is_sibling=False))], "ATTRIBUTED", ["a"]),
        ([row("a", 0.9)], "ATTRIBUTED", ["a"]),
        (
            [
                row("a", 0.9),
                row("b", 0.88, **behind(-0.02, is_sibling=True)),
                row("c", 0.1, **behind(0.7, is_sibling=False)),
            ],
            "ATTRIBUTED TO A FAMILY",
            ["a", "b"],
        ),
        # A sibling that is well behind is told from it.
        (
            [row("a", 0.9), row("b", 0.6, **behind(MARGIN + 0.1, is_sibling=True))],
            "ATTRIBUTED",
            ["a"],
        ),
        ([row("a", 0.9), row("b", 0.88, **behind(0.0, is_sibling=False))], "NOT ENOUGH", []),
        ([row("a", NULL - 0.1), row("b", NULL - 0.2)], "NONE OF THESE", []),
        ([row("a", NULL + 0.02)], "NOT ENOUGH", []),  # its interval holds the threshold
        ([row("a", NULL - 0.02)], "NOT ENOUGH", []),
        # It has learnt what b says, and does not say so.
        (
            [row("a", 0.1), row("b", 0.0, learned=0.5, ci_low_learned=NULL + 0.1)],
            "NOT ENOUGH",
            [],
        ),
        ([], "NOT ENOUGH", []),
    ],
)
def test_verdicts(ranked, label, roles):
    found, named, reasons = attribution.verdict(ranked, 40, OPTIONS)
    assert (found, named) == (label, roles)
    assert reasons


def test_few_questions_and_unread_candidates_decide_nothing():
    assert attribution.verdict([row("a", 0.9)], 9, OPTIONS)[0] == "NOT ENOUGH"
    unread = replace(row("b", 0.0), share=None, ci_low_share=None, reason="not read")
    low = [row("a", NULL - 0.2), unread]
    label, _, reasons = attribution.verdict(low, 40, OPTIONS)
    assert label == "NOT ENOUGH" and any("not read" in reason for reason in reasons)


# --- spans and records --------------------------------------------------------------------------


def test_marks_and_repeats_do_not_count():
    text = "<think>One two. One two. Three four. </think> 7"
    layout = spans.lay_out([rollout("q", text)])
    assert layout.is_counted.tolist() == [False, True, False, True, False, True]
    assert layout.n_bytes.sum() == len(text)
    assert Spans(layout, {STUDENT: np.zeros(6)}).is_used.tolist() == layout.is_counted.tolist()


def test_scores_are_put_at_their_spans_and_unread_sentences_are_left_out():
    # "One ... eight. " has two spans, "And ... it." one.
    made = [rollout("q0"), rollout("q1")]
    layout = spans.lay_out(made)
    assert layout.n_bytes.tolist() == [19, 22, 25] * 2

    def scores(reader: float, unread: tuple[str, int] | None = None) -> list[SentenceScore]:
        found: list[SentenceScore] = []
        for one in made:
            for sentence, n_spans in ((0, 2), (1, 1)):
                is_read = (one.problem_id, sentence) != unread
                logprobs = tuple(reader - i for i in range(n_spans))
                found.append(
                    SentenceScore(
                        problem_id=one.problem_id, sample=0, sentence=sentence, char_start=0,
                        char_end=0, is_special=False, n_tokens=8, sum_logprob=None,
                        span_tokens=(4,) * n_spans, span_logprobs=logprobs if is_read else None,
                        reason=None if is_read else "too long",
                    )
                )  # fmt: skip
        return found

    given = {STUDENT: scores(-9.0), DISTILLED: scores(-5.0), "teacher": scores(-4.0, ("q1", 0))}
    read = spans.read(made, given)
    assert read.logprobs[STUDENT].tolist() == [-9, -10, -9] * 2
    assert read.is_used.tolist() == [True] * 3 + [False, False, True]
    assert (read.n_unscored, read.n_rollouts) == (1, 2)
    # Each sentence of text X: D gains 4 nats and T 5 a span, whoever wrote it.
    scored = Scored(made, given)
    rows = attribution.measure({DISTILLED: scored, "teacher": scored}, OPTIONS)
    candidate, summary = rows
    assert isinstance(candidate, AttributionCandidate) and isinstance(summary, Attribution)
    assert candidate.share == pytest.approx((5 + 4) / (4 + 5))
    assert candidate.n_unscored == 2  # once in each of the two texts
    assert summary.own_gain == pytest.approx(4 * 4 / np.log(2) / (19 + 22 + 25 + 25))
    assert summary.attribution == "NOT ENOUGH"  # 2 questions
    with pytest.raises(ValueError, match="no scores of sentence"):
        spans.read(made, given | {"teacher": scores(-4.0)[:-1]})
    with pytest.raises(ValueError, match="scored by the student"):
        attribution.measure({DISTILLED: Scored(made, {STUDENT: given[STUDENT]})}, OPTIONS)


def test_a_text_that_nobody_could_read_has_no_share():
    texts = toy(12, 1.0)
    nothing = {reader: np.full(36, np.nan) for reader in texts["teacher"].logprobs}
    texts["teacher"] = Spans(texts["teacher"].layout, nothing)
    rows, _ = attributed(texts)
    assert rows["teacher"].share is None and rows["teacher"].rank is None
    assert rows["teacher"].reason is not None and "was read by all" in rows["teacher"].reason
    assert rows["teacher-2"].rank == 1


def test_the_plan_names_what_can_change_a_number():
    roles = (STUDENT, DISTILLED, *attribution.candidate_roles(2))
    assert roles[2:] == ("teacher", "teacher-2")
    given = {role: f"org/{role}@1" for role in roles}
    inputs = {"distilled by teacher": "a"}
    plan = attribution.plan(given, inputs, ("zoo40", "0"), OPTIONS)
    assert plan.method == "attribution" and plan.units == ("all",)
    others = [
        attribution.plan(given | {"teacher": "org/x@1"}, inputs, ("zoo40", "0"), OPTIONS),
        attribution.plan(given, {"distilled by teacher": "b"}, ("zoo40", "0"), OPTIONS),
        attribution.plan(given, inputs, ("zoo40", "0"), Options(margin=0.2)),
    ]
    assert len({p.measurement_id for p in (plan, *others)}) == 4


def test_a_distilled_model_of_the_zoo_is_attributed(zoo_models):
    """End to end on models that were trained, few problems: forward taught it, gains-first not."""
    texts = zoo_models
    rows, summary = attributed(texts)
    assert (summary.attribution, summary.role) == ("ATTRIBUTED", "teacher")
    assert rows["teacher"].share > 0.8 > OPTIONS.null_share > rows["teacher-2"].share


@pytest.fixture(scope="module")
def zoo_models():
    from measure import models, problems, sources

    names = {
        STUDENT: "llama-base", DISTILLED: "llama-distilled",
        "teacher": "teacher-forward", "teacher-2": "teacher-gains-first",
    }  # fmt: skip
    loaded = {r: models.load(sources.find(f"zoo:{n}"), device="cpu") for r, n in names.items()}
    asked = problems.ProblemSet("few", problems.load("zoo40").problems[:12])
    sampling = rollouts.Sampling(n_samples=1, max_new_tokens=160)
    texts: dict[str, Spans] = {}
    for role in (DISTILLED, "teacher", "teacher-2"):
        (unit,) = rollouts.units(asked, 1)
        made = list(rollouts.measure_unit(loaded[role], asked, unit, sampling, 16, lambda _: None))
        given = sentence_scores.Texts("few", "", tuple(made))
        scores = {
            reader: list(
                sentence_scores.measure_unit(model, given, given.units[0], 16, lambda _: None)
            )
            for reader, model in loaded.items()
        }
        texts[role] = spans.read(made, scores)
    return texts
