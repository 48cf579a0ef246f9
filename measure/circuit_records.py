"""What the measurements of components and circuits yield: one frozen dataclass a grain."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["head", "mlp"]
Normalisation = Literal["max", "l1", "l2"]
Matching = Literal["greedy", "hungarian", "soft"]
SimilarityMode = Literal["ours", "paper_code"]
Against = Literal["teacher", "size-matched control"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPrompt:
    """One row per measurement and prompt: what was asked, and what the whole model made of it."""

    prompt_id: str
    clean: str
    corrupted: str  # the means of the ablations are over these
    answer: str
    foil: str
    n_tokens: int  # of each prompt, the same of all
    ld_clean: float  # logits, answer less foil


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationEffect:
    """One row per measurement, prompt and component."""

    prompt_id: str
    component: str  # '4.10' head 10 of layer 4, '4.mlp' its MLP
    layer: int
    head: int | None  # null: the MLP
    ld_ablated: float  # logits, answer less foil, with the mean in the component's place


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionEffect:
    """One row per measurement and component: what its ablation would do to first order."""

    component: str
    layer: int
    head: int | None
    n_prompts: int
    estimated_effect: float  # logits that would be lost; > 0: it helps
    ci_low_estimated_effect: float  # over prompts
    ci_high_estimated_effect: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBaseline:
    """One row per model and task: whether the model does the task at all."""

    n_prompts: int
    mean_ld: float | None  # logits; null without prompts
    ci_low_mean_ld: float | None  # null of one prompt
    ci_high_mean_ld: float | None
    answer_share: float | None  # prompts where the answer has the larger logit, 0 to 1
    reason: str | None  # why there are raw effects only; null if the model does the task


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentEffect:
    """One row per component of a model on a task; intervals over prompts."""

    component: str
    kind: Kind
    n_prompts: int
    mean_ld_clean: float
    mean_ld_ablated: float
    effect: float  # clean minus ablated, logits; > 0: the component helped
    ci_low_effect: float | None
    ci_high_effect: float | None
    influence_raw: float  # the effect, or 0 where it is negative
    retained_pct: float | None  # null where the model cannot do the task, as all that follow
    delta_p_pct: float | None
    drop_pct: float | None
    ci_low_drop_pct: float | None
    ci_high_drop_pct: float | None
    influence_max: float | None  # of 1; null also where no component has any
    influence_l1: float | None
    influence_l2: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brittleness:
    """One row per model and task: what removing a component costs, over all of its components."""

    n_components: int
    n_prompts: int
    mean_drop_pct: float | None
    ci_low_mean_drop_pct: float | None  # over components, as published
    ci_high_mean_drop_pct: float | None
    prompt_ci_low_mean_drop_pct: float | None  # over prompts, as all other intervals here
    prompt_ci_high_mean_drop_pct: float | None
    floor_mean_drop_pct: float | None  # 95 % of what the noise of the prompts makes without effects
    top5_drop_pct: float | None  # mean of the five largest
    ci_low_top5_drop_pct: float | None
    ci_high_top5_drop_pct: float | None
    gini_drop: float | None  # 0 to 1; null if no component drops
    ci_low_gini_drop: float | None
    ci_high_gini_drop: float | None
    tail_score: float | None  # 0 to 1
    ci_low_tail_score: float | None
    ci_high_tail_score: float | None
    share_over_10_pct: float | None  # of components, 0 to 1
    ci_low_share_over_10_pct: float | None
    ci_high_share_over_10_pct: float | None
    share_over_20_pct: float | None
    ci_low_share_over_20_pct: float | None
    ci_high_share_over_20_pct: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrittlenessDifference:
    """One row per student, model it is held against and way: by how much its mean drop is larger.

    Intervals that are not named after prompts are over components.
    """

    against: Against
    is_paper_mode: bool  # the difference is the mean of the bootstrap's, not the sample's
    n_components_student: int
    n_components_other: int
    n_prompts: int | None  # null of published components
    difference_pct: float | None  # percentage points of mean drop
    ci_low_difference_pct: float | None
    ci_high_difference_pct: float | None
    prompt_ci_low_difference_pct: float | None  # null of published components
    prompt_ci_high_difference_pct: float | None
    compression: float | None  # 0 to 1; null against a model of the same size
    beta: float | None  # points for a compression of 1
    ci_low_beta: float | None
    ci_high_beta: float | None
    per_tenth: float | None  # points for each 0.1 of compression
    ci_low_per_tenth: float | None
    ci_high_per_tenth: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """One row per teacher, student, task, mode, normalisation and matching; intervals over prompts.

    Null with the reason where a model cannot do the task.
    """

    mode: SimilarityMode
    normalisation: Normalisation
    matching: Matching
    n_prompts: int
    n_components_teacher: int
    n_components_student: int
    n_pairs: int | None  # in paper_code mode as they count
    alignment: float | None  # A, 0 to 1
    ci_low_alignment: float | None
    ci_high_alignment: float | None
    mean_similarity: float | None
    ci_low_mean_similarity: float | None
    ci_high_mean_similarity: float | None
    mean_abs_delta_influence: float | None
    ci_low_mean_abs_delta_influence: float | None
    ci_high_mean_abs_delta_influence: float | None
    null_alignment: float | None  # mean of A where influences are shuffled within a type
    null_low: float | None  # 95 % of 1,000 shuffles
    null_high: float | None
    null_p: float | None  # share of shuffles, A itself among them, that reach A
    gain: float | None  # A less its null
    ci_low_gain: float | None  # null in paper_code mode, whose null has no closed form
    ci_high_gain: float | None
    chance_similarity_heads: float | None  # mean over all pairs
    chance_similarity_mlps: float | None  # null in paper_code mode
    chance_similarity_mlps_reordered: float | None  # null but for Eq. 6
    mlp_method: str | None
    mlp_reason: str | None  # why by this method
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentMatch:
    """One row per mode, matching and pair of components."""

    mode: SimilarityMode
    matching: Matching
    kind: Kind
    component_teacher: str
    component_student: str
    similarity: float
    similarity_reordered: float | None  # MLPs by Eq. 6 in their best order; null otherwise
    weight: float  # in A: 1, a share under soft matching, 2 where the public code counts twice
    influence_teacher: float | None  # largest 1; in paper_code mode of the list's sum
    influence_student: float | None
    abs_delta_influence: float | None
    resample_share: float | None  # draws of the prompts that match the two, 0 to 1; null of none


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitSize:
    """One row per measurement and budget: a circuit, and how much of the task it does."""

    budget: float  # share of the mean logit difference that may be lost, 0 to 1
    n_heads: int
    n_mlps: int
    n_all_heads: int  # of the model
    n_all_mlps: int
    n_prompts: int
    n_sweeps: int
    completeness_pct: float  # retained when only the circuit works, % of the whole model
    ci_low_completeness_pct: float  # over prompts
    ci_high_completeness_pct: float
    necessity_pct: float  # retained when only the rest works, %
    ci_low_necessity_pct: float
    ci_high_necessity_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitNode:
    """One row per measurement, budget and component of its circuit."""

    budget: float
    component: str
    layer: int
    head: int | None
    delta_p_in_circuit: float  # points of the whole model lost when it alone is taken out of it


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchingEffect:
    """One row per measurement, prompt, layer, head, part and token role."""

    prompt_id: str
    layer: int
    head: int | None  # null: all of the layer's, or no heads at all
    part: str  # resid, attn, mlp, qk, ov
    role: str  # of the tokens that were patched
    ld_clean: float  # logits, answer less foil
    ld_corrupted: float
    ld_patched: float  # of the corrupted run with the clean run's part


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualAttribution:
    """One row per measurement, prompt, part of the model and token of the clean prompt."""

    prompt_id: str
    part: str  # embed, attn, mlp
    layer: int | None  # null: the embedding
    position: int  # of the token, from 0
    role: str | None  # what stands there; null: no role of the task
    attribution: float  # logits towards the answer and away from the foil


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAccuracy:
    """One row per measurement, site, layer, head, label, metric and seed."""

    site: str  # resid_mid: the stream between attention and MLP; value: a head's values
    layer: int
    head: int | None  # null: the stream
    read_at: str  # role of the token whose activation is read
    label: str  # role of the token that is asked for; several, joined by +: which are among them
    metric: str  # accuracy; auroc
    seed: int
    value: float  # on held-out prompts, 0 to 1
    control: float  # of the same probe trained on permuted labels
    baseline: float  # of always naming one class; of a coin
    n_classes: int
    n_train: int  # prompts
    n_test: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OvScore:
    """One row per measurement and head: what it writes at the end, read as a token."""

    layer: int
    head: int
    n_prompts: int
    n_successor: int  # prompts with the answer among its first 5 tokens
    n_copy: int  # prompts with the foil there: in a sequence the last term given


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePoint:
    """One row per measurement, scale, sigma and seed: a disturbed student against its teacher."""

    scale: str  # absolute; relative to each component's root mean square
    sigma: float
    seed: int
    n_prompts: int
    mean_ld: float  # of the student, logits
    alignment: float | None  # A, 0 to 1; null where no ablation lowers the logit difference
    mean_similarity: float
    mean_abs_delta_influence: float | None
    null_alignment: float | None  # mean of A where influences are shuffled within a type
    reason: str | None  # why the student's influences mean little here: it cannot do the task


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedStudent:
    """One row per student of a teacher and task; intervals over prompts."""

    student: str  # its role in the measurement: student, student-2, ...
    n_prompts: int
    accuracy: float | None  # 0 to 1; null without prompts
    ci_low_accuracy: float | None
    ci_high_accuracy: float | None
    accuracy_gap: float | None  # of the most accurate student, less this one's
    ci_low_accuracy_gap: float | None  # paired; null of one prompt
    ci_high_accuracy_gap: float | None
    alignment: float | None
    ci_low_alignment: float | None
    ci_high_alignment: float | None
    rank: int | None  # from 1, shared where none is ahead; null with the reason
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedCell:
    """One row per cell of a model on a task; intervals over prompts."""

    layer: int
    head: int | None
    part: str
    role: str
    n_prompts: int
    mean_effect: float  # patched less corrupted, logits; > 0: towards the answer
    ci_low_effect: float | None  # null of one prompt
    ci_high_effect: float | None
    recovery: float | None  # 1: as good as the clean run; null with a reason
    ci_low_recovery: float | None
    ci_high_recovery: float | None
    over_layer_mean: float | None  # of the heads' recoveries; null for what is no head
    z_in_layer: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseVerdict:
    """One row per measurement and scale: whether A responds to noise, and where it matters."""

    scale: str  # absolute; relative to each component's root mean square
    n_sigmas: int
    n_seeds: int
    spearman: float | None  # of sigma and mean A, -1 to 1
    alignment_at_0: float | None
    alignment_at_largest: float | None
    responds: bool | None
    n_sigmas_doing_task: int  # with no seed at which the student fails it
    spearman_doing_task: float | None
    reason: str | None  # why there is no verdict
