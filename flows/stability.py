"""What `cicatrix stability` does around the flow: estimate, run, tell."""

from collections.abc import Callable
from typing import Any

import polars as pl
from rich.table import Table
from rich.text import Text

from flows import command, estimating
from flows.choice import validated
from flows.report import console, note, number, say, write_json
from flows.stability_run import Assessment, Assessor
from measure import models, variants
from warehouse import read
from warehouse.lake import Lake

PROXY = (
    "R is this project's own proxy of stability: burden, load and region of hidden states. Its "
    "source, arXiv 2603.25022, publishes no numbers to check it against."
)


def stability(options: dict[str, Any], *, as_json: bool, dry_run: bool = False) -> int:
    """Measure what is missing, then say what of the teacher its students have; 1 if one failed."""
    tell = note if as_json else say
    chosen = validated(Assessment, options)
    device = chosen.device or models.pick_device()
    models.check_device(device)
    chosen.sampling()  # refuses what cannot be sampled
    with Lake.open() as lake:
        assessor = Assessor(lake, chosen, device)
        _tell_problems(assessor, tell)
        cost = estimating.of_stability(chosen, assessor.asked, device).text()
        if dry_run:
            tell(cost)
            return 0
        complete = assessor.is_complete()
        if complete:
            assessor.conclude()
            tell("all rollouts and steps are in the lake: no model has to run")
    failures: dict[str, str] = {}
    if not complete:
        tell(cost)
        failures = _run_flow(chosen, device, tell)
    if chosen.teacher not in failures:
        _show(_found(assessor), as_json=as_json)
    for ref, reason in failures.items():
        note(f"failed: {ref}: {reason}")
    return 1 if failures else 0


def _tell_problems(assessor: Assessor, tell: Callable[[str], None]) -> None:
    asked = assessor.asked
    tell(
        f"{asked.name}: limits from {len(asked.calibration.problems)} clean problems, tested on "
        f"{len(asked.test.problems)} problems of {asked.n_test_stories} other stories"
    )
    if assessor.skipped:
        tell(f"left out: {len(assessor.skipped)} lines, such as {assessor.skipped[0]}")


def _run_flow(chosen: Assessment, device: str, tell: Callable[[str], None]) -> dict[str, str]:
    """Reasons of the models that failed; Prefect is imported only when there is work for it."""

    def run() -> None:
        from flows.stability_flow import assess_stability

        assess_stability(chosen)

    return command.run_flow(run, device, tell)


def _found(assessor: Assessor) -> dict[str, pl.DataFrame]:
    """The marts' rows of the newest measurement of this teacher on these problems."""
    teacher = assessor.model_id(assessor.chosen.teacher)
    sha256 = variants.load(assessor.chosen.problems).test.sha256
    hypotheses = read.mart("stability_hypothesis", teacher_id=teacher, prompt_set_sha256=sha256)
    mine = pl.col("measurement_id").is_in(hypotheses["measurement_id"].unique().implode())
    return {
        "students": read.mart("stability_student").filter(mine).sort("role"),
        "components": read.mart("stability_component").filter(mine).sort("role"),
        "hypotheses": hypotheses.sort("hypothesis"),
    }


def _show(found: dict[str, pl.DataFrame], *, as_json: bool) -> None:
    if as_json:
        answer = {name: frame.to_dicts() for name, frame in found.items()}
        write_json(answer)
        return
    _show_profiles(found["components"])
    _show_students(found["students"])
    for row in found["hypotheses"].iter_rows(named=True):
        say(f"{row['hypothesis']}: {row['outcome']} ({row['reasons']})")
    say(PROXY)


def _show_profiles(components: pl.DataFrame) -> None:
    """A row a model, each teacher before its students: K, then R and what stands beside it."""
    names = components.select("role", "model").unique(maintain_order=True)
    roles = sorted(names.iter_rows(), key=lambda row: (not row[0].endswith("teacher"), row[0]))
    rows = {(row["role"], row["component"]): row for row in components.iter_rows(named=True)}
    kinds = (("Accuracy (K)", ["capability"]), ("Stability proxies (R)", ["stability", "beside"]))
    for title, kept in kinds:
        mine = components.filter(pl.col("kind").is_in(kept))["component"]
        shown = mine.unique(maintain_order=True).to_list()
        table = Table(title=f"{title}, 95 % intervals", title_justify="left")
        for name in ("", *shown):
            table.add_column(name, justify="right" if name else "left", overflow="fold")
        for role, name in roles:
            table.add_row(Text(name), *(_value(rows.get((role, of))) for of in shown))
        console().print(table)


def _value(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "-"
    null = "" if row["null_value"] is None else f"\nnull {number(row['null_value'])}"
    return f"{number(row['value'])}\n({_interval(row, 'value')}){null}"


def _interval(row: dict[str, Any], name: str) -> str:
    return " to ".join(number(row[f"ci_{end}_{name}"]) for end in ("low", "high"))


def _show_students(students: pl.DataFrame) -> None:
    table = Table(title="Students against their teacher", title_justify="left")
    for name in ("student", "delta K", "delta R", "its noise", "load over the teacher's", ""):
        table.add_column(name, justify="left" if name in ("student", "") else "right")
    for row in students.iter_rows(named=True):
        table.add_row(
            Text(f"{row['student']}\nof {row['teacher']}"),
            *(_distance(row, name) for name in ("delta_k", "delta_r")),
            number(row["noise_r"]),
            _distance(row, "load_ratio"),
            f"{row['asymmetry']}\nProposition 1: {row['proposition']}",
        )
    console().print(table)
    n = students["n_problems"].max() if students.height else 0
    say(f"n: {n} stories, which every interval (95 %) resamples, paired")


def _distance(row: dict[str, Any], name: str) -> str:
    if row[name] is None:
        return "-"
    return f"{number(row[name])}\n({_interval(row, name)})"
