"""Whether components that are alike also matter alike: teacher-student alignment.

A of `measure/matching.py` follows similarity: under l1 influences are so small that A is the mean
similarity. So beside A stand the mean similarity, the mean |I_T - I_S|, and the null, in which
influences are shuffled within a type. What A gains on the null is the evidence, not A.

Intervals: 1,000 draws of the prompts. Each takes the mean logit differences, influences, mean
patterns, similarities, matches and A anew, from what was measured once: nothing runs again
(`measure/similarity.py` says what of an MLP's similarity is kept).

Source: Haskins & Adams 2026, arXiv 2505.10822; it names no unit for its interval, so the prompts,
the null and the gain are OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure.circuit_records import Alignment, ComponentMatch, Matching, Normalisation
from measure.influence import (
    NORMALISATIONS,
    Sweep,
    influence,
    or_none,
    percentiles,
    refusal,
)
from measure.intervals import SEED, bootstrap_counts
from measure.matching import (
    MATCHINGS,
    Matched,
    Score,
    delta_in_list,
    delta_influence,
    expected_null,
    influence_gaps,
    matched_as_published,
    matched_components,
    score,
)
from measure.similarity import Mode, Similarity

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

    Pairs = Float[NDArray[np.float64], "*batch teacher student"]
    Values = Float[NDArray[np.float64], "*batch components"]
    Draws = Float[NDArray[np.float64], " resamples"]

VERSION = 1  # raise it when a number changes: it is part of the measurement's id
Variant = tuple[Normalisation, Matching]
N_RESAMPLES = 1_000
N_SHUFFLES = 1_000
CHUNK = 50  # resamples at once: 50 of 144 by 72 heads are 4 MB


@dataclass(frozen=True, slots=True)
class Aligned:
    """All variants of a mode, and the draws, the same prompts for every student of a teacher."""

    rows: tuple[Alignment, ...]
    matches: tuple[ComponentMatch, ...]
    draws: Mapping[Variant, Draws]  # A on each draw of the prompts


def not_aligned(teacher: Sweep, student: Sweep, mode: Mode, reason: str) -> Aligned:
    """Every variant with the reason in place of its numbers, such as tokenizers that differ."""
    rows = [
        Alignment(
            mode=mode,
            normalisation=how,
            matching=matching,
            n_prompts=len(student.ld_clean),
            n_components_teacher=len(teacher.components),
            n_components_student=len(student.components),
            **dict.fromkeys(_NUMBERS),
            reason=reason,
        )
        for how, matching in _variants(mode)
    ]
    return Aligned(tuple(rows), (), {})


_NUMBERS = tuple(Alignment.__dataclass_fields__)[6:-1]


def _variants(mode: Mode) -> list[Variant]:
    if mode == "paper_code":
        return [("l1", "greedy")]
    return [(how, matching) for how in NORMALISATIONS for matching in MATCHINGS]


def align(
    teacher: Sweep, student: Sweep, similarity: Similarity, n_resamples: int = N_RESAMPLES
) -> Aligned:
    """Every variant of the similarity's mode; 0 resamples leave the intervals out.

    Raises:
        ValueError: sweeps and similarity of another number of prompts or components.
    """
    _check(teacher, student, similarity)
    reason = refusal({"teacher": teacher, "student": student})
    if reason is not None:
        return not_aligned(teacher, student, similarity.mode, reason)
    return _Pair(teacher, student, similarity).aligned(n_resamples)


def _check(teacher: Sweep, student: Sweep, similarity: Similarity) -> None:
    sizes = [(sweep.is_head.sum(), (~sweep.is_head).sum()) for sweep in (teacher, student)]
    (heads_t, mlps_t), (heads_s, mlps_s) = sizes
    n_prompts = {len(teacher.ld_clean), len(student.ld_clean), similarity.n_prompts}
    wanted = (heads_t, heads_s), (mlps_t, mlps_s)
    if len(n_prompts) > 1 or wanted != (similarity.heads.shape, similarity.mlps.shape):
        raise ValueError(
            f"sweeps and similarity do not go together: {sorted(n_prompts)} prompts, heads "
            f"{wanted[0]} and {similarity.heads.shape}, "
            f"MLPs {wanted[1]} and {similarity.mlps.shape}"
        )


@dataclass(frozen=True, slots=True)
class _Pair:
    teacher: Sweep
    student: Sweep
    similarity: Similarity

    @property
    def is_paper(self) -> bool:
        return self.similarity.mode == "paper_code"

    def raw(self, shares: Float[NDArray[np.float64], "*batch prompts"]) -> tuple[Values, Values]:
        """Either model's loss of logit difference by component; the public code keeps no sign."""
        found = [shares @ sweep.effects.T for sweep in (self.teacher, self.student)]
        one, other = (np.abs(loss) if self.is_paper else np.maximum(0, loss) for loss in found)
        return one, other

    def matched(self, heads: Pairs, mlps: Pairs, matching: Matching) -> Matched:
        if self.is_paper:
            return matched_as_published(self.teacher, self.student, heads, mlps)
        return matched_components(self.teacher, self.student, heads, mlps, matching)

    def delta(
        self, matched: Matched, raw: tuple[Values, Values], how: Normalisation
    ) -> Float[NDArray[np.float64], "*batch pairs"]:
        return (delta_in_list if self.is_paper else delta_influence)(matched, *raw, how)

    def aligned(self, n_resamples: int) -> Aligned:
        n_prompts = len(self.student.ld_clean)
        raw = self.raw(np.full(n_prompts, 1 / n_prompts))
        rng = np.random.default_rng(SEED)
        orders = [_shuffles(sweep, rng) for sweep in (self.teacher, self.student)]
        shuffled = raw[0][orders[0]], raw[1][orders[1]]
        variants = _variants(self.similarity.mode)
        found: dict[Matching, Matched] = {
            matching: self.matched(self.similarity.heads, self.similarity.mlps, matching)
            for _, matching in variants
        }
        drawn = _Drawn.of(self, variants, n_resamples)
        rows = [
            self._row(how, found[matching], matching, raw, shuffled, drawn)
            for how, matching in variants
        ]
        matches = [
            one
            for matching, matched in found.items()
            for one in self._matches(matching, matched, raw, drawn)
        ]
        draws = {variant: of.alignment for variant, of in drawn.scores.items()}
        return Aligned(tuple(rows), tuple(matches), draws)

    def _row(
        self,
        how: Normalisation,
        matched: Matched,
        matching: Matching,
        raw: tuple[Values, Values],
        shuffled: tuple[Values, Values],
        drawn: _Drawn,
    ) -> Alignment:
        point = score(matched.similarity, matched.weight, self.delta(matched, raw, how))
        null = score(
            matched.similarity, matched.weight, self.delta(matched, shuffled, how)
        ).alignment
        mean_null = float(null.mean())
        if not self.is_paper:
            gaps = influence_gaps(self.teacher, self.student, raw, how)
            mean_null = float(expected_null(matched, self.teacher, gaps))
        null_low, null_high = np.percentile(null, [2.5, 97.5])
        reached = null >= point.alignment - 1e-12  # a tie up to rounding counts against it
        has_influence = not np.isnan(point.alignment)
        of, gains = drawn.scores.get((how, matching)), drawn.gains.get((how, matching))
        return Alignment(
            mode=self.similarity.mode,
            normalisation=how,
            matching=matching,
            n_prompts=len(self.student.ld_clean),
            n_components_teacher=len(self.teacher.components),
            n_components_student=len(self.student.components),
            n_pairs=round(float(matched.weight.sum())),
            **_with_interval("alignment", point.alignment, of and of.alignment),
            **_with_interval("mean_similarity", point.mean_similarity, of and of.mean_similarity),
            **_with_interval(
                "mean_abs_delta_influence",
                point.mean_abs_delta_influence,
                of and of.mean_abs_delta_influence,
            ),
            null_alignment=or_none(mean_null),
            null_low=or_none(null_low),
            null_high=or_none(null_high),
            null_p=float((1 + reached.sum()) / (1 + len(null))) if has_influence else None,
            **_with_interval("gain", point.alignment - mean_null, gains),
            chance_similarity_heads=self.similarity.chance_heads,
            chance_similarity_mlps=self.similarity.chance_mlps,
            chance_similarity_mlps_reordered=self.similarity.chance_mlps_reordered,
            mlp_method=self.similarity.mlp_method,
            mlp_reason=self.similarity.mlp_reason,
            reason=None if has_influence else "no ablation lowers the logit difference of a model",
        )

    def _matches(
        self, matching: Matching, matched: Matched, raw: tuple[Values, Values], drawn: _Drawn
    ) -> Sequence[ComponentMatch]:
        if self.is_paper:
            total = [
                (matched.weight * values[places]).sum()
                for values, places in zip(raw, (matched.teacher, matched.student), strict=True)
            ]
            influences = [values / size for values, size in zip(raw, total, strict=True)]
        else:
            influences = [influence(values, "max") for values in raw]
        presence = drawn.presence.get(matching)
        reordered = self.similarity.mlps_reordered
        mlp_t, mlp_s = (np.cumsum(~of.is_head) - 1 for of in (self.teacher, self.student))
        pairs: list[tuple[int, int]] = list(
            zip(matched.teacher.tolist(), matched.student.tolist(), strict=True)
        )
        return [
            ComponentMatch(
                mode=self.similarity.mode,
                matching=matching,
                kind="head" if self.teacher.is_head[t] else "mlp",
                component_teacher=self.teacher.components[t],
                component_student=self.student.components[s],
                similarity=float(matched.similarity[i]),
                similarity_reordered=(
                    None
                    if reordered is None or self.teacher.is_head[t]
                    else float(reordered[mlp_t[t], mlp_s[s]])
                ),
                weight=float(matched.weight[i]),
                influence_teacher=or_none(influences[0][t]),
                influence_student=or_none(influences[1][s]),
                abs_delta_influence=or_none(abs(influences[0][t] - influences[1][s])),
                resample_share=None if presence is None else float(presence[t, s]),
            )
            for i, (t, s) in enumerate(pairs)
        ]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What every variant gives on each draw of the prompts; empty of none."""

    scores: Mapping[Variant, Score]
    gains: Mapping[Variant, Draws]
    presence: Mapping[Matching, Float[NDArray[np.float64], "teacher student"]]  # share of draws

    @classmethod
    def of(cls, pair: _Pair, variants: Sequence[Variant], n_resamples: int) -> _Drawn:
        n_prompts = len(pair.student.ld_clean)
        if n_resamples == 0 or n_prompts < 2:
            return cls({}, {}, {})
        shape = len(pair.teacher.components), len(pair.student.components)
        scores: dict[Variant, list[Score]] = {v: [] for v in variants}
        gains: dict[Variant, list[Draws]] = {}
        presence: dict[Matching, NDArray[np.float64]] = {of: np.zeros(shape) for _, of in variants}
        for counts in bootstrap_counts(n_prompts, n_resamples, CHUNK):
            shares = counts / n_prompts
            raw = pair.raw(shares)
            pairs = pair.similarity.resampled(shares)
            gaps: dict[Normalisation, NDArray[np.float64]] = {
                how: influence_gaps(pair.teacher, pair.student, raw, how) for how, _ in variants
            }
            for matching in presence:
                matched = pair.matched(*pairs, matching)
                np.add.at(presence[matching], (matched.teacher, matched.student), 1 / n_resamples)
                for how, of in variants:
                    if of != matching:
                        continue
                    delta = pair.delta(matched, raw, how)
                    one = score(matched.similarity, matched.weight, delta)
                    scores[how, of].append(one)
                    if not pair.is_paper:
                        null = expected_null(matched, pair.teacher, gaps[how])
                        gains.setdefault((how, of), []).append(one.alignment - null)
        return cls(
            {variant: _joined(chunks) for variant, chunks in scores.items()},
            {variant: np.concatenate(chunks) for variant, chunks in gains.items()},
            presence,
        )


def _joined(chunks: Sequence[Score]) -> Score:
    return Score(
        np.concatenate([one.alignment for one in chunks]),
        np.concatenate([one.mean_similarity for one in chunks]),
        np.concatenate([one.mean_abs_delta_influence for one in chunks]),
    )


def _with_interval(
    name: str, value: float | NDArray[np.float64], draws: Draws | None
) -> dict[str, float | None]:
    low, high = (np.nan, np.nan) if draws is None else percentiles(draws)
    return {
        name: or_none(float(value)),
        f"ci_low_{name}": or_none(low),
        f"ci_high_{name}": or_none(high),
    }


def _shuffles(
    sweep: Sweep, rng: np.random.Generator
) -> Int[NDArray[np.intp], "shuffles components"]:
    """Orders of a model's components that keep heads among heads and MLPs among MLPs."""
    orders = np.tile(np.arange(len(sweep.components)), (N_SHUFFLES, 1))
    for of_type in (sweep.is_head, ~sweep.is_head):
        orders[:, of_type] = rng.permuted(orders[:, of_type], axis=1)
    return orders
