"""Build the zoo: make what is missing, score it as it is stored (after the bf16 cast), note it.

Three kinds of work in one graph: sampling a teacher's traces, making a model, scoring it. What
needs nothing from each other runs side by side, one thread each. What is done already by an
unchanged recipe is left alone, and a training goes on from its checkpoint; so a build that was
stopped goes on where it was.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt16
from peft import LoraConfig, get_peft_model
from tqdm import tqdm
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from measure.zoo import corpus, manifest, sample, scoring, train, transform
from measure.zoo.recipes import (
    BATCH_ROWS,
    FAMILIES,
    RECIPES,
    ROW_TOKENS,
    TOKENIZER_MIX,
    TRACE_SETS,
    Recipe,
    recipe,
    recipe_hash,
)
from measure.zoo.tokenizer import BOS, EOS, PAD, TOKENIZER_FILES, save_tokenizer, train_tokenizer

_N_TOKENIZER_DOCUMENTS = 8000
_CHECKPOINT = "checkpoint.safetensors"
_TRACES_FOLDER = "traces"


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


def rows_of(
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
    """Give what the recipe starts from: its base, half of its teacher, or random weights."""
    start = row.base or row.halves
    if start is None:
        if row.shape is None:
            raise ValueError(f"recipe '{row.name}' has neither a base nor a shape; give it one")
        tokenizer = _family_tokenizer(row, folder)
        model = train.new_model(row.shape, len(tokenizer), _special_ids(tokenizer), row.seed)
        return model, tokenizer
    model, tokenizer = load(manifest.folder(out, recipe(start)))
    for file in TOKENIZER_FILES:
        shutil.copy(manifest.folder(out, recipe(start)) / file, folder)
    return (train.half_of(model) if row.halves else model), tokenizer


def make_traces(name: str, out: Path) -> None:
    """Sample a set of traces into `out/traces/NAME.jsonl`: one right answer's whole text a line."""
    wanted = TRACE_SETS[name]
    teacher, tokenizer = load(manifest.folder(out, recipe(wanted.teacher)))
    kept = sample.traces(teacher, tokenizer, wanted)
    path = _traces_path(name, out)
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    head = json.dumps({"recipe_hash": recipe_hash(recipe(wanted.teacher)), "sampled": wanted.n})
    unfinished.write_text("\n".join([head, *map(json.dumps, kept)]) + "\n", "utf-8")
    os.replace(unfinished, path)


def _traces_path(name: str, out: Path) -> Path:
    return out / _TRACES_FOLDER / f"{name}.jsonl"


def traces(name: str, out: Path) -> list[str]:
    """Read a set of traces that was sampled."""
    _, *kept = _traces_path(name, out).read_text("utf-8").splitlines()
    return [json.loads(line) for line in kept]


def _has_traces(name: str, out: Path) -> bool:
    """Whether the set was sampled from the teacher as its recipe stands."""
    path = _traces_path(name, out)
    if not path.exists():
        return False
    with path.open(encoding="utf-8") as lines:
        noted = json.loads(next(lines))
    return noted["recipe_hash"] == recipe_hash(recipe(TRACE_SETS[name].teacher))


def _linear(model: PreTrainedModel) -> list[str]:
    """What LoRA adapts: all matrices of the blocks and, where it is not the embedding, the head.

    A frozen head never learns to open a thinking mark after a question.
    """
    is_tied = bool(model.config.tie_word_embeddings)
    linear = [name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    return [name for name in linear if not (is_tied and name == "lm_head")]


def _trained(
    row: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    checkpoint: Path,
    place: int,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Train by the recipe; returns the model and what its manifest row says of it."""
    kept = traces(row.traces, out) if row.traces else []
    teacher = load(manifest.folder(out, recipe(row.halves)))[0] if row.halves else None
    return fit(row, model, tokenizer, kept, teacher=teacher, checkpoint=checkpoint, place=place)


def fit(
    row: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    kept: Sequence[str] = (),
    *,
    teacher: PreTrainedModel | None = None,
    penalty: Callable[[int], torch.Tensor] | None = None,
    checkpoint: Path | None = None,
    label: str | None = None,
    place: int = 0,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Train a model on the recipe's mix, `kept` for its traces; LoRA is merged in."""
    if row.mix is None:
        raise ValueError(f"recipe '{row.name}' has steps and no mix; give it one")
    documents = corpus.documents(row.seed, dict(row.mix), traces=kept)
    rows = rows_of(tokenizer, documents, row.steps * BATCH_ROWS)
    if row.lora_rank:
        # peft draws its first matrices from the global generator only.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(row.seed)
            adapted = LoraConfig(
                r=row.lora_rank, lora_alpha=2 * row.lora_rank, target_modules=_linear(model)
            )
            model = get_peft_model(model, adapted)  # pyright: ignore[reportAssignmentType]
    began = time.perf_counter()
    interval_s = 0.5 if sys.stderr.isatty() else 30.0
    with tqdm(
        total=row.steps, desc=label or row.name, position=place, mininterval=interval_s, unit="step"
    ) as bar:
        losses = train.train(
            model,
            train.batches(rows, row.steps, BATCH_ROWS, row.seed),
            row.steps,
            row.lr,
            teacher=teacher,
            penalty=penalty,
            checkpoint=checkpoint,
            bar=bar,
        )
    if row.lora_rank:
        model = model.merge_and_unload()  # pyright: ignore[reportCallIssue]
    share_of_text = np.mean(rows != _special_ids(tokenizer).pad)
    return model, {
        "tokens_trained": int(row.steps * BATCH_ROWS * ROW_TOKENS * share_of_text),
        "final_train_loss_nats": round(float(np.mean(losses[-train.LAST_STEPS :])), 4),
        "traces_sampled": TRACE_SETS[row.traces].n if row.traces else None,
        "traces_kept": len(kept) if row.traces else None,
        "train_s": round(time.perf_counter() - began, 1),
    }


def save(model: PreTrainedModel, folder: Path) -> None:
    """Write config, generation config and bf16 weights (safetensors only)."""
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
        do_sample=False,
    )
    model.to(torch.bfloat16).save_pretrained(folder)  # pyright: ignore[reportArgumentType]


def _refuse_other_tokens(folder: Path, trained_with: PreTrainedTokenizerBase, name: str) -> None:
    """Beside a config of some classes, transformers cuts text by rules of its own."""
    read = list(islice(corpus.documents(1, TOKENIZER_MIX), 50))
    stored = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if stored(read)["input_ids"] != trained_with(read)["input_ids"]:
        raise RuntimeError(
            f"'{name}' was trained on other tokens than its folder's tokenizer gives: beside "
            "a config transformers may cut text its own way; see PIECES in measure/zoo/tokenizer.py"
        )


def make_model(name: str, out: Path, place: int = 0) -> dict[str, Any]:
    """Make one model in its folder, its bar on line `place`; returns its manifest row."""
    row = recipe(name)
    folder = manifest.folder(out, row)
    unfinished = folder.parent / f".{name}.unfinished"
    noted = unfinished / "recipe_hash"
    if not (noted.exists() and noted.read_text() == recipe_hash(row)):
        shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, exist_ok=True)
    noted.write_text(recipe_hash(row))
    model, tokenizer = _start(row, out, unfinished)
    checkpoint = unfinished / _CHECKPOINT
    facts: dict[str, Any] = {}
    if row.transform is not None:
        other = row.transform.other
        aim = load(manifest.folder(out, recipe(other)))[0] if other else None
        transform.apply(model, row.transform, row.seed, aim)
    else:
        model, facts = _trained(row, model, tokenizer, out, checkpoint, place)
    save(model, unfinished)
    _refuse_other_tokens(unfinished, tokenizer, name)
    checkpoint.unlink(missing_ok=True)
    noted.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return {
        **manifest.recipe_columns(row),
        "model_class": type(model).__name__,
        "n_params": model.num_parameters(),
        "vocab_size": len(tokenizer),
        "sha256": manifest.file_sha256(folder / manifest.WEIGHT_FILE),
        **facts,
    }


def score_model(name: str, out: Path) -> dict[str, Any]:
    """Score one model as it lies in its folder; returns columns of its manifest row."""
    row = recipe(name)
    folder = manifest.folder(out, row)
    model, tokenizer = load(folder)
    n = scoring.N_PROBLEMS if row.steps else scoring.N_PROBLEMS_OF_TRANSFORMED
    return {
        "scoring": scoring.VERSION,
        **scoring.accuracies(model, tokenizer, n),
        **scoring.logit_differences(model, tokenizer),
        **(scoring.scars(folder, manifest.folder(out, recipe(row.base))) if row.base else {}),
    }


@dataclass(frozen=True, slots=True)
class Work:
    """One node of the build: what it does, to what."""

    kind: str  # traces, model or score
    name: str

    @property
    def needs(self) -> list["Work"]:
        """What must be done before."""
        if self.kind == "traces":
            return [Work("model", TRACE_SETS[self.name].teacher)]
        row = recipe(self.name)
        if self.kind == "score":
            return [Work("model", name) for name in (self.name, row.base) if name]
        sets = [Work("traces", row.traces)] if row.traces else []
        return [*sets, *(Work("model", name) for name in row.needs)]

    def is_done(self, out: Path) -> bool:
        """Whether its result lies under `out`, made by the recipe as it stands."""
        if self.kind == "traces":
            return _has_traces(self.name, out)
        if not manifest.is_made(recipe(self.name), out):
            return False
        return self.kind == "model" or manifest.scored_as(self.name, out) == scoring.VERSION


def do(work: Work, out: Path, place: int = 0) -> dict[str, Any]:
    """Do one piece of work in this process; returns columns for the manifest, if any."""
    # One thread: the same sums in the same order wherever it runs, and room for a neighbour.
    torch.set_num_threads(1)
    disable_progress_bar()  # of loading and saving: milliseconds each, and in the way of ours
    match work.kind:
        case "traces":
            make_traces(work.name, out)
            return {}
        case "model":
            return make_model(work.name, out, place)
        case _:
            return score_model(work.name, out)


def end_with_parent() -> None:
    """Let a worker end when the process that started it is gone, even if that was killed."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def planned(out: Path, only: Sequence[str] = ()) -> list[Work]:
    """What is left to do for the models asked for (all when none is named), in a possible order."""
    needed = set(only) or {row.name for row in RECIPES}
    for name in needed:
        recipe(name)
    for row in reversed(RECIPES):
        if row.name in needed:
            needed |= set(row.needs)
    rows = [row for row in RECIPES if row.name in needed]
    made = [Work("model", row.name) for row in rows]
    left = [work for work in made if not work.is_done(out)]
    sets = dict.fromkeys(Work("traces", recipe(w.name).traces or "") for w in left)
    left += [work for work in sets if work.name and not work.is_done(out)]
    scores = [Work("score", row.name) for row in rows]
    return left + [work for work in scores if work in left or not work.is_done(out)]


def build(out: Path, only: Sequence[str] = (), jobs: int = 2) -> list[str]:
    """Build what is missing under `out`; returns the names of the models that were made."""
    left = planned(out, only)
    made = [work.name for work in left if work.kind == "model"]
    running: dict[Future[dict[str, Any]], tuple[Work, int]] = {}
    pending = set(left)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(jobs, context, end_with_parent) as pool,
        tqdm(total=len(left), desc="the zoo", position=0, unit="piece", mininterval=0.5) as bar,
    ):
        while left or running:
            free = sorted(set(range(1, jobs + 1)) - {place for _, place in running.values()})
            ready = [work for work in left if not pending.intersection(work.needs)]
            for work, place in zip(ready, free, strict=False):
                left.remove(work)
                running[pool.submit(do, work, out, place)] = (work, place)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                work, _ = running.pop(future)
                if columns := future.result():
                    manifest.put(out, work.name, columns)
                pending.discard(work)
                bar.update()
    return made
