"""Two small families that differ in a constraint alone, for `cicatrix stability`.

Both teachers go on from `teacher-forward`, by the same text in the same order, for as many steps;
the constrained one's loss has the penalty of `measure.zoo.constraints` beside it, with limits and
region of `teacher-forward` on its right answers to clean training problems. Students of both start
from the same bases and learn, by recipes of the zoo and the same budget, from what their teacher
answered to the same problems; some are kept at more than one length of training, each a student of
its own. What is done already is left alone.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedModel

from measure import models, problems, rollouts, sources, step_burdens, zoo
from measure.errors import BadInput
from measure.models import CausalLM
from measure.rollouts import Sampling
from measure.sentence_scores import Texts
from measure.stability_records import StabilityLimit, StabilityRegion
from measure.zoo import build, sample
from measure.zoo.constraints import WEIGHTS, Constraints, twins
from measure.zoo.recipes import Recipe, TraceSet, recipe, recipe_hash
from measure.zoo.tokenizer import TOKENIZER_FILES

Arm = Literal["plain", "constrained"]
ARMS: tuple[Arm, ...] = ("plain", "constrained")
BASELINE = "teacher-forward"
_NOTE = "families.json"


@dataclass(frozen=True, slots=True)
class Budget:
    """How long each is trained, and on how much."""

    teacher_steps: int = 200
    teacher_lr: float = 5e-4
    n_twins: int = 4  # pairs a step that the constrained teacher is held to
    n_calibration: int = 400  # problems, half of them clean, that limits and region are from
    n_traces: int = 1500
    students: tuple[tuple[str, tuple[int, ...]], ...] = (  # recipes of the zoo, and steps between
        ("llama-distilled-lora", (500, 500)),
        ("llama-distilled", (500,)),
        ("llama-small-distilled", (200, 200)),
    )
    seed: int = 41


DEFAULT = Budget()


def build_families(
    out: Path, say: Callable[[str], None], budget: Budget = DEFAULT
) -> dict[Arm, list[Path]]:
    """Make both families under `out`; by arm the folders of its teacher, then its students.

    Raises:
        BadInput: the folder holds families that were made otherwise.
    """
    torch.set_num_threads(1)  # the same sums in the same order wherever it runs
    out.mkdir(parents=True, exist_ok=True)
    _check(out, budget)
    teachers: dict[Arm, Path] = {arm: out / f"teacher-{arm}" for arm in ARMS}
    for arm, folder in teachers.items():
        _finish(folder, say, partial(_teach, arm=arm, budget=budget))
    kept: dict[Arm, list[str]] = {}
    made: dict[Arm, list[Path]] = {arm: [folder] for arm, folder in teachers.items()}
    for name, lengths in budget.students:
        row = recipe(name)
        assert row.base is not None
        for arm in ARMS:
            start, steps = zoo.member(row.base).path, 0
            for stage, more in enumerate(lengths):
                steps += more
                folder = out / f"{arm}-{name}-{steps}"
                made[arm].append(folder)
                if arm not in kept and not folder.exists():
                    kept[arm] = _traces(teachers[arm], budget)
                part = replace(row, seed=row.seed + stage, steps=more, traces=None)
                learn = partial(_learn, row=part, start=start, kept=kept.get(arm, []))
                _finish(folder, say, learn)
                start = folder
    return made


def _check(out: Path, budget: Budget) -> None:
    bases = [recipe_hash(recipe(name)) for name in (BASELINE, *dict(budget.students))]
    wanted = json.dumps({"budget": asdict(budget), "weights": WEIGHTS, "from": bases})
    note = out / _NOTE
    if not note.exists():
        if any(out.iterdir()):
            raise BadInput(f"{str(out)!r} holds something else: give an empty or a new folder")
        note.write_text(wanted + "\n", "utf-8")
    elif json.loads(note.read_text("utf-8")) != json.loads(wanted):
        raise BadInput(f"{str(out)!r} holds families made otherwise: give another folder")


def _finish(folder: Path, say: Callable[[str], None], make: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all; one that is there stays."""
    if folder.exists():
        return
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    make(unfinished)
    unfinished.rename(folder)
    say(f"made {folder}")


def _teach(folder: Path, arm: Arm, budget: Budget) -> None:
    """Go on from the baseline, with or without the penalty."""
    start = zoo.member(BASELINE).path
    weights, tokenizer = build.load(start)
    penalty = _penalty(weights, budget) if arm == "constrained" else None
    row = replace(
        recipe(BASELINE), seed=budget.seed, steps=budget.teacher_steps, lr=budget.teacher_lr
    )
    trained, _ = build.fit(row, weights, tokenizer, penalty=penalty, label=f"teacher-{arm}")
    _save(trained, start, folder)


def _penalty(weights: PreTrainedModel, budget: Budget) -> Callable[[int], torch.Tensor]:
    """What each step asks of `weights`: the baseline's limits and region, on twins of its own."""
    baseline = models.load(sources.find(f"{sources.ZOO_PREFIX}{BASELINE}"), device="cpu")
    held_to = _constraints(baseline, budget)

    def penalty(step: int) -> torch.Tensor:
        places = range(step * budget.n_twins, (step + 1) * budget.n_twins)
        pairs = [twins(baseline, budget.seed, index) for index in places]
        return held_to.penalty(weights, baseline, pairs)

    return penalty


def _constraints(baseline: CausalLM, budget: Budget) -> Constraints:
    """The baseline's limits and region, on its right answers to clean training problems."""
    asked = problems.load(f"zoo-train{budget.n_calibration}")
    clean = tuple(p for p in asked.problems if p.category.endswith(" clean"))
    asked = problems.ProblemSet(f"{asked.name} clean", clean)
    sampling = Sampling(n_samples=1, max_new_tokens=192)
    answered = [
        rollout
        for unit in rollouts.units(asked, sampling.n_samples)
        for rollout in rollouts.measure_unit(baseline, asked, unit, sampling, 64, _silent)
    ]
    texts = Texts(asked.name, asked.sha256, tuple(answered), sampling.plain_prompt)
    rows = step_burdens.calibrate(baseline, texts, 64, _silent)
    (region,) = (row for row in rows if isinstance(row, StabilityRegion))
    found = step_burdens.region_of(region)
    if found is None:
        raise BadInput(f"{region.reason}: calibrate on more problems")
    limits = [row for row in rows if isinstance(row, StabilityLimit)]
    return Constraints(step_burdens.limits_of(limits, BASELINE), found)


def _silent(_: int) -> None:
    """Progress of what takes seconds."""


def _traces(teacher: Path, budget: Budget) -> list[str]:
    """Right answers of a teacher to the training problems that both teachers are asked."""
    weights, tokenizer = build.load(teacher)
    return sample.traces(
        weights, tokenizer, TraceSet("families", teacher.name, budget.seed, budget.n_traces, 0.7)
    )


def _learn(folder: Path, row: Recipe, start: Path, kept: list[str]) -> None:
    """Train a student on traces, from its base or from where it stood."""
    weights, tokenizer = build.load(start)
    trained, _ = build.fit(row, weights, tokenizer, kept, label=folder.stem.strip("."))
    _save(trained, start, folder)


def _save(weights: PreTrainedModel, start: Path, folder: Path) -> None:
    for file in TOKENIZER_FILES:
        shutil.copy(start / file, folder)
    build.save(weights, folder)
