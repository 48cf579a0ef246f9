"""What the measurements of components and circuits yield: one frozen dataclass a grain."""

from dataclasses import dataclass


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
class CircuitSize:
    """One row per measurement and budget: a circuit, and how much of the task it does."""

    budget: float  # share of the mean logit difference that may be lost, 0 to 1
    n_heads: int
    n_mlps: int
    n_sweeps: int
    completeness_pct: float  # retained when only the circuit works, % of the whole model
    ci_low_completeness_pct: float  # over prompts
    ci_high_completeness_pct: float
    necessity_pct: float  # retained when only the rest works, %
    ci_low_necessity_pct: float
    ci_high_necessity_pct: float
    jaccard: float | None  # with the components at a budget of 0.20; null if that was not asked


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
    at: str  # role of the token whose activation is read
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
