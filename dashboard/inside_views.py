"""The views of what goes on inside a teacher and its student: on request of the command."""

from collections.abc import Callable

import altair as alt
import polars as pl
import streamlit as st

from dashboard import headings, inside_charts, live, tables
from dashboard.circuit_choice import Chosen, Model
from dashboard.component_charts import MOST_MARKS
from dashboard.data import mart
from dashboard.words import escaped, number, percent

PARTS = {
    "resid": "the residual stream",
    "attn": "what attention adds",
    "mlp": "what the MLP adds",
    "qk": "queries and keys of a head",
    "ov": "values of a head, under the corrupted run's own pattern",
}

SAYS = {"successor_share": "the answer", "copy_share": "the foil"}
SCALES = {"relative": "relative to each component", "absolute": "absolute, as published"}


def patching(chosen: Chosen) -> None:
    """Where the clean run's activations set the corrupted run right."""
    found = of_models(chosen, "patching")
    if found.is_empty():
        ask(chosen, "No activation of these models has been patched on this task yet", "patching")
        return
    known = [part for part in PARTS if part in found["part"].unique()]
    part = st.segmented_control(
        "What is patched", known, default=known[0], required=True, key="part", bind="query-params"
    )
    rows = found.filter(pl.col("part") == part)
    if rows["head"].is_null().any():  # of attention the whole layer; its heads are in the table
        rows = rows.filter(pl.col("head").is_null())
    largest = rows["recovery"].abs().max()
    top = max(1.0, largest if isinstance(largest, float) else 0.0)
    low = rows["recovery"].min()
    ends = (-top if isinstance(low, float) and low < 0 else 0.0, top)
    _side_by_side(chosen, rows, lambda mine, name: inside_charts.patching(mine, ends, name))
    st.caption(
        f"{part}: {PARTS[part]}, taken from the clean run and put into the corrupted one at the "
        "tokens of one role. Recovery: share of the way from the corrupted to the clean logit "
        "difference, 1 all of it, below 0 the other way."
        + (f" Drawn: the {MOST_MARKS:,} largest." if rows.height > MOST_MARKS else "")
    )
    of_part = found.filter(pl.col("part") == part)
    for reason in of_part["reason"].drop_nulls().unique().sort():
        st.markdown(f"Recovery is not known where {escaped(reason)}.")
    st.subheader("The numbers")
    order = ("model", "layer", "head", inside_charts.role_order(), "role")
    tables.show(of_part.sort(*order), headings.PATCHING)
    with st.container(horizontal=True):
        tables.download(found, "patching")


def outputs(chosen: Chosen) -> None:
    """What each part writes towards the answer, and which token a head's output says."""
    found, scores = of_models(chosen, "residual_by_role"), of_models(chosen, "head_score")
    if found.is_empty() and scores.is_empty():
        ask(chosen, "What the parts of these models write has not been read yet", "residual")
        return
    if not found.is_empty():
        largest = found["mean_attribution"].abs().max()
        top = largest if isinstance(largest, float) and largest else 1.0
        _side_by_side(
            chosen, found, lambda mine, name: inside_charts.written(mine, (-top, top), name)
        )
        st.caption(
            "What each layer's attention and MLP write at the last token, split by the token it "
            "comes from: logits towards the answer (blue) or towards the foil (orange), through "
            "the final norm as it stands. It is no ablation: what is undone later counts, too."
        )
    if not scores.is_empty():
        st.subheader("Which heads say the answer, or repeat?")
        score = st.segmented_control(
            "Says", list(SAYS), default="successor_share", required=True,
            key="says", bind="query-params",
            format_func=SAYS.__getitem__,
        )  # fmt: skip
        _side_by_side(
            chosen, scores, lambda mine, name: inside_charts.head_scores(mine, score, name)
        )
        chance = scores["chance"].drop_nulls().unique().sort().to_list()
        st.caption(
            "Share of prompts with that token among the first five of the head's output at the "
            "end, read through the unembedding. By chance "
            f"{' and '.join(percent(value) for value in chance) or 'an unknown share'}."
        )
        tables.show(scores.sort("model", "layer", "head"), headings.HEAD_SCORES)
    with st.container(horizontal=True):
        for frame, name in ((found, "residual_by_role"), (scores, "head_score")):
            if not frame.is_empty():
                tables.download(frame, name)


def probes(chosen: Chosen) -> None:
    """From which layer on a term can be read off, beside the control."""
    found = of_models(chosen, "probe")
    if found.is_empty():
        ask(
            chosen,
            "No probe has been trained on these models; it needs a task of sequences, and at "
            "least 5 prompts of each term",
            "probes",
        )
        return
    stream = found.filter(pl.col("site") == "resid_mid")
    labels = stream["label"].unique().sort().to_list() or found["label"].unique().sort().to_list()
    label = st.segmented_control(
        "Asked for", labels, default=labels[-1], required=True, key="label", bind="query-params"
    )
    mine = stream.filter(pl.col("label") == label)
    for metric in mine["metric"].unique().sort():
        rows = mine.filter(pl.col("metric") == metric)
        _side_by_side(chosen, rows, inside_charts.probes)
    st.caption(
        "● mean over seeds on held-out prompts, │ least to most of the seeds. Dashed: the same "
        "probe trained on permuted labels, its control; dotted: baseline of naming one class, or "
        "of a coin. What a probe reads is there; whether the model uses it, ablation says."
    )
    st.subheader("The numbers")
    rows = found.filter(pl.col("label") == label)
    tables.show(rows.sort("model", "site", "layer", "head"), headings.PROBES)
    with st.container(horizontal=True):
        tables.download(found, "probe")


def noise(chosen: Chosen) -> None:
    """Whether alignment responds to a disturbed student: a test of the measure itself."""
    found = chosen.of_pair("noise_curve")
    if found.is_empty():
        what = "No noise has been put into this student yet"
        ask(chosen, what if chosen.verdict else "Noise needs a student beside its teacher", "noise")
        return
    scales = found["scale"].unique().sort(descending=True).to_list()
    scale = st.segmented_control(
        "Noise", scales, default=scales[0], required=True, key="noise", bind="query-params",
        format_func=SCALES.__getitem__,
    )  # fmt: skip
    rows = found.filter(pl.col("scale") == scale).sort("sigma")
    st.markdown(noise_chip(rows))
    live.draw(inside_charts.noise(rows))
    st.caption(
        "● mean A over the seeds, band: least to most; hollow: at some seed the student no longer "
        "does the task, so its influences mean little. Dashed: the null, influences shuffled. "
        "A measure that does not fall here says little of students either."
    )
    st.subheader("The numbers")
    tables.show(rows, headings.NOISE)
    with st.container(horizontal=True):
        tables.download(found, "noise_curve")


def noise_chip(rows: pl.DataFrame) -> str:
    """Whether alignment responds, as a chip with its numbers; `rows` of one scale by sigma."""
    first, last = rows.row(0, named=True), rows.row(-1, named=True)
    label, tone, icon = {
        True: ("responds", "blue", "check"),
        False: ("does not respond", "orange", "block"),
        None: ("unknown", "gray", "question_mark"),
    }[first["responds"]]
    said = (
        f"A {number(first['mean_alignment'])} at sigma {number(first['sigma'])}, "
        f"{number(last['mean_alignment'])} at {number(last['sigma'])}; Spearman "
        f"{number(first['spearman'])} over {rows.height} levels; responds: below −0.9 and a fall "
        "of more than 0.1"
    )
    if first["verdict_reason"]:
        said = first["verdict_reason"]
    return f":{tone}-badge[:material/{icon}: {label}] :small[{escaped(said)}]"


def of_models(chosen: Chosen, name: str) -> pl.DataFrame:
    """The rows of a mart that are of these models on this task."""
    return pl.concat(
        mart(
            name,
            model_id=model.row["model_id"],
            prompt_set_sha256=model.row["prompt_set_sha256"],
        )
        for model in chosen.models
    )


def _side_by_side(
    chosen: Chosen, rows: pl.DataFrame, chart: Callable[[pl.DataFrame, str], alt.LayerChart]
) -> None:
    for place, model in zip(st.columns(len(chosen.models)), chosen.models, strict=True):
        mine = rows.filter(pl.col("model_id") == model.row["model_id"])
        with place:
            if mine.is_empty():
                st.markdown(f"**{escaped(model.row['model'])}**: not measured.")
            else:
                live.draw(chart(mine, title_of(model)))


def title_of(model: Model) -> str:
    """What a model is called above its chart: Teacher: NAME."""
    name = model.row["model"]
    return name if model.whose == "model" else f"{model.whose.capitalize()}: {name}"


def ask(chosen: Chosen, what: str, part: str) -> None:
    """What would be here, and the command that makes it."""
    live.invite(f"{what}.", [("With the models and the task as above:", command(chosen, part))])


def command(chosen: Chosen, part: str) -> str:
    """The command that measures a part of what the page shows."""
    students = f" --students {chosen.row['student'] or 'STUDENT'}" if chosen.verdict else ""
    task = chosen.row["task"].removeprefix("zoo-")
    n = chosen.models[0].row["n_prompts"] if chosen.models else 100
    return (
        f"cicatrix circuits --teacher {chosen.row['teacher']}{students} --tasks {task} "
        f"--prompts {n} --with {part}"
    )
