"""The numbers that others have published, as rows: a source of its own, never mixed with measured.

They stand in `published.toml` with the convention they were given in, since one paper uses several
for one quantity. Verdicts are tested on them; `flows/published.py` writes them into every lake.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

from measure.verdicts import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedNumber:
    """One row per source, place, quantity, convention and subject."""

    source: str  # "S0", "S3", "S4", or "TEXT " and a page: a weaker one
    place: str | None = None  # table or section of the source; null if not known
    subject: str  # a model, a family, or what the number is about
    family: str | None = None  # base family; null if there is none or it is not known
    layer: Layer | None = None  # null: a static or gradient observable, or across layers
    quantity: str
    convention: str | None = None  # how it was taken, where there is more than one way
    unit: str
    value: float | None = None  # null where a range or a text stands
    low: float | None = None
    high: float | None = None
    text: str | None = None  # a label as published


def load() -> tuple[PublishedNumber, ...]:
    """Every row of `published.toml`, in its order."""
    text = resources.files("measure").joinpath("published.toml").read_text("utf-8")
    return tuple(parse(text))


def parse(text: str) -> Iterator[PublishedNumber]:
    """Rows of tables in TOML; a row that is not whole, or stands there twice, is an error."""
    seen: set[tuple[str | None, ...]] = set()
    for table in tomllib.loads(text)["table"]:
        shared = {name: field for name, field in table.items() if name != "rows"}
        for given in table["rows"]:
            fields: dict[str, Any] = {**shared, **given}
            fields |= {name: float(given[name]) for name in _NUMBERS if name in given}
            row = PublishedNumber(**fields)
            key = (row.source, row.place, row.quantity, row.convention, row.subject)
            forms = (row.value is not None, row.low is not None, row.text is not None)
            if sum(forms) != 1 or (row.low is None) != (row.high is None):
                raise ValueError(f"{key} needs a value, or low and high, or a text: {given}")
            if key in seen:
                raise ValueError(f"{key} stands twice")
            seen.add(key)
            yield row


_NUMBERS = ("value", "low", "high")
