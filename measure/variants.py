"""Problems told in two horizons and two conditions, the variants of one story linked.

A set is a .jsonl file of `{"problem": ..., "answer": ..., "story": ..., "horizon": ...,
"condition": ...}`, or `zoo-variants120` (or another number) of stories which no embedded model has
read. `horizon` is short or long (twice as many steps, or more); `condition` is clean or perturbed,
or the kind of perturbation (premises in another order, other names, an irrelevant sentence).

A hash of the story puts all its variants on one side: on half of the stories thresholds are
calibrated, on the other half everything is tested.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from measure import problems
from measure.errors import BadInput
from measure.problems import Problem, ProblemSet
from measure.request import sha256_of
from measure.stability_records import Condition, Horizon
from measure.zoo.problems import CONDITIONS, HORIZONS, problem, story

DEFAULT_SET = "zoo-variants120"
_ZOO_SET = re.compile(r"zoo-variants([1-9]\d{0,3})")
_ZOO_SEED = 31  # of held-out stories; the zoo's own scores and its other sets use others
_PERTURBED = ("perturbed", *CONDITIONS[1:])


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to tell a story, as a problem."""

    problem: Problem
    story: str
    horizon: Horizon
    condition: Condition

    @property
    def is_for_calibration(self) -> bool:
        """Whether its story is one that thresholds are calibrated on."""
        return hashlib.sha256(self.story.encode()).digest()[0] % 2 == 0


@dataclass(frozen=True, slots=True)
class VariantSet:
    """Linked problems under a name, and the lines that were none."""

    name: str
    variants: tuple[Variant, ...]
    skipped: tuple[str, ...] = ()

    @property
    def calibration(self) -> ProblemSet:
        """The clean problems that thresholds are calibrated on."""
        return self._side("calibration", is_for_calibration=True)

    @property
    def test(self) -> ProblemSet:
        """The problems everything is tested on: those of the other stories."""
        return self._side("test", is_for_calibration=False)

    @property
    def tested_clean(self) -> ProblemSet:
        """Of those the clean ones."""
        clean = (v.problem for v in self.tested.values() if v.condition == "clean")
        return ProblemSet(f"{self.name} test, clean", tuple(clean))

    @property
    def tested(self) -> Mapping[str, Variant]:
        """The tested variants by problem id."""
        return {v.problem.problem_id: v for v in self.variants if not v.is_for_calibration}

    @property
    def links_sha256(self) -> str:
        """SHA-256, hex, of story, horizon and condition of each tested problem."""
        return sha256_of(
            sorted([k, v.story, v.horizon, v.condition] for k, v in self.tested.items())
        )

    @property
    def n_test_stories(self) -> int:
        """Stories that are tested: the unit of every interval."""
        return len({v.story for v in self.tested.values()})

    def _side(self, side: str, *, is_for_calibration: bool) -> ProblemSet:
        chosen = tuple(
            v.problem
            for v in self.variants
            if v.is_for_calibration == is_for_calibration
            and (v.condition == "clean" or not is_for_calibration)
        )
        return ProblemSet(f"{self.name} {side}", chosen)


@cache
def load(name: str) -> VariantSet:
    """A set by its name or by the path of a .jsonl file; lines without what is asked are skipped.

    Raises:
        BadInput: there is no such file, or nothing in it to calibrate on or to test.
    """
    if found := _ZOO_SET.fullmatch(name):
        made = VariantSet(name, tuple(_zoo_variants(int(found[1]))))
    else:
        path = Path(name).expanduser()
        if not name.endswith(".jsonl") or not path.is_file():
            raise BadInput(
                f"problem set {name!r} does not exist: give {DEFAULT_SET!r} or a .jsonl file"
            )
        skipped: list[str] = []
        variants = tuple(_of_lines(problems.json_lines(path, skipped.append), skipped.append))
        made = VariantSet(path.stem, variants, tuple(skipped))
    for side in (made.calibration, made.test):
        if not side.problems:
            why = f"; left out: {made.skipped[0]}" if made.skipped else ""
            raise BadInput(
                f"{len({v.story for v in made.variants})} stories of {name!r} leave none for "
                f"{side.name.split()[-1]}{why}: give more, one JSON object a line with `problem`, "
                "`answer`, `story`, `horizon` and `condition`"
            )
    return made


def _zoo_variants(n_stories: int) -> Iterator[Variant]:
    """Each story in both horizons, clean and in one of the three perturbations by turns."""
    for index in range(n_stories):
        told = story(_ZOO_SEED, index, is_held_out=True)
        for horizon in HORIZONS:
            for kind in (CONDITIONS[0], CONDITIONS[1 + index % 3]):
                made = problem(told, horizon, kind)
                yield Variant(
                    Problem(
                        f"{made.story_id} {horizon} {kind}",
                        f"{horizon} {kind}",
                        made.question,
                        str(made.answer),
                    ),
                    made.story_id,
                    horizon,
                    "clean" if kind == "clean" else "perturbed",
                )


def _of_lines(lines: Iterator[tuple[int, Any]], skip: Callable[[str], None]) -> Iterator[Variant]:
    seen: set[str] = set()
    for number, line in lines:
        made = problems.problem_of(line, number)
        if made is None:
            skip(f"line {number}: no object with a text under `problem`")
            continue
        told, horizon, condition = (
            str(line.get(key, "")).strip() for key in ("story", "horizon", "condition")
        )
        if not told or horizon not in HORIZONS or condition not in ("clean", *_PERTURBED):
            skip(
                f"line {number}: give a `story`, a `horizon` ({_one_of(HORIZONS)}) and a "
                f"`condition` ({_one_of(('clean', *_PERTURBED))})"
            )
            continue
        if made.problem_id in seen:
            skip(f"line {number}: the id {made.problem_id!r} stands there twice")
            continue
        seen.add(made.problem_id)
        yield Variant(made, told, horizon, "clean" if condition == "clean" else "perturbed")


def _one_of(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
