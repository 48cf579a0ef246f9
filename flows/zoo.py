"""What `cicatrix zoo` does: list the members, build them, and measure the records they ship with.

The records are measured like any other, in a lake beside the unshipped weights, and written as one
pack; so a clean clone is calibrated by models whose weights it does not hold.
"""

import hashlib
import multiprocessing
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

from flows.choice import Choice
from flows.circuit_plans import CircuitChoice
from flows.circuit_run import CircuitRun
from flows.crosscode_run import Coder
from flows.report import say
from flows.session import Session
from flows.stability_run import Assessment, Assessor
from flows.targets import STRANGERS, Target, in_order, member_targets, zoo_ref
from flows.tracer import Trace, Tracer
from measure import zoo
from measure.crosscoding import Crosscoding
from measure.errors import BadInput
from warehouse import pack
from warehouse.lake import Lake, Location

RECORDS = zoo.HERE / "records.parquet"
DEVICE = "cpu"  # of the shipped records, whatever the machine has
TRACE_SAMPLES, TRACE_TOKENS = 4, 256  # of the shipped records: 160 rollouts a model


def list_members() -> int:
    """Print the tree of lineage with what was measured of each member."""
    for line in zoo.tree():
        sys.stdout.write(line + "\n")
    return 0


def build(only: Sequence[str], jobs: int) -> int:
    """Make what is missing; after a whole build, measure it and write the pack."""
    from measure.zoo.build import build as build_weights  # torch: seconds, and the list needs none

    began = time.perf_counter()
    try:
        made = build_weights(zoo.HERE, only, jobs)
    except KeyError as error:
        raise BadInput(f"{error.args[0]}") from error
    zoo.members.cache_clear()
    say(f"made {len(made)} models ({time.perf_counter() - began:,.0f} s)")
    if not only:
        n = measure_members(_lake_location(), jobs)
        say(f"{RECORDS.name}: {n} measurements, {RECORDS.stat().st_size / 1e6:.2f} MB")
    return 0


def families(out: Path) -> int:
    """Make two families that differ in a constraint, and say how to hold them against each other.

    Raises:
        BadInput: the folder holds something else.
    """
    from measure.zoo.families import build_families  # torch: seconds, and the list needs none

    made = build_families(out, say)
    (teacher, *students), (plain, *plain_students) = (
        [shlex.quote(str(folder)) for folder in made[arm]] for arm in ("constrained", "plain")
    )
    say("now hold both against each other:")
    say(
        f"  cicatrix stability --teacher {teacher} --students {' '.join(students)} "
        f"--plain-teacher {plain} --plain-students {' '.join(plain_students)} --max-new-tokens 192"
    )
    return 0


def take_records(lake: Lake) -> None:
    """Append the shipped records to a lake; what it has measured itself stays."""
    taken = pack.take_pack(lake, RECORDS)
    if taken.n_measurements:
        # Beside the answer of a first question, which a pipe reads alone.
        sys.stderr.write(
            f"the zoo's records: {taken.n_measurements} measurements of "
            f"{len(zoo.members())} models\n"
        )


Question = Trace | Assessment | CircuitChoice | Crosscoding


def questions() -> Iterator[Question]:
    """What else is asked of members for the records, small enough to ship."""
    teacher, other = (zoo_ref(name) for name in ("teacher-forward", "teacher-gains-first"))
    for family in STRANGERS:
        for method in ("distilled", "sft-direct"):
            yield Trace(
                teachers=(teacher,),
                student=zoo_ref(f"{family}-base"),
                distilled=zoo_ref(f"{family}-{method}"),
                control=other,
                n_samples=TRACE_SAMPLES,
                max_new_tokens=TRACE_TOKENS,
            )
    yield CircuitChoice(
        teacher=teacher,
        students=(zoo_ref("depth-student"),),
        tasks=("numerals",),
        n_prompts=24,
        parts=("circuits", "edges"),
    )
    yield Assessment(
        teacher=teacher,
        students=tuple(zoo_ref(f"llama-distilled{how}") for how in ("", "-lora")),
        n_samples=1,
        max_new_tokens=192,
    )
    for method in ("distilled", "sft-direct"):
        yield Crosscoding(
            base=zoo_ref("llama-base"),
            distilled=zoo_ref(f"llama-{method}"),
            latents=256,
            contexts=3,
            ablation_pairs=20,
            control_draws=1,
            skip=() if method == "distilled" else ("ablation", "steering", "parallelogram"),
        )


def build_hash() -> str:
    """Hash of all members' weights: what the records were measured on."""
    sums = "".join(sorted(member.sha256 for member in zoo.members()))
    return hashlib.sha256(sums.encode()).hexdigest()


def measure_members(location: Location, jobs: int) -> int:
    """Measure every member into the lake at `location`, `jobs` at a time, and write the pack."""
    from measure.zoo.build import end_with_parent

    targets = member_targets(zoo.members())
    refs = in_order(targets)
    bases = list(dict.fromkeys(target.base for target in targets if target.base is not None))
    Lake.open(location).close()  # made before the workers meet in it
    # Everybody is scored on the bases' texts, and compared once everybody is measured.
    phases = [
        (_measure_member, bases),
        (_measure_member, refs),
        (_compare_member, targets),
        (_ask_members, list(questions())),
    ]
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(jobs, context, end_with_parent) as pool,
        tqdm(total=sum(len(asked) for _, asked in phases), desc="records", unit="piece") as bar,
    ):
        for work, asked in phases:
            for _ in pool.map(work, [location] * len(asked), asked):
                bar.update()
    with Lake.open(location) as lake:
        lake.add_organisms(_organisms(_session(lake)))
        return pack.write_pack(lake, RECORDS, made_by=build_hash())


def _lake_location() -> Location:
    # One a build: records of weights that are no more would ship with the others.
    folder = zoo.UNSHIPPED / f".lake-{build_hash()[:12]}"
    return Location(str(folder / "catalog.sqlite"), str(folder / "data"), is_configured=False)


def _session(lake: Lake) -> Session:
    return Session(lake, member_targets(zoo.members()), Choice().settings(DEVICE), DEVICE)


def _measure_member(location: Location, ref: str) -> None:
    """Measure what is missing of one member, in a process of its own."""
    with Lake.open(location) as lake:
        _session(lake).measure(ref)


def _compare_member(location: Location, target: Target) -> None:
    """Compute the distances of one derivative from records, in a process of its own."""
    with Lake.open(location) as lake:
        _session(lake).measure_distances(target)


def _ask_members(location: Location, asked: Question) -> None:
    """Answer one question about members, in a process of its own."""
    with Lake.open(location) as lake:
        match asked:
            case Trace():
                Tracer(lake, asked, DEVICE).complete()
            case Assessment():
                Assessor(lake, asked, DEVICE).complete()
            case CircuitChoice():
                for task in asked.tasks:
                    CircuitRun(lake, asked, DEVICE, task).complete()
            case Crosscoding():
                Coder(lake, asked, DEVICE).complete()


def _organisms(session: Session) -> Iterable[dict[str, object]]:
    """What is known of every member, by model id."""
    for member in zoo.members():
        others = {
            f"{role}_id": session.model_id(zoo_ref(name)) if name else None
            for role, name in (("base", member.base), ("teacher", member.teacher))
        }
        yield {
            "model_id": session.model_id(zoo_ref(member.name)),
            "name": member.name,
            "method": member.method,
            "role": member.role,
            "is_distilled": member.is_distilled,
            "seed": member.seed,
            "is_shipped": member.is_shipped,
            "declared_by": "zoo",
            **others,
        }
