"""Ranking of students: by alignment, at equal accuracy, ties where none is ahead."""

import numpy as np
import pytest

from measure.ranking import Student, rank_students

N = 100


def student(name, n_right, alignment, seed=0, spread=0.001, **other):
    """Right on the first so many prompts; its draws spread about its alignment."""
    draws = None
    if alignment is not None:
        draws = alignment + spread * np.random.default_rng(seed).normal(size=1000)
    fields = {"mlp_method": "eigenvectors", "draws": draws, **other}
    return Student(name=name, is_right=np.arange(N) < n_right, alignment=alignment, **fields)


def ranks(*students):
    return {row.student: row.rank for row in rank_students(students)}


def test_the_best_aligned_of_the_equally_right_is_first():
    rows = rank_students([student("a", 90, 0.5), student("b", 89, 0.7), student("c", 90, 0.6)])
    assert [(row.student, row.rank) for row in rows] == [("b", 1), ("c", 2), ("a", 3)]


def test_one_that_is_less_often_right_is_not_ranked_however_well_it_aligns():
    """10 of 100 prompts apart, all one way: the interval 0.05 to 0.16 is above 0."""
    rows = {
        row.student: row for row in rank_students([student("a", 90, 0.5), student("b", 80, 0.9)])
    }
    assert rows["a"].rank == 1
    assert rows["b"].rank is None
    assert rows["b"].accuracy_gap == pytest.approx(0.1)
    assert rows["b"].ci_low_accuracy_gap > 0
    assert rows["b"].reason.startswith("less often right than a, by 0.100")


def test_those_of_which_none_is_ahead_share_a_rank():
    """0.500 and 0.501 with draws of deviation 0.1 are not apart; 0.9 is ahead of both."""
    found = ranks(
        student("a", 90, 0.5, seed=1, spread=0.1),
        student("b", 90, 0.501, seed=2, spread=0.1),
        student("c", 90, 0.9, seed=3, spread=0.01),
    )
    assert found == {"c": 1, "a": 2, "b": 2}


def test_the_draws_are_paired():
    """The same draws shifted by 0.01: apart, although each spreads by 0.1."""
    assert ranks(student("a", 90, 0.50, spread=0.1), student("b", 90, 0.51, spread=0.1)) == {
        "b": 1,
        "a": 2,
    }


def test_one_without_an_alignment_keeps_its_reason():
    rows = rank_students(
        [student("a", 90, 0.5), student("b", 90, None, reason="the tokenizers differ")]
    )
    assert [(row.student, row.rank) for row in rows] == [("a", 1), ("b", None)]
    assert rows[1].reason == "the tokenizers differ"
    assert rows[1].accuracy == 0.9
    assert rows[1].ci_low_accuracy < 0.9 < rows[1].ci_high_accuracy


def test_alignments_by_other_methods_are_not_compared():
    rows = rank_students([student("a", 91, 0.5), student("b", 90, 0.9, mlp_method="cka")])
    assert [(row.student, row.rank) for row in rows] == [("a", 1), ("b", None)]
    assert rows[1].reason == "MLPs compared by cka, those of a by eigenvectors"


def test_of_one_prompt_no_two_are_known_to_be_equal():
    one = Student(
        name="a", is_right=np.array([True]), alignment=0.5, draws=np.ones(3), mlp_method="cka"
    )
    (row,) = rank_students([one])
    assert row.rank is None
    assert "at least 2" in row.reason


def test_of_none_there_are_none():
    assert rank_students([]) == []
