"""The tables that pictures of circuits are drawn from."""

from warehouse.declaring import MEASUREMENT_ID, Column, Table, boolean, integer, real, text

_PROMPT_ID = text("prompt_id", "the prompt, as its task names it")
_LAYER = integer("layer", "the layer, from 0")
_HEAD = integer("head", "the head, from 0")
_LAYER_TEACHER = integer("layer_teacher", "layer of the teacher's MLP, from 0")
_LAYER_STUDENT = integer("layer_student", "layer of the student's MLP, from 0")


def _of_tokens(name: str, meaning: str, type_: str = "DOUBLE[]") -> Column:
    return Column(name, type_, meaning)


CIRCUIT_EDGE = Table(
    "circuit_edge",
    "measurement, source, destination and reader: what one edge of a circuit is worth",
    ("measurement_id", "source", "destination", "reader"),
    (
        MEASUREMENT_ID,
        real("budget", "of the circuit: share of the mean logit difference it may lose, 0 to 1"),
        text("source", "the component that writes: '4.10' a head, '4.mlp' an MLP"),
        text("destination", "the component that reads; 'output': the logits"),
        text(
            "reader",
            "what of it reads: a head's queries, keys or values, the MLP, the logits",
            values=("q", "k", "v", "mlp", "output"),
        ),
        integer("n_prompts", "prompts"),
        real("delta_p_edge", "points of the whole model's logit difference; < 0: lost without it"),
        real("ci_low_delta_p_edge", "2.5 % of 10,000 resamples of the prompts, points"),
        real("ci_high_delta_p_edge", "97.5 %"),
        boolean("is_kept", "more points than the budget are lost without it"),
    ),
    is_record=True,
)

ATTENTION_PATTERN = Table(
    "attention_pattern",
    "measurement, prompt, layer, head and position: where a head looks from a token",
    ("measurement_id", "prompt_id", "layer", "head", "position"),
    (
        MEASUREMENT_ID,
        _PROMPT_ID,
        _LAYER,
        _HEAD,
        integer("position", "of the token that looks, from 0"),
        text("token", "its text"),
        text("role", "what stands there; null: no role of the task", null=True),
        _of_tokens("weights", "on each token of the prompt, in order; they sum to 1"),
    ),
    is_record=True,
)

OV_TOKEN = Table(
    "ov_token",
    "measurement, head and rank: a token that a head's output at the end says most often",
    ("measurement_id", "layer", "head", "rank"),
    (
        MEASUREMENT_ID,
        _LAYER,
        _HEAD,
        integer("rank", "from 1; by prompts, then by token id"),
        text("token", "its text"),
        integer("n_prompts", "prompts"),
        integer("n_first", "prompts with the token among the first 5 of the head's output"),
    ),
    is_record=True,
)

MLP_SIMILARITY = Table(
    "mlp_similarity",
    "measurement, MLP of the teacher and MLP of the student: how alike they are",
    ("measurement_id", "layer_teacher", "layer_student"),
    (
        MEASUREMENT_ID,
        _LAYER_TEACHER,
        _LAYER_STUDENT,
        integer("n_prompts", "prompts"),
        real("similarity", "of what they write, 0 to 1"),
        text("method", "methods.md 4.6", values=("eigenvectors", "cka")),
        real("chance", "mean similarity of what has nothing to do with it", null=True),
    ),
    is_record=True,
)

MLP_PROJECTION = Table(
    "mlp_projection",
    "measurement, MLP of the teacher, model of the pair and prompt: outputs on two axes",
    ("measurement_id", "layer_teacher", "whose", "prompt_id"),
    (
        MEASUREMENT_ID,
        _LAYER_TEACHER,
        integer("layer_student", "layer of the student's MLP that is most similar to it, from 0"),
        text("whose", "whose outputs", values=("teacher", "student")),
        _PROMPT_ID,
        _of_tokens("tokens", "the prompt's tokens", "VARCHAR[]"),
        _of_tokens("first", "token by token, on the first principal axis of this MLP's outputs"),
        _of_tokens("second", "token by token, on the second"),
        real("share_first", "of the variance of all prompts' outputs, 0 to 1"),
        real("share_second", "of the variance, 0 to 1"),
    ),
    is_record=True,
)

TABLES = (CIRCUIT_EDGE, ATTENTION_PATTERN, OV_TOKEN, MLP_SIMILARITY, MLP_PROJECTION)
