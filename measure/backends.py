"""What runs a model: transformers, or vLLM for what needs no more than texts.

vLLM generates with log probabilities and scores given texts; states, gradients and edited weights
it does not give, so measurements that read those are of transformers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from measure import models
from measure.errors import BadInput
from measure.models import CausalLM
from measure.request import sha256_of
from measure.sources import Source
from measure.text_model import TextModel

Name = Literal["transformers", "vllm"]
NAMES: tuple[Name, ...] = get_args(Name)
# Tokens that vLLM runs through a model at once. Like the batch size it shapes the batches, so it is
# fixed; of the widest vocabularies 2,048 rows of fp32 logits are 1 GB.
MAX_BATCHED_TOKENS = 2_048
INSTALL = (
    "install `cicatrix[vllm]` where there is a GPU, or see `make test-vllm` for a CPU; or leave "
    "the backend out"
)


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend with its options: all that of it can change a number."""

    name: Name = "transformers"
    tensor_parallel_size: int = 1
    quantization: str | None = None  # as vLLM calls it; None: what the configuration says
    chat_template: str | None = None  # in place of the tokenizer's, the text itself

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise BadInput(f"backend {self.name!r} is none of {', '.join(NAMES)}")
        if self.tensor_parallel_size < 1:
            raise BadInput(
                f"tensor parallelism over {self.tensor_parallel_size} devices: give at least 1"
            )
        passed = (self.tensor_parallel_size, self.quantization, self.chat_template)
        if self.name != "vllm" and passed != (1, None, None):
            raise BadInput(
                "tensor parallelism, quantisation and a chat template are options of the backend "
                "vllm: give it as well, or leave them out"
            )

    def options(self) -> dict[str, object]:
        """What of it names a measurement beside its name."""
        if self.name != "vllm":
            return {}
        template = self.chat_template
        return {
            "tensor_parallel_size": self.tensor_parallel_size,
            "quantization": self.quantization,
            "chat_template_sha256": None if template is None else sha256_of(template),
            "max_batched_tokens": MAX_BATCHED_TOKENS,
        }

    def refuse_missing(self) -> None:
        """Raises BadInput where it is asked for and not installed."""
        if self.name == "vllm" and find_spec("vllm") is None:
            raise BadInput(f"the backend vllm is not installed here: {INSTALL}")

    def load(self, source: Source, *, device: str, dtype: str, batch_size: int) -> TextModel:
        """A model that this backend runs, in batches of at most `batch_size` texts.

        Raises:
            BadInput: the model cannot be measured by it; vLLM is not installed.
        """
        if self.name != "vllm":
            return models.load(source, device=device, dtype=dtype)
        self.refuse_missing()
        from measure import vllm_model  # only who asks for it pays for it

        return vllm_model.load(source, self, device=device, dtype=dtype, batch_size=batch_size)


TRANSFORMERS = Backend()


def parse(given: Mapping[str, Any]) -> Backend:
    """The backend that a request asks for by its `KEYS`.

    Raises:
        BadInput: the first of them that cannot be; vLLM is not installed.
    """
    size = given.get("tensor_parallel_size", 1)
    if not isinstance(size, int) or isinstance(size, bool):
        raise BadInput(f"tensor_parallel_size {size!r} is no whole number: give such as 2")
    template = given.get("chat_template")
    quantization = given.get("quantization")
    backend = Backend(
        given.get("backend", "transformers"),
        size,
        None if quantization is None else str(quantization),
        None if template is None else _text_of(Path(str(template))),
    )
    backend.refuse_missing()
    return backend


KEYS = ("backend", "tensor_parallel_size", "quantization", "chat_template")


def with_hooks(model: TextModel, method: str) -> CausalLM:
    """The model as one whose states can be read.

    Raises:
        BadInput: its backend gives none.
    """
    if not isinstance(model, CausalLM):
        raise BadInput(hooks_needed(method))
    return model


def hooks_needed(method: str) -> str:
    """Why vLLM cannot measure by this method, and what to do."""
    return (
        f"{method} reads states, gradients or weights, which the backend vllm does not give: "
        "measure it by the backend transformers, or ask for `template` alone"
    )


def _text_of(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"chat template {str(path)!r} cannot be read ({error}): give a Jinja file"
        ) from error
