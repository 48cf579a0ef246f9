"""What a repository of the hub is, told without its weights: measurable or not, and why.

Teachers named in cards, data sets and names are claims: nothing is measured by them.
"""

import hashlib
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from measure.hub import Relation, Repository, leaves_its_folder

State = Literal["seen", "queued", "gated", "too large", "unsupported", "no safetensors"]
ReadIn = Literal["card", "dataset", "name", "tag"]
NOTE_CHARS = 600  # of a card's text, what is kept

# Names by which teachers go, in names of models and data sets and in cards.
TEACHERS: tuple[tuple[str, str], ...] = (
    ("DeepSeek-R1", r"deepseek[-_ ]?r1|(?<![a-z0-9])r1(?![0-9])"),
    ("DeepSeek-V3", r"deepseek[-_ ]?v3"),
    ("QwQ-32B", r"qwq"),
    ("GPT-4", r"gpt[-_ ]?4(?:o|\.\d)?(?![0-9])"),
    ("GPT-5", r"gpt[-_ ]?5"),
    ("gpt-oss", r"gpt[-_ ]?oss"),
    ("OpenAI o-series", r"(?<![a-z0-9])o[134](?:[-_ ]?(?:mini|preview|pro))?(?![a-z0-9])"),
    ("Claude", r"claude|(?<![a-z])(?:opus|sonnet)(?![a-z])"),
    ("Gemini", r"gemini"),
    ("Kimi", r"kimi"),
    ("Grok", r"(?<![a-z])grok"),
)
# In running text a teacher counts only beside words that say that it taught.
TAUGHT = re.compile(
    r"distill|teacher|generated (?:by|with|from|using)|outputs? (?:of|from)|traces? (?:of|from)|"
    r"synthetic|trained on .{0,60}(?:responses|completions|reasoning)|sampled from",
    re.IGNORECASE,
)
NAMED_AFTER = re.compile(
    r"distill?ed (?:from|by)\s+`?\[?(?P<name>[\w.-]+/[\w.-]*\w)", re.IGNORECASE | re.ASCII
)
# What transformers needs to load weights quantised so; without it they cannot be measured here.
LOADERS = {
    "bitsandbytes": "bitsandbytes",
    "gptq": "gptqmodel",
    "awq": "gptqmodel",
    "compressed-tensors": "compressed_tensors",
    "torchao": "torchao",
    "quanto": "optimum.quanto",
    "aqlm": "aqlm",
    "hqq": "hqq",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is measured at most, and under which licences."""

    max_params: int
    max_download_bytes: int
    licences: tuple[str, ...] | None = None  # None: any


@dataclass(frozen=True, slots=True)
class Claim:
    """A teacher that somebody names."""

    teacher: str
    read_in: ReadIn
    quote: str


def state_of(
    found: Repository,
    relation: Relation,
    config: Mapping[str, Any] | None,
    limits: Limits,
    *,
    may_read: bool,
) -> tuple[State, str | None]:
    """Whether it can be measured, and if not, why; `config` is an adapter's where it is one."""
    names = [file.name for file in found.files]
    bad = [name for name in names if leaves_its_folder(name)]
    if bad:
        return "unsupported", f"it names the file {bad[0]!r}, outside of its folder"
    if found.is_disabled:
        return "unsupported", "the hub has disabled it"
    if not may_read:
        return "gated", "its terms have to be accepted on the hub, and HF_TOKEN set"
    if not any(file.name.endswith(".safetensors") for file in found.model_files()):
        kinds = sorted({name.rsplit(".", 1)[-1] for name in names if "." in name})
        return "no safetensors", f"it holds {', '.join(kinds[:6]) or 'no files'}"
    size = sum(file.size for file in found.model_files())
    if size > limits.max_download_bytes:
        return "too large", f"{size / 1e9:.1f} GB, over {limits.max_download_bytes / 1e9:.1f} GB"
    n_params = parameters_of(found, config)
    if n_params is not None and n_params > limits.max_params:
        return "too large", f"{n_params / 1e9:.1f} B parameters, over {limits.max_params / 1e9:g} B"
    if (why := _unsupported(relation, config)) is not None:
        return "unsupported", why
    if limits.licences is not None and found.licence not in limits.licences:
        return "seen", f"its licence is {found.licence or 'not named'}, not on the watchlist"
    return "queued", None


def _unsupported(relation: Relation, config: Mapping[str, Any] | None) -> str | None:
    name = "adapter_config.json" if relation == "adapter" else "config.json"
    if config is None:
        return f"it has no {name} that can be read"
    if relation == "adapter":
        return why_not_applied(config)
    if config.get("auto_map"):
        return "it brings its own code (`auto_map`), which is never run"
    architectures = config.get("architectures") or []
    if architectures and not any(
        str(one).endswith(("ForCausalLM", "LMHeadModel")) for one in architectures
    ):
        return f"it is {architectures[0]!r}, no decoder that continues a text"
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method is None:
        return None
    needed = LOADERS.get(str(method))
    if needed is None:
        return f"its weights are quantised by {str(method)!r}, which nothing here can load"
    if importlib.util.find_spec(needed.split(".")[0]) is None:
        return f"its weights are quantised by {method!r}: needs the package {needed!r}"
    return None


def why_not_applied(config: Mapping[str, Any]) -> str | None:
    """Why an adapter of that adapter_config.json cannot be applied to its base; None if it can."""
    kind = config.get("peft_type")
    if kind != "LORA":
        return f"it is an adapter of type {kind!r}; LORA alone is applied"
    refused = {
        "use_dora": "DoRA",
        "modules_to_save": "whole modules beside the low ranks",
        "trainable_token_indices": "tokens of its own",
        "alora_invocation_tokens": "activation by tokens",
    }
    for key, what in refused.items():
        if config.get(key):
            return f"its adapter has {what} (`{key}`), which is not applied here"
    if config.get("bias", "none") != "none":
        return "its adapter trains biases, which is not applied here"
    return None


def parameters_of(found: Repository, config: Mapping[str, Any] | None) -> int | None:
    """Parameters as the hub counted them, else by bytes of the stored type; None if unknown."""
    if found.n_params is not None:
        return found.n_params
    n_bytes = sum(file.size for file in found.model_files() if file.name.endswith(".safetensors"))
    if not n_bytes or config is None or config.get("quantization_config"):
        return None
    dtype = str(config.get("torch_dtype") or config.get("dtype") or "float16")
    return n_bytes // (4 if "32" in dtype else 2)


def quantisation_of(config: Mapping[str, Any] | None) -> str | None:
    """How the stored weights are quantised, e.g. 'gptq 4-bit'; None if they are not."""
    said = (config or {}).get("quantization_config")
    if not isinstance(said, Mapping):
        return None
    bits = said.get("bits")
    if bits is None:
        bits = 4 if said.get("load_in_4bit") else 8 if said.get("load_in_8bit") else None
    method = str(said.get("quant_method") or "quantised")
    return method if bits is None else f"{method} {bits}-bit"


def files_sha256(found: Repository) -> str | None:
    """The same for repositories of the same weights; None where a hash is not known."""
    lines = [
        f"{file.name} {file.sha256}"
        for file in sorted(found.model_files(), key=lambda file: file.name)
        if file.name.endswith(".safetensors")
    ]
    if not lines or any(line.endswith(" None") for line in lines):
        return None
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def card_body(card: str | None) -> str | None:
    """The text of a card without its front matter; None where there is none."""
    text = re.sub(r"\A\ufeff?---\n.*?\n---\n?", "", card or "", count=1, flags=re.DOTALL).strip()
    return text or None


def card_note(card: str | None) -> str | None:
    """The beginning of a card's text in one line."""
    body = card_body(card)
    return None if body is None else " ".join(body.split())[:NOTE_CHARS]


def claims(
    repo: str, tags: Sequence[str], datasets: Sequence[str], card: str | None
) -> list[Claim]:
    """The teachers that name, tags, data sets and card speak of; each once by place."""
    found: dict[tuple[str, str], Claim] = {}
    sources: list[tuple[ReadIn, str]] = [("name", repo.rpartition("/")[2])]
    for one in datasets:
        sources.append(("dataset", one))
    for one in tags:
        if not one.startswith(("base_model:", "dataset:")):
            sources.append(("tag", one))
    for read_in, text in sources:
        for teacher in _named(text):
            found.setdefault((teacher, read_in), Claim(teacher, read_in, text[:200]))
    for sentence in _sentences(card_body(card) or ""):
        for teacher in [*(m["name"] for m in NAMED_AFTER.finditer(sentence)), *_named(sentence)]:
            if TAUGHT.search(sentence):
                found.setdefault((teacher, "card"), Claim(teacher, "card", sentence[:200]))
    return list(found.values())


def _named(text: str) -> Iterator[str]:
    for teacher, pattern in TEACHERS:
        if re.search(pattern, text, re.IGNORECASE):
            yield teacher


def _sentences(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"(?<=[.!?])\s+|\n+", text) if one.strip()]
