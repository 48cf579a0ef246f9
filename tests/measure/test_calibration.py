from dataclasses import replace

import numpy as np
import pytest

from measure import calibration
from measure.calibration import Calibration, Derivative, ask, evaluate, holm, judge


def made(name, recipe, *displacement):
    return Derivative(
        name=name, recipe=recipe, displacement=np.array(displacement, dtype=np.float64)
    )


def family(distilled, null, floor=1.0, name="llama"):
    return Calibration(
        family=name, layer="structural", floor=floor, distilled=tuple(distilled), null=tuple(null)
    )


def along(*values, recipe="tuned"):
    """Null derivatives displaced by these amounts along the first axis."""
    return [made(f"null-{i}", recipe, value, 0) for i, value in enumerate(values)]


THREE = [made("d1", "a", 4, 0), made("d2", "b", 5, 0), made("d3", "c", 6, 0)]
NEW = made("new", None, 10, 0)


# The score.


def test_the_score_is_the_projection_in_floors_beside_the_plain_norm():
    """Mean of (2, 0), (0, 2) is (1, 1), the axis (1, 1) / sqrt 2; (3, 4) lies 7 / sqrt 2 along."""
    pairs = [made("d1", "a", 2, 0), made("d2", "b", 0, 2)]
    null = [made("n1", "tuned", 1, 1), made("n2", "tuned", 1, -1), made("n3", "tuned", -3, 0)]
    found = ask(family(pairs, null, floor=0.5), made("x", None, 3, 4))
    assert found.score == pytest.approx(7 / np.sqrt(2) / 0.5)
    assert found.norm == pytest.approx(5 / 0.5)
    assert found.null_scores == pytest.approx(np.array([2, 0, -3]) / np.sqrt(2) / 0.5)


def test_siblings_and_itself_are_left_out_of_the_axis():
    """With its sibling d1b in, the axis of d1 would be (10, 0) + (0, 2); without, it is (0, 1)."""
    pairs = [made("d1a", "a", 9, 1), made("d1b", "a", 20, 0), made("d2", "b", 0, 4)]
    found = ask(family(pairs, along(1.0)), pairs[0])
    assert found.score == pytest.approx(1)
    assert [one.name for one in found.rest.distilled] == ["d2"]


def test_a_new_derivative_is_scored_by_all_pairs_and_a_known_recipe_leaves_its_own_out():
    pairs = [made("d1", "a", 2, 0), made("d2", "b", 0, 2)]
    fam = family(pairs, along(1.0))
    assert ask(fam, made("x", None, 0, 5)).score == pytest.approx(5 / np.sqrt(2))
    assert ask(fam, made("x", "a", 0, 5)).score == pytest.approx(5)  # axis (0, 1) of d2


def test_the_null_is_scored_on_the_axis_of_the_question():
    """d1 bends the full axis to (0, 1), where the null shows nothing; along d2 it is ahead."""
    pairs = [made("d1", "a", 1, 100), made("d2", "b", 4, 0)]
    found = ask(family(pairs, along(*[2.0] * 19)), pairs[0])
    assert found.score == pytest.approx(1)
    assert found.null_scores == pytest.approx(np.full(19, 2.0))
    assert found.p == 1


def test_a_null_derivative_is_scored_by_all_pairs_and_not_against_itself():
    fam = family(THREE, along(3.0, 1.0, 2.0))
    found = ask(fam, fam.null[0])
    assert len(found.rest.distilled) == 3
    assert sorted(found.null_scores) == pytest.approx([1, 2])
    assert found.p == pytest.approx(1 / 3)


def test_equal_displacements_tie_whatever_their_place():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(8, 256))
    pairs = [
        Derivative(name=f"d{i}", recipe=str(i), displacement=v) for i, v in enumerate(vectors[:3])
    ]
    null = [Derivative(name=f"n{i}", recipe="q", displacement=v) for i, v in enumerate(vectors[3:])]
    found = ask(family(pairs, null), replace(null[4], name="copy"))
    assert found.score == found.null_scores[4]


# Conformal p.


def test_p_counts_ties_and_never_falls_below_its_minimum():
    fam = family(THREE, along(1.0, 2.0, 3.0, 4.0))
    p_of = {value: ask(fam, made("x", None, value, 0)).p for value in (5, 4, 2.5, 0)}
    assert p_of == {5: 1 / 5, 4: 2 / 5, 2.5: 3 / 5, 0: 5 / 5}
    assert calibration.least_p(4) == 1 / 5
    assert calibration.least_p(6) == pytest.approx(0.1429, abs=1e-4)  # six can never pass 0.05
    assert calibration.least_p(40) == pytest.approx(0.024, abs=5e-4)


def test_the_other_tail_is_counted_the_other_way():
    fam = family(THREE, along(1.0, 2.0, 3.0, 4.0))
    assert ask(fam, made("x", None, 0, 0)).p_other_tail == 1 / 5
    assert ask(fam, made("x", None, 2, 0)).p_other_tail == 3 / 5


def test_p_within_the_recipe_class():
    null = along(*[0.0] * 30) + [made(f"p{i}", "pruned", 20 + i, 0) for i in range(4)]
    (found,) = judge([(family(THREE, null), made("x", "pruned", 21.5, 0))])
    assert found.answer.p == pytest.approx((1 + 2) / (1 + 34))  # 22 and 23 are ahead
    assert found.answer.p_in_class == pytest.approx((1 + 2) / (1 + 4))
    assert found.reasons[-1] == "within its recipe class p 0.6, at least 0.2 with 4 non-distilled"
    assert "within all p 0.0857, at least 0.0286 with 34 non-distilled" in found.reasons
    (unknown,) = judge([(family(THREE, null), NEW)])
    assert unknown.answer.p_in_class is None
    assert "no non-distilled derivative of its recipe class" in unknown.reasons


def test_isotropic_noise_gives_a_uniform_p():
    """19 null and one more like them, three random pairs: P(p <= 0.05) is 1 / 20 exactly.

    2,000 families: the standard error of the rate is 0.005 at 0.05, of the mean of p 0.0064.
    """
    rng = np.random.default_rng(0)
    ps = {"new": [], "known": []}
    for _ in range(2000):
        draws = rng.normal(size=(23, 6))
        pairs = [made(f"d{i}", str(i), *draws[i]) for i in range(3)]
        null = [made(f"n{i}", "q", *draws[3 + i]) for i in range(19)]
        fam = family(pairs, null)
        ps["new"].append(ask(fam, made("x", None, *draws[22])).p)
        ps["known"].append(ask(fam, pairs[0]).p)
    for found in ps.values():
        assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.015)
        assert np.mean(np.array(found) <= 0.25) == pytest.approx(0.25, abs=0.03)
        assert np.mean(found) == pytest.approx(21 / 40, abs=0.02)  # mean of 1/20 .. 20/20


# Holm.


def test_holm_by_hand():
    # sorted .01 .02 .03 .5, times 4 3 2 1: .04 .06 .06 .5
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    # .04 times 3, .045 times 2 rises to it, .05 times 1 too
    assert holm([0.05, 0.04, 0.045]) == pytest.approx([0.12, 0.12, 0.12])
    assert holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert holm([0.9, 0.9]) == [1, 1]
    assert holm([]) == []


def test_what_is_asked_at_once_is_corrected_at_once():
    fam = family(THREE, along(*range(39)))
    other = replace(fam, layer="functional")
    far = made("far", None, 100, 0)  # p = 1 / 40 in both layers, Holm 2 / 40
    alone = judge([(fam, far)])
    both = judge([(fam, far), (other, far)])
    assert [v.p_holm for v in alone] == pytest.approx([0.025])
    assert [v.p_holm for v in both] == pytest.approx([0.05, 0.05])
    assert [v.label for v in both] == ["DISTILLED-LIKE"] * 2
    assert [v.answer.rest.layer for v in both] == ["structural", "functional"]
    three = judge([(fam, replace(far, name=str(i))) for i in range(3)])
    assert [v.p_holm for v in three] == pytest.approx([0.075] * 3)
    assert {v.label for v in three} == {"UNCALIBRATED"}


def test_a_later_step_of_holm_can_be_reached():
    """n = 999 and n = 19: where 1/1000 is found, 1/20 is asked of the last step alone."""
    many, few = family(THREE, along(*range(999))), family(THREE, along(*range(19)), name="qwen")
    far = made("far", None, 5000, 0)
    assert [v.label for v in judge([(many, far), (few, far)])] == ["DISTILLED-LIKE"] * 2
    near = made("near", None, 0.5, 0)
    first, last = judge([(many, near), (few, far)])
    assert last.label == "UNCALIBRATED"  # nothing was found before it: it needs 0.025
    assert "20 missing" in last.reasons[0]  # 39 - 19
    assert first.label != "UNCALIBRATED"
    after = judge([(many, far), (few, made("between", None, 5.5, 0))])[1]
    assert after.label != "UNCALIBRATED"  # something was: it needs 0.05, and 19 null can give it


# The verdict.


def test_distilled_like():
    (found,) = judge([(family(THREE, along(*range(10))), NEW)], alpha=0.1)
    assert (found.label, found.answer.p) == ("DISTILLED-LIKE", 1 / 11)


@pytest.mark.parametrize("n_pairs", [0, 1, 2])
def test_fewer_than_three_pairs_are_uncalibrated(n_pairs):
    (found,) = judge([(family(THREE[:n_pairs], along(*range(30))), NEW)])
    assert found.label == "UNCALIBRATED"
    assert found.reasons[0] == (
        f"{n_pairs} distilled pairs of other recipes, 3 needed: {3 - n_pairs} missing"
    )
    assert found.p_holm is None
    assert (found.answer.p is None) == (n_pairs == 0)


def test_siblings_do_not_count_toward_the_three():
    pairs = [*THREE[:2], made("d1b", "a", 4, 0), made("d1c", "a", 4, 0)]
    (new,) = judge([(family(pairs, along(*range(30))), made("far", None, 100, 0))])
    assert (new.label, len(new.answer.rest.distilled)) == ("DISTILLED-LIKE", 4)
    (known,) = judge([(family(pairs, along(*range(30))), pairs[0])])
    assert (known.label, len(known.answer.rest.distilled)) == ("UNCALIBRATED", 1)


def test_uncalibrated_pairs_take_no_part_in_holm():
    enough, lacking = family(THREE, along(*range(19))), family(THREE[:2], along(*range(19)))
    first, second = judge([(enough, made("x", None, 50, 0)), (lacking, NEW)])
    assert first.p_holm == pytest.approx(0.05)
    assert second.p_holm is None


def test_everything_that_is_missing_is_counted():
    (found,) = judge([(family(THREE[:2], along(*range(6))), NEW)])
    assert [reason.split(": ")[-1] for reason in found.reasons[:2]] == ["1 missing", "13 missing"]


@pytest.mark.parametrize(("n_null", "missing"), [(0, 19), (6, 13), (18, 1)])
def test_too_few_null_are_uncalibrated_and_counted(n_null, missing):
    (found,) = judge([(family(THREE, along(*range(n_null))), made("x", None, -1, 0))])
    assert found.label == "UNCALIBRATED"
    assert found.reasons[0] == (
        f"{n_null} non-distilled, 19 needed to reach p 0.05: {missing} missing"
    )
    assert f"within all p 1, at least {1 / (n_null + 1):.3g} with {n_null} non-distilled" in (
        found.reasons
    )


def test_nineteen_null_are_just_enough_and_sixty_for_three_questions():
    (found,) = judge([(family(THREE, along(*range(19))), made("x", None, 50, 0))])
    assert found.label == "DISTILLED-LIKE"
    asked = [made(str(i), None, 500, 0) for i in range(3)]
    enough = family(THREE, along(*range(59)))
    assert {v.label for v in judge([(enough, one) for one in asked])} == {"DISTILLED-LIKE"}


def test_cancelling_pairs_give_no_direction():
    pairs = [made("d1", "a", 1, 0), made("d2", "b", -1, 0), made("d3", "c", 0, 0)]
    (found,) = judge([(family(pairs, along(*range(30))), NEW)])
    assert (found.label, found.answer.score, found.answer.p) == ("UNCALIBRATED", None, None)
    assert "no direction" in found.reasons[0]


def test_within_the_null_with_power_is_not_distilled_like():
    """All three known pairs lie beyond 19 null of 0 .. 1.8: power 3 of 3."""
    null = along(*(0.1 * i for i in range(19)))
    (found,) = judge([(family(THREE, null), made("x", None, 0.95, 0))])
    assert (found.label, found.power, found.n_power) == ("NOT DISTILLED-LIKE", 1, 3)
    assert found.answer.p == pytest.approx(10 / 20)  # 1.0 .. 1.8 are nine


@pytest.mark.parametrize(("n_found", "label"), [(3, "INCONCLUSIVE"), (4, "NOT DISTILLED-LIKE")])
def test_power_decides_between_not_distilled_like_and_inconclusive(n_found, label):
    """Of five pairs 3 or 4 lie beyond the null of 0 .. 1.8, the rest within: 0.6 and 0.8."""
    amounts = [5.0] * n_found + [0.5] * (5 - n_found)
    pairs = [made(f"d{i}", str(i), amount, 0) for i, amount in enumerate(amounts)]
    null = along(*(0.1 * i for i in range(19)))
    (found,) = judge([(family(pairs, null), made("x", None, 0.95, 0))])
    assert found.power == pytest.approx(n_found / 5)
    assert found.label == label


def test_power_is_estimated_without_the_recipe_that_is_tried():
    """d1 and its sibling point up, the others right: only if the sibling helps is d1 found."""
    pairs = [
        made("d1", "up", 0, 9), made("d1b", "up", 0, 9), made("d1c", "up", 0, 9),
        made("d2", "b", 5, 0), made("d3", "c", 5, 0),
    ]  # fmt: skip
    null = [made(f"n{i}", "q", 0.1 * i, 0.1) for i in range(19)]
    # d1's are 0 along d2 and d3, behind all null; d2 and d3 are found on (5, 27) / 4: 5 of 27.5
    # along is 0.91, and the null reaches (1.8 * 5 + 0.1 * 27) / 27.5 = 0.43.
    share, n = calibration.power(family(pairs, null), 0.05)
    assert (share, n) == (2 / 5, 5)


def test_a_single_recipe_has_no_known_power():
    pairs = [made(f"d{i}", "a", 5, 0) for i in range(3)]
    (found,) = judge([(family(pairs, along(*range(19))), made("x", None, 3, 0))])
    assert (found.label, found.power, found.n_power) == ("INCONCLUSIVE", None, 0)
    assert "power unknown, 80% needed" in found.reasons


def test_power_is_that_of_the_level_asked():
    """The pairs lie beyond 19 of 20 null: p = 2 / 21 is found at 0.1 and not at 0.05."""
    null = along(*(0.1 * i for i in range(19)), 100.0)
    (found,) = judge([(family(THREE, null), made("x", None, 0.95, 0))], alpha=0.1)
    assert (found.power, found.label) == (1, "NOT DISTILLED-LIKE")
    (strict,) = judge([(family(THREE, null), made("x", None, 0.95, 0))], alpha=0.05)
    assert (strict.power, strict.label) == (0, "INCONCLUSIVE")
    # beyond 38 of 39, p = 2 / 40: found where one is asked, not where two are, at 0.025
    fam, new = family(THREE, along(*(0.04 * i for i in range(38)), 100.0)), made("x", None, 0.7, 0)
    assert [v.power for v in judge([(fam, new)])] == [1]
    assert [v.power for v in judge([(fam, new), (fam, replace(new, name="y"))])] == [0, 0]


def test_beyond_the_null_on_the_other_side_is_not_within_it():
    (found,) = judge(
        [(family(THREE, along(*(0.1 * i for i in range(19)))), made("x", None, -9, 0))]
    )
    assert found.answer.p_other_tail == pytest.approx(1 / 20)
    assert found.label == "INCONCLUSIVE"
    assert "against the direction" in found.reasons[0]


def test_a_displacement_below_its_floor_says_so():
    fam = family(THREE, along(*range(19)), floor=4.0)
    (below,) = judge([(fam, made("x", None, 2, 0))])
    assert below.reasons[-1] == "displaced by 0.5 floors: below its floor"
    (above,) = judge([(fam, made("x", None, 40, 0))])
    assert not any("below its floor" in reason for reason in above.reasons)


def test_nothing_asked_nothing_answered():
    assert judge([]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"floor": 0.0}, "floor is 0.0"),
        ({"null": (made("d1", "q", 1, 0),)}, "given twice: d1"),
        ({"null": (made("n", None, 1, 0),)}, "'n' has no recipe"),
        ({"null": (made("n", "q", 1, 0, 0),)}, r"shape \(3,\), \(2,\)"),
        ({"null": (made("n", "q", 1, np.nan),)}, "finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(family(THREE, along(1.0)), **change)


def test_an_asked_displacement_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="'x' has a displacement"):
        ask(family(THREE, along(1.0)), made("x", None, 1, 0, 0))


# Evaluation.


def rows_of(calibrations):
    return {(row.scope, row.rule): row for row in evaluate(calibrations)}


def test_auc_with_ties_by_hand():
    """All on one axis: 3 against 1, 2, 3 wins 1 + 1 + 1/2; 2 wins 1 + 1/2; 5 wins 3: 7 of 9."""
    pairs = [made("d1", "a", 3, 0), made("d2", "b", 2, 0), made("d3", "c", 5, 0)]
    found = rows_of([family(pairs, along(1.0, 2.0, 3.0))])["llama", "family null"]
    assert found.auc.value == pytest.approx(7 / 9)
    assert (found.n_distilled, found.n_recipes, found.n_null) == (3, 3, 3)
    assert found.tpr_at_5.value is None
    said = "19 null are needed for a p of 0.05, 3 are there: no p is below 0.25"
    assert found.tpr_at_5.reason == said
    # 3 ties with a null and 2 lies below one: 5 alone is beyond all three, at 1 / (1 + 3).
    assert found.p_least == 1 / 4
    assert found.tpr_at_least.value == pytest.approx(1 / 3)


def test_tpr_counts_the_pairs_with_p_at_most_5_percent():
    """39 null of 0 .. 38: p <= 0.05 allows one at or above, so a pair needs more than 37."""
    pairs = [made(f"d{i}", str(i), v, 0) for i, v in enumerate([37, 37.5, 50, 10])]
    found = rows_of([family(pairs, along(*range(39)))])
    assert found["llama", "family null"].tpr_at_5.value == pytest.approx(2 / 4)
    # each null against the other 38: only the largest has p = 1 / 39
    assert found["llama", "family null"].fpr_at_5 == pytest.approx(1 / 39)
    # 50 alone is beyond 38
    assert found["llama", "family null"].p_least == 1 / 40
    assert found["llama", "family null"].tpr_at_least.value == 1 / 4


def test_the_uniform_norm_misses_a_quiet_family_and_the_family_null_does_not():
    """Loud: null 50 .. 69 across, pairs 20 along. Quiet: null 1 across, pairs 3 along."""
    across = [made(f"n{i}", "q", 0.01 * i, 50 + i) for i in range(20)]
    loud = family([made(f"d{i}", str(i), 20, 0) for i in range(3)], across)
    little = [made(f"n{i}", "q", 0.01 * i, 1) for i in range(20)]
    quiet = family([made(f"d{i}", str(i), 3, 0) for i in range(3)], little, name="qwen")
    found = rows_of([loud, quiet])
    assert found["pooled", "family null"].tpr_at_5.value == 1
    assert found["pooled", "pooled null"].tpr_at_5.value == 1
    assert found["pooled", "uniform norm"].tpr_at_5.value == 0
    # each of 40 null against 39: p is 1/40 and 2/40 for the two loudest, both of the loud family
    assert found["llama", "uniform norm"].fpr_at_5 == pytest.approx(2 / 20)
    assert found["qwen", "uniform norm"].fpr_at_5 == 0
    # of 40 null the quiet pairs' norm of 3 beats the 20 quiet ones
    assert found["qwen", "uniform norm"].auc.value == pytest.approx(20 / 40)
    assert found["qwen", "uniform norm"].n_null == 40
    assert found["qwen", "family null"].n_null == 20


def test_the_pooled_null_holds_the_other_families_on_their_own_axis():
    """llama points right, qwen up; qwen's null is 9 up, ahead of llama's pairs of 4, 5, 6."""
    llama = family(THREE, along(*[0.0] * 3))
    up = [made(f"d{i}", str(i), 0, 20) for i in range(3)]
    qwen = family(up, [made("n", "q", 0, 9)], name="qwen")
    found = rows_of([llama, qwen])
    assert found["llama", "family null"].auc.value == 1
    assert found["llama", "pooled null"].auc.value == pytest.approx(3 / 4)


def test_one_percent_is_asked_of_at_least_200_pooled_null_only():
    pairs = [made(f"d{i}", str(i), 500, 0) for i in range(3)]
    halves = [family(pairs, along(*range(n)), name=str(n)) for n in (100, 99)]
    short = rows_of(halves)["pooled", "pooled null"].tpr_at_1
    assert short.value is None
    assert short.reason == "200 null are needed, so that 2 of them make the 1 %; 199 are there"
    found = rows_of([halves[0], family(pairs, along(*range(101)), name="b")])
    assert found["pooled", "pooled null"].tpr_at_1.value == 1
    alone = found["b", "family null"].tpr_at_1
    assert alone.value is None and "over all families; 101 are there" in alone.reason
    assert found["pooled", "family null"].tpr_at_1.value == 1  # 99 of its own suffice


def test_one_percent_of_a_family_says_the_smallest_p_it_can_have():
    """40 null: p is 1/41 at least, 0.0244 in three digits, and all three pairs have it."""
    pairs = [made(f"d{i}", str(i), 500, 0) for i in range(3)]
    found = rows_of([family(pairs, along(*range(40)))])["llama", "family null"]
    assert found.tpr_at_1.value is None
    assert found.tpr_at_1.reason == (
        "99 null are needed for a p of 0.01, 40 are there: no p is below 0.0244"
    )
    assert found.p_least == 1 / 41
    least = found.tpr_at_least
    assert (least.value, least.ci_low, least.ci_high) == (1, 1, 1)
    nothing = rows_of([family(THREE, [], name="bare")])["bare", "family null"]
    assert nothing.p_least is None and nothing.tpr_at_least.reason == "nothing can be scored"


def test_what_their_user_declared_is_counted_apart():
    """Of three pairs one is declared, of four null two; only what is compared is counted."""
    pairs = [replace(one, is_declared=one.name == "d1") for one in THREE]
    null = [replace(one, is_declared=i < 2) for i, one in enumerate(along(0.0, 0.1, 0.2, 0.3))]
    bare = family([replace(made("own", "a", 5, 0), is_declared=True)], [], name="qwen")
    found = rows_of([family(pairs, null), bare])
    for scope in ("llama", "pooled"):
        row = found[scope, "family null"]
        assert (row.n_distilled, row.n_distilled_declared) == (3, 1)
        assert (row.n_null, row.n_null_declared) == (4, 2)
    assert found["qwen", "family null"].n_distilled_declared == 0


def test_a_planted_direction_is_found_that_the_norm_does_not_show():
    """Pairs 4 along one of 20 dimensions in unit noise: their norm hides in a null of sd 1.4."""
    rng = np.random.default_rng(1)
    axis = np.eye(20)[3]
    pairs = [
        Derivative(name=f"d{i}", recipe=str(i // 2), displacement=4 * axis + rng.normal(size=20))
        for i in range(12)
    ]
    null = [
        Derivative(name=f"n{i}", recipe=str(i // 6), displacement=1.4 * rng.normal(size=20))
        for i in range(60)
    ]
    found = rows_of([family(pairs, null)])
    directional, norm = found["llama", "family null"], found["llama", "uniform norm"]
    # along the axis N(4, 1) against N(0, 1.4): AUC = Phi(4 / sqrt(1 + 1.96)) = 0.99
    assert directional.auc.value > 0.93
    assert directional.tpr_at_5.value > 0.7
    assert norm.auc.value < 0.7
    assert directional.auc.ci_low <= directional.auc.value <= directional.auc.ci_high
    assert directional.auc.ci_low > norm.auc.ci_high
    new = Derivative(name="x", recipe=None, displacement=6 * axis + rng.normal(size=20))
    assert judge([(family(pairs, null), new)])[0].label == "DISTILLED-LIKE"


def test_without_a_difference_auc_is_a_half():
    rng = np.random.default_rng(2)
    values = []
    for _ in range(200):
        draws = rng.normal(size=(26, 5))
        pairs = [made(f"d{i}", str(i), *draws[i]) for i in range(6)]
        null = [made(f"n{i}", "q", *draws[6 + i]) for i in range(20)]
        below = [
            np.mean(found.score > found.null_scores)
            for found in (ask(family(pairs, null), one) for one in pairs)
        ]
        values.append(np.mean(below))
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


def test_intervals_resample_recipes_not_pairs():
    """Recipe a of 9 pairs is not found, b of 1 is: a resample has a alone, b alone or both.

    AUC 0, 1 or 1/10 with chances 1/4, 1/4, 1/2, so the interval is 0 to 1. Over pairs b alone
    would have a chance of 10^-10.
    """
    mixed = [made(f"d{i}", "a", 0.1, 5) for i in range(9)] + [made("d9", "b", 5, 0.1)]
    null = [made(f"n{i}", "q", 0.5, 0.01) for i in range(20)]
    found = rows_of([family(mixed, null)])["llama", "family null"]
    # a on b's axis: 0.1 + 0.002 against 0.5: behind. b on a's axis: 0.2 against 0.02: ahead.
    assert found.auc.value == pytest.approx(1 / 10)
    assert (found.auc.ci_low, found.auc.ci_high) == (0, 1)


def test_one_recipe_has_nothing_to_be_scored_by():
    pairs = [made(f"d{i}", "a", 5, 0) for i in range(3)]
    found = rows_of([family(pairs, along(*range(20)))])["llama", "family null"]
    assert (found.n_distilled, found.n_unscored) == (0, 3)
    assert found.auc.value is None
    assert found.auc.reason == "0 distilled pairs, 0 null"


def test_a_family_without_null_is_counted_as_unscored():
    bare = family(THREE, [], name="qwen")
    found = rows_of([family(THREE, along(*range(3))), bare])
    pooled = found["pooled", "family null"]
    assert (pooled.n_distilled, pooled.n_unscored, pooled.n_null) == (3, 3, 3)
    assert found["qwen", "family null"].auc.value is None
    assert found["qwen", "pooled null"].n_distilled == 3  # llama's null is there to compare with


def test_evaluation_uses_the_scores_of_ask():
    rng = np.random.default_rng(5)
    draws = rng.normal(size=(30, 4)) + [1, 0, 0, 0]
    pairs = [made(f"d{i}", str(i // 2), *draws[i]) for i in range(6)]
    fam = family(pairs, [made(f"n{i}", "q", *draws[6 + i]) for i in range(24)])
    answers = [ask(fam, one) for one in pairs]
    found = rows_of([fam])["llama", "family null"]
    assert found.auc.value == pytest.approx(
        np.mean([np.mean(one.null_scores < one.score) for one in answers])
    )
    assert found.tpr_at_5.value == np.mean([one.p <= 0.05 for one in answers])


def test_evaluation_is_of_one_layer_and_each_family_once():
    fam = family(THREE, along(1.0))
    with pytest.raises(ValueError, match="one layer and each family once"):
        evaluate([fam, replace(fam, family="qwen", layer="functional")])
    with pytest.raises(ValueError, match="one layer and each family once"):
        evaluate([fam, fam])
