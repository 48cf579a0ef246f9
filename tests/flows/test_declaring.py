"""Lineage that a user declares: what becomes of it, what is refused, and where it counts."""

from datetime import UTC, datetime

import numpy as np
import pytest
from making import add_unit, lineage_pair_row, weight_row
from planting import N_VALUES, Plant, family_of, plant

from flows import calibrating, cli, declaring, evaluating, verdict
from flows.declaring import Declaration, declare
from flows.facts import Pair
from flows.targets import Target
from measure import sources
from warehouse import checks, read
from warehouse.lake import Lake, LakeError


def say(capsys, *arguments):
    """(exit code, output, errors) of `cicatrix declare`."""
    code = cli.main(["declare", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def rows():
    return read.table("organism").sort("name").to_dicts()


@pytest.fixture
def models(model_folder):
    """Three folders: a model, its base and a teacher."""
    return [str(model_folder("llama", seed)) for seed in (1, 2, 3)]


@pytest.fixture
def by_name(monkeypatch):
    """Models of a planted lake, whose ids are their names."""
    monkeypatch.setattr(declaring, "_identified", lambda ref: (ref, ref))


# What is kept.


def test_a_declaration_is_kept_as_its_user_s_and_completed_by_another(home, models, capsys):
    model, base, teacher = models
    code, out, _ = say(capsys, model, "--base", base)
    assert code == 0 and "unknown whether distilled" in out
    assert "calibrates nothing until `--distilled` or `--not-distilled`" in out
    ids = [sources.model_id_of(ref) for ref in models]
    (row,) = rows()
    assert row.pop("registered_at") is not None
    assert row == {
        "model_id": ids[0], "name": "llama-1", "method": "declared", "role": "derivative",
        "is_distilled": None, "base_id": ids[1], "teacher_id": None, "seed": None,
        "is_shipped": False, "declared_by": "user",
    }  # fmt: skip
    code, out, _ = say(capsys, model, "--base", base, "--teacher", teacher)
    assert code == 0 and "distilled from" in out
    assert f"once it is measured: `cicatrix measure {model} --base {base}`" in out
    (row,) = rows()
    assert (row["is_distilled"], row["teacher_id"]) == (True, ids[2])
    assert row["method"] == "declared-distilled"
    # Less than is known, or the same again, changes nothing.
    for more in ([], ["--distilled"], ["--teacher", teacher]):
        assert say(capsys, model, "--base", base, *more)[:2] == (
            0,
            "llama-1 is declared so already\n",
        )
    assert rows() == [row]
    assert {name: bad.height for name, bad in checks.run().items() if bad.height} == {}


def test_a_contradiction_is_refused_in_one_line_and_replaced_when_asked(home, models, capsys):
    model, base, other = models
    say(capsys, model, "--base", base, "--distilled", "--recipe", "traces")
    before = rows()
    for contradicting in (
        ["--base", base, "--not-distilled"],
        ["--base", other],
        ["--base", base, "--recipe", "other"],
    ):
        code, out, error = say(capsys, model, *contradicting)
        assert (code, out) == (cli.BAD_USAGE, "") and error.count("\n") == 1
        assert "was declared otherwise" in error and "recipe traces" in error
        assert "`--replace`" in error
        assert rows() == before
    assert say(capsys, model, "--base", other, "--not-distilled", "--replace")[0] == 0
    (row,) = rows()
    assert row["base_id"] == sources.model_id_of(other)
    assert (row["is_distilled"], row["method"]) == (False, "declared")
    # To replace is to say it all anew: what is left out is unknown again.
    assert say(capsys, model, "--base", other, "--replace")[0] == 0
    assert rows()[0]["is_distilled"] is None


def test_what_cannot_be_is_refused_in_one_line(home, models, capsys):
    model, base, teacher = models
    with Lake.open() as lake:
        lake.add_organisms([_of_zoo("zoo:llama-distilled")])
    say(capsys, base, "--base", model, "--not-distilled")
    before = rows()
    for arguments, said in (
        ([model, "--base", model], "cannot be its own base"),
        ([model, "--base", teacher, "--teacher", model], "cannot be its own teacher"),
        ([model, "--base", teacher, "--teacher", base, "--not-distilled"], "and be not distilled"),
        ([model, "--base", base], "llama-2 is declared to be made from it"),
        (
            ["zoo:llama-distilled", "--base", base, "--not-distilled", "--replace"],
            "of the zoo, whose lineage is known",
        ),
        (["./gone", "--base", base], "is no folder on this machine"),
    ):
        code, out, error = say(capsys, *arguments)
        assert (code, out) == (cli.BAD_USAGE, "") and error.count("\n") == 1
        assert said in error
    assert rows() == before


def _of_zoo(ref):
    return {
        "model_id": sources.model_id_of(ref), "name": ref.removeprefix("zoo:"),
        "method": "distilled", "role": "derivative", "is_distilled": True, "base_id": "b",
        "teacher_id": None, "seed": 0, "is_shipped": True, "declared_by": "zoo",
    }  # fmt: skip


def test_a_circle_of_bases_is_refused_however_long(home, by_name):
    for model, base in (("b", "a"), ("c", "b"), ("d", "c")):
        declare(Declaration(model=model, base=base), replace=False)
    with pytest.raises(declaring.BadInput, match="'a' cannot be made from 'd': b is declared"):
        declare(Declaration(model="a", base="d"), replace=True)
    declare(Declaration(model="a", base="e"), replace=False)


def test_who_declares_meanwhile_is_not_overwritten(home):
    row = {**_of_zoo("zoo:llama-base"), "declared_by": "user"}
    with Lake.open() as lake:
        lake.declare(row, instead_of=None)
        with pytest.raises(LakeError, match="somebody else just now"):
            lake.declare(row, instead_of=None)
        with pytest.raises(LakeError, match="somebody else just now"):
            lake.declare(row, instead_of=datetime(2020, 1, 1, tzinfo=UTC))
        at = lake.query("select registered_at from organism").item()
        lake.declare({**row, "is_distilled": False}, instead_of=at)
    assert [one["is_distilled"] for one in rows()] == [False]


# Where it counts.


@pytest.fixture
def alpha(home):
    """A planted family, and three of its base of which nobody knows anything."""
    rng = np.random.default_rng(0)
    family = family_of("Alpha", rng, shift=100.0, n_null=20)
    tau = np.mean([one.tau for one in family if one.is_distilled], axis=0)
    gaps = np.mean([one.gaps for one in family if one.is_distilled], axis=0)
    own = [
        Plant("taught", "Alpha", tau, gaps=gaps),
        Plant("plain", "Alpha", [1.0] * N_VALUES, gaps=[0.01] * 20),
        Plant("asked", "Alpha", tau, gaps=gaps),
    ]
    with Lake.open() as lake:
        plant(lake, [*family, *own])


def _counts():
    with Lake.open() as lake:
        frame = calibrating.displacements(lake, "structural")
        (family,) = calibrating.families(frame, "structural")
        found = verdict.judge(
            lake,
            Pair(
                target=Target(model="asked", base="Alpha-base"),
                ids={"derivative": "asked", "base": "Alpha-base"},
            ),
        )
        evaluated = {
            (e.scope, e.layer): e for e in evaluating.evaluations(lake) if e.rule == "family null"
        }
    asked = found.one("distilled-like", "structural").numbers
    return family, asked, evaluated["Alpha", "structural"]


def test_declared_models_calibrate_and_are_counted_apart(alpha, by_name):
    family, asked, row = _counts()
    assert (len(family.distilled), len(family.null)) == (4, 20)
    assert (asked["n_distilled"], asked["n_distilled_declared"]) == (4, 0)
    lines = declare(
        Declaration(model="taught", base="Alpha-base", is_distilled=True), replace=False
    )
    assert lines == ["declared: taught from Alpha-base, distilled, recipe declared-distilled"]
    declare(Declaration(model="plain", base="Alpha-base", is_distilled=False), replace=False)
    family, asked, row = _counts()
    assert [one.name for one in family.distilled if one.is_declared] == ["taught"]
    assert [one.name for one in family.null if one.is_declared] == ["plain"]
    assert (asked["n_distilled"], asked["n_distilled_declared"]) == (5, 1)
    assert asked["n_null_declared"] == 1
    assert (row.n_distilled, row.n_distilled_declared) == (5, 1)
    assert (row.n_null, row.n_null_declared) == (21, 1)
    scars = read.mart("structural_scar").filter(declared_by="user")
    assert dict(scars.select("derivative", "is_distilled").iter_rows()) == {
        "taught": True, "plain": False,
    }  # fmt: skip
    mart = read.mart("family_calibration", family="Alpha", quantity="x_eps").row(0, named=True)
    assert (mart["n_pairs"], mart["n_null"], mart["n_declared"]) == (5, 21, 2)


def test_one_that_is_declared_to_be_of_another_base_calibrates_nothing(alpha, by_name):
    lines = declare(Declaration(model="taught", base="Beta-base", is_distilled=True), replace=False)
    assert lines[1] == (
        "it calibrates once it is measured: `cicatrix measure taught --base Beta-base`"
    )
    declare(Declaration(model="plain", base="Alpha-base"), replace=False)
    family, _, row = _counts()
    assert (len(family.distilled), len(family.null)) == (4, 20)
    assert row.n_distilled_declared == row.n_null_declared == 0


def test_no_declaration_decides_whose_weights_a_model_has(alpha, by_name):
    """Weights that were found to be strangers stay so; who declares otherwise is told."""
    with Lake.open() as lake:
        pair = lineage_pair_row(1, lineage_label="INDEPENDENT", n_layers_related=0)
        tables = {"weight_lineage_pair": [pair], "weight_lineage": [weight_row(0, "q", cosine=0.0)]}
        models = {"derivative": "taught", "base": "Alpha-base"}
        add_unit(lake, "l-taught", "lineage", models, tables)
    lines = declare(
        Declaration(model="taught", base="Alpha-base", is_distilled=True), replace=False
    )
    assert lines[1] == "note: measured, the weights say INDEPENDENT; no declaration changes that"
    (label,) = read.mart("lineage", derivative_id="taught")["weight_lineage"]
    assert label == "INDEPENDENT"


def test_the_evaluation_shows_declared_ones_apart(alpha, by_name, capsys):
    assert cli.main(["evaluate"]) == 0
    assert "declared by their user" not in capsys.readouterr().out
    declare(Declaration(model="plain", base="Alpha-base", is_distilled=False), replace=False)
    assert cli.main(["evaluate"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "20 + 1" in shown and "declared by their user" in shown
