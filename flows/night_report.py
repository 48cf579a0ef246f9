"""A night's report as Markdown: what is new, where each falls in its family, who needs a person."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from warehouse import read

SHOWN = 100  # lines of a section; the dashboard has them all


def report(night: int) -> str:
    """The whole report, from the marts `night` and `night_model`."""
    (one,) = read.mart("night", night=night).to_dicts()
    models = read.mart("night_model")
    measured = models.filter(state="measured", state_night=night)
    new = models.filter(night=night)
    needs = models.filter(pl.col("needs").is_not_null(), pl.col("state_night") == night)
    parts = [
        f"# Night {night}",
        f"{one['n_new']} new of {one['n_bases']} bases, {one['n_queued']} of them can be measured; "
        f"{one['n_measured']} measured, {one['n_failed']} failed, "
        f"{one['downloaded_bytes'] / 1e9:.3g} of {one['byte_budget'] / 1e9:.3g} GB downloaded, "
        f"bases left out; {one['n_alerts']} alerts.",
    ]
    if one["reason"]:
        parts.append(f"**In trouble:** {_cell(one['reason'])}")
    parts += _section("Where each falls in its family", measured, _place_rows)
    parts += _section("New", new, _new_rows)
    parts += _section("Needs a person", needs, _need_rows)
    parts.append(
        "Teachers are claims of cards, data sets and names; nothing here says that a model was "
        "distilled. A layer is judged by its own numbers alone; below its floor it is not "
        "interpretable."
    )
    return "\n\n".join(parts) + "\n"


def _section(title: str, rows: pl.DataFrame, lines: Any) -> list[str]:
    if rows.is_empty():
        return [f"## {title}", "None."]
    found: list[list[str]] = lines(rows.sort("family", "repo").head(SHOWN).to_dicts())
    head, *body = found
    table = [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]
    more = [f"and {rows.height - SHOWN} more"] if rows.height > SHOWN else []
    return [f"## {title}", "\n".join(table), *more]


def _place_rows(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    head = ["repository", "structure", "output", "scar, x eps (n seeds)", "louder than",
            "centroid (floor), logits (n prompts)", "claimed teacher"]  # fmt: skip
    return [head, *([_name(row), *_place(row), _claims(row)] for row in rows)]


def _place(row: Mapping[str, Any]) -> list[str]:
    scar = _span(row["min_non_max_x_eps"], row["max_non_max_x_eps"])
    centroid = f"{_number(row['centroid_distance'])} ({_number(row['centroid_floor'])})"
    return [
        row["structural_label"] or "-",
        row["functional_label"] or "-",
        f"{scar} ({row['n_seeds'] or 0}), {row['structural_status'] or 'not measured'}",
        "-" if row["n_family"] is None else f"{row['n_quieter']} of {row['n_family']} others",
        f"{centroid} ({row['n_prompts'] or 0}), {row['functional_status'] or 'not measured'}",
    ]


def _new_rows(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    head = ["repository", "relation", "state", "why", "licence", "claimed teacher"]
    return [
        head,
        *(
            [
                _name(row),
                row["relation"]
                + (f", {_cell(row['quantisation'])}" if row["quantisation"] else ""),
                row["state"],
                _cell(row["reason"] or ""),
                _cell(row["licence"] or "not named"),
                _claims(row),
            ]
            for row in rows
        ),
    ]


def _need_rows(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [
        ["repository", "what", "why"],
        *([_name(row), row["needs"], _cell(row["reason"] or row["label"] or "")] for row in rows),
    ]


def _name(row: Mapping[str, Any]) -> str:
    return f"{_cell(row['repo'])} @{row['sha'][:12]}"


def _claims(row: Mapping[str, Any]) -> str:
    return _cell(", ".join(row["teacher_claims"] or ())) or "-"


def _span(low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{_number(low)} to {_number(high)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}"


def _cell(text: str) -> str:
    """Somebody's text in a cell: one line, no table, no markup."""
    kept = " ".join(text.split())[:300]
    return "".join(f"\\{c}" if c in r"\`*_[]<>#|!" else c for c in kept)
