"""What each measurement yields: one frozen dataclass a grain, standard library only.

A record leaves out `measurement_id`: whoever stores it adds the measurement it belongs to.
"""

from dataclasses import dataclass
from typing import Literal

Site = Literal["A", "B"]
Mode = Literal["free", "forced"]
SourceKind = Literal["zoo", "local", "gguf", "hub"]
OtherRole = Literal["derivative", "reference", "shared_comparator", "teacher"]


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
    """One row per measurement, seed and dimension (prompt position and site, row-major)."""

    seed: int
    dim: int  # 0 .. 2 * prompts - 1
    prompt_id: str
    category: str
    site: Site  # A: input of the final norm; B: its output
    n_tokens: int  # states summed: position 0 and pads left out
    tau: float | None  # resultant length, 0 to 1
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


Record = StructuralTau | PromptTemplate | TemplateDistance

TABLE_OF: dict[type, str] = {
    StructuralTau: "structural_tau",
    PromptTemplate: "prompt_template",
    TemplateDistance: "template_distance",
}
