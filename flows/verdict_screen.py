"""The verdict on a pair as one screen of a terminal: every number beside its n and its floor."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from flows.observables import Observable, said
from flows.report import UNKNOWN, number
from flows.verdict import Judgement, PairVerdict

WIDTH = 100
_COLOURS = {"DISTILLED-LIKE": "magenta", "NOT DISTILLED-LIKE": "cyan", "supported": "magenta"}
Line = tuple[str, str]
Numbers = Mapping[str, Any]


def show(pair: PairVerdict) -> None:
    """Print it."""
    console = Console()
    if not console.is_terminal or console.width > WIDTH:
        console = Console(width=WIDTH)
    # Names are somebody's text, never rich's markup: only Text goes to the console.
    family = f", family {pair.family}" if pair.family else ""
    console.print(Text(f"{pair.derivative} against {pair.base}{family}"))
    console.print(_word(pair.label), Text(f"exit code {pair.exit_code}", style="dim"), sep="  ")
    for title, label, lines in _sections(pair):
        console.print(_section(title, label, lines))
    if missing := _missing(pair.judgements):
        console.print(missing)


def _sections(pair: PairVerdict) -> Iterator[tuple[str, str, list[Line]]]:
    structural = pair.one("distilled-like", "structural")
    functional = pair.one("distilled-like", "functional")
    gate = pair.one("delta-norm")
    yield (
        "STRUCTURAL",
        structural.label,
        [*_scar(pair.one("loudness")), *_place(structural), *_published(pair, "structural")],
    )
    yield (
        "FUNCTIONAL",
        functional.label,
        [*_distances(pair), *_place(functional), *_published(pair, "functional")],
    )
    yield (
        "THERMODYNAMIC",
        gate.label,
        [
            *(("delta-norm", reason) for reason in gate.reasons),
            *(line for one in pair.observables for line in _observable(one)),
            *_published(pair, "thermodynamic"),
        ],
    )
    pattern = pair.one("pattern")
    yield "ACROSS LAYERS", pattern.label, [("pattern", "; ".join(pattern.reasons)), *_claims(pair)]
    lineage = (("weights", pair.weight_lineage), ("capability", pair.capability_lineage))
    yield "LINEAGE", "", [(n, f"{one.label}: {'; '.join(one.reasons)}") for n, one in lineage]


def _published(pair: PairVerdict, section: str) -> Iterator[Line]:
    """What others published of the family's real models, under its own mark."""
    if text := said(pair.published, section):
        yield "published", f"real models: {text}; calibrates nothing"


def _observable(one: Observable) -> Iterator[Line]:
    """A number that decides nothing, with its interval where it has one, or why it is excluded."""
    name, told = {"stiffness": ("stiffness", _stiffness), "fisher": ("kappa_F", _fisher)}[one.name]
    if text := "; ".join(f"{role} {told(row)}" for role, row in one.models()):
        yield name, f"{text}; no verdict"
    if one.excluded:
        yield name, f"excluded from comparison: {'; '.join(one.excluded)}"


def _stiffness(row: Numbers) -> str:
    return f"{number(row['stiffness'])} (exact, {row['n_rows']:,} rows)"


def _fisher(row: Numbers) -> str:
    status = "" if row["rho_f"] < 1 else f", rho_F {number(row['rho_f'])} {row['fisher_status']}"
    return f"{_interval(row, 'kappa_f')} n {row['n_prompts']}{status}"


def _section(title: str, label: str, lines: Sequence[Line]) -> Group:
    heading = Text.assemble((title, "bold"), "  ", _word(label))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", min_width=12, no_wrap=True)
    grid.add_column(overflow="fold")
    before = ""
    for name, text in lines:
        grid.add_row(Text("" if name == before else f"  {name}"), Text(text))
        before = name
    return Group(Rule(heading, align="left", style="dim"), grid)


def _word(label: str) -> Text:
    return Text(label, style=f"bold {_COLOURS.get(label, '')}".strip())


def _scar(loudness: Judgement) -> Iterator[Line]:
    n, reasons = loudness.numbers, loudness.reasons
    if n["median_non_max_x_eps"] is not None:
        floor = f"floor {number(_floor_x_eps(n))}, {n['structural_status']}"
        yield (
            "scar",
            (
                f"median {number(n['median_non_max_x_eps'])} x eps, "
                f"{number(n['min_non_max_x_eps'])} to {number(n['max_non_max_x_eps'])} over "
                f"{n['n_seeds'] - 1} seeds; largest {number(n['max_seed_x_eps'])} (seed "
                f"{n['max_seed']}); {floor}; noise {n['noise']}; {n['n_dim']} values a seed; "
                f"{n['anomaly']}"
            ),
        )
        # The last reason is that of the anomaly.
        reasons = reasons[:-1] if n["anomaly"] == "no anomaly" else reasons
    yield "loudness", f"{loudness.label}: {'; '.join(reasons)}"


def _floor_x_eps(n: Numbers) -> float | None:
    return None if n["eps_measured"] is None else max(1.0, n["eps_measured"] / 1e-4)


def _distances(pair: PairVerdict) -> Iterator[Line]:
    free = pair.one("triangle free")
    n = free.numbers
    if n["centroid_distance"] is not None:
        yield (
            "distances",
            (
                f"centroid {_interval(n, 'centroid_distance')}, floor "
                f"{number(n['centroid_floor'])}; CRP {_interval(n, 'crp_distance')}, floor "
                f"{number(n['crp_floor'])}; logits, n {n['n_prompts']}"
            ),
        )
    if n["winner_gap_class"] is not None:
        yield (
            "winner gap",
            (
                f"{n['winner_gap_class']}, G1 share {_interval(n, 'g1_share')}; CV effect "
                f"{_interval(n, 'cv_effect')}, {n['cv_label']}"
            ),
        )
    for one in (free, pair.one("triangle forced")):
        name = "triangle" if one is free else "  forced"
        yield name, f"{one.label}: {'; '.join(one.reasons)}"
    flags = ("d_below_sb", "shared_patho", "reference_neighbour")
    yield "flags", ", ".join(f"{flag} {_flag(n[flag])}" for flag in flags)


def _flag(flag: bool | None) -> str:
    return "unknown" if flag is None else "yes" if flag else "no"


def _interval(n: Numbers, key: str) -> str:
    low, high = n[f"ci_low_{key}"], n[f"ci_high_{key}"]
    if n[key] is None or low is None:
        return number(n[key])
    return f"{number(n[key])} [{number(low)}, {number(high)}]"


def _place(like: Judgement) -> Iterator[Line]:
    n = like.numbers
    # The reasons have each p beside the smallest that its null can give.
    reasons = (*like.reasons, *([f"Holm over {n['n_asked']} layers"] if like.p is not None else []))
    yield "verdict", "; ".join(reasons)
    if not n:
        return
    yield (
        "displaced",
        (
            f"by {number(n['norm_floors'])} floors of {number(n['floor'])}; "
            f"{number(n['score_floors'])} along the mean of "
            f"{_with_declared(n['n_distilled'], n['n_distilled_declared'])} distilled pairs"
            f"{_power(like)}"
        ),
    )
    if like.n_null:
        yield (
            "null",
            (
                f"{_with_declared(like.n_null, n['n_null_declared'])} non-distilled, "
                f"{_count(n['n_null_above'])} as far along; "
                f"median {number(n['null_median_floors'])} floors, "
                f"95 % {number(n['null_p95_floors'])}; other tail p {number(n['p_other_tail'])}"
            ),
        )
    if n["uniform_p"] is not None:
        yield (
            "comparison",
            (
                f"one threshold for all families: {number(n['uniform_threshold_floors'])} floors, "
                f"p {number(n['uniform_p'])} of {n['uniform_n_null']} null; decides nothing"
            ),
        )
    if n["n_left_out"]:
        yield "left out", f"{n['n_left_out']} of known lineage, measured otherwise or without noise"


def _power(like: Judgement) -> str:
    """Share of the known distilled pairs that are found at the level of this question."""
    n = like.numbers
    known = UNKNOWN if n["power"] is None else f"{n['power']:.0%}"
    return "" if like.p is None else f"; power {known} of {n['n_power']}"


def _with_declared(n: int, n_declared: int) -> str:
    return f"{n} ({n_declared} declared)" if n_declared else str(n)


def _count(n: int | None) -> str:
    return UNKNOWN if n is None else str(n)


def _claims(pair: PairVerdict) -> Iterator[Line]:
    """The claims, those of one answer together."""
    by_label: dict[str, list[str]] = {}
    for one in pair.judgements:
        if one.question == "claim":
            by_label.setdefault(one.label, []).append(_claim(one))
    for label, claims in by_label.items():
        yield "claim", f"{label}: {'; '.join(claims)}"


def _claim(claim: Judgement) -> str:
    """The claim, and what forbids the evidence of its own layer."""
    faults = [one for one in claim.numbers["inadmissible"] if one.startswith(claim.numbers["by"])]
    why = f" ({'; '.join(faults)})" if faults else ""
    return f"{claim.statement}{why}"


def _missing(judgements: Sequence[Judgement]) -> Group | None:
    """Every need once, those together that one command answers; None where nothing is missing."""
    by_command: dict[str, list[str]] = {}
    for need in dict.fromkeys(need for one in judgements for need in one.missing):
        by_command.setdefault(need.how, []).append(need.what)
    lines = [
        line
        for how, needs in by_command.items()
        for line in (*(("needs", what) for what in needs), ("how", how))
    ]
    return _section("MISSING", "", lines) if lines else None
