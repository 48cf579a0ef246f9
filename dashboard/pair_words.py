"""What the pages of pairs say in a sentence."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from dashboard.words import (
    NOT_INTERPRETABLE,
    ago,
    count,
    escaped,
    newest,
    number,
    signed,
    with_interval,
)

DIVERGENCES = {  # how the mart `centroid_crp` calls it: what it means
    "sign-oscillating": "prompts move to either side by more than their noise, and the means meet",
    "cancels": "prompts move, and the means no more than under random signs",
    "below self-baseline": "the means move together, by less than the base's own halves differ",
    "mostly cancels": "both are above their floors, and CRP is at least 5 times the centroid",
    "mean shift alone": "the means move, each prompt by no more than the noise of its text",
    "agree": "both are above their floors, and CRP is less than 5 times the centroid",
    NOT_INTERPRETABLE: "neither is above its floor, or a distance is not known",
}
DIVERGE = tuple(DIVERGENCES)[:4]


def where_they_diverge(pairs: pl.DataFrame, now: datetime | None = None) -> str:
    """How many pairs the centroid and CRP tell differently, by `centroid_crp`, in a sentence."""
    counts = dict(pairs["divergence"].value_counts().iter_rows())
    counted = ", ".join(f"{n} {kind}" for kind in DIVERGENCES if (n := counts.get(kind)))
    counted = f"{count(pairs.height, 'pair')}: {counted}; measured {ago(newest(pairs), now)}."
    apart = pairs.filter(pl.col("divergence").is_in(DIVERGE)).sort(
        "cancellation", descending=True, nulls_last=True
    )
    if apart.is_empty():
        return f"None is told differently by the two distances. {counted}"
    first = apart.row(0, named=True)
    return (
        f"**{apart.height} of {pairs.height}** diverge, **{escaped(first['derivative'])}** the "
        f"most: prompt by prompt it lies {number(first['crp_distance'])} logits from "
        f"{escaped(first['base'])}, its mean {number(first['centroid_distance'])}: "
        f"{number(first['cancellation'])} times less. {counted}"
    )


def pair_diverges(row: Mapping[str, Any]) -> str:
    """What centroid and CRP say of one pair, each with interval and floor."""
    return (
        f"Centroid {with_interval(row, 'centroid_distance')}, floor {number(row['centroid_floor'])}"
        f"; CRP {with_interval(row, 'crp_distance')}, floor {number(row['crp_floor'])}; logits. "
        f"CRP is {number(row['cancellation'])} times the centroid; under random signs it would be "
        f"{number(row['null_cancellation'])} times or more in 95 % of draws. "
        f"n = {count(row['n_prompts'], 'prompt')}"
        + (f", {row['n_prompts_dropped']} left out" if row["n_prompts_dropped"] else "")
    )


def sign_split(row: Mapping[str, Any]) -> str:
    """What became of the first gap over prompts, by `winner_gap`, beside what noise gives."""
    if row["mean_signed_g1"] is None:
        return f"The first gap is not known: {escaped(row['reason'] or row['class_reasons'])}."
    said = (
        f"**{row['winner_gap_class']}**: the first gap grew on "
        f"{count(row['n_up_g1'], 'prompt')} and shrank on {row['n_down_g1']} "
        f"(sign test p {number(row['sign_p_g1'])}), "
        f"{signed(row['mean_signed_g1'])} ({signed(row['ci_low_mean_signed_g1'])} to "
        f"{signed(row['ci_high_mean_signed_g1'])}) logits on average and "
        f"{number(row['mean_abs_g1'])} without signs"
    )
    if row["cancellation_g1"] is not None:
        said += (
            f": {number(row['cancellation_g1'])} times more, which "
            f"{number(100 * row['cancellation_noise_p_g1'])} % of draws of pure noise reach"
            if row["cancellation_noise_p_g1"] is not None
            else f": {number(row['cancellation_g1'])} times more"
        )
    if row["n_signif"] is not None:
        said += (
            f". Beyond its noise it moved on {row['n_signif']} of {row['n_prompts']} prompts, "
            f"{row['n_signif_up']} up and {row['n_signif_down']} down"
        )
    return f"{said}. {escaped(row['class_reasons'])}."


BREAKS = ("Break (robust)", "Break (per-prompt)")
TRIANGLES = {  # verdicts of the mart `triangle_verdict`: the chip, and what they say plainly
    "Break (robust)": ("blue", "call_split", "farther from its base than either stranger is"),
    "Break (per-prompt)": (
        "blue", "call_split",
        "prompt by prompt farther from its base than a stranger; its mean shift is noise",
    ),
    "Marginal / reference-sensitive": (
        "orange", "balance", "farther than one stranger and nearer than the other"
    ),
    "Marginal (per-prompt)": (
        "orange", "balance", "prompt by prompt as far as a stranger; its mean shift is noise"
    ),
    "No break (robust)": ("gray", "check", "nearer to its base than either stranger is"),
    "No break (per-prompt)": (
        "gray", "check", "prompt by prompt nearer than a stranger; its mean shift is noise"
    ),
    "Not interpretable": ("gray", "question_mark", "a ratio that is needed is not known"),
}  # fmt: skip


def farther_than_strangers(pairs: pl.DataFrame, now: datetime | None = None) -> str:
    """How many derivatives are farther from their base than strangers, by `triangle_verdict`."""
    verdicts = dict(pairs["verdict"].value_counts().iter_rows())
    counted = ", ".join(f"{n} {verdict}" for verdict in TRIANGLES if (n := verdicts.get(verdict)))
    counted = f"{count(pairs.height, 'pair')}: {counted}; measured {ago(newest(pairs), now)}."
    broken = pairs.filter(pl.col("verdict").is_in(BREAKS)).sort("magnitude", descending=True)
    if broken.is_empty():
        return f"None is farther from its base than an unrelated model is. {counted}"
    first = broken.row(0, named=True)
    return (
        f"**{broken.height} of {pairs.height}** are farther from their base than an unrelated "
        f"model is, **{escaped(first['derivative'])}** the most: {number(first['magnitude'])} "
        f"times as far from {escaped(first['base'])} as {escaped(first['primary_reference'])}. "
        f"{counted}"
    )


def triangle_chip(row: Mapping[str, Any]) -> str:
    """A verdict with what it says and why."""
    tone, icon, meaning = TRIANGLES[row["verdict"]]
    reasons = "; ".join(row["verdict_reasons"])
    return (
        f":{tone}-badge[:material/{icon}: {row['verdict']}] {meaning}. :small[{escaped(reasons)}]"
    )
