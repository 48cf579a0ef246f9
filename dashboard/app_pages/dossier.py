"""What is known of one derivative? From pair, claim, evidence and published."""

import shlex
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import streamlit as st

from dashboard import controls, dossier_html, live, pair_headings, pairs, tables
from dashboard.data import mart
from dashboard.words import NOT_INTERPRETABLE, ago, count, escaped, instant
from warehouse import pack, read

LAYERS = {  # and the command that measures each
    **dict.fromkeys(("structural", "functional", "thermodynamic", "weights"), "measure"),
    "behaviour": "trace",
    "circuits": "circuits",
    "features": "crosscode",
    "stability": "stability",
}
CLAIMS = {
    "supported": ("blue", "check"),
    "contradicted": ("orange", "block"),
    "unsupported": ("gray", "question_mark"),
}


def main() -> None:
    """Draw the page: the answer, claims, everything measured by layer, what to take away."""
    st.title("What is known of this derivative?")
    drawn = live.stamp("evidence")
    every = mart("pair").sort("family", "derivative", nulls_last=True)
    live.refresh_when_new("evidence", drawn)
    if every.is_empty():
        live.invite(
            "No derivative was declared yet. Here everything measured of one would stand, layer by "
            "layer, with what it supports and what it must not be used for.",
            [
                controls.DEMO,
                (
                    "A model of your own, a folder or a name on the hub:",
                    "cicatrix measure MODEL --base BASE",
                ),
            ],
        )
        return
    pair = pairs.choose(every, every, "Derivative")
    of = {"derivative_id": pair["derivative_id"], "base_id": pair["base_id"]}
    evidence, claims = mart("evidence", **of), mart("claim", **of).sort("layer", "claim")
    published = mart("published", family=pair["family"])
    _answer(pair, evidence, claims)
    _claims(pair, claims)
    measured = set(evidence["layer"])
    for layer in LAYERS:
        if layer in measured:
            _layer(layer, evidence.filter(pl.col("layer") == layer))
    if missing := [layer for layer in LAYERS if layer not in measured]:
        commands = (f"{layer} by `cicatrix {LAYERS[layer]}`" for layer in missing)
        st.markdown(f"Nothing was measured yet of: {', '.join(commands)}.")
    st.subheader("Published of this family")
    if published.is_empty():
        st.markdown(f"Nothing of {escaped(pair['family'] or 'an unknown family')} is published.")
    else:
        st.caption("By others and by their definitions: beside what is measured, never mixed.")
        tables.show(published, pair_headings.PUBLISHED)
    _take_away(pair, claims, evidence, published)
    controls.explain(__file__)


def _answer(pair: dict[str, Any], evidence: pl.DataFrame, claims: pl.DataFrame) -> None:
    name = f"**{escaped(pair['derivative'])}** from {escaped(pair['base'])}"
    if evidence.is_empty():
        st.markdown(f"{name}: nothing was measured of the pair yet.")
        return
    is_noise = (pl.col("status") == NOT_INTERPRETABLE) | pl.col("value").is_null()
    n_noise = evidence.filter(is_noise).height
    labels = dict(claims["label"].value_counts().iter_rows())
    judged = ", ".join(f"{n} {label}" for label in CLAIMS if (n := labels.get(label)))
    known = {True: "known to be distilled", False: "known not to be distilled"}.get(
        pair["is_distilled"], "of unknown origin"
    )
    st.markdown(
        f"{name}, {known}: **{count(evidence.height, 'number')}** in "
        f"{count(evidence['layer'].n_unique(), 'layer')}, of which {n_noise} not interpretable; "
        f"claims: {judged or 'none was judged'}. {count(pair['n_measurements'], 'measurement')}; "
        f"the newest {ago(pair['measured_at'])}.",
        help=f"{pair['derivative_id']}, measured {instant(pair['measured_at'])}",
    )


def _claims(pair: dict[str, Any], claims: pl.DataFrame) -> None:
    st.subheader("What may be claimed")
    if claims.is_empty():
        st.markdown("No claim was judged. This judges them, each by its own layer's evidence:")
        st.code(reproduce(pair)[1], language="bash", wrap_lines=True)
        return
    for row in claims.iter_rows(named=True):
        tone, icon = CLAIMS[row["label"]]
        with st.container(border=True):
            st.markdown(
                f":{tone}-badge[:material/{icon}: {row['label']}] **{row['layer']}**: "
                f"{escaped(row['claim'])}"
            )
            said = [escaped("; ".join(row["reasons"] or ()))]
            if row["inadmissible"]:
                said.append(f"**Inadmissible:** {escaped('; '.join(row['inadmissible']))}")
            if row["context"]:
                said.append(f"Of other layers, no support: {escaped('; '.join(row['context']))}")
            if row["missing"]:
                said.append(f"Missing: {escaped('; '.join(row['missing']))}")
            st.caption("  \n".join([*said, f"judged {instant(row['judged_at'])}"]))
    tables.download(claims, "claim")


def _layer(layer: str, rows: pl.DataFrame) -> None:
    st.subheader(layer.capitalize())
    tables.show(rows.sort("quantity", "variant"), pair_headings.EVIDENCE)


def _take_away(
    pair: dict[str, Any], claims: pl.DataFrame, evidence: pl.DataFrame, published: pl.DataFrame
) -> None:
    st.subheader("Take it with you")
    commands = reproduce(pair)
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in pair["derivative"])[:80]
    with st.container(horizontal=True, width="content"):
        st.download_button(
            "Dossier, HTML",
            partial(
                _html, pair, claims.to_dicts(), evidence.to_dicts(), published.to_dicts(), commands
            ),
            file_name=f"cicatrix-{name}.html", mime="text/html", icon=":material/article:",
            on_click="ignore", help="One file that needs nothing else",
        )  # fmt: skip
        st.download_button(
            "Result pack, Parquet", partial(_pack, pair["derivative_id"], commands[0]),
            file_name=f"cicatrix-{name}.parquet", mime="application/vnd.apache.parquet",
            icon=":material/inventory_2:", on_click="ignore",
            help="Every record of it and of what it was compared with; may take half a minute",
        )  # fmt: skip
    st.caption("Another lake takes the pack, and the same numbers come from measuring again:")
    st.code("\n".join([f"cicatrix take cicatrix-{name}.parquet", *commands]), language="bash",
            wrap_lines=True)  # fmt: skip
    with st.container(horizontal=True):
        tables.download(evidence, "evidence")
        live.copy_link()


def reproduce(pair: dict[str, Any]) -> list[str]:
    """The commands that measure a pair again, and judge it."""
    others = read.table("comparison", derivative_id=pair["derivative_id"])
    models = read.table("model")
    of_role = {"reference": "--reference", "shared_comparator": "--shared-comparator"}
    parts = ["cicatrix", "measure", _ref(models, pair["derivative_id"])]
    parts += ["--base", _ref(models, pair["base_id"])]
    newest = others.sort("declared_at").unique("role", keep="last", maintain_order=True)
    for row in newest.iter_rows(named=True):
        if row["role"] in of_role:
            parts += [of_role[row["role"]], _ref(models, row["model_id"])]
    return [shlex.join(parts), shlex.join(["cicatrix", "verdict", parts[2], "--base", parts[4]])]


def _ref(models: pl.DataFrame, model_id: str) -> str:
    """How a command names a model: of the zoo, of the hub, else by its label for a folder."""
    row = models.filter(pl.col("model_id") == model_id)
    if row.is_empty() or row["source"][0] == "hub":
        return model_id
    label = str(row["label"][0])
    return f"zoo:{label}" if row["source"][0] == "zoo" else label


def _html(
    pair: dict[str, Any],
    claims: list[dict[str, Any]],
    evidence: list[dict[str, Any]],
    published: list[dict[str, Any]],
    commands: list[str],
) -> bytes:
    text = dossier_html.dossier(pair, claims, evidence, published, datetime.now(UTC), commands)
    return text.encode()


def _pack(derivative_id: str, command: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "pack.parquet")
        pack.write_pack(read, path, made_by=command, of=derivative_id)
        return path.read_bytes()


main()
