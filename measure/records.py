"""What each measurement yields: one frozen dataclass a grain, standard library only.

A record leaves out `measurement_id`: whoever stores it adds the measurement it belongs to.
"""

from dataclasses import dataclass
from typing import Literal

Site = Literal["A", "B"]
TauKind = Literal["resultant", "gap", "cv_cos"]
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


Record = StructuralTau | PromptTemplate | TemplateDistance | WinnerGap | WinnerGapPrompt

TABLE_OF: dict[type, str] = {
    StructuralTau: "structural_tau",
    PromptTemplate: "prompt_template",
    TemplateDistance: "template_distance",
    WinnerGap: "winner_gap_pair",
    WinnerGapPrompt: "winner_gap_prompt",
}
