"""The verdict on a pair as one screen of a terminal: every number beside its n and its floor."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

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
        console.print()
        console.print(_section(title, label, lines))
    console.print(_missing(pair.judgements))


def _sections(pair: PairVerdict) -> Iterator[tuple[str, str, list[Line]]]:
    structural = pair.one("distilled-like", "structural")
    functional = pair.one("distilled-like", "functional")
    gate = pair.one("delta-norm")
    yield "STRUCTURAL", structural.label, [*_scar(pair.one("loudness")), *_place(structural)]
    yield "FUNCTIONAL", functional.label, [*_distances(pair), *_place(functional)]
    yield "THERMODYNAMIC", gate.label, [("delta-norm", reason) for reason in gate.reasons]
    pattern = pair.one("pattern")
    claims = [one for one in pair.judgements if one.question == "claim"]
    yield (
        "ACROSS LAYERS",
        pattern.label,
        [
            ("pattern", "; ".join(pattern.reasons)),
            *(("claim", _claim(one)) for one in claims),
        ],
    )
    lineage = (("weights", pair.weight_lineage), ("capability", pair.capability_lineage))
    yield "LINEAGE", "", [(n, f"{one.label}: {'; '.join(one.reasons)}") for n, one in lineage]


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
    n = loudness.numbers
    if n["median_non_max_x_eps"] is not None:
        yield (
            "scar",
            (
                f"median {number(n['median_non_max_x_eps'])} x eps, "
                f"{number(n['min_non_max_x_eps'])} to {number(n['max_non_max_x_eps'])} over "
                f"{n['n_seeds'] - 1} seeds; largest {number(n['max_seed_x_eps'])} (seed "
                f"{n['max_seed']}); floor {number(_floor_x_eps(n))}; {n['structural_status']}"
            ),
        )
        yield "anomaly", f"{n['anomaly']}; noise {n['noise']}; {n['n_dim']} dimensions a seed"
    yield "loudness", f"{loudness.label}: {'; '.join(loudness.reasons)}"


def _floor_x_eps(n: Numbers) -> float | None:
    return None if n["eps_measured"] is None else max(1.0, n["eps_measured"] / 1e-4)


def _distances(pair: PairVerdict) -> Iterator[Line]:
    free = pair.one("triangle free")
    n = free.numbers
    if n["centroid_distance"] is not None:
        for name, key, floor in (
            ("centroid", "centroid_distance", "centroid_floor"),
            ("CRP", "crp_distance", "crp_floor"),
        ):
            yield name, f"{_interval(n, key)} logits, floor {number(n[floor])}, n {n['n_prompts']}"
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
    yield "verdict", "; ".join(like.reasons)
    if not n:
        return
    yield (
        "displaced",
        (
            f"by {number(n['norm_floors'])} floors of {number(n['floor'])}; "
            f"{number(n['score_floors'])} along the mean of {n['n_distilled']} distilled pairs"
        ),
    )
    if like.n_null:
        yield (
            "null",
            (
                f"{like.n_null} non-distilled, {_count(n['n_null_above'])} as far along; "
                f"median {number(n['null_median_floors'])} floors, "
                f"95 % {number(n['null_p95_floors'])}"
            ),
        )
    if like.p is not None:
        yield "p", _ps(like)
        power = UNKNOWN if n["power"] is None else f"{n['power']:.0%}"
        yield "power", f"{power} of {n['n_power']} known distilled pairs are found at this level"
    if n["uniform_p"] is not None:
        yield (
            "comparison",
            (
                f"one threshold for all families: {number(n['uniform_threshold_floors'])} floors, "
                f"p {number(n['uniform_p'])} of {n['uniform_n_null']} null; decides nothing"
            ),
        )
    if n["n_left_out"]:
        why = "read with another tokenizer, measured otherwise, or without noise"
        yield "left out", f"{n['n_left_out']} of known lineage: {why}"


def _ps(like: Judgement) -> str:
    """Every p beside the smallest that its null can give."""
    n = like.numbers
    own = f"own recipe class {number(n['p_in_class'])}"
    if n["n_in_class"]:
        own += f" (at least {number(n['p_in_class_least'])} of {n['n_in_class']})"
    return (
        f"{number(like.p)} (at least {number(like.p_least)} of {like.n_null}), other tail "
        f"{number(n['p_other_tail'])}, {own}; Holm over {n['n_asked']} layers {number(n['p_holm'])}"
    )


def _count(n: int | None) -> str:
    return UNKNOWN if n is None else str(n)


def _claim(claim: Judgement) -> str:
    """The claim, and what forbids the evidence of its own layer."""
    faults = [one for one in claim.numbers["inadmissible"] if one.startswith(claim.numbers["by"])]
    why = f" ({'; '.join(faults)})" if faults else ""
    return f"{claim.label}: {claim.statement}{why}"


def _missing(judgements: Sequence[Judgement]) -> Group | Text:
    """Every need once, those together that one command answers."""
    by_command: dict[str, list[str]] = {}
    for need in dict.fromkeys(need for one in judgements for need in one.missing):
        by_command.setdefault(need.how, []).append(need.what)
    if not by_command:
        return Text("")
    lines = [
        line
        for how, needs in by_command.items()
        for line in (*(("needs", what) for what in needs), ("how", how))
    ]
    return Group(Text(""), _section("MISSING", "", lines))
