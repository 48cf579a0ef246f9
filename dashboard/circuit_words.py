"""What is said of circuits: the answer in a sentence, and verdicts with their reasons."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dashboard.words import ago, count, escaped, number, signed, with_interval

CHIPS = {  # verdicts of the mart `brittleness_verdict`
    "more brittle": ("orange", "trending_down"),
    "more brittle, by its size": ("orange", "trending_down"),
    "not more brittle": ("blue", "check"),
    "unknown": ("gray", "question_mark"),
}
Row = Mapping[str, Any]


def kept(aligned: Row | None, verdict: Row, now: datetime | None = None) -> str:
    """What a student kept, in a sentence; `aligned` is the paper's variant, max and greedy."""
    student, teacher = escaped(verdict["student"]), escaped(verdict["teacher"])
    task, age = escaped(verdict["task"]), f"measured {ago(verdict['measured_at'], now)}"
    start = f"**{student}** beside {teacher} on {task}: "
    if aligned is None or aligned["alignment"] is None:
        reason = (aligned or {}).get("reason") or "no alignment was recorded"
        n = f"n = {count(aligned['n_prompts'], 'prompt')}; " if aligned else ""
        return f"{start}not aligned ({escaped(reason)}). {_drops(verdict)}. {n}{age}."
    null = f"{number(aligned['null_alignment'])} ({number(aligned['null_low'])} to "
    null += f"{number(aligned['null_high'])})"
    is_above = aligned["alignment"] > aligned["null_high"]
    beyond = (
        f"beyond what influences shuffled among them give, {null}"
        if is_above
        else f"within what influences shuffled among them give, {null}"
    )
    return (
        f"{start}what is alike in the two matters alike to A = "
        f"**{with_interval(aligned, 'alignment')}** of 1; that lies {beyond}, "
        f"a gain of {with_interval(aligned, 'gain', signed)}. {_drops(verdict)}. "
        f"n = {count(aligned['n_prompts'], 'prompt')}; {age}."
    )


def _drops(verdict: Row) -> str:
    known = {
        whose: with_interval(verdict, f"mean_drop_{whose}")
        for whose in ("student", "teacher")
        if verdict[f"mean_drop_{whose}"] is not None
    }
    if not known:
        return "What losing one component costs either is not known"
    costs = ", ".join(f"the {whose} {drop} %" for whose, drop in known.items())
    rest = [f"; of the {w} that is not known" for w in ("student", "teacher") if w not in known]
    return f"Losing one component costs {costs} of its logit difference in the mean{''.join(rest)}"


def alone(model: Row, now: datetime | None = None) -> str:
    """What one model without a student loses, in a sentence."""
    name, task = escaped(model["model"]), escaped(model["task"])
    tail = f"n = {count(model['n_prompts'], 'prompt')}; measured {ago(model['measured_at'], now)}."
    start = f"No student beside **{name}** on {task} yet. "
    if model["mean_drop_pct"] is None:
        return f"{start}It cannot do the task: {escaped(model['reason'])}. {tail}"
    return (
        f"{start}Without one of its {model['n_components']} components it loses "
        f"{with_interval(model, 'mean_drop_pct')} % of its logit difference in the mean. {tail}"
    )


def brittle_chip(verdict: Row) -> str:
    """Whether the student is more brittle: a chip, and the comparisons that decided it."""
    tone, icon = CHIPS[verdict["verdict"]]
    reasons = escaped("; ".join(brittle_reasons(verdict)))
    return f":{tone}-badge[:material/{icon}: {verdict['verdict']}] :small[{reasons}]"


def brittle_reasons(verdict: Row) -> list[str]:
    """The comparisons behind a verdict of `brittleness_verdict`, in words."""
    ours, theirs = (
        with_interval(verdict, f"mean_drop_{whose}") for whose in ("student", "teacher")
    )
    apart = {True: "above the teacher's", False: "not above the teacher's", None: "unknown"}
    above = {True: "above 0", False: "not above 0", None: "unknown"}
    reasons = [
        f"mean drop {ours} %, teacher {theirs} %: {apart[verdict['is_apart']]}",
        f"difference {with_interval(verdict, 'difference_pct', signed)} points: "
        f"{above[verdict['is_above_zero']]}",
    ]
    if verdict["control_difference_pct"] is not None:
        control = with_interval(verdict, "control_difference_pct", signed)
        reasons.append(f"less a control of its size {control} points")
    elif verdict["verdict"].startswith("more"):
        reasons.append("no control of its size: with fewer components each carries more anyway")
    return reasons


def task_chip(model: Row) -> str:
    """Whether a model does the task: a chip with its logit difference."""
    said = f"mean logit difference {with_interval(model, 'mean_ld', signed)}"
    if model["answer_share"] is not None:
        said += f", right in {number(100 * model['answer_share'])} % of {model['n_prompts']:,}"
    if model["reason"]:
        said += f"; raw effects only: {model['reason']}"
        return f":gray-badge[:material/block: cannot do the task] :small[{escaped(said)}]"
    return f":blue-badge[:material/check: does the task] :small[{escaped(said)}]"
