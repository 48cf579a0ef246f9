"""Components of K and R by hand, by other routes, and under nulls."""

import itertools

import numpy as np
import pytest

from measure import stability
from measure.stability import COMPONENTS, K, R
from tests.measure.trajectories import drawn, trajectory


def observed(trajectories):
    stories = sorted({one.story for one in trajectories})
    values = stability.table(trajectories, stories).observed()
    return dict(zip(COMPONENTS, values, strict=True))


def test_components_by_hand():
    found = observed(
        [
            trajectory("a", "short", "clean", v=[1, 0], f=[0, 0], load=3.0),
            trajectory("a", "short", "perturbed", v=[0, 0, 0, 0], f=[0, 1, 1, 0], load=5.0),
            trajectory("a", "long", "clean", is_correct=False, v=[1, 1], f=[1, 0], answer="3"),
            trajectory("a", "long", "perturbed", is_correct=False, v=[0, 1], f=[0, 0], answer="4"),
            trajectory("b", "short", "clean", 0, v=None),
            trajectory("b", "short", "clean", 1, v=None, is_correct=False),
        ]
    )
    assert found["short clean"] == pytest.approx(2 / 3)
    assert found["short perturbed"] == 1 and found["long clean"] == 0
    assert found["satisfaction"] == pytest.approx(1 - 4 / 10)  # 4 violations of 10 steps
    assert found["feasibility"] == pytest.approx(1 - 3 / 10)
    # Scores: right 1/2 and 1/2, wrong 3/2 and 1/2: of 4 pairs 2 are won and 2 tied, AUC 3/4.
    assert found["dependence"] == pytest.approx(0.5)
    assert found["perturbation"] == 0.5  # short 2 = 2, long 3 and 4
    assert found["horizon"] == 0
    # 3 / 3 states, 5 / 5, 1 / 3, 1 / 3
    assert found["mean load"] == pytest.approx((1 + 1 + 1 / 3 + 1 / 3) / 4)


def test_counts_say_what_each_is_over():
    given = [trajectory("a", v=[1, 0, 0], f=[0, 0, 0]), trajectory("b", "long", v=None)]
    table = stability.table(given, ["a", "b"])
    assert (table.n_problems["satisfaction"], table.n_values["satisfaction"]) == (1, 3)
    assert (table.n_problems["dependence"], table.n_values["dependence"]) == (1, 1)
    assert (table.n_problems["short clean"], table.n_values["long clean"]) == (1, 1)
    assert (table.n_problems["horizon"], table.n_values["horizon"]) == (0, 2)
    assert table.n_problems["perturbation"] == 0


def test_what_is_not_there_is_not_zero():
    found = observed([trajectory(v=None, is_correct=None)])
    assert np.isnan(list(found.values())).all()
    # Without a region there are violations, and nothing to depend on.
    found = observed([trajectory(f=None), trajectory(f=None, is_correct=False, sample=1)])
    assert found["satisfaction"] == 1
    assert np.isnan([found["feasibility"], found["dependence"]]).all()


@pytest.mark.parametrize("is_correct", [True, False])
def test_answers_that_are_all_right_or_all_wrong_leave_dependence_open(is_correct):
    given = [trajectory(f"s{i}", is_correct=is_correct, v=[i % 2, 0]) for i in range(6)]
    assert np.isnan(observed(given)["dependence"])
    assert stability.dependence_null(given) is None


def test_long_problems_that_go_better_count_as_1():
    given = [trajectory(is_correct=False), trajectory(sample=1), trajectory("a", "long")]
    assert observed(given)["horizon"] == 1


def test_the_most_frequent_answer_decides():
    def answers(condition, *said):
        return [trajectory("a", "short", condition, i, answer=a) for i, a in enumerate(said)]

    def share(*given):
        return stability.unchanged_answers([one for group in given for one in group])["a"]

    assert share(answers("clean", "1", "2", "2"), answers("perturbed", "2", "3")) == (1, 1)
    assert share(answers("clean", "1", "2"), answers("perturbed", "2", "1")) == (0, 1)  # 1, then 2
    assert share(answers("clean", None), answers("perturbed", None)) == (0, 1)
    assert stability.unchanged_answers(answers("clean", "1")) == {}


def test_auc_by_counting_pairs():
    rng = np.random.default_rng(0)
    wrong, right = (rng.integers(0, 4, size=(20, 7)).astype(float) for _ in range(2))
    found = stability.auc(wrong, right)
    for k in range(20):
        won = [
            wrong[k, i] * right[k, j] * (1 if i > j else 0.5 if i == j else 0)
            for i, j in itertools.product(range(7), repeat=2)
        ]
        assert found[k] == pytest.approx(sum(won) / wrong[k].sum() / right[k].sum())


def test_weights_are_stories_that_stand_there_more_than_once():
    given = drawn(3, n_stories=8, v_wrong=0.3)
    stories = sorted({one.story for one in given})
    weights = np.array([2, 0, 1, 3, 0, 1, 1, 0])
    repeated = [
        trajectory(
            f"{one.story}-{copy}", one.horizon, one.condition, one.sample,
            is_correct=one.is_correct, answer=one.answer, load=one.path_load,
            v=[1] * one.n_violations + [0] * (one.n_states - 1 - one.n_violations),
            f=[1] * one.n_outside + [0] * (one.n_states - 1 - one.n_outside),
        )
        for one in given
        for copy in range(weights[stories.index(one.story)])
    ]  # fmt: skip
    found = stability.table(given, stories).components(weights[None].astype(float))[0]
    np.testing.assert_allclose(found, list(observed(repeated).values()))


def test_one_draw_has_the_same_stories_for_all():
    given = drawn(4, n_stories=6)
    table = stability.table(given, sorted({one.story for one in given}))
    both = stability.drawn({"teacher": table, "student": table})
    np.testing.assert_array_equal(both["teacher"], both["student"])
    assert both["teacher"].shape == (10_000, len(COMPONENTS))
    # The bootstrap's mean is the observed one, its spread that of a mean of stories.
    accuracy = both["teacher"][:, 0]
    per_story = table.sums[:, 0] / table.sums[:, 1]
    assert accuracy.mean() == pytest.approx(per_story.mean(), abs=0.005)
    assert accuracy.std() == pytest.approx(per_story.std() / np.sqrt(6), rel=0.05)


def test_distances_leave_out_what_one_lacks():
    one, other = np.array([[0.5, np.nan, 0.25]]), np.array([[0.25, 0.9, 0.75]])
    assert stability.difference(one, other).tolist() == [0.375]  # 0.25 and 0.5
    assert stability.shortfall(one, other).tolist() == [0.125]  # 0.25 and nothing
    assert np.isnan(stability.difference(one * np.nan, other)).all()


def test_interval_of_nothing():
    assert stability.interval(np.array([np.nan])) == (None, None)


# --- noise --------------------------------------------------------------------------------------


def tables_of(*given):
    stories = sorted({one.story for one in given[0]})
    return [stability.table(one, stories) for one in given]


ALL = np.ones(len(stability.STABILITY), dtype=bool)


def test_noise_by_hand_where_every_half_is_alike():
    given = [one for i in range(4) for one in (
        trajectory(f"s{i}", v=[1, 0]), trajectory(f"s{i}", "long", v=[1, 0]))]  # fmt: skip
    (table,) = tables_of(given)
    assert stability.half_split_noise(table, ALL) == 0
    assert stability.half_split_noise(table, ~ALL) is None
    (three,) = tables_of(given[:6])
    assert stability.half_split_noise(three, ALL) is None


def test_noise_of_two_kinds_of_stories():
    # Of 4 stories 2 violate always: halves are (1, 1) in 4 of 6 splits, else (0, 2).
    given = [trajectory(f"s{i}", v=[i % 2] * 2) for i in range(4)]
    (table,) = tables_of(given)
    only = np.array([True, False, False, False, False])
    assert stability.half_split_noise(table, only) == 1


def test_a_student_that_copies_the_teacher_is_within_the_noise():
    like = {"v_wrong": 0.25, "accuracy": 0.8}
    within = 0
    for seed in range(40):
        teacher, student = tables_of(drawn(seed, **like), drawn(1000 + seed, **like))
        delta = stability.difference(teacher.observed()[None, R], student.observed()[None, R])
        within += delta[0] <= stability.half_split_noise(teacher, ALL)
    # Halves differ by twice the spread of two wholes' difference over root 2: rarely above.
    assert within >= 38


def test_a_student_that_violates_twice_as_often_is_not():
    beyond = 0
    for seed in range(20):
        teacher = drawn(seed, v_right=0.05, v_wrong=0.3)
        student = drawn(1000 + seed, v_right=0.35, v_wrong=0.4)
        one, other = tables_of(teacher, student)
        delta = stability.difference(one.observed()[None, R], other.observed()[None, R])
        beyond += delta[0] > stability.half_split_noise(one, ALL)
        k = stability.difference(one.observed()[None, K], other.observed()[None, K])
        assert k[0] < 0.1
    assert beyond == 20


# --- dependence and its null --------------------------------------------------------------------


def is_found(given):
    return observed(given)["dependence"] > stability.dependence_null(given)


def test_a_planted_relation_is_found():
    """Power: 60 stories x 16 rollouts, 1 in 5 wrong, 6 or 12 steps, 5 % violate, 10 % if wrong."""
    assert sum(is_found(drawn(seed, v_right=0.05, v_wrong=0.1)) for seed in range(30)) >= 29


def test_none_is_found_where_there_is_none():
    n = sum(is_found(drawn(seed, n_stories=20, n_samples=2)) for seed in range(100))
    assert n <= 12  # 5 % of 100 are meant; 12 or more come in 0.4 % of such hundreds


def test_hard_problems_alone_are_no_dependence():
    # Long problems go wrong and violate more, but within a horizon neither tells of the other.
    def confounded(seed):
        made = drawn(seed, n_stories=30, n_samples=2, accuracy=0.9, long_accuracy=0.4)
        rng = np.random.default_rng(seed)
        return [
            one if one.horizon == "short" else trajectory(
                one.story, one.horizon, one.condition, one.sample, is_correct=one.is_correct,
                v=(rng.random(12) < 0.3).astype(int).tolist(), f=[0] * 12,
            )
            for one in made
        ]  # fmt: skip

    found = [confounded(seed) for seed in range(30)]
    assert np.mean([observed(one)["dependence"] for one in found]) > 0.3
    assert sum(is_found(one) for one in found) <= 6


def test_the_null_deals_the_steps_there_are():
    # With all steps alike every deal is the same: nothing to depend on, and a null of 0.
    given = [trajectory(f"s{i}", v=[1, 1], f=[1, 1], is_correct=i % 2 == 0) for i in range(10)]
    assert stability.dependence_null(given) == 0
    assert not is_found(given)
