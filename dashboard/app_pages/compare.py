"""Where do two derivatives differ? From pair, paired_difference, layer_difference, evidence."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard import address, compare_charts, controls, live, pair_headings, pairs, tables
from dashboard.data import mart
from dashboard.words import ago, count, escaped, newest, number, signed, unit_said

_OF = {"a": ("derivative_id", "derivative"), "b": ("derivative_id", "derivative")}
_SAME = ["layer", "quantity", "variant"]


def main() -> None:
    """Draw the page: the answer, the paired differences, blocks, and everything side by side."""
    st.title("Where do two derivatives differ?")
    drawn = live.stamp("evidence")
    every = mart("pair").sort("family", "base", "derivative", nulls_last=True)
    live.refresh_when_new("evidence", drawn)
    # Paired are two of one base: prompts and seeds are then the same.
    several = every.filter(pl.len().over("base_id") > 1)
    if several.is_empty():
        live.invite(
            "No base has two derivatives yet. Here two of one base would stand side by side, with "
            "their differences paired prompt by prompt and seed by seed.",
            [
                controls.DEMO,
                (
                    "Two models of your own from one base:",
                    "cicatrix measure ONE --base BASE && cicatrix measure OTHER --base BASE",
                ),
            ],
        )
        return
    answer = st.container()
    one, other = _choose(several)
    of = {"a_id": one["derivative_id"], "b_id": other["derivative_id"]}
    differences = mart("paired_difference", **of).sort("quantity", "mode")
    blocks = mart("layer_difference", **of).sort("layer")
    answer.markdown(_said(one, other, differences, blocks))
    if differences.is_empty():
        st.markdown("The two have no prompts and no seeds in common that were measured.")
    else:
        st.subheader("Paired differences")
        live.draw(compare_charts.paired(differences, one["derivative"], other["derivative"]))
        st.caption(
            "Each on a scale of its own: the mean difference with its ends, 0 in the middle. Pale: "
            "0 lies between the ends, so that the two cannot be told apart. Prompts: 95 % by 1.96 "
            "standard errors; seeds: the least and the most. Measured."
        )
        tables.show(differences, pair_headings.DIFFERENCES)
        tables.download(differences, "paired_difference")
    _blocks(one, other, blocks)
    _side_by_side(one, other)
    live.copy_link()
    controls.explain(__file__)


def _choose(several: pl.DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two of the address, or of the controls: the other is of the one's base."""
    options = {pairs.key(row): row for row in several.iter_rows(named=True)}
    asked = address.asked(tuple(_OF))
    if asked:
        for name, words in asked.items():
            named = address.matching(several, {name: words}, _OF)
            if named.is_empty():
                address.say_unknown({name: words}, (name,))
            else:
                st.session_state[f"compare_{name}"] = pairs.key(named.row(0, named=True))
    left, right = st.columns(2)
    address.keep_to("compare_a", list(options))
    a = left.selectbox("One", options, format_func=lambda key: pairs.name(options[key]),
                       key="compare_a", persist_state="page")  # fmt: skip
    of_base = [
        key for key, row in options.items() if row["base_id"] == options[a]["base_id"] and key != a
    ]
    address.keep_to("compare_b", of_base)
    b = right.selectbox("The other, of the same base", of_base, key="compare_b",
                        format_func=lambda key: options[key]["derivative"],
                        persist_state="page")  # fmt: skip
    chosen = options[a], options[b]
    address.write({"a": chosen[0]["derivative_id"], "b": chosen[1]["derivative_id"]}, tuple(_OF))
    return chosen


def _said(
    one: dict[str, Any], other: dict[str, Any], differences: pl.DataFrame, blocks: pl.DataFrame
) -> str:
    names = f"**{escaped(one['derivative'])}** and **{escaped(other['derivative'])}**"
    if differences.is_empty():
        return f"{names} of {escaped(one['base'])} cannot be paired: nothing measured is common."
    apart = differences.filter("is_apart")
    said = f"{names} of {escaped(one['base'])}: "
    if apart.is_empty():
        said += f"none of {count(differences.height, 'paired difference')} can be told from 0"
    else:
        parts = (
            f"{row['quantity']}{' ' + row['mode'] if row['mode'] else ''} "
            f"{signed(row['mean_difference'])} ({signed(row['low'])} to {signed(row['high'])}) "
            f"{unit_said(row['unit'])}"
            for row in apart.head(2).iter_rows(named=True)
        )
        said += f"{apart.height} of {differences.height} differences exclude 0: {'; '.join(parts)}"
    first = blocks.filter("is_first")
    if not first.is_empty():
        row = first.row(0, named=True)
        said += (
            f". Their weights part first in block {row['layer']}, moved by "
            f"{number(row['displacement_a'])} and {number(row['displacement_b'])} of the base's"
        )
    return f"{said}. Measured {ago(newest(differences))}."


def _blocks(one: dict[str, Any], other: dict[str, Any], blocks: pl.DataFrame) -> None:
    st.subheader("Where their weights part first")
    if blocks.is_empty():
        st.markdown("The weights of one of them were not compared with the base's.")
        return
    live.draw(compare_charts.blocks(blocks, one["derivative"], other["derivative"], one["family"]))
    st.caption(
        "How far each block's matrices moved from the base's, median, in parts of the base's norm. "
        "Ringed: the lowest block where the two differ by more than a tenth of the larger."
    )
    tables.download(blocks, "layer_difference")


def _side_by_side(one: dict[str, Any], other: dict[str, Any]) -> None:
    st.subheader("Everything measured of both")
    keep = [*_SAME, "unit", "value", "low", "high", "floor", "n", "status"]
    left, right = (
        mart("evidence", derivative_id=row["derivative_id"], base_id=row["base_id"]).select(keep)
        for row in (one, other)
    )
    both = left.join(right, on=[*_SAME, "unit"], how="full", coalesce=True, suffix="_b")
    if both.is_empty():
        st.markdown("Nothing yet.")
        return
    both = both.sort(_SAME)
    tables.show(both, pair_headings.side_by_side(one["derivative"], other["derivative"]))
    tables.download(both, "compared")


main()
