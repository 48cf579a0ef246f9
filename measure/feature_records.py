"""What is measured of a crosscoder's latents in use: one frozen dataclass a grain."""

from dataclasses import dataclass
from typing import Literal

from measure.categories import Category

FilterOrder = Literal["firing-first", "nrn-first"]
Side = Literal["base", "distilled"]
FeatureSet = Literal["ablated", "control"]
AblationLabel = Literal["distilled-causal", "not distilled-causal", "NOT ENOUGH"]
SteeringLabel = Literal["over-thinking", "incisive", "degenerate", "neither", "NOT ENOUGH"]
RelationChange = Literal["more structured", "less structured", "no difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureAblation:
    """One row per measurement, filter order, share, set, draw, model and pair."""

    filter_order: FilterOrder
    top_percent: float  # of latents, by how often they fire
    feature_set: FeatureSet
    draw: int  # of the control, from 0; 0 of the ablated
    side: Side
    pair: int  # a context and its next token, from 0
    category: Category  # of the next token
    text_id: str  # the pair's text: a text has one pair of a category at most
    target_id: int
    logit_clean: float
    logit_ablated: float
    d_logit: float  # ablated minus clean, < 0: the latents held the target up
    n_features: int
    norm_removed: float  # mean over the context's tokens of the L2 norm of what was taken away


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureAblationVerdict:
    """One row per measurement, filter order, share and category."""

    filter_order: FilterOrder
    top_percent: float
    category: Category
    n_pairs: int
    n_features: int
    n_draws: int  # of the control
    d_distilled: float | None  # mean change of the target's logit
    ci_low_d_distilled: float | None  # 2.5 % of the bootstrap over pairs
    ci_high_d_distilled: float | None
    d_base: float | None
    ci_low_d_base: float | None
    ci_high_d_base: float | None
    d_control: float | None  # of the distilled model, over draws
    ci_low_d_control: float | None  # of the bootstrap over pairs and draws
    ci_high_d_control: float | None
    per_norm_distilled: float | None  # sum of changes over sum of removed norms
    ci_low_per_norm_distilled: float | None
    ci_high_per_norm_distilled: float | None
    per_norm_base: float | None
    ci_low_per_norm_base: float | None
    ci_high_per_norm_base: float | None
    per_norm_control: float | None
    fire_freq: float | None  # geometric mean of the ablated, 0 to 1
    fire_freq_control: float | None
    label: AblationLabel
    reasons: str  # the comparisons that decided, '; ' between them


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallelogram:
    """One row per measurement, model, relation and number of axes."""

    side: Side
    relation: str
    n_axes: int  # principal axes of the relation's words, at most
    n_pairs: int  # of words: the unit of the bootstrap
    n_words: int
    n_couples: int  # of pairs
    mean_loss: float | None  # >= 0; 0 of perfect parallelograms
    median_loss: float | None
    ci_low_median_loss: float | None
    ci_high_median_loss: float | None
    area: float | None  # share of [0, 4] under the curve of losses, 0 to 1
    ci_low_area: float | None
    ci_high_area: float | None
    null_mean_loss: float | None  # of the same words paired at random; about 4 of many
    null_median_loss: float | None
    null_low_median_loss: float | None  # 2.5 % of the shuffles
    null_high_median_loss: float | None
    null_area: float | None
    null_low_area: float | None
    null_high_area: float | None
    is_structured: bool | None  # area above null_high_area
    cdf: tuple[float, ...] | None  # share of couples with a loss up to 0, 0.1, ... 4
    null_cdf: tuple[float, ...] | None  # mean of the shuffles
    reason: str | None  # why numbers are null


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelogramDifference:
    """One row per measurement, relation and number of axes: distilled minus base."""

    relation: str
    n_axes: int
    n_pairs: int
    d_median_loss: float
    ci_low_d_median_loss: float  # 2.5 % of the bootstrap over pairs of words
    ci_high_d_median_loss: float
    d_area: float
    ci_low_d_area: float
    ci_high_d_area: float
    change: RelationChange  # by the interval of d_area
