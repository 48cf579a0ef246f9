"""What is measured of a crosscoder's latents in use: one frozen dataclass a grain."""

from dataclasses import dataclass
from typing import Literal

from measure.crosscoder_records import Category

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeredRollout:
    """One row per measurement, direction, amplitude, problem and sample."""

    direction: str  # 'latent 17', or 'random 0'
    latent: int | None  # null of a random direction
    category: Category  # whose triggers are counted
    amplitude: float  # of what is added, in mean norms of the stream; 0: nothing
    problem_id: str
    sample: int
    problem: str
    text: str
    finish: str  # as of a rollout
    n_tokens: int
    n_think_tokens: int  # before </think>; all where it does not come
    is_closed: bool  # whether </think> came
    n_triggers: int
    answer: str | None
    is_correct: bool | None  # null where it is not known
    repetition: float | None  # share of 8-grams that stood before; null of fewer than 8 tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringVerdict:
    """One row per measurement, direction and amplitude: against amplitude 0."""

    direction: str
    latent: int | None
    category: Category
    amplitude: float
    n_problems: int  # the unit of the bootstrap
    n_rollouts: int
    n_closed: int  # rollouts whose </think> came
    length: float  # mean tokens of reasoning
    length_ratio: float | None  # of means, over amplitude 0
    ci_low_length_ratio: float | None  # 2.5 %
    ci_high_length_ratio: float | None
    triggers_per_100: float | None  # of the category, per 100 tokens
    ci_low_triggers_per_100: float | None
    ci_high_triggers_per_100: float | None
    accuracy: float | None  # 0 to 1
    ci_low_accuracy: float | None
    ci_high_accuracy: float | None
    d_accuracy: float | None  # minus amplitude 0, problem by problem
    ci_low_d_accuracy: float | None
    ci_high_d_accuracy: float | None
    repetition: float | None  # mean, 0 to 1
    ci_low_repetition: float | None
    ci_high_repetition: float | None
    label: SteeringLabel
    reasons: str  # the numbers that decided, '; ' between them
