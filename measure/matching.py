"""Which components of two models belong together, and how far they matter alike.

    A = sum_pairs w S (1 - |I_T - I_S|) / sum_pairs w                                     (Eq. 8)

over matched pairs of one type (heads with heads, MLPs with MLPs), S their similarity, I their
influences, w = 1 but for soft matching.

    greedy      each teacher component takes the student's that is most like it; many to one
    hungarian   one to one, the largest sum of S; as many pairs as the smaller model has components
    soft        each takes its 5 most like, w = softmax(S) over them: 1 a teacher component
    paper_code  each student component takes the teacher's, heads below 0.95 count twice, and what
                each loses of the logit difference, without sign, is divided by its sum over that
                list: as the public code does

The null of A shuffles influences within a type, both models'. Each pair then meets every two
influences of its type equally often, so that its mean over all shuffles has a closed form:

    E |I_T - I_S| = mean over i, j of |I_T[i] - I_S[j]|

Source: Haskins & Adams 2026, arXiv 2505.10822 and its public code, which gives no formula for soft
matching: that and the null are OUR DEFINITION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from measure.circuit_records import Matching, Normalisation
from measure.influence import Sweep, influence

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

    Pairs = Float[NDArray[np.float64], "*batch teacher student"]
    Values = Float[NDArray[np.float64], "*batch components"]

N_SOFT = 5
TWICE_BELOW = 0.95

MATCHINGS: tuple[Matching, ...] = ("greedy", "hungarian", "soft")


@dataclass(frozen=True, slots=True)
class Matched:
    """Pairs of components; positions in their model's sweep. Leading axes: resamples, if any."""

    teacher: Int[NDArray[np.intp], "*batch pairs"]
    student: Int[NDArray[np.intp], "*batch pairs"]
    similarity: Float[NDArray[np.float64], "*batch pairs"]
    weight: Float[NDArray[np.float64], "*batch pairs"]


def match(similarity: Pairs, matching: Matching) -> Matched:
    """Pairs of one type, positions within it; none where either model has none of it."""
    *batch, n_teacher, n_student = similarity.shape
    if not n_teacher or not n_student:
        nothing = np.empty((*batch, 0))
        return Matched(nothing.astype(np.intp), nothing.astype(np.intp), nothing, nothing)
    if matching == "hungarian":
        flat = similarity.reshape(-1, n_teacher, n_student)
        found = np.array([linear_sum_assignment(one, maximize=True) for one in flat], dtype=np.intp)
        teacher, student = (found[:, side].reshape(*batch, -1) for side in (0, 1))
    else:
        n = min(n_student, N_SOFT if matching == "soft" else 1)
        best = np.argsort(-similarity, axis=-1, kind="stable")[..., :n]
        student = best.reshape(*batch, n_teacher * n)
        teacher = np.broadcast_to(np.repeat(np.arange(n_teacher), n), student.shape)
    taken = np.take_along_axis(
        similarity.reshape(*batch, n_teacher * n_student), teacher * n_student + student, -1
    )
    weight = np.ones_like(taken)
    if matching == "soft":
        by_teacher = np.exp(taken.reshape(*batch, n_teacher, -1))
        weight = (by_teacher / by_teacher.sum(-1, keepdims=True)).reshape(taken.shape)
    return Matched(teacher, student, taken, weight)


def matched_components(
    teacher: Sweep, student: Sweep, heads: Pairs, mlps: Pairs, matching: Matching
) -> Matched:
    """Pairs of either type, positions in the sweeps."""
    return _both_types(teacher, student, match(heads, matching), match(mlps, matching))


def matched_as_published(teacher: Sweep, student: Sweep, heads: Pairs, mlps: Pairs) -> Matched:
    """Each student component with the teacher's most like it; heads below 0.95 count twice."""
    turned = [match(given.swapaxes(-1, -2), "greedy") for given in (heads, mlps)]
    of_heads, of_mlps = (
        Matched(one.student, one.teacher, one.similarity, one.weight) for one in turned
    )
    twice = np.where(of_heads.similarity < TWICE_BELOW, 2.0, 1.0)
    of_heads = Matched(of_heads.teacher, of_heads.student, of_heads.similarity, twice)
    return _both_types(teacher, student, of_heads, of_mlps)


def _both_types(teacher: Sweep, student: Sweep, heads: Matched, mlps: Matched) -> Matched:
    places = [np.flatnonzero(sweep.is_head) for sweep in (teacher, student)]
    others = [np.flatnonzero(~sweep.is_head) for sweep in (teacher, student)]
    return Matched(
        np.concatenate([places[0][heads.teacher], others[0][mlps.teacher]], -1),
        np.concatenate([places[1][heads.student], others[1][mlps.student]], -1),
        np.concatenate([heads.similarity, mlps.similarity], -1),
        np.concatenate([heads.weight, mlps.weight], -1),
    )


# --- the score ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Score:
    """A, and what it is made of; one number a resample."""

    alignment: Float[NDArray[np.float64], "*batch"]
    mean_similarity: Float[NDArray[np.float64], "*batch"]
    mean_abs_delta_influence: Float[NDArray[np.float64], "*batch"]


def score(
    similarity: Float[NDArray[np.float64], "*batch pairs"],
    weight: Float[NDArray[np.float64], "*batch pairs"],
    delta: Float[NDArray[np.float64], "*batch pairs"],
) -> Score:
    """Eq. 8 of pairs whose influences differ by `delta`, 0 to 1."""
    total = weight.sum(-1)
    return Score(
        (weight * similarity * (1 - delta)).sum(-1) / total,
        (weight * similarity).sum(-1) / total,
        (weight * delta).sum(-1) / total,
    )


def delta_influence(
    matched: Matched, raw_teacher: Values, raw_student: Values, how: Normalisation
) -> Float[NDArray[np.float64], "*batch pairs"]:
    """|I_T - I_S| of each pair, of raw influences; NaN where a model has none at all."""
    i_teacher, i_student = (influence(raw, how) for raw in (raw_teacher, raw_student))
    return np.abs(_at(i_teacher, matched.teacher) - _at(i_student, matched.student))


def delta_in_list(
    matched: Matched, raw_teacher: Values, raw_student: Values, how: Normalisation = "l1"
) -> Float[NDArray[np.float64], "*batch pairs"]:
    """The same as the public code does: normalised over the list of pairs, each as it counts."""
    taken = [_at(raw_teacher, matched.teacher), _at(raw_student, matched.student)]
    sizes = [
        {
            "max": of.max(-1, keepdims=True),
            "l1": (matched.weight * of).sum(-1, keepdims=True),
            "l2": np.sqrt((matched.weight * of**2).sum(-1, keepdims=True)),
        }[how]
        for of in taken
    ]
    one, other = (of / size for of, size in zip(taken, sizes, strict=True))
    return np.abs(one - other)


def _at(values: Values, places: Int[NDArray[np.intp], "*batch pairs"]) -> NDArray[np.float64]:
    return values[..., places] if places.ndim == 1 else np.take_along_axis(values, places, -1)


def influence_gaps(
    teacher: Sweep, student: Sweep, raw: tuple[Values, Values], how: Normalisation
) -> Float[NDArray[np.float64], "*batch 2"]:
    """Mean |I_T - I_S| over all pairs of heads, and over all of MLPs; 0 where there are none."""
    i_teacher, i_student = (influence(values, how) for values in raw)
    gaps: list[NDArray[np.float64]] = []
    for is_head in (True, False):
        one = i_teacher[..., teacher.is_head == is_head]
        other = i_student[..., student.is_head == is_head]
        apart = np.abs(one[..., :, None] - other[..., None, :])
        gaps.append(apart.sum((-2, -1)) / max(1, apart.shape[-2] * apart.shape[-1]))
    return np.stack(gaps, -1)


def expected_null(
    matched: Matched, teacher: Sweep, gaps: Float[NDArray[np.float64], "*batch 2"]
) -> Float[NDArray[np.float64], "*batch"]:
    """Mean of A over all shuffles of both models' influences within each type."""
    of_type = np.where(teacher.is_head[matched.teacher], gaps[..., :1], gaps[..., 1:])
    return score(matched.similarity, matched.weight, of_type).alignment
