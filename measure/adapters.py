"""LoRA adapters applied to their base: W + scale * B A for each weight an adapter names.

Low-Rank Adaptation, arXiv 2106.09685; scale is alpha / r, or alpha / sqrt(r) where the adapter says
`use_rslora`. A model so made is the base's folder with other weights, and its id names both.
"""

import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure.candidates import why_not_applied
from measure.errors import BadInput

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<which>[AB])(?:\.default)?\.weight")


def merge(ref: str, adapter: Path, base: Path, target: Path) -> Path:
    """The folder `target` with the base's files and the adapter added; whole or not there.

    A weight that an adapter changes is stored in fp32, as a small change is lost in fewer bits.

    Raises:
        BadInput: another kind of adapter, or weights that do not fit the base.
    """
    if target.is_dir():
        return target
    try:
        config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"adapter {ref!r} has no {CONFIG} that can be read") from error
    if (why := why_not_applied(config)) is not None:
        raise BadInput(f"adapter {ref!r} cannot be applied: {why}")
    factors = _factors(ref, adapter / WEIGHTS)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=target.parent, prefix=".making-"))
    try:
        for file in base.iterdir():
            if file.suffix != ".safetensors":
                shutil.copyfile(file, made / file.name)
        left = set(factors)
        for file in sorted(base.glob("*.safetensors")):
            left -= _merge_file(ref, file, made / file.name, factors, config)
        if left:
            raise BadInput(
                f"adapter {ref!r} changes {sorted(left)[0]!r}, which its base does not have "
                f"({len(left)} of {len(factors)}): give the base it was trained on"
            )
        os.replace(made, target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return target


def _factors(ref: str, path: Path) -> dict[str, dict[str, Any]]:
    """Module -> its A and B."""
    from safetensors.torch import load_file

    if not path.is_file():
        raise BadInput(f"adapter {ref!r} has no {WEIGHTS}: give one stored as safetensors")
    found: dict[str, dict[str, Any]] = {}
    for name, tensor in load_file(path).items():
        match = _FACTOR.fullmatch(name.removeprefix(_PREFIX))
        if match is None:
            raise BadInput(
                f"adapter {ref!r} holds {name!r}, which is no low-rank factor of a matrix: "
                "it cannot be applied here"
            )
        found.setdefault(match["module"], {})[match["which"]] = tensor
    torn = [module for module, pair in found.items() if len(pair) != 2]
    if torn or not found:
        raise BadInput(f"adapter {ref!r} lacks a factor of {torn[0] if torn else 'every weight'!r}")
    return found


def _merge_file(
    ref: str,
    source: Path,
    target: Path,
    factors: Mapping[str, Mapping[str, Any]],
    config: Mapping[str, Any],
) -> set[str]:
    """Write one weight file with what the adapter adds to it; the modules it added to."""
    from safetensors.torch import load_file, save_file

    tensors: dict[str, Any] = load_file(source)
    merged: set[str] = set()
    for module, pair in factors.items():
        name = f"{module}.weight"
        if name not in tensors:  # a base stored without the name of its decoder
            name = name.partition(".")[2]
        if name not in tensors:
            continue
        delta = _scale(module, config, pair["A"].shape[0]) * (pair["B"].float() @ pair["A"].float())
        if config.get("fan_in_fan_out"):  # GPT-2 stores its matrices the other way round
            delta = delta.T
        if delta.shape != tensors[name].shape:
            raise BadInput(
                f"adapter {ref!r} changes {module!r} by a matrix of {tuple(delta.shape)}, its base "
                f"has {tuple(tensors[name].shape)}: give the base it was trained on"
            )
        tensors[name] = tensors[name].float() + delta
        merged.add(module)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, target, metadata={"format": "pt"})
    return merged


def _scale(module: str, config: Mapping[str, Any], rank: int) -> float:
    alpha = _of_module(module, config.get("alpha_pattern"), config.get("lora_alpha", 8))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _of_module(module: str, pattern: Mapping[str, Any] | None, default: Any) -> float:
    """The value of the first pattern that ends the module's name, as peft reads them."""
    for key, value in (pattern or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return float(value)
    return float(default)
