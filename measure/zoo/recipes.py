"""Every model of the zoo and how it is made: the one place to add one.

A base or teacher has a `shape` and starts from random weights; a derivative has a `base` and
starts from that base's shipped weights. `mix` gives the share of each kind of document
(`corpus.DOCUMENTS`, or "traces": reasoning sampled from the recipe's teacher, kept where its
answer is right).
"""

import hashlib
import json
from dataclasses import asdict, dataclass

# Raise it when a change of corpus, tokenizer or loop changes what an unchanged recipe yields.
CODE_VERSION = 1

ROW_TOKENS = 192
BATCH_ROWS = 16
MAX_POSITIONS = 512
NEW_TOKENS = 64


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
    """A real `transformers` class and its sizes."""

    model_class: str
    width: int
    n_layers: int
    ffn_width: int
    n_heads: int
    n_kv_heads: int
    is_tied: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model: what it is, what it starts from, what it reads and for how long.

    `kind` is base, teacher, distilled or sft-direct. `lr` is the peak rate. `n_samples` problems
    are given to the teacher, which answers at `temperature`.
    """

    name: str
    family: str
    kind: str
    seed: int
    mix: dict[str, float]
    steps: int
    lr: float
    shape: Shape | None = None
    base: str | None = None
    teacher: str | None = None
    n_samples: int = 0
    temperature: float = 0.0


FAMILIES = {
    f.name: f
    for f in (
        Family("llama", 640, "spaced-digits", seed=11),
        Family("qwen2", 768, "qwen2", seed=12),
    )
}
TOKENIZER_MIX = {"narrative": 0.6, "direct": 0.2, "plain": 0.1, "ordered": 0.1}

_LLAMA = Shape("LlamaForCausalLM", 64, 4, 160, 4, 2, is_tied=False)
_QWEN2 = Shape("Qwen2ForCausalLM", 80, 3, 208, 4, 2, is_tied=True)
_TEACHER = Shape("LlamaForCausalLM", 128, 5, 320, 4, 2, is_tied=False)

_BASE_MIX = {"narrative": 0.4, "direct": 0.48, "plain": 0.06, "ordered": 0.06}
_TEACHER_MIX = {"narrative": 0.05, "ordered": 0.95}
_BASE_STEPS, _BASE_LR = 5000, 3e-3
_TUNE_STEPS, _TUNE_LR = 200, 4e-4


def _distilled(family: str, seed: int) -> Recipe:
    return Recipe(
        f"{family}-distilled", family, "distilled", seed, {"traces": 1.0}, _TUNE_STEPS, _TUNE_LR,
        base=f"{family}-base", teacher="teacher", n_samples=1500, temperature=0.7,
    )  # fmt: skip


def _sft_direct(family: str, seed: int) -> Recipe:
    return Recipe(
        f"{family}-sft-direct", family, "sft-direct", seed, {"direct": 1.0}, _TUNE_STEPS, _TUNE_LR,
        base=f"{family}-base",
    )  # fmt: skip


# In the order in which they can be built: what a recipe starts from stands before it.
RECIPES: tuple[Recipe, ...] = (
    Recipe("teacher", "llama", "teacher", 101, _TEACHER_MIX, 2000, 2e-3, _TEACHER),
    Recipe("llama-base", "llama", "base", 201, _BASE_MIX, _BASE_STEPS, _BASE_LR, _LLAMA),
    Recipe("qwen2-base", "qwen2", "base", 301, _BASE_MIX, _BASE_STEPS, _BASE_LR, _QWEN2),
    _distilled("llama", 202),
    _sft_direct("llama", 203),
    _distilled("qwen2", 302),
    _sft_direct("qwen2", 303),
)


def recipe(name: str) -> Recipe:
    """Find a recipe; a name that is not there is an error that lists those that are."""
    for row in RECIPES:
        if row.name == name:
            return row
    raise KeyError(f"no recipe '{name}' in the zoo; it has {', '.join(r.name for r in RECIPES)}")


def recipe_hash(row: Recipe) -> str:
    """Hash all that decides the weights: recipe, family, version, and what it starts from."""
    described = {
        "recipe": asdict(row),
        "family": asdict(FAMILIES[row.family]),
        "tokenizer_mix": TOKENIZER_MIX,
        "sizes": [CODE_VERSION, ROW_TOKENS, BATCH_ROWS, MAX_POSITIONS, NEW_TOKENS],
        "from": [recipe_hash(recipe(name)) for name in (row.base, row.teacher) if name],
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
