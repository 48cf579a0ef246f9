"""What was asked on the SQL page in this session: the statement under way, and those before it."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

import streamlit as st

from dashboard.words import count
from warehouse import workbench
from warehouse.lake import LakeError, Location
from warehouse.workbench import Answer, Question

LIMITS = workbench.Limits(rows=10_000, wall_s=30.0, result_bytes=32_000_000)
MOST_KEPT = 30  # statements of the history
_KEY = "sql_desk"


@dataclass(frozen=True, slots=True)
class Past:
    """A statement that was asked, and what became of it, in words."""

    sql: str
    is_plan: bool
    asked_at: datetime
    became: str


@dataclass(slots=True)
class Desk:
    """One session's; only the newest answer is kept with its rows."""

    sql: str = ""
    is_plan: bool = False
    question: Question | None = None
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    outcome: Answer | LakeError | None = None
    history: deque[Past] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))

    def ask(self, sql: str, *, is_plan: bool = False) -> None:
        """Start a statement; one still under way is cancelled."""
        if self.question is not None:
            self.question.cancel()
        self.sql, self.is_plan = sql, is_plan
        self.asked_at = datetime.now(UTC)
        self.outcome = None
        self.question = Question(sql, Location.from_env(), LIMITS, is_plan=is_plan)

    def is_answered(self, within_s: float) -> bool:
        """Whether there is an outcome, now or after a short wait."""
        if self.question is None:
            return self.outcome is not None
        if not self.question.wait(within_s):
            return False
        try:
            self.outcome = self.question.answer()
        except LakeError as error:
            self.outcome = error
        self.question = None
        past = Past(self.sql, self.is_plan, self.asked_at, _became(self.outcome, self.is_plan))
        self.history.appendleft(past)
        return True


def of_session() -> Desk:
    """The desk of this session."""
    if _KEY not in st.session_state:
        st.session_state[_KEY] = Desk()
    return st.session_state[_KEY]


def _became(outcome: Answer | LakeError, is_plan: bool) -> str:
    if isinstance(outcome, LakeError):
        return said(outcome)
    if is_plan:
        return f"planned in {outcome.duration_s:.2f} s"
    first = "the first " if outcome.is_cut else ""
    return f"{first}{count(outcome.frame.height, 'row')} in {outcome.duration_s:.2f} s"


def said(error: LakeError) -> str:
    """The error without the name of its speaker."""
    return str(error).removeprefix("the workbench: ")
