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
    console.print(Text(f"{pair.derivative} against {pair.base}{family}", style="bold"))
    console.print(_word(pair.label), Text(f"exit code {pair.exit_code}", style="dim"))
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
            *(("claim", line) for one in claims for line in _claim(one)),
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
    if not n:
        yield "family", "; ".join(like.reasons)
        return
    yield (
        "family",
        (
            f"displaced by {number(n['norm_floors'])} floors of {number(n['floor'])}, "
            f"{number(n['score_floors'])} along {n['n_distilled']} distilled; {like.n_null} "
            f"non-distilled: median {number(n['null_median_floors'])}, 95 % "
            f"{number(n['null_p95_floors'])}, {_count(n['n_null_above'])} as far or farther"
        ),
    )
    yield (
        "p",
        (
            f"{number(like.p)}, at least {number(like.p_least)}; other tail "
            f"{number(n['p_other_tail'])}; own recipe {number(n['p_in_class'])}, at least "
            f"{number(n['p_in_class_least'])} of {n['n_in_class']}; Holm over {n['n_asked']} layers "
            f"{number(n['p_holm'])}"
        ),
    )
    power = UNKNOWN if n["power"] is None else f"{n['power']:.0%}"
    yield "power", f"{power} of {n['n_power']} known pairs"
    if n["n_left_out"]:
        yield "left out", f"{n['n_left_out']} of known lineage, measured otherwise or without noise"
    yield "verdict", "; ".join(like.reasons)
    yield (
        "uniform",
        (
            f"one threshold for all families, as a comparison only: "
            f"{number(n['uniform_threshold_floors'])} floors, p {number(n['uniform_p'])} of "
            f"{n['uniform_n_null']} non-distilled"
        ),
    )


def _count(n: int | None) -> str:
    return UNKNOWN if n is None else str(n)


def _claim(claim: Judgement) -> Iterator[str]:
    yield f"{claim.label}: {claim.statement} ({'; '.join(claim.reasons)})"
    for fault in claim.numbers["inadmissible"]:
        yield f"  inadmissible: {fault}"


def _missing(judgements: Sequence[Judgement]) -> Group | Text:
    lines = list(dict.fromkeys(what for one in judgements for what in one.missing))
    if not lines:
        return Text("")
    return Group(Text(""), _section("MISSING", "", [("needs", line) for line in lines]))
