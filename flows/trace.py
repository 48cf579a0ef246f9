"""What `cicatrix trace` does around the flow: estimate, run, tell."""

import re
from collections.abc import Callable
from typing import Any

from rich.table import Table
from rich.text import Text

from flows import command, estimating
from flows.report import console, note, number, say, write_json
from flows.sampler import chosen_of
from flows.tracer import Trace, Tracer
from measure import models
from warehouse import read
from warehouse.lake import Lake

_LABELS = ("Shared", "Teacher", "Student", "Boosted")
_WHOSE = {"distilled": "the distilled model's", "student": "the student's own (null)"}


def trace(options: dict[str, Any], *, as_json: bool, dry_run: bool = False) -> int:
    """Trace what is missing, then say what the sentences say; 1 if a model failed."""
    tell = note if as_json else say
    chosen = chosen_of(Trace, options)
    device = chosen.device or models.pick_device()
    models.check_device(device)
    with Lake.open() as lake:
        tracer = Tracer(lake, chosen, device)
        tracer.tell_problems(tell)
        n_problems = len(tracer.asked.problems)
        if dry_run:
            tell(estimating.of_sampled(chosen, n_problems, device).text())
            return 0
        complete = tracer.is_complete()
        if complete:
            tracer.conclude()
            tell("all rollouts and scores are in the lake: no model has to run")
    if not complete:
        tell(estimating.of_sampled(chosen, n_problems, device).text())
        tracer.failures.update(_run_flow(chosen, device, tell))
    with Lake.open() as lake:
        tracer.go_on_in(lake)
        shown, ranking = _found(tracer)
    if as_json:
        answer = {"teachers": shown, "attribution": ranking}
        write_json(answer)
    else:
        for found in shown:
            _show(found)
        _show_ranking(ranking)
    for ref, reason in tracer.failures.items():
        note(f"failed: {ref}: {reason}")
    return 1 if tracer.failures else 0


def _run_flow(chosen: Trace, device: str, tell: Callable[[str], None]) -> dict[str, str]:
    """Reasons of the models that failed; Prefect is imported only when there is work for it."""

    def run() -> None:
        from flows.tracing import trace_sentences

        trace_sentences(chosen)

    return command.run_flow(run, device, tell)


def _found(tracer: Tracer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What these very measurements say: of each teacher its row, shares and areas; the ranking.

    Nothing where student or distilled model failed.
    """
    if not tracer.teachers_at_hand():
        return [], []
    *labels, ranking = (plan.measurement_id for plan, _ in tracer.conclusions())
    found: list[dict[str, Any]] = []
    for measurement_id in labels:
        for row in read.of_measurement("provenance", measurement_id).iter_rows(named=True):
            shares, areas = (
                read.table(name, measurement_id=measurement_id).to_dicts()
                for name in ("provenance_share", "provenance_area")
            )
            found.append({**row, "shares": shares, "areas": areas})
    ranked = read.of_measurement("teacher_attribution", ranking).sort("rank", nulls_last=True)
    return found, ranked.to_dicts()


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
    say(
        f"n: {found['n_sentences']} sentences of {found['n_rollouts']} rollouts "
        f"({found['n_correct']} right, {found['n_incorrect']} wrong, {found['n_unchecked']} "
        f"unchecked); beta {number(found['beta'])} ({found['beta_source']}); kappa with labels at "
        f"other thresholds, the least, {number(found['least_kappa'])}, by the other length rule "
        f"{number(found['own_token_kappa'])}; {found['n_masked']} are Shared by alpha alone"
    )
    if left_out := _left_out(found):
        say(f"left out: {left_out}")
    say(f"teacher patterns: {found['transfer']} ({found['transfer_reasons']})")
    say(f"right answers: {found['correctness']} ({found['correctness_reasons']})")


def _left_out(found: dict[str, Any]) -> str:
    """What no statistic counts, marks of reasoning apart."""
    kinds = {
        "n_empty": "rollouts without a sentence",
        "n_unscored": "sentences without a token in some model or beyond its positions",
        "n_repeats": "sentences that repeat the one before",
    }
    return ", ".join(f"{found[name]} {what}" for name, what in kinds.items() if found[name])


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
    called = {row["role"]: row["teacher"] for row in ranking}
    reasons = re.sub(
        r"\bteacher(?:-\d+)?\b",
        lambda role: called.get(role[0], role[0]),
        first["attribution_reasons"],
    )
    said = f"{first['attribution']}{f' ({names})' if names else ''}: {reasons}"
    say(f"capability lineage: {said}")


def _share(row: dict[str, Any] | None) -> str:
    if row is None or row["share"] is None:
        return "-"
    ends = (number(row[f"ci_{end}_share"]) for end in ("low", "high"))
    return f"{number(row['share'])}\n({' to '.join(ends)})"
