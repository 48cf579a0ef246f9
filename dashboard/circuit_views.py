"""The views of the page of components, each of one teacher and student on one task."""

import polars as pl
import streamlit as st

from dashboard import address, circuit_charts, component_charts, headings, live, tables
from dashboard.circuit_choice import CHOSEN, Chosen, Model
from dashboard.circuit_words import brittle_chip
from dashboard.data import mart
from dashboard.inside_views import command
from dashboard.words import count, escaped, number, percent, signed, with_interval

MATCHINGS = ("greedy", "hungarian", "soft")
MATCHED = {
    "greedy": "each of the teacher's with the student's most similar, one of these perhaps often",
    "hungarian": "one to one, so that similarities add up to the most",
    "soft": "each of the teacher's with the student's five most similar, in shares",
}


def components(chosen: Chosen) -> None:
    """What each component matters, which are alike, and the prompts of the one that is chosen."""
    effects = {model.whose: model.effects for model in chosen.models}
    every = pl.concat(effects.values())
    can_all = not any(model.row["reason"] for model in chosen.models)
    shade = st.segmented_control(
        "Colour", list(component_charts.SHADES), default="influence" if can_all else "effect",
        required=True, key="colour", bind="query-params",
    )  # fmt: skip
    ends = component_charts.scale_of(every, shade)
    for place, model in zip(st.columns(len(chosen.models)), chosen.models, strict=True):
        with place:
            _map(model, effects[model.whose], shade, ends)
    st.caption(
        "A row a layer, a column a head, the MLP last; both models on one scale. ○ in the circuit "
        "that may lose 20 %. Click a component for its prompts, or choose it below."
        + ("" if shade == "effect" else " A component that harms has influence and drop 0.")
    )
    if len(chosen.models) == 2:
        _matches(chosen, effects)
    _one_component(chosen, effects)
    st.subheader("The numbers")
    tables.show(every, headings.COMPONENTS)
    _agreement(chosen)
    with st.container(horizontal=True):
        tables.download(every, "component_effect")


def _map(model: Model, effects: pl.DataFrame, shade: str, ends: tuple[float, float]) -> None:
    name = model.row["model"]
    title = name if model.whose == "model" else f"{model.whose.capitalize()}: {name}"
    key = f"map-{model.whose}-{model.row['measurement_id'][:16]}-{shade}"

    def then() -> None:
        if found := live.clicked(key, component_charts.MARKED):
            st.session_state[CHOSEN] = f"{model.whose}/{found['component']}"

    note = "; cannot do the task: raw effects only" if model.row["reason"] else ""
    chart = component_charts.heat_map(effects, shade, ends, title, note)
    live.draw_to_click(chart, key, component_charts.MARKED, then)
    if model.row["reason"] and shade != "effect":
        st.caption(
            f"Grey: {escaped(name)} cannot do the task ({escaped(model.row['reason'])}), so there "
            "are raw effects only; choose the colour *effect*."
        )


def _matches(chosen: Chosen, effects: dict[str, pl.DataFrame]) -> None:
    st.subheader("Which components are alike, and do they matter alike?")
    aligned = chosen.paper_variant()
    if aligned is None or aligned["reason"]:
        reason = (aligned or {}).get("reason") or "no alignment was recorded"
        st.markdown(f"Not matched: {escaped(reason)}.")
        return
    matching = st.segmented_control(
        "Matching", MATCHINGS, default=MATCHINGS[0], required=True, key="matching",
        bind="query-params",
    )  # fmt: skip
    found = chosen.matches(matching)
    live.draw(component_charts.links(found, effects["teacher"], effects["student"]))
    drawn = component_charts.most(found, "weight").height
    st.caption(
        f"{matching}: {MATCHED[matching]}. {found.height:,} matched pairs; the more either "
        "matters, the stronger its line, the larger its dot. ● head, ■ MLP, numbered layer.head. "
        "Similarity of heads is the cosine of their mean attention patterns, which is high "
        "between unrelated heads too: see Alignment."
        + (f" Drawn: the {drawn:,} of most weight." if drawn < found.height else "")
    )
    heaviest = pl.max_horizontal("influence_teacher", "influence_student")
    tables.fold(found.sort(heaviest, descending=True), headings.MATCHES, "The matches as a table")
    with st.container(horizontal=True):
        tables.download(found, f"matched_component_{matching}")


def _one_component(chosen: Chosen, effects: dict[str, pl.DataFrame]) -> None:
    """The prompts of the component that was clicked, or chosen from the list."""
    st.subheader("One component, prompt by prompt")
    options = {
        f"{model.whose}/{row['component']}": (model, row)
        for model in chosen.models
        for row in effects[model.whose].iter_rows(named=True)
    }
    asked = st.session_state.get(CHOSEN)
    if asked is not None and asked not in options and asked == _of_address():
        whose, _, component = asked.partition("/")
        address.say_unknown({"of": whose, "component": component}, ("of", "component"))
    address.keep_to(CHOSEN, list(options))
    key = st.selectbox(
        "Component, by effect", options, key=CHOSEN, persist_state="page",
        format_func=lambda key: _component_name(*options[key]),
    )  # fmt: skip
    model, row = options[key]
    rows = mart(
        "component_prompt",
        model_id=model.row["model_id"],
        prompt_set_sha256=model.row["prompt_set_sha256"],
        component=row["component"],
    ).sort("effect", descending=True)
    if rows.is_empty():
        st.markdown("Its prompts are not in this lake; only what they add up to is.")
        return
    helped = rows.filter(pl.col("effect") > 0).height
    st.markdown(
        f"Without **{escaped(row['component'])}** {escaped(row['model'])} loses "
        f"{with_interval(row, 'effect', signed)} logits between answer and foil in the mean; it "
        f"helps on {helped:,} of {count(rows.height, 'prompt')}. Rank {row['rank']} of "
        f"{effects[model.whose].height}."
    )
    live.draw(component_charts.prompts(rows, f"{row['model']} {row['component']}"))
    st.caption(
        "One bar a prompt, sorted: blue, the component helps; orange, it harms. On hover the text."
        + (
            f" Drawn: the {component_charts.MOST_MARKS:,} largest."
            if rows.height > component_charts.MOST_MARKS
            else ""
        )
    )
    tables.show(rows, headings.PROMPTS)
    with st.container(horizontal=True):
        tables.download(rows, f"component_prompt_{row['component']}")


def _of_address() -> str:
    return "/".join(st.query_params.get(name, "") for name in ("of", "component"))


def _component_name(model: Model, row: dict[str, object]) -> str:
    name = f"{row['component']} of {model.row['model']}"
    if model.whose != "model":
        name += f", the {model.whose}"
    return f"{name} · effect {signed(row['effect'])} · rank {row['rank']}"  # pyright: ignore[reportArgumentType]


def _agreement(chosen: Chosen) -> None:
    """How well attribution patching would have ordered the components, where it was asked."""
    for model in chosen.models:
        found = mart(
            "estimate_agreement",
            model_id=model.row["model_id"],
            prompt_set_sha256=model.row["prompt_set_sha256"],
        )
        for row in found.iter_rows(named=True):
            st.caption(
                f"Estimates of {escaped(row['model'])} by attribution patching order its "
                f"{row['n_components']} components as ablation does to a Spearman of "
                f"{number(row['spearman'])}; of the ten largest effects "
                f"{percent(row['shared_top10'])} are among its ten largest."
            )


def brittleness(chosen: Chosen) -> None:
    """What losing a component costs each model, and whether the student is more brittle."""
    models = _models(chosen)
    if chosen.verdict is not None:
        st.markdown(brittle_chip(chosen.verdict))
    live.draw(circuit_charts.brittleness(models))
    st.caption(
        "◆ teacher ▲ student ● alone: mean over components of what is lost without one, kept "
        "within 0 to 100 %. Thin line: 95 % over components, thick: over prompts. Grey band: "
        "up to the floor, what the prompts' noise alone makes. │ mean of the five largest drops."
    )
    pairs = chosen.differences()
    if not pairs.is_empty():
        known = pairs.drop_nulls("difference_pct")
        for row in pairs.filter(pl.col("difference_pct").is_null()).iter_rows(named=True):
            if not row["is_paper_mode"]:
                st.markdown(
                    f"Difference from its {row['against']}: not known, {escaped(row['reason'])}."
                )
        if not known.is_empty():
            live.draw(circuit_charts.differences(known.sort("against", "is_paper_mode")))
            _compression(known)
    st.subheader("The numbers")
    tables.show(models, headings.BRITTLENESS)
    with st.container(horizontal=True):
        tables.download(models, "brittleness_model")
        if not pairs.is_empty():
            tables.download(pairs, "brittleness_pair")


def _models(chosen: Chosen) -> pl.DataFrame:
    known = mart("brittleness_model")
    return pl.concat(
        known.filter(pl.col("measurement_id") == model.row["measurement_id"]).with_columns(
            whose=pl.lit("alone" if model.whose == "model" else model.whose)
        )
        for model in chosen.models
    )


def _compression(pairs: pl.DataFrame) -> None:
    rows = pairs.filter(pl.col("against") == "teacher", pl.col("per_tenth").is_not_null())
    for row in rows.sort("is_paper_mode").iter_rows(named=True):
        way = "as the paper has it, the bootstrap's mean" if row["is_paper_mode"] else "measured"
        st.markdown(
            f"The student has {percent(row['compression'])} fewer parameters than its teacher: "
            f"{with_interval(row, 'per_tenth', signed)} points for each 0.1 of compression "
            f"({way}; β = {with_interval(row, 'beta', signed)})."
        )
    st.caption(
        "With fewer components each carries more by construction; a control of the student's size "
        "(`--control`) says how much of the difference that is."
    )


def alignment(chosen: Chosen) -> None:
    """Every variant of alignment beside its null, and which MLPs are alike."""
    rows = chosen.aligned()
    if rows.is_empty():
        st.markdown(
            "One model alone has nothing to be aligned with. Give its student: "
            "`cicatrix circuits --teacher TEACHER --students STUDENT`."
        )
        return
    orders = {"mode": ["ours", "paper_code"], "matching": MATCHINGS}
    rows = rows.sort(
        pl.col("mode").replace_strict({m: i for i, m in enumerate(orders["mode"])}),
        pl.col("normalisation").replace_strict({"max": 0, "l1": 1, "l2": 2}),
        pl.col("matching").replace_strict({m: i for i, m in enumerate(MATCHINGS)}),
    )
    reasons = rows["reason"].drop_nulls().unique().sort().to_list()
    for reason in reasons:
        st.markdown(f":gray-badge[:material/block: not aligned] :small[{escaped(reason)}]")
    own = rows.filter(pl.col("mode") == "ours")
    if own["alignment"].is_not_null().any():
        live.draw(circuit_charts.variants(own))
        first = own.row(0, named=True)
        st.caption(
            "● A with its 95 % over prompts; pale where it lies within its null. Grey band: 95 % "
            "of A with influences shuffled among heads and among MLPs, │ its mean. The gain over "
            "it is the evidence, not A: unrelated heads have a similarity of "
            f"{number(first['chance_similarity_heads'])} in the mean, unrelated MLPs of "
            f"{number(first['chance_similarity_mlps'])}. Under l1 and l2 all influences are "
            "small, so A is little else than similarity."
        )
        _mlps(chosen, first)
    st.subheader("The numbers")
    tables.show(own, headings.VARIANTS)
    code = rows.filter(pl.col("mode") == "paper_code")
    if not code.is_empty():
        st.markdown(
            "As the paper's public code has it: student to teacher, pairs of a similarity under "
            "0.95 counted twice. Its null has no closed form, so its gain has no interval."
        )
        tables.show(code, headings.VARIANTS)
    with st.container(horizontal=True):
        tables.download(rows, "aligned_pair")


def _mlps(chosen: Chosen, aligned: dict[str, object]) -> None:
    known = pl.concat(chosen.matches(matching) for matching in ("soft", "greedy", "hungarian"))
    mlps = known.filter(pl.col("kind") == "mlp")
    if mlps.is_empty():
        return
    live.draw(component_charts.mlp_map(known))
    n = mlps.select("component_teacher", "component_student").n_unique()
    st.caption(
        f"By {escaped(str(aligned['mlp_method']))}: {escaped(str(aligned['mlp_reason']))}. "
        f"{count(n, 'pair')} that some matching keeps; others are left blank."
    )


def circuit(chosen: Chosen) -> None:
    """The components that suffice, at a budget, and how that changes with it."""
    found = {
        model.whose: mart(
            "circuit",
            model_id=model.row["model_id"],
            prompt_set_sha256=model.row["prompt_set_sha256"],
        ).sort("budget")
        for model in chosen.models
    }
    every = pl.concat(found.values())
    if every.is_empty():
        live.invite(
            "No circuit of these models has been extracted on this task yet.",
            [("With the models and the task as above:", command(chosen, "circuits"))],
        )
        return
    budgets = [f"{budget:.0%}" for budget in every["budget"].unique().sort()]
    budget = st.segmented_control(
        "Budget: share of the logit difference that may be lost",
        budgets, default="20%" if "20%" in budgets else budgets[0], required=True, key="budget",
        bind="query-params",
    )  # fmt: skip
    share = int(budget.rstrip("%")) / 100
    for place, model in zip(st.columns(len(chosen.models)), chosen.models, strict=True):
        with place:
            _circuit(model, found[model.whose], share)
    st.caption(
        "● head, ■ MLP of the circuit, numbered layer.head; · what was left out. Area: points of "
        "the whole model's logit difference that are lost when it alone is taken out of the "
        "circuit. A budget is on the total loss: completeness lies just above 100 % less the "
        "budget."
    )
    _edges(chosen)
    st.subheader("The numbers")
    tables.show(every.sort("model", "budget"), headings.CIRCUITS)
    with st.container(horizontal=True):
        tables.download(every, "circuit")


def _links(model: Model) -> pl.DataFrame:
    return mart(
        "circuit_link",
        model_id=model.row["model_id"],
        prompt_set_sha256=model.row["prompt_set_sha256"],
    )


def _edges(chosen: Chosen) -> None:
    """What the edges are worth, or how to measure them."""
    every = pl.concat(_links(model) for model in chosen.models)
    if every.is_empty():
        st.caption("Edges between these components were not measured, so none are drawn.")
        with st.expander("Measure them (models of up to 200 components)"):
            st.code(command(chosen, "edges"), language="sh")
        return
    st.caption(
        "Lines, in the circuit at 20 %: what the lower one reads of the upper one, first layers on "
        "top, the logits last. Of an edge the source's mean takes its place for that one reader, "
        "all else as it was. Blue: without it the logit difference falls, orange: it rises; the "
        "thicker, the more points. Drawn are those whose 95 % interval leaves 0 out, the "
        f"{circuit_charts.MOST_LINKS} largest; of a head's queries, keys and values the one that "
        "matters most. Many paths run side by side, so edges do not add up to 100 %."
    )
    tables.fold(every.sort("model", "delta_p_edge"), headings.EDGES, "The edges as a table")
    with st.container(horizontal=True):
        tables.download(every, "circuit_link")


def _circuit(model: Model, circuits: pl.DataFrame, share: float) -> None:
    name = model.row["model"]
    rows = circuits.filter((pl.col("budget") - share).abs() < 1e-9)
    if rows.is_empty():
        st.markdown(f"**{escaped(name)}**: no circuit at this budget has been extracted.")
        return
    row = rows.row(0, named=True)
    nodes = mart("circuit_component", measurement_id=row["measurement_id"])
    nodes = nodes.filter((pl.col("budget") - share).abs() < 1e-9)
    edges = _links(model)
    edges = edges.filter((pl.col("budget") - share).abs() < 1e-9) if edges.height else edges
    live.draw(circuit_charts.graph(nodes, model.effects, name, edges))
    st.markdown(
        f"{row['n_heads']} of {row['n_all_heads']} heads and {row['n_mlps']} of "
        f"{row['n_all_mlps']} MLPs alone do {with_interval(row, 'completeness_pct')} % of the "
        f"task; all the rest does {with_interval(row, 'necessity_pct')} %. Jaccard with the "
        f"circuit at 20 %: {number(row['jaccard'])}. n = {count(row['n_prompts'], 'prompt')}."
    )
    if circuits.height > 1:
        live.draw(circuit_charts.sweep(circuits))
