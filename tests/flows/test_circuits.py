"""`cicatrix circuits` on embedded models: what it keeps, that it goes on, and what it refuses."""

import json

import numpy as np
import polars as pl
import pytest

from flows import cli
from flows.circuit_plans import CircuitChoice
from flows.circuit_run import CircuitRun
from measure import ablation
from tests.masked import write_masked
from warehouse import checks, read
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all

TEACHER, STUDENT = "zoo:teacher-forward", "zoo:depth-student"
CHOICE = {"teacher": TEACHER, "students": (STUDENT,), "n_prompts": 12, "parts": ("estimates",)}


def complete(lake, **options):
    """The whole of it, without the scheduler."""
    run = CircuitRun(lake, CircuitChoice(**CHOICE | options), "cpu", "numerals")
    for ref in run.choice.models():
        run.ablate(ref)
    run.conclude()
    return run


@pytest.fixture
def filled(home):
    with Lake.open() as lake:
        complete(lake, parts=("estimates", "circuits", "edges", "pictures"))


def test_what_is_kept_is_what_was_ablated(filled, capsys):
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}
    by_model = {row["model"]: row for row in read.mart("brittleness_model").to_dicts()}
    assert {name: row["n_components"] for name, row in by_model.items()} == {
        "teacher-forward": 30,  # 6 layers of 4 heads and an MLP
        "depth-student": 15,
    }
    effects = read.mart("component_effect")
    prompts = read.mart("component_prompt")
    assert prompts.height == 12 * (30 + 15)
    for (model, component), rows in prompts.group_by("model", "component"):
        found = effects.filter(model=model, component=component).row(0, named=True)
        assert found["effect"] == pytest.approx(rows["effect"].mean(), abs=1e-9)
        drop = 100 * np.clip(rows["effect"].sum() / rows["ld_clean"].sum(), 0, 1)
        assert found["drop_pct"] == pytest.approx(drop, abs=1e-6)
    for row in by_model.values():
        drops = effects.filter(model=row["model"])["drop_pct"]
        assert row["mean_drop_pct"] == pytest.approx(drops.mean())
    # Components of the circuit do more of the task than all others do without them.
    circuit = read.mart("circuit").filter(model="depth-student", budget=0.2).row(0, named=True)
    assert circuit["completeness_pct"] >= 80 > circuit["necessity_pct"]
    assert circuit["jaccard"] == 1
    in_circuit = effects.filter(model="depth-student", is_in_circuit=True)["component"]
    assert sorted(in_circuit) == sorted(circuit["components"])
    edges = read.mart("circuit_link").filter(model="depth-student")
    assert {*edges["source"], *edges["destination"]} == {*circuit["components"], "output"}
    # Patterns of both models, on as many prompts; MLPs of 6 layers and of 3.
    looks = read.mart("attention")
    sums = looks.group_by("model", "prompt_id", "layer", "head", "position").agg(
        pl.col("weight").sum()
    )
    assert sums["weight"].to_list() == pytest.approx([1] * sums.height, abs=1e-4)
    assert dict(looks.group_by("model").agg(pl.col("layer").n_unique()).iter_rows()) == {
        "teacher-forward": 6,
        "depth-student": 3,
    }
    assert read.mart("mlp_likeness").height == 6 * 3
    points = read.mart("mlp_cloud").filter("is_first")
    assert points.height == 6 * 2 * 12
    aligned = read.mart("aligned_pair")
    assert aligned.height == 9 + 1
    assert set(aligned["mlp_method"]) == {"eigenvectors", "paper_code"}  # its weights were copied
    agreement = read.mart("estimate_agreement").filter(model="depth-student").row(0, named=True)
    mine = effects.filter(model="depth-student")
    ranks = [np.argsort(np.argsort(mine[name])) for name in ("effect", "estimated_effect")]
    assert agreement["spearman"] == pytest.approx(np.corrcoef(ranks)[0, 1])

    # The command has nothing left to run, and says the same.
    arguments = ["circuits", "--teacher", TEACHER, "--students", STUDENT, "--prompts", "12"]
    parts = ("estimates", "circuits", "edges", "pictures")
    assert cli.main([*arguments, "--with", *parts, "--json"]) == 0
    answer = capsys.readouterr()
    assert "to run, where it is not in the lake: 0 passes of a prompt" in answer.err
    (found,) = json.loads(answer.out)
    assert len(found["components"]) == 45
    assert len(found["edges"]) == read.mart("circuit_link").height
    assert cli.main([*arguments, "--with", *parts]) == 0
    told = capsys.readouterr().out
    assert f"of the {edges.height} edges of the circuit at 20%" in told
    assert "mean logit difference" in told and "brittleness against its teacher" in told


def test_an_interrupted_sweep_goes_on_at_its_layer(home, monkeypatch):
    calls: list[str] = []
    own = ablation.measure_unit

    def counted(sweep, task, unit, progress):
        calls.append(unit)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return own(sweep, task, unit, progress)

    monkeypatch.setattr(ablation, "measure_unit", counted)
    with Lake.open() as lake:
        with pytest.raises(KeyboardInterrupt):
            complete(lake, students=(), parts=())
        assert read.mart("brittleness_model").height == 0
        complete(lake, students=(), parts=())
        layers = [f"layer-{i:03d}" for i in range(6)]
        assert calls == ["prompts", "layer-000", "layer-001", *layers[1:]]
        calls.clear()
        complete(lake, students=(), parts=())
        assert calls == []
    assert read.mart("component_effect").height == 30


def test_models_with_other_tokenizers_are_measured_but_not_aligned(home):
    with Lake.open() as lake:
        complete(lake, students=("zoo:mistral-base",), parts=())
    aligned = read.mart("aligned_pair")
    assert aligned["alignment"].null_count() == aligned.height == 9 + 1
    assert set(aligned["reason"]) == {
        "the tokenizers differ: patterns of other tokens cannot be held side by side"
    }
    assert read.mart("brittleness_model").height == 2


def test_of_a_task_that_it_cannot_do_a_model_has_no_circuit(home, tmp_path):
    """Answer and foil exchanged: every logit difference has the other sign."""
    task = tmp_path / "task.jsonl"
    with Lake.open() as lake:
        items = CircuitRun(lake, CircuitChoice(**CHOICE), "cpu", "numerals").task_set(STUDENT).items
        lines = [
            {"clean": i.clean, "corrupted": i.corrupted, "answer": i.foil, "foil": i.answer}
            for i in items
        ]
        task.write_text("\n".join(map(json.dumps, lines)))
        choice = CircuitChoice(teacher=STUDENT, n_prompts=12, parts=("circuits", "edges"))
        run = CircuitRun(lake, choice, "cpu", str(task))
        assert run.awaits_circuits()
        run.ablate(STUDENT)
        run.conclude()
        assert run.n_passes_missing() == 0 and not run.awaits_circuits()
    (model,) = read.mart("brittleness_model").to_dicts()
    assert model["mean_ld"] < 0 and model["reason"] is not None
    assert read.mart("component_effect").height == 15
    assert read.mart("circuit").is_empty() and read.mart("circuit_link").is_empty()


def test_several_students_are_ranked_among_those_as_often_right(home, tmp_path):
    """The depth student beside a copy of itself with one dead head: another model, as right."""
    from measure import models, sources

    dead = tmp_path / "dead"
    found = models.load(sources.find(STUDENT), device="cpu")
    found.model.model.layers[2].self_attn.o_proj.weight.data[:, :8] = 0
    found.model.save_pretrained(dead)
    found.tokenizer.save_pretrained(dead)
    # A folder of one's own is asked in the zoo's words only if the file says so.
    task = tmp_path / "task.jsonl"
    with Lake.open() as lake:
        whole = CircuitRun(lake, CircuitChoice(**CHOICE), "cpu", "numerals")
        items = whole.task_set(TEACHER).items
        lines = [
            {"clean": i.clean, "corrupted": i.corrupted, "answer": i.answer, "foil": i.foil}
            for i in items
        ]
        task.write_text("\n".join(map(json.dumps, lines)))
        choice = CircuitChoice(teacher=TEACHER, students=(STUDENT, str(dead)), n_prompts=12)
        run = CircuitRun(lake, choice, "cpu", str(task))
        for ref in choice.models():
            run.ablate(ref)
        run.conclude()
    ranked = read.mart("student_rank").sort("student")
    assert ranked["student"].to_list() == ["dead", "depth-student"]
    assert set(ranked["accuracy"]) == {1.0}
    aligned = read.mart("aligned_pair").filter(normalisation="max", matching="greedy", mode="ours")
    expected = dict(aligned.select("student", "alignment").iter_rows())
    assert dict(ranked.select("student", "alignment").iter_rows()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--teacher", "zoo:nobody"], "no member 'nobody' in the zoo"),
        (["--teacher", TEACHER, "--students", TEACHER], "is the teacher itself"),
        (["--teacher", TEACHER, "--task", "sums"], "task 'zoo-sums' is unknown: give one of"),
        (["--teacher", TEACHER, "--task", "none.jsonl"], "task file 'none.jsonl' does not exist"),
        (["--teacher", TEACHER, "--prompts", "1"], "--n-prompts 1 cannot be"),
        (["--teacher", TEACHER, "--batch-size", "0"], "--batch-size 0 cannot be"),
        (["--teacher", TEACHER, "--device", "cuda:9"], "device 'cuda:9' cannot be used here"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(home, capsys, arguments, line):
    assert cli.main(["circuits", *arguments]) == cli.BAD_USAGE
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1 and told[0].startswith("error: ") and line in told[0]


def test_masked_models_are_asked_at_their_mask(home, tmp_path, capsys):
    """BERT and DistilBERT, taught to count to five; what a masked model cannot be asked."""
    teacher = write_masked(tmp_path / "teacher", "bert", n_steps=60, n_layers=3)
    student = write_masked(tmp_path / "student", "distilbert", n_steps=60)
    parts = ("estimates", "circuits", "patching")
    with Lake.open() as lake:
        complete(lake, teacher=str(teacher), students=(str(student),), n_prompts=8, parts=parts)
    asked = ["circuits", "--teacher", str(teacher), "--students", str(student), "--prompts", "8"]
    assert cli.main([*asked, "--with", *parts, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    by_name = {row["model"]: row for row in found["models"]}
    assert {name: row["n_components"] for name, row in by_name.items()} == {
        "teacher": 3 * 5,
        "student": 2 * 5,
    }
    assert all(row["mean_ld"] > 0.5 and row["reason"] is None for row in by_name.values())
    assert {row["family"] for row in found["models"]} == {"BERT"}
    for row in found["circuits"]:
        assert row["completeness_pct"] >= 100 * (1 - row["budget"]) - 1e-6
    aligned = [row for row in found["alignments"] if row["mode"] == "ours"]
    assert len(aligned) == 9 and all(row["alignment"] is not None for row in aligned)
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}

    for part in ("residual", "edges"):
        assert cli.main([*asked, "--with", part]) == 2
        assert "is a masked model" in (told := capsys.readouterr().err)
        assert f"leave `{part}` out" in told
