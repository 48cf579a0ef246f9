"""How alike two weights are, and how alike strangers would look: functions of arrays.

Both weights are `[units, d]`, a_i and b_i the rows of A and B, n their number of entries, m of
their units. Three nulls of the cosine, each by its 99.9th percentile:

    independent weights        3.09 / sqrt n
    row-permuted copies        mean m mean(c), variance m var(c), c_ij = <a_i, b_j>, i != j
    column-permuted copies     the same of the transposes

The means and variances are those over all permutations (var doubly centred), so no copy is drawn.
The second knows what the columns share (a mean row), the third what the units share: two strangers
with one tokenizer both have a direction that follows token frequency, and that alone puts the
cosine of their embeddings far outside 3.09 / sqrt n. The variance is estimated from evenly spaced
rows or columns, the mean from all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

    Units = Float[Tensor, "units d"]

QUANTILE = 0.999
Z = NormalDist().inv_cdf(QUANTILE)  # 3.09
MAX_UNITS = 1024
MAX_COLUMNS = 256
N_SHUFFLES = 3
# A round of mutual best matches settles about half of what is open.
MAX_ROUNDS = 20
BLOCK_UNITS = 4096


def spaced(units: Tensor, n: int = MAX_UNITS) -> Tensor:
    """At most n units, evenly spaced."""
    return units[:: math.ceil(len(units) / n)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Sums over all entries of a pair of weights, float64."""

    n: int
    n_units: int
    dot: float
    norm_a: float
    norm_b: float
    norm_difference: float
    n_equal: int
    dot_of_column_sums: float  # sum_ij <a_i, b_j>
    dot_of_row_sums: float  # the same of the transposes
    columns: Tensor  # A'B over evenly spaced columns

    @property
    def cosine(self) -> float:
        """Of the flattened weights."""
        return self.dot / (self.norm_a * self.norm_b)

    @property
    def null_independent(self) -> float:
        """99.9 % of the cosine of independent weights."""
        return Z / math.sqrt(self.n)

    def null_permuted(self, a: Units, b: Units) -> float:
        """99.9 % of the cosine of row- and of column-permuted copies, the larger.

        `a` and `b` are the same evenly spaced units of both.
        """
        by_row = _permuted(self.n_units, self.dot, self.dot_of_column_sums, a @ b.T)
        width = self.n // self.n_units
        by_column = _permuted(width, self.dot, self.dot_of_row_sums, self.columns)
        return min(1.0, max(by_row, by_column) / (self.norm_a * self.norm_b))


def _permuted(m: int, dot: float, total: float, c: Float[Tensor, "rows rows"]) -> float:
    """99.9 % of sum_i c[i, pi(i)] over permutations, from some rows of c; 0 under 3 rows."""
    if m < 3:
        return 0.0
    mean = (total - dot) / (m * (m - 1))
    # What a copy shares with itself is no part of the null.
    c = c.clone().fill_diagonal_(mean)
    c = c - c.mean(0) - c.mean(1, keepdim=True) + c.mean()
    variance = c.square().sum().item() / (c.numel() - len(c))
    return m * mean + Z * math.sqrt(m * variance)


def overlap(chunks: Iterator[tuple[Tensor, Tensor]]) -> Overlap:
    """The sums of a pair of weights from chunks of their units, float64, in one reading."""
    n, n_units, n_equal = 0, 0, 0
    dot = aa = bb = dd = rows = 0.0
    sum_a, sum_b, columns = torch.zeros(()), torch.zeros(()), torch.zeros(())
    for a, b in chunks:
        a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
        n, n_units = n + a.numel(), n_units + len(a)
        dot += (a * b).sum().item()
        aa, bb = aa + a.square().sum().item(), bb + b.square().sum().item()
        dd += (b - a).square().sum().item()
        n_equal += int((a == b).sum())
        rows += (a.sum(1) @ b.sum(1)).item()
        sum_a, sum_b = sum_a + a.sum(0), sum_b + b.sum(0)
        columns = columns + spaced(a.T, MAX_COLUMNS) @ spaced(b.T, MAX_COLUMNS).T
    return Overlap(
        n=n,
        n_units=n_units,
        dot=dot,
        norm_a=math.sqrt(aa),
        norm_b=math.sqrt(bb),
        norm_difference=math.sqrt(dd),
        n_equal=n_equal,
        dot_of_column_sums=(sum_a @ sum_b).item(),
        dot_of_row_sums=rows,
        columns=columns,
    )


def singular_values(units: Units) -> Float[Tensor, " values"]:
    """Of a weight, largest first, by the smaller Gram matrix: good to 1e-8 of the largest."""
    small = units if len(units) <= units.shape[1] else units.T
    return torch.linalg.eigvalsh(small @ small.T).clamp(min=0).sqrt().flip(0)


def effective_rank(sigma: Float[Tensor, " values"]) -> float | None:
    """Exp of the entropy of sigma^2 as shares; None where all are 0."""
    energy = sigma.square()
    if not (total := energy.sum().item()):
        return None
    return math.exp(torch.special.entr(energy / total).sum().item())


def numerical_rank(sigma: Float[Tensor, " values"], weight: Units, eps: float) -> int:
    """Singular values of a change to `weight` above what rounding the sum to `eps` makes.

    Rounding moves an entry w by at most eps |w| / 2, evenly: a random matrix, whose largest
    singular value is its standard deviation times sqrt(rows) + sqrt(columns).
    """
    rounding = eps * weight.square().mean().sqrt().item() / math.sqrt(12)
    floor = 2 * rounding * (math.sqrt(weight.shape[0]) + math.sqrt(weight.shape[1]))
    return int((sigma > max(floor, 1e-7 * float(sigma.max()))).sum())


def cosine_of(a: Tensor, b: Tensor) -> float:
    """Cosine of two vectors."""
    return (a @ b / (a.norm() * b.norm())).item()


def match_units(few: Units, many: Units) -> Int[Tensor, " few"]:
    """For each of the few its unit among the many, -1 where none is left; each is taken once.

    Greedy by mutual best |cosine|, in rounds: a pair that are each other's best is settled.
    """
    few = F.normalize(few.float())
    partner = torch.full((len(few),), -1)
    free = torch.ones(len(many), dtype=torch.bool)
    for _ in range(MAX_ROUNDS):
        open_units, left = (partner < 0).nonzero()[:, 0], free.nonzero()[:, 0]
        if not len(open_units) or not len(left):
            break
        best, choice = torch.full((len(open_units),), -1.0), torch.zeros_like(open_units)
        chosen_by: list[Tensor] = []
        for block in left.split(BLOCK_UNITS):
            alike = (few[open_units] @ F.normalize(many[block].float()).T).abs()
            value, index = alike.max(1)
            choice = torch.where(value > best, block[index], choice)
            best = torch.maximum(best, value)
            chosen_by.append(alike.argmax(0))
        suitor = torch.full((len(many),), -1)
        suitor[left] = torch.cat(chosen_by)
        mutual = suitor[choice] == torch.arange(len(open_units))
        partner[open_units[mutual]] = choice[mutual]
        free[choice[mutual]] = False
    return partner


def aligned_cosine(few: Units, many: Units) -> float:
    """sum_i |<a_i, b_pi(i)>| / |a||b| over the few and their partners, 0 to 1."""
    partner = match_units(few, many)
    a, b = few[partner >= 0].double(), many[partner[partner >= 0]].double()
    return ((a * b).sum(1).abs().sum() / (few.double().norm() * b.norm())).item()


def null_aligned(few: Units, many: Units, generator: torch.Generator) -> float:
    """99.9 % of the aligned cosine of strangers: alignments with the columns shuffled."""
    shuffled = [
        aligned_cosine(few[:, torch.randperm(few.shape[1], generator=generator)], many)
        for _ in range(N_SHUFFLES)
    ]
    return max(shuffled) + Z * math.sqrt(2 / few.numel())
