import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from measure import zoo
from measure.zoo import build, manifest, problems, sample, scoring
from measure.zoo.recipes import CALIBRATED_FAMILIES, RECIPES, TRACE_SETS, recipe, recipe_hash

_NAMES = [r.name for r in RECIPES]
_SHIPPED = [m.name for m in zoo.shipped()]
_DERIVATIVES = [m for m in zoo.members() if m.role == "derivative"]
_DISTILLED = [m for m in _DERIVATIVES if m.is_distilled]
# Rebuilt on another machine, sums may be taken in another order. In bf16 (8 bits) a weight that
# lands on the other side of a rounding step moves by 2^-8 of itself.
_REBUILT_REL_TOLERANCE = 0.02


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / manifest.WEIGHT_FILE)


def test_every_recipe_is_noted_as_it_stands():
    assert [m.name for m in zoo.members()] == _NAMES
    for member in zoo.members():
        assert member.recipe_hash == recipe_hash(recipe(member.name)), member.name


def test_the_corpus_is_the_one_the_models_were_trained_on():
    assert f'corpus_sha256 = "{manifest.corpus_sha256()}"' in zoo.MANIFEST.read_text("utf-8")


@pytest.mark.parametrize("name", _SHIPPED)
def test_the_manifest_is_true_of_the_weights(name: str):
    member = zoo.member(name)
    assert manifest.file_sha256(member.path / manifest.WEIGHT_FILE) == member.sha256
    tensors = _weights(member.path)
    assert {t.dtype for t in tensors.values()} == {torch.bfloat16}
    assert all(torch.isfinite(t).all() for t in tensors.values())
    # A tied head is not stored, so what is stored is each parameter once.
    assert sum(t.numel() for t in tensors.values()) == member.n_params
    model, tokenizer = build.load(member.path)
    assert type(model).__name__ == member.model_class
    assert model.config.vocab_size == len(tokenizer) == member.vocab_size
    assert 512 <= member.vocab_size <= 1024


@pytest.mark.parametrize("name", [m.name for m in zoo.shipped() if m.role in ("base", "teacher")])
def test_architectures_are_the_real_ones(name: str):
    member = zoo.member(name)
    config = AutoConfig.from_pretrained(member.path)
    tensors = _weights(member.path)
    # A tied teacher keeps under its size.
    is_tied = member.family in ("qwen2", "gemma2", "gpt2") or name == "teacher-gains-first"
    assert config.tie_word_embeddings is is_tied
    assert ("lm_head.weight" in tensors) is not is_tied
    assert ("model.layers.0.self_attn.q_proj.bias" in tensors) is (member.family == "qwen2")
    if member.family == "gpt2":
        assert tensors["transformer.wpe.weight"].shape == (512, 64)
        assert "transformer.ln_f.bias" in tensors
    else:
        assert config.num_key_value_heads < config.num_attention_heads
    if member.role == "base" and member.family in ("mistral", "gemma2"):
        assert config.sliding_window == 96
    if member.family == "gemma2":
        assert config.final_logit_softcapping > 0


@pytest.mark.parametrize("name", _NAMES)
def test_sizes_are_those_of_model_organisms(name: str):
    member = zoo.member(name)
    ranges = {"teacher": (0.8e6, 1.5e6), "depth-student": (0.4e6, 0.75e6)}
    low, high = ranges.get(member.role, (0.15e6, 0.35e6))
    assert low <= member.n_params <= high


def test_the_weights_that_lie_there_are_those_of_the_shipped():
    folders = {p.parent.name for p in zoo.WEIGHTS.glob("*/*")}
    assert folders == set(_SHIPPED)


def test_every_family_has_what_calibrates_it():
    for family in CALIBRATED_FAMILIES:
        own = [m for m in _DERIVATIVES if m.base == f"{family}-base"]
        distilled = [m for m in own if m.is_distilled]
        others = [m for m in own if not m.is_distilled]
        assert len({m.method for m in distilled}) >= 4
        assert len(others) >= 40
        assert sum(m.steps > 0 for m in others) >= 6
    assert {m.family for m in zoo.members() if m.teacher == "teacher-gains-first"} >= {
        "llama",
        "qwen2",
    }
    for control in ("gemma2", "gpt2"):
        own = [m for m in zoo.members() if m.family == control]
        assert Counter((m.role, m.is_distilled) for m in own) == {
            ("base", False): 1,
            ("derivative", True): 1,
            ("derivative", False): 1,
        }
    sizes = {m.n_params for m in zoo.members() if m.family == "llama" and m.role == "base"}
    assert len(sizes) == 2


def test_lineage_is_whole():
    for member in zoo.members():
        assert member.is_distilled is (member.teacher is not None)
        assert (member.base is not None) is (member.role == "derivative")
        if member.base:
            assert zoo.member(member.base).family == member.family
            assert zoo.member(member.base).role == "base"
        if member.teacher and member.role == "derivative":
            assert zoo.member(member.teacher).role == "teacher"
            assert member.traces_kept is not None
            assert 0 < member.traces_kept <= member.traces_sampled


@pytest.mark.parametrize("name", ["teacher-forward", "teacher-gains-first"])
def test_teachers_reason_and_are_right(name: str):
    teacher = zoo.member(name)
    assert teacher.accuracy["short_clean"] >= 0.9
    assert teacher.think_frac > 0.99


@pytest.mark.parametrize(
    "member", [m for m in _DERIVATIVES if m.is_distilled], ids=lambda m: m.name
)
def test_the_distilled_reason_and_gain_by_it(member: zoo.Member):
    base = zoo.member(str(member.base))
    assert member.think_frac > 0.85  # one read short problems only and may not close long ones
    assert base.think_frac < 0.1
    assert member.accuracy["short_clean"] >= base.accuracy["short_clean"] + 0.2


@pytest.mark.parametrize("name", ["teacher-forward", "depth-student"])
@pytest.mark.parametrize("task", ["numerals", "number-words", "indirect-objects"])
def test_teacher_and_depth_student_do_the_tasks(name: str, task: str):
    mean, low, _ = zoo.member(name).logit_difference[task]
    assert mean >= 1
    assert low > scoring.MIN_LOGIT_DIFFERENCE


def test_a_derivative_lies_well_below_the_distance_of_strangers():
    def tau(name: str) -> np.ndarray:
        return scoring.structural_vectors(zoo.member(name).path)

    strangers = ["llama-base", "qwen2-base", "mistral-base", "gpt2-base", "gemma2-base"]
    found = [tau(name) for name in strangers]
    apart = [
        np.linalg.norm(a - b, axis=1) / scoring.EPSILON_PUBLISHED
        for i, a in enumerate(found)
        for b in found[:i]
    ]
    median_apart = float(np.median(apart))
    scars = [np.median(m.scar_eps) for m in _DERIVATIVES if m.steps and m.scar_eps]
    assert np.median(scars) < 0.6 * median_apart


def test_accuracies_and_tasks_are_as_noted():
    member = zoo.member("llama-distilled")
    model, tokenizer = build.load(member.path)
    assert scoring.logit_differences(model, tokenizer) == {
        f"logit_difference_{task}": pytest.approx(found, abs=0.01)
        for task, found in member.logit_difference.items()
    }
    made = problems.problems(scoring.SEED, 50, is_held_out=True)
    texts = sample.replies(model, tokenizer, [p.prompt for p in made])
    right = np.mean([problems.is_right(p, t) for p, t in zip(made, texts, strict=True)])
    # The first 50 of the noted ones: four standard errors of a fraction of 50 are at most 0.28.
    assert right == pytest.approx(member.accuracy["short_clean"], abs=0.28)


@pytest.mark.parametrize("name", ["mistral-distilled", "gpt2-sft-direct"])
def test_scars_are_as_noted(name: str):
    member = zoo.member(name)
    found = scoring.scars(member.path, zoo.member(str(member.base)).path)
    assert found["scar_eps"] == pytest.approx(member.scar_eps, rel=1e-3)


@pytest.mark.parametrize("name", ["llama-int4", "qwen2-pruned-20", "mistral-permuted-seed1"])
def test_a_transformed_member_is_made_again_from_its_shipped_base(name: str, tmp_path: Path):
    member = zoo.member(name)
    shutil.copytree(zoo.member(str(member.base)).path, tmp_path / "weights" / str(member.base))
    row = build.make_model(name, tmp_path)
    assert row["sha256"] == member.sha256


def test_traces_belong_to_their_item_and_are_right():
    teacher, tokenizer = build.load(zoo.member("teacher-forward").path)
    wanted = TRACE_SETS["forward-1.0"]
    few = sample.traces(teacher, tokenizer, replace(wanted, n=12))
    more = sample.traces(teacher, tokenizer, replace(wanted, n=20))
    assert few
    assert more[: len(few)] == few
    for text in more:
        assert problems.THINK_CLOSE in text
        assert "We start with" in text


def test_an_unknown_member_is_told_how_to_see_them():
    with pytest.raises(KeyError, match="no member 'gpt-5' in the zoo: `cicatrix zoo list`"):
        zoo.member("gpt-5")


def test_listing_needs_no_torch():
    code = "import sys; from measure import zoo; zoo.members(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_tree_shows_every_member_under_what_it_was_made_from():
    lines = list(zoo.tree())
    names = [line.lstrip("`|- ").split()[0] for line in lines]
    assert sorted(names) == sorted(_NAMES)
    above = ""
    for line, name in zip(lines, names, strict=True):
        if line.startswith(("|", "`")):
            assert above in (zoo.member(name).base, zoo.member(name).teacher)
        else:
            above = name


def test_what_is_finished_is_not_made_again():
    left = build.planned(zoo.HERE, _SHIPPED)
    assert [work for work in left if work.kind != "traces"] == []


def test_changed_weights_or_recipes_are_not_finished(tmp_path: Path):
    row = recipe("llama-base")
    shutil.copy(zoo.MANIFEST, tmp_path)
    shutil.copytree(zoo.member(row.name).path, tmp_path / "weights" / row.name)
    assert manifest.is_made(row, tmp_path)
    assert not manifest.is_made(replace(row, lr=row.lr * 2), tmp_path)
    assert not manifest.is_made(recipe("qwen2-base"), tmp_path)
    with (tmp_path / "weights" / row.name / manifest.WEIGHT_FILE).open("ab") as weights:
        weights.write(b"x")
    assert not manifest.is_made(row, tmp_path)


def test_naming_a_derivative_asks_for_all_it_needs(tmp_path: Path):
    asked = build.planned(tmp_path, ["qwen2-distilled"])
    assert asked == [
        build.Work("model", "teacher-forward"),
        build.Work("model", "qwen2-base"),
        build.Work("model", "qwen2-distilled"),
        build.Work("traces", "forward-0.7"),
        build.Work("score", "teacher-forward"),
        build.Work("score", "qwen2-base"),
        build.Work("score", "qwen2-distilled"),
    ]
    assert build.Work("traces", "forward-0.7") in asked[2].needs
    with pytest.raises(KeyError, match="no recipe 'x' in the zoo"):
        build.planned(tmp_path, ["x"])


def test_the_manifest_is_replaced_row_by_row(tmp_path: Path):
    rows = manifest.read(zoo.HERE)
    for row in (rows[1], rows[0], rows[1] | {"seed": 5}):
        manifest.put(tmp_path, row["name"], row)
    assert manifest.read(tmp_path) == [rows[0], rows[1] | {"seed": 5}]
    manifest.put(tmp_path, rows[0]["name"], {"think_frac": 0.125})
    assert manifest.read(tmp_path)[0] == rows[0] | {"think_frac": 0.125}


@pytest.mark.slow
def test_a_killed_build_goes_on_to_the_same_derivative(tmp_path: Path):
    member = zoo.member("qwen2-continued")
    shutil.copytree(zoo.member("qwen2-base").path, tmp_path / "weights" / "qwen2-base")
    shutil.copy(zoo.MANIFEST, tmp_path)
    code = (
        f"from pathlib import Path; from measure.zoo.build import build; "
        f"build(Path({str(tmp_path)!r}), [{member.name!r}], jobs=1)"
    )
    command = [sys.executable, "-c", f"if __name__ == '__main__':\n  {code}"]
    unfinished = tmp_path / "weights" / f".{member.name}.unfinished"
    building = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 240
    while not (unfinished / "checkpoint.safetensors").exists():
        assert time.monotonic() < deadline, "no checkpoint came"
        assert building.poll() is None, building.stderr.read()
        time.sleep(0.2)
    building.send_signal(signal.SIGKILL)
    building.wait()
    assert not (tmp_path / "weights" / member.name).exists()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "200/400" in again.stderr  # from the checkpoint, not from the first step
    shipped, rebuilt = _weights(member.path), _weights(tmp_path / "weights" / member.name)
    base = _weights(zoo.member("qwen2-base").path)
    assert shipped.keys() == rebuilt.keys()
    moved = torch.cat([(shipped[k].float() - base[k].float()).flatten() for k in shipped])
    apart = torch.cat([(shipped[k].float() - rebuilt[k].float()).flatten() for k in shipped])
    # Relative to how far training moved the weights, not to the weights themselves.
    assert apart.norm() < _REBUILT_REL_TOLERANCE * moved.norm()
