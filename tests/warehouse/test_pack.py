"""Packs: what comes out is what went in, once, all of it or nothing."""

import hashlib
import json
import math
import threading
from datetime import UTC, datetime
from pathlib import Path

import circuit_rows
import crosscoder_rows
import provenance_rows
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stability_rows
from making import (
    add_distances,
    add_structural,
    add_unit,
    comparison,
    distance_row,
    fisher_rows,
    lineage_pair_row,
    measurement,
    model,
    organism,
    stiffness_row,
    tau_row,
    template_row,
    weight_row,
    winner_gap_rows,
)
from polars.testing import assert_frame_equal

from warehouse import checks, pack, read
from warehouse.attach import connect, schema_version
from warehouse.declaring import INSTANT
from warehouse.lake import Lake, LakeError, Location
from warehouse.tables import TABLES

BASE_TEMPLATE = [0.1, 0.7] + [-0.3] * 18
CHILD_TEMPLATE = [0.3, 0.1] + [0.6] * 18
INSTANTS = {c.name for table in TABLES.values() for c in table.columns if c.type == INSTANT}


def lake_in(folder: Path) -> Lake:
    return Lake.open(Location.from_env({"CICATRIX_HOME": str(folder)}))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A lake with a row or more in every table; no test writes to it."""
    with lake_in(tmp_path_factory.mktemp("source")) as opened:
        fill(opened)
        yield opened


@pytest.fixture(scope="module")
def content(source, tmp_path_factory) -> bytes:
    """Its pack."""
    path = tmp_path_factory.mktemp("pack") / "records.parquet"
    assert pack.write_pack(source, path, made_by="a test") == 9
    return path.read_bytes()


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """An empty lake that stays empty."""
    with lake_in(tmp_path_factory.mktemp("refusing")) as opened:
        yield opened


@pytest.fixture
def path(content, tmp_path) -> Path:
    """A file of one's own with the pack of `source`."""
    path = tmp_path / "records.parquet"
    path.write_bytes(content)
    return path


def fill(lake: Lake) -> None:
    """Nine complete measurements, of base and child; one more that is not complete."""
    add_structural(lake, "base", {0: [0.5, 1 / 3], 1: [0.5, None]}, 1e-7)
    # Far from its rerun, at the smallest double there is, and with a rerun alone.
    rows = [tau_row(0, 0, 0.9, 1e-9), tau_row(0, 1, 5e-324, 0.1 + 0.2)]
    rows += [{**tau_row(0, 2, None, 0.25), "tau_rerun": 0.25}]
    lake.add_models([model("child")])
    lake.plan(measurement("s-child", "structural", 1), {"model": "child"})
    attempt = lake.start_attempt(
        model_ref="./a-path", device="cpu", measurement_id="s-child", host="a-host"
    )
    lake.append_unit("s-child", "seed-0", {"structural_tau": rows}, 0.1)
    lake.end_attempt(attempt, "done")
    for name, template in (("base", BASE_TEMPLATE), ("child", CHILD_TEMPLATE)):
        records = [
            template_row("p0", template=template, text_sha256=hashlib.sha256(b"a text").hexdigest())
        ]
        if name == "child":  # a hash of something else, and no text
            records += [template_row("p1", template=None, reason="too short")]
            records += [template_row("p2", template=[-0.0] * 20, text=None, text_sha256=None)]
        lake.plan(measurement(f"t-{name}", "template", 1), {"model": name})
        lake.append_unit(f"t-{name}", "all", {"prompt_template": records}, 0.2)
    # p0's difference is that of the templates, p1's follows from nothing that is there.
    difference = [c - b for b, c in zip(BASE_TEMPLATE, CHILD_TEMPLATE, strict=True)]
    gaps = winner_gap_rows([difference[0], 1 / 7])
    gaps["winner_gap_prompt"][0]["d"] = difference
    inputs = {"mode": "free", "inputs": {"base": "t-base", "derivative": "t-child"}}
    add_distances(
        lake, "d", {"base": "base", "derivative": "child"}, [distance_row("derivative")], gaps,
        options=json.dumps(inputs),
    )  # fmt: skip
    tables = {"model_stiffness": [stiffness_row(sigma_o=None, stiffness_o=None, reason="no o")]}
    add_unit(lake, "w", "stiffness", {"model": "base"}, tables)
    add_unit(lake, "f", "fisher", {"model": "base"}, fisher_rows([1 / 3, None]))
    tables = {"weight_lineage_pair": [lineage_pair_row(1)]}
    tables["weight_lineage"] = [weight_row(0, "q", cosine=2 / 3), weight_row(None, "embed")]
    add_unit(lake, "l", "lineage", {"base": "base", "derivative": "child"}, tables)
    texts = {**provenance_rows.one_of_each(), **stability_rows.one_of_each()}
    texts |= circuit_rows.one_of_each() | crosscoder_rows.one_of_each()
    add_unit(lake, "r", "rollout", {"model": "child"}, texts)
    lake.add_comparisons([comparison("child", "base", "an-earlier-base")])
    lake.add_comparisons([comparison("child", "base", "base"), comparison("child", "teacher", "t")])
    lake.add_organisms([organism("child"), organism("base", base_id=None, is_distilled=False)])
    lake.plan(measurement("half", "structural", 2), {"model": "base"})
    lake.append_unit("half", "seed-0", {"structural_tau": [tau_row(0, 0, 0.5, 0.5)]}, 1.0)


def rows_of(lake: Lake, table: str) -> list[dict[str, object]]:
    """A table without its instants, in the order of its key."""
    frame = read.table(table, lake.location)
    key = [name for name in TABLES[table].key if name not in INSTANTS]
    return frame.sort(key).drop([c for c in frame.columns if c in INSTANTS]).to_dicts()


def newest_snapshot(lake: Lake) -> int:
    return lake.query("select max(snapshot_id) as n from ducklake_snapshots('lake')")["n"].item()


def rewritten(path: Path, change, notes: dict[bytes, bytes] | None = None) -> None:
    """The pack after `change` was let at its rows by table."""
    file = pq.ParquetFile(path)
    table, kept = file.read(), file.metadata.metadata
    file.close()
    (rows,) = table.to_pylist()
    change(rows)
    schema = pa.schema([field for field in table.schema if field.name in rows])
    changed = pa.Table.from_pylist([rows], schema=schema)
    pq.write_table(changed.replace_schema_metadata({**kept, **(notes or {})}), path)


def test_what_is_packed_is_what_is_taken(source, path, lake):
    taken = pack.take_pack(lake, path)
    # Records: 4 + 3 tau, 1 + 3 templates, 1 distance, 1 winner gap of 2 prompts, 1 stiffness,
    # 1 curvature of 2 prompts, 1 lineage of 2 weights, 1 row of each of 8 tables of provenance,
    # 9 of stability: 2 limits, 2 steps, 1 of each of 5 more; 1 of each of 24 of circuits,
    # 1 of each of 11 of crosscoders.
    assert (taken.n_measurements, taken.n_known, taken.n_rows) == (9, 0, 74)
    complete = {"s-base", "s-child", "t-base", "t-child", "d", "w", "f", "l", "r"}
    for table in (*(t.name for t in TABLES.values() if t.is_record), "organism", "model"):
        theirs = rows_of(lake, table)
        assert theirs, table
        ours = [row for row in rows_of(source, table) if row.get("measurement_id", "d") in complete]
        assert theirs == ours, table
    for table, n in (("measurement", 9), ("measurement_model", 11), ("unit", 10)):
        ours = [row for row in rows_of(source, table) if row["measurement_id"] in complete]
        assert rows_of(lake, table) == ours and len(ours) == n
    zeros = next(row for row in rows_of(lake, "prompt_template") if row["prompt_id"] == "p2")
    assert [math.copysign(1, value) for value in zeros["template"]] == [-1] * 20
    # A base that was replaced stays behind: of two taken at one instant neither is the newer.
    assert rows_of(lake, "comparison") == [
        comparison("child", "base", "base"),
        comparison("child", "teacher", "t"),
    ]
    checks.require_good(lake.location)
    for name in (
        "structural_scar", "functional_distance", "winner_gap", "stiffness", "fisher", "lineage",
        "lineage_layer",
    ):  # fmt: skip
        ours, theirs = (read.mart(name, at.location) for at in (source, lake))
        drop = {"measured_at", "is_measured_here"} & set(ours.columns)
        assert ours.height, name
        assert_frame_equal(ours.drop(drop), theirs.drop(drop), check_row_order=False)


def test_a_pack_names_no_machine_and_no_path(path):
    with pq.ParquetFile(path) as file:
        notes, columns = file.metadata.metadata, file.read().to_pylist()
    assert notes[b"cicatrix_schema"] == str(schema_version()).encode()
    assert notes[b"made_by"] == b"a test"
    assert "a-host" not in str(columns) and "a-path" not in str(columns)
    assert "s-child" in str(columns)


def test_taking_it_again_adds_nothing_and_packing_it_again_gives_the_same_file(path, lake):
    pack.take_pack(lake, path)
    before = {table: rows_of(lake, table) for table in TABLES if table != "schema_version"}
    taken = pack.take_pack(lake, path)
    assert (taken.n_measurements, taken.n_known, taken.n_rows) == (0, 9, 0)
    assert before == {table: rows_of(lake, table) for table in before}
    again = path.with_name("again.parquet")
    assert pack.write_pack(lake, again, made_by="a test") == 9
    assert again.read_bytes() == path.read_bytes()


def test_what_the_lake_knows_stays_as_it_is(path, lake):
    lake.add_models([model("child", label="my own name for it")])
    lake.add_comparisons([comparison("child", "base", "my-base", declared_by="cli")])
    lake.plan(measurement("s-base", "structural", 2), {"model": "child"})
    rows = {"structural_tau": [tau_row(0, 0, 0.125, 0.125)]}
    lake.append_unit("s-base", "seed-0", rows, 1.0)
    taken = pack.take_pack(lake, path)
    # Without the 4 records of s-base.
    assert (taken.n_measurements, taken.n_known, taken.n_rows) == (8, 1, 70)
    kept = read.table("structural_tau", lake.location, measurement_id="s-base")
    assert kept["tau"].to_list() == [0.125]
    assert lake.units_done("s-base") == {"seed-0"} and not lake.is_complete("s-base")
    assert read.table("measurement_model", lake.location, measurement_id="s-base").height == 1
    labels = {row["model_id"]: row["label"] for row in rows_of(lake, "model")}
    assert labels == {"child": "my own name for it", "base": "BASE"}
    bases = read.table("comparison", lake.location, role="base")
    assert bases["model_id"].to_list() == ["my-base"]


def test_instants_are_those_of_the_taking_and_the_newest_stays_the_newest(lake, tmp_path):
    # Two replicates: the later one counts, though its id comes first.
    add_structural(lake, "base", {0: [0.5]})
    add_structural(lake, "child", {0: [0.6]}, measurement_id="b")
    add_structural(lake, "child", {0: [0.8]}, measurement_id="a", replicate=1)
    lake.add_comparisons([comparison("child", "base", "base")])
    pack.write_pack(lake, tmp_path / "x.parquet", made_by="")
    other = lake_in(tmp_path / "other")
    began = datetime.now(UTC)
    pack.take_pack(other, tmp_path / "x.parquet")
    ended = datetime.now(UTC)
    for table in ("model", "comparison", "measurement", "unit"):
        frame = read.table(table, other.location)
        for name in INSTANTS & set(frame.columns):
            assert frame[name].min() >= began and frame[name].max() <= ended, (table, name)
    assert read.newest("structural_scar", other.location) >= began
    for at in (lake, other):
        distance = read.mart("structural_distance", at.location)["distance"].to_list()
        assert distance == pytest.approx([0.3])  # 0.8 - 0.5
    other.close()


def test_a_taken_measurement_is_complete_and_nobody_runs_it(path, lake):
    pack.take_pack(lake, path)
    runs = read.mart("run", lake.location)
    assert runs["state"].to_list() == ["complete"] * 9
    unknown = ("attempt_id", "host", "started_at", "units_per_min", "time_left_s", "reason")
    assert all(runs[name].null_count() == 9 for name in unknown)
    assert set(runs["label"]) == {"BASE", "CHILD", "CHILD vs BASE"}
    course = read.mart("run_unit", lake.location, measurement_id="s-base")
    assert sorted(course["n_units_done"]) == [1, 2]


def test_it_is_taken_in_one_transaction(path, lake, monkeypatch):
    before = newest_snapshot(lake)
    insert = Lake._insert_new
    with monkeypatch.context() as broken:

        def fail(self, name, *rest):
            if name == "unit":
                raise LakeError("no more")
            return insert(self, name, *rest)

        broken.setattr(Lake, "_insert_new", fail)
        with pytest.raises(LakeError, match="no more"):
            pack.take_pack(lake, path)
    assert newest_snapshot(lake) == before and not rows_of(lake, "model")

    seen: set[tuple[int, ...]] = set()
    is_over = threading.Event()

    def watch():
        reader = connect(lake.location, read_only=True)
        counts = ", ".join(
            f"(select count(*) from {name})" for name in ("model", "unit", "measurement")
        )
        while not is_over.is_set():
            seen.add(reader.execute(f"select {counts}").fetchone())
        seen.add(reader.execute(f"select {counts}").fetchone())
        reader.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    pack.take_pack(lake, path)
    is_over.set()
    watcher.join()
    assert newest_snapshot(lake) == before + 1
    assert seen <= {(0, 0, 0), (2, 10, 9)} and (2, 10, 9) in seen


def corrupted(path: Path) -> None:
    """One bit of the largest column turned, behind the head of its page."""
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    largest = max(columns, key=lambda column: column.total_compressed_size)
    content = bytearray(path.read_bytes())
    content[largest.data_page_offset + largest.total_compressed_size * 3 // 4] ^= 1
    path.write_bytes(content)


def nan(rows):
    rows["structural_tau"][0]["tau"] = math.nan


def unknown_role(rows):
    rows["organism"][0]["role"] = "stranger"


def twice(rows):
    rows["measurement"].append(rows["measurement"][0])


def too_few_records(rows):
    rows["prompt_template"].pop()


def too_few_units(rows):
    rows["unit"].pop()
    rows["structural_tau"] = [row for row in rows["structural_tau"] if row["seed"] != 1]


def no_plan(rows):
    rows["structural_tau"][0]["measurement_id"] = 9  # places are 0 to 8


def no_model(rows):
    rows["model"].pop()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_text("not Parquet at all"), "cannot be read as a pack"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read as a pack"),
        (corrupted, "cannot be read as a pack"),
        (lambda path: path.unlink(), "cannot be read as a pack"),
        (lambda path: pq.write_table(pa.table({"a": [1]}), path), "is Parquet but no pack"),
        (lambda path: noted(path, "99"), rf"of schema 99 .* takes {schema_version()}: upgrade"),
        (lambda path: noted(path, "1"), "of schema 1 .* have it written again"),
        (lambda path: rewritten(path, lambda rows: rows.pop("unit")), "not the columns"),
        (lambda path: rewritten(path, nan), r"'structural_tau.tau' was given nan"),
        (lambda path: rewritten(path, unknown_role), "was given 'stranger' and wants one of"),
        (lambda path: rewritten(path, twice), "same key"),
        (lambda path: rewritten(path, too_few_records), "unit_rows_differ"),
        (lambda path: rewritten(path, too_few_units), "incomplete_measurement"),
        (lambda path: rewritten(path, no_plan), "was given None and wants a varchar, never null"),
        (lambda path: rewritten(path, no_model), "record_without_unit"),
    ],
)
def test_what_is_no_sound_pack_is_refused_in_one_line(path, refusing, harm, message):
    before = newest_snapshot(refusing)
    harm(path)
    with pytest.raises(LakeError, match=message) as caught:
        pack.take_pack(refusing, path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert newest_snapshot(refusing) == before


def noted(path: Path, schema: str) -> None:
    rewritten(path, lambda rows: None, {b"cicatrix_schema": schema.encode()})


def test_a_refusal_of_the_caller_leaves_the_lake_as_it_was(path, refusing):
    asked = {}

    def refuse(row, models):
        asked[row["measurement_id"]] = models
        if row["measurement_id"] == "d":
            raise ValueError("not that one")

    with pytest.raises(ValueError, match="not that one"):
        pack.take_pack(refusing, path, refuse)
    assert asked["d"] == {"base": "base", "derivative": "child"}
    assert not rows_of(refusing, "measurement") and not rows_of(refusing, "model")


def test_a_pack_that_no_lake_would_take_is_not_written(lake, path):
    before = path.read_bytes()
    lake.add_models([model("base")])
    rows = [template_row("p", template=[0.0] * 3)]  # 3 gaps of 20
    lake.plan(measurement("broken", "template", 1), {"model": "base"})
    lake.append_unit("broken", "all", {"prompt_template": rows}, 1.0)
    with pytest.raises(LakeError, match="template_length"):
        pack.write_pack(lake, path, made_by="")
    with pytest.raises(LakeError, match="cannot be written"):
        pack.write_pack(lake, path.parent / "no-such-folder" / "x.parquet", made_by="")
    assert path.read_bytes() == before
    assert not [file for file in path.parent.iterdir() if file.name.endswith(".part")]


def test_an_empty_lake_is_an_empty_pack(refusing, tmp_path):
    assert pack.write_pack(refusing, tmp_path / "empty.parquet", made_by="") == 0
    assert pack.take_pack(refusing, tmp_path / "empty.parquet") == pack.TakenPack(0, 0, 0)


def test_a_pack_is_told_by_its_name_or_its_first_bytes(path, tmp_path):
    named, unnamed, lines = (tmp_path / name for name in ("gone.parquet", "records", "x.jsonl"))
    unnamed.write_bytes(path.read_bytes())
    lines.write_text('{"line": "unit"}\n')
    assert [pack.is_pack(file) for file in (path, named, unnamed, lines)] == [
        True, True, True, False,
    ]  # fmt: skip
    assert not pack.is_pack(tmp_path / "gone")


def test_an_organism_is_registered_once(lake):
    assert lake.add_organisms([organism("a"), organism("b")]) == 2
    assert lake.add_organisms([organism("a", seed=8), organism("c")]) == 1
    assert [row["seed"] for row in rows_of(lake, "organism")] == [7, 7, 7]
    with pytest.raises(LakeError, match=r"'organism.is_shipped' was given 1 and wants"):
        lake.add_organisms([organism("d", is_shipped=1)])
