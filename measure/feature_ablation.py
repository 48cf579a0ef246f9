"""What latents do: take them out of both models and watch the words of reasoning.

For a set F of latents and model m, with f the latents of the joint clean pass and s_m its scale,

    h_m <- h_m - (1 / s_m) sum over j in F of f_j W_dec[j, m]

after the block that the crosscoder reads, at every token but the first, which it never saw; the
reconstruction error stays. d_logit is the target's logit after minus before, the target a word of
one of four categories (`measure.categories`) and the context what stands before it.

F(k) are the latents with NRN > 0.5 among the k % that fire most often of all live ones
("firing-first"), or the k % that fire most often of those with NRN > 0.5 ("nrn-first"). The
control takes as many random latents with NRN < 0.5, each drawn of the three nearest in firing that
are left.

With NRN > 0.5 less is taken from the base by construction: so the change per unit of removed norm
stands beside it. Distilled-causal: the mean change of the distilled model is below 0 with its
interval, below the control's interval, and more than four times the base's.

Source: methods 3.3; the control, and one pair a text and category, are OUR DEFINITION: pairs of one
text are not independent, and the bootstrap is over pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from measure import categories, residual
from measure.categories import CATEGORIES, Category
from measure.crosscoder import Crosscoder
from measure.feature_records import FeatureAblation, FeatureSet, FilterOrder, Side
from measure.models import Batch, CausalLM
from measure.prompts import Progress
from measure.zoo.problems import item_rng

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

    PerLatent = Float[NDArray[np.float64], " latents"]
    Latents = Int[NDArray[np.int64], " set"]

METHOD = "feature_ablation"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
TOP_PERCENTS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
FILTER_ORDERS: tuple[FilterOrder, ...] = ("firing-first", "nrn-first")
SHARED_NRN = 0.5
N_PAIRS = 100  # of a category
MAX_TOKENS = 512  # of a text
N_DRAWS = 5  # of the control
N_NEAREST = 3  # in firing, of which a control is drawn
SIDES: tuple[Side, ...] = ("base", "distilled")


# --- contexts and their next tokens -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pair:
    """The token at `position` of a text begins a word of a category."""

    position: int
    target_id: int
    category: Category


@dataclass(frozen=True, slots=True)
class Context:
    """A text with the pairs that are asked of it."""

    text_id: str
    ids: tuple[int, ...]
    pairs: tuple[Pair, ...]


def contexts(
    model: CausalLM, texts: Mapping[str, str], n_pairs: int = N_PAIRS, seed: int = 0
) -> list[Context]:
    """Draw up to `n_pairs` texts of each category and in each one of its words, at random.

    What a text gives is drawn by its own generator; of a longer text the first 512 tokens count.
    """
    every = [_context(model, text_id, text, seed) for text_id, text in sorted(texts.items())]
    kept: dict[str, list[Pair]] = {}
    for category in CATEGORIES:
        having = [(c, p) for c in every for p in c.pairs if p.category == category]
        order = item_rng(seed, f"contexts of {category}", 0).permutation(len(having))
        for i in sorted(order[:n_pairs].tolist()):
            kept.setdefault(having[i][0].text_id, []).append(having[i][1])
    return [Context(c.text_id, c.ids, tuple(kept[c.text_id])) for c in every if c.text_id in kept]


def cut(model: CausalLM, tokens: list[int]) -> list[int]:
    """The first 512 of what there is a token, or as many as the model's positions reach."""
    return tokens[: min(MAX_TOKENS, model.max_tokens or MAX_TOKENS)]


def _context(model: CausalLM, text_id: str, text: str, seed: int) -> Context:
    ids, starts = model.encode_with_starts(text)
    n_all = len(ids)
    ids, starts = cut(model, ids), cut(model, starts)
    known = [i for i, start in enumerate(starts) if start >= 0]
    edges = np.array([starts[i] for i in known])
    rng = item_rng(seed, f"pairs of {text_id}", 0)
    found: dict[Category, list[int]] = {}
    for trigger in categories.triggers(text):
        place = known[max(0, int(np.searchsorted(edges, trigger.start, side="right")) - 1)]
        # Of a text that was cut, words beyond the cut would seem to begin in its last token.
        is_cut = len(ids) < n_all and place == len(ids) - 1
        if place > 1 and not is_cut:  # a context of the first token alone has nothing taken away
            found.setdefault(trigger.category, []).append(place)
    drawn: dict[Category, int] = {
        category: places[int(rng.integers(len(places)))]
        for category in CATEGORIES
        if (places := found.get(category))
    }
    return Context(text_id, tuple(ids), tuple(Pair(p, ids[p], c) for c, p in drawn.items()))


# --- sets of latents ----------------------------------------------------------------------------


def chosen(nrn: PerLatent, fire_freq: PerLatent, top_percent: float, order: FilterOrder) -> Latents:
    """F(k): indices, ascending. Live are those that fire and have an NRN; may be empty.

    Of n latents the top k % are ceil(k n / 100); of those that fire as often the first counts.
    """
    live = _live(nrn, fire_freq)
    if order == "firing-first":
        top = _most_firing(live, fire_freq, top_percent)
        return np.sort(top[nrn[top] > SHARED_NRN])
    return np.sort(_most_firing(live[nrn[live] > SHARED_NRN], fire_freq, top_percent))


def _live(nrn: PerLatent, fire_freq: PerLatent) -> Latents:
    return np.flatnonzero((fire_freq > 0) & ~np.isnan(nrn))


def _most_firing(among: Latents, fire_freq: PerLatent, top_percent: float) -> Latents:
    # Rounded first: 20 % of 5 is 1, though 0.2 * 5 may come out above it.
    n_top = math.ceil(round(top_percent * len(among) / 100, 9))
    return among[np.argsort(-fire_freq[among], kind="stable")][:n_top]


def matched_control(
    features: Latents, nrn: PerLatent, fire_freq: PerLatent, rng: np.random.Generator
) -> Latents | None:
    """As many latents with NRN < 0.5 that fire about as often; None if there are too few.

    Features take turns in random order; each draws one of the three nearest in log firing that
    are left.
    """
    live = _live(nrn, fire_freq)
    pool = live[nrn[live] < SHARED_NRN]
    if len(pool) < len(features):
        return None
    drawn: list[int] = []
    for feature in rng.permutation(features):
        apart = np.abs(np.log(fire_freq[pool]) - np.log(fire_freq[feature]))
        nearest = np.argsort(apart, kind="stable")[:N_NEAREST]
        picked = int(nearest[int(rng.integers(len(nearest)))])
        drawn.append(int(pool[picked]))
        pool = np.delete(pool, picked)
    return np.sort(np.array(drawn, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class AblationSet:
    """Latents to take out, and what they stand for."""

    filter_order: FilterOrder
    top_percent: float
    feature_set: FeatureSet
    draw: int
    latents: tuple[int, ...]


def ablation_sets(
    nrn: PerLatent,
    fire_freq: PerLatent,
    top_percents: Sequence[float] = TOP_PERCENTS,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> list[AblationSet]:
    """F(k) by both filter orders with controls; an F that is empty, or too large, has none."""
    found: list[AblationSet] = []
    for order in FILTER_ORDERS:
        for percent in top_percents:
            features = chosen(nrn, fire_freq, percent, order)
            found.append(AblationSet(order, percent, "ablated", 0, tuple(features.tolist())))
            for draw in range(n_draws if len(features) else 0):
                rng = item_rng(seed, f"control of {order} {percent}", draw)
                control = matched_control(features, nrn, fire_freq, rng)
                if control is not None:
                    latents = tuple(control.tolist())
                    found.append(AblationSet(order, percent, "control", draw, latents))
    return found


# --- the effects --------------------------------------------------------------------------------


@torch.inference_mode()
def effects(
    models: tuple[CausalLM, CausalLM],
    crosscoder: Crosscoder,
    layer: int,
    given: Sequence[Context],
    sets: Sequence[AblationSet],
    batch_size: int,
    progress: Progress,
) -> Iterator[FeatureAblation]:
    """Take each set out of base and distilled model; a record a set, model and pair.

    Sets of the same latents run once. `progress` is told of each context when all sets are done.
    """
    numbers = {(c.text_id, p): i for i, (c, p) in enumerate((c, p) for c in given for p in c.pairs)}
    ascending = sorted(given, key=lambda c: len(c.ids))
    for start in range(0, len(ascending), batch_size):
        asked = ascending[start : start + batch_size]
        runs = _Runs.of(models, crosscoder, layer, asked)
        for latents in dict.fromkeys(one.latents for one in sets):
            found = [runs.without(latents, side) for side in range(len(SIDES))]
            for one in sets:
                if one.latents == latents:
                    for side, (logits, norms) in zip(SIDES, found, strict=True):
                        clean = runs.clean[SIDES.index(side)]
                        yield from _records(one, side, runs.asked, numbers, clean, logits, norms)
        progress(len(asked))


def _records(
    one: AblationSet,
    side: Side,
    asked: Sequence[tuple[str, Pair]],
    numbers: Mapping[tuple[str, Pair], int],
    clean: Tensor,
    ablated: Tensor,
    norms: Tensor,
) -> Iterator[FeatureAblation]:
    values = zip(asked, clean.tolist(), ablated.tolist(), norms.tolist(), strict=True)
    for (text_id, pair), before, after, norm in values:
        yield FeatureAblation(
            filter_order=one.filter_order,
            top_percent=one.top_percent,
            feature_set=one.feature_set,
            draw=one.draw,
            side=side,
            pair=numbers[text_id, pair],
            category=pair.category,
            text_id=text_id,
            target_id=pair.target_id,
            logit_clean=before,
            logit_ablated=after,
            d_logit=after - before,
            n_features=len(one.latents),
            norm_removed=norm,
        )


@dataclass(frozen=True, slots=True)
class _Runs:
    """Contexts in one batch, their latents, and the logits of their targets."""

    models: tuple[CausalLM, CausalLM]
    layer: int
    crosscoder: Crosscoder
    batches: tuple[Batch, ...]  # the same on each model's device
    latents: Float[Tensor, "batch tokens latents"]
    clean: tuple[Float[Tensor, " pairs"], ...]
    asked: tuple[tuple[str, Pair], ...]
    rows: Int[Tensor, " pairs"]
    positions: Int[Tensor, " pairs"]

    @classmethod
    def of(
        cls,
        models: tuple[CausalLM, CausalLM],
        crosscoder: Crosscoder,
        layer: int,
        given: Sequence[Context],
    ) -> _Runs:
        # What stands after the last word that is asked for changes nothing.
        rows = [list(c.ids[: max(p.position for p in c.pairs)]) for c in given]
        batches = tuple(model.pad(rows) for model in models)
        where = [(row, c, p) for row, c in enumerate(given) for p in c.pairs]
        asked = tuple((c.text_id, p) for _, c, p in where)
        row = torch.tensor([row for row, _, _ in where])
        position = torch.tensor([p.position for _, _, p in where])
        streams: list[Tensor] = []
        clean: list[Tensor] = []
        for model, batch in zip(models, batches, strict=True):
            stream, states = residual.read(model, layer, batch)
            streams.append(stream)
            clean.append(_target_logits(model, states.after_norm, asked, row, position))
        latents = encoded(crosscoder, streams[0], streams[1].to(streams[0].device))
        is_seen = batches[0].mask.clone()
        is_seen[:, 0] = False
        kept = latents * is_seen[..., None].to(latents.device)
        return cls(models, layer, crosscoder, batches, kept, tuple(clean), asked, row, position)

    def without(
        self, latents: Sequence[int], side: int
    ) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"]]:
        """Logits of the targets without these latents, and the norm that was taken away."""
        model, batch = self.models[side], self.batches[side]
        which = torch.tensor(latents, dtype=torch.long, device=self.latents.device)
        rows = self.crosscoder.W_dec[which, side].to(self.latents)
        taken = self.latents[..., which] @ rows / self.crosscoder.scales[side].to(self.latents)
        taken = taken.to(model.device)
        with residual.edited(model, self.layer, lambda stream: stream - taken.to(stream.dtype)):
            states = model.states(batch).after_norm
        # Prefix sums: the mean over tokens 1 to position - 1 of each pair.
        sums = taken.norm(dim=-1).cumsum(1).cpu()
        norms = sums[self.rows, self.positions - 1] / (self.positions - 1)
        return _target_logits(model, states, self.asked, self.rows, self.positions), norms


def encoded(
    crosscoder: Crosscoder,
    base: Float[Tensor, "*batch d_model"],
    distilled: Float[Tensor, "*batch d_model"],
) -> Float[Tensor, "*batch latents"]:
    """Latents of the streams of both models at the same tokens, as the models have them."""
    both = torch.stack([base, distilled], dim=-2)
    scaled = both * crosscoder.scales.to(both)[:, None]
    flat = scaled.reshape(-1, *scaled.shape[-2:]).to(crosscoder.W_dec)
    return crosscoder.encode(flat).float().reshape(*base.shape[:-1], -1)


def _target_logits(
    model: CausalLM,
    after_norm: Float[Tensor, "batch tokens d_model"],
    asked: Sequence[tuple[str, Pair]],
    rows: Int[Tensor, " pairs"],
    positions: Int[Tensor, " pairs"],
) -> Float[Tensor, " pairs"]:
    targets = torch.tensor([[p.target_id] for _, p in asked], device=model.device)
    at = after_norm[rows.to(model.device), (positions - 1).to(model.device)]
    return model.token_logits(at, targets)[:, 0].cpu()
