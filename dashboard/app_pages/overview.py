"""What is known, and what is new? From holding, lineage_node, lineage_edge, run and others."""

from datetime import UTC, date, datetime, time, timedelta

import polars as pl
import streamlit as st

from dashboard import controls, headings, lineage_chart, live, pair_headings, tables
from dashboard.data import mart, of_families
from dashboard.words import ago, count, duration, escaped, instant, newest, progress_of_runs

MOST_NEW = 200


def main() -> None:
    """Draw the page: the answer, the map, then what is loud, missing, new and held."""
    st.title("What is known, and what is new?")
    drawn = live.stamp("run")
    held = mart("holding")
    live.refresh_when_new("run", drawn)
    if held.is_empty():
        live.invite(
            "The lake is empty. Here everything that it holds would stand: who was made from whom, "
            "what is new, what is being measured, and what is missing.",
            [
                controls.DEMO,
                (
                    "A model of your own, a folder or a name on the hub:",
                    "cicatrix measure MODEL --base BASE",
                ),
            ],
        )
        return
    runs = mart("run")
    nodes, edges = mart("lineage_node"), mart("lineage_edge")
    answer = st.container()
    since = _since()
    fresh = runs.filter(pl.col("state") == "complete", pl.col("last_unit_at") >= since)
    n_models = nodes["model_id"].n_unique()
    answer.markdown(
        f"**{count(int(held['n_measurements'].sum()), 'measurement')}** by "
        f"{count(held.height, 'method')} with {count(int(held['n_records'].sum()), 'record')}; "
        f"{count(n_models, 'model')} in the map. **{fresh.height:,} new** since {instant(since)}; "
        f"the newest was complete {ago(newest(held))}.  \n{progress_of_runs(runs)}",
        help=f"Newest: {instant(newest(held))}",
    )
    if "running" in runs["state"]:
        st.page_link("app_pages/runs.py", label="What runs, how far it is and how long yet",
                     query_params={"state": "running"}, icon=":material/timer:")  # fmt: skip
    _map(nodes, edges)
    _loud()
    _uncalibrated()
    _new(fresh, since)
    st.subheader("What the lake holds")
    tables.show(held.sort("n_records", descending=True), pair_headings.HOLDINGS)
    with st.container(horizontal=True):
        tables.download(held, "holding")
        live.copy_link()
    controls.explain(__file__)


def _since() -> datetime:
    """From which moment on a measurement is new, in UTC: yesterday's midnight, or as chosen."""
    today = datetime.combine(datetime.now(UTC).date(), time())
    chosen = st.datetime_input(
        "New since, UTC", value=today - timedelta(days=1),
        min_value=datetime.combine(date(2020, 1, 1), time()),
        max_value=today + timedelta(days=1), step=60, required=True,
        key="since", bind="query-params", width=260,
    )  # fmt: skip
    return chosen.replace(tzinfo=UTC)


def _map(nodes: pl.DataFrame, edges: pl.DataFrame) -> None:
    if nodes.is_empty():
        st.markdown("No model was declared as made from another one yet.")
        return
    families = controls.families(nodes)
    own = of_families(nodes, families)
    of_them = edges.filter(pl.col("to_id").is_in(own["model_id"].implode()))
    is_taught = pl.col("model_id").is_in(of_them["from_id"].implode())
    shown = pl.concat([own, nodes.filter(pl.col("kind") == "teacher", is_taught)]).unique(
        ["model_id", "kind", "base_id"], maintain_order=True
    )
    key = f"map-{'-'.join(families)}"

    def then() -> None:
        st.session_state["on_map"] = live.clicked(key, lineage_chart.MARKED)

    live.draw_to_click(lineage_chart.lineage_map(shown, of_them), key, lineage_chart.MARKED, then)
    st.caption(
        "● base · ▲ derivative, further right the farther from its base, wider its line, too; at "
        "the left of 1: under 0.5 ε, or not measured · ◆ teacher; dashes: whose skill it is, "
        "strong where its sentences were attributed, faint where it is only declared · pale: not "
        "interpretable. Click a model for what is known of it and its dossier. "
        "Every distance is measured, none is published."
    )
    if found := st.session_state.get("on_map"):
        _clicked(nodes, edges, found["model_id"])
    tables.fold(shown.drop("y"), pair_headings.NODES, "The models of the map as a table")
    tables.fold(of_them, pair_headings.EDGES, "Its lines as a table")
    with st.container(horizontal=True):
        tables.download(shown, "lineage_node")
        tables.download(of_them, "lineage_edge")


def _clicked(nodes: pl.DataFrame, edges: pl.DataFrame, model_id: str) -> None:
    """What is known of the model that was clicked."""
    rows = nodes.filter(pl.col("model_id") == model_id)
    if rows.is_empty():
        return
    first = rows.row(0, named=True)
    lines = [
        f"{row['kind']} lineage from {escaped(row['from_model'])}: {escaped(row['evidence'])}"
        for row in edges.filter(pl.col("to_id") == model_id).iter_rows(named=True)
    ]
    n_from = edges.filter(pl.col("from_id") == model_id).height
    lines += [f"{count(n_from, 'model')} go back to it"] if n_from else []
    with st.container(border=True):
        st.markdown(f"**{escaped(first['model'])}** · {' · '.join(lines)}")
        st.caption(f"`{model_id}`")
        with st.container(horizontal=True):
            _links(rows, first["family"])


def _links(rows: pl.DataFrame, family: str | None) -> None:
    """Where more is known of the model that was clicked, as it is drawn in `rows`."""
    for row in rows.filter(pl.col("kind") == "derivative").iter_rows(named=True):
        of = {"derivative": row["model_id"], "base": row["base_id"]}
        from_base = f" from {row['base_id']}" if rows.height > 1 else ""
        st.page_link(
            "app_pages/dossier.py", label=f"Its dossier{from_base}", query_params=of,
            icon=":material/folder_open:",
        )  # fmt: skip
    kinds = set(rows["kind"])
    if "teacher" in kinds:
        st.page_link(
            "app_pages/provenance.py", label="Sentences that come from teachers",
            query_params={"view": "Teacher"}, icon=":material/format_quote:",
        )  # fmt: skip
    if "base" in kinds and family:
        st.page_link(
            "app_pages/families.py", label=f"Its family, {family}",
            query_params={"family": family}, icon=":material/account_tree:",
        )  # fmt: skip


def _loud() -> None:
    st.subheader("Loudest and quietest of each family")
    extremes = mart("loudness_extreme")
    if extremes.is_empty():
        st.markdown("No scar is above its floor yet.")
        return
    tables.show(extremes.sort("loudest_median_x_eps", descending=True), pair_headings.EXTREMES)
    tables.download(extremes, "loudness_extreme")


def _uncalibrated() -> None:
    st.subheader("What cannot be judged yet")
    needs = mart("calibration_need").sort("family", "layer")
    lacking = needs.remove("is_calibrated")
    if needs.is_empty():
        st.markdown("No derivative has been compared with its base yet.")
    elif lacking.is_empty():
        st.markdown(f"All {needs.height} families and layers are calibrated.")
    else:
        st.markdown(
            f"In **{lacking.height} of {needs.height}** families and layers a new derivative would "
            "be called UNCALIBRATED. `cicatrix declare` tells what is known of a model."
        )
        tables.show(lacking, pair_headings.NEEDS)
        tables.download(needs, "calibration_need")


def _new(fresh: pl.DataFrame, since: datetime) -> None:
    st.subheader(f"New since {since:%d %B %Y, %H:%M} UTC")
    if fresh.is_empty():
        st.markdown(
            "Nothing. Choose an earlier moment above, or measure: `cicatrix measure MODEL`."
        )
        return
    took = float(fresh["duration_s"].sum())
    st.markdown(f"{count(fresh.height, 'measurement')}, {duration(took)} of measuring.")
    newest_first = fresh.sort("last_unit_at", descending=True).head(MOST_NEW)
    tables.show(newest_first, headings.RUNS)
    if fresh.height > MOST_NEW:
        st.caption(f"and {fresh.height - MOST_NEW:,} older, all in new.csv")
    tables.download(fresh, "new")


main()
