"""What a latent fires on: four categories of reasoning words, told by word lists alone.

Over a latent's 50 most activating tokens, its category is the one whose triggers are touched by at
least half of them; of two that reach it the one with more, then the one named first; otherwise
`other`. A token touches a trigger if they share a character; a trigger is a whole word or several,
in any case. A latent that never fires has no category.

Source: methods 3.4, OUR DEFINITION: the paper had a language model annotate the top 100 and bottom
100 latents by NRN. Both ends are counted here too: words of reflection fire base latents as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from measure.crosscoder_records import Category, Label
from measure.intervals import newcombe_interval, wilson_interval

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

CATEGORIES: tuple[Category, ...] = get_args(Category)
TRIGGERS: Mapping[Category, tuple[str, ...]] = {
    "self-reflection": (
        "wait", "hmm", "let me check", "let me verify", "double-check", "actually",
    ),
    "deductive": ("therefore", "thus", "so", "hence", "it follows", "which means"),
    "alternative": ("alternatively", "another way", "or maybe", "instead"),
    "contrastive": ("but", "however", "though", "on the other hand"),
}  # fmt: skip
N_TOKENS = 50  # of a latent's most activating ones, that decide
MIN_SHARE = 0.5
N_ENDS = 100  # latents at either end of NRN
_PATTERNS: Mapping[Category, re.Pattern[str]] = {
    category: re.compile(
        r"(?<![\w'’-])(?:"
        + "|".join(r"\s+".join(map(re.escape, words.split())) for words in triggers)
        + r")(?![\w'’-])",
        re.IGNORECASE,
    )
    for category, triggers in TRIGGERS.items()
}


@dataclass(frozen=True, slots=True, order=True)
class Trigger:
    """Characters `start` to `end` (not included) of a text that are words of a category."""

    start: int
    end: int
    category: Category


def triggers(text: str) -> list[Trigger]:
    """All triggers of a text, by where they begin."""
    return sorted(
        Trigger(found.start(), found.end(), category)
        for category, pattern in _PATTERNS.items()
        for found in pattern.finditer(text)
    )


def touched(text: str, starts: Sequence[int]) -> list[frozenset[Category]]:
    """For each token, given its first character in the text, the categories it touches.

    A token ends where the next begins; one added to the text (start -1) touches none.
    """
    found: list[set[Category]] = [set() for _ in starts]
    known = [i for i, start in enumerate(starts) if start >= 0]
    edges = np.array([starts[i] for i in known])
    for trigger in triggers(text):
        first, last = np.searchsorted(edges, [trigger.start, trigger.end - 1], side="right") - 1
        for place in range(max(0, int(first)), int(last) + 1):
            found[known[place]].add(trigger.category)
    return [frozenset(categories) for categories in found]


def annotate(tokens: Sequence[frozenset[Category]]) -> Label | None:
    """The category of a latent by those its most activating tokens touch; None of no token."""
    if not tokens:
        return None
    counts = {category: sum(category in token for token in tokens) for category in CATEGORIES}
    best = max(CATEGORIES, key=lambda category: counts[category])
    return best if counts[best] >= MIN_SHARE * len(tokens) else "other"


class TopTokens:
    """The most activating tokens of every latent, of a stream too long to be held.

    Of equal activations the earlier token stands first: batches change nothing.
    """

    def __init__(self, n_latents: int, n_tokens: int = N_TOKENS) -> None:
        self.n_tokens = n_tokens
        self._values = torch.zeros(n_latents, 0)
        self._places = torch.zeros(n_latents, 0, dtype=torch.long)

    def add(self, latents: Float[Tensor, "tokens latents"], places: Int[Tensor, " tokens"]) -> None:
        """Take in the next tokens, in order; `places` is what they are found by later."""
        # To the CPU no more than can be kept: a stable sort keeps the earlier of equal ones.
        own, order = latents.float().sort(dim=0, descending=True, stable=True)
        own, order = own[: self.n_tokens].T.cpu(), order[: self.n_tokens].T.cpu()
        values = torch.cat([self._values, own], dim=1)
        found = torch.cat([self._places, places.cpu()[order]], dim=1)
        values, order = values.sort(dim=1, descending=True, stable=True)
        self._values = values[:, : self.n_tokens]
        self._places = found.gather(1, order)[:, : self.n_tokens]

    def of(self, latent: int) -> list[tuple[int, float]]:
        """Place and activation of its tokens, most activating first; none of a dead latent."""
        pairs = zip(self._places[latent].tolist(), self._values[latent].tolist(), strict=True)
        return [(place, value) for place, value in pairs if value > 0]


# --- both ends of NRN ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EndCount:
    """Of a category: how many latents at the top and the bottom of NRN are in it."""

    category: Label
    n_per_end: int
    n_top: int
    n_bottom: int
    top: tuple[float, float, float]  # share, 2.5 % and 97.5 %
    bottom: tuple[float, float, float]
    difference: tuple[float, float, float]  # of shares, top minus bottom


def counts_at_ends(
    nrn: Float[NDArray[np.float64], " latents"],
    labels: Sequence[Label | None],
    n_per_end: int = N_ENDS,
) -> Iterator[EndCount]:
    """Count categories among the live latents of largest and of smallest NRN.

    Latents without NRN or category do not count; of fewer than twice `n_per_end`, each end takes
    half; of fewer than two there is nothing to count.
    """
    live = [i for i, label in enumerate(labels) if label is not None and not math.isnan(nrn[i])]
    order = sorted(live, key=lambda i: (nrn[i], i))
    n = min(n_per_end, len(order) // 2)
    if n == 0:
        return
    for category in (*CATEGORIES, "other"):
        n_bottom = sum(labels[i] == category for i in order[:n])
        n_top = sum(labels[i] == category for i in order[-n:])
        yield EndCount(
            category=category,
            n_per_end=n,
            n_top=n_top,
            n_bottom=n_bottom,
            top=_share(n_top, n),
            bottom=_share(n_bottom, n),
            difference=((n_top - n_bottom) / n, *newcombe_interval(n_top, n, n_bottom, n)),
        )


def _share(n_hits: int, n: int) -> tuple[float, float, float]:
    interval = wilson_interval(n_hits, n)
    assert interval is not None
    return (n_hits / n, *interval)
