"""Verdicts over lakes where the answer was planted, and over the embedded zoo."""

import json
from dataclasses import replace

import numpy as np
import pytest
from making import add_unit, fisher_rows, stiffness_row
from planting import N_VALUES, Plant, directions, family_of, plant

from flows import calibrating, cli, command, verdict, verdict_screen
from flows.facts import Pair
from flows.session import Session
from flows.targets import Target, demo_targets, in_order
from measure import prompts, run
from measure.calibration import Calibration, Derivative, admitted, judge, uniform
from warehouse import checks, read
from warehouse.lake import Lake, Location

pytestmark = pytest.mark.slow  # models run: minutes in all

LABELS = set(verdict.EXIT_CODES)
SETTINGS = run.Settings(
    bank=prompts.load("bank512"), canonical=prompts.load("canonical40"), seeds=(0, 1)
)


def lake_of(plants):
    with Lake.open() as lake:
        plant(lake, plants)


def judged(name, family="Alpha", **others):
    """The verdict on a planted derivative, kept in the lake."""
    base = f"{family}-base"
    ids = {"derivative": name, "base": base, **others}
    with Lake.open() as lake:
        found = verdict.judge(lake, Pair(target=Target(model=name, base=base), ids=ids))
        n_new = lake.add_verdicts(found.rows())
    return found, n_new


def of_layers(found):
    return {one.layer: one for one in found.judgements if one.question == "distilled-like"}


def at(monkeypatch, home):
    """Use a home that several tests share."""
    monkeypatch.setenv("CICATRIX_HOME", str(home))
    for name in ("CICATRIX_CATALOG", "CICATRIX_DATA", "PREFECT_API_URL", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)


def alpha(n_null):
    """A family of four distilled and others; strangers along, across and against it."""
    rng = np.random.default_rng(0)
    family = family_of("Alpha", rng, shift=100.0, n_null=n_null)
    tau = np.mean([one.tau for one in family if one.is_distilled], axis=0)
    gaps = np.mean([one.gaps for one in family if one.is_distilled], axis=0)
    strangers = [
        Plant("along", "Alpha", tau, gaps=gaps),
        Plant("against", "Alpha", -tau, gaps=-gaps),
        Plant("beside", "Alpha", directions(rng, 1, 4.0)[0], gaps=rng.normal(size=20) * 0.001),
        Plant("unmoved-gaps", "Alpha", tau),
    ]
    return {one.name: one for one in (*family, *strangers)}


@pytest.fixture(scope="module")
def planted_home(tmp_path_factory):
    """A lake of a family of four distilled and 60 others, made once."""
    place = tmp_path_factory.mktemp("planted")
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(place)})) as lake:
        plant(lake, list(alpha(60).values()))
    return place


@pytest.fixture
def planted(planted_home, monkeypatch):
    """What was planted there; its tests add verdicts and nothing else."""
    at(monkeypatch, planted_home)
    return alpha(60)


# The calibrated verdict.


def test_a_stranger_along_the_family_s_direction_is_distilled_like(planted):
    found, n_new = judged("along")
    assert (found.label, found.exit_code) == ("DISTILLED-LIKE", 10)
    layers = of_layers(found)
    for one in layers.values():
        assert (one.n_null, one.numbers["n_distilled"]) == (60, 4)
        assert one.p == one.p_least == pytest.approx(1 / 61)
        assert one.numbers["p_holm"] == pytest.approx(2 / 61)
        assert one.numbers["p_other_tail"] == 1
        assert one.numbers["p_in_class"] is None and one.numbers["n_in_class"] == 0
        assert one.numbers["n_null_above"] == 0
    # 100 floors of every seed together, and the mean of four noises of 10.
    along = np.linalg.norm(planted["along"].tau) / np.sqrt(2)
    assert layers["structural"].numbers["score_floors"] == pytest.approx(along)
    assert layers["structural"].numbers["norm_floors"] == pytest.approx(along)
    assert layers["structural"].numbers["floor"] == pytest.approx(np.sqrt(2) * 1e-4)
    assert n_new == len(found.judgements)


def test_one_that_lies_within_the_null_is_not(planted):
    found, _ = judged("beside")
    assert (found.label, found.exit_code) == ("NOT DISTILLED-LIKE", 0)
    assert all(one.numbers["power"] == 1 for one in of_layers(found).values())


def test_one_against_the_direction_is_inconclusive(planted):
    found, _ = judged("against")
    assert (found.label, found.exit_code) == ("INCONCLUSIVE", 11)
    assert all(
        one.numbers["p_other_tail"] == pytest.approx(1 / 61) for one in of_layers(found).values()
    )


def test_a_layer_that_was_not_measured_is_inconclusive_with_its_reason(planted):
    found, _ = judged("unmoved-gaps")
    layers = of_layers(found)
    assert layers["structural"].label == "DISTILLED-LIKE"
    assert layers["structural"].numbers["n_asked"] == 1
    assert layers["functional"].label == "INCONCLUSIVE"
    assert layers["functional"].reasons == ("it has no displacement from its base here",)
    assert layers["functional"].missing and layers["functional"].p is None


def test_a_known_derivative_is_judged_without_its_own_recipe_and_within_its_class(planted):
    found, _ = judged("Alpha-null-5")
    structural = of_layers(found)["structural"]
    assert structural.n_null == 59
    assert structural.numbers["n_in_class"] == 29
    assert structural.numbers["p_in_class_least"] == pytest.approx(1 / 30)
    found, _ = judged("Alpha-distilled-1")
    assert of_layers(found)["structural"].numbers["n_distilled"] == 3


def test_few_null_are_uncalibrated_and_say_how_many_are_missing(home):
    rng = np.random.default_rng(1)
    lake_of(
        [
            *family_of("Alpha", rng, shift=100.0, n_recipes=2, n_null=5),
            Plant("x", "Alpha", [1.0] * N_VALUES),
        ]
    )
    found, _ = judged("x")
    structural = of_layers(found)["structural"]
    assert (found.label, found.exit_code) == ("UNCALIBRATED", 12)
    needs = [need.what for need in structural.missing]
    assert any("2 distilled pairs of other recipes, 3 needed: 1 missing" in n for n in needs)
    assert any("5 non-distilled, 19 needed" in n and "14 missing" in n for n in needs)
    assert all("cicatrix" in need.how for need in structural.missing)


def test_another_family_has_no_say(home):
    rng = np.random.default_rng(2)
    beta = family_of("Beta", rng, shift=100.0, n_null=30, with_gaps=False)
    gamma = family_of("Gamma", rng, shift=100.0, n_null=12, with_gaps=False)
    lake_of([*beta, *gamma, Plant("y", "Beta", [0.0] * N_VALUES)])
    found, _ = judged("y", family="Beta")
    structural = of_layers(found)["structural"]
    assert (structural.n_null, structural.numbers["n_distilled"]) == (30, 4)
    assert structural.numbers["uniform_n_null"] == 42  # the comparison alone is over all


def test_a_base_that_reads_other_tokens_is_calibrated_by_none_of_its_family(home):
    rng = np.random.default_rng(2)
    family = family_of("Alpha", rng, shift=100.0, n_null=45)
    tau = np.mean([one.tau for one in family if one.is_distilled], axis=0)
    gaps = np.mean([one.gaps for one in family if one.is_distilled], axis=0)
    same, other = (
        Plant(f"of-{base}", "Alpha", tau, gaps=gaps, own_base=f"{base}-base", tokenizer=t)
        for base, t in (("same", "a" * 64), ("other", "b" * 64))
    )
    lake_of([*family, same, other])
    assert judged("of-same", family="same")[0].label == "DISTILLED-LIKE"
    found, _ = judged("of-other", family="other")
    assert (found.label, found.exit_code) == ("UNCALIBRATED", 12)
    for one in of_layers(found).values():
        assert (one.label, one.n_null, one.numbers["n_distilled"]) == ("UNCALIBRATED", 0, 0)
        assert one.numbers["n_left_out"] == len(family)
    assert found.one("loudness").n_null == 45  # loudness alone is over all bases


def test_loudness_is_judged_by_the_non_distilled_of_all_families(planted):
    loudness = judged("along")[0].one("loudness")
    assert (loudness.label, loudness.n_null) == ("loud", 60)
    assert judged("beside")[0].one("loudness").label == "quiet"


# Claims and what forbids them.


def made(name, recipe, *displacement):
    return Derivative(name=name, recipe=recipe, displacement=np.array(displacement, dtype=float))


def test_inadmissible_evidence_never_accuses():
    distilled = tuple(made(f"d{i}", f"r{i}", 5.0, 0.1 * i) for i in range(3))
    null = tuple(made(f"n{i}", "sft", 0.1 * i, 0) for i in range(20))
    family = Calibration(family="f", layer="structural", floor=1.0, distilled=distilled, null=null)
    (found,) = judge([(family, made("x", None, 9, 0))])
    assert found.label == "DISTILLED-LIKE" and admitted(found, []) is found
    barred = admitted(found, ["one dimension makes it"])
    assert barred.label == "INCONCLUSIVE"
    assert barred.reasons == ("inadmissible: one dimension makes it", *found.reasons)
    (calm,) = judge([(family, made("x", None, 0, 0))])
    assert admitted(calm, ["one dimension makes it"]) is calm


def test_the_uniform_threshold_is_that_of_all_families_norms():
    """Norms 1 .. 4 and, in floors of 2, 5 .. 8; the asked one is left out: 8 of them in all."""
    one = Calibration(
        family="a", layer="structural", floor=1.0, distilled=(),
        null=(made("x", "sft", 100, 0), *(made(f"a{i}", "sft", i, 0) for i in (1, 2, 3, 4))),
    )  # fmt: skip
    two = Calibration(
        family="b", layer="structural", floor=2.0, distilled=(),
        null=tuple(made(f"b{i}", "sft", 0, 2 * i) for i in (5, 6, 7, 8)),
    )  # fmt: skip
    (found,) = judge([(one, made("x", "sft", 6.5, 0))])
    got = uniform(found.answer, [one, two])
    assert got.n_null == 8
    assert got.threshold == pytest.approx(7 + 0.65)  # place 0.95 * 7 = 6.65 of 1 .. 8
    assert got.p == pytest.approx((1 + 2) / (1 + 8))
    assert uniform(found.answer, []).p is None


def test_claims_rest_on_their_own_layer_and_are_rows_of_the_mart(planted):
    found, _ = judged("along")
    claims = {
        (one.layer, one.statement): one for one in found.judgements if one.question == "claim"
    }
    assert len(claims) == 5
    tau = next(one for (_, text), one in claims.items() if text.startswith("its tau moved"))
    assert tau.label == "supported" and tau.reasons == (
        "by structural evidence: structural distilled-like, DISTILLED-LIKE",
    )
    assert any("(functional)" in one for one in tau.numbers["context"])
    mart = read.mart("claim", derivative_id="along")
    assert mart.height == 5 and set(mart["base"]) == {"Alpha-base"}
    row = mart.filter(claim=tau.statement).row(0, named=True)
    assert row["label"] == "supported" and row["context"] == tau.numbers["context"]


def test_a_functional_displacement_below_the_self_baseline_is_inadmissible(home):
    """Every centroid is under 0.25, the self-baseline, but along the direction of the distilled."""
    rng = np.random.default_rng(3)
    family = [
        replace(one, gaps=np.array(one.gaps) * 0.1)
        for one in family_of("Alpha", rng, shift=100.0, n_null=60)
    ]
    gaps = np.mean([one.gaps for one in family if one.is_distilled], axis=0)
    lake_of([*family, Plant("x", "Alpha", [0.0] * N_VALUES, gaps=gaps)])
    functional = of_layers(judged("x")[0])["functional"]
    assert functional.p == functional.p_least
    assert functional.label == "INCONCLUSIVE"
    assert functional.reasons[0].startswith("inadmissible: D_below_SB")


# Rows.


def test_the_same_answer_is_kept_once_and_a_new_one_again(home):
    lake_of(list(alpha(41).values()))
    _, first = judged("along")
    assert first == 12
    _, again = judged("along")
    assert again == 0
    lake_of([Plant("Alpha-null-x", "Alpha", [3.0, -3.0] * (N_VALUES // 2), "sft")])
    found, n_new = judged("along")
    assert n_new >= 1 and of_layers(found)["structural"].n_null == 42
    asked = {"layer": "structural", "question": "distilled-like"}
    rows = read.table("verdict", derivative_id="along", **asked)
    assert rows.sort("judged_at")["n_null"].to_list() == [41, 42]
    cross = read.mart("cross_layer", derivative_id="along").row(0, named=True)
    assert cross["structural_verdict"] == "DISTILLED-LIKE"
    assert cross["structural_p_least"] == pytest.approx(1 / 43)
    assert cross["pattern"] == "unknown" and cross["loudness"] == "loud"
    assert {name: bad.height for name, bad in checks.run().items() if bad.height} == {}


def test_family_calibration_has_published_and_measured_rows_apart(planted):
    rows = read.mart("family_calibration", family="Alpha", quantity="x_eps")
    row = rows.row(0, named=True)
    assert rows.height == 1 and row["origin"] == "measured"
    assert (row["n_pairs"], row["n_null"]) == (4, 60)
    assert row["p_least"] == pytest.approx(1 / 61) and row["floor"] == pytest.approx(1)
    # Two seeds: the median without the largest is the smaller distance, in multiples of 1e-4.
    scars = [
        min(np.linalg.norm(np.reshape(one.tau, (2, -1)), axis=1))
        for one in planted.values()
        if one.method and not one.is_distilled
    ]
    assert row["median_null"] == pytest.approx(np.median(scars))
    assert row["p95_null"] == pytest.approx(np.quantile(scars, 0.95))
    llama = read.mart("family_calibration", family="Llama", quantity="x_eps").row(0, named=True)
    assert (llama["origin"], llama["n_pairs"], llama["n_null"]) == ("published", 2, None)
    assert (llama["low_distilled"], llama["high_distilled"]) == (1264, 4321)


def test_displacements_are_those_that_were_planted(planted):
    with Lake.open() as lake:
        for layer, vector in (("structural", np.array(planted["along"].tau) * 1e-4),
                              ("functional", planted["along"].gaps)):  # fmt: skip
            frame = calibrating.displacements(lake, layer)
            asked = calibrating.question(frame, layer, "along", "Alpha-base").asked
            assert asked.displacement == pytest.approx(vector)


# The screen and the command.


def test_the_screen_fits_100_columns_and_names_every_number(planted, capsys):
    verdict_screen.show(judged("along")[0])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert len(shown.splitlines()) <= 48  # four of them under MISSING
    shown = " ".join(shown.split())
    for word in ("DISTILLED-LIKE", "at least 0.0164 with 60 non-distilled", "Holm over 2 layers",
                 "other tail p 1", "its recipe class", "power 100% of 4", "decides nothing",
                 "weights", "capability", "STRUCTURAL", "FUNCTIONAL", "THERMODYNAMIC", "MISSING",
                 "--reference R", "derivative not measured; base not measured"):  # fmt: skip
        assert word in shown, word
    assert "published" not in shown  # nobody published anything of this family


# What is shown beside and decides nothing.


def add_observables(lake, name, stiffness, kappas, **over):
    """Stiffness and curvature of a planted model."""
    rows = {"model_stiffness": [stiffness_row(stiffness=stiffness)]}
    add_unit(lake, f"stiff-{name}", "stiffness", {"model": name}, rows)
    add_unit(lake, f"f-{name}", "fisher", {"model": name}, fisher_rows(kappas, **over))


def shown_of(capsys, found):
    verdict_screen.show(found)
    lines = capsys.readouterr().out
    assert max(map(len, lines.splitlines())) <= 100
    return " ".join(lines.split())


def test_stiffness_and_curvature_stand_beside_the_verdict_and_change_nothing(home, capsys):
    """Kappa 20 and 30 of the derivative: mean 25, rho_F 2.5; of the base 2 and 4: 3 and 0.3."""
    lake_of(list(alpha(41).values()))
    before, n_rows = judged("along")
    assert all(one.excluded == ("derivative not measured", "base not measured")
               for one in before.observables)  # fmt: skip
    with Lake.open() as lake:
        add_observables(lake, "along", 0.5, [20.0, 30.0])
        add_observables(lake, "Alpha-base", 0.25, [2.0, 4.0])
    found, n_new = judged("along")
    stiffness, fisher = found.observables
    assert (stiffness.name, stiffness.excluded) == ("stiffness", ())
    assert [row["stiffness"] for _, row in stiffness.models()] == [0.5, 0.25]
    assert (fisher.derivative["kappa_f"], fisher.base["kappa_f"]) == (25, 3)
    assert fisher.excluded == ("base rho_F 0.3, damping-dominated",)
    # No answer to any question is made of them.
    assert n_new == 0 and found.judgements == before.judgements
    assert n_rows == len(before.judgements)
    shown = shown_of(capsys, found)
    assert "stiffness derivative 0.5 (exact, 64 rows); base 0.25 (exact, 64 rows); no verdict" in (
        shown
    )
    assert "kappa_F derivative 25 [12.5, 50] n 2, rho_F 2.5 Fisher-dominated; base 3 [1.5, 6]" in (
        shown
    )
    assert "excluded from comparison: base rho_F 0.3, damping-dominated" in shown
    told = json.loads(found.text())["observables"]
    assert told[1]["derivative"]["ci_high_kappa_f"] == 50
    assert told[1]["excluded"] == ["base rho_F 0.3, damping-dominated"]


def test_a_curvature_that_is_not_repeatable_or_not_there_says_why(home):
    lake_of(list(alpha(41).values()))
    with Lake.open() as lake:
        wide = {"halves_ratio": 3.5, "is_repeatable": False}
        add_observables(lake, "along", 0.5, [20.0, 30.0], **wide)
        nothing = dict.fromkeys(stiffness_row()) | {"reason": "it is a GGUF file"}
        add_unit(lake, "s", "stiffness", {"model": "Alpha-base"}, {"model_stiffness": [nothing]})
    stiffness, fisher = judged("along")[0].observables
    assert stiffness.excluded == ("base it is a GGUF file",)
    assert [role for role, _ in stiffness.models()] == ["derivative"]
    assert fisher.excluded == (
        "derivative halves of its prompts differ by 3.5, at most 3 may be", "base not measured",
    )  # fmt: skip


def test_published_numbers_stand_beside_their_family_s_and_calibrate_nothing(home, capsys):
    """The same plants under a name that others published of, and under one they did not."""
    asked = {}
    for name in ("Llama", "Alpha"):
        rng = np.random.default_rng(7)
        family = family_of(name, rng, shift=100.0, n_null=41)
        tau = np.mean([one.tau for one in family if one.is_distilled], axis=0)
        gaps = np.mean([one.gaps for one in family if one.is_distilled], axis=0)
        lake_of([*family, Plant(f"{name}-x", name, tau, gaps=gaps)])
        asked[name] = judged(f"{name}-x", family=name)[0]
    llama, alpha = asked["Llama"], asked["Alpha"]
    assert alpha.published == ()
    scars = {
        (one.subject, one.convention): (one.value, one.low, one.high)
        for one in llama.published
        if one.quantity == "x_eps"
    }
    assert scars["Llama-8B", "non_max_range"] == (None, 1264, 2700)
    assert scars["Llama-70B", "max_seed"] == (4583, None, None)
    assert {one.family for one in llama.published} == {"Llama"}
    for layer in ("structural", "functional"):
        numbers = [one.one("distilled-like", layer).numbers for one in (llama, alpha)]
        own = [{k: v for k, v in found.items() if not k.startswith("uniform")} for found in numbers]
        assert own[0] == own[1]
    shown = shown_of(capsys, llama)
    assert (
        "published real models: Llama-8B scar x eps 1,264-2,700; Llama-70B scar x eps 1,815-4,321; "
        "calibrates nothing"
    ) in shown
    assert "published real models: Llama-8B D/C 1.66, shared 5.59; calibrates nothing" in shown
    assert "real models: Llama-3.1-8B-Instruct stiffness 0.0334; calibrates nothing" in shown
    told = json.loads(llama.text())["published"]
    assert {one["source"] for one in told} == {"S0"} and len(told) == len(llama.published)
    assert "published" not in shown_of(capsys, alpha)


@pytest.fixture(scope="module")
def measured_zoo(tmp_path_factory):
    """The embedded models measured over two seeds, once."""
    place = tmp_path_factory.mktemp("zoo")
    targets = demo_targets()
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(place)})) as lake:
        session = Session(lake, targets, SETTINGS, "cpu")
        for ref in in_order(targets):
            session.measure(ref)
        for target in targets:
            session.measure_distances(target)
    return place


@pytest.fixture
def zoo_home(measured_zoo, monkeypatch):
    at(monkeypatch, measured_zoo)
    return demo_targets()


def ask(capsys, target, *more):
    arguments = ["verdict", target.model, "--base", target.base, "--reference", target.reference]
    arguments += ["--teacher", target.teacher] if target.teacher else []
    code = cli.main([*arguments, "--seeds", "0", "1", *more])
    return code, capsys.readouterr()


def test_every_derivative_of_the_zoo_has_one_of_the_four_verdicts(zoo_home, capsys):
    for target in zoo_home:
        code, said = ask(capsys, target, "--json")
        found = json.loads(said.out)
        assert found["label"] in LABELS and verdict.EXIT_CODES[found["label"]] == code
        like = [one for one in found["judgements"] if one["question"] == "distilled-like"]
        assert [one["layer"] for one in like] == ["structural", "functional"]
        for one in like:
            few = one["n_null"] is not None and one["n_null"] < 19
            assert one["label"] in LABELS and (not few or one["label"] != "DISTILLED-LIKE")
            if one["label"] == "UNCALIBRATED":
                assert "missing" in one["missing"][0]["what"]
        assert found["weight_lineage"]["label"] == "SAME LINEAGE"
        stiffness, fisher = found["observables"]  # measured with the rest
        for role in ("derivative", "base"):
            assert stiffness[role]["stiffness"] > 0
            kappa = fisher[role]
            assert kappa["ci_low_kappa_f"] <= kappa["kappa_f"] <= kappa["ci_high_kappa_f"]
            assert kappa["n_prompts"] == 32
    assert {name: bad.height for name, bad in checks.run().items() if bad.height} == {}


def test_a_second_call_measures_nothing_and_writes_no_row(zoo_home, capsys):
    target = zoo_home[0]
    ask(capsys, target)
    before = (read.table("verdict").height, read.table("unit").height)
    code, said = ask(capsys, target)
    assert (read.table("verdict").height, read.table("unit").height) == before
    assert "nothing to measure" in said.err and said.out.splitlines()[1].startswith("UNCALIBRATED")
    assert code == 12 and max(map(len, said.out.splitlines())) <= 100


def test_triangles_have_three_sides_over_the_same_prompts(zoo_home):
    """The third side by another route: the templates themselves, in numpy."""
    row = read.mart("triangle", mode="forced", role="reference").row(0, named=True)
    with Lake.open() as lake:
        options = lake.query(
            "select options from measurement where measurement_id = ?", [row["measurement_id"]]
        ).item()
    found = {
        role: read.templates(input_id) for role, input_id in json.loads(options)["inputs"].items()
    }
    valid = set.intersection(
        *(set(f.filter(f["reason"].is_null())["prompt_id"]) for f in found.values())
    )
    assert row["n_prompts"] == len(valid) >= 2
    t = {
        role: np.array(f.filter(f["prompt_id"].is_in(list(valid)))["template"].to_list())
        for role, f in found.items()
    }
    sides = {
        "d": ("derivative", "base"),
        "c": ("reference", "base"),
        "e": ("derivative", "reference"),
    }
    for side, (a, b) in sides.items():
        assert row[side] == pytest.approx(np.linalg.norm((t[a] - t[b]).mean(0)))
        assert row[f"{side}_crp"] == pytest.approx(np.linalg.norm(t[a] - t[b], axis=1).mean())
    shift = (t["derivative"] - t["base"]).mean(0)[0]
    to_reference = (t["derivative"] - t["reference"]).mean(0)[0]
    assert row["shift_1"] == pytest.approx(shift)
    assert row["shift_1_to_reference"] == pytest.approx(to_reference)
    assert row["dc_primary"] == pytest.approx(row["d"] / row["c"])
    assert row["cancellation_e"] == pytest.approx(row["e_crp"] / row["e"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zoo:llama-distilled"], "name it with `--base B`"),
        (["zoo:nobody", "--base", "zoo:llama-base"], "no member 'nobody'"),
        (["./gone", "--base", "zoo:llama-base"], "is no folder on this machine"),
        (["zoo:llama-distilled", "--base", "./gone"], "is no folder on this machine"),
        (["zoo:llama-base", "--base", "zoo:llama-base"], "is its own base"),
    ],
)
def test_what_cannot_be_judged_is_one_line_and_no_verdict(home, capsys, arguments, said):
    assert cli.main(["verdict", *arguments]) == cli.BAD_USAGE
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_model_that_fails_is_one_line_and_code_1(home, monkeypatch, capsys):
    failures = {"zoo:llama-distilled": "it does not fit"}
    monkeypatch.setattr(command, "_measure_missing", lambda *_: (None, failures))
    arguments = ["verdict", "zoo:llama-distilled", "--base", "zoo:llama-base"]
    assert cli.main(arguments) == cli.FAILED
    assert capsys.readouterr().err == "failed: zoo:llama-distilled: it does not fit\n"
