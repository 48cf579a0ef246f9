"""The tables of distilled circuits: what ablating a component does, and how two models compare."""

from warehouse.declaring import (
    MEASUREMENT_ID,
    REASON,
    Column,
    Table,
    boolean,
    integer,
    real,
    text,
)

_PROMPT_ID = text("prompt_id", "the prompt, as its task names it")
_COMPONENT = text("component", "'4.10': head 10 of layer 4, from 0; '4.mlp': the layer's MLP")
_LAYER = integer("layer", "the layer, from 0")
_HEAD = integer("head", "the head, from 0; null for the MLP", null=True)
_KIND = text("kind", "what it is", values=("head", "mlp"))
_BUDGET = real("budget", "share of the mean logit difference that may be lost, 0 to 1")
_MODE = text(
    "mode",
    "methods.md 4.6 in our definition, or as the paper's public code has it",
    values=("ours", "paper_code"),
)
_MATCHING = text("matching", "how components are paired", values=("greedy", "hungarian", "soft"))


def _interval(
    name: str, unit: str, *, over: str = "10,000 resamples of the prompts"
) -> list[Column]:
    return [
        real(f"ci_low_{name}", f"2.5 % of {over}, {unit}", null=True),
        real(f"ci_high_{name}", "97.5 %", null=True),
    ]


TASK_PROMPT = Table(
    "task_prompt",
    "measurement and prompt of a task: what was asked, and what the whole model made of it",
    ("measurement_id", "prompt_id"),
    (
        MEASUREMENT_ID,
        _PROMPT_ID,
        text("clean", "the prompt"),
        text("corrupted", "its corrupted twin: means of ablations are over these"),
        text("answer", "what is right after the clean prompt"),
        text("foil", "what is wrong there"),
        integer("n_tokens", "tokens of each prompt, the same of all"),
        real("ld_clean", "logit of the answer less the foil's, nothing ablated"),
    ),
    is_record=True,
)

ABLATION_EFFECT = Table(
    "ablation_effect",
    "measurement, prompt and component: the logit difference with that component's mean in its "
    "place",
    ("measurement_id", "prompt_id", "component"),
    (
        MEASUREMENT_ID,
        _PROMPT_ID,
        _COMPONENT,
        _LAYER,
        _HEAD,
        real("ld_ablated", "logit of the answer less the foil's"),
    ),
    is_record=True,
)

ATTRIBUTION_EFFECT = Table(
    "attribution_effect",
    "measurement and component: what its ablation would do to first order",
    ("measurement_id", "component"),
    (
        MEASUREMENT_ID,
        _COMPONENT,
        _LAYER,
        _HEAD,
        integer("n_prompts", "prompts of the mean"),
        real("estimated_effect", "logits that would be lost; > 0: the component helps"),
        *_interval("estimated_effect", "logits"),
    ),
    is_record=True,
)

TASK_BASELINE = Table(
    "task_baseline",
    "measurement of a model on a task: whether it does the task at all",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        integer("n_prompts", "prompts"),
        real("mean_ld", "mean logit of the answer less the foil's", null=True),
        *_interval("mean_ld", "logits"),
        real("answer_share", "prompts where the answer has the larger logit, 0 to 1", null=True),
        REASON,
    ),
    is_record=True,
)

COMPONENT = Table(
    "component",
    "measurement and component: what a model loses of a task without it",
    ("measurement_id", "component"),
    (
        MEASUREMENT_ID,
        _COMPONENT,
        _KIND,
        integer("n_prompts", "prompts"),
        real("mean_ld_clean", "mean logit difference of the whole model"),
        real("mean_ld_ablated", "mean logit difference without the component"),
        real("effect", "the first less the second, logits; > 0: the component helps"),
        *_interval("effect", "logits"),
        real("influence_raw", "the effect, 0 where it is negative, logits"),
        real("retained_pct", "100 mean_ld_ablated / mean_ld_clean", null=True),
        real("delta_p_pct", "100 (mean_ld_ablated - mean_ld_clean) / |mean_ld_clean|", null=True),
        real("drop_pct", "100 - retained_pct, kept within 0 to 100", null=True),
        *_interval("drop_pct", "%"),
        real("influence_max", "influence over the largest, 0 to 1", null=True),
        real("influence_l1", "influence over the sum, 0 to 1", null=True),
        real("influence_l2", "influence over the Euclidean norm, 0 to 1", null=True),
        REASON,
    ),
    is_record=True,
)

_DROPS = (
    ("top5_drop_pct", "mean of the five largest drops, %"),
    ("gini_drop", "Gini of the drops, 0: all alike, near 1: one alone"),
    ("tail_score", "mean excess of drops over 20 %, as a share of the most it could be, 0 to 1"),
    ("share_over_10_pct", "components that drop over 10 %, 0 to 1"),
    ("share_over_20_pct", "components that drop over 20 %, 0 to 1"),
)
BRITTLENESS = Table(
    "brittleness",
    "measurement of a model on a task: what losing a component costs, over all of them",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        integer("n_components", "heads and MLPs"),
        integer("n_prompts", "prompts"),
        real("mean_drop_pct", "mean drop over components, %", null=True),
        *_interval("mean_drop_pct", "%", over="10,000 resamples of the components"),
        real("prompt_ci_low_mean_drop_pct", "2.5 % of 10,000 resamples of the prompts", null=True),
        real("prompt_ci_high_mean_drop_pct", "97.5 %", null=True),
        real("floor_mean_drop_pct", "95 % of what the prompts' noise alone makes", null=True),
        *(
            column
            for name, meaning in _DROPS
            for column in (real(name, meaning, null=True), *_interval(name, "as the value"))
        ),
        REASON,
    ),
    is_record=True,
)

BRITTLENESS_DIFFERENCE = Table(
    "brittleness_difference",
    "measurement, model the student is held against, and way: by how much more it drops",
    ("measurement_id", "against", "is_paper_mode"),
    (
        MEASUREMENT_ID,
        text(
            "against",
            "its teacher, or another model with as many components",
            values=("teacher", "size-matched control"),
        ),
        boolean("is_paper_mode", "the difference is the mean of the bootstrap's, as published"),
        integer("n_components_student", "heads and MLPs of the student"),
        integer("n_components_other", "heads and MLPs of the other"),
        integer("n_prompts", "prompts", null=True),
        real("difference_pct", "student's mean drop less the other's, points", null=True),
        *_interval("difference_pct", "points", over="10,000 resamples of the components"),
        real("prompt_ci_low_difference_pct", "2.5 % of resamples of the prompts", null=True),
        real("prompt_ci_high_difference_pct", "97.5 %", null=True),
        real("compression", "1 less the student's parameters over the other's", null=True),
        real("beta", "points for a compression of 1", null=True),
        *_interval("beta", "points", over="the resamples of the components"),
        real("per_tenth", "points for each 0.1 of compression", null=True),
        *_interval("per_tenth", "points", over="the resamples of the components"),
        REASON,
    ),
    is_record=True,
)

_RESAMPLES = "1,000 resamples of the prompts"
ALIGNMENT = Table(
    "alignment",
    "measurement, mode, normalisation and matching: whether what is alike also matters alike",
    ("measurement_id", "mode", "normalisation", "matching"),
    (
        MEASUREMENT_ID,
        _MODE,
        text("normalisation", "what influences are divided by", values=("max", "l1", "l2")),
        _MATCHING,
        integer("n_prompts", "prompts"),
        integer("n_components_teacher", "heads and MLPs of the teacher"),
        integer("n_components_student", "heads and MLPs of the student"),
        integer("n_pairs", "pairs of components, as they count", null=True),
        real("alignment", "A: mean of similarity x (1 - |influence gap|), 0 to 1", null=True),
        *_interval("alignment", "0 to 1", over=_RESAMPLES),
        real("mean_similarity", "mean similarity of the pairs, 0 to 1", null=True),
        *_interval("mean_similarity", "0 to 1", over=_RESAMPLES),
        real("mean_abs_delta_influence", "mean |influence gap| of the pairs, 0 to 1", null=True),
        *_interval("mean_abs_delta_influence", "0 to 1", over=_RESAMPLES),
        real("null_alignment", "mean of A with influences shuffled within a type", null=True),
        real("null_low", "2.5 % of 1,000 shuffles", null=True),
        real("null_high", "97.5 %", null=True),
        real("null_p", "shuffles, A itself among them, that reach A, 0 to 1", null=True),
        real("gain", "A less its null: the evidence, not A", null=True),
        *_interval("gain", "0 to 1", over=_RESAMPLES),
        real("chance_similarity_heads", "mean over all pairs of heads", null=True),
        real("chance_similarity_mlps", "what unrelated MLPs would have", null=True),
        text("mlp_method", "how MLPs are compared", null=True),
        text("mlp_reason", "why by this method", null=True),
        REASON,
    ),
    is_record=True,
)

COMPONENT_MATCH = Table(
    "component_match",
    "measurement, mode, matching and pair of components",
    ("measurement_id", "mode", "matching", "component_teacher", "component_student"),
    (
        MEASUREMENT_ID,
        _MODE,
        _MATCHING,
        _KIND,
        text("component_teacher", "of the teacher, such as '4.10' or '4.mlp'"),
        text("component_student", "of the student"),
        real("similarity", "-1 to 1 of heads, 0 to 1 of MLPs"),
        real("weight", "in A: 1, a share under soft matching, 2 where the public code doubles"),
        real("influence_teacher", "of the teacher's, 0 to 1", null=True),
        real("influence_student", "of the student's, 0 to 1", null=True),
        real("abs_delta_influence", "|the first less the second|", null=True),
        real("resample_share", "resamples of the prompts that pair the two, 0 to 1", null=True),
    ),
    is_record=True,
)

CIRCUIT_SIZE = Table(
    "circuit_size",
    "measurement and budget: the circuit that is left, and how much of the task it does",
    ("measurement_id", "budget"),
    (
        MEASUREMENT_ID,
        _BUDGET,
        integer("n_heads", "heads of the circuit"),
        integer("n_mlps", "MLPs of the circuit"),
        integer("n_all_heads", "heads of the model"),
        integer("n_all_mlps", "MLPs of the model"),
        integer("n_prompts", "prompts"),
        integer("n_sweeps", "sweeps until nothing more could be removed"),
        real("completeness_pct", "retained when only the circuit works, % of the whole model"),
        *_interval("completeness_pct", "%"),
        real("necessity_pct", "retained when only the rest works, %; also called faithfulness"),
        *_interval("necessity_pct", "%"),
    ),
    is_record=True,
)

CIRCUIT_NODE = Table(
    "circuit_node",
    "measurement, budget and component of its circuit",
    ("measurement_id", "budget", "component"),
    (
        MEASUREMENT_ID,
        _BUDGET,
        _COMPONENT,
        _LAYER,
        _HEAD,
        real("delta_p_in_circuit", "points of the whole model lost when it alone is taken out"),
    ),
    is_record=True,
)

TABLES = (
    TASK_PROMPT,
    ABLATION_EFFECT,
    ATTRIBUTION_EFFECT,
    TASK_BASELINE,
    COMPONENT,
    BRITTLENESS,
    BRITTLENESS_DIFFERENCE,
    ALIGNMENT,
    COMPONENT_MATCH,
    CIRCUIT_SIZE,
    CIRCUIT_NODE,
)
