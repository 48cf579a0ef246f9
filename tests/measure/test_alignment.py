"""Alignment: a copy gives 1, the null stays a null, intervals by brute force, refusals."""

from dataclasses import asdict

import numpy as np
import pytest

from measure.alignment import align, not_aligned
from measure.influence import Sweep
from measure.similarity import similarity
from tests.measure.sweeps import additive
from tests.measure.test_similarity import outputs, patterns


def model(n_layers, n_heads, n_prompts, seed, width=6, n_tokens=5):
    """A sweep, patterns and outputs of one model."""
    return (
        additive(n_layers, n_heads, n_prompts, seed),
        patterns(n_prompts, n_layers * n_heads, n_tokens, seed),
        outputs(n_layers, n_prompts, n_tokens, width, seed),
    )


def alike(teacher, student, mode="ours", why_other_basis=None):
    return similarity(
        (teacher[1], student[1]),
        (teacher[2], student[2]),
        has_bos=False,
        why_other_basis=why_other_basis,
        mode=mode,
    )


def rows_of(teacher, student, n_resamples=0, **asked):
    aligned = align(teacher[0], student[0], alike(teacher, student, **asked), n_resamples)
    return {(row.normalisation, row.matching): row for row in aligned.rows}


def test_a_copy_aligned_with_itself_gives_1():
    one = model(3, 4, 30, seed=0)
    aligned = align(one[0], one[0], alike(one, one), 50)
    assert len(aligned.rows) == 9
    for row in aligned.rows:
        if row.matching == "soft":  # four of the five are other components
            assert row.alignment < 1
            continue
        assert row.alignment == pytest.approx(1, abs=1e-6)
        assert (row.ci_low_alignment, row.ci_high_alignment) == pytest.approx((1, 1), abs=1e-6)
        assert row.mean_similarity == pytest.approx(1, abs=1e-6)
        assert row.mean_abs_delta_influence == 0
        assert row.n_pairs == 15
    pairs = [m for m in aligned.matches if m.matching == "hungarian"]
    assert [m.component_teacher for m in pairs] == [m.component_student for m in pairs]
    assert [m.resample_share for m in pairs] == pytest.approx([1] * 15)


def test_a_copy_gains_on_its_null_and_one_of_shuffled_influences_does_not():
    one = model(4, 4, 30, seed=1)
    row = rows_of(one, one)["max", "hungarian"]
    assert row.gain > 0.1
    assert row.null_p == pytest.approx(1 / 1001)
    assert row.null_alignment < row.null_high < row.alignment


def test_the_null_stays_a_null():
    """Forty students whose influences are random: gains are about 0, p-values about even."""
    teacher = model(3, 4, 20, seed=2)
    rows = []
    for seed in range(40):
        other = model(3, 4, 20, seed=100 + seed)
        rows.append(rows_of(teacher, (other[0], *teacher[1:]))["max", "hungarian"])
    gains = np.array([row.gain for row in rows])
    assert abs(gains.mean()) < 3 * gains.std() / np.sqrt(40)
    p_values = np.array([row.null_p for row in rows])
    # Of 40 even ones 2 are expected below 0.05; 7 or more have probability 0.3 %.
    assert (p_values < 0.05).sum() <= 6
    assert abs(p_values.mean() - 0.5) < 3 * (1 / 12) ** 0.5 / np.sqrt(40)


def test_the_nulls_mean_is_that_of_its_shuffles():
    """The closed form lies in the middle of what 1,000 shuffles give."""
    row = rows_of(model(4, 4, 20, seed=3), model(2, 4, 20, seed=4))["max", "greedy"]
    assert row.null_low < row.null_alignment < row.null_high
    middle = (row.null_low + row.null_high) / 2
    assert abs(row.null_alignment - middle) < 0.2 * (row.null_high - row.null_low)


def test_eq_8_from_the_matches_it_lists():
    """A is the weighted mean of S (1 - |dI|) over the rows of its matching."""
    teacher, student = model(3, 3, 20, seed=5), model(2, 3, 20, seed=6)
    aligned = align(teacher[0], student[0], alike(teacher, student), 0)
    for row in aligned.rows:
        if row.normalisation != "max":
            continue
        of = [m for m in aligned.matches if m.matching == row.matching]
        total = sum(m.weight for m in of)
        expected = sum(m.weight * m.similarity * (1 - m.abs_delta_influence) for m in of) / total
        assert row.alignment == pytest.approx(expected)
        assert row.n_pairs == round(total)
    n_pairs = {row.matching: row.n_pairs for row in aligned.rows}
    assert n_pairs == {"greedy": 12, "hungarian": 8, "soft": 12}
    assert {m.kind for m in aligned.matches} == {"head", "mlp"}
    assert all(("mlp" in m.component_teacher) == (m.kind == "mlp") for m in aligned.matches)


@pytest.mark.parametrize("why", [None, "trained apart"])
@pytest.mark.parametrize("mode", ["ours", "paper_code"])
def test_draws_are_what_the_drawn_prompts_give_when_measured(mode, why):
    """Each draw against a measurement of the prompts drawn, in every variant."""
    n = 12
    teacher, student = model(3, 3, n, seed=7), model(2, 3, n, seed=8)
    found = align(
        teacher[0], student[0], alike(teacher, student, mode=mode, why_other_basis=why), 4
    )
    counts = np.random.default_rng(42).multinomial(n, np.full(n, 1 / n), size=4)
    for i, count in enumerate(counts):
        drawn = np.repeat(np.arange(n), count)
        pair = [
            (
                Sweep(s.components, s.is_head, s.ld_clean[drawn], s.ld_ablated[:, drawn]),
                p[drawn],
                # The public code's way keeps the outputs of MLPs as they are.
                o[:, drawn] if mode == "ours" else o,
            )
            for s, p, o in (teacher, student)
        ]
        again = align(pair[0][0], pair[1][0], alike(*pair, mode=mode, why_other_basis=why), 0)
        for row in again.rows:
            draw = found.draws[row.normalisation, row.matching][i]
            assert draw == pytest.approx(row.alignment, abs=1e-5)


def test_mlps_show_their_best_order_beside_eq_6():
    teacher, student = model(3, 2, 20, seed=25), model(2, 2, 20, seed=26)
    similar = alike(teacher, student)
    aligned = align(teacher[0], student[0], similar, 0)
    of_mlps = [m for m in aligned.matches if (m.kind, m.matching) == ("mlp", "soft")]
    assert len(of_mlps) == 6  # each of three with both of two
    for m in of_mlps:
        at = int(m.component_teacher[1:3]), int(m.component_student[1:3])  # the layers
        assert m.similarity == similar.mlps[at]
        assert m.similarity_reordered == similar.mlps_reordered[at] >= m.similarity
    assert {m.similarity_reordered for m in aligned.matches if m.kind == "head"} == {None}


def test_intervals_hold_the_number_and_narrow_with_prompts():
    widths = []
    for n in (20, 320):
        row = rows_of(model(3, 3, n, seed=9), model(2, 3, n, seed=10), 200)["l2", "hungarian"]
        assert row.ci_low_alignment < row.alignment < row.ci_high_alignment
        assert row.ci_low_gain < row.gain < row.ci_high_gain
        widths.append(row.ci_high_alignment - row.ci_low_alignment)
    assert widths[1] < widths[0] / 2  # 4 by the root of 16


def test_the_share_of_draws_that_match_two_is_counted():
    """Under hungarian each component of the smaller model is matched once in every draw."""
    teacher, student = model(3, 3, 15, seed=11), model(2, 3, 15, seed=12)
    aligned = align(teacher[0], student[0], alike(teacher, student), 40)
    for m in aligned.matches:
        assert 0 < m.resample_share <= 1 + 1e-9 or m.resample_share == 0
    greedy = [m.resample_share for m in aligned.matches if m.matching == "greedy"]
    assert len(greedy) == 12
    assert np.mean(greedy) > 0.3


def test_without_resamples_there_is_no_interval():
    row = rows_of(model(2, 3, 15, seed=13), model(2, 3, 15, seed=14))["max", "greedy"]
    assert row.alignment is not None
    assert row.ci_low_alignment is row.ci_high_gain is None


def test_the_public_codes_mode_is_one_row_and_follows_its_list():
    teacher, student = model(3, 3, 20, seed=15), model(2, 3, 20, seed=16)
    aligned = align(teacher[0], student[0], alike(teacher, student, mode="paper_code"), 20)
    (row,) = aligned.rows
    assert (row.mode, row.normalisation, row.matching) == ("paper_code", "l1", "greedy")
    of = aligned.matches
    assert len(of) == 8  # one for each of the student's
    assert row.n_pairs == sum(m.weight for m in of)
    assert sum(m.weight * m.influence_student for m in of) == pytest.approx(1)
    assert sum(m.weight * m.influence_teacher for m in of) == pytest.approx(1)
    expected = sum(m.weight * m.similarity * (1 - m.abs_delta_influence) for m in of)
    assert row.alignment == pytest.approx(expected / row.n_pairs)
    assert row.ci_low_gain is None
    assert row.gain == pytest.approx(row.alignment - row.null_alignment)


def test_the_public_codes_mode_counts_what_helps_by_being_gone_as_what_costs():
    """A head whose ablation adds 2 logits weighs as one that takes 2; ours gives it 0."""
    teacher, student = model(2, 2, 20, seed=23), model(2, 2, 20, seed=24)
    effects = np.array([2.0, -2.0, 1.0, 1.0, 1.0, 1.0])  # heads 0.0 and 0.1 first
    sweep = student[0]
    given = Sweep(
        sweep.components, sweep.is_head, sweep.ld_clean, sweep.ld_clean - effects[:, None]
    )
    of = {
        mode: {
            m.component_student: m.influence_student
            for m in align(teacher[0], given, alike(teacher, student, mode=mode), 0).matches
            if m.matching == matching
        }
        for mode, matching in (("paper_code", "greedy"), ("ours", "hungarian"))
    }
    assert of["paper_code"]["L00.H00"] == pytest.approx(of["paper_code"]["L00.H01"])
    assert of["paper_code"]["L00.H00"] == pytest.approx(2 * of["paper_code"]["L01.H00"])
    assert of["ours"]["L00.H01"] == 0


# --- refusals -----------------------------------------------------------------------------------


def test_a_model_that_cannot_do_the_task_is_refused_with_the_reason():
    teacher, student = model(2, 3, 20, seed=17), model(2, 3, 20, seed=18)
    unable = additive(2, 3, 20, seed=18, clean=0.0)
    aligned = align(teacher[0], unable, alike(teacher, student), 10)
    assert len(aligned.rows) == 9
    assert aligned.matches == ()
    for row in aligned.rows:
        assert row.reason.startswith("student: mean logit difference")
        assert row.alignment is row.null_alignment is row.gain is row.n_pairs is None
        assert (row.n_prompts, row.n_components_teacher) == (20, 8)


def test_a_refusal_from_outside_leaves_every_number_out():
    one = additive(2, 3, 20, seed=0)
    for mode, n_rows in (("ours", 9), ("paper_code", 1)):
        rows = not_aligned(one, one, mode, "the tokenizers differ").rows
        assert len(rows) == n_rows
        kept = ("mode", "normalisation", "matching", "n_prompts", "reason")
        for row in rows:
            numbers = {k: v for k, v in asdict(row).items() if k not in kept}
            del numbers["n_components_teacher"], numbers["n_components_student"]
            assert set(numbers.values()) == {None}
            assert row.reason == "the tokenizers differ"


def test_a_model_without_influences_has_no_alignment_and_says_so():
    teacher, student = model(2, 3, 20, seed=19), model(2, 3, 20, seed=20)
    sweep = student[0]
    idle = Sweep(sweep.components, sweep.is_head, sweep.ld_clean, np.tile(sweep.ld_clean, (8, 1)))
    for row in align(teacher[0], idle, alike(teacher, student), 20).rows:
        assert row.alignment is row.gain is row.null_p is row.ci_low_alignment is None
        assert row.mean_similarity is not None
        assert row.reason == "no ablation lowers the logit difference of a model"


def test_sweeps_of_other_prompts_are_refused():
    teacher, student = model(2, 3, 20, seed=21), model(2, 3, 20, seed=22)
    shorter = additive(2, 3, 19, seed=22)
    with pytest.raises(ValueError, match=r"\[19, 20\] prompts"):
        align(teacher[0], shorter, alike(teacher, student))
