"""Capability K and stability proxies R of a teacher and its students, and what lies between them.

    K: accuracy on short clean, short perturbed, long clean, long perturbed problems
    R: satisfaction  1 - share of steps whose burden exceeds the teacher's limit
       feasibility   1 - share of steps that arrive outside the model's own feasible region
       dependence    max(0, 2 AUC - 1) of (violation rate + outside rate) predicting a wrong answer
       perturbation  share of problems whose most frequent answer a perturbation leaves as it was
       horizon       min(1, accuracy on long / accuracy on short problems)

    Delta(x, y) = mean |x_i - y_i| over the components that both have
    noise       = 95 % of Delta(R, R) of the teacher between 200 random halves of the stories

All that is counted is summed by story first, so one bootstrap over stories pairs all models; a
component that is not defined is missing, not 0. The null of dependence deals the steps of each
horizon and condition anew among its trajectories. Source: arXiv 2603.25022, which publishes no
numbers: R is a proxy, OUR DEFINITION.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from measure.intervals import CHUNK, N_RESAMPLES, SEED
from measure.stability_records import Condition, Horizon, TrajectoryStability

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Drawn = Float[NDArray[np.float64], "draws components"]
    Weights = Float[NDArray[np.float64], "draws stories"]

HORIZONS: tuple[Horizon, ...] = get_args(Horizon)
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
CELLS = tuple(product(HORIZONS, CONDITIONS))
CAPABILITY = tuple(f"{horizon} {condition}" for horizon, condition in CELLS)
STABILITY = ("satisfaction", "feasibility", "dependence", "perturbation", "horizon")
LOAD = "mean load"
COMPONENTS = (*CAPABILITY, *STABILITY, LOAD)
K = slice(0, len(CAPABILITY))
R = slice(len(CAPABILITY), len(CAPABILITY) + len(STABILITY))
N_SPLITS = 200
N_SHUFFLES = 200
NOISE_QUANTILE = 0.95

# Columns of a table: sum and count of each mean, then scores of wrong and of right trajectories.
_PAIRS = (*CAPABILITY, "perturbation", "satisfaction", "feasibility", LOAD)
_AT = {name: 2 * i for i, name in enumerate(_PAIRS)}
_N_COUNTS = 2 * len(_PAIRS)


@dataclass(frozen=True, slots=True)
class Table:
    """Sums of one model's trajectories by story, in the order of `stories`."""

    stories: tuple[str, ...]
    sums: Float[NDArray[np.float64], "stories columns"]

    @property
    def n_problems(self) -> Mapping[str, int]:
        """Stories that each component is over."""
        has = {name: self.sums[:, at + 1] > 0 for name, at in _AT.items()}
        short, long = (
            np.any([has[f"{horizon} {c}"] for c in CONDITIONS], axis=0) for horizon in HORIZONS
        )
        scored = self.sums[:, _N_COUNTS:].any(1)
        found = {**has, "horizon": short & long, "dependence": scored}
        return {name: int(found[name].sum()) for name in COMPONENTS}

    @property
    def n_values(self) -> Mapping[str, int]:
        """Rollouts, pairs of problems, steps or trajectories that each component is a mean of."""
        totals = self.sums.sum(0)
        found = {name: totals[at + 1] for name, at in _AT.items()}
        found["horizon"] = sum(found[name] for name in CAPABILITY)
        found["dependence"] = totals[_N_COUNTS:].sum()
        return {name: int(found[name]) for name in COMPONENTS}

    def components(self, weights: Weights) -> Drawn:
        """All of `COMPONENTS` for each weighting of the stories, NaN where not defined."""
        total = weights @ self.sums
        mean = {name: _ratio(total[:, at], total[:, at + 1]) for name, at in _AT.items()}
        short, long = (
            nanmean(np.stack([mean[f"{horizon} {c}"] for c in CONDITIONS], axis=1))
            for horizon in HORIZONS
        )
        found = {
            **mean,
            "satisfaction": 1 - mean["satisfaction"],
            "feasibility": 1 - mean["feasibility"],
            "dependence": np.maximum(0, 2 * auc(*np.split(total[:, _N_COUNTS:], 2, axis=1)) - 1),
            "horizon": np.minimum(1, _ratio(long, short)),
        }
        return np.stack([found[name] for name in COMPONENTS], axis=1)

    def observed(self) -> Float[NDArray[np.float64], " components"]:
        """Components of all stories."""
        return self.components(np.ones((1, len(self.stories))))[0]


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def auc(
    wrong: Float[NDArray[np.float64], "draws scores"],
    right: Float[NDArray[np.float64], "draws scores"],
) -> Float[NDArray[np.float64], " draws"]:
    """Chance that a wrong trajectory's score exceeds a right one's, ties by half.

    Counts of trajectories by score, scores ascending; NaN where all are wrong or right.
    """
    below = np.cumsum(right, axis=1) - right
    wins = (wrong * (below + right / 2)).sum(1)
    return _ratio(wins, wrong.sum(1) * right.sum(1))


def table(trajectories: Sequence[TrajectoryStability], stories: Sequence[str]) -> Table:
    """Sum one model's trajectories by story; of other stories than these there are none."""
    row = {story: i for i, story in enumerate(stories)}
    sums = np.zeros((len(stories), _N_COUNTS))

    def add(one: TrajectoryStability, name: str, value: float, n: float) -> None:
        sums[row[one.story], _AT[name] : _AT[name] + 2] += (value, n)

    for one in trajectories:
        if one.is_correct is not None:
            add(one, f"{one.horizon} {one.condition}", one.is_correct, 1)
        if one.n_violations is not None:
            add(one, "satisfaction", one.n_violations, one.n_states - 1)
        if one.n_outside is not None:
            add(one, "feasibility", one.n_outside, one.n_states - 1)
        if one.path_load is not None:
            add(one, LOAD, one.path_load / one.n_states, 1)
    for story, (n_same, n_pairs) in unchanged_answers(trajectories).items():
        sums[row[story], _AT["perturbation"] : _AT["perturbation"] + 2] = (n_same, n_pairs)
    scored = _scored(trajectories)
    scores, place = np.unique(_scores(scored), return_inverse=True)
    counts = np.zeros((2, len(stories), len(scores)))
    where = np.array([row[one.story] for one in scored], dtype=np.int64)
    is_right = np.array([bool(one.is_correct) for one in scored], dtype=np.int64)
    np.add.at(counts, (is_right, where, place), 1)
    return Table(tuple(stories), np.hstack([sums, counts[0], counts[1]]))


def _scored(trajectories: Sequence[TrajectoryStability]) -> list[TrajectoryStability]:
    """Those of which violations, steps outside and the answer are known."""
    return [
        one
        for one in trajectories
        if one.n_violations is not None and one.n_outside is not None and one.is_correct is not None
    ]


def _scores(scored: Sequence[TrajectoryStability]) -> Float[NDArray[np.float64], " n"]:
    """Violation rate + outside rate, by one division: equal ones are equal to the bit."""
    return np.array(
        [((one.n_violations or 0) + (one.n_outside or 0)) / (one.n_states - 1) for one in scored]
    )


def unchanged_answers(
    trajectories: Sequence[TrajectoryStability],
) -> dict[str, tuple[int, int]]:
    """By story: horizons whose most frequent answer is the same clean and perturbed, and all.

    Of equally frequent answers the first sampled counts; no answer is never unchanged.
    """
    answers: dict[tuple[str, Horizon], dict[Condition, Counter[str | None]]] = {}
    for one in sorted(trajectories, key=lambda one: (one.problem_id, one.sample)):
        told = answers.setdefault((one.story, one.horizon), {})
        told.setdefault(one.condition, Counter())[one.answer] += 1
    found: dict[str, tuple[int, int]] = {}
    for (story, _), told in answers.items():
        if len(told) < len(CONDITIONS):
            continue
        clean, perturbed = (told[condition].most_common(1)[0][0] for condition in CONDITIONS)
        n_same, n_pairs = found.get(story, (0, 0))
        found[story] = (n_same + (clean is not None and clean == perturbed), n_pairs + 1)
    return found


# --- draws, distances, noise --------------------------------------------------------------------


def resamples(n_stories: int) -> Iterator[Weights]:
    """10,000 bootstrap draws of the stories as counts, the same for all models."""
    rng = np.random.default_rng(SEED)
    for start in range(0, N_RESAMPLES, CHUNK):
        size = min(CHUNK, N_RESAMPLES - start)
        yield rng.multinomial(n_stories, np.full(n_stories, 1 / n_stories), size=size).astype(float)


def drawn(tables: Mapping[str, Table]) -> dict[str, Drawn]:
    """Components of every model in each draw; one draw has the same stories for all."""
    parts: dict[str, list[Drawn]] = {role: [] for role in tables}
    n_stories = len(next(iter(tables.values())).stories)
    for weights in resamples(n_stories):
        for role, one in tables.items():
            parts[role].append(one.components(weights))
    return {role: np.concatenate(found) for role, found in parts.items()}


def difference(one: Drawn, other: Drawn) -> Float[NDArray[np.float64], " draws"]:
    """Delta: mean absolute difference of the columns that both have; NaN where there is none."""
    return nanmean(np.abs(one - other))


def shortfall(one: Drawn, other: Drawn) -> Float[NDArray[np.float64], " draws"]:
    """Mean over columns of what the first has more than the other."""
    return nanmean(np.maximum(0, one - other))


def nanmean(values: Drawn) -> Float[NDArray[np.float64], " draws"]:
    """Mean over the columns that are known; NaN where none is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(1), known.sum(1).astype(float))


def interval(values: Float[NDArray[np.float64], " draws"]) -> tuple[float | None, float | None]:
    """Percentiles 2.5 and 97.5 of the draws in which it is defined; None where it is in none."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None, None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def half_split_noise(teacher: Table, is_kept: NDArray[np.bool_]) -> float | None:
    """95 % of Delta(R, R) between 200 random halves of the stories, over the kept columns of R.

    None of fewer than 4 stories. Halves are noisier than the whole, so it rather errs upward.
    """
    n_stories = len(teacher.stories)
    if n_stories < 4 or not is_kept.any():
        return None
    rng = np.random.default_rng(SEED)
    order = rng.permuted(np.tile(np.arange(n_stories), (N_SPLITS, 1)), axis=1)
    first = np.zeros((N_SPLITS, n_stories))
    np.put_along_axis(first, order[:, : n_stories // 2], 1, axis=1)
    halves = [teacher.components(weights)[:, R][:, is_kept] for weights in (first, 1 - first)]
    deltas = difference(halves[0], halves[1])
    known = deltas[~np.isnan(deltas)]
    return float(np.quantile(known, NOISE_QUANTILE)) if len(known) else None


# --- the null of dependence ---------------------------------------------------------------------


def dependence_null(trajectories: Sequence[TrajectoryStability]) -> float | None:
    """95 % of `dependence` when steps are dealt anew among the trajectories of a kind.

    A kind is a horizon and a condition: that hard problems have more wrong answers and more
    violations is no dependence. None where the AUC is not defined.
    """
    scored = _scored(trajectories)
    is_wrong = np.array([not one.is_correct for one in scored], dtype=bool)
    if is_wrong.all() or not is_wrong.any():
        return None
    rng = np.random.default_rng(SEED)
    kinds = [CELLS.index((one.horizon, one.condition)) for one in scored]
    scores = np.empty((N_SHUFFLES, len(scored)))
    for kind in set(kinds):
        at = [i for i, own in enumerate(kinds) if own == kind]
        scores[:, at] = _dealt([scored[i] for i in at], rng)
    found = [max(0.0, 2 * _auc_of(row, is_wrong) - 1) for row in scores]
    return float(np.quantile(found, NOISE_QUANTILE))


def _dealt(
    trajectories: Sequence[TrajectoryStability], rng: np.random.Generator
) -> Float[NDArray[np.float64], "shuffles trajectories"]:
    """Scores of each shuffle: every trajectory keeps its number of steps."""
    n_steps = np.array([one.n_states - 1 for one in trajectories])
    steps = np.concatenate([_steps(one) for one in trajectories])
    dealt = rng.permuted(np.tile(steps, (N_SHUFFLES, 1)), axis=1)
    return np.add.reduceat(dealt, np.cumsum(n_steps) - n_steps, axis=1) / n_steps


def _steps(one: TrajectoryStability) -> NDArray[np.float64]:
    """What each step adds to the score: 0, 1, or 2 for a violation that arrives outside."""
    assert one.n_violations is not None and one.n_outside is not None and one.n_both is not None
    steps = np.zeros(one.n_states - 1)
    steps[: one.n_violations + one.n_outside - one.n_both] = 1
    steps[: one.n_both] = 2
    return steps


def _auc_of(scores: Float[NDArray[np.float64], " n"], is_wrong: NDArray[np.bool_]) -> float:
    _, place = np.unique(scores, return_inverse=True)
    wrong, right = (
        np.bincount(place[kept], minlength=place.max() + 1) for kept in (is_wrong, ~is_wrong)
    )
    return float(auc(wrong[None].astype(float), right[None].astype(float))[0])
