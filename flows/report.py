"""What commands print: the summary of what was measured, and answers to ad-hoc SQL."""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from measure.errors import BadInput
from warehouse import read

MAX_ROWS = 200  # of a table on the screen; files get every row
UNKNOWN = "-"


def print_summary(derivative_ids: Sequence[str]) -> None:
    """One line a derivative: scar and distances to its base, each with its floor."""
    rows = read.mart("summary").filter(pl.col("derivative_id").is_in(list(derivative_ids)))
    if rows.is_empty():
        return
    table = Table(title="Scars and distances to the base", title_justify="left")
    for name in ("family", "derivative", "base"):
        table.add_column(name, overflow="fold")
    table.add_column("scar, x eps\n(non-max range)", justify="right")
    table.add_column("max seed\nx eps", justify="right")
    table.add_column("structural", overflow="fold")
    table.add_column("centroid\n(floor)", justify="right")
    table.add_column("CRP\n(floor)", justify="right")
    table.add_column("functional", overflow="fold")
    for row in rows.sort("family", "derivative").iter_rows(named=True):
        table.add_row(
            # Names are somebody's text, never rich's markup.
            *(Text(row[name]) for name in ("family", "derivative", "base")),
            *_scar(row),
            row["structural_status"] or UNKNOWN,
            f"{number(row['centroid_distance'])}\n({number(row['centroid_floor'])})",
            f"{number(row['crp_distance'])}\n({number(row['crp_floor'])})",
            row["functional_status"] or UNKNOWN,
        )
    console().print(table)
    n_seeds, n_prompts = (_all_of(rows[name]) for name in ("n_seeds", "n_prompts"))
    sys.stdout.write(
        f"n: {n_seeds} seeds of 32 prompts (scar), {n_prompts} prompts (centroid and CRP, in "
        "logits). eps = 1e-4.\nNothing here says whether a model was distilled: a layer is above "
        "its floor or it is not interpretable.\n"
    )


def _scar(row: dict[str, Any]) -> tuple[str, str]:
    """Non-max range and largest seed, where it was measured."""
    if row["max_seed"] is None:
        return UNKNOWN, UNKNOWN
    return (
        f"{number(row['min_non_max_x_eps'])} to {number(row['max_non_max_x_eps'])}",
        f"{number(row['max_seed_x_eps'])} (seed {row['max_seed']})",
    )


def print_weights(model_ids: Sequence[str]) -> None:
    """One line a model: stiffness, curvature and lineage; then why a stiffness is absent."""
    asked = pl.col("model_id").is_in(list(model_ids))
    stiffness = read.mart("stiffness").filter(asked)
    lineages = read.mart("lineage")
    of_weights = {row["derivative_id"]: row for row in lineages.iter_rows(named=True)}
    fishers = {row["model_id"]: row for row in read.mart("fisher").iter_rows(named=True)}
    table = Table(title="Stiffness, Fisher curvature and lineage", title_justify="left")
    for name in ("family", "model"):
        table.add_column(name, overflow="fold")
    table.add_column("stiffness", justify="right")
    table.add_column("kappa_F\n(95 % interval)", justify="right")
    table.add_column("rho_F", justify="right")
    table.add_column("weights from", overflow="fold")
    table.add_column("capability from", overflow="fold")
    for row in stiffness.sort("family", "model").iter_rows(named=True):
        curvature = fishers.get(row["model_id"], {})
        ends = (number(curvature.get(f"ci_{end}_kappa_f")) for end in ("low", "high"))
        pair = of_weights.get(row["model_id"])
        table.add_row(
            *(Text(row[name] or UNKNOWN) for name in ("family", "model")),
            number(row["stiffness"]),
            f"{number(curvature.get('kappa_f'))}\n({' to '.join(ends)})",
            number(curvature.get("rho_f")),
            Text(f"{pair['base']}: {pair['weight_lineage']}" if pair else UNKNOWN),
            Text((pair or {}).get("capability_lineage") or UNKNOWN),
        )
    if stiffness.height:
        console().print(table)
    unknown = lineages.filter(
        pl.col("derivative_id").is_in(list(model_ids)), pl.col("capability_lineage").is_null()
    )
    for reason in unknown["capability_lineage_reason"].unique(maintain_order=True):
        sys.stdout.write(f"capability: {reason}.\n")
    for row in stiffness.filter(pl.col("stiffness").is_null()).iter_rows(named=True):
        sys.stdout.write(f"no stiffness of {row['model']}: {row['reason']}\n")


def say(line: str) -> None:
    """Tell on standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """Tell beside the answer, which a pipe reads alone."""
    sys.stderr.write(line + "\n")


def write_json(answer: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print an answer as JSON; instants as text."""
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2, default=str) + "\n")


def with_interval(row: Mapping[str, Any], name: str) -> str:
    """A column's value and, in brackets, the ends of its interval."""
    ends = (number(row[f"ci_{end}_{name}"]) for end in ("low", "high"))
    return f"{number(row[name])} ({' to '.join(ends)})"


def number(value: float | None) -> str:
    """Three significant digits, thousands separated; a dash for what is not known."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def write_answer(answer: pl.DataFrame, form: str, out: Path | None) -> int:
    """Write a query's rows as a table (cut at 200 rows), CSV, JSON or Parquet."""
    content = _as_table(answer).encode() if form == "table" else _as_file(answer, form)
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return 0
    try:
        out.write_bytes(content)
    except OSError as error:
        raise BadInput(
            f"{str(out)!r} cannot be written ({error.strerror}): give another --out"
        ) from error
    return 0


def _as_file(answer: pl.DataFrame, form: str) -> bytes:
    target = io.BytesIO()
    if form == "csv":
        _flat(answer).write_csv(target)
    elif form == "json":
        answer.write_json(target)
        target.write(b"\n")
    else:
        answer.write_parquet(target)
    return target.getvalue()


def _as_table(answer: pl.DataFrame) -> str:
    """A row a line, or, where that is wider than the terminal, a column a line."""
    table = Table()
    for name in answer.columns:
        table.add_column(Text(name))
    cells = [
        [_cell(UNKNOWN if value is None else value) for value in row]
        for row in answer.head(MAX_ROWS).iter_rows()
    ]
    for row in cells:
        table.add_row(*row)
    buffer = io.StringIO()
    drawn = Console(file=buffer, width=console().width)
    # What a table needs is asked of a width that holds any.
    if drawn.measure(table, options=drawn.options.update(width=100_000)).maximum <= drawn.width:
        drawn.print(table)
    else:
        _print_records(drawn, answer.columns, cells)
    if answer.height > MAX_ROWS:
        buffer.write(f"the first {MAX_ROWS:,} of {answer.height:,} rows; --format csv has all\n")
    else:
        buffer.write(f"{answer.height:,} rows\n")
    return buffer.getvalue()


def _print_records(drawn: Console, names: Sequence[str], cells: Sequence[Sequence[Text]]) -> None:
    """Each row as lines of a column and its value, as psql has it when expanded."""
    for number_of, row in enumerate(cells, start=1):
        drawn.print(Rule(Text(f"row {number_of:,}"), align="left", style=""))
        record = Table.grid(padding=(0, 2))
        record.add_column(max_width=max(drawn.width // 2, 1), overflow="fold")
        record.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            record.add_row(Text(name), value)
        drawn.print(record)


def _cell(value: object) -> Text:
    """Text of a model or a person is shown as it is, never as rich's markup."""
    return Text(f"{value:.6g}" if isinstance(value, float) else str(value))


def _flat(answer: pl.DataFrame) -> pl.DataFrame:
    """CSV has no lists: they become JSON text."""
    lists = [name for name, kind in answer.schema.items() if kind.is_nested()]
    return answer.with_columns(
        pl.col(name).map_elements(lambda v: str(list(v)), return_dtype=pl.String) for name in lists
    )


def _all_of(values: pl.Series) -> str:
    """The one value that all rows have, or their range."""
    known = values.drop_nulls()
    if known.is_empty():
        return UNKNOWN
    low, high = known.min(), known.max()
    return str(low) if low == high else f"{low} to {high}"


def console() -> Console:
    """The terminal; 150 columns where output goes elsewhere."""
    found = Console()
    return found if found.is_terminal else Console(width=150)
