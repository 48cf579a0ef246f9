import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure import functional, winner_gap
from measure.functional import K
from measure.records import PromptTemplate, WinnerGap, WinnerGapPrompt
from measure.winner_gap import winner_gap_class

RANKS = np.arange(1, K + 1)


def template(index, values, *, se=0.1, delta=0.32, n_delta=64, zero=0.0, reason=None):
    padded = tuple(np.pad(np.asarray(values, dtype=float), (0, K - len(values))))
    return PromptTemplate(
        mode="free", prompt_id=f"p{index:02d}", category="c", n_prompt_tokens=5, n_tokens=64,
        beta_mean=1.0, template=padded, delta_norm_mean=delta, n_delta_norm=n_delta,
        zero_gap_frac=zero, split_half_distance=0.2, text="t", text_sha256="s", reason=reason,
        winner_gap_se=se,
    )  # fmt: skip


def templates(rows, **over):
    return [template(index, row, **over) for index, row in enumerate(rows)]


def compare(base, derivative) -> tuple[WinnerGap, list[WinnerGapPrompt]]:
    pair, *prompts = winner_gap.measure(base, {"derivative": derivative}, "free")
    assert isinstance(pair, WinnerGap)
    return pair, prompts


def shifted(differences, **over):
    """A pair whose templates differ by these rows."""
    rng = np.random.default_rng(1)
    base = 1 + rng.normal(size=(len(differences), K))
    padded = [np.pad(np.asarray(row, dtype=float), (0, K - len(row))) for row in differences]
    return compare(templates(base, **over), templates(base + np.array(padded), **over))


def test_one_more_on_every_winner_gap_comes_out_as_the_fit_lets_it():
    """By hand: +1 in G_1 moves R_1 by 19/20 and R_k by -1/(20 k), the same for every prompt.

    The share of G_1 is 0.95^2 / (0.95^2 + (sum_k 1/k^2 - 1) / 400) = 0.9025 / 0.90399.
    """
    rng = np.random.default_rng(0)
    gaps = rng.exponential(1 / RANKS, size=(40, 64, K))
    bumped = gaps + np.eye(1, K)
    base, derivative = (
        templates([functional.ppp_residual(tokens).mean(0) for tokens in given])
        for given in (gaps, bumped)
    )
    pair, prompts = compare(base, derivative)
    share = 0.9025 / (0.9025 + ((1 / RANKS**2).sum() - 1) / 400)
    assert share == pytest.approx(0.998, abs=5e-4)
    assert pair.g1_share == pytest.approx(share)
    assert pair.ci_low_g1_share == pytest.approx(share)
    assert pair.top3_share == pytest.approx(0.9993, abs=5e-5)
    assert pair.mean_signed_g1 == pytest.approx(0.95)
    assert pair.mean_signed_g2 == pytest.approx(-1 / 40)
    assert pair.ci_high_mean_signed_g1 == pytest.approx(0.95)
    assert (pair.n_up_g1, pair.n_down_g1, pair.n_up_g2, pair.n_down_g2) == (40, 0, 0, 40)
    assert pair.sign_p_g1 == pytest.approx(2 / 2**40)
    assert pair.cancellation_g1 == pytest.approx(1)
    assert (pair.n_g1_dominant, pair.n_g1_over_half) == (40, 40)
    # The noise given is 0.1 in either text: 0.95 exceeds twice 0.1 sqrt 2.
    assert (pair.n_signif, pair.n_signif_up, pair.n_signif_down) == (40, 40, 0)
    assert pair.winner_gap_class == "amplifier"
    assert len(prompts) == 40 and prompts[7].prompt_id == "p07"
    assert prompts[7].dominant_k == 1 and prompts[7].is_signif
    assert prompts[7].noise_se == pytest.approx(0.1 * math.sqrt(2))


def test_numbers_of_a_pair_by_hand():
    # Four prompts; G1: +2, -2, +3, +1, mean 1, mean size 2. G2: 0, 4, 0, 0, mean 1.
    pair, prompts = shifted([[2, 0], [-2, 4], [3, 0], [1, 0]], se=0.8)
    assert pair.g1_share == pytest.approx(0.5) and pair.top3_share == pytest.approx(1)
    assert (pair.mean_signed_g1, pair.mean_abs_g1) == (pytest.approx(1), pytest.approx(2))
    assert pair.cancellation_g1 == pytest.approx(2)
    assert pair.cancellation_g2 == pytest.approx(1)
    # Prompt 1: 4 in G1 against 16 in G2.
    assert [prompt.dominant_k for prompt in prompts] == [1, 2, 1, 1]
    assert prompts[1].g1_share == pytest.approx(0.2)
    assert (pair.n_g1_dominant, pair.n_g1_over_half) == (3, 3)
    assert (pair.n_up_g1, pair.n_down_g1) == (3, 1)
    # P(at most 1 of 4) = 5/16 on either side.
    assert pair.sign_p_g1 == pytest.approx(10 / 16)
    # Twice 0.8 sqrt 2 is 2.26: only the 3 exceeds it.
    assert (pair.n_signif, pair.n_signif_up, pair.n_signif_down) == (1, 1, 0)
    assert pair.winner_gap_class == "mixed"
    assert pair.class_reasons == (
        "sign test p 0.62 (limit 0.05); G1 dominates 3 of 4 prompts (limit: half); "
        "cancellation 2 (limit 5); prompts beyond their noise: 1 up, 0 down (limit 5 each)"
    )


def test_a_pair_by_plain_loops():
    """The independent route: no arrays."""
    rng = np.random.default_rng(4)
    b, d = (rng.normal(0.5, 1, size=(9, K)).tolist() for _ in range(2))
    pair, prompts = compare(templates(b), templates(d))
    n, delta = 9, [sum(d[p][k] - b[p][k] for p in range(9)) / 9 for k in range(K)]
    total = sum(x * x for x in delta)
    assert pair.g1_share == pytest.approx(delta[0] ** 2 / total)
    top3 = sorted((x * x for x in delta), reverse=True)[:3]
    assert pair.top3_share == pytest.approx(sum(top3) / total)
    dominant = []
    for p in range(n):
        sizes = [abs(d[p][k] - b[p][k]) for k in range(K)]
        dominant.append(sizes.index(max(sizes)) + 1)
    assert [prompt.dominant_k for prompt in prompts] == dominant
    assert pair.n_g1_dominant == dominant.count(1)
    for k, name in ((0, "g1"), (1, "g2")):
        sizes = sum(abs(d[p][k] - b[p][k]) for p in range(n)) / n
        assert getattr(pair, f"mean_abs_{name}") == pytest.approx(sizes)
        assert getattr(pair, f"cancellation_{name}") == pytest.approx(sizes / abs(delta[k]))
        n_up = sum(d[p][k] > b[p][k] for p in range(n))
        splits = [min(bin(signs).count("1"), n - bin(signs).count("1")) for signs in range(2**n)]
        p_value = sum(split <= min(n_up, n - n_up) for split in splits) / 2**n
        assert getattr(pair, f"sign_p_{name}") == pytest.approx(p_value)


def test_the_sign_test_is_that_of_the_papers_counts():
    assert winner_gap.sign_test(18, 22) == pytest.approx(0.64, abs=0.005)
    assert winner_gap.sign_test(31, 9) == pytest.approx(0.0007, abs=5e-5)
    assert winner_gap.sign_test(2, 2) == 1 and winner_gap.sign_test(0, 0) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_cancellation_is_at_least_one(values):
    found = winner_gap.cancellation(np.array(values))
    assert found is None or found >= 1


@pytest.mark.parametrize(("observed", "published"), [(7.4, 0.5), (28.0, 0.14), (29.3, 0.14)])
def test_pure_noise_cancels_as_often_as_the_normal_law_says(observed, published):
    """Mean size is nearly sqrt(2 / pi), mean is Z / sqrt(40): c >= x iff |Z| <= 0.798 sqrt(40) / x.

    Methods 1.5: median 7.4, 86th percentile 28, P(c >= 29.3) = 0.14.
    """
    limit = math.sqrt(2 / math.pi) * math.sqrt(40) / observed
    expected = 2 * NormalDist().cdf(limit) - 1
    found = winner_gap.cancellation_noise_p(observed, 40)
    assert found == pytest.approx(expected, abs=0.012)  # three standard errors, and the mean size
    assert found == pytest.approx(published, abs=0.02)
    assert winner_gap.cancellation_noise_p(1.0, 40) == 1


def test_random_signs_are_called_consistent_at_the_stated_level():
    """Signs of a difference that lies in G_1 alone, at random: p < 0.05 for at most 13 of 40.

    2 P(at most 13 of 40) = 0.0385; the share is near 1, so the sign test alone decides.
    """
    level = 2 * sum(math.comb(40, i) for i in range(14)) / 2**40
    assert level == pytest.approx(0.0385, abs=1e-4)
    rng = np.random.default_rng(2)
    labels = []
    for _ in range(4000):
        values = rng.normal(size=40)
        n_up = int((values > 0).sum())
        label, _ = winner_gap_class(
            n_prompts=40, n_g1_dominant=40, g1_share=0.99, mean_signed=values.mean(),
            cancellation=winner_gap.cancellation(values),
            sign_p=winner_gap.sign_test(n_up, 40 - n_up), n_signif_up=0, n_signif_down=0,
        )  # fmt: skip
        labels.append(label)
    rate = np.mean([label in ("amplifier", "reducer") for label in labels])
    assert rate == pytest.approx(level, abs=0.01)  # three standard errors of 4,000 are 0.009
    assert "sign-oscillating" not in labels


def test_pure_token_noise_seldom_exceeds_its_error():
    """Two texts of iid tokens a prompt: |t| > 2 at 14 degrees of freedom has p = 0.065."""
    rng = np.random.default_rng(3)
    base, derivative = rng.normal(size=(2, 2000, 64))
    n_signif = 0
    for b, d in zip(base, derivative, strict=True):
        noise = math.hypot(*(functional.block_standard_error(tokens) for tokens in (b, d)))
        n_signif += abs(d.mean() - b.mean()) > winner_gap.N_NOISE_SE * noise
    assert n_signif / 2000 == pytest.approx(0.065, abs=0.018)  # three standard errors


@pytest.mark.parametrize(
    ("scale", "share", "shift"),
    [("1.5B", 0.999, 1.15), ("7B", 0.733, -0.25), ("8B", 0.978, 1.02), ("14B", 0.950, 1.09)],
)
def test_published_rows_without_signs_are_not_called_oscillating(scale, share, shift):
    unknown = dict.fromkeys(
        ("n_g1_dominant", "cancellation", "sign_p", "n_signif_up", "n_signif_down")
    )
    label, reasons = winner_gap_class(n_prompts=40, g1_share=share, mean_signed=shift, **unknown)
    assert (label, reasons) == ("not interpretable", ("sign test unknown",))
    # With signs that agree, as so large shares suggest, they are what the paper calls them.
    signs = unknown | {"sign_p": winner_gap.sign_test(40, 0)}
    label, _ = winner_gap_class(n_prompts=40, g1_share=share, mean_signed=shift, **signs)
    assert label == ("amplifier" if shift > 0 else "reducer")


MISTRAL = {
    "n_prompts": 40, "n_g1_dominant": 27, "g1_share": 0.006, "mean_signed": -0.03,
    "cancellation": 0.87 / 0.0297, "sign_p": winner_gap.sign_test(18, 22),
    "n_signif_up": None, "n_signif_down": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("over", "label"),
    [
        ({}, "sign-oscillating (noise not excluded)"),
        ({"n_signif_up": 5, "n_signif_down": 5}, "sign-oscillating"),
        ({"n_signif_up": 4, "n_signif_down": 20}, "mixed"),
        ({"n_g1_dominant": 20}, "mixed"),  # half is not more than half
        ({"n_g1_dominant": None}, "mixed"),
        ({"cancellation": 4.9}, "mixed"),
        ({"sign_p": 0.05, "g1_share": 0.9}, "mixed"),  # neither below nor above
        ({"sign_p": 0.0007}, "mixed"),  # consistent, but not in the mean
        ({"sign_p": 0.0007, "g1_share": 0.5}, "reducer"),
        ({"sign_p": None}, "not interpretable"),
    ],
)
def test_the_class_of_the_published_mistral_row_and_around_it(over, label):
    found, reasons = winner_gap_class(**MISTRAL | over)
    assert found == label and reasons


@pytest.mark.parametrize(
    ("effect", "label"),
    [
        (2.03, "amplified"), (2.04, "amplified"), (1.5, "amplified"), (1.45, "stable"),
        (0.85, "stable"), (0.95, "stable"), (0.67, "reduced"), (None, "undefined"),
    ],
)  # fmt: skip
def test_labels_of_the_cv_effect(effect, label):
    assert winner_gap.cv_label(effect) == label


def test_delta_norm_weighs_by_tokens_and_has_an_interval_over_prompts():
    base = [template(i, [1.0], delta=0.3, n_delta=30) for i in range(5)]
    base += [template(5, [1.0], delta=0.36, n_delta=50), template(6, [1.0], delta=None, n_delta=0)]
    pair, _ = compare(base, templates([[2.0]] * 7))
    # (150 * 0.3 + 50 * 0.36) / 200 = 63 / 200
    assert pair.delta_norm_base == pytest.approx(0.315) and pair.n_delta_norm_base == 200
    assert pair.ci_low_delta_norm_base == pytest.approx(0.3)  # the odd prompt is not drawn
    assert 0.315 < pair.ci_high_delta_norm_base < 0.36
    assert pair.delta_gate_base == "pass"
    assert pair.delta_norm_derivative == pytest.approx(0.32)
    assert pair.ci_low_delta_norm_derivative == pytest.approx(0.32)


def test_the_cv_effect_by_hand():
    """Templates c +- s on one gap have the CV s / |c|: 1/5 of the base, 2/4 of the derivative."""
    base = templates([[5, 1], [5, -1]] * 6)
    derivative = templates([[4, 2], [4, -2]] * 6)
    pair, _ = compare(base, derivative)
    assert pair.cv_base == pytest.approx(1 / 5) and pair.cv_derivative == pytest.approx(1 / 2)
    assert pair.cv_effect == pytest.approx(2.5) and pair.cv_label == "amplified"
    assert pair.centroid_norm_base == pytest.approx(5)
    assert pair.cv_reason is None
    assert pair.ci_low_cv_effect <= 2.5 <= pair.ci_high_cv_effect


def test_the_cv_is_undefined_where_the_mean_is_within_its_floor():
    base = templates([[5, 1], [5, -1]] * 6)
    noise = templates(np.random.default_rng(0).normal(size=(12, K)))
    pair, _ = compare(base, noise)
    assert pair.cv_base is not None
    assert pair.cv_derivative is None and pair.cv_effect is None
    assert pair.cv_label == "undefined"
    assert pair.cv_reason.startswith("the derivative's mean template ")
    assert pair.centroid_norm_derivative < pair.centroid_norm_floor_derivative
    flat, _ = compare(templates([[5.0]] * 12), templates([[4, 2], [4, -2]] * 6))
    assert flat.cv_base == 0 and flat.cv_effect is None
    assert flat.cv_reason == "the base's templates are all equal"


def test_a_derivative_equal_to_its_base_has_nulls_with_reasons():
    base = templates(1 + np.random.default_rng(0).normal(size=(12, K)))
    pair, prompts = compare(base, base)
    assert pair.reason == pair.class_reasons == ("the mean templates are equal: no gap has a share")
    assert pair.winner_gap_class == "not interpretable"
    for name in ("g1_share", "ci_low_g1_share", "top3_share", "cancellation_g1", "sign_p_g1"):
        assert getattr(pair, name) is None
    assert pair.mean_abs_g1 == pair.n_signif == pair.n_g1_dominant == pair.n_up_g1 == 0
    assert pair.cv_effect == 1
    assert {(p.dominant_k, p.g1_share, p.is_signif) for p in prompts} == {(None, None, False)}
    assert prompts[0].reason == "the templates are equal: no gap dominates"
    assert all(value == value for value in (getattr(pair, name) for name in pair.__slots__))


def test_a_refused_pair_keeps_its_delta_norm_and_says_why():
    pair, prompts = shifted([[1.0]] * 6, zero=0.02, delta=0.337)
    assert prompts == [] and pair.g1_share is None and pair.n_up_g1 is None
    assert pair.winner_gap_class == "not interpretable" and pair.cv_label == "undefined"
    for reason in (pair.reason, pair.class_reasons, pair.cv_reason):
        assert reason.startswith("2.0% of the gaps are exactly 0")
    assert pair.delta_gate_base == "broken extraction"  # what rounded logits do
    short, _ = compare(templates([[1.0]]), templates([[2.0]]))
    assert short.reason.startswith("1 prompts are long enough")
    assert short.delta_norm_base == 0.32 and short.ci_low_delta_norm_base is None
    assert short.delta_gate_base == "not interpretable"


def test_unknown_noise_leaves_the_oscillation_open():
    pair, prompts = shifted([[1.0], [-1.1]] * 6, se=None)
    assert prompts[0].is_signif is None and prompts[0].reason == "the noise of a text is unknown"
    assert pair.n_signif is None and pair.n_signif_up is None
    # Mean -0.05, mean size 1.05: cancellation 21; six up and six down.
    assert pair.cancellation_g1 == pytest.approx(21)
    assert pair.winner_gap_class == "sign-oscillating (noise not excluded)"
    known, _ = shifted([[1.0], [-1.1]] * 6)
    assert known.winner_gap_class == "sign-oscillating"


def test_prompts_dropped_for_the_triangle_are_dropped_here():
    base, derivative = templates([[1.0]] * 4), templates([[2.0]] * 4)
    reference = templates([[1.0]] * 3) + [template(3, [1.0], reason="short")]
    others = {"derivative": derivative, "reference": reference}
    pair, *prompts = winner_gap.measure(base, others, "forced")
    assert (pair.mode, pair.n_prompts, pair.n_prompts_dropped, len(prompts)) == ("forced", 3, 1, 3)
    assert winner_gap.measure(base, {"teacher": derivative}, "free") == []
