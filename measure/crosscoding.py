"""What is asked of a crosscoder run: the pair, and choices that have a default for its width."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from measure import feature_ablation, text_sources
from measure.crosscoder import Sparsity
from measure.errors import BadInput
from measure.latent_report import N_CONTEXTS
from measure.models import check_dtype
from measure.problems import PLAIN_PROMPT, ZOO_SET

Use = Literal["ablation", "steering", "parallelogram"]
Part = Literal["crosscoder", Use]
_LEAST = {
    "layer": 0, "tokens": 1, "epochs": 1, "max_length": 16, "latents": 2, "k": 1, "train_batch": 1,
    "seed": 0, "contexts": 0, "ablation_pairs": 1, "control_draws": 1, "samples": 1,
    "max_new_tokens": 1, "batch_size": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosscoding:
    """Which pair, and a user's choices for its crosscoder; None is the width's default.

    Raises:
        BadInput: a value that cannot be.
    """

    base: str
    distilled: str
    text: str = text_sources.ZOO_CORPUS
    layer: int | None = None  # the block, from 0; None: half depth
    tokens: int | None = None  # harvested
    epochs: int | None = None
    max_length: int = 512
    sparsity: Sparsity = "batchtopk"
    latents: int | None = None
    k: int | None = None
    train_batch: int | None = None
    lr: float | None = None
    seed: int = 49
    contexts: int = N_CONTEXTS  # kept of a latent; its category is told by 50
    skip: tuple[Part, ...] = ()  # without the crosscoder, word pairs alone
    ablation_pairs: int = feature_ablation.N_PAIRS  # contexts of a category
    control_draws: int = 2  # of ablation
    problems: str = ZOO_SET  # steered on
    samples: int = 1
    max_new_tokens: int = 160
    plain_prompt: str = PLAIN_PROMPT
    relations: str | None = None  # .json of word pairs, or a folder of them
    dtype: str = "float32"
    device: str | None = None  # None: the first GPU, else the CPU
    batch_size: int = 32

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            value = getattr(self, field.name)
            if not _is(value, hints[field.name]):
                raise BadInput(f"{field.name} {value!r} cannot be: give {_said(hints[field.name])}")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadInput(f"{name} {value:,} is under {least}: give {least} or more")
        if self.lr is not None and not 0 < self.lr < 1:
            raise BadInput(f"lr {self.lr:g} is no learning rate: give one between 0 and 1")
        check_dtype(self.dtype)


KEYS = {field.name for field in fields(Crosscoding)}


def parse(request: Mapping[str, Any]) -> Crosscoding:
    """The choices of a request, or of a command line; BadInput for the first that cannot be."""
    given: dict[str, Any] = {name: value for name, value in request.items() if value is not None}
    if isinstance(given.get("skip"), list):
        given["skip"] = tuple(given["skip"])
    named: dict[str, Any] = {"base": "", "distilled": "", **given}
    return Crosscoding(**named)


def _is(value: object, hint: Any) -> bool:
    """Whether a value is of a type as this module writes them."""
    if isinstance(hint, UnionType):
        return any(_is(value, one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_is(one, get_args(hint)[0]) for one in value)
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if hint is float else hint)


def _said(hint: Any) -> str:
    """A type as a person says it."""
    if isinstance(hint, UnionType):
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"some of {', '.join(get_args(get_args(hint)[0]))}"
    return {int: "a whole number", float: "a number", str: "text"}[hint]
