"""What `cicatrix crosscode` does around the flow: estimate, run, tell."""

from typing import Any

import polars as pl
from rich.table import Table
from rich.text import Text

from flows import command, estimating
from flows.crosscode_run import Coder
from flows.report import console, note, number, say, with_interval, write_json
from measure import models
from measure.crosscoding import Crosscoding, parse
from warehouse import read
from warehouse.lake import Lake


def crosscode(options: dict[str, Any], *, as_json: bool, dry_run: bool = False) -> int:
    """Measure what is missing, then say what the crosscoder found; 1 if something failed."""
    tell = note if as_json else say
    chosen = parse(options)
    device = chosen.device or models.pick_device()
    models.check_device(device)
    with Lake.open() as lake:
        coder = Coder(lake, chosen, device)
        cost = _cost(coder)
        if dry_run:
            tell(cost)
            return 0
        complete = coder.is_complete()
    failures: dict[str, str] = {}
    if complete:
        tell("all of it is in the lake: no model has to run")
    else:
        tell(cost)
        failures = _run_flow(chosen, device, as_json=as_json)
    if chosen.distilled not in failures:
        _show(_found(coder), as_json=as_json)
        if coder.shards.is_dir() and not complete:
            tell(f"activations are in {coder.shards}; they may be removed")
    for ref, reason in failures.items():
        note(f"failed: {ref}: {reason}")
    return 1 if failures else 0


def _cost(coder: Coder) -> str:
    """One line: what a run would do."""
    if "crosscoder" in coder.chosen.skip:
        n_words = sum(len(relation.words) for relation in coder.relations())
        return f"to do, if none of it is there: {n_words:,} words read by both models"
    return estimating.of_crosscoder(coder).text()


def _run_flow(chosen: Crosscoding, device: str, *, as_json: bool) -> dict[str, str]:
    """Reasons of what failed; Prefect is imported only when there is work for it."""

    def run() -> None:
        from flows.crosscode_flow import crosscode_pair

        crosscode_pair(chosen)

    return command.run_flow(run, device, note if as_json else say)


def _found(coder: Coder) -> dict[str, pl.DataFrame]:
    """The marts' rows of a crosscoder and of what its latents do."""
    measurement_id = coder.coder.measurement_id
    used: dict[str, Any] = {"crosscoder_id": measurement_id, "is_newest": True}
    words = coder.plan_of("parallelogram").measurement_id
    return {
        "crosscoder": read.mart("crosscoder", measurement_id=measurement_id),
        "ends": read.mart("latent_end", measurement_id=measurement_id),
        "controls": read.mart("latent_control", measurement_id=measurement_id),
        "ablation": read.mart("ablated_feature", **used),
        "steering": read.mart("steered_direction", **used),
        "geometry": read.mart("word_geometry_gain", measurement_id=words),
    }


def _show(found: dict[str, pl.DataFrame], *, as_json: bool) -> None:
    if as_json:
        answer = {name: frame.to_dicts() for name, frame in found.items()}
        write_json(answer)
        return
    for row in found["crosscoder"].iter_rows(named=True):
        _show_crosscoder(row)
    _show_ends(found["ends"])
    for row in found["controls"].filter(pl.col("category") == "any").iter_rows(named=True):
        say(
            f"latents of reasoning words, against {row['control']}: {row['answer']} "
            f"({row['n_category']} of {row['n']} against {row['n_category_control']} of "
            f"{row['n_control']}; difference {with_interval(row, 'difference')})"
        )
    causal = found["ablation"].filter(pl.col("label") == "distilled-causal")
    if found["ablation"].height:
        say(
            f"ablation: {causal.height} of {found['ablation'].height} sets and categories are "
            "distilled-causal"
        )
    for row in found["steering"].filter(~pl.col("label").is_in(["neither"])).iter_rows(named=True):
        say(f"steering {row['direction']} by {row['amplitude']:+g}: {row['label']}")
    for row in found["geometry"].filter(pl.col("change") != "no difference").iter_rows(named=True):
        say(
            f"word pairs `{row['relation']}`, {row['n_axes']} axes: {row['change']} than in the "
            f"base (area {with_interval(row, 'd_area')})"
        )


def _show_crosscoder(row: dict[str, Any]) -> None:
    gate = "its latents may be read" if row["is_interpretable"] else "NOT INTERPRETABLE"
    say(f"{row['distilled']} over {row['base']}, {row['sparsity']}: {gate} ({row['reasons']})")
    say(
        f"mean NRN {number(row['mean_nrn'])} ({number(row['ci_low_mean_nrn'])} to "
        f"{number(row['ci_high_mean_nrn'])}) of {row['n_live']} live latents; base-only "
        f"{row['n_base_only']}, shared {row['n_shared']}, between {row['n_between']}; "
        f"distilled-only {row['n_distilled_only']} by NRN alone, {row['n_genuine']} by latent "
        "scaling"
    )


def _show_ends(ends: pl.DataFrame) -> None:
    if ends.is_empty():
        return
    table = Table(title="Latents by the words they fire on", title_justify="left")
    n = ends["n_per_end"].max()
    for name in ("category", f"of {n} most distilled", f"of {n} most of the base", "difference"):
        table.add_column(name, justify="left" if name == "category" else "right")
    for row in ends.iter_rows(named=True):
        table.add_row(
            Text(row["category"]),
            str(row["n_top"]),
            str(row["n_bottom"]),
            with_interval(row, "difference"),
        )
    console().print(table)
