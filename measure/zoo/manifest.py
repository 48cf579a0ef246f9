"""The manifest: what each model of the zoo is, how it was made and what was measured of it."""

import hashlib
import importlib.metadata
import json
import os
import tomllib
from pathlib import Path
from typing import Any

from measure.zoo import corpus
from measure.zoo.recipes import RECIPES, TOKENIZER_MIX, Recipe, recipe_hash

MANIFEST_FILE = "manifest.toml"
WEIGHTS_FOLDER = "weights"
WEIGHT_FILE = "model.safetensors"
UNSHIPPED_FOLDER = "unshipped"
LIMITS = """\
These are models of 0.15 to 1.1 million parameters, trained for minutes on text made by a program.
Their lineage is known because this code made them; that is what they are for. What they can show
and what they cannot is said in README.md. Accuracies are on held-out stories of the same generator;
figures of a member are of its weights as they are stored, in bf16."""


def file_sha256(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def corpus_sha256() -> str:
    """Hash the first hundred documents of the tokenizers' mix: changes when the corpus does."""
    made = zip(range(100), corpus.documents(0, TOKENIZER_MIX), strict=False)
    return hashlib.sha256("".join(text for _, text in made).encode()).hexdigest()


def folder(out: Path, row: Recipe) -> Path:
    """Where a model's files lie under `out`."""
    return out / (WEIGHTS_FOLDER if row.is_shipped else UNSHIPPED_FOLDER) / row.name


def recipe_columns(row: Recipe) -> dict[str, Any]:
    """Give the columns of a row that the recipe decides."""
    return {
        "name": row.name,
        "family": row.family,
        "role": row.role,
        "method": row.method,
        "is_distilled": row.is_distilled,
        "is_shipped": row.is_shipped,
        "base": row.base,
        "teacher": row.teacher,
        "seed": row.seed,
        "steps": row.steps,
        "lr": row.lr,
        "recipe_hash": recipe_hash(row),
    }


def read(out: Path) -> list[dict[str, Any]]:
    """Read the rows of the models built under `out`; none where there is no manifest yet."""
    path = out / MANIFEST_FILE
    return tomllib.loads(path.read_text("utf-8"))["model"] if path.exists() else []


def _noted(name: str, out: Path) -> dict[str, Any]:
    """The row of a model; empty where it has none."""
    return next((row for row in read(out) if row["name"] == name), {})


def is_made(row: Recipe, out: Path) -> bool:
    """Whether the weights that the manifest names are there, made by this very recipe."""
    path = folder(out, row) / WEIGHT_FILE
    noted = _noted(row.name, out)
    return (
        noted.get("recipe_hash") == recipe_hash(row)
        and path.exists()
        and noted["sha256"] == file_sha256(path)
    )


def scored_as(name: str, out: Path) -> int | None:
    """The version of the scoring whose figures a row holds, if any."""
    return _noted(name, out).get("scoring")


def put(out: Path, name: str, columns: dict[str, Any]) -> None:
    """Note columns of one model; those of new weights replace its row, figures join it.

    The file is replaced whole, so it is never half written.
    """
    rows = {row["name"]: row for row in read(out)}
    rows[name] = columns if "sha256" in columns else rows[name] | columns
    known = [rows[row.name] for row in RECIPES if row.name in rows]
    unfinished = out / f".{MANIFEST_FILE}.unfinished"
    unfinished.write_text(_toml(known), "utf-8")
    os.replace(unfinished, out / MANIFEST_FILE)


def _toml(rows: list[dict[str, Any]]) -> str:
    """Write the manifest; a value that is None has no line."""
    head = {
        "corpus_sha256": corpus_sha256(),
        "torch": importlib.metadata.version("torch"),
        "transformers": importlib.metadata.version("transformers"),
        "tokenizers": importlib.metadata.version("tokenizers"),
    }
    parts = [
        "# Written by `cicatrix zoo build`; do not edit.\n",
        f'limits = """\n{LIMITS}\n"""\n',
        _lines(head),
    ]
    parts += [f"\n[[model]]\n{_lines(row)}" for row in rows]
    return "".join(parts)


def _lines(values: dict[str, Any]) -> str:
    """Write `key = value` lines; strings and numbers look the same in JSON and in TOML."""
    return "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items() if v is not None)
