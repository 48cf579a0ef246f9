"""Numbers, times and sentences as the pages say them."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

MISSING = "–"
ABOVE = "above its floor"
NOT_INTERPRETABLE = "not interpretable"
UNITS = {"x 1e-4": "× ε"}  # how a unit of the marts reads
TRANSFER = ("TRANSFERS", "DOES NOT TRANSFER", "NOT ENOUGH")  # verdicts of the mart `provenance`
_MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None) -> str:
    """Three significant digits, whole from 100 on: 7,701; 0.125; 2.50 × 10⁻⁷."""
    if value is None or math.isnan(value):
        return MISSING
    size = abs(value)
    if value == 0:
        return "0"
    if size < 9.995e-4:
        mantissa, exponent = f"{size:.2e}".split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    elif size >= 99.95:
        text = f"{size:,.0f}"
    else:  # one rounded up to a power of ten keeps its three digits
        decimals = 2 - math.floor(math.log10(float(f"{size:.2e}")))
        text = f"{size:.{decimals}f}"
    return (_MINUS if value < 0 else "") + text


def percent(share: float | None) -> str:
    """A share of 0 to 1 in three significant digits: 92.2 %, 0.627 %, 0 %."""
    return MISSING if share is None or math.isnan(share) else f"{number(100 * share)}\u00a0%"


def signed(value: float | None) -> str:
    """A difference with its sign: +0.218, −0.0970; 0 has none."""
    return f"+{number(value)}" if value is not None and value > 0 else number(value)


def with_interval(
    row: Mapping[str, Any], name: str, says: Callable[[float | None], str] = number
) -> str:
    """A number of a row and its 95 %, if that is known: 0.784 (0.771 to 0.793)."""
    low, high = row[f"ci_low_{name}"], row[f"ci_high_{name}"]
    interval = "" if low is None or high is None else f" ({says(low)} to {says(high)})"
    return f"{says(row[name])}{interval}"


def span(low: float | None, high: float | None) -> str:
    """A range such as 412–463; one number where both ends read alike."""
    if low is None or high is None:
        return MISSING
    ends = number(low), number(high)
    return ends[0] if ends[0] == ends[1] else "–".join(ends)


def count(n: int, noun: str) -> str:
    """1 pair, 3 pairs."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def unit_said(unit: str) -> str:
    """A unit of the marts as it reads."""
    return UNITS.get(unit, unit)


def n_said(values: pl.Series, noun: str) -> str:
    """How many each of several numbers stands on: n = 16 to 24 prompts; n is not known."""
    known = values.drop_nulls()
    if known.is_empty():
        return f"n {noun}s not known"
    ends = dict.fromkeys(f"{end:,}" for end in (known.min(), known.max()))
    return f"n = {' to '.join(ends)} {noun if list(ends) == ['1'] else f'{noun}s'}"


def duration(seconds: float | None) -> str:
    """How long, in its two largest units: 4.2 s, 2 min 10 s, 1 h 5 min, 3 d 2 h."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for name, size, next_name, next_size in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size} {name}" + (f" {rest} {next_name}" if rest else "")
    return f"{whole} s"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in one unit: just now, 35 s ago, 4 min ago, 2 h ago, 3 d ago."""
    if moment is None:
        return MISSING
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 10:
        return "just now"
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {name} ago"
    return f"{int(seconds)} s ago"


def instant(moment: datetime | None) -> str:
    """A moment to the second, in UTC."""
    return MISSING if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def newest(frame: pl.DataFrame) -> datetime | None:
    """When the newest of these rows was measured."""
    return frame.select(pl.col("measured_at").max()).item()


def escaped(text: str) -> str:
    """Text of a user or an error, with nothing in it that Markdown would act on."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>()#+!|$~:" else c for c in text)


def loudest_family(scars: pl.DataFrame, now: datetime | None = None) -> str:
    """Which family scars loudest, in a sentence; a family counts as its loudest derivative."""
    measured = f"measured {ago(newest(scars), now)}"
    pairs = count(scars.height, "pair")
    above = scars.filter(pl.col("structural_status") == ABOVE).sort(
        "median_non_max_x_eps", descending=True
    )
    if above.is_empty():
        return f"None that can be told from noise: {pairs}, all {NOT_INTERPRETABLE}; {measured}."
    first = above.row(0, named=True)
    n_others = first["n_seeds"] - 1
    seeds = f"over {count(n_others, 'seed')}"
    sentence = (
        f"**{escaped(first['family'] or 'Unknown family')}**: "
        f"its derivative {escaped(first['derivative'])} lies "
        f"{span(first['min_non_max_x_eps'], first['max_non_max_x_eps'])} × ε "
        f"from its base {seeds}, "
        f"and {number(first['max_seed_x_eps'])} × ε at seed {first['max_seed']}, the largest"
    )
    others = above.filter(pl.col("family").ne_missing(first["family"]))
    if scars["family"].n_unique() == 1:
        sentence += "; no other family is shown"
    elif others.is_empty():
        sentence += f"; every other family is {NOT_INTERPRETABLE}"
    else:
        second = others.row(0, named=True)
        sentence += (
            f"; next comes **{escaped(second['family'] or 'an unknown family')}** with "
            f"{span(second['min_non_max_x_eps'], second['max_non_max_x_eps'])} × ε"
        )
    return f"{sentence}. {above.height} of {pairs} above the floor; {measured}."


def progress_of_runs(runs: pl.DataFrame, now: datetime | None = None) -> str:
    """What is being measured now, in a sentence."""
    states = dict(runs["state"].value_counts().iter_rows())
    running = runs.filter(pl.col("state") == "running")
    if running.is_empty():
        first = "Nothing is being measured now"
    elif running.height == 1:
        first = f"**{escaped(running['label'][0])}** is being measured"
    else:
        first = f"**{running.height} measurements** are under way"
    rest = [
        f"{states[s]:,} {s}" for s in ("complete", "failed", "interrupted", "silent") if s in states
    ]
    last = runs.select(pl.max_horizontal("started_at", "last_unit_at", "ended_at").max()).item()
    return f"{first}; {', '.join(rest) or 'none finished yet'}. Last sign of life {ago(last, now)}."


def share_from_teacher(pairs: pl.DataFrame, now: datetime | None = None) -> str:
    """Which distilled model writes most like its teacher, in a sentence, by `provenance`."""
    verdicts = dict(pairs["transfer"].value_counts().iter_rows())
    said = [f"{n} {word}" for word in TRANSFER if (n := verdicts.get(word))]
    counted = f"{count(pairs.height, 'pair')}: {', '.join(said)}; "
    counted += f"measured {ago(newest(pairs), now)}."
    found = pairs.filter(pl.col("transfer") == TRANSFER[0]).sort("teacher_share", descending=True)
    if found.is_empty():
        return f"Of none can it be said that it writes like its teacher. {counted}"
    return f"{share_of_pair(found.row(0, named=True))} {counted}"


def share_of_pair(pair: Mapping[str, Any]) -> str:
    """How much a distilled model writes like its teacher, beside what that share is without it."""
    teacher, student = escaped(pair["teacher"]), escaped(pair["student"])
    sentence = (
        f"**{escaped(pair['distilled'])}**: {percent(pair['teacher_share'])} of its sentences "
        f"are likelier under {teacher}, its teacher, than under {student}, the base it was made "
        f"from. Of that base's own sentences {percent(pair['null_share'])} are"
    )
    if pair["control_share"] is not None:
        control = escaped(pair["control"] or "an unrelated model")
        sentence += f"; with {control} as a wrong teacher {percent(pair['control_share'])}"
    if pair["is_stable"] is False:
        sentence += "; at other thresholds its labels change much"
    n = f"{count(pair['n_sentences'], 'sentence')} of {count(pair['n_rollouts'], 'rollout')}"
    return f"{sentence}. n = {n}."


ATTRIBUTION = ("ATTRIBUTED", "ATTRIBUTED TO A FAMILY", "NONE OF THESE", "NOT ENOUGH")


def attributed(candidates: Sequence[Mapping[str, Any]]) -> str:
    """A verdict of `teacher_attribution` with whom it names: ATTRIBUTED to teacher-forward."""
    names = [escaped(row["teacher"]) for row in candidates if row["is_attributed"]]
    verdict = candidates[0]["attribution"]
    joint = ": " if verdict == ATTRIBUTION[1] else " to "
    return f"{verdict}{joint}{', '.join(names)}" if names else verdict


def teachers_named(ranking: pl.DataFrame, now: datetime | None = None) -> str:
    """Of which distilled models the teacher is known, in a sentence, by `teacher_attribution`."""
    if ranking.is_empty():
        return "Of none is it known who taught it: no candidates were ranked."
    models = ranking.unique("measurement_id", maintain_order=True)
    verdicts = dict(models["attribution"].value_counts().iter_rows())
    counted = ", ".join(f"{n} {word}" for word in ATTRIBUTION if (n := verdicts.get(word)))
    counted = f"{count(models.height, 'model')}: {counted}; measured {ago(newest(ranking), now)}."
    named = ranking.filter("is_attributed", pl.col("attribution") == ATTRIBUTION[0])
    if named.is_empty():
        return f"Of none can it be said that one of the candidates alone taught it. {counted}"
    first = named.sort("share", descending=True).row(0, named=True)
    return (
        f"**{escaped(first['distilled'])}** is attributed to {escaped(first['teacher'])}: of what "
        f"parts both from {escaped(first['student'])}, {number(first['share'])} is common to them; "
        f"wrong candidates stay below {number(first['null_share'])}. {counted}"
    )
