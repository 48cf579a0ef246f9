import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from measure import zoo
from measure.zoo import build, corpus, manifest, sample
from measure.zoo.recipes import RECIPES, recipe, recipe_hash

_NAMES = [r.name for r in RECIPES]
_MAX_BYTES = 6_000_000
# Rebuilt on another machine, sums may be taken in another order. In bf16 (8 bits) a weight that
# lands on the other side of a rounding step moves by 2^-8 of itself.
_REBUILT_REL_TOLERANCE = 0.02


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / manifest.WEIGHT_FILE)


def test_every_recipe_is_shipped_as_it_stands():
    assert [m.name for m in zoo.members()] == _NAMES
    for member in zoo.members():
        assert member.recipe_hash == recipe_hash(recipe(member.name)), member.name


def test_the_corpus_is_the_one_the_models_were_trained_on():
    assert f'corpus_sha256 = "{manifest.corpus_sha256()}"' in zoo.MANIFEST.read_text("utf-8")


@pytest.mark.parametrize("name", _NAMES)
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


@pytest.mark.parametrize("name", _NAMES)
def test_architectures_are_the_real_ones(name: str):
    member = zoo.member(name)
    config = AutoConfig.from_pretrained(member.path)
    tensors = _weights(member.path)
    is_qwen2 = member.family == "qwen2"
    wanted = "Qwen2ForCausalLM" if is_qwen2 else "LlamaForCausalLM"
    assert config.architectures == [wanted]
    assert config.tie_word_embeddings is is_qwen2
    assert ("lm_head.weight" in tensors) is not is_qwen2
    assert ("model.layers.0.self_attn.q_proj.bias" in tensors) is is_qwen2
    assert config.num_key_value_heads < config.num_attention_heads
    assert config.max_position_embeddings >= 256


@pytest.mark.parametrize("name", _NAMES)
def test_sizes_are_those_of_model_organisms(name: str):
    member = zoo.member(name)
    low, high = (0.8e6, 1.5e6) if member.kind == "teacher" else (0.15e6, 0.35e6)
    assert low <= member.n_params <= high


def test_what_is_shipped_is_small_and_no_pickle():
    files = [p for p in zoo.WEIGHTS.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < _MAX_BYTES
    assert {p.suffix for p in files} == {".safetensors", ".json"}


def test_lineage_and_figures():
    for member in zoo.members():
        assert member.is_distilled is (member.teacher is not None)
        assert (member.base is not None) is (member.kind in ("distilled", "sft-direct"))
        if member.base:
            assert zoo.member(member.base).family == member.family
            assert zoo.member(member.base).kind == "base"
    teacher = zoo.member("teacher")
    assert teacher.held_out_accuracy >= 0.9
    for family in ("llama", "qwen2"):
        distilled, direct = zoo.member(f"{family}-distilled"), zoo.member(f"{family}-sft-direct")
        assert (distilled.steps, recipe(distilled.name).lr) == (
            direct.steps,
            recipe(direct.name).lr,
        )
        # As many rows each; shorter documents fill their rows better (84 % of a row against 94 %).
        assert distilled.tokens_trained == pytest.approx(direct.tokens_trained, rel=0.15)
        assert distilled.held_out_think_frac > 0.9
        assert direct.held_out_think_frac < 0.1
        assert 0 < distilled.traces_kept <= distilled.traces_sampled


def test_accuracy_of_a_distilled_member_is_as_noted():
    member = zoo.member("llama-distilled")
    model, tokenizer = build.load(member.path)
    scored = sample.score(model, tokenizer, 100, build.SCORING_SEED)
    # The first 100 of the noted 400: four standard errors of a fraction of 100 are at most 0.2.
    assert scored.accuracy == pytest.approx(member.held_out_accuracy, abs=0.2)
    assert scored.think_frac == pytest.approx(member.held_out_think_frac, abs=0.1)


def test_traces_belong_to_their_item_and_are_right():
    teacher, tokenizer = build.load(zoo.member("teacher").path)
    few = sample.traces(teacher, tokenizer, 12, temperature=1.0, seed=4)
    more = sample.traces(teacher, tokenizer, 20, temperature=1.0, seed=4)
    assert few
    assert more[: len(few)] == few
    asked = {p.question: p for p in corpus.problems(4, 20, is_held_out=False)}
    for text in more:
        question = text.removeprefix("Q: ").split("\nA:")[0]
        assert corpus.is_right(asked[question], text)
        assert corpus.THINK_CLOSE in text


def test_an_unknown_member_is_told_who_is_there():
    with pytest.raises(KeyError, match="no member 'gpt-5' in the zoo; it has .*llama-base"):
        zoo.member("gpt-5")


def test_listing_needs_no_torch():
    code = "import sys; from measure import zoo; zoo.members(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_lists_every_member():
    command = [sys.executable, "-m", "measure.zoo", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == _NAMES


def test_what_is_finished_is_not_trained_again(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a finished model was trained again")

    monkeypatch.setattr(build, "build_one", refuse)
    assert build.build(zoo.WEIGHTS.parent, jobs=1) == []


def test_changed_weights_or_recipes_are_not_finished(tmp_path: Path):
    row = recipe("llama-base")
    shutil.copy(zoo.MANIFEST, tmp_path)
    shutil.copytree(zoo.member(row.name).path, tmp_path / "weights" / row.name)
    assert manifest.is_finished(row, tmp_path)
    assert not manifest.is_finished(replace(row, lr=row.lr * 2), tmp_path)
    assert not manifest.is_finished(recipe("qwen2-base"), tmp_path)
    with (tmp_path / "weights" / row.name / manifest.WEIGHT_FILE).open("ab") as weights:
        weights.write(b"x")
    assert not manifest.is_finished(row, tmp_path)


def test_naming_a_derivative_asks_for_all_it_needs():
    assert [r.name for r in build.wanted(["qwen2-distilled"])] == [
        "teacher",
        "qwen2-base",
        "qwen2-distilled",
    ]
    with pytest.raises(KeyError, match="no recipe 'x' in the zoo"):
        build.wanted(["x"])


def test_the_manifest_is_replaced_row_by_row(tmp_path: Path):
    rows = manifest.read(zoo.WEIGHTS.parent)
    for row in (rows[1], rows[0], rows[1] | {"seed": 5}):
        manifest.put(tmp_path, row)
    assert manifest.read(tmp_path) == [rows[0], rows[1] | {"seed": 5}]


@pytest.mark.slow
def test_a_derivative_can_be_rebuilt_from_its_shipped_base(tmp_path: Path):
    member = zoo.member("qwen2-distilled")
    for name in ("teacher", "qwen2-base"):
        shutil.copytree(zoo.member(name).path, tmp_path / "weights" / name)
    shutil.copy(zoo.MANIFEST, tmp_path)
    assert build.build(tmp_path, [member.name], jobs=1) == [member.name]
    shipped, rebuilt = _weights(member.path), _weights(tmp_path / "weights" / member.name)
    base = _weights(zoo.member("qwen2-base").path)
    assert shipped.keys() == rebuilt.keys()
    moved = torch.cat([(shipped[k].float() - base[k].float()).flatten() for k in shipped])
    apart = torch.cat([(shipped[k].float() - rebuilt[k].float()).flatten() for k in shipped])
    # Relative to how far training moved the weights, not to the weights themselves.
    assert apart.norm() < _REBUILT_REL_TOLERANCE * moved.norm()
