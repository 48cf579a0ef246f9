"""A trained crosscoder as records: its gates, its latents, where they are most active.

Gates (OUR DEFINITION): explained variance of either model at least 0.7 and L0 in [20, 200] on
tokens that it was not trained on, at most 20 % of the latents dead. Of models up to width 256, L0
at most d / 4. Where one fails nothing may be read from a latent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from measure import categories, latents
from measure.activations import Activations
from measure.categories import Label, TopTokens
from measure.crosscoder import Crosscoder
from measure.crosscoder_records import (
    CrosscoderSummary,
    Latent,
    LatentCategory,
    LatentContext,
)
from measure.crosscoder_training import POCKET_WIDTH
from measure.harvest import Shard
from measure.models import CausalLM

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int
    from numpy.typing import NDArray

MAX_FVU, MAX_DEAD = 0.3, 0.2
L0_RANGE = (20, 200)
DESCRIBED_POCKET, DESCRIBED = 2**18, 2**22  # tokens that latents are described over
REACH = 10  # tokens on either side of a context's own
N_CONTEXTS = 20  # stored of a latent; 50 decide its category
# All latents of a small dictionary are annotated and their contexts kept; of a large one, the ends
# of NRN and those that are genuinely distilled-only.
ANNOTATED_WHOLE = 1_024
MAX_GENUINE = 200


def gates(
    fvu: tuple[float | None, float | None], l0: float, dead_share: float, d_model: int
) -> tuple[bool, str]:
    """Whether latents may be interpreted, and the comparisons that decided."""
    reasons: list[str] = []
    for side, value in zip(("base", "distilled"), fvu, strict=True):
        if value is None or value > MAX_FVU:
            shown = "unknown" if value is None else f"{1 - value:.2f}"
            reasons.append(f"explained variance of the {side} {shown} < {1 - MAX_FVU:.2f}")
    low, high = (0, d_model / 4) if d_model <= POCKET_WIDTH else L0_RANGE
    if not low < l0 <= high:
        reasons.append(f"L0 {l0:.3g} outside {low:g} to {high:g}")
    if dead_share > MAX_DEAD:
        reasons.append(f"dead latents {dead_share:.0%} > {MAX_DEAD:.0%}")
    if reasons:
        return False, "; ".join(reasons)
    return True, (
        f"explained variance {1 - max(fvu[0] or 0, fvu[1] or 0):.2f} >= {1 - MAX_FVU:.2f}; "
        f"L0 {l0:.3g} within {low:g} to {high:g}; dead latents {dead_share:.0%} <= {MAX_DEAD:.0%}"
    )


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told of one crosscoder."""

    summary: CrosscoderSummary
    latents: tuple[Latent, ...]
    contexts: tuple[LatentContext, ...]
    categories: tuple[LatentCategory, ...]


def report(
    crosscoder: Crosscoder,
    activations: Activations,
    model: CausalLM | None,
    n_trained: int,
    n_contexts: int = N_CONTEXTS,
) -> Report:
    """Describe a trained crosscoder; `model` is whose tokenizer tells contexts, None tells none."""
    held_out = latents.statistics(crosscoder, map(activations.read, activations.held_out))
    shards = described(activations)
    places = _Places(activations, shards)
    top = TopTokens(crosscoder.n_latents)
    statistics = latents.statistics(crosscoder, map(activations.read, shards), top.add)
    nrn = {
        order: latents.nrn(*crosscoder.W_dec.detach().double().norm(p=order, dim=-1).cpu().T)
        for order in (1, 2)
    }
    own = _Own(crosscoder, statistics, nrn)
    labels: list[Label | None] = [None] * crosscoder.n_latents
    contexts: list[LatentContext] = []
    if model is not None:
        pieces = Pieces(model)
        for latent in own.annotated():
            found = list(places.contexts(crosscoder, latent, top.of(latent), pieces))
            labels[latent] = categories.annotate([one.touched() for one in found])
            contexts += [one.record(rank) for rank, one in enumerate(found[:n_contexts])]
    is_open, reasons = gates(held_out.fvu, held_out.l0, statistics.dead_share, crosscoder.d_model)
    scales = crosscoder.scales.tolist()
    summary = CrosscoderSummary(
        d_model=crosscoder.d_model,
        n_latents=crosscoder.n_latents,
        layer=activations.manifest.asked.layer,
        scale_base=scales[0],
        scale_distilled=scales[1],
        n_harvested=activations.manifest.n_tokens,
        n_trained=n_trained,
        mixing=activations.mixing,
        n_held_out=held_out.n_tokens,
        n_described=statistics.n_tokens,
        fvu_base=held_out.fvu[0],
        fvu_distilled=held_out.fvu[1],
        l0=held_out.l0,
        dead_share=statistics.dead_share,
        is_interpretable=is_open,
        reasons=reasons,
    )
    return Report(
        summary, tuple(own.records(labels)), tuple(contexts), tuple(_ends(own.nrn, labels))
    )


def described(activations: Activations) -> tuple[Shard, ...]:
    """Shards that latents are described over: those held out, then as many as it takes."""
    wanted = DESCRIBED_POCKET if activations.d_model <= POCKET_WIDTH else DESCRIBED
    shards: list[Shard] = []
    for shard in (*activations.held_out, *activations.training):
        if sum(one.n_tokens for one in shards) >= wanted:
            break
        shards.append(shard)
    return tuple(shards)


def _ends(
    nrn: Float[NDArray[np.float64], " latents"], labels: Sequence[Label | None]
) -> Iterator[LatentCategory]:
    for one in categories.counts_at_ends(nrn, labels):
        yield LatentCategory(
            category=one.category,
            n_per_end=one.n_per_end,
            n_top=one.n_top,
            n_bottom=one.n_bottom,
            share_top=one.top[0],
            ci_low_share_top=one.top[1],
            ci_high_share_top=one.top[2],
            share_bottom=one.bottom[0],
            ci_low_share_bottom=one.bottom[1],
            ci_high_share_bottom=one.bottom[2],
            difference=one.difference[0],
            ci_low_difference=one.difference[1],
            ci_high_difference=one.difference[2],
        )


class _Own:
    """A dictionary's latents by the numbers."""

    def __init__(
        self, crosscoder: Crosscoder, statistics: latents.Statistics, nrn: dict[int, Tensor]
    ) -> None:
        self._statistics = statistics
        is_dead = statistics.n_fired == 0
        rows = crosscoder.W_dec.detach().double().cpu()
        self._norms = {order: rows.norm(p=order, dim=-1).tolist() for order in (1, 2)}
        self._nrn = {
            order: values.masked_fill(is_dead, torch.nan).tolist() for order, values in nrn.items()
        }
        self._cosines = latents.cosines(crosscoder).tolist()
        self._nu = [latents.ratio(b).tolist() for b in (statistics.beta_eps, statistics.beta_r)]

    @property
    def nrn(self) -> Float[NDArray[np.float64], " latents"]:
        """L2, NaN of dead latents."""
        return np.array(self._nrn[2])

    def annotated(self) -> list[int]:
        """Latents whose contexts are looked at."""
        live = [j for j, value in enumerate(self._nrn[2]) if not math.isnan(value)]
        if len(self._nrn[2]) <= ANNOTATED_WHOLE:
            return live
        order = sorted(live, key=lambda j: (self._nrn[2][j], j))
        n = min(categories.N_ENDS, len(order) // 2)
        ends = [*order[:n], *order[len(order) - n :]]
        genuine = [j for j in reversed(order) if self._is_genuine(j)][:MAX_GENUINE]
        return sorted({*ends, *genuine})

    def _is_genuine(self, j: int) -> bool | None:
        value = self._nrn[2][j]
        if math.isnan(value):
            return None
        return latents.is_genuine(value, *(_known(nu[j]) for nu in self._nu))

    def records(self, labels: Sequence[Label | None]) -> Iterator[Latent]:
        found = self._statistics
        n_fired = found.n_fired.tolist()
        sums, largest = found.sum_activation.tolist(), found.max_activation.tolist()
        eps, r = found.beta_eps.tolist(), found.beta_r.tolist()
        for j, fired in enumerate(n_fired):
            yield Latent(
                latent=j,
                norm_base_l2=self._norms[2][j][0],
                norm_distilled_l2=self._norms[2][j][1],
                norm_base_l1=self._norms[1][j][0],
                norm_distilled_l1=self._norms[1][j][1],
                nrn=_known(self._nrn[2][j]),
                nrn_l1=_known(self._nrn[1][j]),
                cosine=_known(self._cosines[j]),
                n_tokens=found.n_tokens,
                n_fired=fired,
                fire_freq=fired / found.n_tokens,
                mean_activation=sums[j] / fired if fired else None,
                max_activation=largest[j] if fired else None,
                beta_eps_base=_known(eps[j][0]),
                beta_eps_distilled=_known(eps[j][1]),
                beta_r_base=_known(r[j][0]),
                beta_r_distilled=_known(r[j][1]),
                nu_eps=_known(self._nu[0][j]),
                nu_r=_known(self._nu[1][j]),
                latent_class=latents.class_of(_known(self._nrn[2][j])),
                is_genuine=self._is_genuine(j),
                category=labels[j],
                is_dead=fired == 0,
                reason=None if fired else f"fires on none of {found.n_tokens:,} tokens",
            )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


# --- contexts -----------------------------------------------------------------------------------


class Pieces:
    """What each token adds to a text, blanks included."""

    def __init__(self, model: CausalLM) -> None:
        self._model = model
        (self._before,) = model.encode_many(["a"])
        self._known: dict[int, str] = {}

    def of(self, token_id: int) -> str:
        """The text of one token."""
        if token_id not in self._known:
            self._known[token_id] = self._model.continuation(self._before, [token_id])
        return self._known[token_id]


@dataclass(frozen=True, slots=True)
class _Context:
    """Tokens around one on which a latent is most active."""

    latent: int
    activation: float
    window: int
    token: int
    tokens: tuple[str, ...]
    activations: tuple[float, ...]

    def touched(self) -> frozenset[categories.Category]:
        """Categories whose words its token is part of."""
        starts = np.cumsum([0, *map(len, self.tokens[:-1])]).tolist()
        return categories.touched("".join(self.tokens), starts)[self.token]

    def record(self, rank: int) -> LatentContext:
        return LatentContext(
            latent=self.latent,
            rank=rank,
            activation=self.activation,
            passage=self.window,
            token=self.token,
            tokens=self.tokens,
            activations=self.activations,
        )


class _Places:
    """Described tokens by their number, counted through the shards."""

    def __init__(self, activations: Activations, shards: Sequence[Shard]) -> None:
        self._activations = activations
        self._shards = [activations.raw(shard) for shard in shards]  # mapped, not read
        self._firsts = np.cumsum([0, *(shard.n_tokens for shard in shards)])
        index = [activations.index(shard) for shard in shards]
        self._tokens = torch.cat([tokens for tokens, _ in index])
        self._windows: Int[Tensor, " tokens"] = torch.cat([windows for _, windows in index])

    def contexts(
        self,
        crosscoder: Crosscoder,
        latent: int,
        top: Sequence[tuple[int, float]],
        pieces: Pieces,
    ) -> Iterator[_Context]:
        """A context a token, with the latent's activation on each token of it."""
        spans = [self._span(place) for place, _ in top]
        rows = [self._row(place) for span in spans for place in range(*span)]
        values = iter(_activation_of(crosscoder, latent, rows, self._activations.scales))
        for (place, activation), (start, end) in zip(top, spans, strict=True):
            yield _Context(
                latent,
                activation,
                int(self._windows[place]),
                place - start,
                tuple(pieces.of(token) for token in self._tokens[start:end].tolist()),
                tuple(next(values) for _ in range(start, end)),
            )

    def _span(self, place: int) -> tuple[int, int]:
        """First place of a context and the one after its last, of the same window."""
        low, high = max(0, place - REACH), min(len(self._tokens), place + REACH + 1)
        same = (self._windows[low:high] == self._windows[place]).nonzero()
        return low + int(same[0]), low + int(same[-1]) + 1

    def _row(self, place: int) -> Tensor:
        shard = int(np.searchsorted(self._firsts, place, side="right")) - 1
        return self._shards[shard][place - int(self._firsts[shard])]


@torch.inference_mode()
def _activation_of(
    crosscoder: Crosscoder, latent: int, rows: Sequence[Tensor], scales: Tensor
) -> list[float]:
    """One latent on rows of unscaled activations, without the others."""
    if not rows:
        return []
    device = crosscoder.W_enc.device
    x = (torch.stack(list(rows)).float() * scales[:, None]).to(device)
    values = torch.relu(
        x.flatten(1) @ crosscoder.W_enc[:, :, latent].flatten() + crosscoder.b_enc[latent]
    )
    if crosscoder.sparsity == "batchtopk":
        values = values * (values * crosscoder.norms()[latent].sum() > crosscoder.threshold)
    return values.float().cpu().tolist()
