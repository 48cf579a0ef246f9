"""The view of pictures: where a head looks, what it says, which MLPs are alike and how they lie."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard import headings, live, picture_charts, tables
from dashboard.circuit_choice import Chosen, Model
from dashboard.data import mart
from dashboard.inside_views import ask, of_models, title_of
from dashboard.words import escaped, number, percent


def pictures(chosen: Chosen) -> None:
    """Patterns and tokens of a head of each model, then the MLPs of both."""
    said = of_models(chosen, "head_token")
    shown = {model.whose: _measured(model) for model in chosen.models}
    likeness = chosen.of_pair("mlp_likeness") if chosen.verdict is not None else pl.DataFrame()
    if said.is_empty() and likeness.is_empty() and not any(shown.values()):
        ask(chosen, "No pictures of these models have been taken on this task yet", "pictures")
        return
    _heads(chosen, shown, said)
    if not likeness.is_empty():
        _mlps(chosen, likeness)


def _measured(model: Model) -> list[str]:
    """Heads of a model by influence; none if its patterns were not kept."""
    of = {k: model.row[k] for k in ("model_id", "prompt_set_sha256")}
    if mart("attention_prompt", **of).is_empty():
        return []
    return model.effects.filter(pl.col("kind") == "head")["component"].to_list()


def _heads(chosen: Chosen, shown: dict[str, list[str]], said: pl.DataFrame) -> None:
    st.subheader("Where a head looks, and what it says")
    picked: dict[str, str] = {}
    for place, model in zip(st.columns(len(chosen.models)), chosen.models, strict=True):
        with place:
            if not shown[model.whose]:
                st.markdown(f"**{escaped(model.row['model'])}**: no patterns were kept.")
                continue
            picked[model.whose] = st.selectbox(
                f"Head of {model.row['model']}, by effect", shown[model.whose],
                key=f"head-{model.whose}", persist_state="page",
            )  # fmt: skip
    prompts = _prompts(chosen)
    if not picked or not prompts:
        return
    prompt = st.selectbox(
        "Prompt",
        prompts,
        key="pattern-prompt",
        persist_state="page",
        format_func=prompts.__getitem__,
    )
    for place, model in zip(st.columns(len(chosen.models)), chosen.models, strict=True):
        with place:
            if model.whose in picked:
                _pattern(model, picked[model.whose], prompt)
    st.caption(
        "Each row is a token and where the head looks from it, on one prompt. Heads that have "
        "nothing to look for look at the first token: alike in most models, and of no influence."
    )
    mine = [
        said.filter(
            pl.col("model_id") == model.row["model_id"],
            pl.format("{}.{}", "layer", "head") == picked[model.whose],
        )
        for model in chosen.models
        if model.whose in picked
    ]
    rows = pl.concat(mine)
    if rows.is_empty():
        return
    st.markdown("What these heads say at the end")
    tables.show(rows.sort("model", "rank"), headings.HEAD_TOKENS)
    chance = rows["chance"].drop_nulls().unique().sort().to_list()
    st.caption(
        "Tokens most often among the first five of the head's own output, read through the "
        f"unembedding; by chance {' and '.join(map(percent, chance)) or 'an unknown share'}. A "
        "head says such a token on every prompt, too, if it means none."
    )
    with st.container(horizontal=True):
        tables.download(said, "head_token")


def _prompts(chosen: Chosen) -> dict[str, str]:
    """The prompts whose patterns are kept, by id, with their text."""
    found: dict[str, str] = {}
    for model in chosen.models:
        of = {k: model.row[k] for k in ("model_id", "prompt_set_sha256")}
        heads = mart("attention_prompt", **of)
        found |= dict(heads.select("prompt_id", "clean").unique().sort("prompt_id").iter_rows())
    return found


def _pattern(model: Model, component: str, prompt: str) -> None:
    layer, head = (int(part) for part in component.split("."))
    of: dict[str, Any] = {k: model.row[k] for k in ("model_id", "prompt_set_sha256")}
    rows = mart("attention", **of, prompt_id=prompt, layer=layer, head=head)
    if rows.is_empty():
        st.markdown(f"**{escaped(model.row['model'])}**: not kept of this prompt.")
        return
    live.draw(picture_charts.attention(rows, f"{title_of(model)} {component}"))


def _mlps(chosen: Chosen, likeness: pl.DataFrame) -> None:
    st.subheader("Which MLPs are alike, and how their outputs lie")
    live.draw(picture_charts.mlp_map(likeness, "Similarity of MLPs"))
    first = likeness.row(0, named=True)
    by = {
        "eigenvectors": "the leading directions of what they write, in the basis they share",
        "cka": "linear CKA of what they write: they share no basis",
    }[first["method"]]
    st.caption(f"By {by}. By chance {number(first['chance'])}.")
    clouds = chosen.of_pair("mlp_cloud")
    layers = clouds["layer_teacher"].unique().sort().to_list()
    if not layers:
        return
    pairs = dict(clouds.select("layer_teacher", "layer_student").unique().iter_rows())
    layer = st.selectbox(
        "MLP of the teacher, with the student's most similar", layers, key="cloud",
        persist_state="page", format_func=lambda at: f"{at}.mlp and {pairs[at]}.mlp",
    )  # fmt: skip
    for place, model in zip(st.columns(len(chosen.models)), chosen.models, strict=True):
        rows = clouds.filter(pl.col("layer_teacher") == layer, pl.col("whose") == model.whose)
        at = layer if model.whose == "teacher" else pairs[layer]
        with place:
            if not rows.is_empty():
                live.draw(picture_charts.cloud(rows, f"{title_of(model)} {at}.mlp"))
    st.caption(
        "◆ the first token of a prompt, ● the others, on the first two principal axes of that "
        "MLP's own outputs; the student's are turned the way round in which the same tokens go "
        "along. Where the first token alone makes an axis, likeness along it says that both "
        "models park attention there, and little of the task."
    )
    with st.container(horizontal=True):
        tables.download(likeness, "mlp_likeness")
        tables.download(clouds, "mlp_cloud")
