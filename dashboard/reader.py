"""The reader: one rollout, its sentences by provenance, at an address that reopens it."""

from collections.abc import Callable
from typing import Any

import polars as pl
import streamlit as st

from dashboard import address, controls, headings, rollout_text, tables
from dashboard.data import mart
from dashboard.provenance_charts import LABELS
from dashboard.words import count, escaped, percent

_PAIR = {  # what the address calls each, and the columns it may equal
    "distilled": ("distilled_id", "distilled"),
    "student": ("student_id", "student"),
    "teacher": ("teacher_id", "teacher"),
    "problems": ("prompt_set_sha256", "prompt_set"),
}
_ROLLOUT = {"problem_id": ("problem_id",), "sample": ("sample",)}
ADDRESS = (*_PAIR, *_ROLLOUT)
_WHOSE = ("distilled", "student")
OUTCOMES = {"right": True, "wrong": False, "unchecked": None}
MOST_SENTENCES = 300  # drawn at once
_ENDED = {
    "stop": "ended by itself",
    "length": "cut at the most tokens allowed",
    "context": "cut at the end of the model's positions",
    "imported": "imported",
}


def address_of(pair: dict[str, Any]) -> dict[str, str]:
    """What names this pair in an address, whatever else the lake will hold."""
    return {name: pair[columns[0]] for name, columns in _PAIR.items()}


def choose_pair(shown: pl.DataFrame, known: pl.DataFrame) -> dict[str, Any]:
    """The pair of the address, or of the control; of `known` only those in `shown` are offered."""
    options = {_key(row): row for row in shown.iter_rows(named=True)}
    asked = address.asked(ADDRESS)
    if asked:
        named = address.matching(shown, asked, _PAIR)
        if address.matching(known, asked, _PAIR).is_empty():
            address.say_unknown(asked, tuple(_PAIR))
        elif not named.is_empty():
            st.session_state["pair"] = _key(named.row(0, named=True))
    address.keep_to("pair", list(options))
    chosen = st.selectbox(
        "Distilled model and teacher", options, format_func=lambda key: _name(options[key]),
        key="pair", persist_state="page",
    )  # fmt: skip
    return options[chosen]


def show(pair: dict[str, Any]) -> None:
    """The rollouts of a pair to choose from, and the chosen one."""
    asked = address.asked(ADDRESS)
    with st.container(horizontal=True):
        whose = _choose_whose()
        labels = controls.chosen_of("With a sentence of", LABELS, "label")
        outcomes = controls.chosen_of("Answer", list(OUTCOMES), "answer")
    rollouts = mart(
        "provenance_rollout", measurement_id=pair["measurement_id"], rollouts_of=whose
    ).sort("problem_id", "sample")
    found = _filtered(rollouts, labels, outcomes)
    rollout = choose_rollout(rollouts, found, asked, _line)
    if rollout is None:
        address.write(address_of(pair), ADDRESS)
        return
    here = {"problem_id": rollout["problem_id"], "sample": str(rollout["sample"])}
    address.write(address_of(pair) | here, ADDRESS)
    _read(rollout, f"{pair['measurement_id']}/{whose}/{st.session_state['rollout']}")


def choose_rollout(
    known: pl.DataFrame,
    shown: pl.DataFrame,
    asked: dict[str, str] | None,
    line: Callable[[dict[str, Any]], str],
) -> dict[str, Any] | None:
    """The rollout of the address, or of the control; of `known` only those in `shown` are offered.

    None where none is. `line` says what an option reads like.
    """
    options = {f"{row['problem_id']}/{row['sample']}": row for row in shown.iter_rows(named=True)}
    if asked and asked.keys() & _ROLLOUT.keys():
        named = address.matching(known, asked, _ROLLOUT)
        if named.is_empty():
            address.say_unknown(asked, tuple(_ROLLOUT))
        else:
            first = named.row(0, named=True)
            st.session_state["rollout"] = f"{first['problem_id']}/{first['sample']}"
    if not options:
        st.markdown(f"None of {count(known.height, 'rollout')} is like this; choose less.")
        return None
    address.keep_to("rollout", list(options))
    st.selectbox(
        f"Rollout, {shown.height:,} of {known.height:,}", options,
        format_func=lambda key: line(options[key]), key="rollout", persist_state="page",
    )  # fmt: skip
    _buttons(list(options))
    return options[st.session_state["rollout"]]


def _choose_whose() -> str:
    asked = st.query_params.get("rollouts_of")
    if asked is not None and asked not in _WHOSE:
        address.say_unknown({"rollouts_of": asked}, ("rollouts_of",))
    return st.segmented_control(
        "Rollouts of the distilled model, or of its base (null)", _WHOSE, default=_WHOSE[0],
        required=True, key="rollouts_of", bind="query-params",
    )  # fmt: skip


def _filtered(rollouts: pl.DataFrame, labels: list[str], outcomes: list[str]) -> pl.DataFrame:
    """The rollouts that have a sentence of a chosen label, and a chosen outcome."""
    if labels:
        has_one = (pl.col(f"n_{label.lower()}") > 0 for label in labels)
        rollouts = rollouts.filter(pl.any_horizontal(has_one))
    if outcomes:
        is_so = (pl.col("is_correct").eq_missing(OUTCOMES[outcome]) for outcome in outcomes)
        rollouts = rollouts.filter(pl.any_horizontal(is_so))
    return rollouts


def _buttons(keys: list[str]) -> None:
    """Buttons to the rollouts before and after."""
    at = keys.index(st.session_state["rollout"])

    def go(to: int) -> None:
        st.session_state["rollout"] = keys[to]

    with st.container(horizontal=True):
        for name, to in (("← Previous", at - 1), ("Next →", at + 1)):
            st.button(name, disabled=not 0 <= to < len(keys), on_click=go, args=(to,))


def show_problem(rollout: dict[str, Any]) -> None:
    """The problem, its right answer, and what this rollout answered."""
    st.markdown("**Problem**")
    st.html(rollout_text.plain(rollout["problem"]))
    st.markdown(
        f"Right answer **{escaped(rollout['gold'] or 'not given')}** · this rollout's "
        f"**{escaped(rollout['answer'] or 'none could be read')}**: "
        f"**{outcome(rollout['is_correct'])}** · {_ENDED[rollout['finish']]}"
    )


def _read(rollout: dict[str, Any], key: str) -> None:
    """Problem, answers, and the text with its sentences marked; then the same as a table."""
    show_problem(rollout)
    sentences = mart(
        "sentence",
        measurement_id=rollout["measurement_id"],
        rollouts_of=rollout["rollouts_of"],
        problem_id=rollout["problem_id"],
        sample=rollout["sample"],
    ).sort("sentence")
    st.html(rollout_text.legend())
    if sentences.is_empty():
        st.markdown(escaped(rollout["reason"] or "It has no sentence that was scored."))
        if rollout["text"]:
            st.html(rollout_text.plain(rollout["text"]))
        return
    part = _part(sentences, rollout["first_divergence"], key)
    st.html(rollout_text.marked(part.iter_rows(named=True), rollout["first_divergence"]))
    st.caption(_counted(rollout))
    told = part.with_columns(number=pl.col("sentence") + 1)
    tables.fold(told, headings.SENTENCES, "Its sentences as a table")
    tables.download(sentences, "sentence")


def _part(sentences: pl.DataFrame, first_divergence: int | None, key: str) -> pl.DataFrame:
    """The sentences to draw: all, or the chosen part of a long rollout."""
    n_parts = -(-sentences.height // MOST_SENTENCES)
    if n_parts == 1:
        return sentences
    if st.session_state.get("part_of") not in (None, key):
        st.session_state["part"] = 1
    st.session_state["part_of"] = key
    place = st.empty()
    part = st.pagination(n_parts, key="part", bind="query-params")
    start = (part - 1) * MOST_SENTENCES
    shown = sentences.slice(start, MOST_SENTENCES)
    says = f"Sentences {start + 1:,} to {start + shown.height:,} of {sentences.height:,}"
    if first_divergence is not None:
        at = sentences["sentence"].search_sorted(first_divergence)
        says += f"; it first parts from the teacher on page {at // MOST_SENTENCES + 1}"
    place.caption(f"{says}. All are in sentence.csv.")
    return shown


def _counted(rollout: dict[str, Any]) -> str:
    n = rollout["n_labelled"]
    parts = (
        f"{label} {rollout[f'n_{label.lower()}']:,}"
        + (f" ({percent(rollout[f'n_{label.lower()}'] / n)})" if n else "")
        for label in LABELS
    )
    return (
        f"{count(n, 'sentence')} with a label: {', '.join(parts)}. Hover, tap, or reach a sentence "
        "with the Tab key for its probabilities: geometric mean of its tokens', 0 to 1, under each "
        "model. Grey: no label, the reason with it. "
        + (
            "▸ marks the first sentence that the distilled model finds likelier than its teacher "
            "by more than α."
            if rollout["first_divergence"] is not None
            else "Nowhere does it part from its teacher by more than α."
        )
    )


def _key(row: dict[str, Any]) -> str:
    return " ".join(address_of(row).values())


def _name(row: dict[str, Any]) -> str:
    return f"{row['distilled']} on {row['student']}, teacher {row['teacher']}, {row['prompt_set']}"


def _line(row: dict[str, Any]) -> str:
    counts = " ".join(
        f"{n}{rollout_text.LETTERS[label]}" for label in LABELS if (n := row[f"n_{label.lower()}"])
    )
    return (
        f"{row['problem_id']}, sample {row['sample']} · {outcome(row['is_correct'])} · "
        f"{counts or 'no label'}"
    )


def outcome(is_correct: bool | None) -> str:
    """How an answer compared with the right one."""
    return {True: "right", False: "wrong", None: "unchecked"}[is_correct]
