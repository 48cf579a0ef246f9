import numpy as np
import pytest
import torch

from measure import fisher, models, prompts, sources, structural
from measure.errors import OutOfMemory
from tests.conftest import ARCHITECTURES

NO_BAR = lambda n: None  # noqa: E731
TEXT = "the quick brown fox jumps over the lazy dog"


@pytest.fixture
def load(model_folder):
    return lambda name: models.load(sources.find(str(model_folder(name))), device="cpu")


def own_states(model, text=TEXT):
    """States at site B after position 0."""
    return model.states(model.pad([model.encode(text)])).after_norm[0, 1:]


def test_two_tokens_by_hand():
    """p = 3/4, 1/4; slopes 5 and 1: mean 4, variance 3/4 * 1 + 1/4 * 9 = 3."""
    z = torch.tensor([[3.0, 1]], dtype=torch.float64).log()
    a = torch.tensor([[5.0, 1]], dtype=torch.float64)
    assert fisher.variance(z, a).item() == pytest.approx(3)


def test_one_slope_for_all_tokens_bends_nothing():
    """Logits that all move alike change no probability."""
    z = torch.randn((4, 50), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for slope in (0.0, 7.5):
        assert fisher.variance(z, torch.full_like(z, slope)).abs().max() < 1e-24


def test_the_direction_is_the_gradient_of_tau():
    x = torch.randn((9, 16), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    last = x[-1].clone().requires_grad_()
    states = torch.cat([x[:-1], last[None]])
    everywhere = torch.ones((1, 9), dtype=torch.bool)
    tau = structural.resultant_length(states[None], everywhere)[0]
    tau.backward()
    found_tau, u = fisher.tau_and_direction(x)
    assert found_tau == pytest.approx(tau.item())
    torch.testing.assert_close(u, last.grad / last.grad.norm())
    assert u.norm().item() == pytest.approx(1)


def test_the_direction_by_hand():
    """States (1, 0), (0, 1): S/|S| = (1, 1)/sqrt 2, tau h/|h| = (0, 1)/sqrt 2, so u = (1, 0)."""
    tau, u = fisher.tau_and_direction(torch.tensor([[1.0, 0], [0, 1]]))
    assert tau == pytest.approx(np.sqrt(2) / 2)
    torch.testing.assert_close(u, torch.tensor([1.0, 0], dtype=torch.float64))


@pytest.mark.parametrize("states", [[[3.0, 4]], [[1.0, 2], [2, 4], [3, 6]]])
def test_where_tau_is_1_it_has_no_direction(states):
    assert fisher.tau_and_direction(torch.tensor(states))[1].isnan().all()


def float64_head(model):
    """The head from transformers' own weights and configuration, in float64."""
    config = model.model.config
    head = model.model.get_output_embeddings().weight.detach().double()

    def logits(h):
        z = head @ h * getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)
        cap = getattr(config, "final_logit_softcapping", None)
        return z if cap is None else cap * torch.tanh(z / cap)

    return logits


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_kappa_is_the_fisher_information_along_u(load, architecture):
    """The independent route: F = sum_v p_v g_v g_v' from the Jacobian of the log-probabilities."""
    model = load(architecture)
    states = own_states(model)
    h, u = states[-1], fisher.tau_and_direction(states)[1]
    logits = float64_head(model)
    jacobian = torch.func.jacrev(lambda x: logits(x).log_softmax(-1))(h.double())
    p = logits(h.double()).softmax(-1)
    expected = u @ (jacobian.T @ (p[:, None] * jacobian)) @ u
    found = fisher.curvature(model, h[None], u[None])
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    assert found.item() > 0


def test_the_soft_cap_changes_kappa(load):
    """Else the identity above would pass with a slope that ignores it."""
    model = load("gemma2")
    states = own_states(model)
    h, u = states[-1:], fisher.tau_and_direction(states)[1][None]
    z, a = fisher.slopes(model, h, u)
    plain = u @ model.model.get_output_embeddings().weight.detach().double().T
    assert not torch.allclose(a, plain, rtol=1e-2)
    torch.testing.assert_close(a, (1 - (z / 3) ** 2) * plain, rtol=1e-4, atol=1e-5)


def test_few_rows_at_a_time_give_the_same(load, monkeypatch):
    model = load("llama")
    states = own_states(model)
    u = torch.randn(states.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    whole = fisher.curvature(model, states, u)
    monkeypatch.setattr(fisher, "MAX_LOGITS", 1)
    torch.testing.assert_close(fisher.curvature(model, states, u), whole, rtol=1e-5, atol=1e-7)


def test_records_are_those_of_one_prompt_at_a_time(load):
    model, bank = load("llama"), prompts.load("bank512")
    records = list(fisher.measure_unit(model, bank, "seed-1", 5, NO_BAR))
    drawn = structural.draw(bank, 1)
    assert [record.prompt_id for record in records] == [prompt.prompt_id for prompt in drawn]
    for record, prompt in list(zip(records, drawn, strict=True))[:6]:
        states = own_states(model, prompt.text)
        u = fisher.tau_and_direction(states)[1]
        kappa = fisher.curvature(model, states[-1:], u[None]).item()
        assert record.n_tokens == len(states)
        assert record.kappa == pytest.approx(kappa, rel=1e-3)
        assert record.state_norm == pytest.approx(states[-1].norm().item(), rel=1e-5)


def test_tau_is_the_structural_one(load):
    model, bank = load("gpt2"), prompts.load("bank512")
    records = structural.measure_unit(model, bank, "seed-0", 8, NO_BAR)
    theirs = {record.prompt_id: record.tau for record in records if record.site == "B"}
    for prompt in structural.draw(bank, 0)[:6]:
        tau, _ = fisher.tau_and_direction(own_states(model, prompt.text))
        assert tau == pytest.approx(theirs[prompt.prompt_id], abs=1e-6)


def test_short_prompts_have_no_kappa_and_say_why(load):
    texts = {"none": "x", "one": "xy", "two": "xyz"}
    own = prompts.PromptSet("own", tuple(prompts.Prompt(k, "c", v) for k, v in texts.items()))
    records = fisher.measure_unit(load("llama"), own, "seed-0", 8, NO_BAR)
    found = {record.prompt_id: record for record in records}
    assert found["none"].kappa is found["one"].kappa is None
    assert found["none"].state_norm is None and found["one"].state_norm > 0
    assert "1 tokens are left after position 0" in found["one"].reason
    assert found["two"].kappa > 0 and found["two"].reason is None


def test_a_bias_under_a_soft_cap_has_no_known_slope_and_says_so(load, monkeypatch):
    model = load("gemma2")
    monkeypatch.setattr(model, "_bias", torch.full((model.card.vocab_size,), 0.5))
    (record, *_) = fisher.measure_unit(model, prompts.load("bank512"), "seed-0", 4, NO_BAR)
    assert record.kappa is None and "a bias under its soft-cap" in record.reason


def test_memory_that_runs_out_in_the_head_is_named(load, monkeypatch):
    model = load("llama")

    def logits(after_norm):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "logits", logits)
    with pytest.raises(OutOfMemory) as caught:
        list(fisher.measure_unit(model, prompts.load("bank512"), "seed-0", 4, NO_BAR))
    assert caught.value.batch_size == 4


def test_progress_counts_every_prompt_once(load):
    counted = []
    list(fisher.measure_unit(load("llama"), prompts.load("bank512"), "seed-0", 5, counted.append))
    assert sum(counted) == structural.PROMPTS_PER_SEED


def record(prompt_id, kappa):
    return fisher.FisherCurvature(
        seed=0, prompt_id=prompt_id, category="c", n_tokens=9, state_norm=2.0, kappa=kappa,
        reason=None if kappa is not None else "why",
    )  # fmt: skip


def test_the_summary_by_hand():
    """Prompt a is drawn by two seeds and counts once; d has no kappa."""
    records = [record("a", 10.0), record("a", 10.0), record("b", 20.0), record("d", None)]
    found = fisher.summarize(records)
    assert (found.n_prompts, found.kappa_f, found.rho_f) == (2, 15.0, 1.5)
    assert found.kappa_norm2_mean == 60  # |h| is 2
    assert (found.halves_ratio, found.is_repeatable) == (2.0, True)  # one prompt a half
    # Of the 4 pairs that can be drawn, 10, 10 and 20, 20 are a quarter each.
    assert (found.ci_low_kappa_f, found.ci_high_kappa_f) == (10, 20)
    assert (found.fisher_status, found.reason) == ("Fisher-dominated", None)


def test_a_ratio_above_3_is_not_repeatable():
    assert fisher.summarize([record("a", 1.0), record("b", 3.0)]).is_repeatable
    assert not fisher.summarize([record("a", 1.0), record("b", 3.1)]).is_repeatable


@pytest.mark.parametrize("records", [[], [record("d", None)], [record("a", 5.0)]])
def test_too_few_prompts_leave_numbers_null_with_a_reason(records):
    found = fisher.summarize(records)
    assert found.halves_ratio is found.ci_low_kappa_f is found.is_repeatable is None
    assert "at least 2 are needed" in found.reason


# Published (kappa_F, rho_F); the family of each row follows from the published verdict, the
# scar is the middle of a published range of non-max scars (Coslett 2026).
PUBLISHED = [
    fisher.FisherRow(family="Mistral", kappa_f=153.67, rho_f=15.37, scar=7967.0),
    fisher.FisherRow(family="Qwen", kappa_f=60.26, rho_f=6.03, scar=482.0),
    fisher.FisherRow(family="Qwen", kappa_f=25.73, rho_f=2.57, scar=146.0),
    fisher.FisherRow(family="Llama", kappa_f=8.60, rho_f=0.86, scar=1982.0),
]


def test_the_published_rows_have_their_damping_and_status():
    for row in PUBLISHED:
        assert row.kappa_f / fisher.DAMPING == pytest.approx(row.rho_f, abs=0.005)
    statuses = [fisher.status(row.rho_f)[0] for row in PUBLISHED]
    assert statuses == ["F", "F", "F", "D"]


def test_all_published_rows_do_not_order():
    found = fisher.ordering(PUBLISHED, exclude_damped=False)
    assert found.label == "does not order"
    assert found.broken == ("Llama > Qwen",)


def test_without_the_damped_row_mistral_above_qwen_holds():
    found = fisher.ordering(PUBLISHED)
    assert found.label == "orders in part"
    assert (found.held, found.broken) == (("Mistral > Qwen",), ())
    assert found.not_comparable == ("Llama",)
    assert found.reasons[0] == "Llama is not comparable: rho_F < 1"


def test_fewer_than_two_families_are_not_comparable():
    assert fisher.ordering(PUBLISHED[1:]).label == "not comparable"
    assert fisher.ordering([]).label == "not comparable"
