"""Parallelograms: is the same relation the same step, from word to word?

With e a word's state (the residual stream after half of the blocks, at the word's last token, the
word alone after a blank), centred on the relation's words and projected on their first 20 (or 2)
principal axes, two pairs (1, 2) and (3, 4) of a relation have the loss

    |e_1 + e_4 - e_2 - e_3|^2 / s        s: mean squared norm of the relation's words so projected

0 of a perfect parallelogram; of n unstructured words without a common one its mean is
4 n / (n - 1), with the median at 3.87 in 20 dimensions. All couples of pairs count, or 10,000
drawn with seed 0 where there are more. `area` is the share of [0, 4] under the curve "couples with
a loss below x": the mean of max(0, 1 - loss / 4), 0 to 1.

The floor is the same words paired at random: with few words any relation looks structured on two
axes, and words that stand in many pairs do it alone. Intervals are of the bootstrap over pairs of
words, as couples share words; a difference of models keeps the words drawn the same.

Source: methods 3.6; arXiv papers of the same authors use the word pairs of Todd et al., whose files
can be given; the relations here are the project's own. Known pathology: relations that hold a pair
and its reverse, as opposites and steps of a sequence do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from measure import residual, task_words
from measure.errors import BadInput
from measure.feature_records import (
    Parallelogram,
    ParallelogramDifference,
    RelationChange,
    Side,
)
from measure.intervals import SEED, bootstrap_counts
from measure.models import CausalLM
from measure.prompts import Progress
from measure.zoo import tasks as zoo_tasks
from measure.zoo import words as zoo_words

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

    Vectors = Float[NDArray[np.float64], "words d_model"]
    Couples = Int[NDArray[np.int64], "couples 2"]

METHOD = "parallelogram"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
N_AXES = (20, 2)
MAX_COUPLES = 10_000
MIN_PAIRS = 5
N_SHUFFLES = 100
N_RESAMPLES = 1_000
UNSTRUCTURED = 4.0  # mean loss; also where curves end
GRID = np.linspace(0.0, UNSTRUCTURED, 41)


@dataclass(frozen=True, slots=True)
class Relation:
    """Pairs of words under a name: each is to the second as every other to its own."""

    name: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def words(self) -> tuple[str, ...]:
        """All of them once, in order."""
        return tuple(dict.fromkeys(word for pair in self.pairs for word in pair))

    @property
    def indices(self) -> Int[NDArray[np.int64], "pairs 2"]:
        """Of each pair among `words`."""
        place = {word: i for i, word in enumerate(self.words)}
        return np.array([[place[a], place[b]] for a, b in self.pairs], dtype=np.int64)


# --- relations ----------------------------------------------------------------------------------


def world_relations() -> list[Relation]:
    """Relations for models that have read the world, of the project's own words."""
    facts = {
        name: tuple((a, b) for a, b in (pair.split() for pair in pairs))
        for name, pairs in task_words.FACTS.items()
    }
    lower = tuple(noun.lower() for noun in task_words.NOUNS)
    return [
        *(Relation(name, pairs) for name, pairs in facts.items()),
        Relation("capitalize", tuple(zip(lower, task_words.NOUNS, strict=True))),
        *_of_sequences({"number": task_words.NUMBER_WORDS, "month": task_words.MONTHS}),
        _numeral(task_words.NUMBER_WORDS),
    ]


def zoo_relations() -> list[Relation]:
    """Relations for the embedded models, of words that they have read."""
    several = tuple(many for _, many in zoo_words.THINGS)
    return [
        Relation("plural", (*zoo_words.THINGS, *zoo_words.BOXES)),
        Relation("capitalize", tuple((many, many.capitalize()) for many in several)),
        *_of_sequences({"number": zoo_words.NUMBER_WORDS, "month": zoo_words.MONTHS}),
        _numeral(zoo_words.NUMBER_WORDS),
        Relation("door", tuple(zoo_tasks.DOORS.items())),
    ]


def _of_sequences(terms: Mapping[str, Sequence[str]]) -> Iterator[Relation]:
    for name, given in terms.items():
        yield Relation(f"next_{name}", tuple(zip(given[:-1], given[1:], strict=True)))


def _numeral(number_words: Sequence[str]) -> Relation:
    numerals = (str(number) for number in range(1, len(number_words) + 1))
    return Relation("numeral", tuple(zip(number_words, numerals, strict=True)))


def read_relations(path: Path) -> list[Relation]:
    """A .json file of word pairs, or all of a folder's; the file's name is the relation's.

    A file is a list of `{"input": ..., "output": ...}`, as Todd et al. have it; a pair that stands
    there twice counts once.

    Raises:
        BadInput: no such file, or something else in it.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise BadInput(f"folder {str(path)!r} has no .json file: give one of word pairs")
    return [_read(file) for file in files]


def _read(path: Path) -> Relation:
    wanted = 'give a list of {"input": "hot", "output": "cold"}'
    try:
        given: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"word pairs {str(path)!r} cannot be read as JSON: {wanted}") from error
    pairs: dict[tuple[str, str], None] = {}
    for number, line in enumerate(given if isinstance(given, list) else [given], start=1):
        fields: dict[str, Any] = line if isinstance(line, dict) else {}
        pair = fields.get("input"), fields.get("output")
        if not all(isinstance(word, str) and word.strip() for word in pair):
            raise BadInput(f"word pairs {str(path)!r}, number {number}, are no two words: {wanted}")
        pairs[str(pair[0]).strip(), str(pair[1]).strip()] = None
    return Relation(path.stem, tuple(pairs))


# --- geometry -----------------------------------------------------------------------------------


@torch.inference_mode()
def word_states(
    model: CausalLM, words: Sequence[str], layer: int, batch_size: int, progress: Progress
) -> Vectors:
    """A row a word: the stream after a block at the word's last token, the word alone."""
    rows = [model.encode(f" {word}") for word in words]
    found: list[NDArray[np.float64]] = []
    for start in range(0, len(rows), batch_size):
        batch = model.pad(rows[start : start + batch_size])
        stream, _ = residual.read(model, layer, batch)
        last = batch.mask.sum(-1) - 1
        found.append(stream[torch.arange(len(last)), last].double().cpu().numpy())
        progress(len(last))
    return np.concatenate(found) if found else np.zeros((0, model.card.hidden_size))


def projected(vectors: Vectors, n_axes: int) -> Vectors:
    """Centred words on their first principal axes, scaled to a mean squared norm of 1.

    Words that are all the same stay at 0.
    """
    centred = vectors - vectors.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    points = left[:, :n_axes] * sizes[:n_axes]
    mean_square = float((points**2).sum(-1).mean())
    return points / mean_square**0.5 if mean_square > 0 else points


def couples_of(n_pairs: int) -> Couples:
    """Two different pairs each: all, or 10,000 drawn with seed 0 where there are more."""
    if n_pairs * (n_pairs - 1) // 2 <= MAX_COUPLES:
        return np.stack(np.triu_indices(n_pairs, 1), axis=1)
    rng = np.random.default_rng(0)
    first = rng.integers(n_pairs, size=MAX_COUPLES)
    return np.stack([first, (first + rng.integers(1, n_pairs, size=MAX_COUPLES)) % n_pairs], 1)


def losses(
    points: Vectors, pairs: Int[NDArray[np.int64], "pairs 2"], couples: Couples
) -> Float[NDArray[np.float64], " couples"]:
    """Of each couple, >= 0; `points` have a mean squared norm of 1."""
    steps = points[pairs[:, 0]] - points[pairs[:, 1]]
    return ((steps[couples[:, 0]] - steps[couples[:, 1]]) ** 2).sum(-1)


def areas(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each couple adds to the area under the curve, 0 to 1."""
    return np.maximum(0.0, 1.0 - found / UNSTRUCTURED)


def curve(found: Float[NDArray[np.float64], " couples"]) -> Float[NDArray[np.float64], " grid"]:
    """Share of couples with a loss up to each point of `GRID`."""
    return np.searchsorted(np.sort(found), GRID, side="right") / len(found)


def shuffled(
    pairs: Int[NDArray[np.int64], "pairs 2"], rng: np.random.Generator
) -> Int[NDArray[np.int64], "pairs 2"]:
    """The same first words, each with another pair's second."""
    n = len(pairs)
    while True:
        order = rng.permutation(n)
        if not np.any(order == np.arange(n)):
            return np.stack([pairs[:, 0], pairs[order, 1]], axis=1)


# --- one relation in one model, and in two ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Summary:
    """Median loss and area of a relation, and both of each resample of its pairs."""

    losses: Float[NDArray[np.float64], " couples"]
    median: float
    area: float
    medians: Float[NDArray[np.float64], " resamples"]
    areas: Float[NDArray[np.float64], " resamples"]


def summary(points: Vectors, pairs: Int[NDArray[np.int64], "pairs 2"], couples: Couples) -> Summary:
    """Bootstrap over pairs of words: a couple counts as often as both its pairs were drawn.

    The same draws for as many pairs, so that two models stay paired.
    """
    found = losses(points, pairs, couples)
    order = np.argsort(found, kind="stable")
    ascending, first, second = found[order], couples[order, 0], couples[order, 1]
    own_areas = areas(ascending)
    medians: list[NDArray[np.float64]] = []
    drawn: list[NDArray[np.float64]] = []
    for counts in bootstrap_counts(len(pairs), N_RESAMPLES, chunk=100):
        weights = (counts[:, first] * counts[:, second]).astype(np.float64)
        reached = weights.cumsum(1)
        total = reached[:, -1]
        is_known = total > 0  # all draws may be of one pair
        place = (reached < total[:, None] / 2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn.append(np.where(is_known, weights @ own_areas / total, np.nan))
        medians.append(np.where(is_known, ascending[np.minimum(place, len(found) - 1)], np.nan))
    return Summary(
        found,
        float(np.median(found)),
        float(own_areas.mean()),
        np.concatenate(medians),
        np.concatenate(drawn),
    )


def measure(
    relation: Relation, states: Mapping[Side, Vectors], n_axes: int
) -> Iterator[Parallelogram | ParallelogramDifference]:
    """Both models and their difference; `states` are of the relation's words in order.

    A relation of fewer than five pairs, or of words that a model does not tell apart, has its
    reason.
    """
    pairs = relation.indices
    summaries: dict[Side, Summary] = {}
    for side, vectors in states.items():
        reason = _why_not(relation, vectors)
        if reason is not None:
            yield _unknown(relation, side, n_axes, reason)
            continue
        points, couples = projected(vectors, n_axes), couples_of(len(pairs))
        summaries[side] = summary(points, pairs, couples)
        yield _record(relation, side, n_axes, points, couples, summaries[side])
    if len(summaries) == 2:
        yield _difference(relation, n_axes, summaries["base"], summaries["distilled"])


def _why_not(relation: Relation, vectors: Vectors) -> str | None:
    if len(relation.pairs) < MIN_PAIRS:
        return f"{len(relation.pairs)} pairs, {MIN_PAIRS} are needed"
    return "the model has one state for all words" if np.ptp(vectors, axis=0).max() == 0 else None


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _record(
    relation: Relation,
    side: Side,
    n_axes: int,
    points: Vectors,
    couples: Couples,
    found: Summary,
) -> Parallelogram:
    rng = np.random.default_rng(SEED)
    null = [losses(points, shuffled(relation.indices, rng), couples) for _ in range(N_SHUFFLES)]
    null_medians = np.array([np.median(one) for one in null])
    null_areas = np.array([areas(one).mean() for one in null])
    medians, area = _interval(found.medians), _interval(found.areas)
    limits, area_limits = _interval(null_medians), _interval(null_areas)
    return Parallelogram(
        side=side,
        relation=relation.name,
        n_axes=n_axes,
        n_pairs=len(relation.pairs),
        n_words=len(relation.words),
        n_couples=len(couples),
        mean_loss=float(found.losses.mean()),
        median_loss=found.median,
        ci_low_median_loss=medians[0],
        ci_high_median_loss=medians[1],
        area=found.area,
        ci_low_area=area[0],
        ci_high_area=area[1],
        null_mean_loss=float(np.mean([one.mean() for one in null])),
        null_median_loss=float(null_medians.mean()),
        null_low_median_loss=limits[0],
        null_high_median_loss=limits[1],
        null_area=float(null_areas.mean()),
        null_low_area=area_limits[0],
        null_high_area=area_limits[1],
        is_structured=found.area > area_limits[1],
        cdf=tuple(curve(found.losses).tolist()),
        null_cdf=tuple(np.mean([curve(one) for one in null], axis=0).tolist()),
        reason=None,
    )


def _unknown(relation: Relation, side: Side, n_axes: int, reason: str) -> Parallelogram:
    return Parallelogram(
        side=side, relation=relation.name, n_axes=n_axes, n_pairs=len(relation.pairs),
        n_words=len(relation.words), n_couples=0, mean_loss=None, median_loss=None,
        ci_low_median_loss=None, ci_high_median_loss=None, area=None, ci_low_area=None,
        ci_high_area=None, null_mean_loss=None, null_median_loss=None, null_low_median_loss=None,
        null_high_median_loss=None, null_area=None, null_low_area=None, null_high_area=None,
        is_structured=None, cdf=None, null_cdf=None, reason=reason,
    )  # fmt: skip


def _difference(
    relation: Relation, n_axes: int, base: Summary, distilled: Summary
) -> ParallelogramDifference:
    medians = _interval(distilled.medians - base.medians)
    area = _interval(distilled.areas - base.areas)
    change: RelationChange = "no difference"
    if area[0] > 0 or area[1] < 0:
        change = "more structured" if area[0] > 0 else "less structured"
    return ParallelogramDifference(
        relation=relation.name,
        n_axes=n_axes,
        n_pairs=len(relation.pairs),
        d_median_loss=distilled.median - base.median,
        ci_low_d_median_loss=medians[0],
        ci_high_d_median_loss=medians[1],
        d_area=distilled.area - base.area,
        ci_low_d_area=area[0],
        ci_high_d_area=area[1],
        change=change,
    )
