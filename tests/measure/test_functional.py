import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from measure import functional, models, prompts, sources
from measure.functional import K
from tests.conftest import N_TOKENS

RANKS = np.arange(1, K + 1)
NO_BAR = lambda n: None  # noqa: E731


def test_exact_poisson_gaps_leave_no_residual():
    gaps = np.array([3.0, 0.5])[:, None] / RANKS  # G_k = beta / k
    np.testing.assert_allclose(functional.ppp_scale(gaps), [3.0, 0.5])
    np.testing.assert_allclose(functional.ppp_residual(gaps), 0, atol=1e-12)


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


def test_the_fit_is_unbiased_with_the_variance_of_the_method():
    rng = np.random.default_rng(0)
    gaps = rng.exponential(2.0 / RANKS, size=(40_000, K))
    scale = functional.ppp_scale(gaps)
    assert scale.mean() == pytest.approx(2.0, rel=0.01)
    assert scale.std() == pytest.approx(2.0 / np.sqrt(K), rel=0.02)  # 0.224 beta


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
    _, chosen = functional.greedy(model, rows)
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
    tops, chosen = functional.greedy(model, rows)
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


def test_forced_templates_by_a_full_pass(model, chunk):
    """The independent route on given text: every byte is a token, all logits at once."""
    texts = {prompt.prompt_id: " and so it went on for a while" for prompt in chunk}
    own = prompts.PromptSet("own", chunk)
    records = list(functional.measure_unit(model, own, "prompts-000-004", 3, NO_BAR, texts))
    for prompt, record in zip(chunk, records, strict=True):
        text = texts[prompt.prompt_id]
        assert record.n_tokens == len(text)
        assert record.n_prompt_tokens == len(prompt.text)
        with torch.inference_mode():
            logits = model.model(torch.tensor([model.encode(prompt.text + text)])).logits[0]
        top = logits[len(prompt.text) - 1 : -1].topk(K + 1).values.double().numpy()
        gaps = top[:, :-1] - top[:, 1:]
        beta = (gaps * RANKS).sum(1) / K
        expected = (gaps - beta[:, None] / RANKS).mean(0)
        np.testing.assert_allclose(record.template, expected, atol=2e-4)
        assert record.beta_mean == pytest.approx(beta.mean(), abs=2e-4)


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
