"""Burden, load and region in closed form, by other routes, and where nothing is there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from measure import burden


def states(*rows):
    return np.array(rows, dtype=np.float64)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (states([1, 2], [2, 4], [0.5, 1]), [0, 0]),  # one direction, whatever its length
        (states([1, 0], [0, 3], [-2, 0]), [1, 1]),  # orthogonal jumps
        (states([1, 1], [-2, -2]), [2]),  # reversal
        (states([1, 0], [1, 1]), [1 - 1 / np.sqrt(2)]),  # 45 degrees
        (states([1, 0]), []),
    ],
)
def test_burden_in_closed_form(path, expected):
    np.testing.assert_allclose(burden.burdens(path), expected, atol=1e-12)


def test_relative_jump_in_closed_form():
    # |(0,4) - (3,0)| / |(3,0)| = 5/3; then no move
    found = burden.relative_jumps(states([3, 0], [0, 4], [0, 4]))
    np.testing.assert_allclose(found, [5 / 3, 0])


def test_a_state_without_direction_has_no_burden():
    path = states([1, 0], [0, 0], [0, 1])
    assert np.isnan(burden.burdens(path)).tolist() == [True, True]
    assert np.isnan(burden.relative_jumps(path)).tolist() == [False, True]  # 1, then 1/0


@pytest.mark.parametrize(
    ("n", "expected"),
    [(0, []), (1, []), (2, [0]), (3, [0, 3]), (4, [0, 2, 5]), (10, list(range(9)))],
)
def test_deciles(n, expected):
    assert burden.deciles(n).tolist() == expected


FINITE = st.floats(-100, 100).filter(lambda x: x == 0 or abs(x) > 1e-3)
PATHS = hnp.arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(2, 5)), elements=FINITE)


@given(PATHS)
@settings(max_examples=60, deadline=None)
def test_load_never_falls_and_burden_stays_within_0_and_2(path):
    path = path[np.linalg.norm(path, axis=1) > 0]
    b = burden.burdens(path)
    assert ((b >= 0) & (b <= 2)).all()
    assert (np.diff(burden.loads(b)) >= 0).all()


@given(PATHS, st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_burden_knows_neither_length_nor_basis(path, seed):
    path = path[np.linalg.norm(path, axis=1) > 0]
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(path.shape[1], path.shape[1])))[0]
    longer = path * rng.uniform(0.5, 2, size=(len(path), 1))
    np.testing.assert_allclose(burden.burdens(longer @ turn), burden.burdens(path), atol=1e-9)


# --- limits -------------------------------------------------------------------------------------


def test_limits_in_closed_form():
    # 40 trajectories of 3 states: step 0 at decile 0, step 1 at decile 3. b_0 = i, b_1 = 100.
    limits = burden.fit_limits([np.array([float(i), 100.0]) for i in range(40)])
    # 0.95 of 39 gaps is 37.05; loads at decile 3 are i + 100.
    assert limits.burden[0] == pytest.approx(37.05)
    assert limits.burden[3] == 100
    assert limits.load_mean[0] == pytest.approx(19.5)
    assert limits.load_mean[3] == pytest.approx(119.5)
    # Variance of 0 .. 39 with 39 in the denominator: (1600 - 1) / 12 * 40 / 39.
    assert limits.load_sd[3] == pytest.approx(np.sqrt(1599 / 12 * 40 / 39))
    assert limits.reach.tolist() == [0, 1, 1, 0, 1, 2, 3, 4, 5, 6]
    assert limits.n_steps.tolist() == [40] * 10


def test_a_decile_of_few_steps_takes_in_its_neighbours():
    # 19 steps at decile 0 are one too few: with decile 3 they are 38.
    limits = burden.fit_limits([np.array([1.0, 3.0])] * 19)
    assert limits.reach[0] == 3 and limits.n_steps[0] == 38
    assert limits.load_mean[0] == pytest.approx((1 + 4) / 2)


@pytest.mark.parametrize("n", [0, 9])
def test_too_few_steps_have_no_limits(n):
    assert burden.fit_limits([np.array([1.0, 1.0])] * n) is None


def test_one_step_in_twenty_of_the_same_kind_violates():
    rng = np.random.default_rng(0)
    made = [rng.uniform(0, 1, size=9) for _ in range(4000)]
    limits = burden.fit_limits(made[:2000])
    where = burden.deciles(10)
    over = np.mean([b > limits.burden[where] for b in made[2000:]])
    # 18,000 steps: the standard error of 0.05 is 0.0016, and the limits' own is alike.
    assert over == pytest.approx(0.05, abs=0.01)


# --- the region ---------------------------------------------------------------------------------


def cloud(n=500, d=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.linspace(3, 0.5, d) + 2


def test_shrinking_by_the_matrices_themselves():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(30, 5)) * [5, 2, 1, 1, 0.2]
    u, s, _ = np.linalg.svd(scores - scores.mean(0), full_matrices=False)
    scores = u * s  # centred, uncorrelated
    n, p = scores.shape
    sample = scores.T @ scores / n
    mean = np.trace(sample) / p
    delta = np.linalg.norm(sample - mean * np.eye(p)) ** 2 / p
    each = [np.linalg.norm(np.outer(x, x) - sample) ** 2 for x in scores]
    beta = min(sum(each) / n**2 / p, delta)
    expected = (1 - beta / delta) * sample + beta / delta * mean * np.eye(p)
    np.testing.assert_allclose(burden.shrunk_variances(scores), np.diag(expected))
    assert 0 < beta / delta < 1


def test_distance_by_an_inverted_covariance():
    given_states = cloud()
    region = burden.fit_region(given_states)
    unit = given_states / np.linalg.norm(given_states, axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(np.cov(unit.T, bias=True))
    kept = vectors[:, np.argsort(values)[::-1][:32]]
    centred = (unit - unit.mean(0)) @ kept
    inverse = np.linalg.inv(np.diag(burden.shrunk_variances(centred)))
    expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, inverse, centred))
    np.testing.assert_allclose(region.distance(given_states), expected, rtol=1e-8)
    assert region.radius == pytest.approx(np.quantile(expected, 0.99))
    assert (region.distance(given_states) > region.radius).sum() == 5  # 1 % of 500


def test_what_is_elsewhere_lies_outside():
    region = burden.fit_region(cloud())
    assert region.distance(-cloud(seed=3)).min() > region.radius


@pytest.mark.parametrize("given_states", [cloud(n=63), np.ones((100, 8)), np.zeros((100, 8))])
def test_no_region_of_few_or_equal_states(given_states):
    assert burden.fit_region(given_states) is None


def test_a_narrow_model_has_as_many_axes_as_it_is_wide():
    assert burden.fit_region(cloud(d=6)).axes.shape == (6, 6)


def limits_of(mean, sd):
    ten = np.ones(10)
    return burden.Limits(ten, mean * ten, sd * ten, ten.astype(int), ten.astype(int))


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (3.0, 2.0),  # less than is usual
        (5.0, 2.0),  # as is usual
        (7.0, 2 * np.exp(-0.1)),  # one standard deviation more
        (19.0, 1.0),  # seven: exp(-0.7) is below a half
        (1e9, 1.0),
    ],
)
def test_the_region_shrinks_with_load(load, expected):
    where = np.array([4])
    found = burden.radii(2.0, np.array([load]), where, limits_of(5.0, 2.0))
    np.testing.assert_allclose(found, [expected])


def test_a_teacher_whose_load_never_varies():
    found = burden.radii(2.0, np.array([4.0, 5.0, 5.1]), np.zeros(3, int), limits_of(5.0, 0.0))
    assert found.tolist() == [2, 2, 1]


@given(st.lists(st.floats(0, 2), min_size=2, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_radius_never_grows_nor_falls_below_half(b):
    load = burden.loads(np.array(b))
    found = burden.radii(3.0, load, np.zeros(len(b), int), limits_of(1.0, 0.5))
    assert (np.diff(found) <= 0).all()
    assert (found >= 1.5).all() and (found <= 3).all()
