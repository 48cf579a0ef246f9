"""What pictures of circuits are drawn from: one frozen dataclass a grain."""

from dataclasses import dataclass
from typing import Literal

Reader = Literal["q", "k", "v", "mlp", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEdge:
    """One row per measurement, source, destination and reader: two nodes of a circuit."""

    budget: float  # of the circuit; an edge is kept if more than that is lost without it
    source: str  # component
    destination: str  # component; output: the logits
    reader: Reader  # what of the destination reads the source
    n_prompts: int
    delta_p_edge: float  # points of the whole model; < 0: it is worth something
    ci_low_delta_p_edge: float  # over prompts
    ci_high_delta_p_edge: float
    is_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPattern:
    """One row per measurement, prompt, layer, head and position: where a head looks from there."""

    prompt_id: str
    layer: int
    head: int
    position: int  # of the token that looks, from 0
    token: str  # its text
    role: str | None  # what stands there; null: no role of the task
    weights: tuple[float, ...]  # on each token of the prompt, in order; they sum to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OvToken:
    """One row per measurement, head and rank: a token that its output says most often."""

    layer: int
    head: int
    rank: int  # from 1; by prompts, then by token id
    token: str
    n_prompts: int
    n_first: int  # prompts with the token among the first 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpSimilarity:
    """One row per measurement, MLP of the teacher and MLP of the student."""

    layer_teacher: int
    layer_student: int
    n_prompts: int
    similarity: float  # 0 to 1
    method: str  # eigenvectors, cka
    chance: float | None  # mean similarity of two directions, or outputs, that have nothing to do


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpProjection:
    """One row per measurement, MLP of the teacher, model of the pair and prompt."""

    layer_teacher: int
    layer_student: int  # of the MLP it is most similar to
    whose: Literal["teacher", "student"]
    prompt_id: str
    tokens: tuple[str, ...]
    first: tuple[float, ...]  # token by token, on the first principal axis of all prompts' outputs
    second: tuple[float, ...]
    share_first: float  # of the variance of all prompts' outputs, 0 to 1
    share_second: float
