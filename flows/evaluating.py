"""How well the verdict tells known distilled models from the others: `cicatrix evaluate`.

Leave-one-recipe-out over every model of known lineage in the lake, each layer by itself. The rule
in use is the score against its own family's null; the two others are there to compare it with.
"""

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from flows import calibrating
from flows.calibrating import LAYERS
from flows.report import UNKNOWN, number
from measure.calibration import POOLED, Estimate, Evaluation, evaluate
from warehouse.lake import Lake

WIDTH = 100


def report(*, as_json: bool) -> int:
    """Evaluate and print; 0 also where there is too little to evaluate, which it says."""
    with Lake.open() as lake:
        found = evaluations(lake)
    if as_json:
        rows = [asdict(one) for one in found]
        sys.stdout.write(json.dumps({"evaluations": rows}, indent=2) + "\n")
        return 0
    if not found:
        sys.stdout.write(
            "no model of known lineage is measured against its base: `cicatrix demo` measures the "
            "embedded ones, `cicatrix take PACK` brings more\n"
        )
        return 0
    console = Console()
    if not console.is_terminal or console.width > WIDTH:
        console = Console(width=WIDTH)
    for layer in dict.fromkeys(one.layer for one in found):
        console.print(_table(layer, [one for one in found if one.layer == layer]))
    for note in _notes(found):
        sys.stdout.write(textwrap.fill(note, WIDTH, subsequent_indent="  ") + "\n")
    return 0


def evaluations(lake: Lake) -> list[Evaluation]:
    """Every layer, scope and rule; none of a layer without a model of known lineage."""
    found: list[Evaluation] = []
    for layer in LAYERS:
        families = calibrating.families(calibrating.displacements(lake, layer), layer)
        found += evaluate(families) if families else []
    return found


def _table(layer: str, rows: Sequence[Evaluation]) -> Table:
    rows = sorted(rows, key=lambda row: (row.scope == POOLED, row.scope))
    table = Table(title=layer.upper(), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("scope", "rule"):
        table.add_column(name, no_wrap=True)
    for name in ("distilled", "null", "AUC", "TPR at 5 %", "TPR at 1 %", "FPR at 5 %"):
        table.add_column(name, justify="right")
    before = None
    for row in rows:
        table.add_row(
            "" if row.scope == before else row.scope,
            row.rule,
            _with_declared(row.n_distilled, row.n_distilled_declared),
            _with_declared(row.n_null, row.n_null_declared),
            *(_estimate(one) for one in (row.auc, row.tpr_at_5, row.tpr_at_1)),
            number(row.fpr_at_5),
        )
        before = row.scope
    return table


def _with_declared(n: int, n_declared: int) -> str:
    return f"{n - n_declared} + {n_declared}" if n_declared else str(n)


def _estimate(share: Estimate) -> str:
    if share.ci_low is None or share.ci_high is None:
        return number(share.value)
    return f"{number(share.value)} [{number(share.ci_low)}, {number(share.ci_high)}]"


def _notes(found: Sequence[Evaluation]) -> Iterator[str]:
    """What the table cannot say: its units, and why numbers are missing."""
    yield (
        "[95 % interval] resamples recipes; each model is judged without those of its own recipe; "
        f"{UNKNOWN} is unknown."
    )
    yield "FPR: share of the null itself that would be called distilled. A tie counts half in AUC."
    yield (
        "no p is below 1 / (1 + n) with n null: the least p. TPR at it is the share beyond all of "
        "the null that judges it."
    )
    yield from _at_the_least_p(found)
    if any(one.n_distilled_declared + one.n_null_declared for one in found):
        yield "+ n: declared by their user with `cicatrix declare`; the others are of the zoo."
    for name in _NAMES:
        why: dict[str, list[Evaluation]] = {}
        for one in found:
            if (reason := getattr(one, name).reason) is not None:
                why.setdefault(reason, []).append(one)
        for reason, ones in why.items():
            places = ", ".join(dict.fromkeys(f"{one.layer} {one.scope}" for one in ones))
            rules = ", ".join(dict.fromkeys(one.rule for one in ones))
            yield f"no {_NAMES[name]} of {places} by {rules}: {reason}"
    unscored: dict[int, list[str]] = {}
    for layer, scope, n in {(one.layer, one.scope, one.n_unscored): 0 for one in found}:
        if n:
            unscored.setdefault(n, []).append(f"{layer} {scope}")
    for n, places in unscored.items():
        yield f"{n} distilled of {', '.join(places)}: no other recipe or no null to judge them by"


def _at_the_least_p(found: Sequence[Evaluation]) -> Iterator[str]:
    """What can be said where 1 % cannot: the share beyond all null, with the p that this is."""
    for layer in dict.fromkeys(one.layer for one in found):
        told = [
            f"{one.scope}, {one.rule} {_estimate(one.tpr_at_least)} at p {number(one.p_least)}"
            for one in found
            if one.layer == layer
            and one.p_least is not None
            and (one.rule == "family null" or (one.scope, one.rule) == (POOLED, "pooled null"))
        ]
        if told:
            yield f"TPR at the least p, {layer}: {'; '.join(told)}"


_NAMES = {
    "auc": "AUC",
    "tpr_at_5": "TPR at 5 %",
    "tpr_at_1": "TPR at 1 %",
}
