"""Weight lineage over all pairs of the zoo's models whose weights are here, each pair once.

The pair's record alone is kept: 153 models are 23,256 pairs, and the records of their weights would
be 0.9 million rows in every mart and pack, where only the label is asked. Such a measurement has
an id of its own, so that `cicatrix measure` still measures a pair whole; a pair that was measured
whole is not measured here again. A derivative's pairs are one transaction: after an interruption
the same command goes on with the next.
"""

import multiprocessing
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache

from tqdm import tqdm

from flows.targets import zoo_ref
from flows.zoo import take_records
from measure import lineage, sources, zoo
from measure.errors import BadInput
from measure.records import WeightLineagePair
from measure.request import Measurement
from measure.sources import Source
from measure.tensors import Weights
from warehouse.lake import Lake
from warehouse.rows import to_arrow
from warehouse.tables import TABLES

S_PER_PAIR = 0.1  # of one core; strangers of one shape take twice as long, of different shapes 5 ms
EPOCH = datetime.fromtimestamp(0, UTC)  # the lake adds the moment it takes the rows
Asked = tuple[Source, Sequence[Source]]  # a derivative and what it is compared with
Compared = tuple[Measurement, WeightLineagePair, float]  # and how long it took, seconds


def at_hand() -> list[Source]:
    """The members whose weights are here, in building order."""
    return [sources.find(zoo_ref(one.name)) for one in zoo.members() if one.path.exists()]


def compare_all(
    lake: Lake, members: Sequence[Source], jobs: int, tell: Callable[[str], None]
) -> int:
    """Compare the pairs that are not in the lake yet, `jobs` at a time; how many there were."""
    _refuse_unregistered(lake, members)
    asked = list(_missing(lake, members))
    n_pairs = sum(len(bases) for _, bases in asked)
    if not n_pairs:
        return 0
    tell(f"{n_pairs:,} pairs to compare: about {n_pairs * S_PER_PAIR / jobs / 60:.1f} min")
    with (
        _mapping(min(jobs, len(asked))) as mapped,
        tqdm(total=n_pairs, desc="weight lineage", unit="pair", disable=None) as bar,
    ):
        for compared in mapped(_compare, asked):
            _commit(lake, compared)
            bar.update(len(compared))
    return n_pairs


def _refuse_unregistered(lake: Lake, members: Sequence[Source]) -> None:
    """Refuse weights that are not those of the records: nothing is known of them."""
    ids = {member.model_id: member.label for member in members}

    def unknown() -> list[str]:
        known = lake.query("select model_id from organism where declared_by = 'zoo'")
        return [ids[model_id] for model_id in ids.keys() - set(known["model_id"])]

    if unknown():
        take_records(lake)
    if strangers := sorted(unknown()):
        raise BadInput(
            f"the weights of {strangers[0]!r} are not those of the zoo's records, so its lineage "
            "is not known: `cicatrix zoo build` makes records of what is here"
        )


def _missing(lake: Lake, members: Sequence[Source]) -> Iterator[Asked]:
    """Of each member the others with which it was not compared, whole or as a pair alone."""
    done = lake.query(
        "select derivative.model_id, base.model_id as base_id from stg_measurement as measurement "
        "inner join measurement_model as derivative on measurement.measurement_id = "
        "derivative.measurement_id and derivative.role = 'derivative' "
        "inner join measurement_model as base on measurement.measurement_id = "
        "base.measurement_id and base.role = 'base' where method = ? and method_version = ?",
        [lineage.METHOD, lineage.VERSION],
    )
    is_done = set(done.iter_rows())
    for derivative in members:
        bases = [
            base
            for base in members
            if base != derivative and (derivative.model_id, base.model_id) not in is_done
        ]
        if bases:
            yield derivative, bases


@contextmanager
def _mapping(
    jobs: int,
) -> Generator[
    Callable[[Callable[[Asked], list[Compared]], list[Asked]], Iterator[list[Compared]]]
]:
    """`map` in this process, or in that many others."""
    if jobs == 1:
        yield map
        return
    from measure.zoo.build import end_with_parent

    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), end_with_parent)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _compare(asked: Asked) -> list[Compared]:
    """The pairs of one derivative."""
    derivative, bases = asked
    compared: list[Compared] = []
    for base in bases:
        began = time.perf_counter()
        pair, *_ = lineage.compare(_weights(derivative), _weights(base))
        assert isinstance(pair, WeightLineagePair)
        plan = lineage.plan(derivative.model_id, base.model_id, is_pair_alone=True)
        compared.append((plan, pair, time.perf_counter() - began))
    return compared


@cache
def _weights(source: Source) -> Weights:
    """A model's weights, opened once a process."""
    return Weights(source)


def _commit(lake: Lake, compared: Sequence[Compared]) -> None:
    """Add complete measurements in one transaction."""
    tables: dict[str, list[dict[str, object]]] = {
        "measurement": [{**plan.row(), "planned_at": EPOCH} for plan, _, _ in compared],
        "measurement_model": [
            {"measurement_id": plan.measurement_id, "role": role, "model_id": model_id}
            for plan, _, _ in compared
            for role, model_id in plan.models.items()
        ],
        "unit": [
            {
                "measurement_id": plan.measurement_id,
                "unit": plan.units[0],
                "n_rows": 1,
                "duration_s": duration_s,
                "committed_at": EPOCH,
            }
            for plan, _, duration_s in compared
        ],
        "weight_lineage_pair": [
            {"measurement_id": plan.measurement_id, **asdict(pair)} for plan, pair, _ in compared
        ],
    }
    lake.add_measured({name: to_arrow(TABLES[name], rows) for name, rows in tables.items()})
