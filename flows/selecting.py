"""`cicatrix select`: a teacher's responses, of each question the one to learn from, as JSON lines.

A line is TRL's prompt-completion form: its trainer takes the loss of the completion alone, adds the
ending token and leaves other columns be. Prompt and completion are messages where the student has a
chat template, else the texts that it reads. What else stands in a line says how it was chosen.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from measure import models, problems, rollouts, selection, sentence_scores, sources
from measure.errors import BadInput, OutOfMemory
from measure.models import CausalLM
from measure.problems import THINK_OPEN, ProblemSet
from measure.prompts import Progress
from measure.records import SentenceScore
from measure.rollouts import Sampling
from measure.selection import Candidate, Criterion


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a user can choose of a selection."""

    teacher: str
    student: str
    problem_set: str
    sampling: Sampling
    criterion: Criterion = "max-count"
    beta: float | None = None  # None: found from the sentences
    only_right: bool = True
    device: str | None = None  # None: the first GPU, else the CPU
    dtype: str = "float32"
    batch_size: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The candidates of a set of problems, and what a line says of the two models."""

    asked: ProblemSet
    candidates: list[Candidate]
    left_out: Counter[str]
    model_ids: Mapping[str, str]  # by role
    openings: Mapping[str, str]  # what the teacher's prompt wrote of its reply, by problem
    is_chat: bool  # of the student


def select(choice: Choice, out: Path, *, force: bool) -> int:
    """Sample, score, select, write the file whole, and say what was chosen."""
    _check(choice, out, force=force)
    found = pool(choice)
    if not found.candidates:
        raise BadInput(
            f"no response of {choice.teacher!r} on {choice.problem_set!r} can be selected "
            f"({_reasons(found.left_out)}): give more `--samples`, other problems or `--keep-wrong`"
        )
    beta, source = selection.find_beta(found.candidates)
    if choice.beta is not None:
        beta, source = choice.beta, "given"
    seed = choice.sampling.seed
    chosen = selection.select(found.candidates, choice.criterion, beta, seed)
    _write(out, (_line(found, one, choice, beta, source) for one in chosen))
    n_responses = len(found.candidates) + found.left_out.total()
    _say(
        f"{len(found.candidates):,} of {n_responses:,} responses are candidates, "
        f"on {len(chosen):,} of {len(found.asked.problems):,} questions"
        + (f"; left out: {_reasons(found.left_out)}" if found.left_out else "")
    )
    if found.asked.skipped:
        _say(f"{len(found.asked.skipped):,} lines were no problem: {found.asked.skipped[0]}, ...")
    _say(f"beta {beta:.2f} ({source})")
    for row in selection.at_betas(found.candidates, choice.criterion, beta, seed):
        _say(_at(row))
    _say(f"{out}: {len(chosen):,} responses by {choice.criterion}")
    return 0


def _check(choice: Choice, out: Path, *, force: bool) -> None:
    """Refuse before anything long begins."""
    if out.is_dir():
        raise BadInput(f"{str(out)!r} is a folder: give a file in it")
    if out.exists() and not force:
        raise BadInput(f"{str(out)!r} exists: give another file, or `--force` to write it anew")
    if not out.parent.is_dir():
        raise BadInput(f"{str(out.parent)!r} is no folder: make it, or give a file in another one")
    if choice.beta is not None and not 0 < choice.beta < 1:
        raise BadInput(f"beta {choice.beta} is not between 0 and 1: give such as `--beta 0.1`")
    if choice.batch_size < 1:
        raise BadInput(f"batch size {choice.batch_size} is under 1: give such as `--batch-size 8`")
    models.check_device(choice.device or models.pick_device())
    ids = [sources.model_id_of(ref) for ref in (choice.teacher, choice.student)]
    if ids[0] == ids[1]:
        raise BadInput(f"{choice.teacher!r} is teacher and student: give two different models")


def pool(choice: Choice) -> Pool:
    """A teacher's responses to each problem, scored under teacher and student; one model at a time.

    Raises:
        BadInput: a model or the problems cannot be read, or the device has no room for the batch.
    """
    asked = problems.load(choice.problem_set)
    try:
        with models.out_of_memory_named(choice.batch_size):
            return _pool(choice, asked)
    except OutOfMemory as error:
        smaller = max(1, error.batch_size // 2)
        raise BadInput(f"{error}: give a smaller one, `--batch-size {smaller}`") from error


def _pool(choice: Choice, asked: ProblemSet) -> Pool:
    sampling = choice.sampling
    source, model = _load(choice, choice.teacher)
    n_items = len(asked.problems) * sampling.n_samples
    with _progress("teacher answers", n_items) as progress:
        responses = [
            response
            for unit in rollouts.units(asked, sampling.n_samples)
            for response in rollouts.measure_unit(
                model, asked, unit, sampling, choice.batch_size, progress
            )
        ]
    read = [r for r in responses if r.is_correct or not choice.only_right]
    texts = sentence_scores.Texts(asked.name, asked.sha256, tuple(read), sampling.plain_prompt)
    by_teacher = _scored(model, texts, choice.batch_size, "teacher reads")
    openings = {p.problem_id: _opening(model, p.text, sampling) for p in asked.problems}
    del model  # two large models need not fit at once
    student_source, student = _load(choice, choice.student)
    by_student = _scored(student, texts, choice.batch_size, "student reads")
    found, left_out = selection.candidates(
        responses, by_teacher, by_student, only_right=choice.only_right
    )
    return Pool(
        asked=asked,
        candidates=found,
        left_out=left_out,
        model_ids={"teacher": source.model_id, "student": student_source.model_id},
        openings=openings,
        is_chat=student.tokenizer.chat_template is not None,
    )


def _load(choice: Choice, ref: str) -> tuple[sources.Source, CausalLM]:
    source = sources.find(ref)
    device = choice.device or models.pick_device()
    return source, models.load(source, device=device, dtype=choice.dtype)


def _scored(
    model: CausalLM, texts: sentence_scores.Texts, batch_size: int, what: str
) -> list[SentenceScore]:
    with _progress(what, len(texts.rollouts)) as progress:
        return [
            score
            for unit in texts.units
            for score in sentence_scores.measure_unit(model, texts, unit, batch_size, progress)
        ]


@contextmanager
def _progress(what: str, total: int) -> Generator[Progress]:
    with tqdm(total=total, desc=what, unit="response", disable=None) as bar:

        def advance(n: int) -> None:
            bar.update(n)

        yield advance


def _opening(model: CausalLM, text: str, sampling: Sampling) -> str:
    """The mark of reasoning that a template writes before the reply; the student needs it too."""
    prompt, _ = rollouts.prompt_text(model, text, sampling.plain_prompt)
    return prompt[prompt.rindex(THINK_OPEN) :] if prompt.rstrip().endswith(THINK_OPEN) else ""


# --- what is written ----------------------------------------------------------------------------


def _line(
    found: Pool, one: Candidate, choice: Choice, beta: float, beta_source: str
) -> dict[str, object]:
    response = one.rollout
    reply = found.openings[response.problem_id] + response.text
    prompt: object = problems.plain_prompt(choice.sampling.plain_prompt, response.problem)
    completion: object = reply
    if found.is_chat:
        prompt = [{"role": "user", "content": response.problem}]
        completion = [{"role": "assistant", "content": reply}]
    return {
        "prompt": prompt,
        "completion": completion,
        "problem_id": response.problem_id,
        "sample": response.sample,
        "is_correct": response.is_correct,
        "criterion": choice.criterion,
        "n_teacher_sentences": one.n_teacher(beta),
        "n_sentences": len(one.p_teacher),
        "n_student_tokens": one.n_tokens,
        "beta": beta,
        "beta_source": beta_source,
        "teacher": found.model_ids["teacher"],
        "student": found.model_ids["student"],
        "seed": choice.sampling.seed,
    }


def _write(out: Path, lines: Iterator[Mapping[str, object]]) -> None:
    """The file is there whole or not at all."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BadInput(f"{str(out)!r} cannot be written ({error.strerror}): give a file") from error


def _at(row: selection.AtBeta) -> str:
    interval = ""
    if row.ci_low_teacher_share is not None and row.ci_high_teacher_share is not None:
        interval = f" [{row.ci_low_teacher_share:.1%}, {row.ci_high_teacher_share:.1%}]"
    return (
        f"  at beta {row.beta:.2f}: {row.teacher_share:.1%}{interval} of {row.n_sentences:,} "
        f"sentences are the teacher's; {row.mean_selected:.2f} in a selected response; the same "
        f"choice on {row.same_choice_frac:.0%} of {row.n_questions:,} questions"
    )


def _reasons(left_out: Counter[str]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in left_out.most_common())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
