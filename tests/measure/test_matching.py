"""Matching and Eq. 8: by hand, by brute force, and the published pairs to the printed digits."""

from itertools import permutations

import numpy as np
import pytest

from measure.influence import NORMALISATIONS
from measure.matching import (
    MATCHINGS,
    Matched,
    delta_in_list,
    delta_influence,
    expected_null,
    influence_gaps,
    match,
    matched_as_published,
    matched_components,
    score,
)
from tests.measure.sweeps import additive, published_pairs

S = np.array([[0.9, 0.8], [0.7, 0.1], [0.6, 0.5]])  # 3 of the teacher, 2 of the student

# --- matching -----------------------------------------------------------------------------------


def test_greedy_takes_the_best_of_each_row_and_may_take_one_twice():
    found = match(S, "greedy")
    assert list(zip(found.teacher, found.student, strict=True)) == [(0, 0), (1, 0), (2, 0)]
    assert list(found.similarity) == [0.9, 0.7, 0.6]
    assert list(found.weight) == [1, 1, 1]


def test_hungarian_takes_the_largest_sum_one_to_one():
    """0.8 + 0.7 = 1.5 is more than 0.9 + 0.5 and all others; the third is left over."""
    found = match(S, "hungarian")
    assert list(zip(found.teacher, found.student, strict=True)) == [(0, 1), (1, 0)]
    assert list(found.similarity) == [0.8, 0.7]


def test_hungarian_is_the_best_of_all_one_to_one_matchings():
    similarity = np.random.default_rng(0).random((5, 4))
    best = max(similarity[list(rows), range(4)].sum() for rows in permutations(range(5), 4))
    assert match(similarity, "hungarian").similarity.sum() == pytest.approx(best)


def test_soft_by_hand():
    """Of two students both are among the 5: weights e^0.9 and e^0.8 over their sum, and so on."""
    found = match(S, "soft")
    first = np.exp(0.9) / (np.exp(0.9) + np.exp(0.8))
    assert found.weight[:2] == pytest.approx([first, 1 - first])
    assert list(found.teacher) == [0, 0, 1, 1, 2, 2]
    assert found.weight.reshape(3, 2).sum(1) == pytest.approx([1, 1, 1])


def test_soft_takes_five():
    similarity = np.random.default_rng(0).random((2, 9))
    found = match(similarity, "soft")
    for row in (0, 1):
        assert set(found.student[5 * row : 5 * row + 5]) == set(np.argsort(similarity[row])[4:])


@pytest.mark.parametrize("matching", MATCHINGS)
def test_many_at_once_are_matched_as_one_by_one(matching):
    similarity = np.random.default_rng(1).random((4, 6, 5))
    together = match(similarity, matching)
    for i, one in enumerate(similarity):
        alone = match(one, matching)
        assert (together.teacher[i] == alone.teacher).all()
        assert (together.student[i] == alone.student).all()
        assert together.similarity[i] == pytest.approx(alone.similarity)
        assert together.weight[i] == pytest.approx(alone.weight)


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (2, 3, 0)])
def test_of_none_there_are_no_pairs(matching, shape):
    assert match(np.empty(shape), matching).similarity.shape == (*shape[:-2], 0)


def test_pairs_are_of_one_type_and_named_by_their_place_in_the_sweep():
    """Two layers of 2 heads: heads stand at 0, 1, 3, 4, MLPs at 2, 5."""
    teacher, student = additive(2, 2, 5, seed=0), additive(1, 2, 5, seed=1)
    heads = np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    found = matched_components(teacher, student, heads, np.array([[0.4], [0.5]]), "greedy")
    assert list(zip(found.teacher, found.student, strict=True)) == [
        (0, 1), (1, 0), (3, 1), (4, 0), (2, 2), (5, 2),
    ]  # fmt: skip


def test_the_public_code_starts_from_the_student_and_counts_unlike_heads_twice():
    teacher, student = additive(2, 2, 5, seed=0), additive(1, 2, 5, seed=1)
    heads = np.array([[0.1, 0.9], [0.2, 0.3], [0.97, 0.2], [0.3, 0.1]])
    found = matched_as_published(teacher, student, heads, np.array([[0.4], [0.5]]))
    assert list(zip(found.teacher, found.student, strict=True)) == [(3, 0), (0, 1), (5, 2)]
    assert list(found.weight) == [1, 2, 1]  # the head of 0.9 twice, the MLP of 0.5 once


# --- the score ----------------------------------------------------------------------------------


def test_eq_8_by_hand():
    """0.9 (1 - 0.5) = 0.45, 0.6 (1 - 0) = 0.6: mean 0.525; with weights 3 and 1, 0.4875."""
    similarity, delta = np.array([0.9, 0.6]), np.array([0.5, 0.0])
    found = score(similarity, np.ones(2), delta)
    assert found.alignment == pytest.approx(0.525)
    assert found.mean_similarity == pytest.approx(0.75)
    assert found.mean_abs_delta_influence == pytest.approx(0.25)
    assert score(similarity, np.array([3.0, 1.0]), delta).alignment == pytest.approx(0.4875)


def published_list(twice):
    """The list that the public code scores, and what each component of it loses."""
    is_head, student, teacher, similarity = published_pairs()
    places = np.arange(78)
    weight = np.where(twice & is_head & (similarity < 0.95), 2.0, 1.0)
    return Matched(places, places, similarity, weight), teacher, student


@pytest.mark.parametrize(
    ("twice", "how", "n_terms", "alignment"),
    [(True, "l1", 114, 0.8954), (False, "l1", 78, 0.9064)],
)
def test_the_printed_score_of_the_public_code(twice, how, n_terms, alignment):
    matched, *changes = published_list(twice)
    found = score(matched.similarity, matched.weight, delta_in_list(matched, *changes, how))
    assert matched.weight.sum() == n_terms
    assert round(float(found.alignment), 4) == alignment


def test_under_l1_influence_hardly_matters_and_under_max_it_does():
    """Mean S 0.9191 and mean |dI| 0.014 under l1; A is 0.7638 with the teacher's own largest.

    The largest of the pairs, 391.79, stands in for it here: a component that was not matched may
    have had more, 392 makes 0.7638.
    """
    matched, *changes = published_list(twice=False)
    l1 = score(matched.similarity, matched.weight, delta_in_list(matched, *changes, "l1"))
    assert round(float(l1.mean_similarity), 4) == 0.9191
    assert round(float(l1.mean_abs_delta_influence), 3) == 0.014
    largest = score(matched.similarity, matched.weight, delta_in_list(matched, *changes, "max"))
    assert largest.alignment == pytest.approx(0.7638, abs=1e-4)


def test_a_list_of_all_components_once_is_normalised_as_the_components_are():
    raw = np.random.default_rng(0).exponential(size=(2, 7))
    places = np.arange(7)
    matched = Matched(places, places, np.ones(7), np.ones(7))
    for how in NORMALISATIONS:
        assert delta_in_list(matched, *raw, how) == pytest.approx(
            delta_influence(matched, *raw, how)
        )


# --- the null -----------------------------------------------------------------------------------


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("how", NORMALISATIONS)
def test_the_expected_null_is_the_mean_over_all_orders(matching, how):
    """Two heads and one MLP against two heads and one: 2! orders of either model's heads."""
    teacher, student = additive(1, 2, 5, seed=2), additive(1, 2, 5, seed=3)
    rng = np.random.default_rng(4)
    heads, mlps = rng.random((2, 2)), rng.random((1, 1))
    raw = rng.exponential(size=3), rng.exponential(size=3)
    matched = matched_components(teacher, student, heads, mlps, matching)
    every = [
        score(
            matched.similarity,
            matched.weight,
            delta_influence(matched, raw[0][[*a, 2]], raw[1][[*b, 2]], how),
        ).alignment
        for a in permutations((0, 1))
        for b in permutations((0, 1))
    ]
    gaps = influence_gaps(teacher, student, raw, how)
    assert expected_null(matched, teacher, gaps) == pytest.approx(np.mean(every))
