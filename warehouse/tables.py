# pyarrow and duckdb's rows carry no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false
# pyright: reportUnknownArgumentType=false
"""The tables of the lake, each declared once: its grain, its key, its columns.

From here come the DDL of a fresh lake, the Arrow schema of an append, and the pages of
DICTIONARY.md. All instants are in UTC; ids are lowercase hexadecimal text.
"""

from warehouse import (
    circuit_tables,
    crosscoder_tables,
    night_tables,
    picture_tables,
    provenance_tables,
    stability_tables,
)
from warehouse.declaring import MEASUREMENT_ID, REASON, Column, Table
from warehouse.declaring import bigint as _bigint
from warehouse.declaring import boolean as _bool
from warehouse.declaring import instant as _instant
from warehouse.declaring import integer as _int
from warehouse.declaring import real as _real
from warehouse.declaring import text as _text

MODE = _text(
    "mode",
    "whose text is scored: each model's own ('free') or the base's ('forced')",
    values=("free", "forced"),
)
SCHEMA_VERSION = Table(
    "schema_version",
    "migration applied to this lake",
    ("version",),
    (
        _int("version", "number of the migration, from 1"),
        _instant("applied_at", "when it was applied"),
    ),
)

MODEL = Table(
    "model",
    "model at a revision",
    ("model_id",),
    (
        _text("model_id", "'org/name@<commit>' on the hub, 'sha256:<digest>' of local files"),
        _text("label", "name to show; not an identity"),
        _text("source", "where it came from", values=("zoo", "local", "gguf", "hub")),
        _text("family", "base family, e.g. 'llama'", null=True),
        _text("architecture", "class named in its config, e.g. 'LlamaForCausalLM'", null=True),
        _text("model_type", "model_type of its config, e.g. 'llama'", null=True),
        _bigint("n_params", "parameters, tied weights counted once", null=True),
        _int("n_layers", "transformer blocks", null=True),
        _int("hidden_size", "width of the residual stream", null=True),
        _int("vocab_size", "rows of the unembedding", null=True),
        _text("weight_dtype", "dtype of the stored weights, e.g. 'bfloat16'", null=True),
        _text("tokenizer_sha256", "hash of the tokenizer's files", null=True),
        _instant("registered_at", "when this lake first saw it"),
    ),
)

ORGANISM = Table(
    "organism",
    "model of known lineage: of the zoo, or declared by its user",
    ("model_id",),
    (
        _text("model_id", "the model"),
        _text("name", "its name in the zoo, e.g. 'llama-distilled'; its label if declared"),
        _text("method", "class of its recipe, e.g. 'distilled', 'sft-direct', 'pruned'"),
        _text(
            "role",
            "what it is in the zoo",
            values=("teacher", "base", "depth-student", "derivative"),
        ),
        _bool(
            "is_distilled",
            "whether it was trained on a teacher's output; null if not declared",
            null=True,
        ),
        _text("base_id", "model_id of what it was made from; null: from nothing", null=True),
        _text("teacher_id", "model_id of the teacher; null without one", null=True),
        _int("seed", "seeds its training; null if not known", null=True),
        _bool("is_shipped", "whether its weights come with the project, not its records alone"),
        _instant("registered_at", "when this lake first heard of it"),
        _text(
            "declared_by",
            "who says so: the zoo, whose code made it, or the model's user",
            values=("zoo", "user"),
        ),
    ),
)

COMPARISON = Table(
    "comparison",
    "derivative, role, other model and instant: a declared pair",
    ("derivative_id", "role", "model_id", "declared_at"),
    (
        _text("derivative_id", "model_id of the derivative"),
        _text(
            "role",
            "what the other model is to the derivative",
            values=("base", "reference", "shared_comparator", "teacher"),
        ),
        _text("model_id", "the other model"),
        _text("declared_by", "who said so", values=("cli", "zoo", "take")),
        _instant("declared_at", "when it was declared; the newest base declared is the base"),
    ),
)

MEASUREMENT = Table(
    "measurement",
    "planned measurement: one method on given models, prompts and settings",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        _text(
            "method",
            "'structural', 'fisher', 'template', 'template_distance', 'stiffness' or 'lineage'",
        ),
        _int("method_version", "raised when the method's numbers change"),
        _text("prompt_set", "name of the prompt set; 'none' where weights alone are read"),
        _text("prompt_set_sha256", "hash of the prompts' text; empty without prompts"),
        Column("seeds", "INTEGER[]", "seeds measured; empty when the method draws nothing"),
        _text("dtype", "dtype of the computation, e.g. 'float32'"),
        _text("backend", "what ran the model or read its weights, e.g. 'transformers'"),
        _text("device_kind", "'cpu' or 'cuda'"),
        _int("replicate", "0, or the number of a deliberate repetition"),
        _text("options", "canonical JSON of the method's other settings"),
        _text("text_sha256", "hash of the given text; null unless forced", null=True),
        _int("n_units", "units that make it complete"),
        _int("batch_size", "prompts in one forward pass; one for all its units"),
        _text("code_version", "version of the code that planned it"),
        _text("library_versions", "canonical JSON: library to version"),
        _instant("planned_at", "when it was planned"),
    ),
)

MEASUREMENT_MODEL = Table(
    "measurement_model",
    "measurement and role of a model in it",
    ("measurement_id", "role"),
    (
        MEASUREMENT_ID,
        _text("role", "'model' where there is one; else base, derivative, reference, ..."),
        _text("model_id", "the model in that role"),
    ),
)

UNIT = Table(
    "unit",
    "committed unit of a measurement: a seed, a chunk of prompts",
    ("measurement_id", "unit"),
    (
        MEASUREMENT_ID,
        _text("unit", "name of the unit, e.g. 'seed-0', 'prompts-000-009', 'all'"),
        _bigint("n_rows", "records committed with it, all tables together"),
        _real("duration_s", "time it took to measure, seconds"),
        _instant("committed_at", "when its records were committed"),
    ),
)

ATTEMPT = Table(
    "attempt",
    "attempt to measure: one process working on one measurement",
    ("attempt_id",),
    (
        _text("attempt_id", "random id"),
        _int("attempt_number", "from 1, counted per measurement, or per model that did not load"),
        _text("measurement_id", "null when the model could not be loaded", null=True),
        _text("method", "null when the model could not be loaded", null=True),
        _text("model_ref", "the model as the user named it"),
        _text("host", "name of the machine"),
        _int("pid", "process id on that machine"),
        _text("device", "device it ran on, e.g. 'cpu', 'cuda:0'"),
        _int("batch_size", "prompts in one forward pass", null=True),
        _instant("started_at", "when it began"),
    ),
)

ATTEMPT_END = Table(
    "attempt_end",
    "attempt that ended and could say so; a killed one has no row",
    ("attempt_id",),
    (
        _text("attempt_id", "the attempt"),
        _text("outcome", "how it ended", values=("done", "failed", "interrupted")),
        _text("reason", "why it failed or stopped; null when done", null=True),
        _instant("ended_at", "when it ended"),
    ),
)

STRUCTURAL_TAU = Table(
    "structural_tau",
    "measurement, seed and dimension (a prompt at a site)",
    ("measurement_id", "seed", "dim"),
    (
        MEASUREMENT_ID,
        _int("seed", "chooses and orders the prompts"),
        _int(
            "dim",
            "index in the structural vector, from 0: prompts in order, site A then B, channels",
        ),
        _text("prompt_id", "the prompt"),
        _text("category", "category of the prompt"),
        _text("site", "before (A) or after (B) the final norm", values=("A", "B")),
        _int("n_tokens", "tokens that went in, the first and padding left out", null=True),
        _real(
            "tau",
            "of the measurement's kind; resultant: length of the token states, 0 to 1",
            null=True,
        ),
        _real("tau_rerun", "the same weights in another batch size and order", null=True),
        REASON,
    ),
    is_record=True,
)

PROMPT_TEMPLATE = Table(
    "prompt_template",
    "measurement and prompt: the PPP-residual template of one text",
    ("measurement_id", "prompt_id"),
    (
        MEASUREMENT_ID,
        MODE,
        _text("prompt_id", "the prompt"),
        _text("category", "category of the prompt"),
        _int("n_prompt_tokens", "tokens of the prompt", null=True),
        _int("n_tokens", "tokens scored", null=True),
        _real("beta_mean", "mean scale of the gaps by the measurement's fit, logits", null=True),
        Column("template", "DOUBLE[]", "mean residual of gap k = 1..20, logits", is_nullable=True),
        _real("delta_norm_mean", "mean of G3 / (G2 + G3 + G4), 0 to 1", null=True),
        _int("n_delta_norm", "tokens in that mean", null=True),
        _real("zero_gap_frac", "share of gaps that are exactly 0, 0 to 1", null=True),
        _real(
            "split_half_distance",
            "mean distance of halves: 100 random halves of 8-token blocks, logits",
            null=True,
        ),
        _text("text", "the text scored, without the prompt", null=True),
        _text("text_sha256", "hash of that text", null=True),
        REASON,
        _real(
            "winner_gap_se",
            "standard error of the first gap's residual, from 8-token blocks, logits",
            null=True,
        ),
    ),
    is_record=True,
)

TEMPLATE_DISTANCE = Table(
    "template_distance",
    "measurement and role: the distance of one model's templates from the base's",
    ("measurement_id", "role"),
    (
        MEASUREMENT_ID,
        MODE,
        _text(
            "role",
            "the other model: the derivative itself, or what it is to the derivative",
            values=("derivative", "reference", "shared_comparator", "teacher"),
        ),
        _int("n_prompts", "prompts the distances are means over"),
        _int("n_prompts_dropped", "prompts left out for all models of the comparison"),
        _real("centroid_distance", "distance of the mean templates, logits", null=True),
        _real("ci_low_centroid_distance", "2.5th percentile over prompts, logits", null=True),
        _real("ci_high_centroid_distance", "97.5th percentile over prompts, logits", null=True),
        _real("crp_distance", "mean of the per-prompt distances, logits", null=True),
        _real("ci_low_crp_distance", "2.5th percentile over prompts, logits", null=True),
        _real("ci_high_crp_distance", "97.5th percentile over prompts, logits", null=True),
        _real(
            "self_baseline", "distance of the base's own half-sets of prompts, logits", null=True
        ),
        _real("sign_flip_floor", "95th percentile of the sign-flip null, logits", null=True),
        _real("sign_flip_p", "p of the centroid distance under that null", null=True),
        _real("crp_floor", "CRP distance two texts of the base itself would have", null=True),
        _real("zero_gap_frac", "largest share of zero gaps among the models, 0 to 1", null=True),
        REASON,
    ),
    is_record=True,
)


def _winner_gap_columns(gap: int) -> tuple[Column, ...]:
    name, number = f"g{gap}", f"G{gap}"
    return (
        _real(f"mean_signed_{name}", f"mean difference of {number}, logits; > 0: up", null=True),
        _real(f"ci_low_mean_signed_{name}", "2.5th percentile over prompts, logits", null=True),
        _real(f"ci_high_mean_signed_{name}", "97.5th percentile over prompts, logits", null=True),
        _real(f"mean_abs_{name}", f"mean size of the difference of {number}, logits", null=True),
        _real(f"cancellation_{name}", "mean size over size of the mean, at least 1", null=True),
        _real(
            f"cancellation_noise_p_{name}",
            "share of draws of pure noise that cancel at least as much",
            null=True,
        ),
        _int(f"n_up_{name}", f"prompts where the derivative's {number} is larger", null=True),
        _int(f"n_down_{name}", "prompts where it is smaller", null=True),
        _real(f"sign_p_{name}", "two-sided p of the sign test, equal prompts left out", null=True),
    )


def _delta_norm_columns(role: str) -> tuple[Column, ...]:
    return (
        _real(
            f"delta_norm_{role}",
            f"the {role}'s mean of G3 / (G2 + G3 + G4) over tokens; 0.3178 for pure noise",
            null=True,
        ),
        _real(f"ci_low_delta_norm_{role}", "2.5th percentile over prompts", null=True),
        _real(f"ci_high_delta_norm_{role}", "97.5th percentile over prompts", null=True),
        _int(f"n_delta_norm_{role}", "tokens in that mean"),
        _text(
            f"delta_gate_{role}",
            "'pass' within 0.0159 of 0.3178, 'broken extraction' outside 0.300 to 0.336",
            values=("pass", "fail", "broken extraction", "not interpretable"),
        ),
    )


WINNER_GAP_PAIR = Table(
    "winner_gap_pair",
    "measurement: what a derivative did to its base's gaps, the first above all",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        MODE,
        _int("n_prompts", "prompts the numbers are over"),
        _int("n_prompts_dropped", "prompts left out for all models of the comparison"),
        _text(
            "winner_gap_class",
            "what became of the first gap, by the rule of measure/winner_gap.py",
            values=(
                "amplifier",
                "reducer",
                "sign-oscillating",
                "sign-oscillating (noise not excluded)",
                "mixed",
                "not interpretable",
            ),
        ),
        _text("class_reasons", "the comparisons that decided it, '; ' between them"),
        _real("g1_share", "share of G1 in a squared difference of templates, 0 to 1", null=True),
        _real("ci_low_g1_share", "2.5th percentile over prompts, 0 to 1", null=True),
        _real("ci_high_g1_share", "97.5th percentile over prompts, 0 to 1", null=True),
        _real("top3_share", "share of its three largest gaps, 0 to 1", null=True),
        _int("n_g1_dominant", "prompts whose largest difference is that of G1", null=True),
        _int("n_g1_over_half", "prompts where G1 has over half of the difference", null=True),
        *_winner_gap_columns(1),
        *_winner_gap_columns(2),
        _int("n_signif", "prompts whose G1 differs by more than twice its noise", null=True),
        _int("n_signif_up", "of these, where it is larger", null=True),
        _int("n_signif_down", "of these, where it is smaller", null=True),
        _text(
            "cv_label",
            "'amplified' from an effect of 1.5, 'reduced' to 0.67, 'undefined' without one",
            values=("amplified", "reduced", "stable", "undefined"),
        ),
        _real("cv_base", "spread of the base's templates over the norm of their mean", null=True),
        _real("cv_derivative", "the same of the derivative's", null=True),
        _real("cv_effect", "the derivative's over the base's", null=True),
        _real("ci_low_cv_effect", "2.5th percentile over prompts", null=True),
        _real("ci_high_cv_effect", "97.5th percentile over prompts", null=True),
        _real("centroid_norm_base", "norm of the base's mean template, logits", null=True),
        _real("centroid_norm_floor_base", "95th percentile of it under random signs", null=True),
        _real("centroid_norm_derivative", "norm of the derivative's, logits", null=True),
        _real(
            "centroid_norm_floor_derivative", "95th percentile of it under random signs", null=True
        ),
        _text("cv_reason", "why there is no effect; null when there is", null=True),
        *_delta_norm_columns("base"),
        *_delta_norm_columns("derivative"),
        REASON,
    ),
    is_record=True,
)

WINNER_GAP_PROMPT = Table(
    "winner_gap_prompt",
    "measurement and prompt: a derivative's template less its base's",
    ("measurement_id", "prompt_id"),
    (
        MEASUREMENT_ID,
        MODE,
        _text("prompt_id", "the prompt"),
        _text("category", "category of the prompt"),
        Column("d", "DOUBLE[]", "difference of gap k = 1..20, logits"),
        _real("d1", "difference of the first gap, logits; > 0: the derivative's is larger"),
        _int("dominant_k", "the gap with the largest difference, from 1", null=True),
        _real("g1_share", "share of G1 in a squared difference of templates, 0 to 1", null=True),
        _real("noise_se", "standard error of d1, from both texts' blocks, logits", null=True),
        _bool("is_signif", "whether d1 exceeds twice that", null=True),
        REASON,
    ),
    is_record=True,
)

MODEL_STIFFNESS = Table(
    "model_stiffness",
    "measurement: gain of a model's final norm and spread of its unembedding",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        _real("gamma_mean", "mean over channels of the final norm's |gain|", null=True),
        _real("gamma_rms", "root mean square of that gain, at least its mean", null=True),
        _real("sigma_w", "standard deviation of all entries of the unembedding", null=True),
        _real("sigma_w_row_mean", "mean over tokens of the row's own", null=True),
        _real("sigma_o", "that of the last block's output projection", null=True),
        _real("stiffness", "S = gamma_mean * sigma_w", null=True),
        _real("stiffness_rms", "gamma_rms * sigma_w", null=True),
        _real("stiffness_row_mean", "gamma_mean * sigma_w_row_mean", null=True),
        _real("stiffness_o", "gamma_mean * sigma_o", null=True),
        _bool("tied", "whether the unembedding is the embedding", null=True),
        _int("n_rows", "rows of the unembedding, unused tokens too", null=True),
        REASON,
    ),
    is_record=True,
)

FISHER_CURVATURE = Table(
    "fisher_curvature",
    "measurement, seed and prompt: how much the next-token distribution bends as tau moves",
    ("measurement_id", "seed", "prompt_id"),
    (
        MEASUREMENT_ID,
        _int("seed", "chooses and orders the prompts"),
        _text("prompt_id", "the prompt"),
        _text("category", "category of the prompt"),
        _int("n_tokens", "tokens that went in, the first and padding left out"),
        _real("state_norm", "norm of the last token's state after the final norm", null=True),
        _real("kappa", "Fisher information along tau's gradient, logits^2 / state^2", null=True),
        REASON,
    ),
    is_record=True,
)

FISHER_SUMMARY = Table(
    "fisher_summary",
    "measurement: the curvature of a model over its prompts",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        _int("n_prompts", "prompts the numbers are over"),
        _real("kappa_f", "mean kappa over prompts, logits^2 / state^2", null=True),
        _real("ci_low_kappa_f", "2.5th percentile over prompts", null=True),
        _real("ci_high_kappa_f", "97.5th percentile over prompts", null=True),
        _real("kappa_norm2_mean", "mean of kappa times squared state norm, logits^2", null=True),
        _real(
            "halves_ratio",
            "mean kappa of one half of the prompts over the other's, at least 1",
            null=True,
        ),
        _bool("is_repeatable", "whether that is at most 3", null=True),
        _real("rho_f", "kappa_f over the damping of 10", null=True),
        _text(
            "fisher_status",
            "'Damping-dominated' under a rho_f of 1: not to be compared",
            null=True,
            values=("Fisher-dominated", "Damping-dominated"),
        ),
        REASON,
    ),
    is_record=True,
)

WEIGHT_LINEAGE = Table(
    "weight_lineage",
    "measurement, layer and slot: a weight of a derivative beside its base's",
    ("measurement_id", "layer", "slot"),
    (
        MEASUREMENT_ID,
        _int("layer", "the derivative's block, from 0; null outside the blocks", null=True),
        _int("base_layer", "the base's block it is compared with", null=True),
        _text("slot", "what the weight is in its layer, e.g. 'q', 'up', 'q.bias', 'embed'"),
        _text("kind", "kind of weight, e.g. 'q', 'norm', 'bias'"),
        _bool("is_matrix", "norms and biases never decide"),
        _bigint("n_entries", "its entries"),
        _int("n_units_used", "rows that spectra and alignment were taken of", null=True),
        _real("cosine", "of the flattened weights, -1 to 1", null=True),
        _real("null_cosine", "99.9 % of strangers or permuted copies, the larger", null=True),
        _real("aligned_cosine", "after matching units; only within the null, 0 to 1", null=True),
        _real("null_cosine_aligned", "99.9 % of alignments with shuffled columns", null=True),
        _real("rel_displacement", "norm of the difference over the base's norm", null=True),
        _real("unchanged_frac", "share of entries that are equal, 0 to 1", null=True),
        _real("effective_rank", "of the difference, from its spectrum's entropy", null=True),
        _int("numerical_rank", "singular values of the difference above rounding", null=True),
        _real("sv_cosine", "of the sorted singular values; 1 for a rotated copy", null=True),
        REASON,
    ),
    is_record=True,
)

WEIGHT_LINEAGE_PAIR = Table(
    "weight_lineage_pair",
    "measurement: whether a derivative was made from a base, by the weights alone",
    ("measurement_id",),
    (
        MEASUREMENT_ID,
        _text(
            "lineage_label",
            "whether it was made from that base, by the rule of measure/lineage.py",
            values=("SAME LINEAGE", "INDEPENDENT", "PARTIAL", "NOT COMPARABLE", "INCONCLUSIVE"),
        ),
        _text("label_reasons", "the comparisons that decided it, '; ' between them"),
        _int("n_layers", "transformer blocks", null=True),
        _int("n_base_layers", "transformer blocks of the base", null=True),
        _int("n_layers_related", "the derivative's blocks that are above their null", null=True),
        REASON,
    ),
    is_record=True,
)

VERDICT = Table(
    "verdict",
    "judged question of a pair in one layer and instant; the newest counts",
    ("derivative_id", "base_id", "layer", "question", "statement", "judged_at"),
    (
        _text("derivative_id", "model_id of the derivative"),
        _text("base_id", "model_id of the base it is judged against"),
        _text(
            "layer",
            "layer that the question is about; no other layer's numbers answer it",
            values=("structural", "functional", "thermodynamic", "cross-layer"),
        ),
        _text(
            "question",
            "what was asked: 'distilled-like' by the family's calibration, the others by the rules "
            "of measure/verdicts.py",
            values=(
                "distilled-like",
                "loudness",
                "triangle free",
                "triangle forced",
                "delta-norm",
                "pattern",
                "claim",
            ),
        ),
        _text("statement", "the sentence judged, of a claim; null for other questions", null=True),
        _text("label", "the answer"),
        Column("reasons", "VARCHAR[]", "the comparisons that decided, in order"),
        Column("missing", "VARCHAR[]", "what an answer would need, and how to get it"),
        _real("p", "conformal p, 0 to 1; null where none was asked or known", null=True),
        _real("p_least", "the smallest p that so many non-distilled can give", null=True),
        _int("n_null", "non-distilled derivatives that judged it", null=True),
        _text("numbers", "canonical JSON of the numbers it was made of"),
        _text("thresholds", "canonical JSON of the thresholds it turned on"),
        _text("code_version", "version of the code that judged"),
        _instant("judged_at", "when it was judged"),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        SCHEMA_VERSION,
        MODEL,
        COMPARISON,
        MEASUREMENT,
        MEASUREMENT_MODEL,
        UNIT,
        ATTEMPT,
        ATTEMPT_END,
        STRUCTURAL_TAU,
        PROMPT_TEMPLATE,
        TEMPLATE_DISTANCE,
        WINNER_GAP_PAIR,
        WINNER_GAP_PROMPT,
        MODEL_STIFFNESS,
        FISHER_CURVATURE,
        FISHER_SUMMARY,
        WEIGHT_LINEAGE,
        WEIGHT_LINEAGE_PAIR,
        *provenance_tables.TABLES,
        *circuit_tables.TABLES,
        *picture_tables.TABLES,
        *stability_tables.TABLES,
        *crosscoder_tables.TABLES,
        *night_tables.TABLES,
        VERDICT,
        ORGANISM,  # last: a view's column means what the first table with that column says
    )
}
RECORD_TABLES = tuple(table for table in TABLES.values() if table.is_record)
