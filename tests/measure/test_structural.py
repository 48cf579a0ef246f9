import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from measure import models, prompts, sources, structural

NO_BAR = lambda n: None  # noqa: E731


def lengths(*rows):
    states = torch.tensor([rows], dtype=torch.float32)
    everywhere = torch.ones(states.shape[:2], dtype=torch.bool)
    return structural.resultant_length(states, everywhere).item()


def test_closed_forms_of_the_resultant_length():
    assert lengths([3, 4], [6, 8]) == pytest.approx(1)  # one direction: |9, 12| / (5 + 10)
    assert lengths([1, 0], [-1, 0]) == 0  # they cancel
    assert lengths([1, 0], [0, 1]) == pytest.approx(np.sqrt(2) / 2)
    assert lengths([3, 0], [0, 4]) == pytest.approx(5 / 7)  # magnitude counts, not direction alone


def test_null_of_unrelated_tokens_is_one_over_root_t():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn((400, 24, 512), generator=generator)
    tau = structural.resultant_length(states, torch.ones((400, 24), dtype=torch.bool))
    assert tau.mean().item() == pytest.approx(24**-0.5, abs=0.005)  # 0.204


def test_masked_tokens_do_not_count():
    states = torch.tensor([[[100.0, 0], [0, 1], [0, 2], [50, 50]]])
    mask = torch.tensor([[False, True, True, False]])
    assert structural.resultant_length(states, mask).item() == pytest.approx(1)


@given(st.integers(0, 10_000))
def test_tau_lies_in_0_to_1_and_ignores_scale(seed):
    states = torch.randn((3, 7, 5), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones((3, 7), dtype=torch.bool)
    tau = structural.resultant_length(states, mask)
    assert bool(((tau >= 0) & (tau <= 1 + 1e-12)).all())
    torch.testing.assert_close(structural.resultant_length(7.5 * states, mask), tau)


@pytest.fixture
def model(model_folder):
    return models.load(sources.find(str(model_folder())), device="cpu")


def test_a_seed_draws_the_prompts_that_the_method_says():
    bank = prompts.load("bank512")
    expected = np.random.default_rng(123).permutation(512)[:32]
    assert [p.prompt_id for p in structural.draw(bank, 123)] == [
        bank.prompts[i].prompt_id for i in expected
    ]


def test_records_equal_one_prompt_at_a_time_in_numpy(model):
    """The independent route: no batch, no padding, no hook; hidden states by transformers."""
    bank = prompts.load("bank512")
    records = list(structural.measure_unit(model, bank, "seed-1", 8, NO_BAR))
    assert [record.dim for record in records] == list(range(64))
    by_id = {prompt.prompt_id: prompt.text for prompt in bank.prompts}
    for record in records[10:20]:
        ids = torch.tensor([model.encode(by_id[record.prompt_id])])
        with torch.inference_mode():
            output = model.model.model(input_ids=ids, output_hidden_states=True)
            after = output.last_hidden_state[0, 1:]
            # Inverting the norm is not possible; the last block's output is recomputed instead.
            before = model.model.model.layers[-1](
                output.hidden_states[-2],
                position_embeddings=model.model.model.rotary_emb(
                    output.hidden_states[-2], torch.arange(ids.shape[1])[None]
                ),
            )[0, 1:]
        states = (before if record.site == "A" else after).double().numpy()
        expected = np.linalg.norm(states.sum(0)) / np.linalg.norm(states, axis=1).sum()
        assert record.tau == pytest.approx(expected, abs=1e-6)
        assert record.n_tokens == ids.shape[1] - 1


def test_the_rerun_is_in_other_batches_and_agrees_to_rounding(model):
    bank = prompts.load("bank512")
    records = list(structural.measure_unit(model, bank, "seed-0", 8, NO_BAR))
    differences = np.array([record.tau - record.tau_rerun for record in records])
    assert np.linalg.norm(differences) < 1e-4  # the gate of eps_measured
    assert all(1 <= structural.rerun_batch_size(n) < n for n in range(2, 65))


def test_the_rerun_needs_no_more_room_than_the_run(model, monkeypatch):
    """A device with room for one prompt gets its tau, and its rerun in other shapes."""
    shapes = []
    real = models.CausalLM.states

    def states(self, batch, cache=None):
        shapes.append(tuple(batch.ids.shape))
        return real(self, batch, cache)

    monkeypatch.setattr(models.CausalLM, "states", states)
    list(structural.measure_unit(model, prompts.load("bank512"), "seed-0", 1, NO_BAR))
    runs = sorted(shapes[:32]), sorted(shapes[32:])  # the first goes by length
    assert {rows for rows, _ in shapes} == {1}
    assert all(again == once + 1 for (_, once), (_, again) in zip(*runs, strict=True))


def test_a_prompt_of_one_token_has_no_tau_and_says_why(model):
    both = (prompts.Prompt("p", "c", "x"), prompts.Prompt("q", "c", "xyz"))
    bank = prompts.PromptSet("own", both)
    records = list(structural.measure_unit(model, bank, "seed-0", 8, NO_BAR))
    short = [record for record in records if record.prompt_id == "p"]
    assert [record.tau for record in short] == [None, None]
    assert "no token is left" in short[0].reason
    assert all(record.tau is not None for record in records if record.prompt_id == "q")


def test_the_null_pair_is_a_model_and_itself(model):
    bank = prompts.load("bank512")
    runs = [list(structural.measure_unit(model, bank, "seed-2", 8, NO_BAR)) for _ in range(2)]
    assert [record.tau for record in runs[0]] == [record.tau for record in runs[1]]


def test_progress_counts_every_pass_once(model):
    counted = []
    list(structural.measure_unit(model, prompts.load("bank512"), "seed-0", 5, counted.append))
    assert sum(counted) == 2 * structural.PROMPTS_PER_SEED


# --- alternatives ---------------------------------------------------------------------------------


def test_closed_forms_of_the_alternatives():
    everywhere = torch.ones((1, 3), dtype=torch.bool)
    norms = torch.tensor([[[3.0, 4], [0, 5], [8, 6]]])  # 5, 5, 10: mean 20/3, variance 50/9
    assert structural.norm_variation(norms, everywhere).item() == pytest.approx(
        np.sqrt(50) / 3 / (20 / 3)
    )
    # cosines: (3, 4)(0, 5): 20/25; (3, 4)(8, 6): 48/50; (0, 5)(8, 6): 30/50
    assert structural.mean_cosine(norms, everywhere).item() == pytest.approx((0.8 + 0.96 + 0.6) / 3)


def test_one_token_has_no_cosine_and_masked_ones_do_not_count():
    states = torch.tensor([[[1.0, 0], [0, 1], [0, 2], [-9, 9]]])
    two = torch.tensor([[False, True, True, False]])
    assert structural.mean_cosine(states, two).item() == pytest.approx(1)
    assert structural.norm_variation(states, two).item() == pytest.approx(0.5 / 1.5)
    one = torch.tensor([[True, False, False, False]])
    assert np.isnan(structural.mean_cosine(states, one).item())


@pytest.mark.parametrize("tau", ["gap", "cv_cos"])
def test_alternatives_equal_one_prompt_at_a_time_in_numpy(model, tau):
    """The independent route: no batch and no padding, the definitions spelt out pair by pair."""
    bank = prompts.load("bank512")
    records = list(structural.measure_unit(model, bank, "seed-1", 8, NO_BAR, tau))
    assert [record.dim for record in records] == list(range(64))
    n_prompts = {"gap": 32, "cv_cos": 16}[tau]
    order = np.random.default_rng(1).permutation(512)[:n_prompts]
    assert [r.prompt_id for r in records[:: 64 // n_prompts]] == [
        bank.prompts[i].prompt_id for i in order
    ]
    head = model.model.get_output_embeddings().weight.detach().double().numpy()
    for position in (0, 5):
        ids = model.encode(bank.prompts[order[position]].text)
        states = model.states(model.pad([ids]))
        expected = []
        for at_site in (states.before_norm, states.after_norm):
            x = at_site[0, 1:].double().numpy()
            if tau == "gap":
                gaps = -np.diff(-np.sort(-(x @ head.T), axis=1)[:, :5], axis=1)[:, 1:]
                expected.append(np.mean(gaps[:, 1] / gaps.sum(1)))
            else:
                norms = np.linalg.norm(x, axis=1)
                pairs = [
                    x[i] @ x[j] / (norms[i] * norms[j]) for i in range(len(x)) for j in range(i)
                ]
                expected += [norms.std() / norms.mean(), np.mean(pairs)]
        own = [
            record
            for record in records
            if record.prompt_id == bank.prompts[order[position]].prompt_id
        ]
        assert [record.tau for record in own] == pytest.approx(expected, abs=2e-4)
        assert [record.site for record in own] == sorted(record.site for record in own)


def test_another_tau_is_another_measurement():
    bank = prompts.load("bank512")
    ids = {
        structural.plan("m", bank, tau=tau).measurement_id for tau in ("resultant", "gap", "cv_cos")
    }
    assert len(ids) == 3
