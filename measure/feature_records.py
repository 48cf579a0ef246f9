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
