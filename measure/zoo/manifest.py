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
LIMITS = """\
These are models of 0.2 to 1 million parameters, trained for minutes on text made by a program.
Their lineage is known because this code made them; that is what they are for. They can show
whether a measurement tells a derivative from its base, from another family and from a derivative
that was not distilled. They cannot show how loud a scar is in a real model, how a score on one
benchmark carries over to another, or anything about language beyond their corpus: they know a few
hundred words and sums of small numbers. Accuracies are on held-out problems of the same generator:
the question was never trained on, its sums were."""


def file_sha256(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def corpus_sha256() -> str:
    """Hash the first hundred documents of the tokenizers' mix: changes when the corpus does."""
    made = zip(range(100), corpus.documents(0, TOKENIZER_MIX), strict=False)
    return hashlib.sha256("".join(text for _, text in made).encode()).hexdigest()


def recipe_columns(row: Recipe) -> dict[str, Any]:
    """Give the columns of a row that the recipe decides."""
    return {
        "name": row.name,
        "family": row.family,
        "kind": row.kind,
        "base": row.base,
        "teacher": row.teacher,
        "seed": row.seed,
        "steps": row.steps,
        "lr": row.lr,
    }


def read(out: Path) -> list[dict[str, Any]]:
    """Read the rows of the models built under `out`; none where there is no manifest yet."""
    path = out / MANIFEST_FILE
    return tomllib.loads(path.read_text("utf-8"))["model"] if path.exists() else []


def is_finished(row: Recipe, out: Path) -> bool:
    """Whether the weights that the manifest names are there, made by this very recipe."""
    path = out / WEIGHTS_FOLDER / row.name / WEIGHT_FILE
    noted = next((r for r in read(out) if r["name"] == row.name), None)
    return (
        noted is not None
        and noted["recipe_hash"] == recipe_hash(row)
        and path.exists()
        and noted["sha256"] == file_sha256(path)
    )


def put(out: Path, row: dict[str, Any]) -> None:
    """Add or replace one model's row; the file is replaced whole, so it is never half written."""
    rows = {r["name"]: r for r in read(out)} | {row["name"]: row}
    known = [rows[r.name] for r in RECIPES if r.name in rows]
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
        "# Written by `python -m measure.zoo build`; do not edit.\n",
        f'limits = """\n{LIMITS}\n"""\n',
        _lines(head),
    ]
    parts += [f"\n[[model]]\n{_lines(row)}" for row in rows]
    return "".join(parts)


def _lines(values: dict[str, Any]) -> str:
    """Write `key = value` lines; strings and numbers look the same in JSON and in TOML."""
    return "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items() if v is not None)
