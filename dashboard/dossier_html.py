"""A dossier as one HTML file that needs nothing else: no script, no font, no address."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from dashboard.words import instant, number

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2rem }
table { border-collapse: collapse; font-size: 13.5px; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8a8f9455;
  vertical-align: top }
td.n { text-align: right; white-space: nowrap } .wide { overflow-x: auto }
.note { color: #7a8087; font-size: 13.5px } .pale { opacity: .65 }
code { font-size: 12.5px; overflow-wrap: anywhere }
"""


def dossier(
    pair: Mapping[str, Any],
    claims: Sequence[Mapping[str, Any]],
    evidence: Sequence[Mapping[str, Any]],
    published: Sequence[Mapping[str, Any]],
    made_at: datetime,
    commands: Sequence[str],
) -> str:
    """The rows of the marts `pair`, `claim`, `evidence` and `published` as one page."""
    name = escape(pair["derivative"])
    layers = list(dict.fromkeys(row["layer"] for row in evidence))
    return "".join(
        [
            "<!doctype html><html lang='en'><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width, initial-scale=1'>",
            f"<title>{name}: dossier</title><style>{_STYLE}</style>",
            f"<h1>{name}</h1><p>From {escape(pair['base'])}, family "
            f"{escape(pair['family'] or 'not known')}. Written {instant(made_at)} by Cicatrix; "
            f"newest measurement {instant(pair['measured_at'])}.</p>",
            f"<p class='note'><code>{escape(pair['derivative_id'])}</code> from "
            f"<code>{escape(pair['base_id'])}</code></p>",
            "<h2>Claims</h2>",
            _claims(claims),
            *(
                f"<h2>Measured: {escape(layer)}</h2>"
                + _evidence([row for row in evidence if row["layer"] == layer])
                for layer in layers
            ),
            "<h2>Published of this family</h2>",
            _published(published),
            "<h2>How to measure it again</h2>",
            *(f"<p><code>{escape(command)}</code></p>" for command in commands),
            "<p class='note'>Evidence of one layer never stands in for another's. A number not "
            "above its floor is not interpretable. Measured and published numbers differ in "
            "definition and are never mixed.</p></html>",
        ]
    )


def _claims(claims: Sequence[Mapping[str, Any]]) -> str:
    if not claims:
        return "<p>None was judged: <code>cicatrix verdict MODEL</code> judges them.</p>"
    rows = (
        _row(
            row["layer"], row["claim"], row["label"], "; ".join(row["reasons"] or ()),
            "; ".join(row["inadmissible"] or ()) or "none", "; ".join(row["context"] or ()),
            instant(row["judged_at"]),
        )
        for row in claims
    )  # fmt: skip
    heads = ("Layer", "Claim", "Is", "By", "Inadmissible", "Of other layers", "Judged")
    return _table(heads, rows)


def _evidence(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ("Quantity", "Of", "Value", "Spread", "Floor", "n", "Status", "Why", "Measured")
    return _table(
        heads,
        (
            _row(
                row["quantity"], row["variant"], number(row["value"]), spread(row),
                number(row["floor"]), f"{row['n'] if row['n'] is not None else '–'} {row['n_of']}",
                row["status"] or "", row["reason"] or "", instant(row["measured_at"]),
                pale=row["status"] == "not interpretable",
            )
            for row in rows
        ),
    )  # fmt: skip


def _published(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>Nothing.</p>"
    return _table(
        ("Quantity", "Pair", "As", "Value", "Unit", "Source"),
        (
            _row(
                row["quantity"], row["pair"], row["convention"],
                row["text"] or (
                    number(row["value"]) if row["value"] is not None
                    else f"{number(row['low'])} to {number(row['high'])}"
                ),
                row["unit"], f"{row['source']}, {row['place'] or 'place not known'}",
            )
            for row in rows
        ),
    )  # fmt: skip


def spread(row: Mapping[str, Any]) -> str:
    """The ends of a number's spread and what they are."""
    if row["low"] is None:
        return "–"
    return f"{number(row['low'])} to {number(row['high'])} ({row['spread']})"


def _table(heads: Sequence[str], rows: Any) -> str:
    head = "".join(f"<th>{escape(one)}" for one in heads)
    return f"<div class='wide'><table><tr>{head}{''.join(rows)}</table></div>"


def _row(*cells: Any, pale: bool = False) -> str:
    said = "".join(f"<td>{escape(str(cell if cell is not None else '–'))}" for cell in cells)
    return f"<tr{' class=pale' if pale else ''}>{said}"
