"""Which teacher, student and task the page of components shows, as its address names them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import polars as pl
import streamlit as st

from dashboard import address
from dashboard.data import mart

_OF = {  # what the address calls each, and the columns it may equal
    "teacher": ("teacher_id", "teacher"),
    "student": ("student_id", "student"),
    "task": ("task",),
    "prompts": ("prompt_set_sha256",),
}
_COMPONENT = ("of", "component")
ADDRESS = (*_OF, *_COMPONENT)
CHOSEN = "component"  # the control of the component: whose, and its name


class Model(NamedTuple):
    """A model on a task, as `brittleness_model` has it."""

    whose: Literal["teacher", "student", "model"]
    row: dict[str, Any]

    @property
    def effects(self) -> pl.DataFrame:
        """Its components, by effect."""
        found = mart(
            "component_effect",
            model_id=self.row["model_id"],
            prompt_set_sha256=self.row["prompt_set_sha256"],
        )
        return found.sort("rank", "component")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A teacher beside its student on a task, or one model alone."""

    row: dict[str, Any]
    models: tuple[Model, ...]
    verdict: dict[str, Any] | None  # of `brittleness_verdict`; None of a model alone

    def aligned(self) -> pl.DataFrame:
        """Every variant of alignment; none of a model alone."""
        return self.of_pair("aligned_pair")

    def paper_variant(self) -> dict[str, Any] | None:
        """The variant that the paper states: max and greedy."""
        rows = self.aligned().filter(
            pl.col("mode") == "ours",
            pl.col("normalisation") == "max",
            pl.col("matching") == "greedy",
        )
        return rows.row(0, named=True) if rows.height else None

    def matches(self, matching: str) -> pl.DataFrame:
        """The matched components, in our definition."""
        rows = self.of_pair("matched_component")
        return rows.filter(pl.col("mode") == "ours", pl.col("matching") == matching)

    def differences(self) -> pl.DataFrame:
        """How much more the student drops than each it is held against."""
        return self.of_pair("brittleness_pair")

    def measured_at(self) -> datetime:
        """When the newest of it was measured."""
        rows = [model.row for model in self.models] + ([self.verdict] if self.verdict else [])
        return max(row["measured_at"] for row in rows)

    def of_pair(self, name: str) -> pl.DataFrame:
        """The rows of a mart that are of this pair on this task."""
        return mart(
            name,
            teacher_id=self.row["teacher_id"],
            student_id=self.row["student_id"],
            prompt_set_sha256=self.row["prompt_set_sha256"],
        )


def choices() -> pl.DataFrame:
    """Every pair on every task, then every model that is in none of them."""
    pairs, models = mart("brittleness_verdict"), mart("brittleness_model")
    known = pairs.select(
        "teacher_id", "teacher", "student_id", "student", "task", "prompt_set_sha256",
        "student_prompts_sha256",
    )  # fmt: skip
    taken = pl.concat(
        pairs.select(model_id=f"{whose}_id", prompt_set_sha256=sha)
        for whose, sha in (
            ("teacher", "prompt_set_sha256"), ("student", "student_prompts_sha256"),
        )
    )  # fmt: skip
    alone = models.join(taken, on=["model_id", "prompt_set_sha256"], how="anti").select(
        teacher_id="model_id", teacher="model", task="task", prompt_set_sha256="prompt_set_sha256"
    )
    found = pl.concat([known, alone], how="diagonal_relaxed")
    return found.sort("teacher", "student", "task", "prompt_set_sha256", nulls_last=True).sort(
        pl.col("student_id").is_null(), maintain_order=True
    )


def choose(found: pl.DataFrame) -> Chosen:
    """The pair and task of the address, or of the controls."""
    asked = address.asked(ADDRESS)
    if asked:
        named = address.matching(found, asked, _OF)
        if named.is_empty():
            address.say_unknown(asked, tuple(_OF))
        else:
            first = named.row(0, named=True)
            st.session_state["models"], st.session_state["on_task"] = _models(first), _task(first)
            if asked.keys() >= set(_COMPONENT):
                st.session_state[CHOSEN] = f"{asked['of']}/{asked['component']}"
    rows = found.to_dicts()
    of_models = {_models(row): row for row in rows}
    address.keep_to("models", list(of_models))
    left, right = st.columns(2)  # one above the other on a phone
    with left:
        models = st.selectbox(
            "Teacher and student", of_models, key="models", persist_state="page",
            format_func=lambda key: _name(of_models[key]),
        )  # fmt: skip
    with right:
        tasks = {_task(row): row for row in rows if _models(row) == models}
        address.keep_to("on_task", list(tasks))
        names = [row["task"] for row in tasks.values()]
        task = st.selectbox(
            "Task", tasks, key="on_task", persist_state="page",
            format_func=lambda key: _task_name(tasks[key], names),
        )  # fmt: skip
    return _chosen(tasks[task])


def address_of(chosen: Chosen) -> dict[str, str]:
    """What names this pair, task and component in an address."""
    named = {name: chosen.row[columns[0]] for name, columns in _OF.items()}
    whose, _, component = st.session_state.get(CHOSEN, "").partition("/")
    if any(model.whose == whose for model in chosen.models):
        named |= {"of": whose, "component": component}
    return {name: value for name, value in named.items() if value}


def _chosen(row: dict[str, Any]) -> Chosen:
    known = mart("brittleness_model")
    of_model = {(one["model_id"], one["prompt_set_sha256"]): one for one in known.to_dicts()}
    if row["student_id"] is None:
        key = row["teacher_id"], row["prompt_set_sha256"]
        return Chosen(row, (Model("model", of_model[key]),), None)
    verdict = mart(
        "brittleness_verdict",
        teacher_id=row["teacher_id"],
        student_id=row["student_id"],
        prompt_set_sha256=row["prompt_set_sha256"],
    ).row(0, named=True)
    keys = {
        "teacher": (row["teacher_id"], row["prompt_set_sha256"]),
        "student": (row["student_id"], row["student_prompts_sha256"]),
    }
    models = tuple(Model(whose, of_model[key]) for whose, key in keys.items() if key in of_model)  # pyright: ignore[reportArgumentType]
    return Chosen(row, models, verdict)


def _models(row: dict[str, Any]) -> str:
    return f"{row['teacher_id']} {row['student_id']}"


def _task(row: dict[str, Any]) -> str:
    return f"{row['task']} {row['prompt_set_sha256']}"


def _name(row: dict[str, Any]) -> str:
    if row["student_id"] is None:
        return f"{row['teacher']} alone"
    return f"{row['student']} beside {row['teacher']}"


def _task_name(row: dict[str, Any], names: list[str]) -> str:
    is_one = names.count(row["task"]) == 1
    return row["task"] if is_one else f"{row['task']} ({row['prompt_set_sha256'][:8]})"
