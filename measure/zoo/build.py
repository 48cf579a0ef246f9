"""Build the zoo: train what is missing, score it as shipped (after the bf16 cast), note it down.

Models that need nothing from each other are built side by side, one thread each. A model whose
folder holds the weights that the manifest names, made by an unchanged recipe, is left alone; so
a build that was stopped goes on with the first model it had not finished.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt16
from tqdm import tqdm
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from measure.zoo import corpus, manifest, sample, train
from measure.zoo.recipes import (
    BATCH_ROWS,
    FAMILIES,
    RECIPES,
    ROW_TOKENS,
    TOKENIZER_MIX,
    Recipe,
    recipe,
    recipe_hash,
)
from measure.zoo.tokenizer import BOS, EOS, PAD, TOKENIZER_FILES, save_tokenizer, train_tokenizer

N_SCORED = 400
SCORING_SEED = 7
_N_TOKENIZER_DOCUMENTS = 6000
_N_HELD_OUT_ROWS = 64


@dataclass(frozen=True, slots=True)
class Text:
    """What a recipe reads: packed rows of token ids, and how its traces came about."""

    rows: UInt16[np.ndarray, "rows tokens"]
    n_sampled: int = 0
    n_kept: int = 0


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a built model, its bf16 weights computing in fp32, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> train.SpecialIds:
    """Find the ids of the tokens that `tokenizer.py` adds to every vocabulary."""
    ids: dict[str, int] = tokenizer.get_vocab()
    return train.SpecialIds(bos=ids[BOS], eos=ids[EOS], pad=ids[PAD])


def _encoded(tokenizer: PreTrainedTokenizerBase, documents: Iterable[str]) -> Iterator[list[int]]:
    """Encode documents as BOS, text, EOS."""
    waiting = iter(documents)
    eos = _special_ids(tokenizer).eos
    while chunk := list(islice(waiting, 1000)):
        for ids in tokenizer(chunk)["input_ids"]:
            yield [*ids, eos]


def _rows(
    tokenizer: PreTrainedTokenizerBase, documents: Iterable[str], max_rows: int
) -> UInt16[np.ndarray, "rows tokens"]:
    """Pack documents into at most `max_rows` rows of token ids."""
    packed = train.pack(_encoded(tokenizer, documents), ROW_TOKENS, _special_ids(tokenizer).pad)
    return np.array(list(islice(packed, max_rows)), dtype=np.uint16)


def _family_tokenizer(row: Recipe, folder: Path) -> PreTrainedTokenizerBase:
    """Train the family's tokenizer into `folder` (seconds, and always the same)."""
    family = FAMILIES[row.family]
    documents = islice(corpus.documents(family.seed, TOKENIZER_MIX), _N_TOKENIZER_DOCUMENTS)
    save_tokenizer(train_tokenizer(documents, family.vocab_size, family.pieces), folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _start(row: Recipe, out: Path, folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Give what the recipe starts from: its base as shipped, or random weights."""
    if row.base is not None:
        model, tokenizer = load(out / row.base)
        for file in TOKENIZER_FILES:
            shutil.copy(out / row.base / file, folder)
        return model, tokenizer
    if row.shape is None:
        raise ValueError(f"recipe '{row.name}' has neither a base nor a shape; give it one")
    tokenizer = _family_tokenizer(row, folder)
    model = train.new_model(row.shape, len(tokenizer), _special_ids(tokenizer), row.seed)
    return model, tokenizer


def text_of(row: Recipe, tokenizer: PreTrainedTokenizerBase, out: Path) -> Text:
    """Make what the recipe reads; where it has a teacher, that is sampled first."""
    kept: list[str] = []
    if row.teacher is not None:
        teacher, teacher_tokenizer = load(out / row.teacher)
        kept = sample.traces(
            teacher, teacher_tokenizer, row.n_samples, temperature=row.temperature, seed=row.seed
        )
    documents = corpus.documents(row.seed, row.mix, traces=kept)
    rows = _rows(tokenizer, documents, row.steps * BATCH_ROWS)
    return Text(rows, n_sampled=row.n_samples, n_kept=len(kept))


def _save(model: PreTrainedModel, folder: Path) -> None:
    """Write config, generation config and bf16 weights (safetensors only)."""
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
        do_sample=False,
    )
    model.to(torch.bfloat16).save_pretrained(folder)  # pyright: ignore[reportArgumentType]


@torch.inference_mode()
def _held_out_loss(
    row: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> float:
    """Mean loss in nats per token on held-out documents of the recipe's own mix."""
    # For traces of held-out problems stands the teacher's manner, as the corpus writes it.
    mix = {"ordered" if kind == "traces" else kind: share for kind, share in row.mix.items()}
    documents = corpus.documents(SCORING_SEED, mix, is_held_out=True)
    rows = _rows(tokenizer, documents, _N_HELD_OUT_ROWS)
    ids = torch.from_numpy(rows.astype(np.int64))
    return float(train.next_token_loss(model, ids, _special_ids(tokenizer).pad))


def _figures(row: Recipe, folder: Path, trained_with: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Measure a built model as it lies in its folder."""
    model, tokenizer = load(folder)
    read = list(islice(corpus.documents(SCORING_SEED, TOKENIZER_MIX), 50))
    if tokenizer(read)["input_ids"] != trained_with(read)["input_ids"]:
        raise RuntimeError(
            f"'{row.name}' was trained on other tokens than its folder's tokenizer gives: beside "
            "a config transformers may cut text its own way; see PIECES in measure/zoo/tokenizer.py"
        )
    scored = sample.score(model, tokenizer, N_SCORED, SCORING_SEED)
    return {
        "model_class": type(model).__name__,
        "n_params": model.num_parameters(),
        "vocab_size": len(tokenizer),
        "held_out_loss_nats": round(_held_out_loss(row, model, tokenizer), 4),
        "held_out_n": scored.n,
        "held_out_accuracy": round(scored.accuracy, 4),
        "held_out_think_frac": round(scored.think_frac, 4),
        "sha256": manifest.file_sha256(folder / manifest.WEIGHT_FILE),
    }


def build_one(name: str, out: Path, place: int = 0) -> dict[str, Any]:
    """Build one model into `out/name`, its bar on line `place`; returns its manifest row."""
    # One thread: the same sums in the same order wherever it runs, and room for a neighbour.
    torch.set_num_threads(1)
    disable_progress_bar()  # of loading and saving: milliseconds each, and in the way of ours
    row, folder = recipe(name), out / name
    unfinished = out / f".{name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    model, tokenizer = _start(row, out, unfinished)
    text = text_of(row, tokenizer, out)
    began = time.perf_counter()
    interval_s = 0.5 if sys.stderr.isatty() else 30.0
    with tqdm(
        total=row.steps, desc=name, position=place, mininterval=interval_s, unit="step"
    ) as bar:
        stream = train.batches(text.rows, row.steps, BATCH_ROWS, row.seed)
        losses = train.train(model, stream, row.steps, row.lr, bar=bar)
    train_s = time.perf_counter() - began
    _save(model, unfinished)
    figures = _figures(row, unfinished, tokenizer)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    share_of_text = np.mean(text.rows != _special_ids(tokenizer).pad)
    return {
        **manifest.recipe_columns(row),
        **figures,
        "tokens_trained": int(row.steps * BATCH_ROWS * ROW_TOKENS * share_of_text),
        "final_train_loss_nats": round(float(np.mean(losses[-train.LAST_STEPS :])), 4),
        "traces_sampled": text.n_sampled,
        "traces_kept": text.n_kept,
        "train_s": round(train_s, 1),
        "recipe_hash": recipe_hash(row),
    }


def wanted(only: Sequence[str]) -> list[Recipe]:
    """Give the recipes asked for (all when none is named) and all they need, in building order."""
    needed = set(only) or {row.name for row in RECIPES}
    for row in reversed([*RECIPES]):
        if row.name in needed:
            needed |= {name for name in (row.base, row.teacher) if name}
    for name in needed:
        recipe(name)
    return [row for row in RECIPES if row.name in needed]


def build(out: Path, only: Sequence[str] = (), jobs: int = 2) -> list[str]:
    """Build what is missing under `out`; returns the names of the models that were trained."""
    rows = wanted(only)
    finished = {row.name for row in rows if manifest.is_finished(row, out)}
    missing = [row for row in rows if row.name not in finished]
    trained = [row.name for row in missing]
    running: dict[Future[dict[str, Any]], str] = {}
    weights = out / manifest.WEIGHTS_FOLDER
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        while missing or running:
            ready = [r for r in missing if {r.base, r.teacher} - {None} <= finished]
            for row in ready:
                missing.remove(row)
                running[pool.submit(build_one, row.name, weights, len(running))] = row.name
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                manifest.put(out, future.result())
                finished.add(running.pop(future))
    return trained
