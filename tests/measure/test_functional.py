import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from measure import decoding, functional, models, prompts, sources
from measure.functional import K
from measure.records import PppFit
from tests.conftest import N_TOKENS

RANKS = np.arange(1, K + 1)
NO_BAR = lambda n: None  # noqa: E731
FITS = get_args(PppFit)


def by_least_squares(gaps, fit):
    """The scale of one token by another route: least squares on 1/k, or on a constant in logs.

    Of the normal equation of weights v, sum v_k (G_k - beta/k) / k = 0, follows what each v_k is.
    """
    if fit == "log":
        (beta,), *_ = np.linalg.lstsq(np.ones((K, 1)), np.log(gaps) + np.log(RANKS))
        return np.exp(beta)
    v = {"ols": RANKS**0, "sum": RANKS, "ml": RANKS**2, "tail2": RANKS**2 * (RANKS > 1)}[fit]
    (beta,), *_ = np.linalg.lstsq((np.sqrt(v) / RANKS)[:, None], np.sqrt(v) * gaps)
    return beta


@pytest.mark.parametrize("fit", FITS)
def test_exact_poisson_gaps_leave_no_residual(fit):
    gaps = np.array([3.0, 0.5])[:, None] / RANKS  # G_k = beta / k
    np.testing.assert_allclose(functional.ppp_scale(gaps, fit), [3.0, 0.5])
    np.testing.assert_allclose(functional.ppp_residual(gaps, fit), 0, atol=1e-12)
    assert functional.ppp_residual(np.empty((0, K)), fit).shape == (0, K)


def test_each_fit_of_two_gaps_by_hand():
    """G = (5, 2): k G_k = (5, 4), an estimate of the scale each."""
    gaps = np.array([[5.0, 2.0]])
    expected = {
        "ml": 9 / 2,
        "sum": 7 / 1.5,  # 5 + 2 over 1 + 1/2
        "ols": 6 / 1.25,  # 5 + 2/2 over 1 + 1/4
        "tail2": 4,
        "log": math.sqrt(20),
    }
    assert expected.keys() == set(FITS)
    for fit, scale in expected.items():
        assert functional.ppp_scale(gaps, fit).item() == pytest.approx(scale)


@pytest.mark.parametrize("fit", FITS)
def test_each_fit_by_least_squares(fit):
    """The independent route; and every scale goes with 1 / temperature."""
    gaps = np.random.default_rng(3).exponential(2.0 / RANKS, size=(50, K))
    found = functional.ppp_scale(gaps, fit)
    np.testing.assert_allclose(found, [by_least_squares(token, fit) for token in gaps])
    np.testing.assert_allclose(functional.ppp_scale(gaps / 4, fit), found / 4)


@pytest.mark.parametrize(
    ("fit", "bump", "most"),
    [("ols", 0.373, 0.3735), ("sum", 0.919, 0.95), ("ml", 0.998, 0.99965), ("tail2", 1, 1)],
)
def test_the_share_of_the_winner_gap_has_the_bounds_of_the_method(fit, bump, most):
    """Methods: of a pure bump of G_1, and of all the residuals there are, which span a plane."""
    every = functional.ppp_residual(np.eye(K), fit)
    assert every[0, 0] ** 2 / (every[0] ** 2).sum() == pytest.approx(bump, abs=5e-4)
    _, size, axes = np.linalg.svd(every)
    assert np.linalg.matrix_rank(every) == K - 1 and size[-1] < 1e-9
    # The largest share of a coordinate in a plane is its unit vector's projection onto it.
    assert (axes[:-1, 0] ** 2).sum() == pytest.approx(most, abs=5e-6 if fit == "ml" else 5e-5)


def test_log_takes_the_gaps_that_are_not_zero():
    """k G_k = (4, 0, 1): the geometric mean of 4 and 1. Of ties alone it is 0."""
    gaps = np.array([[4.0, 0, 1 / 3], [0, 0, 0]])
    np.testing.assert_allclose(functional.ppp_scale(gaps, "log"), [2, 0])
    np.testing.assert_allclose(functional.ppp_residual(gaps, "log")[0], [2, -1, -1 / 3])
    np.testing.assert_allclose(functional.ppp_residual(gaps, "log")[1], 0)


@given(hnp.arrays(np.float64, (5, K), elements=st.floats(0, 50)))
def test_the_residual_obeys_the_constraint_of_the_fit(gaps):
    residual = functional.ppp_residual(gaps)
    np.testing.assert_allclose((residual * RANKS).sum(1), 0, atol=1e-9)


def test_a_bump_of_the_winner_gap_stays_at_the_winner_gap():
    """By hand: +1 in G_1 moves beta by 1/20, so R_1 by 19/20 and R_k by -1/(20 k)."""
    residual = functional.ppp_residual(np.eye(1, K))[0]
    expected = np.where(RANKS == 1, 19 / 20, -1 / (20 * RANKS))
    np.testing.assert_allclose(residual, expected)
    shares = np.sort(residual**2)[::-1] / (residual**2).sum()
    assert shares[0] == pytest.approx(0.998, abs=5e-4)  # methods: 0.998, top three 0.9993
    assert shares[:3].sum() == pytest.approx(0.9993, abs=5e-5)


# On noise the k G_k are independent, with mean and sd beta. Their weighted mean has the mean beta
# and the sd beta sqrt(sum w^2) / sum w; E^(1/K) of an exponential E has the moments
# Gamma(1 + m/K).
NOISE = {
    "ml": (1, 1 / math.sqrt(K)),  # methods: 0.224
    "sum": (1, math.sqrt((1.0 / RANKS**2).sum()) / (1.0 / RANKS).sum()),
    "ols": (1, math.sqrt((1.0 / RANKS**4).sum()) / (1.0 / RANKS**2).sum()),  # methods: 0.653
    "tail2": (1, 1 / math.sqrt(K - 1)),
    "log": (
        math.gamma(1 + 1 / K) ** K,
        math.sqrt(math.gamma(1 + 2 / K) ** K - math.gamma(1 + 1 / K) ** (2 * K)),
    ),
}


@pytest.mark.parametrize("fit", FITS)
def test_noise_has_the_scale_and_the_variance_of_the_fit(fit):
    """The null: the mean residual is 0 where the fit is unbiased, else the bias over k."""
    gaps = np.random.default_rng(0).exponential(2.0 / RANKS, size=(40_000, K))
    scale = functional.ppp_scale(gaps, fit)
    mean, sd = NOISE[fit]
    # Four standard errors of 40,000 tokens.
    assert scale.mean() == pytest.approx(2 * mean, abs=4 * 2 * sd / 200)
    assert scale.std() == pytest.approx(2 * sd, rel=0.03)
    residual = functional.ppp_residual(gaps, fit)
    expected = 2 * (1 - mean) / RANKS
    assert np.abs(residual.mean(0) - expected).max() < 4 * residual.std(0).max() / 200


def test_gaps_ignore_log_softmax_and_scale_with_temperature():
    logits = torch.randn((6, 90), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    top = logits.topk(K + 1).values
    gaps = functional.gaps_of(top)
    np.testing.assert_allclose(functional.gaps_of(logits.log_softmax(-1).topk(K + 1).values), gaps)
    np.testing.assert_allclose(functional.gaps_of(top / 2), gaps / 2)


def test_delta_norm_of_pure_noise_is_twelve_log_two_less_eight():
    rng = np.random.default_rng(1)
    gaps = rng.exponential(1 / RANKS, size=(200_000, K))
    deltas = functional.delta_norms(gaps)
    # sd per token 0.233: three standard errors of 200,000 tokens are 0.0016.
    assert deltas.mean() == pytest.approx(12 * np.log(2) - 8, abs=0.0016)


def test_delta_norm_leaves_out_zero_denominators():
    gaps = np.zeros((2, K))
    gaps[1, 1:4] = [1, 2, 1]
    np.testing.assert_allclose(functional.delta_norms(gaps), [0.5])


def test_split_half_distance_by_hand():
    """Two blocks: every split is block one against block two, 3 and 1 on the first gap."""
    residuals = np.zeros((16, K))
    residuals[:8, 0], residuals[8:, 0] = 3.0, 1.0
    rng = np.random.default_rng(0)
    assert functional.split_half_distance(residuals, rng) == pytest.approx(2.0)
    assert functional.split_half_distance(residuals[:8], rng) is None
    assert functional.split_half_distance(np.ones((64, K)), rng) == pytest.approx(0)


def test_the_block_standard_error_by_hand():
    """Blocks of 8, 8 and 4 tokens with values 1, 3 and 2: mean 40/20 = 2, excess -8, 8 and 0."""
    values = np.repeat([1.0, 3.0, 2.0], [8, 8, 4])
    expected = np.sqrt(3 / 2 * (64 + 64)) / 20
    assert functional.block_standard_error(values) == pytest.approx(expected)
    # Two whole blocks, 0 and 2: the sample variance of their means, 2, over 2.
    assert functional.block_standard_error(np.repeat([0.0, 2.0], 8)) == pytest.approx(1.0)
    assert functional.block_standard_error(values[:8]) is None
    assert functional.block_standard_error(np.ones(20)) == 0


def test_the_block_standard_error_by_drawing_blocks():
    """The independent route: the bootstrap itself, a ragged last block as likely as the others."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=60) + np.repeat(rng.normal(size=8), 8)[:60]
    blocks = np.split(values, range(8, 60, 8))
    means = [
        np.concatenate([blocks[i] for i in rng.integers(8, size=8)]).mean() for _ in range(20_000)
    ]
    expected = np.std(means) * np.sqrt(8 / 7)
    assert functional.block_standard_error(values) == pytest.approx(expected, rel=0.03)


def test_the_block_standard_error_of_independent_tokens():
    """The mean of 64 tokens of sd 3 has the standard error 3/8, whatever the blocks."""
    rng = np.random.default_rng(1)
    squares = [functional.block_standard_error(rng.normal(0, 3, 64)) ** 2 for _ in range(4000)]
    # Eight blocks: a relative sd of sqrt(2/7) each, three standard errors of 4,000 are 2.5 %.
    assert np.mean(squares) == pytest.approx(9 / 64, rel=0.026)


@pytest.fixture(scope="module")
def model(model_folder):
    return models.load(sources.find(str(model_folder("llama", 3))), device="cpu")


@pytest.fixture(scope="module")
def chunk():
    return prompts.load("canonical40").prompts[:5]


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "mistral", "gemma2"])
def test_greedy_equals_transformers_own_generation(model_folder, chunk, architecture):
    """The independent route: `generate`, a prompt at a time, without our cache, padding, head."""
    model = models.load(sources.find(str(model_folder(architecture, 3))), device="cpu")
    rows = [model.encode(prompt.text) for prompt in chunk]
    _, chosen = decoding.greedy(model, rows, K + 1, functional.MAX_NEW_TOKENS)
    for row, new_ids in zip(rows, chosen, strict=True):
        ids = torch.tensor([row])
        whole = model.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=64,
            pad_token_id=0,
        )[0, len(row) :].tolist()  # fmt: skip
        end = whole.index(N_TOKENS - 1) if N_TOKENS - 1 in whole else len(whole)
        assert new_ids == whole[:end]


def test_gaps_while_generating_equal_gaps_of_one_full_pass(model, chunk):
    rows = [model.encode(prompt.text) for prompt in chunk]
    tops, chosen = decoding.greedy(model, rows, K + 1, functional.MAX_NEW_TOKENS)
    for index, (row, new_ids) in enumerate(zip(rows, chosen, strict=True)):
        ids = torch.tensor([row + new_ids])
        with torch.inference_mode():
            logits = model.model(ids).logits[0, len(row) - 1 : -1]
        expected = functional.gaps_of(logits.topk(K + 1).values)
        found = functional.gaps_of(tops[index, : len(new_ids)])
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_forced_on_ones_own_text_equals_free(chunk):
    """A trained model's text reads back as the tokens it was made of, seldom otherwise."""
    base = models.load(sources.find("zoo:llama-base"), device="cpu")
    own = prompts.PromptSet("own", chunk)
    free = list(functional.measure_unit(base, own, "prompts-000-004", 5, NO_BAR))
    texts = {record.prompt_id: record.text for record in free}
    forced = list(functional.measure_unit(base, own, "prompts-000-004", 2, NO_BAR, texts))
    same = [(a, b) for a, b in zip(free, forced, strict=True) if a.n_tokens == b.n_tokens]
    assert len(same) >= 3
    for a, b in same:
        assert (a.mode, b.mode, a.text) == ("free", "forced", b.text)
        np.testing.assert_allclose(a.template, b.template, atol=2e-3)


@pytest.mark.parametrize("fit", FITS)
def test_forced_templates_by_a_full_pass(model, chunk, fit):
    """The independent route on given text: every byte is a token, all logits at once."""
    texts = {prompt.prompt_id: " and so it went on for a while" for prompt in chunk}
    own = prompts.PromptSet("own", chunk)
    records = list(functional.measure_unit(model, own, "prompts-000-004", 3, NO_BAR, texts, fit))
    for prompt, record in zip(chunk, records, strict=True):
        text = texts[prompt.prompt_id]
        assert record.n_tokens == len(text)
        assert record.n_prompt_tokens == len(prompt.text)
        with torch.inference_mode():
            logits = model.model(torch.tensor([model.encode(prompt.text + text)])).logits[0]
        top = logits[len(prompt.text) - 1 : -1].topk(K + 1).values.double().numpy()
        gaps = top[:, :-1] - top[:, 1:]
        beta = np.array([by_least_squares(token, fit) for token in gaps])
        residual = gaps - beta[:, None] / RANKS
        np.testing.assert_allclose(record.template, residual.mean(0), atol=2e-4)
        assert record.beta_mean == pytest.approx(beta.mean(), abs=2e-4)
        # The noise of a template is that of its own residuals.
        expected = functional.block_standard_error(residual[:, 0])
        assert record.winner_gap_se == pytest.approx(expected, abs=2e-4)


def test_a_short_text_is_kept_with_its_reason(model, chunk):
    own = prompts.PromptSet("own", chunk[:1])
    texts = {chunk[0].prompt_id: "too short"}
    (record,) = functional.measure_unit(model, own, "prompts-000-000", 1, NO_BAR, texts)
    assert record.reason == "9 tokens in the given text, 16 are needed"
    assert record.template is not None
    (empty,) = functional.measure_unit(model, own, "prompts-000-000", 1, NO_BAR, {})
    assert (empty.n_tokens, empty.template, empty.zero_gap_frac) == (0, None, None)
    assert empty.reason == "0 tokens in the given text, 16 are needed"


def test_batches_change_no_template(model):
    bank = prompts.load("canonical40")
    runs = [
        list(functional.measure_unit(model, bank, "prompts-000-019", size, NO_BAR))
        for size in (20, 7)
    ]
    for a, b in zip(*runs, strict=True):
        assert a.text == b.text
        np.testing.assert_allclose(a.template, b.template, atol=2e-4)


def test_rounded_logits_show_as_zero_gaps():
    """Near 24 the bf16 step is 0.125: most of the top gaps of a large vocabulary vanish."""
    generator = torch.Generator().manual_seed(0)
    logits = 20 + torch.randn((50, 32_000), generator=generator)
    exact = functional.gaps_of(logits.topk(K + 1).values)
    rounded = functional.gaps_of(logits.bfloat16().float().topk(K + 1).values)
    assert (exact == 0).mean() < 0.001
    assert (rounded == 0).mean() > 0.3
