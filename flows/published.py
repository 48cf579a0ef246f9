"""The view `published` of every lake, written from the numbers of measure/published.toml.

`python -m flows.published`. It is SQL with the numbers in it, so that each lake has them, new or
old, without a write; a test keeps it true.
"""

import argparse
import sys
from dataclasses import astuple, fields

from measure.published import PublishedNumber, load
from warehouse.relations import SQL

FILE = SQL / "marts" / "published.sql"
_HEAD = """\
-- One row per number, range or label that others have published; nothing measured is among them.
-- Written by `python -m flows.published` from measure/published.toml.
-- source: 'S0' Coslett 2026, 'S3' arXiv 2505.10822, 'S4' 2512.20908; 'TEXT', a page: weaker
-- place: table or section of the source; null if not known
-- pair: the pair, model or family; 'unnamed N' where the model is not known
-- family: base family; null if there is none or it is not known
-- layer: layer it belongs to; null for other observables and for what is across layers
-- quantity: what it is, e.g. 'x_eps', 'dc_ratio'
-- convention: how it was taken, where there is more than one way; only like conventions compare
-- unit: of value, low and high
-- value: null where a range or a text stands
-- low: lower end of a range
-- high: upper end of a range
-- text: a label as published
"""
_COLUMNS = ["pair" if field.name == "subject" else field.name for field in fields(PublishedNumber)]
_NUMBERS = {"value", "low", "high"}


def text() -> str:
    """The whole file."""
    rows = ",\n".join(f"    ({', '.join(map(_literal, astuple(row)))})" for row in load())
    chosen = ",\n".join(
        f"    {name}::{'double' if name in _NUMBERS else 'varchar'} as {name}" for name in _COLUMNS
    )
    names = ", ".join(_COLUMNS)
    return f"{_HEAD}select\n{chosen}\nfrom (values\n{rows}\n) as number ({names})\n"


def _literal(value: object) -> str:
    if value is None:
        return "null"
    return repr(value) if isinstance(value, float) else "'" + str(value).replace("'", "''") + "'"


def main() -> int:
    """Write the view, or with --check say whether it is true."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when it differs")
    if not parser.parse_args().check:
        FILE.write_text(text(), encoding="utf-8")
        return 0
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{FILE.name} is not up to date: run python -m flows.published\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
