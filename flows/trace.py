"""What `cicatrix trace` does around the flow: estimate, run, tell."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import polars as pl
from rich.table import Table
from rich.text import Text

from flows import command, estimating
from flows.report import console, number
from flows.tracer import Trace, Tracer
from measure import models, problems, sources
from measure.errors import BadInput
from warehouse import read
from warehouse.lake import Lake

_LABELS = ("Shared", "Teacher", "Student", "Boosted")
_WHOSE = {"distilled": "the distilled model's", "student": "the student's own (null)"}


def trace(options: dict[str, Any], *, as_json: bool, dry_run: bool = False) -> int:
    """Trace what is missing, then say what the sentences say; 1 if a model failed."""
    tell = _note if as_json else _say
    chosen = command.validated(Trace, options)
    device = chosen.device or models.pick_device()
    models.check_device(device)
    chosen.sampling()  # refuses what cannot be sampled
    with Lake.open() as lake:
        tracer = Tracer(lake, chosen, device)
        _tell_problems(tracer, tell)
        if dry_run:
            tell(estimating.of_trace(chosen, len(tracer.asked.problems), device).text())
            return 0
        complete = tracer.is_complete()
        if complete:
            tracer.conclude()
            tell("all rollouts and scores are in the lake: no model has to run")
    failures: dict[str, str] = {}
    if not complete:
        tell(estimating.of_trace(chosen, len(tracer.asked.problems), device).text())
        failures = _run_flow(chosen, device, tell)
    ids = _ids(chosen, failures)
    shown, ranking = _found(chosen, ids), _ranking(chosen, ids)
    if as_json:
        answer = {"teachers": shown, "attribution": ranking}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2, default=str) + "\n")
    else:
        for found in shown:
            _show(found)
        _show_ranking(ranking)
    for ref, reason in failures.items():
        _note(f"failed: {ref}: {reason}")
    return 1 if failures else 0


def _tell_problems(tracer: Tracer, tell: Callable[[str], None]) -> None:
    asked = tracer.asked
    line = f"{asked.name}: {len(asked.problems)} problems"
    if asked.n_without_answer:
        line += f", {asked.n_without_answer} without an answer to compare with"
    tell(line)
    if tracer.skipped:
        tell(f"left out: {len(tracer.skipped)} lines, such as {tracer.skipped[0]}")


def _run_flow(chosen: Trace, device: str, tell: Callable[[str], None]) -> dict[str, str]:
    """Reasons of the models that failed; Prefect is imported only when there is work for it."""

    def run() -> None:
        from flows.tracing import trace_sentences

        trace_sentences(chosen)

    return command.run_flow(run, device, tell)


def _ids(chosen: Trace, failures: dict[str, str]) -> dict[str, str]:
    """Reference -> model_id of the models of which nothing failed."""
    ids: dict[str, str] = {}
    for ref in chosen.models():
        if ref not in failures:
            with suppress(BadInput, ConnectionError):  # a hub that went away since
                ids[ref] = sources.model_id_of(ref)
    return ids


def _of_pair(mart: str, chosen: Trace, ids: dict[str, str]) -> pl.DataFrame:
    """A mart's rows of this student and distilled model on these problems."""
    return read.mart(mart).filter(
        pl.col("student_id") == ids.get(chosen.student),
        pl.col("distilled_id") == ids.get(chosen.distilled),
        pl.col("prompt_set_sha256") == problems.load(chosen.problems).sha256,
    )


def _found(chosen: Trace, ids: dict[str, str]) -> list[dict[str, Any]]:
    """What the lake says of each teacher: the pair's row, its shares and areas."""
    found: list[dict[str, Any]] = []
    rows = _of_pair("provenance", chosen, ids)
    for teacher in chosen.teachers:
        for row in rows.filter(pl.col("teacher_id") == ids.get(teacher)).iter_rows(named=True):
            mine = pl.col("measurement_id") == row["measurement_id"]
            shares = read.mart("provenance_breakdown").filter(mine)
            areas = read.mart("provenance_correctness").filter(mine)
            found.append({**row, "shares": shares.to_dicts(), "areas": areas.to_dicts()})
    return found


def _ranking(chosen: Trace, ids: dict[str, str]) -> list[dict[str, Any]]:
    """The candidates for the teacher, the first in rank first."""
    return _of_pair("teacher_attribution", chosen, ids).sort("rank", nulls_last=True).to_dicts()


def _show(found: dict[str, Any]) -> None:
    """One table a teacher, then what the comparisons decide."""
    title = Text(f"{found['distilled']} on {found['student']}, teacher {found['teacher']}")
    table = Table(title=title, title_justify="left")
    table.add_column("label")
    for name in ("share of its sentences", "null: student's own text", "wrong teacher"):
        table.add_column(f"{name}\n(95 % interval)", justify="right")
    shares = {(row["rollouts_of"], row["label"]): row for row in found["shares"]}
    for label in _LABELS:
        cells = [
            _share(shares.get((whose, label))) for whose in ("distilled", "student", "control")
        ]
        table.add_row(label, *cells)
    console().print(table)
    _say(
        f"n: {found['n_sentences']} sentences of {found['n_rollouts']} rollouts "
        f"({found['n_correct']} right, {found['n_incorrect']} wrong, {found['n_unchecked']} "
        f"unchecked); beta {number(found['beta'])} ({found['beta_source']}), least kappa "
        f"{number(found['least_kappa'])}"
    )
    _say(f"teacher patterns: {found['transfer']} ({found['transfer_reasons']})")
    _say(f"right answers: {found['correctness']} ({found['correctness_reasons']})")


def _show_ranking(ranking: list[dict[str, Any]]) -> None:
    """One line a candidate, then whether one of them is the teacher."""
    if not ranking:
        return
    table = Table(title="Candidates for the teacher", title_justify="left")
    for name in ("candidate", "in common beyond the student\n(95 % interval)", "null", ""):
        table.add_column(name, justify="left" if name in ("candidate", "") else "right")
    for row in ranking:
        ends = (number(row[f"ci_{end}_share"]) for end in ("low", "high"))
        table.add_row(
            Text(row["teacher"]),
            f"{number(row['share'])}\n({' to '.join(ends)})",
            number(row["null_share"]),
            row["share_status"] or row["reason"] or "",
        )
    console().print(table)
    first = ranking[0]
    names = ", ".join(row["teacher"] for row in ranking if row["is_attributed"])
    said = f"{first['attribution']}{f' ({names})' if names else ''}: {first['attribution_reasons']}"
    _say(f"capability lineage: {said}")


def _share(row: dict[str, Any] | None) -> str:
    if row is None or row["share"] is None:
        return "-"
    ends = (number(row[f"ci_{end}_share"]) for end in ("low", "high"))
    return f"{number(row['share'])}\n({' to '.join(ends)})"


def _note(line: str) -> None:
    """Tell beside the answer, which a pipe reads alone."""
    sys.stderr.write(line + "\n")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
