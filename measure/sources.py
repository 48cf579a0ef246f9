"""Where a model comes from: a folder, a GGUF file, the zoo or the hub, checked before it is loaded.

Nothing here imports torch. A `Source` is a folder on this disk whose files passed the checks that
need no weights in memory: safetensors only, no code, whole files, a language
model.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import adapters, hub, zoo
from measure.errors import BadInput
from measure.hashing import file_sha256
from measure.records import SourceKind

# Files that make a model what it is; the hash of a local model runs over those that exist.
IDENTITY_PATTERNS = ("*.safetensors", "*.json", "*.model", "merges.txt", "*.gguf")
PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
ZOO_PREFIX = "zoo:"

MASKED = frozenset({"BertForMaskedLM", "DistilBertForMaskedLM"})

# transformers' model_type -> the name its family goes by. Others keep their model_type.
FAMILIES = {
    "llama": "Llama",
    "qwen2": "Qwen",
    "qwen3": "Qwen",
    "mistral": "Mistral",
    "ministral": "Mistral",
    "gemma2": "Gemma",
    "gemma3_text": "Gemma",
    "gpt2": "GPT-2",
    "bert": "BERT",
    "distilbert": "BERT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model's files on this disk, checked, and the id they have."""

    ref: str  # as the user gave it
    kind: SourceKind
    label: str
    model_id: str
    folder: Path
    gguf_file: str | None = None
    n_bytes: int = 0  # of the weight files
    is_masked: bool = False  # fills masks in a text, and continues none


def find(ref: str, *, may_be_masked: bool = False) -> Source:
    """The checked source of a model reference; a hub model is downloaded at its resolved commit.

    Raises:
        BadInput: nothing usable is there; a masked language model, unless it `may_be_masked`.
    """
    source = _find(ref)
    if source.is_masked and not may_be_masked:
        architecture = read_config(ref, source.folder)["architectures"][0]
        raise _no_decoder(ref, architecture)
    return source


def _find(ref: str) -> Source:
    if ref.startswith(ZOO_PREFIX):
        return _zoo_source(ref)
    path = Path(ref).expanduser()
    if (pair := adapted(ref)) is not None:
        return _adapter_source(ref, *pair)
    if path.suffix == ".gguf":
        return _gguf_source(ref, path)
    if path.is_dir():
        return _folder_source(ref, path, kind="local", label=path.resolve().name)
    if (match := hub.match(ref)) is None and ("/" in ref or ref.startswith((".", "~"))):
        raise BadInput(
            f"model {ref!r} is no folder on this machine: give a folder with config.json and "
            "safetensors, a .gguf file, `zoo:NAME`, or a hub id such as `org/name@revision`"
        )
    if match is not None:
        return _hub_source(ref)
    raise BadInput(
        f"model {ref!r} is neither a folder, a .gguf file, `zoo:NAME` nor a hub id: "
        "a hub id looks like `org/name` or `org/name@revision`"
    )


def model_id_of(ref: str, *, may_be_masked: bool = False) -> str:
    """The id a model has, without downloading it: of a hub model only the commit is asked for."""
    if (pair := adapted(ref)) is not None:
        return "+".join(model_id_of(one) for one in pair)
    if not is_hub(ref):
        return find(ref, may_be_masked=may_be_masked).model_id
    repo, revision = hub.split(ref)
    # A whole commit is the id already; whether the hub still has it is seen when files are fetched.
    return ref if hub.is_commit(revision) else f"{repo}@{hub.commit_of(ref)}"


def adapted(ref: str) -> tuple[str, str] | None:
    """Adapter and base of a reference such as `org/adapter@commit+org/base@commit`, else None."""
    adapter, plus, base = ref.partition("+")
    is_pair = bool(plus) and hub.match(adapter) is not None and hub.match(base) is not None
    return (adapter, base) if is_pair and not Path(ref).exists() else None


def _adapter_source(ref: str, adapter: str, base: str) -> Source:
    """An adapter of the hub, applied to its base in a folder of the cache."""
    of_base = _hub_source(base)
    found = hub.repository(adapter)
    _refuse_without_safetensors(adapter, [file.name for file in found.files])
    model_id = f"{found.repo}@{found.sha}+{of_base.model_id}"
    name = hashlib.sha256(model_id.encode()).hexdigest()
    folder = adapters.merge(
        ref, hub.fetch(adapter, found.sha), of_base.folder, hub.merged_dir() / name
    )
    weights = _check_folder(ref, folder)
    return Source(
        ref=ref,
        kind="hub",
        label=found.repo,
        model_id=model_id,
        folder=folder,
        n_bytes=sum(file.stat().st_size for file in weights),
    )


def _zoo_source(ref: str) -> Source:
    try:
        member = zoo.member(ref.removeprefix(ZOO_PREFIX))
    except KeyError as error:
        raise BadInput(f"model {ref!r}: {error.args[0]}") from error
    if not member.path.exists():
        raise BadInput(
            f"model {ref!r} ships as records alone: `cicatrix zoo build --only {member.name}` "
            "makes its weights"
        )
    return _folder_source(ref, member.path, kind="zoo", label=member.name)


def _gguf_source(ref: str, path: Path) -> Source:
    if not path.is_file():
        raise BadInput(f"GGUF file {ref!r} does not exist: give the path of a .gguf file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise BadInput(
                f"file {ref!r} does not begin with the GGUF magic number: "
                "it is damaged or another format; download it again"
            )
    return Source(
        ref=ref,
        kind="gguf",
        label=path.stem,
        model_id=_digest([path]),
        folder=path.parent,
        gguf_file=path.name,
        n_bytes=path.stat().st_size,
    )


def _folder_source(ref: str, folder: Path, *, kind: SourceKind, label: str) -> Source:
    weights = _check_folder(ref, folder)
    files = {file for pattern in IDENTITY_PATTERNS for file in folder.glob(pattern)}
    # Notes about a model (lineage, training logs) are not what it is.
    identity = [file for file in files if _is_part_of_model(file)]
    return Source(
        ref=ref,
        kind=kind,
        label=label,
        model_id=_digest(identity),
        folder=folder,
        n_bytes=sum(file.stat().st_size for file in weights),
        is_masked=_is_masked(read_config(ref, folder)),
    )


def _hub_source(ref: str) -> Source:
    """Resolve the revision to a commit once, and keep the commit: a branch moves."""
    found = hub.repository(ref)
    _refuse_without_safetensors(ref, [file.name for file in found.files])
    folder = hub.fetch(ref, found.sha)
    weights = _check_folder(ref, folder)
    return Source(
        ref=ref,
        kind="hub",
        label=found.repo,
        model_id=f"{found.repo}@{found.sha}",
        folder=folder,
        n_bytes=sum(file.stat().st_size for file in weights),
        is_masked=_is_masked(read_config(ref, folder)),
    )


def _check_folder(ref: str, folder: Path) -> list[Path]:
    """Its safetensors files, if all can be read whole and the configuration is a decoder's."""
    _refuse_without_safetensors(ref, [file.name for file in folder.iterdir()])
    weights = sorted(folder.glob("*.safetensors"))
    config = read_config(ref, folder)
    _refuse_code(ref, folder, config)
    _refuse_encoder(ref, config)
    for file in weights:
        _refuse_truncated(ref, file)
    index = folder / "model.safetensors.index.json"
    if index.exists():
        weight_map: dict[str, str] = _read_json(ref, index).get("weight_map", {})
        shards = set(weight_map.values())
        missing = sorted(shards - {file.name for file in weights})
        if missing:
            raise BadInput(
                f"model {ref!r} lacks {missing[0]!r}, which its index names: "
                f"{len(missing)} of {len(shards)} shards are missing; download them again"
            )
    return weights


def read_config(ref: str, folder: Path) -> dict[str, Any]:
    """The model's config.json as a dict."""
    path = folder / "config.json"
    if not path.exists():
        raise BadInput(f"model {ref!r} has no config.json: give a folder in transformers' format")
    return _read_json(ref, path)


def _read_json(ref: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"model {ref!r}: {path.name!r} cannot be read ({error.strerror}): check its rights"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"model {ref!r}: {path.name!r} is no valid JSON ({error}): download it again"
        ) from error
    if not isinstance(value, dict):
        raise BadInput(f"model {ref!r}: {path.name!r} holds no JSON object: download it again")
    return value


def _refuse_without_safetensors(ref: str, names: list[str]) -> None:
    if any(name.endswith(".safetensors") for name in names):
        return
    pickles = [name for name in names if Path(name).suffix in PICKLE_SUFFIXES]
    if pickles:
        raise BadInput(
            f"model {ref!r} holds only pickle checkpoints ({pickles[0]!r}), which can run code "
            "when loaded: convert it to safetensors first"
        )
    raise BadInput(
        f"model {ref!r} holds no safetensors file: give a folder with config.json, "
        "*.safetensors and tokenizer.json"
    )


def _refuse_code(ref: str, folder: Path, config: Mapping[str, object]) -> None:
    carriers = {"config.json": config}
    tokenizer_config = folder / "tokenizer_config.json"
    if tokenizer_config.exists():
        carriers["tokenizer_config.json"] = _read_json(ref, tokenizer_config)
    for name, content in carriers.items():
        if content.get("auto_map"):
            raise BadInput(
                f"model {ref!r} brings its own code (`auto_map` in {name}), which is never run "
                "here: give a model of an architecture that transformers itself knows"
            )


def _refuse_encoder(ref: str, config: Mapping[str, object]) -> None:
    architectures = config.get("architectures") or []
    if not isinstance(architectures, list) or not architectures:
        return  # the loader decides by model_type
    if any(str(name).endswith(("ForCausalLM", "LMHeadModel")) for name in architectures) and not (
        config.get("is_encoder_decoder") or _is_bidirectional(config)
    ):
        return
    if not _is_masked(config):
        raise _no_decoder(ref, architectures[0])


def _no_decoder(ref: str, architecture: str) -> BadInput:
    return BadInput(
        f"model {ref!r} is {architecture!r}, no decoder that continues a text: "
        "give a causal language model (`...ForCausalLM`)"
    )


def _is_masked(config: Mapping[str, object]) -> bool:
    """Whether it is a masked language model of a kind that `cicatrix circuits` knows."""
    architectures = config.get("architectures") or []
    return isinstance(architectures, list) and any(name in MASKED for name in architectures)


def _is_bidirectional(config: Mapping[str, object]) -> bool:
    """BERT's LMHead classes continue text only when the configuration says `is_decoder`."""
    return str(config.get("model_type")) in {"bert", "roberta", "electra"} and not config.get(
        "is_decoder"
    )


def safetensors_header(path: Path) -> dict[str, dict[str, Any]]:
    """Name -> {dtype, shape, data_offsets} of a safetensors file, without reading any weight.

    Raises:
        ValueError: the header is damaged, or the file is shorter than its header says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise ValueError(f"{size} bytes, too short for a header")
        (length,) = struct.unpack("<Q", prefix)
        if length > size - 8:
            raise ValueError(f"a header of {length:,} bytes in a file of {size:,}")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    wanted = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if wanted != size:
        raise ValueError(f"{size:,} bytes where its header wants {wanted:,}")
    return header


def _refuse_truncated(ref: str, file: Path) -> None:
    try:
        safetensors_header(file)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"model {ref!r}: {file.name!r} is damaged or cut short ({error}): download it again"
        ) from error


@dataclass(frozen=True, slots=True)
class Size:
    """What a model will take, known before any of it is loaded or downloaded."""

    n_params: int
    download_bytes: int


def size_of(ref: str) -> Size:
    """Parameters and bytes still to fetch; a hub model is asked for, not downloaded."""
    if (pair := adapted(ref)) is not None:
        own, base = (_hub_size(one) for one in pair)
        return Size(base.n_params, own.download_bytes + base.download_bytes)
    if is_hub(ref):
        return _hub_size(ref)
    source = _find(ref)
    if source.gguf_file is not None:
        return Size(2 * source.n_bytes, 0)  # blocks of about 4 bits
    return Size(_count_parameters(source), 0)


def is_hub(ref: str) -> bool:
    """Whether a reference can only mean a repository of the hub."""
    path = Path(ref).expanduser()
    is_local = ref.startswith(ZOO_PREFIX) or path.suffix == ".gguf" or path.exists()
    return not is_local and (hub.match(ref) is not None or adapted(ref) is not None)


def _hub_size(ref: str) -> Size:
    found = hub.repository(ref)
    n_bytes = sum(file.size for file in found.files if file.name.endswith(".safetensors"))
    return Size(found.n_params or n_bytes // 2, n_bytes)


def _count_parameters(source: Source) -> int:
    total = 0
    for file in source.folder.glob("*.safetensors"):
        for entry in safetensors_header(file).values():
            n = 1
            for extent in entry["shape"]:
                n *= extent
            total += n
    return total


def _is_part_of_model(file: Path) -> bool:
    return file.suffix != ".json" or file.name.startswith(
        ("config", "generation_config", "tokenizer", "vocab", "special_tokens", "added_tokens")
    )


def _digest(files: list[Path]) -> str:
    """`sha256:<hex>` over the sorted (name, sha256) of the files, not the folder's name."""
    lines = sorted(f"{file.name} {file_sha256(file)}" for file in files)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()
