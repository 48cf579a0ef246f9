"""What holds the parts together: records and tables, documents and code, what must not be."""

import dataclasses
import re
import subprocess
import sys
import tomllib
import types
import typing
from pathlib import Path

import pytest

from flows import cli
from measure import records
from measure.request import Measurement
from warehouse.tables import TABLES

ROOT = Path(__file__).parent.parent
FILLED_BY_THE_STORE = {"measurement_id", "registered_at", "planned_at"}
SQL_OF = {
    int: {"INTEGER", "BIGINT"},
    float: {"DOUBLE"},
    str: {"VARCHAR"},
    bool: {"BOOLEAN"},
    tuple[int, ...]: {"INTEGER[]"},
    tuple[float, ...]: {"DOUBLE[]"},
    tuple[str, ...]: {"VARCHAR[]"},
}


def git_files(*patterns):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert found
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize(
    ("record", "table"), [*records.TABLE_OF.items(), (records.ModelCard, "model")]
)
def test_a_record_and_its_table_have_the_same_columns_and_types(record, table):
    columns = {c.name: c for c in TABLES[table].columns if c.name not in FILLED_BY_THE_STORE}
    fields = {field.name: field.type for field in dataclasses.fields(record)}
    fields.pop("measurement_id", None)
    if table == "model":
        columns |= {"model_id": TABLES["model"].columns[0]}
    assert list(fields) == [c.name for c in TABLES[table].columns if c.name in columns]
    for name, kind in fields.items():
        # `Literal[...] | None` is a typing.Union, `int | None` is not.
        is_union = isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
        parts = typing.get_args(kind) if is_union else (kind,)
        (plain,) = [part for part in parts if part is not type(None)]
        origin = str if typing.get_origin(plain) is typing.Literal else plain
        assert columns[name].type in SQL_OF[origin], name


def test_a_plans_row_has_the_columns_of_its_table():
    plan = Measurement(
        method="m", method_version=1, models={}, prompt_set="p", prompt_set_sha256="s", units=("u",)
    )
    wanted = [column.name for column in TABLES["measurement"].columns]
    assert sorted(plan.row()) == sorted(set(wanted) - {"planned_at"})


@pytest.mark.parametrize("package", ["measure", "warehouse"])
def test_a_role_imports_without_the_others(package):
    """`measure` must work with torch and transformers alone, `warehouse` without either."""
    banned = {
        "measure": (
            "duckdb",
            "prefect",
            "streamlit",
            "polars",
            "pyarrow",
            "jaxtyping",
            "rich",
            "psutil",
            "pydantic",
            "platformdirs",
            "warehouse",
            "flows",
        ),
        "warehouse": ("torch", "transformers", "prefect", "streamlit"),
    }[package]
    modules = {"measure": "measure.__main__", "warehouse": "warehouse.workbench, warehouse.checks"}
    code = (
        f"import sys\nfor name in {banned!r}: sys.modules[name] = None\nimport {modules[package]}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_readmes_tree_and_commands_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.search(r"```\n(measure/.*?)```", readme, re.DOTALL)
    assert tree is not None
    names = re.findall(r"^(\S+)", tree[1], re.MULTILINE)
    assert len(names) >= 8
    for name in names:
        assert (ROOT / name).exists(), name
    targets = re.findall(r"\bmake (\w+)", readme)
    assert {"demo", "test"} <= set(targets)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    commands = set(re.findall(r"(?:bin/|`)cicatrix ([a-z]+)", readme))
    assert {"measure", "sql", "up", "doctor", "take"} <= commands
    for command in commands:
        with pytest.raises(SystemExit) as caught:
            cli.main([command, "--help"])
        assert caught.value.code == 0, command
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme):
        assert (ROOT / picture).exists(), picture


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    reasons = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Dependencies")[1]
    for requirement in wanted:
        name = re.split(r"[<>=\[]", requirement)[0]
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", reasons), name


def test_nothing_unsafe_and_no_path_of_a_machine():
    unsafe = re.compile(
        r"trust_remote_code\s*=\s*True|torch\.load\(|pickle\.loads?\(|allow_unsigned_extensions\W*=|"
        r"weights_only\s*=\s*False|shell\s*=\s*True"
    )
    for path in git_files("*.py"):
        if path != Path(__file__):
            assert not unsafe.search(path.read_text(encoding="utf-8")), path
    machine = re.compile(r"(?<![\w.])/(work|root|home/\w+)/")
    for path in git_files("*.py", "*.md", "*.toml", "*.sql", "*.yaml", "Makefile", "Dockerfile"):
        if path != Path(__file__):
            assert not machine.search(path.read_text(encoding="utf-8")), path


def test_no_test_reads_shared_data():
    needle = "/".join(["..", "shared"])
    for path in git_files("tests/*.py"):
        assert needle not in path.read_text(encoding="utf-8"), path


def test_weights_are_safetensors_and_small():
    files = git_files("measure/zoo/weights")
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".pkl"}]
    files += git_files("measure/zoo/records.parquet")
    assert sum(path.stat().st_size for path in files) <= 24_000_000
    assert max(path.stat().st_size for path in files) <= 3_000_000
