"""The command as a user runs it: a process, its output, its exit code."""

import json
import subprocess
import sys

import polars as pl
import pytest
from rich.console import Console

from flows import cli, report
from warehouse.lake import Lake

HEAVY = ("torch", "transformers", "prefect", "duckdb", "polars", "streamlit")


def run(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "flows", *map(str, arguments)],
        capture_output=True, text=True, timeout=200, check=False, **kwargs,
    )  # fmt: skip


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from flows import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "measure" in done.stdout


def test_every_command_has_help(capsys):
    for command in (
        "measure",
        "demo",
        "verdict",
        "evaluate",
        "declare",
        "sql",
        "take",
        "pack",
        "up",
        "doctor",
        "init",
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main([command, "--help"])
        assert caught.value.code == 0
        assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["measure", "x", "--seeds", "one"], "seed 'one' is not a whole number"),
        (["measure", "x", "--batch-size", "0"], "batch size 0 is under 1"),
        (["measure", "x", "--bank", "gone"], "prompt set 'gone' does not exist"),
        (["measure", "zoo:llama-base", "--device", "cuda:99"], "device 'cuda:99' cannot be used"),
        (["sql", "select 1", "--out", "/nowhere/x.csv"], "'/nowhere/x.csv' cannot be written"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(home, capsys, arguments, said):
    assert cli.main(arguments) == cli.BAD_USAGE
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_configured_catalog_that_is_missing_is_one_line_and_code_1(home, tmp_path, monkeypatch):
    monkeypatch.setenv("CICATRIX_CATALOG", str(tmp_path / "gone.sqlite"))
    done = run("sql", "select 1 as one")
    assert (done.returncode, done.stdout) == (1, "")
    assert "gone.sqlite" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "gone.sqlite").exists()
    assert run("init").returncode == 0
    assert run("sql", "select 1 as one", "--format", "csv").stdout == "one\n1\n"


def test_sql_formats(home, tmp_path, capfdbinary):
    Lake.open().close()
    query = "select 1 as a, 'x[b]y' as b union all select null, 'z' order by a"
    assert cli.main(["sql", query, "--format", "json"]) == 0
    assert json.loads(capfdbinary.readouterr().out) == [
        {"a": 1, "b": "x[b]y"},
        {"a": None, "b": "z"},
    ]
    assert cli.main(["sql", query, "--format", "table"]) == 0
    table = capfdbinary.readouterr().out.decode()
    assert "x[b]y" in table and "2 rows" in table
    out = tmp_path / "answer.parquet"
    assert cli.main(["sql", query, "--format", "parquet", "--out", str(out)]) == 0
    assert pl.read_parquet(out)["b"].to_list() == ["x[b]y", "z"]
    assert cli.main(["sql", "select [1, 2] as list", "--format", "csv"]) == 0
    assert b"[1, 2]" in capfdbinary.readouterr().out


def test_sql_says_where_it_cuts_and_shows_a_plan(home, capsys):
    Lake.open().close()
    many = "select range as n from range(5)"
    assert cli.main(["sql", many, "--rows", "2", "--format", "csv"]) == 0
    said = capsys.readouterr()
    assert said.out == "n\n0\n1\n"
    assert said.err == "these are the first 2 rows; --rows gives more\n"
    assert cli.main(["sql", many, "--explain"]) == 0
    assert "RANGE" in capsys.readouterr().out
    assert cli.main(["sql", "select count(*) from range(1e15::bigint)", "--seconds", "0.5"]) == 1
    assert "took longer than 0.5 s" in capsys.readouterr().err
    assert cli.main(["sql", many, "--rows", "0"]) == cli.BAD_USAGE


@pytest.mark.parametrize(
    "query", ["select nope from run", "drop table unit", "selct 1", "select 1; select 2"]
)
def test_sql_that_cannot_be_answered(home, capsys, query):
    Lake.open().close()
    assert cli.main(["sql", query]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize("command", [["sql", "select count(*) as n from unit"], ["doctor"]])
def test_the_first_command_in_an_empty_home_makes_the_lake(home, command):
    assert not home.exists()
    assert cli.main(command) == 0
    assert (home / "lake" / "catalog.sqlite").exists()


def test_a_home_that_cannot_be_made_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CICATRIX_HOME", str(tmp_path / "file" / "home"))
    assert cli.main(["sql", "select 1"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert cli.main(["doctor"]) == 1
    assert "problem" in capsys.readouterr().out


def test_doctor_names_what_is_wrong(home, tmp_path, monkeypatch, capsys):
    assert cli.main(["doctor"]) == 0
    assert "duckdb-extension-ducklake" in capsys.readouterr().out
    monkeypatch.setenv("CICATRIX_CATALOG", str(tmp_path / "gone.sqlite"))
    assert cli.main(["doctor"]) == 1
    assert "problem" in capsys.readouterr().out


def test_numbers_have_three_digits():
    assert [report.number(v) for v in (None, 0.12345, 12.34, 1234.5, -0.001234)] == [
        "-", "0.123", "12.3", "1,234", "-0.00123",
    ]  # fmt: skip


def test_a_port_that_is_none(home, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["up", "--port", "99999"])
    assert caught.value.code == cli.BAD_USAGE
    assert "is no whole number from 1 to 65535" in capsys.readouterr().err


def test_names_are_never_markup(home, capsys):
    Lake.open().close()
    assert cli.main(["sql", "select 'model[/b]' as \"x[/i]\""]) == 0
    table = capsys.readouterr().out
    assert "model[/b]" in table and "x[/i]" in table


def test_a_run_over_good_and_bad_models(home, model_folder, tmp_path):
    """With Prefect, as a user does it: the bad ones fail in a line each, the others go on."""
    pickle = tmp_path / "pickle"
    pickle.mkdir()
    (pickle / "model.pt").write_bytes(b"x")
    base, derivative = model_folder("llama"), model_folder("llama", 1)
    arguments = ["measure", derivative, pickle, "./gone", "--base", base, "--seeds", 0, 1]
    done = run(*arguments)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert f"failed: {pickle}: model '{pickle}' holds only pickle checkpoints" in done.stderr
    assert "failed: ./gone: model './gone' is no folder" in done.stderr
    assert "Scars and distances to the base" in done.stdout
    rows = json.loads(
        run(
            "sql",
            "select derivative from structural_scar where is_measured_here",
            "--format",
            "json",
        ).stdout
    )
    assert [row["derivative"] for row in rows] == ["llama-1"]
    failed = "select model_ref from run where state = 'failed' order by 1"
    answer = run("sql", failed, "--format", "csv").stdout
    assert answer.split() == ["model_ref", "./gone", str(pickle)]
    again = run("measure", derivative, "--base", base, "--seeds", 0, 1)
    assert again.returncode == 0
    assert "nothing to measure" in again.stdout


def test_a_table_wider_than_the_terminal_is_shown_record_by_record(home, monkeypatch, capsys):
    query = "select 'ab' as first, 'cd' as second"
    # Two columns of 7 and 8 with their padding and 3 lines: 5 + 2, 6 + 2 and 3 are 18.
    for width, is_table in ((18, True), (17, False)):
        monkeypatch.setattr(report, "console", lambda width=width: Console(width=width))
        assert cli.main(["sql", query]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert any("first" in line and "second" in line for line in lines) is is_table
        assert lines[-1] == "1 rows"
    assert [line.split() for line in lines[1:-1]] == [["first", "ab"], ["second", "cd"]]
    assert lines[0].startswith("row 1 ─")


def test_each_record_is_numbered_and_long_values_are_folded_whole(home, monkeypatch, capsys):
    monkeypatch.setattr(report, "console", lambda: Console(width=20))
    query = "select repeat('x', 40) as [b], i from range(2) t(i)".replace("[b]", '"[b]x[/b]"')
    assert cli.main(["sql", query]) == 0
    out = capsys.readouterr().out
    assert out.count("x") == 2 * (40 + 1) and "[b]x[/b]" in out.replace("\n", "")
    assert "row 1 " in out and "row 2 " in out
    assert max(map(len, out.splitlines())) <= 20
