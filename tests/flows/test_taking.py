"""`cicatrix take` of a pack: the records of a real small model, measured in another home."""

import pyarrow.parquet as pq
import pytest

from flows import cli
from flows.session import Session
from flows.targets import Target
from measure import prompts, run, sources
from warehouse import pack, read
from warehouse.lake import Lake, Location

SETTINGS = run.Settings(bank=prompts.load("bank512"), canonical=prompts.load("canonical40"))


@pytest.fixture(scope="module")
def measured(model_folder, tmp_path_factory):
    """The pack of one model, and its target."""
    folder = tmp_path_factory.mktemp("elsewhere")
    target = Target(model=str(model_folder("llama")))
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(folder)})) as lake:
        Session(lake, [target], SETTINGS, "cpu").measure(target.model)
        assert pack.write_pack(lake, folder / "records.parquet", made_by="a test") == 4
    return folder / "records.parquet", target


@pytest.fixture(autouse=True)
def own_home(home):
    """Every test writes to a home of its own."""


def test_what_one_lake_packs_another_takes(measured, tmp_path, monkeypatch, capsys):
    assert cli.main(["take", str(measured[0])]) == cli.DONE
    again = tmp_path / "again.parquet"
    assert cli.main(["pack", str(again)]) == cli.DONE
    assert "packed 4 measurements (" in capsys.readouterr().out
    monkeypatch.setenv("CICATRIX_HOME", str(tmp_path / "other"))
    assert cli.main(["take", str(again)]) == cli.DONE
    assert "took 4 measurements (330 records), 0 were there" in capsys.readouterr().out


def test_the_lineage_of_a_zoo_member_is_kept_with_it():
    with Lake.open() as lake:
        Session(lake, [Target(model="zoo:qwen2-distilled")], SETTINGS, "cpu").measure(
            "zoo:qwen2-distilled"
        )
    (row,) = read.table("organism").to_dicts()
    assert (row["name"], row["role"], row["method"]) == (
        "qwen2-distilled",
        "derivative",
        "distilled",
    )
    assert row["is_distilled"] and row["is_shipped"]
    assert row["base_id"] == sources.model_id_of("zoo:qwen2-base")
    assert row["teacher_id"] == sources.model_id_of("zoo:teacher-forward")
    assert row["model_id"] == sources.model_id_of("zoo:qwen2-distilled")


def test_a_pack_is_taken_once_and_not_measured_again(measured, capsys):
    path, target = measured
    # 4 seeds of 32 prompts at 2 sites, 40 templates, 32 curvatures and their summary, 1 stiffness.
    for said in ("took 4 measurements (330 records), 0 were there\n",
                 "took 0 measurements (0 records), 4 were there\n"):  # fmt: skip
        assert cli.main(["take", str(path)]) == cli.DONE
        assert capsys.readouterr().out.endswith(said)
    assert read.mart("run")["state"].to_list() == ["complete"] * 4
    with Lake.open() as lake:
        assert Session(lake, [target], SETTINGS, "cpu").is_complete()


def test_a_pack_whose_inputs_were_changed_is_bad_usage(measured, tmp_path, capsys):
    with pq.ParquetFile(measured[0]) as file:
        table, notes = file.read(), file.metadata.metadata
    (rows,) = table.to_pylist()
    for change in ({"dtype": "bfloat16"}, {"options": "[1]"}):
        changed = [{**rows["measurement"][0], **change}, *rows["measurement"][1:]]
        path = tmp_path / "changed.parquet"
        pq.write_table(
            table.from_pylist([{**rows, "measurement": changed}], schema=table.schema)
            .replace_schema_metadata(notes),
            path,
        )  # fmt: skip
        assert cli.main(["take", str(path)]) == cli.BAD_USAGE
        error = capsys.readouterr().err
        assert "is not the hash of its inputs" in error and error.count("\n") == 1
    assert read.table("measurement").is_empty() and read.table("model").is_empty()


def test_a_file_that_is_no_pack_is_one_line(tmp_path, capsys):
    path = tmp_path / "x.parquet"
    path.write_text("text")
    assert cli.main(["take", str(path)]) == cli.FAILED
    error = capsys.readouterr().err
    assert "cannot be read as a pack" in error and error.count("\n") == 1
