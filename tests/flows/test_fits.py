"""A pair of the zoo measured under three PPP fits: every mart keeps to one of them."""

import json

import numpy as np
import polars as pl
import pytest

from flows import cli, taking, verdict, zoo
from flows.choice import Choice
from flows.facts import Pair
from flows.session import Session
from flows.targets import Target, in_order, member_targets
from measure import __main__ as alone
from measure import prompts
from measure.zoo import members
from warehouse import checks, read
from warehouse.lake import Lake, Location

pytestmark = pytest.mark.slow  # models run: minutes in all

TARGET = Target(model="zoo:llama-distilled", base="zoo:llama-base", reference="zoo:qwen2-base")
FITS = ("ml", "ols", "log")
N_PROMPTS = 8
SHOWN = (
    "functional_distance", "winner_gap", "triangle", "displacement", "family_calibration",
    "summary", "cross_layer", "claim",
)  # fmt: skip


def judged(lake, session):
    ids = {role: session.model_id(ref) for role, ref in TARGET.others().items()}
    pair = Pair(target=TARGET, ids={"derivative": session.model_id(TARGET.model), **ids})
    return verdict.judge(lake, pair)


def measured_by(lake, fit, file):
    choice = Choice(seeds=(0,), canonical=str(file), ppp_fit=fit)
    session = Session(lake, [TARGET], choice.settings("cpu"), "cpu")
    for ref in in_order([TARGET]):
        session.measure(ref)
    session.measure_distances(TARGET)
    return session


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A home, its prompts, and what the marts and the verdict said before the other fits."""
    place = tmp_path_factory.mktemp("fits")
    lines = (prompts.HERE / "canonical40.jsonl").read_text().splitlines(keepends=True)
    (place / "few.jsonl").write_text("".join(lines[:N_PROMPTS]))
    location = Location.from_env({"CICATRIX_HOME": str(place)})
    with Lake.open(location) as lake:
        session = measured_by(lake, "ml", place / "few.jsonl")
        found = judged(lake, session)
        lake.add_verdicts(found.rows())
        before = {name: read.mart(name, location) for name in SHOWN}
        for fit in FITS[1:]:
            assert measured_by(lake, fit, place / "few.jsonl").failures == {}
        assert judged(lake, session) == found
        assert measured_by(lake, "ml", place / "few.jsonl").n_new_units == 0
    return place, before


@pytest.fixture
def place(measured, monkeypatch):
    monkeypatch.setenv("CICATRIX_HOME", str(measured[0]))
    return measured[0]


def test_no_mart_changes_when_a_pair_is_measured_by_other_fits(measured, place):
    for name, before in measured[1].items():
        is_measured = pl.col("origin") == "measured" if "origin" in before else True
        assert before.filter(is_measured).height, name
        key = before.columns[:8]
        assert read.mart(name).sort(key).equals(before.sort(key)), name
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_every_fit_has_its_distances_from_templates_of_its_own(place):
    found = read.mart("functional_fit")
    assert sorted(found.select("ppp_fit", "role", "mode").rows()) == sorted(
        (fit, role, mode)
        for fit in FITS
        for role in ("derivative", "reference")
        for mode in ("free", "forced")
    )
    shown = found.filter(ppp_fit="ml").drop("ppp_fit").sort("role", "mode")
    assert read.mart("functional_distance").sort("role", "mode").equals(shown)
    options = {
        row["measurement_id"]: json.loads(row["options"])
        for row in read.table("measurement").to_dicts()
    }
    for row in found.to_dicts():
        inputs = options[row["measurement_id"]]["inputs"]
        assert inputs.keys() == {"base", "derivative", "reference"}
        assert {options[one]["ppp_fit"] for one in inputs.values()} == {row["ppp_fit"]}


def test_least_squares_from_the_templates_of_the_default(place):
    """The independent route: a linear fit of the mean gaps is the mean of its fits of tokens."""
    ranks = np.arange(1, 21)
    row = read.mart("functional_fit", role="derivative", mode="free", ppp_fit="ols").row(
        0, named=True
    )
    (ml,) = read.mart("functional_distance", role="derivative", mode="free").to_dicts()
    assert row["n_prompts"] == ml["n_prompts"] >= 2
    inputs = read.table("measurement", measurement_id=ml["measurement_id"])["options"].item()
    moved = {}
    frames = [read.templates(one) for one in json.loads(inputs)["inputs"].values()]
    valid = set.intersection(
        *(set(frame.filter(pl.col("reason").is_null())["prompt_id"]) for frame in frames)
    )
    for role in ("base", "derivative"):
        frame = read.templates(json.loads(inputs)["inputs"][role])
        frame = frame.filter(pl.col("prompt_id").is_in(list(valid)))
        gaps = np.array(frame["template"].to_list()) + np.outer(frame["beta_mean"], 1 / ranks)
        scale, *_ = np.linalg.lstsq((1 / ranks)[:, None], gaps.T)
        moved[role] = gaps - np.outer(scale[0], 1 / ranks)
    difference = moved["derivative"] - moved["base"]
    delta = difference.mean(0)
    assert row["centroid_distance"] == pytest.approx(np.linalg.norm(delta), abs=1e-5)
    crp = np.linalg.norm(difference, axis=1).mean()
    assert row["crp_distance"] == pytest.approx(crp, abs=1e-5)
    assert abs(row["centroid_distance"] - ml["centroid_distance"]) > 1e-3  # the fit does matter
    (gap,) = read.table("winner_gap_pair", measurement_id=row["measurement_id"]).to_dicts()
    assert gap["g1_share"] == pytest.approx(delta[0] ** 2 / (delta**2).sum(), abs=1e-4)
    assert gap["g1_share"] <= 0.3736  # what least squares leave to it: 1 - 1 / sum 1/k^2
    # What knows no fit is the same.
    (default,) = read.table("winner_gap_pair", measurement_id=ml["measurement_id"]).to_dicts()
    for name in ("delta_norm_base", "delta_norm_derivative", "n_delta_norm_base", "n_prompts"):
        assert gap[name] == default[name], name


def test_a_verdict_is_of_the_default_and_says_where_the_others_are(place, capsys):
    arguments = ["verdict", TARGET.model, "--base", TARGET.base, "--reference", TARGET.reference]
    arguments += ["--seeds", "0", "--prompts", str(place / "few.jsonl"), "--device", "cpu"]
    answers = {}
    for fit in ("ml", "ols"):
        code = cli.main([*arguments, "--ppp-fit", fit, "--json"])
        said = capsys.readouterr()
        answers[fit] = (code, said.out)
        assert "nothing to measure" in said.err
        other = "distances here are of PPP fit ml; those of ols are in the mart functional_fit\n"
        assert said.err.endswith(other) == (fit == "ols")
    assert answers["ml"] == answers["ols"]


def test_distances_of_the_shipped_records_are_found_again(home):
    """The default fit has no name of its own in what a distance is named by."""
    target = next(t for t in member_targets(members()) if t.model == TARGET.model)
    with Lake.open() as lake:
        zoo.take_records(lake)
        session = Session(lake, [target], Choice().settings("cpu"), "cpu")
        assert session.is_complete() and session.measure_distances(target) == 0


def test_a_file_of_two_fits_pairs_templates_of_one(home, model_folder, tmp_path):
    request, out = tmp_path / "request.json", tmp_path / "records.jsonl"
    fields = {"models": [str(model_folder("llama", 1))], "base": str(model_folder("llama"))}
    for fit in ("tail2", "sum"):
        request.write_text(json.dumps({**fields, "seeds": [0], "ppp_fit": fit}))
        assert alone.main([str(request), "--out", str(out)]) == 0
    assert taking.take(out).n_distances == 4
    found = read.mart("functional_fit")
    assert sorted(found.select("ppp_fit", "mode").rows()) == [
        ("sum", "forced"), ("sum", "free"), ("tail2", "forced"), ("tail2", "free"),
    ]  # fmt: skip
    assert read.mart("functional_distance").is_empty()
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


@pytest.mark.parametrize("fit", ["mle", "", None, ["ml"], 1])
def test_a_request_of_another_fit_is_one_line(tmp_path, capsys, fit):
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"models": ["./x"], "ppp_fit": fit}))
    assert alone.main([str(request)]) == 2
    said = f"error: ppp_fit {fit!r} is none of ml, ols, sum, log, tail2\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", [["measure", "x"], ["verdict", "x", "--base", "y"]])
def test_a_command_of_another_fit_is_bad_usage(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--ppp-fit", "mle"])
    assert caught.value.code == cli.BAD_USAGE
    last = capsys.readouterr().err.splitlines()[-1]
    assert "argument --ppp-fit: invalid choice: 'mle'" in last
