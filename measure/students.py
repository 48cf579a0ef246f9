"""A teacher and its students: how far each is from it, of all stories and in each draw of them."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure import stability, stability_verdicts
from measure.stability import COMPONENTS, K, R, Table
from measure.stability_records import TeacherRole
from measure.stability_verdicts import Estimate

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float

    from measure.stability import Drawn

    Draws = Float[NDArray[np.float64], " draws"]
    Points = Float[NDArray[np.float64], " students"]

TEACHER, PLAIN_TEACHER = "teacher", "plain-teacher"


def student_roles(n: int, *, is_plain: bool = False) -> tuple[str, ...]:
    """'student', 'student-2', ...; those of the plain teacher begin with 'plain-'."""
    name = "plain-student" if is_plain else "student"
    return tuple(name if i == 1 else f"{name}-{i}" for i in range(1, n + 1))


def estimate(both: Draws) -> Estimate:
    """The observed value, first, with the interval of the draws after it."""
    if np.isnan(both[0]):
        return Estimate(None, None, None)
    return Estimate(float(both[0]), *stability.interval(both[1:]))


@dataclass(frozen=True, slots=True)
class Components:
    """What every model's trajectories give: of all stories, and in each draw."""

    tables: Mapping[str, Table]
    drawn: Mapping[str, Drawn]

    @classmethod
    def of(cls, tables: Mapping[str, Table]) -> Components:
        """Draw the stories, the same for all models."""
        return cls(tables, stability.drawn(tables))

    def both(self, role: str) -> Drawn:
        """The observed components as the first row, the draws after it."""
        return np.vstack([self.tables[role].observed(), self.drawn[role]])


@dataclass(frozen=True, slots=True)
class Student:
    """How far one student is from its teacher: observed first, then in each draw."""

    role: str
    teacher: TeacherRole
    is_output_only: bool
    n_problems: int
    is_compared: Bool[NDArray[np.bool_], " components"]  # which of R both have
    delta_k: Draws
    delta_k_plus: Draws
    delta_r: Draws
    load_ratio: Draws
    noise_r: float | None
    components: Drawn  # of the student itself

    @property
    def has_point(self) -> bool:
        """Whether it stands on the plane of delta K and delta R, with its noise."""
        return self.noise_r is not None and not np.isnan(self.delta_k[0] + self.delta_r[0])


@dataclass(frozen=True, slots=True)
class Family:
    """A teacher with its students."""

    teacher: Drawn
    n_problems: int
    students: tuple[Student, ...]

    def points(self) -> tuple[Points, Points, Points]:
        """Observed delta K and delta R, and the noise of R, of the students that have them."""
        rows = [(s.delta_k[0], s.delta_r[0], s.noise_r) for s in self.students if s.has_point]
        delta_k, delta_r, noise_r = np.array(rows, dtype=np.float64).reshape(-1, 3).T
        return delta_k, delta_r, noise_r

    def envelope(self) -> Points:
        """The envelope at each student, NaN where it has no point."""
        found = np.full(len(self.students), np.nan)
        delta_k, delta_r, _ = self.points()
        if len(delta_k):
            found[[s.has_point for s in self.students]] = stability_verdicts.envelope(
                delta_k, delta_r
            )
        return found


def family(found: Components, teacher: TeacherRole, from_internals: AbstractSet[str]) -> Family:
    """A teacher and the students whose roles say that they are its own."""
    prefix = "plain-student" if teacher == PLAIN_TEACHER else "student"
    return Family(
        found.both(teacher),
        len(found.tables[teacher].stories),
        tuple(
            student(found, role, teacher, is_output_only=role not in from_internals)
            for role in found.tables
            if role.startswith(prefix)
        ),
    )


def student(found: Components, role: str, teacher: TeacherRole, *, is_output_only: bool) -> Student:
    """Compare a student with its teacher, component by component that both have."""
    theirs, own = found.both(teacher), found.both(role)
    is_compared = ~np.isnan(theirs[0, R] + own[0, R])
    load = COMPONENTS.index(stability.LOAD)
    with np.errstate(divide="ignore", invalid="ignore"):
        load_ratio = own[:, load] / theirs[:, load]
    return Student(
        role=role,
        teacher=teacher,
        is_output_only=is_output_only,
        n_problems=len(found.tables[role].stories),
        is_compared=is_compared,
        delta_k=stability.difference(theirs[:, K], own[:, K]),
        delta_k_plus=stability.shortfall(theirs[:, K], own[:, K]),
        delta_r=stability.difference(theirs[:, R][:, is_compared], own[:, R][:, is_compared]),
        load_ratio=np.where(np.isfinite(load_ratio), load_ratio, np.nan),
        noise_r=stability.half_split_noise(found.tables[teacher], is_compared),
        components=own,
    )
