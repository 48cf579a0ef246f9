import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure import distances, intervals
from measure.records import PromptTemplate


def template(index, values, *, n_tokens=64, reason=None, zero=0.0, split=0.2):
    padded = tuple(np.pad(np.asarray(values, dtype=float), (0, 20 - len(values))))
    return PromptTemplate(
        mode="free", prompt_id=f"p{index:02d}", category="c", n_prompt_tokens=5,
        n_tokens=n_tokens, beta_mean=1.0, template=padded, delta_norm_mean=0.3, n_delta_norm=64,
        zero_gap_frac=zero, split_half_distance=split, text="t", text_sha256="s", reason=reason,
        winner_gap_se=0.1,
    )  # fmt: skip


def test_opposite_prompts_cancel_in_the_centroid_and_not_in_crp():
    a = np.array([[3.0, 4.0], [-3.0, -4.0]])
    b = np.zeros((2, 2))
    assert distances.centroid_distance(a, b) == 0
    assert distances.crp_distance(a, b) == 5
    assert distances.centroid_distance(a[:1], b[:1]) == distances.crp_distance(a[:1], b[:1]) == 5


@given(st.integers(0, 1_000_000))
def test_centroid_never_exceeds_crp(seed):
    a, b = np.random.default_rng(seed).normal(size=(2, 7, 20))
    assert distances.centroid_distance(a, b) <= distances.crp_distance(a, b) + 1e-12


def test_self_baseline_by_the_definition_written_out():
    templates = np.random.default_rng(5).normal(size=(40, 20))
    rng = np.random.default_rng(0)
    expected = []
    for _ in range(5):
        order = list(rng.permutation(40))
        first = sum(templates[i] for i in order[:20]) / 20
        second = sum(templates[i] for i in order[20:]) / 20
        expected.append(np.sqrt(((first - second) ** 2).sum()))
    assert distances.self_baseline(templates) == pytest.approx(np.mean(expected))


def test_self_baseline_of_noise_is_what_the_method_says():
    """SB is about sqrt(4 tr(Sigma) / P): 20 unit variances over 40 prompts give sqrt(2)."""
    rng = np.random.default_rng(0)
    found = [distances.self_baseline(rng.normal(size=(40, 20))) for _ in range(200)]
    assert np.mean(found) == pytest.approx(np.sqrt(4 * 20 / 40), rel=0.03)


def test_the_sign_flip_null_equals_all_sign_vectors():
    """The independent route: every one of the 2^6 sign vectors instead of random ones."""
    values = np.random.default_rng(2).normal(size=(6, 4))
    every = [
        np.linalg.norm(np.array(signs) @ values / 6)
        for signs in itertools.product([-1, 1], repeat=6)
    ]
    null = intervals.sign_flip_null(values)
    for quantile in (0.25, 0.5, 0.9):
        assert np.quantile(null, quantile) == pytest.approx(np.quantile(every, quantile), rel=0.06)


def test_the_p_value_is_uniform_without_a_shift():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(60):
        base = [template(i, row) for i, row in enumerate(rng.normal(size=(12, 20)))]
        other = [template(i, row) for i, row in enumerate(rng.normal(size=(12, 20)))]
        found.append(distances.measure(base, {"derivative": other}, "free")[0].sign_flip_p)
    assert 0.35 < np.mean(found) < 0.65
    assert np.mean(np.array(found) < 0.1) < 0.25


def test_a_constant_shift_is_found_and_has_no_spread():
    base = [template(i, [0.1 * i]) for i in range(10)]
    other = [template(i, [0.1 * i, 0.5]) for i in range(10)]
    (found,) = distances.measure(base, {"derivative": other}, "free")
    assert found.centroid_distance == pytest.approx(0.5)
    assert found.crp_distance == pytest.approx(0.5)
    assert found.ci_low_centroid_distance == pytest.approx(0.5)
    assert found.ci_high_crp_distance == pytest.approx(0.5)
    # Only all signs equal reach the distance: 2 of 2^10 vectors.
    assert found.sign_flip_p == pytest.approx(2 / 1024, abs=0.002)
    assert found.crp_floor == pytest.approx(0.2 / np.sqrt(2))
    assert (found.n_prompts, found.n_prompts_dropped, found.reason) == (10, 0, None)


def test_the_null_pair_is_a_model_and_itself():
    base = [template(i, np.random.default_rng(i).normal(size=20)) for i in range(8)]
    (found,) = distances.measure(base, {"derivative": base}, "free")
    assert found.centroid_distance == found.crp_distance == 0
    assert found.sign_flip_p == 1


def test_a_prompt_too_short_in_one_model_is_dropped_for_the_whole_triangle():
    base = [template(i, [1.0]) for i in range(5)]
    derivative = [template(i, [2.0], reason="short" if i == 1 else None) for i in range(5)]
    reference = [template(i, [3.0], reason="short" if i == 3 else None) for i in range(5)]
    found = distances.measure(base, {"derivative": derivative, "reference": reference}, "free")
    assert [record.role for record in found] == ["derivative", "reference"]
    assert {(record.n_prompts, record.n_prompts_dropped) for record in found} == {(3, 2)}


def test_numbers_are_refused_with_a_reason_and_never_zero():
    base = [template(i, [1.0]) for i in range(5)]
    rounded = [template(i, [1.0], zero=0.02) for i in range(5)]
    (found,) = distances.measure(base, {"derivative": rounded}, "free")
    assert found.centroid_distance is None and found.crp_distance is None
    assert found.sign_flip_p is None
    assert found.reason.startswith("2.0% of the gaps are exactly 0")
    (found,) = distances.measure(base[:1], {"derivative": base[:1]}, "free")
    assert found.crp_distance is None
    assert found.reason.startswith("1 prompts are long enough")


def test_zero_gaps_weigh_by_tokens():
    records = [template(0, [1], n_tokens=30, zero=0.1), template(1, [1], n_tokens=10, zero=0.5)]
    assert distances.zero_gap_frac(records) == pytest.approx((30 * 0.1 + 10 * 0.5) / 40)
    assert distances.zero_gap_frac([]) is None


def test_the_bootstrap_interval_is_that_of_the_normal_mean():
    """Closed form: mean of 400 values of sd 1 has the 95 % interval mean +- 1.96 / 20."""
    values = np.random.default_rng(0).normal(size=(400, 1))
    low, high = intervals.bootstrap_interval(values, lambda means: means[:, 0])
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.006)
    assert high == pytest.approx(values.mean() + half, abs=0.006)
    assert intervals.bootstrap_interval(values, lambda means: means[:, 0]) == (low, high)
