"""`cicatrix select`: a teacher's responses, of each question the one to learn from, as JSON lines.

A line is TRL's prompt-completion form: its trainer takes the loss of the completion alone, adds the
ending token and leaves other columns be. Prompt and completion are messages where the student has a
chat template, else the texts that it reads. What else stands in a line says how it was chosen.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flows import command, estimating
from flows.report import note, say
from flows.sampler import chosen_of
from flows.selector import Choice, Pool, Selector
from measure import models, problems, selection
from measure.errors import BadInput
from measure.problems import THINK_OPEN
from measure.selection import Candidate
from warehouse.lake import Lake


def select(options: Mapping[str, Any], out: Path, *, force: bool, dry_run: bool = False) -> int:
    """Sample and score what is missing, select, write the file whole; 1 if a model failed."""
    choice = chosen_of(Choice, options)
    device = choice.device or models.pick_device()
    models.check_device(device)
    _check_file(out, force=force)
    with Lake.open() as lake:
        selector = Selector(lake, choice, device)
        selector.tell_problems(say)
        n_problems = len(selector.asked.problems)
        if dry_run:
            say(estimating.of_sampled(choice, n_problems, device).text())
            return 0
        is_complete = selector.is_complete()
    if is_complete:
        say("all responses and scores are in the lake: no model has to run")
    else:
        say(estimating.of_sampled(choice, n_problems, device).text())
        if failures := _run_flow(choice, device):
            for ref, reason in failures.items():
                note(f"failed: {ref}: {reason}")
            return 1
    with Lake.open() as lake:
        selector.go_on_in(lake)
        found = selector.pool()
    _choose(found, choice, out)
    return 0


def _run_flow(choice: Choice, device: str) -> dict[str, str]:
    """Reasons of the models that failed; Prefect is imported only when there is work for it."""

    def run() -> None:
        from flows.tracing import sample_responses

        sample_responses(choice)

    return command.run_flow(run, device, say)


def _choose(found: Pool, choice: Choice, out: Path) -> None:
    """Select among the candidates, write the file, and say what was chosen."""
    if not found.candidates:
        raise BadInput(
            f"no response of {choice.teacher!r} on {choice.problems!r} can be selected "
            f"({_reasons(found.left_out)}): give more `--samples`, other problems or `--keep-wrong`"
        )
    beta, source = selection.find_beta(found.candidates)
    if choice.beta is not None:
        beta, source = choice.beta, "given"
    chosen = selection.select(found.candidates, choice.criterion, beta, choice.seed)
    _write(out, (_line(found, one, choice, beta, source) for one in chosen))
    n_responses = len(found.candidates) + found.left_out.total()
    say(
        f"{len(found.candidates):,} of {n_responses:,} responses are candidates, "
        f"on {len(chosen):,} of {len(found.asked.problems):,} questions"
        + (f"; left out: {_reasons(found.left_out)}" if found.left_out else "")
    )
    say(f"beta {beta:.2f} ({source})")
    for row in selection.at_betas(found.candidates, choice.criterion, beta, choice.seed):
        say(_at(row))
    say(f"{out}: {len(chosen):,} responses by {choice.criterion}")


def _check_file(out: Path, *, force: bool) -> None:
    """Refuse before anything long begins."""
    if out.is_dir():
        raise BadInput(f"{str(out)!r} is a folder: give a file in it")
    if out.exists() and not force:
        raise BadInput(f"{str(out)!r} exists: give another file, or `--force` to write it anew")
    if not out.parent.is_dir():
        raise BadInput(f"{str(out.parent)!r} is no folder: make it, or give a file in another one")


# --- what is written ----------------------------------------------------------------------------


def _line(
    found: Pool, one: Candidate, choice: Choice, beta: float, beta_source: str
) -> dict[str, object]:
    response = one.rollout
    reply = found.openings[response.problem_id] + response.text
    prompt: object = problems.plain_prompt(choice.plain_prompt, response.problem)
    completion: object = reply
    if found.is_chat:
        prompt = [{"role": "user", "content": response.problem}]
        completion = [{"role": "assistant", "content": reply}]
    elif choice.plain_prompt.rstrip().endswith(THINK_OPEN):
        completion = response.text  # the mark stands in the prompt
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
        "seed": choice.seed,
        "rollouts": found.rollouts_id,
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
