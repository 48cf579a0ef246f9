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
        real("chance_similarity_mlps_reordered", "the same, in their best order", null=True),
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
        real("similarity_reordered", "of MLPs by Eq. 6, in their best order", null=True),
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

_ROLE = text("role", "what stands at the tokens, as the task names it")

PATCHING_EFFECT = Table(
    "patching_effect",
    "measurement, prompt, layer, head, part and token role: the corrupted run with the clean run's "
    "part put in",
    ("measurement_id", "prompt_id", "layer", "head", "part", "role"),
    (
        MEASUREMENT_ID,
        _PROMPT_ID,
        _LAYER,
        integer("head", "the head, from 0; null: all of the layer's, or none", null=True),
        text("part", "what is put in", values=("resid", "attn", "mlp", "qk", "ov")),
        _ROLE,
        real("ld_clean", "logit of the answer less the foil's in the clean run"),
        real("ld_corrupted", "the same in the corrupted run"),
        real("ld_patched", "the same in the corrupted run with the part put in"),
    ),
    is_record=True,
)

RESIDUAL_ATTRIBUTION = Table(
    "residual_attribution",
    "measurement, prompt, part of the model and token: what it writes towards the answer",
    ("measurement_id", "prompt_id", "part", "layer", "position"),
    (
        MEASUREMENT_ID,
        _PROMPT_ID,
        text("part", "what writes", values=("embed", "attn", "mlp")),
        integer("layer", "the layer, from 0; null: the embedding", null=True),
        integer("position", "of the token, from 0"),
        text("role", "what stands there; null: nothing the task names", null=True),
        real("attribution", "logits towards the answer and away from the foil"),
    ),
    is_record=True,
)

PROBE_ACCURACY = Table(
    "probe_accuracy",
    "measurement, site, layer, head, label, metric and seed: what a linear probe reads off",
    ("measurement_id", "site", "layer", "head", "label", "metric", "seed"),
    (
        MEASUREMENT_ID,
        text(
            "site",
            "the stream between attention and MLP, or a head's values",
            values=("resid_mid", "value"),
        ),
        _LAYER,
        integer("head", "the head, from 0; null: the stream", null=True),
        text("read_at", "role of the token whose activation is read"),
        text("label", "role of the token asked for; several joined by +: which are among them"),
        text("metric", "what value is", values=("accuracy", "auroc")),
        integer("seed", "of the split and the training"),
        real("value", "on held-out prompts, 0 to 1"),
        real("control", "the same with permuted training labels"),
        real("baseline", "of always naming one class, or of a coin"),
        integer("n_classes", "tokens told apart"),
        integer("n_train", "prompts trained on"),
        integer("n_test", "prompts held out"),
    ),
    is_record=True,
)

OV_SCORE = Table(
    "ov_score",
    "measurement and head: what it writes at the end, read as a token",
    ("measurement_id", "layer", "head"),
    (
        MEASUREMENT_ID,
        _LAYER,
        integer("head", "the head, from 0"),
        integer("n_prompts", "prompts"),
        integer("n_successor", "prompts with the answer among its first 5 tokens"),
        integer("n_copy", "prompts with the foil there: in a sequence the last term given"),
    ),
    is_record=True,
)

NOISE_POINT = Table(
    "noise_point",
    "measurement, scale, sigma and seed: a disturbed student beside its teacher",
    ("measurement_id", "scale", "sigma", "seed"),
    (
        MEASUREMENT_ID,
        text(
            "scale",
            "of sigma: as it is, or times the component's root mean square",
            values=("absolute", "relative"),
        ),
        real("sigma", "standard deviation of the noise"),
        integer("seed", "of the noise"),
        integer("n_prompts", "prompts"),
        real("mean_ld", "mean logit difference of the disturbed student"),
        real("alignment", "A, 0 to 1", null=True),
        real("mean_similarity", "of the matched pairs, 0 to 1"),
        real("mean_abs_delta_influence", "of the matched pairs, 0 to 1", null=True),
        real("null_alignment", "mean of A with influences shuffled within a type", null=True),
        REASON,
    ),
    is_record=True,
)

RANKED_STUDENT = Table(
    "ranked_student",
    "measurement and student of a teacher: its rank by alignment among those as often right",
    ("measurement_id", "student"),
    (
        MEASUREMENT_ID,
        text("student", "its role in the measurement: 'student', 'student-2', ..."),
        integer("n_prompts", "prompts"),
        real("accuracy", "prompts where the answer has the larger logit, 0 to 1", null=True),
        *_interval("accuracy", "0 to 1", over="Wilson's interval"),
        real("accuracy_gap", "of the most accurate student, less this one's", null=True),
        *_interval("accuracy_gap", "paired by prompt"),
        real("alignment", "A, influences over the largest, greedy, 0 to 1", null=True),
        *_interval("alignment", "0 to 1", over=_RESAMPLES),
        integer("rank", "from 1, shared where none is ahead; null with the reason", null=True),
        REASON,
    ),
    is_record=True,
)

PATCHED_CELL = Table(
    "patched_cell",
    "measurement, layer, head, part and token role: how far a patch sets the corrupted run right",
    ("measurement_id", "layer", "head", "part", "role"),
    (
        MEASUREMENT_ID,
        _LAYER,
        integer("head", "the head, from 0; null: all of the layer's, or none", null=True),
        text("part", "what is put in", values=("resid", "attn", "mlp", "qk", "ov")),
        _ROLE,
        integer("n_prompts", "prompts"),
        real("mean_effect", "patched less corrupted, logits; > 0: towards the answer"),
        *_interval("effect", "logits"),
        real("recovery", "of the way from corrupted to clean; 1: all of it", null=True),
        *_interval("recovery", "as the value"),
        real("over_layer_mean", "recovery over the mean of the layer's heads", null=True),
        real("z_in_layer", "z-score of the recovery over the layer's heads", null=True),
        REASON,
    ),
    is_record=True,
)

NOISE_VERDICT = Table(
    "noise_verdict",
    "measurement and scale: whether alignment responds to noise in the student",
    ("measurement_id", "scale"),
    (
        MEASUREMENT_ID,
        text("scale", "of sigma", values=("absolute", "relative")),
        integer("n_sigmas", "levels of noise"),
        integer("n_seeds", "draws of each"),
        real("spearman", "of sigma and mean A, -1 to 1", null=True),
        real("alignment_at_0", "mean A without noise", null=True),
        real("alignment_at_largest", "mean A at the largest sigma", null=True),
        boolean("responds", "spearman < -0.9 and A falls by more than 0.1", null=True),
        integer("n_sigmas_doing_task", "levels at which the student still does the task"),
        real("spearman_doing_task", "spearman over these alone", null=True),
        REASON,
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
    PATCHING_EFFECT,
    RESIDUAL_ATTRIBUTION,
    PROBE_ACCURACY,
    OV_SCORE,
    NOISE_POINT,
    RANKED_STUDENT,
    PATCHED_CELL,
    NOISE_VERDICT,
)
