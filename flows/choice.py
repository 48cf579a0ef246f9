"""What a user can choose for the measurements of a run."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from measure import backends, prompts, run
from measure.errors import BadInput
from measure.records import PppFit, TauKind
from measure.request import DEFAULT_SEEDS, parse_seeds

Chosen = TypeVar("Chosen", bound=BaseModel)


def validated(kind: type[Chosen], options: Mapping[str, Any]) -> Chosen:
    """The choices of a command line; BadInput for the first that cannot be."""
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-")
        given, why = first["input"], first["msg"].lower()
        raise BadInput(f"{name} {given!r} cannot be: {why}") from error


class Choice(BaseModel):
    """What a user can choose for the measurements of a flow run, as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: tuple[int, ...] = DEFAULT_SEEDS
    tau: TauKind = "resultant"
    ppp_fit: PppFit = "ml"
    bank: str = "bank512"
    canonical: str = "canonical40"
    dtype: str = "float32"
    device: str | None = None  # None: the first GPU, else the CPU
    batch_size: int = 20
    methods: tuple[run.Method, ...] = run.METHODS
    backend: backends.Name = "transformers"
    tensor_parallel_size: int = 1
    quantization: str | None = None
    chat_template: str | None = None  # a file

    def settings(self, device: str) -> run.Settings:
        """The same with the prompt sets loaded."""
        return run.Settings(
            bank=prompts.load(self.bank),
            canonical=prompts.load(self.canonical),
            seeds=parse_seeds(list(self.seeds)),
            tau=self.tau,
            ppp_fit=self.ppp_fit,
            dtype=self.dtype,
            device_kind=device.split(":")[0],
            batch_size=self.batch_size,
            methods=self.methods,
            backend=backends.parse(self.model_dump(include=set(backends.KEYS))),
        )
