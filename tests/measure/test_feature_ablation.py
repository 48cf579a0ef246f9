"""Ablation of latents: by hand at the last block, through the other blocks by another route."""

import itertools

import numpy as np
import pytest
import torch

from measure import feature_ablation, models, residual, sources
from measure.components import Blocks
from measure.feature_ablation import AblationSet, Context, Pair
from tests.measure.latents import handmade

TEXTS = {"a": "7 is it. Wait, so 5 but no.", "b": "Thus 3, actually.", "c": "No words here."}
R, D, A, C = "self-reflection", "deductive", "alternative", "contrastive"


def load(folder):
    return models.load(sources.find(str(folder)), device="cpu")


@pytest.fixture(scope="module")
def pair(model_folder):
    return load(model_folder("llama", 0)), load(model_folder("llama", 1))


# --- contexts -----------------------------------------------------------------------------------


def test_contexts_by_hand(pair):
    # A byte is a token, and none is added: positions are characters.
    found = {c.text_id: c for c in feature_ablation.contexts(pair[0], TEXTS)}
    assert set(found) == {"a", "b"}
    byte = {char: pair[0].encode(char)[0] for char in "WsbTa"}
    assert found["a"].ids == tuple(pair[0].encode(TEXTS["a"]))
    assert set(found["a"].pairs) == {
        Pair(9, byte["W"], R), Pair(15, byte["s"], D), Pair(20, byte["b"], C),
    }  # fmt: skip
    # "Thus" begins the text: nothing stands before it.
    assert found["b"].pairs == (Pair(8, byte["a"], R),)


def test_one_pair_a_text_and_category_drawn_by_the_text_alone(pair):
    many = {str(i): "x " + "so it is. " * (i % 4 + 1) for i in range(30)}
    found = feature_ablation.contexts(pair[0], many, n_pairs=12)
    assert len(found) == 12 and all(len(c.pairs) == 1 for c in found)
    every = {c.text_id: c for c in feature_ablation.contexts(pair[0], many)}
    assert all(every[c.text_id] == c for c in found)
    positions = {p.position for c in every.values() for p in c.pairs}
    assert positions <= {2, 12, 22, 32} and len(positions) > 1
    assert feature_ablation.contexts(pair[0], {"c": TEXTS["c"]}) == []


# --- sets ---------------------------------------------------------------------------------------

NRN = np.array([0.9, 0.2, 0.6, 0.5, np.nan, 0.8, 0.4, 0.7, 0.3, 0.1, 0.45])
FIRING = np.array([0.3, 0.5, 0.0, 0.2, 0.9, 0.1, 0.4, 0.02, 0.01, 0.05, 0.25])
# Live, most firing first: 1, 6, 0, 10, 3, 5, 9, 7, 8 (2 never fires, 4 has no NRN).


@pytest.mark.parametrize(
    ("percent", "order", "expected"),
    [
        (0.5, "firing-first", []),  # one of 9: latent 1, of the base
        (20.0, "firing-first", []),  # ceil(1.8): 1 and 6
        (30.0, "firing-first", [0]),  # 1, 6, 0
        (100.0, "firing-first", [0, 5, 7]),  # 0.5 itself is not above 0.5
        (0.5, "nrn-first", [0]),  # one of 0, 5, 7
        (20.0, "nrn-first", [0]),
        (50.0, "nrn-first", [0, 5]),  # ceil(1.5)
    ],
)
def test_sets_by_hand(percent, order, expected):
    assert feature_ablation.chosen(NRN, FIRING, percent, order).tolist() == expected


def test_a_whole_share_is_not_rounded_up():
    # 20 % of 15 are 3, though 0.2 * 15 > 3 in floating point.
    firing = np.linspace(1, 0.1, 15)
    found = feature_ablation.chosen(np.full(15, 0.9), firing, 20.0, "firing-first")
    assert found.tolist() == [0, 1, 2]


def test_controls_fire_as_often_and_belong_to_the_base():
    rng = np.random.default_rng(0)
    nrn = np.where(np.arange(400) % 2, 0.7, 0.3)
    firing = np.exp(rng.uniform(-6, -1, 400))
    features = feature_ablation.chosen(nrn, firing, 20.0, "nrn-first")
    found = feature_ablation.matched_control(features, nrn, firing, np.random.default_rng(1))
    assert len(set(found.tolist())) == len(features) == 40
    assert (nrn[found] < 0.5).all()
    ratio = np.log(firing[found]).mean() - np.log(firing[features]).mean()
    assert abs(ratio) < 0.25
    other = feature_ablation.matched_control(features, nrn, firing, np.random.default_rng(2))
    assert set(other.tolist()) != set(found.tolist())


def test_a_control_that_cannot_be_is_none():
    nrn, firing = np.array([0.9, 0.8, 0.1]), np.array([0.3, 0.2, 0.1])
    rng = np.random.default_rng(0)
    assert feature_ablation.matched_control(np.array([0, 1]), nrn, firing, rng) is None
    assert feature_ablation.matched_control(np.array([0]), nrn, firing, rng).tolist() == [2]
    sets = feature_ablation.ablation_sets(nrn, firing, [100.0], n_draws=2)
    assert [(s.filter_order, s.feature_set, s.latents) for s in sets] == [
        ("firing-first", "ablated", (0, 1)), ("nrn-first", "ablated", (0, 1)),
    ]  # fmt: skip
    sets = feature_ablation.ablation_sets(nrn, firing, [34.0], n_draws=2)
    assert [(s.feature_set, s.draw, s.latents) for s in sets[:3]] == [
        ("ablated", 0, (0, 1)), ("ablated", 0, (0,)), ("control", 0, (2,)),
    ]  # fmt: skip


# --- effects ------------------------------------------------------------------------------------


def measured(pair, dictionary, layer, latents, given, batch_size=8):
    sets = [AblationSet("nrn-first", 1.0, "ablated", 0, tuple(latents))]
    done = []
    found = list(
        feature_ablation.effects(pair, dictionary, layer, given, sets, batch_size, done.append)
    )
    assert sum(done) == len(given)
    return {(e.side, e.text_id, e.category): e for e in found}


def expected(pair, dictionary, layer, latents, text, position, target):
    """One context alone: each latent and token taken away one after another."""
    batch = [model.pad([text[:position]]) for model in pair]
    streams = [residual.read(m, layer, b)[0][0] for m, b in zip(pair, batch, strict=True)]
    scaled = torch.stack([s * x for s, x in zip(dictionary.scales, streams, strict=True)], 1)
    values = dictionary.encode(scaled)
    for side, model in enumerate(pair):
        clean = streams[side]
        ablated, norms = clean.clone(), []
        for token in range(1, position):
            taken = torch.zeros(16)
            for j in latents:
                taken += values[token, j] * dictionary.W_dec[j, side] / dictionary.scales[side]
            ablated[token] -= taken
            norms.append(taken.norm())
        both = torch.stack([clean, ablated])
        for above in range(layer + 1, 2):
            both = Blocks(model, torch.tensor([text[:position]] * 2)).run(above, both)
        logits = model.logits(model.final_norm(both[:, -1]))[:, target]
        yield logits[0].item(), logits[1].item(), torch.stack(norms).mean().item()


@pytest.mark.parametrize(("layer", "latents"), [(1, [0, 2, 5]), (0, [1, 3]), (1, [4])])
@torch.inference_mode()
def test_effects_by_another_route(pair, layer, latents):
    dictionary = handmade()
    given = feature_ablation.contexts(pair[0], TEXTS)
    found = measured(pair, dictionary, layer, latents, given)
    assert len(found) == 2 * 4
    for context in given:
        for asked in context.pairs:
            told = (list(context.ids), asked.position, asked.target_id)
            routes = expected(pair, dictionary, layer, latents, *told)
            for side, (clean, ablated, norm) in zip(("base", "distilled"), routes, strict=True):
                effect = found[side, context.text_id, asked.category]
                assert effect.logit_clean == pytest.approx(clean, rel=1e-4, abs=1e-4)
                assert effect.logit_ablated == pytest.approx(ablated, rel=1e-4, abs=1e-4)
                assert effect.d_logit == effect.logit_ablated - effect.logit_clean
                assert effect.norm_removed == pytest.approx(norm, rel=1e-5)
                assert (effect.n_features, effect.target_id) == (len(latents), asked.target_id)
    assert sum(abs(effect.d_logit) > 0.01 for effect in found.values()) >= 2


@pytest.mark.parametrize("layer", [0, 1])
def test_nothing_taken_out_changes_nothing(pair, layer):
    dictionary = handmade(dead=3)
    given = feature_ablation.contexts(pair[0], TEXTS)
    for latents in ([], [3]):  # no latent; one that does not fire
        for effect in measured(pair, dictionary, layer, latents, given).values():
            assert effect.d_logit == 0.0 and effect.norm_removed == 0.0


def test_batches_and_neighbours_change_nothing(pair):
    given = feature_ablation.contexts(pair[0], TEXTS)
    one, other = (measured(pair, handmade(), 0, [0, 1], given, size) for size in (1, 8))
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].d_logit == pytest.approx(other[key].d_logit, abs=1e-4)
        assert one[key].pair == other[key].pair


def test_a_text_s_first_token_and_what_follows_the_target_stay(pair):
    # Position 2: only token 1 can change, so a longer text has the same effect.
    ids = tuple(pair[0].encode("abc but"))
    asked = Pair(2, 7, C)
    one = measured(pair, handmade(), 0, [0, 1], [Context("t", ids, (asked,))])
    other = measured(pair, handmade(), 0, [0, 1], [Context("t", ids[:3], (asked,))])
    assert one == other
    first = next(expected(pair, handmade(), 0, [0, 1], list(ids), 2, 7))
    assert one["base", "t", C].logit_ablated == pytest.approx(first[1], rel=1e-4)


def test_sets_of_the_same_latents_run_once(pair, monkeypatch):
    given = feature_ablation.contexts(pair[0], TEXTS)
    sets = [AblationSet("nrn-first", k, "ablated", 0, (1,)) for k in (1.0, 2.0)]
    calls = itertools.count()
    usual = models.CausalLM.states
    monkeypatch.setattr(models.CausalLM, "states", lambda *args: (next(calls), usual(*args))[1])
    found = list(feature_ablation.effects(pair, handmade(), 0, given, sets, 8, lambda _: None))
    assert next(calls) == 4  # clean and ablated, of two models
    assert [e.d_logit for e in found[:4]] == [e.d_logit for e in found[8:12]]
    assert {e.top_percent for e in found[:8]} == {1.0}
