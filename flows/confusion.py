"""How well the weights tell whose they are: answers over pairs of known lineage, and their errors.

A pair of two models counts twice, once in each order. Two that were made from a third have its
weights and count as related, like a derivative and its base; a depth student has some of the layers
and is right as PARTIAL. Wrong is INDEPENDENT of two that are related, and SAME LINEAGE or PARTIAL
of two that are not; NOT COMPARABLE and INCONCLUSIVE are neither, and shares leave the first out.
"""

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import polars as pl
from rich.console import Console
from rich.table import Table

from flows import comparing
from flows.report import number
from measure import zoo
from measure.intervals import wilson_interval
from measure.records import LineageLabel
from warehouse.lake import Lake

WIDTH = 100
MOST_WRONG_SHOWN = 10

ANSWERS: tuple[LineageLabel, ...] = get_args(LineageLabel)
RELATIONS = ("derivative", "base", "sibling", "depth student", "independent")
RELATED = "all related"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """k of n with its 95 % Wilson interval; null of nothing."""

    k: int
    n: int
    value: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """One row per relation and who knows it: how often the weights gave each answer."""

    known_by: str  # 'zoo', or 'user' where one of the two was declared
    relation: str  # of RELATIONS, or RELATED
    n_pairs: int
    n_answers: dict[str, int]  # by answer, all five
    right: Share  # of those that could be compared
    wrong: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineages:
    """What `cicatrix evaluate --lineage` says."""

    n_models: int  # of the zoo
    with_weights: tuple[str, ...]  # those whose weights are here
    n_pairs: int  # of all models of the zoo, in both orders
    n_compared: int
    n_without_weights: int  # pairs that were not compared, since one has no weights here
    rows: tuple[Confusion, ...]
    # Pairs share models. Of two origins either some independent pair of their lines is wrong or
    # none is: the share of such pairs of origins, of those with anything to compare.
    wrong_origins: Share
    wrong: tuple[dict[str, Any], ...]  # every pair with a wrong answer, and the reasons for it


def report(*, jobs: int, as_json: bool) -> int:
    """Compare the pairs of the zoo that are not compared yet, count all, and print."""
    members = comparing.at_hand()
    with Lake.open() as lake:
        comparing.compare_all(lake, members, jobs, lambda line: _write(sys.stderr, line))
        found = lineages(lake, len(zoo.members()), [member.label for member in members])
    if as_json:
        _write(sys.stdout, json.dumps({"lineage": asdict(found)}, indent=2))
        return 0
    console = Console()
    if not console.is_terminal or console.width > WIDTH:
        console = Console(width=WIDTH)
    console.print(_table(found.rows))
    for note in _notes(found):
        _write(sys.stdout, textwrap.fill(note, WIDTH, subsequent_indent="  "))
    return 0


def _write(stream: Any, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def lineages(lake: Lake, n_models: int, with_weights: Sequence[str]) -> Lineages:
    """Count what the lake holds; `with_weights` are labels."""
    pairs = lake.query("select * from lineage_known order by derivative, base").with_columns(
        is_wrong=pl.when(pl.col("relation") == "independent")
        .then(pl.col("answer").is_in(["SAME LINEAGE", "PARTIAL"]))
        .otherwise(pl.col("answer") == "INDEPENDENT")
    )
    of_zoo = pairs.filter(known_by="zoo")
    n_pairs = n_models * (n_models - 1)
    told = ("derivative", "base", "relation", "known_by", "answer", "answer_reasons")
    return Lineages(
        n_models=n_models,
        with_weights=tuple(with_weights),
        n_pairs=n_pairs,
        n_compared=of_zoo.height,
        n_without_weights=n_pairs - of_zoo.height,
        rows=tuple(_rows(pairs)),
        wrong_origins=_of_origins(of_zoo),
        wrong=tuple(pairs.filter("is_wrong").select(told).iter_rows(named=True)),
    )


def _rows(pairs: pl.DataFrame) -> Iterator[Confusion]:
    for known_by in ("zoo", "user"):
        known = pairs.filter(known_by=known_by)
        related = known.filter(pl.col("relation") != "independent")
        for relation in RELATIONS:
            # Of what users say nobody is independent, so there is nothing to tell the sum from.
            if relation == "independent" and known_by == "zoo" and related.height:
                yield _row(known_by, RELATED, related)
            if (found := known.filter(relation=relation)).height:
                yield _row(known_by, relation, found)


def _row(known_by: str, relation: str, pairs: pl.DataFrame) -> Confusion:
    counted = dict(pairs.group_by("answer").len().iter_rows())
    n_answers = {answer: counted.get(answer, 0) for answer in ANSWERS}
    n = pairs.height - n_answers["NOT COMPARABLE"]
    right = {"independent": "INDEPENDENT", "depth student": "PARTIAL"}
    is_right = pl.col("answer") == pl.col("relation").replace_strict(right, default="SAME LINEAGE")
    return Confusion(
        known_by=known_by,
        relation=relation,
        n_pairs=pairs.height,
        n_answers=n_answers,
        right=_share(pairs.filter(is_right).height, n),
        wrong=_share(pairs.filter("is_wrong").height, n),
    )


def _of_origins(pairs: pl.DataFrame) -> Share:
    """Of the pairs of origins with an independent pair to compare, those with a wrong answer."""
    ends = (pl.col("origin_id"), pl.col("base_origin_id"))
    between = (
        pairs.filter(pl.col("relation") == "independent", pl.col("answer") != "NOT COMPARABLE")
        .group_by(one=pl.min_horizontal(ends), other=pl.max_horizontal(ends))
        .agg(pl.col("is_wrong").any())
    )
    return _share(between.filter("is_wrong").height, between.height)


def _share(k: int, n: int) -> Share:
    low, high = wilson_interval(k, n) or (None, None)
    return Share(k=k, n=n, value=k / n if n else None, ci_low=low, ci_high=high)


_HEADINGS = {
    "SAME LINEAGE": "Same\nlineage",
    "PARTIAL": "Partial",
    "INDEPENDENT": "Inde-\npendent",
    "INCONCLUSIVE": "Incon-\nclusive",
    "NOT COMPARABLE": "Not com-\nparable",
}


def _table(rows: Sequence[Confusion]) -> Table:
    table = Table(
        title="WEIGHT LINEAGE OF PAIRS", title_justify="left", box=None, padding=(0, 1, 0, 0)
    )
    table.add_column("known as", vertical="bottom")
    for name in ("pairs", *_HEADINGS.values(), "right", "wrong"):
        table.add_column(name, justify="right", no_wrap=True, vertical="bottom")
    for row in rows:
        by = "" if row.known_by == "zoo" else ", declared"
        table.add_row(
            row.relation + by,
            f"{row.n_pairs:,}",
            *(f"{row.n_answers[answer]:,}" for answer in _HEADINGS),
            _shown(row.right),
            _shown(row.wrong),
        )
    return table


def _shown(share: Share) -> str:
    if share.ci_low is None:
        return number(None)
    return f"{number(share.value)} [{number(share.ci_low)}, {number(share.ci_high)}]"


def _notes(found: Lineages) -> Iterator[str]:
    """What was compared and what was not, and how the shares are meant."""
    lacking = f"{found.n_without_weights:,} are not, for want of weights: `cicatrix zoo build`"
    yield (
        f"{len(found.with_weights)} of the zoo's {found.n_models} models have their weights here; "
        f"{found.n_compared:,} of {found.n_pairs:,} ordered pairs are compared"
        + (f", {lacking} makes them" if found.n_without_weights else "")
    )
    yield (
        "right and wrong: share of the pairs that could be compared [95 % Wilson interval]. Wrong "
        "is Independent of two that are related, Same lineage or Partial of two that are not."
    )
    yield (
        "derivative was made from the other, base is the other order, siblings were made from a "
        "third and have its weights; a depth student has some layers of its teacher: Partial is "
        "right."
    )
    origins = found.wrong_origins
    yield (
        "Pairs share models, so those intervals are too narrow. Of the "
        f"{origins.n} pairs of origins with anything to compare {origins.k} have a wrong pair "
        f"among their lines: {_shown(origins)}."
    )
    for pair in found.wrong[:MOST_WRONG_SHOWN]:
        yield (
            f"wrong: {pair['derivative']} and {pair['base']} are {pair['answer']}, known as "
            f"{pair['relation']}: {pair['answer_reasons']}"
        )
    if len(found.wrong) > MOST_WRONG_SHOWN:
        yield f"and {len(found.wrong) - MOST_WRONG_SHOWN} more wrong ones: --json has all"
