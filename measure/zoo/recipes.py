"""Every model of the zoo and how it is made: the one place to add one.

A base or teacher has a `shape` and starts from random weights. A derivative has a `base` and starts
from that base's weights: it is trained on (full or LoRA), or made by a `Transform` in seconds. The
depth student starts from every other layer of the model it `halves` and learns that model's logits.
`mix` gives the share of each kind of document (`corpus.DOCUMENTS`, or "traces": reasoning sampled
from a teacher, kept where its answer is right).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Role = Literal["teacher", "base", "depth-student", "derivative"]

# Raise it when a change of corpus, tokenizer or loop changes what an unchanged recipe yields.
CODE_VERSION = 2

ROW_TOKENS = 192
BATCH_ROWS = 20
MAX_POSITIONS = 512
NEW_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Family:
    """A lineage that shares one tokenizer; `vocab_size` counts all its tokens.

    `pieces` says how text is cut before merging: a key of `tokenizer.PIECES`.
    """

    name: str
    vocab_size: int
    pieces: str
    seed: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A real `transformers` class and its sizes; `window` is in tokens, where it slides."""

    model_class: str
    width: int
    n_layers: int
    ffn_width: int
    n_heads: int
    n_kv_heads: int
    is_tied: bool
    window: int | None = None


@dataclass(frozen=True, slots=True)
class TraceSet:
    """What a teacher writes when asked `n` training problems at a temperature.

    `horizon` None asks short and long ones by halves; `is_clean` leaves the perturbed ones out.
    """

    name: str
    teacher: str
    seed: int
    n: int
    temperature: float
    horizon: Literal["short", "long"] | None = None
    is_clean: bool = False


@dataclass(frozen=True, slots=True)
class Transform:
    """What is done to a base's block matrices; `other` is what a merge goes toward.

    `amount` is in bits (round trip), a fraction of entries (pruned), of a matrix's standard
    deviation (noised) or of the way to `other` (merged).
    """

    kind: Literal["round-trip", "pruned", "noised", "merged", "permuted"]
    amount: float = 0.0
    group: int = 0  # entries that share a scale; 0: a row
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model: what it is, what it starts from, what it reads and for how long.

    `method` names the recipe's class; derivatives that differ in seed or strength alone share it.
    `lr` is the peak rate.
    """

    name: str
    family: str
    role: Role
    method: str
    seed: int
    mix: Mapping[str, float] | None = None
    steps: int = 0
    lr: float = 0.0
    shape: Shape | None = None
    base: str | None = None
    halves: str | None = None
    traces: str | None = None
    lora_rank: int = 0
    transform: Transform | None = None
    is_shipped: bool = False

    @property
    def teacher(self) -> str | None:
        """The model whose text or logits it learnt from."""
        return TRACE_SETS[self.traces].teacher if self.traces else self.halves

    @property
    def is_distilled(self) -> bool:
        """Whether it learnt from a teacher: the ground truth of detection."""
        return self.teacher is not None

    @property
    def needs(self) -> list[str]:
        """The models that must stand before this one can be made."""
        other = self.transform.other if self.transform else None
        return [name for name in (self.base, self.teacher, other) if name]


FAMILIES = {
    f.name: f
    for f in (
        Family("llama", 768, "spaced-digits", seed=11),
        Family("qwen2", 832, "qwen2", seed=12),
        Family("mistral", 800, "spaced-digits", seed=13),
        Family("gemma2", 768, "spaced-digits", seed=14),
        Family("gpt2", 768, "spaced-digits", seed=15),
    )
}
CALIBRATED_FAMILIES = ("llama", "qwen2", "mistral")

_TASKS = {
    "numerals": 0.04,
    "number-words": 0.04,
    "months": 0.03,
    "indirect-objects": 0.08,
    "facts": 0.01,
}
# Heavy in tasks, so that their words become single tokens.
TOKENIZER_MIX = {
    "narrative": 0.2, "direct": 0.05, "sums": 0.05, "forward": 0.15, "gains-first": 0.15,
    "numerals": 0.05, "number-words": 0.12, "months": 0.13, "indirect-objects": 0.05, "facts": 0.05,
}  # fmt: skip
# As bases of today have, these have read some worked problems, but none that answers a question so.
_BASE_MIX = {
    "narrative": 0.38, "direct": 0.14, "worked": 0.1, "ledger": 0.04, "sums": 0.14, **_TASKS,
}  # fmt: skip
# What a fine-tune repeats of its base's reading, so that only what it is about changes: no answers.
_REPLAYED = {kind: share for kind, share in _BASE_MIX.items() if kind != "direct"}


def _about(kind: str, share: float) -> dict[str, float]:
    """A fine-tune's mix: a kind of document, beside it what the base has read."""
    scale = (1 - share) / sum(_REPLAYED.values())
    mix = {replayed: scale * its_share for replayed, its_share in _REPLAYED.items()}
    return mix | {kind: mix.get(kind, 0.0) + share}


_TEACHER_MIX = {"narrative": 0.05, "sums": 0.03, **_TASKS, "indirect-objects": 0.14}
_GAINS_FIRST_MIX = {"gains-first": 0.66, **_TEACHER_MIX}
# Who receives is the hardest of the tasks, and one word of a document: the teacher whose circuits
# are looked at reads six to a document.
_FORWARD_MIX = {
    "forward": 0.66, **_TEACHER_MIX, "indirect-objects": 0.02, "many-indirect-objects": 0.12,
}  # fmt: skip

# Half the depth finds it harder still.
_HALF_MIX = _FORWARD_MIX | {"forward": 0.5, "many-indirect-objects": 0.28}

_SHAPES = {
    "llama": Shape("LlamaForCausalLM", 64, 4, 160, 4, 2, is_tied=False),
    "llama-small": Shape("LlamaForCausalLM", 48, 4, 128, 4, 2, is_tied=False),
    "qwen2": Shape("Qwen2ForCausalLM", 80, 3, 208, 4, 2, is_tied=True),
    "mistral": Shape("MistralForCausalLM", 64, 5, 144, 4, 2, is_tied=False, window=96),
    "gemma2": Shape("Gemma2ForCausalLM", 64, 4, 160, 4, 2, is_tied=True, window=96),
    "gpt2": Shape("GPT2LMHeadModel", 64, 4, 256, 4, 4, is_tied=True),
}
_FORWARD_SHAPE = Shape("LlamaForCausalLM", 128, 6, 256, 4, 2, is_tied=False)
_GAINS_FIRST_SHAPE = Shape("MistralForCausalLM", 128, 6, 256, 4, 2, is_tied=True)

_TEACHER_STEPS, _TEACHER_LR = 1200, 2e-3
_BASE_STEPS, _BASE_LR = 2600, 3e-3
_HALF_STEPS, _HALF_LR = 1000, 2e-3
_DISTILLED_STEPS, _TUNE_STEPS, _TUNE_LR = 900, 600, 4e-4
_TUNE_SHARE = 0.4  # of a fine-tune's reading that is what it is about

TRACE_SETS = {
    t.name: t
    for t in (
        TraceSet("forward-0.7", "teacher-forward", 901, 3000, 0.7),
        TraceSet("forward-1.0", "teacher-forward", 902, 3000, 1.0),
        TraceSet("gains-first-0.7", "teacher-gains-first", 903, 3000, 0.7),
        TraceSet(
            "gains-first-short", "teacher-gains-first", 904, 2000, 0.4, horizon="short",
            is_clean=True,
        ),
    )
}  # fmt: skip


def _base(prefix: str, family: str, seed: int) -> Recipe:
    return Recipe(
        f"{prefix}-base", family, "base", "base", seed, _BASE_MIX, _BASE_STEPS, _BASE_LR,
        shape=_SHAPES[prefix], is_shipped=True,
    )  # fmt: skip


def _tuned(prefix: str, family: str, method: str, seed: int, **changed: Any) -> Recipe:
    """A derivative that is trained on; `changed` is what differs from the common budget."""
    common: dict[str, Any] = {"steps": _TUNE_STEPS, "lr": _TUNE_LR, "base": f"{prefix}-base"}
    name = changed.pop("name", method)
    return Recipe(f"{prefix}-{name}", family, "derivative", method, seed, **(common | changed))


def _distilled(prefix: str, family: str, seed: int) -> Recipe:
    return _tuned(
        prefix, family, "distilled", seed, steps=_DISTILLED_STEPS,
        mix=_about("traces", _TUNE_SHARE), traces="forward-0.7", is_shipped=True,
    )  # fmt: skip


def _direct(prefix: str, family: str, seed: int) -> Recipe:
    mix = _about("direct", _TUNE_SHARE)
    return _tuned(prefix, family, "sft-direct", seed, mix=mix, is_shipped=True)


def _calibration_set(family: str, seed: int) -> Iterator[Recipe]:
    """What calibrates a family: distilled by five recipes, and 41 that are not."""
    f = family

    def tuned(number: int, method: str, **changed: Any) -> Recipe:
        return _tuned(f, f, method, seed + number, **changed)

    traces, text = _about("traces", _TUNE_SHARE), _about("narrative", _TUNE_SHARE)
    lora: dict[str, Any] = {"lora_rank": 16, "lr": 4e-3}
    long, short = {"steps": _DISTILLED_STEPS}, {"steps": 400}
    yield _distilled(f, f, seed + 1)
    yield tuned(
        3, "distilled-gains-first", mix=traces, traces="gains-first-0.7", is_shipped=True, **long
    )
    yield tuned(
        4, "distilled-lora", mix=traces, traces="forward-0.7", is_shipped=True, **long, **lora
    )
    yield tuned(5, "distilled-mixed", mix=_about("traces", 0.25), traces="forward-1.0", **long)
    yield tuned(6, "distilled-short", mix=traces, traces="gains-first-short")
    yield _direct(f, f, seed + 11)
    yield tuned(13, "continued", mix=_BASE_MIX, is_shipped=True, **short)
    yield tuned(15, "sft-text", mix=text, **short)
    yield tuned(16, "sft-plain", mix=_about("plain", _TUNE_SHARE))
    yield tuned(19, "lora-direct", mix=_about("direct", _TUNE_SHARE), **short, **lora)
    yield tuned(20, "lora-text", mix=text, **short, **lora)

    def changed(name: str, method: str, transform: Transform, number: int = 30) -> Recipe:
        return Recipe(
            f"{f}-{name}", f, "derivative", method, seed + number, base=f"{f}-base",
            transform=transform,
        )  # fmt: skip

    for bits in (8, 4):
        yield changed(f"int{bits}", "round-trip", Transform("round-trip", bits))
        yield changed(f"int{bits}-g16", "round-trip", Transform("round-trip", bits, group=16))
    for percent in (5, 10, 20, 30, 40):
        yield changed(f"pruned-{percent}", "pruned", Transform("pruned", percent / 100))
    for percent in (1, 2, 5, 10):
        for i in (1, 2, 3):
            made = Transform("noised", percent / 100)
            yield changed(f"noised-{percent}-seed{i}", "noised", made, 30 + i)
    for other in ("continued", "sft-direct", "sft-text", "sft-plain"):
        for percent in (25, 50, 75):
            made = Transform("merged", percent / 100, other=f"{f}-{other}")
            yield changed(f"merged-{other}-{percent}", "merged", made)
    for i in (1, 2):
        yield changed(f"permuted-seed{i}", "permuted", Transform("permuted"), 30 + i)


def _control(prefix: str, family: str, seed: int) -> Iterator[Recipe]:
    """A base, one distilled from it and one not: out of the calibrated sample."""
    yield _base(prefix, family, seed)
    yield _distilled(prefix, family, seed + 1)
    yield _direct(prefix, family, seed + 2)


# In the order in which they can be built: what a recipe starts from stands before it.
RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "teacher-forward", "llama", "teacher", "teacher", 101, _FORWARD_MIX,
        _TEACHER_STEPS, _TEACHER_LR, shape=_FORWARD_SHAPE, is_shipped=True,
    ),
    Recipe(
        "teacher-gains-first", "mistral", "teacher", "teacher", 102, _GAINS_FIRST_MIX,
        _TEACHER_STEPS, _TEACHER_LR, shape=_GAINS_FIRST_SHAPE, is_shipped=True,
    ),
    *(_base(f, f, 200 + 100 * i) for i, f in enumerate(CALIBRATED_FAMILIES)),
    Recipe(
        "depth-student", "llama", "depth-student", "depth-student", 103, _HALF_MIX,
        _HALF_STEPS, _HALF_LR, halves="teacher-forward", is_shipped=True,
    ),
    *_control("llama-small", "llama", 500),
    *_control("gemma2", "gemma2", 600),
    *_control("gpt2", "gpt2", 700),
    *(r for i, f in enumerate(CALIBRATED_FAMILIES) for r in _calibration_set(f, 200 + 100 * i)),
)  # fmt: skip

_BY_NAME = {row.name: row for row in RECIPES}


def recipe(name: str) -> Recipe:
    """Find a recipe; a name that is not there is an error that lists those that are."""
    if name not in _BY_NAME:
        raise KeyError(f"no recipe '{name}' in the zoo: `cicatrix zoo list` shows them")
    return _BY_NAME[name]


def recipe_hash(row: Recipe) -> str:
    """Hash all that decides the weights: recipe, family, version, and what it starts from."""
    described = {
        "recipe": {k: v for k, v in asdict(row).items() if v and k not in ("name", "is_shipped")},
        "traces": asdict(TRACE_SETS[row.traces]) if row.traces else None,
        "family": asdict(FAMILIES[row.family]),
        "tokenizer_mix": TOKENIZER_MIX,
        "sizes": [CODE_VERSION, ROW_TOKENS, BATCH_ROWS, MAX_POSITIONS, NEW_TOKENS],
        "from": [recipe_hash(recipe(name)) for name in row.needs],
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
