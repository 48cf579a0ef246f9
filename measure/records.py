"""What each measurement yields: one frozen dataclass a grain, standard library only.

A record leaves out `measurement_id`: whoever stores it adds the measurement it belongs to.
"""

import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from measure.circuit_records import (
    AblationEffect,
    Alignment,
    AttributionEffect,
    Brittleness,
    BrittlenessDifference,
    CircuitNode,
    CircuitSize,
    ComponentEffect,
    ComponentMatch,
    NoisePoint,
    NoiseVerdict,
    OvScore,
    PatchedCell,
    PatchingEffect,
    ProbeAccuracy,
    RankedStudent,
    ResidualAttribution,
    TaskBaseline,
    TaskPrompt,
)
from measure.crosscoder_records import (
    CrosscoderStep,
    CrosscoderSummary,
    Latent,
    LatentCategory,
    LatentContext,
)
from measure.feature_records import (
    FeatureAblation,
    FeatureAblationVerdict,
    Parallelogram,
    ParallelogramDifference,
    SteeredRollout,
    SteeringVerdict,
)
from measure.picture_records import (
    AttentionPattern,
    CircuitEdge,
    MlpProjection,
    MlpSimilarity,
    OvToken,
)
from measure.stability_records import (
    CouplingPoint,
    Hypothesis,
    StabilityLimit,
    StabilityProfile,
    StabilityRegion,
    StepBurden,
    TrajectoryStability,
)

Site = Literal["A", "B"]
TauKind = Literal["resultant", "gap", "cv_cos"]
PppFit = Literal["ml", "ols", "sum", "log", "tail2"]
Mode = Literal["free", "forced"]
SourceKind = Literal["zoo", "local", "gguf", "hub"]
OtherRole = Literal["derivative", "reference", "shared_comparator", "teacher"]
WinnerGapClass = Literal[
    "amplifier",
    "reducer",
    "sign-oscillating",
    "sign-oscillating (noise not excluded)",
    "mixed",
    "not interpretable",
]
CvLabel = Literal["amplified", "reduced", "stable", "undefined"]
DeltaGate = Literal["pass", "fail", "broken extraction", "not interpretable"]
FisherStatus = Literal["Fisher-dominated", "Damping-dominated"]
WeightKind = Literal[
    "q", "k", "v", "o", "qkv", "gate", "up", "gate_up", "down",
    "embed", "position", "head", "norm", "bias", "other",
]  # fmt: skip
Finish = Literal["stop", "length", "context", "imported"]
Label = Literal["Shared", "Teacher", "Student", "Boosted"]
Boosted = Literal["boosted_up", "between", "suppressed"]
LengthRule = Literal["student", "own"]
RolloutsOf = Literal["distilled", "student", "control"]
AreaKind = Literal["raw", "within"]
TransferLabel = Literal["TRANSFERS", "DOES NOT TRANSFER", "NOT ENOUGH"]
CorrectnessLabel = Literal["CORRELATES", "DOES NOT CORRELATE", "NOT ENOUGH"]
AttributionLabel = Literal["ATTRIBUTED", "ATTRIBUTED TO A FAMILY", "NONE OF THESE", "NOT ENOUGH"]
LineageLabel = Literal["SAME LINEAGE", "INDEPENDENT", "PARTIAL", "NOT COMPARABLE", "INCONCLUSIVE"]


def single(value: float | None) -> float | None:
    """The nearest float32: all that is known of a number from weights or states in fp32 or bf16.

    It packs into half of the bytes.
    """
    return None if value is None else struct.unpack("f", struct.pack("f", value))[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One row per model at a revision."""

    model_id: str  # 'org/name@<commit sha>', or 'sha256:<digest>' of a local folder's files
    label: str  # what people call it: a folder's or a repository's name
    source: SourceKind
    family: str  # base family, e.g. 'Llama'
    architecture: str  # transformers class
    model_type: str
    n_params: int
    n_layers: int
    hidden_size: int
    vocab_size: int  # rows of the unembedding
    weight_dtype: str  # as stored
    tokenizer_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuralTau:
    """One row per measurement, seed and dimension (prompt position, site, channel, row-major)."""

    seed: int
    dim: int  # 0 .. 63 of the whole bank
    prompt_id: str
    category: str
    site: Site  # A: input of the final norm; B: its output
    n_tokens: int  # states summed: position 0 and pads left out
    tau: float | None  # of the measurement's kind: a resultant length, 0 to 1, by default
    tau_rerun: float | None  # the same weights in another batch size and order
    reason: str | None  # why tau is null


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTemplate:
    """One row per measurement and prompt: the mean PPP residual over the prompt's tokens."""

    mode: Mode  # free: the model's own greedy text; forced: the base's
    prompt_id: str
    category: str
    n_prompt_tokens: int
    n_tokens: int  # tokens scored after the prompt
    beta_mean: float | None  # mean over tokens of the fitted PPP scale, logits
    template: tuple[float, ...] | None  # mean residual of gap k = 1 .. 20, logits
    delta_norm_mean: float | None  # mean of G3 / (G2 + G3 + G4), 0 to 1
    n_delta_norm: int  # tokens in that mean: zero denominators are left out
    zero_gap_frac: float | None  # share of gaps that are exactly 0
    split_half_distance: float | None  # mean over 100 random halves of 8-token blocks, logits
    text: str  # the scored continuation
    text_sha256: str
    reason: str | None  # why the prompt is left out of distances
    winner_gap_se: float | None  # standard error of template[0] over 8-token blocks, logits


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDistance:
    """One row per measurement and other role: distance of base and other, paired by prompt."""

    mode: Mode
    role: OtherRole
    n_prompts: int
    n_prompts_dropped: int  # too short or failed in a model of the triangle
    centroid_distance: float | None  # L2 of mean templates, logits
    ci_low_centroid_distance: float | None  # 2.5 % of the prompt bootstrap
    ci_high_centroid_distance: float | None
    crp_distance: float | None  # mean over prompts of per-prompt L2, logits; >= centroid
    ci_low_crp_distance: float | None
    ci_high_crp_distance: float | None
    self_baseline: float | None  # mean centroid distance of 5 half-splits of the base's prompts
    sign_flip_floor: float | None  # 95 % of the centroid distance under random signs
    sign_flip_p: float | None  # share of sign vectors at or above the observed distance
    crp_floor: float | None  # split-half distance of the base's own text / sqrt 2
    zero_gap_frac: float | None  # the larger of the two models' shares, weighted by tokens
    reason: str | None  # why the distances are null


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerGap:
    """One row per measurement: what a derivative did to its base's gaps, G_1 above all."""

    mode: Mode
    n_prompts: int
    n_prompts_dropped: int  # too short or failed in a model of the triangle
    winner_gap_class: WinnerGapClass
    class_reasons: str  # the comparisons that decided, '; ' between them
    g1_share: float | None  # of G1 in the squared difference of the mean templates, 0 to 1
    ci_low_g1_share: float | None  # 2.5 % of the prompt bootstrap
    ci_high_g1_share: float | None
    top3_share: float | None  # of its three largest gaps
    n_g1_dominant: int | None  # prompts whose largest difference is that of G1
    n_g1_over_half: int | None  # prompts where G1 has more than half of the squared difference
    mean_signed_g1: float | None  # derivative less base, mean over prompts, logits; > 0: up
    ci_low_mean_signed_g1: float | None
    ci_high_mean_signed_g1: float | None
    mean_abs_g1: float | None  # mean size over prompts, logits
    cancellation_g1: float | None  # mean_abs / |mean_signed|, >= 1
    cancellation_noise_p_g1: float | None  # share of pure-noise draws that cancel as much
    n_up_g1: int | None  # prompts where the derivative's is larger
    n_down_g1: int | None
    sign_p_g1: float | None  # two-sided sign test, prompts without a difference left out
    mean_signed_g2: float | None
    ci_low_mean_signed_g2: float | None
    ci_high_mean_signed_g2: float | None
    mean_abs_g2: float | None
    cancellation_g2: float | None
    cancellation_noise_p_g2: float | None
    n_up_g2: int | None
    n_down_g2: int | None
    sign_p_g2: float | None
    n_signif: int | None  # prompts whose G1 differs by more than twice its noise
    n_signif_up: int | None
    n_signif_down: int | None
    cv_label: CvLabel
    cv_base: float | None  # spread of the prompts' templates over the norm of their mean
    cv_derivative: float | None
    cv_effect: float | None  # cv_derivative / cv_base
    ci_low_cv_effect: float | None
    ci_high_cv_effect: float | None
    centroid_norm_base: float | None  # norm of the model's own mean template, logits
    centroid_norm_floor_base: float | None  # 95 % of that norm under random signs
    centroid_norm_derivative: float | None
    centroid_norm_floor_derivative: float | None
    cv_reason: str | None  # why the effect is null
    delta_norm_base: float | None  # mean of G3 / (G2 + G3 + G4) over tokens, 0 to 1
    ci_low_delta_norm_base: float | None
    ci_high_delta_norm_base: float | None
    n_delta_norm_base: int  # tokens in that mean
    delta_gate_base: DeltaGate
    delta_norm_derivative: float | None
    ci_low_delta_norm_derivative: float | None
    ci_high_delta_norm_derivative: float | None
    n_delta_norm_derivative: int
    delta_gate_derivative: DeltaGate
    reason: str | None  # why numbers of the difference are null


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerGapPrompt:
    """One row per measurement and prompt: the derivative's template less the base's."""

    mode: Mode
    prompt_id: str
    category: str
    d: tuple[float, ...]  # difference of gap k = 1 .. 20, logits
    d1: float  # its first entry, G1; > 0: the derivative's is larger
    dominant_k: int | None  # the gap with the largest difference, from 1
    g1_share: float | None  # of G1 in the squared difference, 0 to 1
    noise_se: float | None  # standard error of d1 from both texts' token blocks, logits
    is_signif: bool | None  # |d1| > 2 noise_se
    reason: str | None  # why a number is null


@dataclass(frozen=True, slots=True, kw_only=True)
class Stiffness:
    """One row per measurement: of one model; gains and weights have no unit."""

    gamma_mean: float | None  # mean over channels of |g|
    gamma_rms: float | None
    sigma_w: float | None  # of all entries of the unembedding
    sigma_w_row_mean: float | None  # mean over tokens of the row's standard deviation
    sigma_o: float | None  # of the last block's output projection
    stiffness: float | None  # S = gamma_mean * sigma_w
    stiffness_rms: float | None  # gamma_rms * sigma_w
    stiffness_row_mean: float | None  # gamma_mean * sigma_w_row_mean
    stiffness_o: float | None  # gamma_mean * sigma_o
    tied: bool | None  # the unembedding is the embedding
    n_rows: int | None  # of the unembedding, unused tokens too
    reason: str | None  # why numbers are null


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherCurvature:
    """One row per measurement, seed and prompt."""

    seed: int
    prompt_id: str
    category: str
    n_tokens: int  # states summed: position 0 left out
    state_norm: float | None  # |h| of the last token at site B
    kappa: float | None  # logits^2 per unit of state^2, >= 0
    reason: str | None  # why kappa is null


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherSummary:
    """One row per measurement: over distinct prompts, those without kappa left out."""

    n_prompts: int
    kappa_f: float | None  # mean kappa
    ci_low_kappa_f: float | None  # 2.5 % of the prompt bootstrap
    ci_high_kappa_f: float | None
    kappa_norm2_mean: float | None  # mean of kappa |h|^2, logits^2
    halves_ratio: float | None  # larger over smaller mean kappa of two disjoint halves, >= 1
    is_repeatable: bool | None  # halves_ratio <= 3
    rho_f: float | None  # kappa_f / 10
    fisher_status: FisherStatus | None  # Damping-dominated: excluded from comparison
    reason: str | None  # why numbers are null


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightLineage:
    """One row per measurement and weight of the derivative, fused ones by part."""

    layer: int | None  # the derivative's; null outside the blocks
    base_layer: int | None  # the one it is compared with
    slot: str  # 'q', 'up', 'q.bias', ...
    kind: WeightKind
    is_matrix: bool  # norms and biases never decide
    n_entries: int
    n_units_used: int | None  # of spectra and alignment
    cosine: float | None  # -1 to 1
    null_cosine: float | None  # 99.9 % of independent weights or permuted copies, the larger
    aligned_cosine: float | None  # 0 to 1; null where the plain one is above its null
    null_cosine_aligned: float | None  # 99.9 % of alignments with shuffled columns
    rel_displacement: float | None  # of |W_b|
    unchanged_frac: float | None  # share of entries that are equal
    effective_rank: float | None  # of the difference; null where there is none
    numerical_rank: int | None  # singular values of the difference above the rounding as stored
    sv_cosine: float | None  # in full: a rotated copy's differs from 1 by less than float32 tells
    reason: str | None  # why the cosine is null

    @property
    def margin(self) -> float | None:
        """The cosine above its null, or the aligned one above its own, if that is larger."""
        if self.cosine is None or self.null_cosine is None:
            return None
        margin = self.cosine - self.null_cosine
        if self.aligned_cosine is None or self.null_cosine_aligned is None:
            return margin
        return max(margin, self.aligned_cosine - self.null_cosine_aligned)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightLineagePair:
    """One row per measurement: whether a derivative was made from a base, by the weights alone."""

    lineage_label: LineageLabel
    label_reasons: str  # the comparisons that decided, '; ' between them
    n_layers: int | None  # blocks of the derivative that hold a matrix
    n_base_layers: int | None  # blocks of the base
    n_layers_related: int | None  # the derivative's that are above their null, with a base layer
    reason: str | None  # why no weight could be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One row per measurement, problem and sample: what a model answered."""

    problem_id: str
    sample: int  # 0, 1, ... of the problem
    category: str
    problem: str  # as it is put into the model's prompt
    gold: str | None  # the right answer; null if the problem has none
    text: str  # the completion, without the ending token
    n_tokens: int | None  # of the completion; null if it was made elsewhere
    finish: Finish  # why it ended; 'context': the model's positions were used up
    answer: str | None  # read after the reasoning
    is_correct: bool | None  # null where gold is missing or cannot be read
    reason: str | None  # why answer or is_correct is null, or no answer was read


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceScore:
    """One row per measurement, rollout and sentence: of one model that reads the text."""

    problem_id: str
    sample: int
    sentence: int  # 0, 1, ... of the text, marks of reasoning counted
    char_start: int  # of the completion, in code points
    char_end: int
    is_special: bool  # a mark of reasoning
    n_tokens: int  # of this model, whose first character lies in the sentence
    sum_logprob: float | None  # nats, given the prompt and all earlier sentences
    span_tokens: tuple[int, ...]  # tokens by span of about four words
    span_logprobs: tuple[float, ...] | None  # nats; they sum to sum_logprob
    reason: str | None  # why the log probability is null


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceSentence:
    """One row per measurement, rollout and sentence: three probabilities and the labels."""

    rollouts_of: RolloutsOf  # whose completion it stands in
    problem_id: str
    sample: int
    sentence: int  # of the text, marks of reasoning counted
    j: int | None  # from 0, marks of reasoning not counted; null for a mark
    rel_pos: float | None  # middle of the sentence's share of the rollout, 0 to 1
    char_start: int  # of the completion, in code points
    char_end: int
    is_special: bool  # a mark of reasoning
    is_long: bool  # of more than 512 tokens of the student
    is_repeat: bool  # the same as the one before
    is_correct: bool | None  # of the rollout
    n_tokens_teacher: int
    n_tokens_student: int
    n_tokens_distilled: int
    p_teacher: float | None  # geometric mean probability of a token, 0 to 1
    p_student: float | None
    p_distilled: float | None
    label4: Label | None
    label3: Label | None  # by teacher and student alone; Shared there is called Common
    boosted: Boosted | None  # of which kind, where label4 is Boosted
    reason: str | None  # why there is no label


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceShare:
    """One row per measurement, rollouts and label: its share of the sentences with a label."""

    rollouts_of: RolloutsOf  # 'student': the null; 'control': the distilled's, with a wrong teacher
    label: str  # of `Label`, or a kind of Boosted
    n_sentences: int  # with this label
    n_all: int  # with any label
    n_questions: int
    share: float | None  # 0 to 1
    ci_low_share: float | None  # 2.5 % of the bootstrap over questions
    ci_high_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceArea:
    """One row per measurement, label and kind: how much more of it right rollouts have."""

    label: Label
    kind: AreaKind  # 'within': differences within questions, their mean
    n_positions: int  # sentence positions with enough sentences of right and wrong rollouts
    n_questions: int
    area: float | None  # sum over positions of P(label | right) - P(label | wrong)
    ci_low_area: float | None  # 2.5 % of the bootstrap over questions
    ci_high_area: float | None
    reason: str | None  # why the area is null


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceSummary:
    """One row per measurement: a teacher, a student and a distilled model."""

    alpha: float
    beta: float
    beta_source: Literal["adaptive", "fallback", "given"]
    length_rule: LengthRule
    n_rollouts: int  # of the distilled model
    n_correct: int
    n_incorrect: int
    n_unchecked: int  # neither, for want of an answer to compare with
    n_empty: int  # without a sentence
    n_sentences: int  # of the distilled model's, with a label
    n_special: int  # marks of reasoning
    n_repeats: int
    n_unscored: int  # without a token in a model, or beyond its context
    teacher_minus_null: float | None  # Teacher share less that on the student's own rollouts
    ci_low_teacher_minus_null: float | None  # paired by question
    ci_high_teacher_minus_null: float | None
    teacher_minus_control: float | None  # less the share under a wrong teacher
    ci_low_teacher_minus_control: float | None
    ci_high_teacher_minus_control: float | None
    least_kappa: float | None  # agreement with labels at other thresholds, the least
    is_stable: bool | None  # least_kappa >= 0.6
    own_token_kappa: float | None  # agreement with labels by each model's own token counts
    n_masked: int  # Teacher or Student of label3 that are Shared in label4, where beta < alpha
    transfer: TransferLabel
    transfer_reasons: str  # the comparisons that decided, '; ' between them
    correctness: CorrectnessLabel
    correctness_reasons: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionCandidate:
    """One row per measurement and candidate teacher; bits per byte of rollouts without marks."""

    role: str  # 'teacher', 'teacher-2', ...
    rank: int | None  # by share, from 1
    n_questions: int  # on which the distilled model's or its own rollouts were read by all
    n_rollouts_distilled: int  # the distilled model's
    n_rollouts_own: int  # the candidate's
    n_unscored: int  # sentences of either that one of the models could not read
    share: float | None  # of what parts the two from the base, what they have in common; 1: all
    ci_low_share: float | None  # 2.5 % of the bootstrap over questions
    ci_high_share: float | None
    null_share: float  # wrong candidates stay below; the interval is held against it
    behind_first: float | None  # share of the first in rank less this one's; null for the first
    ci_low_behind_first: float | None
    ci_high_behind_first: float | None
    share_with_first: float | None  # as `share`, of this candidate and the first in rank
    is_sibling: bool | None  # of the first: it would itself be attributed to it
    is_attributed: bool  # the teacher, or one of the family that cannot be told apart
    gain_distilled: float | None  # bits per byte of the distilled's rollouts, beyond the base
    ci_low_gain_distilled: float | None
    ci_high_gain_distilled: float | None
    learned: float | None  # of what the candidate's have beyond the base, what the distilled has
    ci_low_learned: float | None
    ci_high_learned: float | None
    alignment: float | None  # of both models' shifts from the base on the candidate's, -1 to 1
    ci_low_alignment: float | None
    ci_high_alignment: float | None
    reason: str | None  # why share is null


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """One row per measurement: the teacher among several candidates, or none of them."""

    attribution: AttributionLabel
    role: str | None  # the candidate it is attributed to; null for a family, none or not enough
    attribution_reasons: str  # the comparisons that decided, '; ' between them
    n_candidates: int
    n_questions: int
    own_gain: float | None  # bits per byte of its rollouts that the distilled has beyond the base
    ci_low_own_gain: float | None  # 2.5 % of the bootstrap over questions
    ci_high_own_gain: float | None


Record = (
    StructuralTau
    | PromptTemplate
    | TemplateDistance
    | WinnerGap
    | WinnerGapPrompt
    | Stiffness
    | FisherCurvature
    | FisherSummary
    | WeightLineage
    | WeightLineagePair
    | Rollout
    | SentenceScore
    | ProvenanceSentence
    | ProvenanceShare
    | ProvenanceArea
    | ProvenanceSummary
    | AttributionCandidate
    | Attribution
    | TaskPrompt
    | AblationEffect
    | AttributionEffect
    | TaskBaseline
    | ComponentEffect
    | Brittleness
    | BrittlenessDifference
    | Alignment
    | ComponentMatch
    | CircuitSize
    | CircuitNode
    | PatchingEffect
    | ResidualAttribution
    | ProbeAccuracy
    | OvScore
    | NoisePoint
    | RankedStudent
    | PatchedCell
    | NoiseVerdict
    | CircuitEdge
    | AttentionPattern
    | OvToken
    | MlpSimilarity
    | MlpProjection
    | StabilityRegion
    | StabilityLimit
    | StepBurden
    | TrajectoryStability
    | StabilityProfile
    | CouplingPoint
    | Hypothesis
    | CrosscoderStep
    | CrosscoderSummary
    | Latent
    | LatentContext
    | LatentCategory
    | FeatureAblation
    | FeatureAblationVerdict
    | SteeredRollout
    | SteeringVerdict
    | Parallelogram
    | ParallelogramDifference
)

TABLE_OF: dict[type, str] = {
    StructuralTau: "structural_tau",
    PromptTemplate: "prompt_template",
    TemplateDistance: "template_distance",
    WinnerGap: "winner_gap_pair",
    WinnerGapPrompt: "winner_gap_prompt",
    Stiffness: "model_stiffness",
    FisherCurvature: "fisher_curvature",
    FisherSummary: "fisher_summary",
    WeightLineage: "weight_lineage",
    WeightLineagePair: "weight_lineage_pair",
    Rollout: "rollout",
    SentenceScore: "sentence_score",
    ProvenanceSentence: "provenance_sentence",
    ProvenanceShare: "provenance_share",
    ProvenanceArea: "provenance_area",
    ProvenanceSummary: "provenance_summary",
    AttributionCandidate: "attribution_candidate",
    Attribution: "attribution",
    TaskPrompt: "task_prompt",
    AblationEffect: "ablation_effect",
    AttributionEffect: "attribution_effect",
    TaskBaseline: "task_baseline",
    ComponentEffect: "component",
    Brittleness: "brittleness",
    BrittlenessDifference: "brittleness_difference",
    Alignment: "alignment",
    ComponentMatch: "component_match",
    CircuitSize: "circuit_size",
    CircuitNode: "circuit_node",
    PatchingEffect: "patching_effect",
    ResidualAttribution: "residual_attribution",
    ProbeAccuracy: "probe_accuracy",
    OvScore: "ov_score",
    NoisePoint: "noise_point",
    RankedStudent: "ranked_student",
    PatchedCell: "patched_cell",
    NoiseVerdict: "noise_verdict",
    CircuitEdge: "circuit_edge",
    AttentionPattern: "attention_pattern",
    OvToken: "ov_token",
    MlpSimilarity: "mlp_similarity",
    MlpProjection: "mlp_projection",
    StabilityRegion: "stability_region",
    StabilityLimit: "stability_limit",
    StepBurden: "step_burden",
    TrajectoryStability: "trajectory_stability",
    StabilityProfile: "stability_profile",
    CouplingPoint: "coupling_point",
    Hypothesis: "hypothesis",
    CrosscoderStep: "crosscoder_step",
    CrosscoderSummary: "crosscoder_summary",
    Latent: "latent",
    LatentContext: "latent_context",
    LatentCategory: "latent_category",
    FeatureAblation: "feature_ablation",
    FeatureAblationVerdict: "feature_ablation_verdict",
    SteeredRollout: "steering",
    SteeringVerdict: "steering_verdict",
    Parallelogram: "parallelogram",
    ParallelogramDifference: "parallelogram_difference",
}


def rows_by_table(records: Iterable[Record]) -> dict[str, list[dict[str, object]]]:
    """The records as rows, by the table that keeps them."""
    tables: dict[str, list[dict[str, object]]] = {}
    for record in records:
        tables.setdefault(TABLE_OF[type(record)], []).append(asdict(record))
    return tables
