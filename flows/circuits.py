"""What `cicatrix circuits` does around the flow: estimate, run, tell."""

from contextlib import suppress
from typing import Any

import polars as pl
from rich.table import Table
from rich.text import Text

from flows import command, estimating
from flows.choice import validated
from flows.circuit_plans import CircuitChoice
from flows.circuit_run import CircuitRun
from flows.report import console, note, number, say, with_interval, write_json
from measure import circuit_verdicts, models, sources
from measure.circuit_jobs import probe_labels
from measure.circuit_verdicts import Interval
from measure.errors import BadInput
from warehouse import read
from warehouse.lake import Lake

MOST_COMPONENTS = 10  # of each model on the screen; the mart has all
MOST_EDGES = 5
SHOWN = (("max", "greedy"), ("max", "hungarian"), ("l1", "greedy"))


def circuits(options: dict[str, Any], *, as_json: bool, dry_run: bool = False) -> int:
    """Measure what is missing, then say what the components say; 1 if a model failed."""
    tell = note if as_json else say
    chosen = validated(CircuitChoice, options)
    device = chosen.device or models.pick_device()
    models.check_device(device)
    n_missing, flops, awaits_circuits = 0, 0.0, False
    shas: dict[str, dict[str, str]] = {}
    with Lake.open() as lake:
        for task in chosen.tasks:
            run = CircuitRun(lake, chosen, device, task)
            shas[task] = {ref: run.task_set(ref).sha256 for ref in chosen.models()}
            for ref in chosen.models():
                asked = run.task_set(ref)
                tell(
                    f"{ref}: {len(asked.keys)} prompts of {asked.name}, {asked.clean.shape[1]} "
                    f"tokens each; {run.n_components(ref)} components"
                )
                if "probes" in chosen.parts and not probe_labels(asked):
                    tell(f"{ref}: no probes, since {asked.name} has no terms to be asked for")
            n_missing += run.n_passes_missing()
            flops += run.flops_missing()
            awaits_circuits |= run.awaits_circuits()
            if not dry_run and not run.n_passes_missing():
                run.conclude()
    edges = "; edges besides, as many as the circuits turn out to have" if awaits_circuits else ""
    seconds = flops / (estimating.EFFICIENCY * estimating.matmul_flops_per_s(device))
    time = f", at most about {estimating.duration(seconds)} on {device}" if n_missing else ""
    tell(f"to run, where it is not in the lake: {n_missing:,} passes of a prompt{time}{edges}")
    if dry_run:
        return 0
    failures: dict[str, str] = {}
    if n_missing:

        def flow() -> None:
            from flows.circuit_flow import measure_circuits

            measure_circuits(chosen)

        failures = command.run_flow(flow, device, tell)
    found = [_found(chosen, shas[task], failures) for task in chosen.tasks]
    if as_json:
        write_json(found)
    else:
        for one in found:
            _show(one)
    for ref, reason in failures.items():
        note(f"failed: {ref}: {reason}")
    return 1 if failures else 0


def _found(chosen: CircuitChoice, shas: dict[str, str], failures: dict[str, str]) -> dict[str, Any]:
    """What the lake says of a task's models, and of each student beside the teacher."""
    ids: dict[str, str] = {}
    for ref in chosen.models():
        if ref not in failures:
            with suppress(BadInput, ConnectionError):  # a hub that went away since
                ids[ref] = sources.model_id_of(ref, may_be_masked=True)

    def of_models(mart: str) -> list[dict[str, Any]]:
        rows = read.mart(mart)
        found = [
            rows.filter(pl.col("model_id") == ids[ref], pl.col("prompt_set_sha256") == shas[ref])
            for ref in ids
        ]
        return pl.concat(found).to_dicts() if found else []

    def of_pairs(mart: str) -> list[dict[str, Any]]:
        if chosen.teacher not in ids:
            return []
        students = [ids[ref] for ref in chosen.students if ref in ids]
        return read.mart(mart).filter(
            pl.col("teacher_id") == ids[chosen.teacher],
            pl.col("student_id").is_in(students),
            pl.col("prompt_set_sha256") == shas[chosen.teacher],
        ).to_dicts()  # fmt: skip

    return {
        "models": of_models("brittleness_model"),
        "components": of_models("component_effect"),
        "circuits": of_models("circuit"),
        "edges": of_models("circuit_link"),
        "estimates": of_models("estimate_agreement"),
        "alignments": of_pairs("aligned_pair"),
        "brittleness": of_pairs("brittleness_pair"),
    }


def _show(found: dict[str, Any]) -> None:
    for row in found["models"]:
        _show_model(row, found)
    for row in found["estimates"]:
        say(
            f"attribution patching of {row['model']}: rank correlation with ablation "
            f"{number(row['spearman'])} over {row['n_components']} components; "
            f"{row['shared_top10']:.0%} of its ten largest are the ten largest"
        )
    students = {row["student_id"]: row["student"] for row in found["alignments"]}
    for student_id, student in students.items():
        _show_pair(student_id, student, found)


def _show_model(row: dict[str, Any], found: dict[str, Any]) -> None:
    mine = [one for one in found["components"] if one["measurement_id"] == row["measurement_id"]]
    say(
        f"{row['model']} on {row['task']}: mean logit difference "
        f"{with_interval(row, 'mean_ld')} over {row['n_prompts']} prompts"
        + (f"; raw effects only, and no circuit: {row['reason']}" if row["reason"] else "")
    )
    if row["mean_drop_pct"] is not None:
        say(
            f"brittleness: mean drop {with_interval(row, 'mean_drop_pct')} % over "
            f"{row['n_components']} components (over prompts "
            f"{number(row['prompt_ci_low_mean_drop_pct'])} to "
            f"{number(row['prompt_ci_high_mean_drop_pct'])}; noise alone "
            f"{number(row['floor_mean_drop_pct'])}), five largest "
            f"{with_interval(row, 'top5_drop_pct')} %, Gini {with_interval(row, 'gini_drop')}"
        )
    table = Table(title=Text(f"Components of {row['model']}"), title_justify="left")
    for name in ("component", "effect, logits\n(95 % interval)", "drop, %"):
        table.add_column(name, justify="left" if name == "component" else "right")
    for one in sorted(mine, key=lambda one: one["rank"])[:MOST_COMPONENTS]:
        table.add_row(one["component"], with_interval(one, "effect"), number(one["drop_pct"]))
    console().print(table)
    if len(mine) > MOST_COMPONENTS:
        say(f"and {len(mine) - MOST_COMPONENTS} more, in the mart component_effect")
    for one in sorted(found["circuits"], key=lambda one: one["budget"]):
        if one["model_id"] == row["model_id"]:
            say(
                f"circuit losing at most {one['budget']:.0%}: {one['n_heads']} of "
                f"{one['n_all_heads']} heads, {one['n_mlps']} of {one['n_all_mlps']} MLPs; alone "
                f"it does {with_interval(one, 'completeness_pct')} %, the rest "
                f"{with_interval(one, 'necessity_pct')} %; Jaccard with 20 %: "
                f"{number(one['jaccard'])}"
            )
    _show_edges([one for one in found["edges"] if one["model_id"] == row["model_id"]])


def _show_edges(edges: list[dict[str, Any]]) -> None:
    if not edges:
        return
    kept = sum(one["is_kept"] for one in edges)
    apart = sum(one["is_apart"] for one in edges)
    most = sorted(edges, key=lambda one: one["delta_p_edge"])[:MOST_EDGES]
    say(
        f"of the {len(edges)} edges of the circuit at {edges[0]['budget']:.0%}, {apart} have an "
        f"interval beside 0 and {kept} cost more than {edges[0]['budget']:.0%}; the most, in "
        "points: "
        + "; ".join(
            f"{one['source']} to {one['destination']}"
            + (f" ({one['reader']})" if one["reader"] in "qkv" else "")
            + f" {with_interval(one, 'delta_p_edge')}"
            for one in most
        )
    )


def _show_pair(student_id: str, student: str, found: dict[str, Any]) -> None:
    rows = {
        (row["normalisation"], row["matching"]): row
        for row in found["alignments"]
        if row["student_id"] == student_id and row["mode"] == "ours"
    }
    first = next(iter(rows.values()))
    if first["reason"]:
        say(f"{student} beside {first['teacher']}: not aligned, {first['reason']}")
    else:
        title = Text(f"{student} beside {first['teacher']}, n = {first['n_prompts']} prompts")
        table = Table(title=title, title_justify="left")
        for name in ("variant", "alignment", "its null", "gain", "similarity", "influence gap"):
            table.add_column(name, justify="left" if name == "variant" else "right")
        for variant in SHOWN:
            row = rows[variant]
            names = ("alignment", "gain", "mean_similarity", "mean_abs_delta_influence")
            aligned, gain, alike, gap = (with_interval(row, name) for name in names)
            null = f"{number(row['null_alignment'])}\n(p {number(row['null_p'])})"
            table.add_row(" + ".join(variant), aligned, null, gain, alike, gap)
        console().print(table)
        say(f"MLPs by {first['mlp_method']}: {first['mlp_reason']}")
    for row in found["brittleness"]:
        if row["student_id"] == student_id and not row["is_paper_mode"]:
            say(_brittleness(row, found))


def _brittleness(row: dict[str, Any], found: dict[str, Any]) -> str:
    if row["difference_pct"] is None:
        return f"brittleness against its {row['against']}: unknown, {row['reason']}"
    line = (
        f"brittleness against its {row['against']}: {with_interval(row, 'difference_pct')} points"
    )
    if row["beta"] is not None:
        line += f", {with_interval(row, 'per_tenth')} for each 0.1 of compression"
    if row["against"] == "teacher":
        said = more_brittle(row, found["models"], found["brittleness"])
        line += f"; {said.label} ({'; '.join(said.reasons)})"
    return line


def more_brittle(
    row: dict[str, Any], of_models: list[dict[str, Any]], of_pairs: list[dict[str, Any]]
) -> circuit_verdicts.Verdict:
    """The verdict on a pair of the mart `brittleness_pair`, from the marts' rows."""
    by_id = {one["model_id"]: one for one in of_models}
    controls = [
        one
        for one in of_pairs
        if one["student_id"] == row["student_id"] and one["against"] != "teacher"
    ]
    return circuit_verdicts.more_brittle(
        _interval(by_id.get(row["teacher_id"]), "mean_drop_pct"),
        _interval(by_id.get(row["student_id"]), "mean_drop_pct"),
        _interval(row, "difference_pct"),
        _interval(controls[0], "difference_pct") if controls else None,
    )


def _interval(row: dict[str, Any] | None, name: str) -> Interval:
    row = row or {}
    return Interval(
        value=row.get(name), low=row.get(f"ci_low_{name}"), high=row.get(f"ci_high_{name}")
    )
