"""How alike the components of two models are: heads by where they look, MLPs by what they write.

    heads      cosine of the flattened mean patterns, without the BOS column and row 0, rows summing
               to 1 again; without a BOS, row 0 alone goes: it is 1 in every head
    MLPs       shared residual basis (Eq. 6): mean over k = 1, 2, 3 of |cos(u_T[k], u_S[k])|, of the
               leading eigenvectors of the centred covariance over all prompts and tokens; and the
               same for the best of the 6 orders, since near-equal eigenvalues swap
               otherwise: linear CKA, |X'Y|^2 / (|X'X| |Y'Y|) of centred outputs, any two widths
    paper_code heads: mean over query rows of the cosine of the mean patterns' rows, BOS and all
               MLPs: |mean of the 9 cosines| of the uncentred second moment's eigenvectors, moved to
               the heads' mean and standard deviation, over the largest; an eigenvector's sign is
               arbitrary, and so is this number

Attention sinks make all patterns alike, and two random directions in d dimensions have a mean |cos|
of about sqrt(2 / (pi d)): every similarity stands beside its chance, for heads the mean over all
pairs. Linear CKA's chance is its mean over all orders of the student's tokens.

On resampled prompts the mean patterns, the means and the covariances of MLP outputs are taken anew;
what is kept is each MLP's 24 leading directions, within which its covariance is: eigenvectors turn
there, and CKA is moved by what resampling changes there. Nothing runs again.

Source: Haskins & Adams 2026, arXiv 2505.10822 and its public code; CKA: Kornblith et al. 2019; BOS,
CKA, the chances and the resampling are OUR DEFINITION.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from measure.errors import BadInput

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Patterns = Float[NDArray[np.floating], "prompts heads queries keys"]
    Means = Float[NDArray[np.floating], "*batch heads queries keys"]
    Outputs = Float[NDArray[np.floating], "layers prompts tokens width"]
    Shares = Float[NDArray[np.float64], "resamples prompts"]  # each row sums to 1
    Pairs = Float[NDArray[np.float64], "*batch teacher student"]

Mode = Literal["ours", "paper_code"]
MlpMethod = Literal["eigenvectors", "cka", "paper_code"]
N_VECTORS = 3
N_KEPT = 24  # directions of an MLP within which its covariance is resampled
ORDERS = tuple(permutations(range(N_VECTORS)))


@dataclass(frozen=True, slots=True)
class Similarity:
    """Of all pairs within a type, on all prompts, and what it is on resampled ones."""

    mode: Mode
    n_prompts: int
    heads: Pairs  # -1 to 1
    mlps: Pairs  # 0 to 1
    mlps_reordered: Pairs | None  # Eq. 6 by the best order; null by other methods
    chance_heads: float  # mean over all pairs
    chance_mlps: float | None  # null in paper_code mode
    chance_mlps_reordered: float | None
    mlp_method: MlpMethod
    mlp_reason: str  # why by this method
    resampled: Callable[[Shares], tuple[Pairs, Pairs]]  # heads, MLPs


def similarity(
    patterns: tuple[Patterns, Patterns],
    outputs: tuple[Outputs, Outputs],
    *,
    has_bos: bool,
    why_other_basis: str | None,
    mode: Mode = "ours",
) -> Similarity:
    """Of a teacher (first of each pair) and a student that read the same tokens.

    `has_bos`: the tokenizer puts one, or a [CLS], before the text. `why_other_basis`: why the
    student's residual directions are not the teacher's, None where it was initialised from it.

    Raises:
        BadInput: other prompts, or of another length, or shorter than two tokens.
    """
    n_prompts = _same_prompts(patterns, outputs)
    whole = np.full((1, n_prompts), 1 / n_prompts)
    of_heads = head_similarity if mode == "ours" else paper_head_similarity

    def heads_on(shares: Shares) -> Pairs:
        teacher, student = (_mean_patterns(given, shares) for given in patterns)
        return of_heads(teacher, student, has_bos)

    heads = heads_on(whole)[0]
    if mode == "paper_code":
        raw = _paper_mlps(*outputs)
        return Similarity(
            mode=mode,
            n_prompts=n_prompts,
            heads=heads,
            mlps=spread_as_heads(raw, heads),
            mlps_reordered=None,
            chance_heads=float(heads.mean()),
            chance_mlps=None,
            chance_mlps_reordered=None,
            mlp_method="paper_code",
            mlp_reason="as the public code does; the outputs of MLPs are not resampled",
            resampled=lambda shares: (of := heads_on(shares), spread_as_heads(raw, of)),
        )
    widths = [given.shape[-1] for given in outputs]
    if widths[0] != widths[1]:
        why_other_basis = f"a residual stream of {widths[1]} against the teacher's {widths[0]}"
    found = _by_cka(*outputs) if why_other_basis else _by_eigenvectors(*outputs)
    return Similarity(
        mode=mode,
        n_prompts=n_prompts,
        heads=heads,
        mlps=found.pairs,
        mlps_reordered=found.reordered,
        chance_heads=float(heads.mean()),
        chance_mlps=found.chance,
        chance_mlps_reordered=found.chance_reordered,
        mlp_method="cka" if why_other_basis else "eigenvectors",
        mlp_reason=why_other_basis or "the student was initialised from the teacher",
        resampled=lambda shares: (heads_on(shares), found.resampled(shares)),
    )


def _same_prompts(patterns: tuple[Patterns, Patterns], outputs: tuple[Outputs, Outputs]) -> int:
    read = [given.shape[::2] for given in patterns] + [given.shape[1:3] for given in outputs]
    n_prompts, n_tokens = read[0]
    if any(one != read[0] for one in read):
        shown = ", ".join(f"{n} prompts of {length} tokens" for n, length in read)
        raise BadInput(f"patterns and outputs of {shown}: give both models the same prompts")
    if not n_prompts or n_tokens < 2:
        raise BadInput(
            f"{n_prompts} prompts of {n_tokens} tokens: at least 1 of 2 tokens is needed"
        )
    return n_prompts


# --- heads --------------------------------------------------------------------------------------


def _mean_patterns(patterns: Patterns, shares: Shares) -> Means:
    flat = patterns.reshape(len(patterns), -1)
    return (shares.astype(flat.dtype) @ flat).reshape(len(shares), *patterns.shape[1:])


def head_similarity(teacher: Means, student: Means, has_bos: bool) -> Pairs:
    """Cosine of mean patterns, -1 to 1; a head that looks at BOS alone is like no other, 0."""
    return _cosines(_stripped(teacher, has_bos), _stripped(student, has_bos))


def _stripped(means: Means, has_bos: bool) -> Float[NDArray[np.floating], "*batch heads entries"]:
    kept = means[..., 1:, 1:] if has_bos else means[..., 1:, :]
    rows = kept.sum(-1, keepdims=True)
    kept = kept / np.where(rows > 0, rows, 1)
    return kept.reshape(*kept.shape[:-2], -1)


def paper_head_similarity(teacher: Means, student: Means, has_bos: bool = False) -> Pairs:
    """Mean over query rows of the cosine of the mean patterns' rows; a BOS is kept."""
    del has_bos
    unit = [given / np.linalg.norm(given, axis=-1, keepdims=True) for given in (teacher, student)]
    n_rows = teacher.shape[-2]
    flat = [given.reshape(*given.shape[:-2], -1) for given in unit]
    return (flat[0] @ flat[1].swapaxes(-1, -2)).astype(np.float64) / n_rows


def _cosines(
    a: Float[NDArray[np.floating], "*batch many entries"],
    b: Float[NDArray[np.floating], "*batch few entries"],
) -> Pairs:
    sizes = [np.linalg.norm(given, axis=-1, keepdims=True) for given in (a, b)]
    unit = [given / np.where(size > 0, size, 1) for given, size in zip((a, b), sizes, strict=True)]
    return (unit[0] @ unit[1].swapaxes(-1, -2)).astype(np.float64)


# --- MLPs ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mlps:
    pairs: Pairs
    reordered: Pairs | None
    chance: float
    chance_reordered: float | None
    resampled: Callable[[Shares], Pairs]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Every layer's outputs, centred, in its own leading directions; moments are a prompt's."""

    directions: Float[NDArray[np.float64], "layers width kept"]  # the largest variance first
    values: Float[NDArray[np.float64], "layers prompts tokens kept"]
    means: Float[NDArray[np.float64], "layers prompts kept"]
    moments: Float[NDArray[np.float64], "layers prompts kept kept"]

    @classmethod
    def of(cls, outputs: Outputs) -> _Kept:
        directions: list[NDArray[np.float64]] = []
        values: list[NDArray[np.float64]] = []
        for layer in outputs:
            centred = _centred(layer)
            directions.append(_leading(centred, N_KEPT))
            values.append((centred @ directions[-1]).reshape(*layer.shape[:2], -1))
        stacked = np.stack(values)
        return cls(np.stack(directions), stacked, stacked.mean(2), _moments(stacked, stacked))

    def covariances(self, shares: Shares) -> Float[NDArray[np.float64], "resamples layers k k"]:
        """Of each layer, by the prompts' shares."""
        return _covariance(self.moments, self.means, self.means, shares)


def _moments(
    a: Float[NDArray[np.float64], "layers prompts tokens a"],
    b: Float[NDArray[np.float64], "layers prompts tokens b"],
) -> Float[NDArray[np.float64], "layers prompts a b"]:
    return a.swapaxes(-1, -2) @ b / a.shape[2]


def _covariance(
    moments: Float[NDArray[np.float64], "layers prompts a b"],
    means_a: Float[NDArray[np.float64], "layers prompts a"],
    means_b: Float[NDArray[np.float64], "layers prompts b"],
    shares: Shares,
) -> Float[NDArray[np.float64], "resamples layers a b"]:
    of_moments = np.tensordot(shares, moments.reshape(*moments.shape[:2], -1), (1, 1))
    of_a, of_b = (np.tensordot(shares, given, (1, 1)) for given in (means_a, means_b))
    product = of_a[..., :, None] * of_b[..., None, :]
    return of_moments.reshape(product.shape) - product


def _centred(layer: Float[NDArray[np.floating], "prompts tokens width"]) -> NDArray[np.float64]:
    rows = layer.reshape(-1, layer.shape[-1]).astype(np.float64)
    return rows - rows.mean(0)


def _leading(rows: Float[NDArray[np.float64], "rows width"], n: int) -> NDArray[np.float64]:
    """The eigenvectors of rows' rows with the n largest eigenvalues, as columns, largest first."""
    n_rows, width = rows.shape
    n = min(n, n_rows, width)
    if width <= n_rows:
        return eigh(rows.T @ rows, subset_by_index=(width - n, width - 1))[1][:, ::-1]
    # The smaller of the two products has the same eigenvalues.
    vectors = eigh(rows @ rows.T, subset_by_index=(n_rows - n, n_rows - 1))[1][:, ::-1]
    return np.linalg.qr(rows.T @ vectors)[0]


def _by_eigenvectors(teacher: Outputs, student: Outputs) -> _Mlps:
    kept = [_Kept.of(given) for given in (teacher, student)]
    width = teacher.shape[-1]
    leading = [one.directions[..., :N_VECTORS] for one in kept]
    cosines = np.abs(np.einsum("ida,jdb->ijab", *leading))
    overlap = np.einsum("ida,jdb->ijab", *(one.directions for one in kept))

    def resampled(shares: Shares) -> Pairs:
        turned = [
            np.linalg.eigh(one.covariances(shares))[1][..., : -N_VECTORS - 1 : -1] for one in kept
        ]
        across = np.einsum("ijab,rjbk->rijak", overlap, turned[1], optimize=True)
        return np.abs(np.einsum("riak,rijak->rijk", turned[0], across, optimize=True)).mean(-1)

    return _Mlps(
        pairs=in_order(cosines),
        reordered=in_best_order(cosines),
        chance=chance_cosine(width),
        chance_reordered=_chance_in_best_order(width),
        resampled=resampled,
    )


def in_order(cosines: Float[NDArray[np.float64], "*batch 3 3"]) -> NDArray[np.float64]:
    """Eq. 6 of |cos| of eigenvectors: first with first, second with second, third with third."""
    return np.diagonal(cosines, axis1=-2, axis2=-1).mean(-1)


def in_best_order(cosines: Float[NDArray[np.float64], "*batch 3 3"]) -> NDArray[np.float64]:
    """The same for the order of the student's that makes it largest."""
    n = cosines.shape[-1]
    orders = ORDERS if n == N_VECTORS else tuple(permutations(range(n)))
    every = [cosines[..., np.arange(n), list(order)].mean(-1) for order in orders]
    return np.max(every, axis=0)


def chance_cosine(width: int) -> float:
    """Mean |cos| of two random directions: G(d/2) / (sqrt(pi) G((d+1)/2)), about sqrt(2/(pi d))."""
    return math.exp(math.lgamma(width / 2) - math.lgamma((width + 1) / 2)) / math.sqrt(math.pi)


def _chance_in_best_order(width: int) -> float:
    """By 10,000 draws; cosines of random directions are about normal, with variance 1 / d."""
    drawn = np.random.default_rng(0).standard_normal((10_000, N_VECTORS, N_VECTORS))
    return float(in_best_order(np.abs(drawn)).mean() / math.sqrt(width))


def _by_cka(teacher: Outputs, student: Outputs) -> _Mlps:
    rows = [[_centred(layer) for layer in given] for given in (teacher, student)]
    sizes = [np.array([np.linalg.norm(x.T @ x) for x in of]) for of in rows]
    traces = [np.array([np.square(x).sum() for x in of]) for of in rows]
    scale = sizes[0][:, None] * sizes[1]
    scale = np.where(scale > 0, scale, 1)
    across = np.array([[np.square(y.T @ x).sum() for y in rows[1]] for x in rows[0]])
    pairs = across / scale
    chance = traces[0][:, None] * traces[1] / (len(rows[0][0]) - 1) / scale
    kept = [_Kept.of(given) for given in (teacher, student)]

    def within(shares: Shares) -> Pairs:
        own = [np.linalg.norm(one.covariances(shares), axis=(-2, -1)) for one in kept]
        found = np.empty((len(shares), len(teacher), len(student)))
        for i in range(len(teacher)):
            for j in range(len(student)):
                moments = _moments(kept[0].values[[i]], kept[1].values[[j]])
                means = kept[0].means[[i]], kept[1].means[[j]]
                between = _covariance(moments, *means, shares)[:, 0]
                product = own[0][:, i] * own[1][:, j]
                size = np.square(between).sum((-2, -1))
                found[:, i, j] = size / np.where(product > 0, product, 1)
        return found

    n_prompts = teacher.shape[1]
    unmoved = within(np.full((1, n_prompts), 1 / n_prompts))[0]
    return _Mlps(
        pairs=pairs,
        reordered=None,
        chance=float(chance.mean()),
        chance_reordered=None,
        resampled=lambda shares: np.clip(pairs + within(shares) - unmoved, 0, 1),
    )


def _paper_mlps(teacher: Outputs, student: Outputs) -> Pairs:
    """|mean of the 9 cosines| of the leading eigenvectors of the uncentred second moments."""
    vectors = [
        np.stack([_leading(x.reshape(-1, x.shape[-1]).astype(np.float64), N_VECTORS) for x in of])
        for of in (teacher, student)
    ]
    if vectors[0].shape[1] != vectors[1].shape[1]:
        raise BadInput(
            f"paper_code mode for residual streams of {vectors[0].shape[1]} and "
            f"{vectors[1].shape[1]}: the public code needs one width, ask for mode 'ours'"
        )
    return np.abs(np.einsum("ida,jdb->ijab", *vectors).mean((-2, -1)))


def spread_as_heads(mlps: Pairs, heads: Pairs) -> Pairs:
    """MLP similarities with the heads' mean and standard deviation, over their largest."""
    spread = float(mlps.std())
    z = (mlps - mlps.mean()) / spread if spread > 0 else np.zeros_like(mlps)
    own = (-2, -1)
    mean, deviation = heads.mean(own)[..., None, None], heads.std(own)[..., None, None]
    moved = z * deviation + mean
    return moved / moved.max(own)[..., None, None]
