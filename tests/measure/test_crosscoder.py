"""The crosscoder: arithmetic by hand, training on planted features, resuming, gates."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from measure import latent_report, latents
from measure.crosscoder import Crosscoder
from measure.crosscoder_training import (
    Settings,
    Trainer,
    settings_for,
    train_steps,
    unexplained,
)
from measure.errors import BadInput
from tests.measure import planted

D = 24
QUICK = Settings(
    n_latents=40, n_steps=700, k=3, batch_size=256, lr=3e-3, warmup_steps=30,
    dead_after_tokens=10_000, threshold_from_step=100, threshold_decay=0.99,
)  # fmt: skip


# --- by hand ------------------------------------------------------------------------------------


def by_hand(sparsity="batchtopk", k=1) -> Crosscoder:
    """Width 2, three latents: e1 in both models, e2 of the distilled alone, e1 of the base."""
    made = Crosscoder(2, 3, sparsity=sparsity, k=k)
    rows = torch.tensor([[[1.0, 0], [1, 0]], [[0, 0], [0, 2]], [[3, 0], [0, 0]]])
    with torch.no_grad():
        made.W_dec.copy_(rows)
        made.W_enc.copy_(rows.permute(1, 2, 0))
        made.b_enc.copy_(torch.tensor([0.0, -1, 0]))
        made.b_dec.copy_(torch.tensor([[0.0, 0], [0, 5]]))
    return made


X = torch.tensor([[[1.0, 0], [2, 1]], [[0, 0], [-1, 1]]])


def test_encoder_and_decoder():
    made = by_hand()
    # Token 0: 1 + 2 = 3; 2 * 1 - 1 = 1; 3 * 1 = 3. Token 1: ReLU(-1) = 0; 2 - 1 = 1; 0.
    dense = made.dense(X)
    assert dense.tolist() == [[3, 1, 3], [0, 1, 0]]
    # 3 (1, 0) + 3 (3, 0) in the base; 3 (1, 0) + 1 (0, 2) + (0, 5) in the distilled.
    assert made.decode(dense)[0].tolist() == [[12, 0], [3, 7]]
    assert made.norms().tolist() == [[1, 1], [0, 2], [3, 0]]


def test_batch_topk_keeps_the_largest_of_the_whole_batch():
    made = by_hand(k=1)
    kept, dense, least = made.encode_batch(X)
    # f w: token 0 has 3 * 2 = 6, 1 * 2 = 2, 3 * 3 = 9; token 1 has 0, 2, 0. Two tokens keep two.
    assert kept.tolist() == [[3, 0, 3], [0, 0, 0]]
    assert least.item() == 6
    assert dense.tolist() == [[3, 1, 3], [0, 1, 0]]


def test_what_does_not_fire_is_not_kept():
    kept, _, least = by_hand(k=3).encode_batch(X)  # 6 may be kept, 4 fire
    assert (kept > 0).sum() == 4
    assert least.item() == 0


def test_inference_compares_with_the_stored_threshold():
    made = by_hand()
    made.threshold.fill_(2.0)  # f w has to be above it: of 6, 2, 9 and 2 the two larger
    assert made.encode(X).tolist() == [[3, 0, 3], [0, 0, 0]]
    assert by_hand("l1").encode(X).tolist() == [[3, 1, 3], [0, 1, 0]]


def test_a_new_one_is_tied_and_has_rows_of_norm_008():
    made = Crosscoder(8, 5, seed=3)
    torch.testing.assert_close(made.norms(), torch.full((5, 2), 0.08))
    assert torch.equal(made.W_dec[:, 0], made.W_dec[:, 1])
    assert torch.equal(made.W_enc, made.W_dec.permute(1, 2, 0))
    assert not torch.equal(made.W_dec, Crosscoder(8, 5, seed=4).W_dec)


def test_unexplained_by_hand():
    x = torch.tensor([[[0.0], [1]], [[2], [1]]])  # base: 0 and 2, variance sum 2; distilled: none
    assert unexplained(x, x) == (0, 0)
    mean = torch.tensor([[[1.0], [1]], [[1], [1]]])
    assert unexplained(x, mean) == (1, 0)


# --- NRN and latent scaling ---------------------------------------------------------------------


def test_nrn_and_classes():
    found = latents.nrn(torch.tensor([1.0, 3, 0, 0]), torch.tensor([1.0, 1, 2, 0])).tolist()
    assert found[:3] == [0.5, 0.25, 1.0] and math.isnan(found[3])
    assert [latents.class_of(x) for x in (0, 0.0999, 0.1, 0.4, 0.6, 0.61, 0.9, 0.91, None)] == [
        "base-only", "base-only", "between", "shared", "shared", "between", "between",
        "distilled-only", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("nrn", "eps", "r", "answer"),
    [(0.95, 0.1, 0.4, True), (0.95, 0.2, 0.4, False), (0.95, 0.1, 0.5, False),
     (0.95, None, 0.1, None), (0.9, 0.0, 0.0, None)],
)  # fmt: skip
def test_genuine(nrn, eps, r, answer):
    assert latents.is_genuine(nrn, eps, r) is answer


def test_betas_are_the_least_squares_that_they_claim_to_be():
    generator = torch.Generator().manual_seed(5)
    made = Crosscoder(6, 9, k=2, seed=1, init_norm=1.0)
    made.threshold.fill_(1.0)
    x = torch.randn((64, 2, 6), generator=generator)
    found = latents.statistics(made, [x[:40], x[40:]])
    f = made.encode(x).double()
    rebuilt = made.decode(made.encode(x)).double()
    rows = made.W_dec.detach().double()
    for j in range(9):
        if not (f[:, j] > 0).any():
            assert math.isnan(found.beta_eps[j, 0])
            continue
        # argmin_b sum_i |y_i - b f_ij d_j^B|^2, by a solver and with the others' part written out.
        design = torch.einsum("n,d->nd", f[:, j], rows[j, 1]).reshape(-1, 1).detach().numpy()
        for side in (0, 1):
            others = rebuilt[:, side] - torch.outer(f[:, j], rows[j, side])
            for y, beta in (
                (x[:, side].double() - others, found.beta_eps),
                (rebuilt[:, side], found.beta_r),
            ):
                solved = np.linalg.lstsq(design, y.detach().numpy().ravel(), rcond=None)[0][0]
                assert beta[j, side].item() == pytest.approx(solved, rel=1e-5, abs=1e-6)
    assert found.l0 == pytest.approx(float((f > 0).sum(1).double().mean()))
    assert found.fvu == pytest.approx(unexplained(x, rebuilt.float()), rel=1e-5)


def test_random_orthogonal_decoders_have_no_cosine_and_half_the_norm():
    d = 32
    bases = [torch.linalg.qr(torch.randn((d, d), generator=torch.Generator().manual_seed(s)))[0]
             for s in (0, 1)]  # fmt: skip
    made = Crosscoder(d, d)
    with torch.no_grad():
        made.W_dec.copy_(torch.stack(bases, dim=1))
    norms = made.norms()
    assert latents.nrn(norms[:, 0], norms[:, 1]).tolist() == pytest.approx([0.5] * d)
    # Cosines of unrelated directions in d dimensions: mean 0, standard deviation 1 / sqrt(d).
    cosines = latents.cosines(made)
    assert abs(cosines.mean().item()) < 4 / d
    assert cosines.std().item() == pytest.approx(d**-0.5, rel=0.4)


# --- training -----------------------------------------------------------------------------------


def trained(world: planted.Planted, settings: Settings, *, twins: bool = False) -> Trainer:
    x, _ = world.batch(4_096, 1)
    x = x[:, :1].expand(-1, 2, -1) if twins else x
    scales = D**0.5 / x.norm(dim=-1).mean(0)
    trainer = Trainer(D, settings, scales)
    for step in range(settings.n_steps):
        batch, _ = world.batch(settings.batch_size, 100 + step)
        batch = batch[:, :1].expand(-1, 2, -1) if twins else batch
        trainer.train(batch * scales[:, None], is_told=False)
    return trainer


@pytest.fixture(scope="module")
def world():
    """8 shared, 4 of the base, 4 of the distilled, 4 that the base has four times as weakly."""
    counts = {"shared": 8, "base-only": 4, "distilled-only": 4, "weak in base": 4}
    return planted.plant(D, counts, rate=0.1, weak=0.25)


def found_by(trainer: Trainer, world: planted.Planted):
    """Of each planted feature: correlation with its latent, NRN, whether it is called genuine."""
    x, features = world.batch(8_192, 7)
    x = x * trainer.crosscoder.scales[:, None]
    with torch.no_grad():
        columns, correlations = planted.matched(features, trainer.crosscoder.encode(x))
    norms = trainer.crosscoder.norms().detach()
    nrn = latents.nrn(norms[:, 0], norms[:, 1])[columns].tolist()
    statistics = latents.statistics(trainer.crosscoder, [x])
    nu = [latents.ratio(b)[columns].tolist() for b in (statistics.beta_eps, statistics.beta_r)]
    genuine = [latents.is_genuine(v, e, r) for v, e, r in zip(nrn, *nu, strict=True)]
    return correlations, nrn, genuine


@pytest.fixture(scope="module")
def by_topk(world):
    return found_by(trained(world, QUICK), world)


@pytest.fixture(scope="module")
def by_l1(world):
    return found_by(trained(world, replace(QUICK, sparsity="l1", l1_lambda=3.0)), world)


def of(world, kind, values):
    return [value for value, own in zip(values, world.kinds, strict=True) if own == kind]


def test_planted_features_are_found(world, by_topk):
    correlations, nrn, genuine = by_topk
    assert correlations.mean() > 0.9
    wanted = {"shared": "shared", "base-only": "base-only", "distilled-only": "distilled-only"}
    classes = [latents.class_of(value) for value in nrn]
    right = [c == wanted[kind] for c, kind in zip(classes, world.kinds, strict=True)
             if kind in wanted]  # fmt: skip
    assert sum(right) >= 0.85 * len(right)
    # 1 / (1 + 1/4): what the base has more weakly is neither shared nor distilled-only
    assert of(world, "weak in base", nrn) == pytest.approx([0.8] * 4, abs=0.08)


def test_l1_makes_false_distilled_only_latents_and_latent_scaling_removes_them(
    world, by_topk, by_l1
):
    """Shrinkage takes the weak part out of the base's decoder and leaves it in the error."""

    def false_rates(found):
        _, nrn, genuine = found
        weak = of(world, "weak in base", zip(nrn, genuine, strict=True))
        by_norm = [value > latents.DISTILLED_ONLY for value, _ in weak]
        tested = [bool(is_so) for _, is_so in weak]
        return sum(by_norm) / len(weak), sum(tested) / len(weak)

    assert false_rates(by_l1) == (1.0, 0.0)
    assert false_rates(by_topk) == (0.0, 0.0)
    _, nrn, genuine = by_l1  # and the true ones stand the test
    assert all(of(world, "distilled-only", genuine))


def test_a_model_against_itself_has_half_everywhere(world):
    trainer = trained(world, replace(QUICK, n_steps=60), twins=True)
    norms = trainer.crosscoder.norms().detach()
    nrn = latents.nrn(norms[:, 0], norms[:, 1])
    assert nrn.tolist() == pytest.approx([0.5] * QUICK.n_latents, abs=1e-5)
    cosines = latents.cosines(trainer.crosscoder)
    assert cosines.tolist() == pytest.approx([1.0] * QUICK.n_latents, abs=1e-5)


def test_aux_loss_brings_dead_latents_back(world):
    settings = replace(QUICK, n_steps=120, dead_after_tokens=2_000)
    assert trained(world, settings).n_dead < 8
    without = trained(world, replace(settings, dead_after_tokens=10**9))
    assert int((without.silent_tokens >= 2_000).sum()) >= 8


def test_dead_latents_are_counted_by_tokens():
    trainer = Trainer(2, replace(QUICK, n_latents=3, k=1, dead_after_tokens=4), torch.ones(2))
    with torch.no_grad():
        trainer.crosscoder.load_state_dict(by_hand().state_dict())
    trainer.train(X)  # keeps latents 0 and 2
    assert trainer.silent_tokens.tolist() == [0, 2, 0]
    assert trainer.n_dead == 0
    trainer.silent_tokens += 2
    assert trainer.n_dead == 1


def test_rates_by_hand():
    settings = replace(QUICK, n_steps=100, lr=1.0, warmup_steps=10, l1_lambda=2.0)
    rates = [settings.rate(step) for step in (0, 4, 9, 50, 79, 80, 90, 99)]
    assert rates == pytest.approx([0.1, 0.5, 1, 1, 1, 1, 0.5, 0.05])
    assert [settings.l1_weight(step) for step in (0, 1, 5, 50)] == pytest.approx([0, 0.4, 2, 2])


# --- stopping and going on ----------------------------------------------------------------------


def batches(world, first=0):
    while True:
        yield world.batch(64, 100 + first)[0]
        first += 1


@pytest.mark.parametrize("sparsity", ["batchtopk", "l1"])
def test_a_resumed_run_is_the_unbroken_one(world, tmp_path, sparsity):
    """To the last bit on the CPU: the tolerance that is stated is 0."""
    settings = replace(
        QUICK, n_steps=12, batch_size=64, threshold_from_step=3, dead_after_tokens=200,
        sparsity=sparsity,
    )  # fmt: skip
    through = Trainer(D, settings, torch.ones(2))
    told = list(train_steps(through, batches(world), 12, 2))
    assert [step for step, _ in told] == [1, 3, 5, 7, 9, 11]

    first = Trainer(D, settings, torch.ones(2))
    list(train_steps(first, batches(world), 7, 2))
    first.save(tmp_path / "c.safetensors")
    resumed = Trainer(D, settings, torch.ones(2))
    resumed.load(tmp_path / "c.safetensors")
    assert resumed.step == 7
    rest = list(train_steps(resumed, batches(world, 7), 12, 2))
    assert rest == told[3:]
    for name, value in through.crosscoder.state_dict().items():
        assert torch.equal(value, resumed.crosscoder.state_dict()[name]), name
    assert torch.equal(through.silent_tokens, resumed.silent_tokens)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    Trainer(D, QUICK, torch.ones(2)).save(path)
    with pytest.raises(BadInput, match="other settings"):
        Trainer(D, replace(QUICK, lr=1e-9), torch.ones(2)).load(path)
    path.write_bytes(b"torn")
    with pytest.raises(BadInput, match="cannot be read"):
        Trainer(D, QUICK, torch.ones(2)).load(path)


# --- settings and gates -------------------------------------------------------------------------


def test_settings_of_a_pocket_and_of_a_wide_model():
    pocket = settings_for(64, 2_048_000)
    assert (pocket.n_latents, pocket.k, pocket.dead_after_tokens) == (512, 8, 204_800)
    assert (pocket.threshold_decay, pocket.n_steps) == (0.99, 2_000)
    wide = settings_for(1_536, 100_000_000)
    assert (wide.n_latents, wide.k, wide.lr, wide.batch_size) == (49_152, 100, 1e-4, 2_048)
    assert (wide.warmup_steps, wide.threshold_from_step) == (1_000, 1_000)
    l1 = settings_for(2_304, 400_000_000, sparsity="l1")
    assert (l1.lr, l1.batch_size, l1.l1_lambda) == (5e-5, 4_096, 2.0)


@pytest.mark.parametrize(
    ("over", "told"), [({"k": 600}, "k of 600"), ({"batch_size": 10**7}, "no batch")]
)
def test_settings_that_cannot_be(over, told):
    with pytest.raises(BadInput, match=told):
        settings_for(64, 1_000_000, **over)


@pytest.mark.parametrize(
    ("fvu", "l0", "dead", "d", "reason"),
    [
        ((0.3, 0.3), 16, 0.2, 64, None),
        ((0.31, 0.1), 8, 0.0, 64, "base 0.69"),
        ((0.1, 0.4), 8, 0.0, 64, "distilled 0.60"),
        ((0.1, None), 8, 0.0, 64, "distilled unknown"),
        ((0.1, 0.1), 17, 0.0, 64, "L0 17"),
        ((0.1, 0.1), 0.0, 0.0, 64, "L0 0"),
        ((0.1, 0.1), 8, 0.21, 64, "dead latents 21%"),
        ((0.1, 0.1), 17, 0.0, 1_536, "L0 17 outside 20 to 200"),
        ((0.1, 0.1), 100, 0.0, 1_536, None),
    ],
)
def test_gates(fvu, l0, dead, d, reason):
    is_open, reasons = latent_report.gates(fvu, l0, dead, d)
    assert is_open is (reason is None)
    assert (reason or "") in reasons
