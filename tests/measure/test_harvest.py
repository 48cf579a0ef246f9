"""Harvested activations: the models' own, in order, resumed to the same bytes, dealt out once."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from measure import harvest, models, sources, text_sources
from measure.activations import Activations
from measure.errors import BadInput
from measure.harvest import Asked
from measure.text_sources import TextSource

TEXTS = [f"Text {i}: " + "ab " * (3 + i % 7) for i in range(40)]
SOURCE = TextSource("made", "5ha", lambda first: iter(TEXTS[first:]))
N_BYTES = sum(len(text) - 1 for text in TEXTS)  # a token a byte; the first of each is dropped


@pytest.fixture(scope="module")
def pair(model_folder):
    return tuple(
        models.load(sources.find(str(model_folder("llama", seed))), device="cpu") for seed in (0, 1)
    )


def asked(pair, **over) -> Asked:
    given = {
        "base_id": pair[0].card.model_id, "distilled_id": pair[1].card.model_id, "text": "made",
        "text_sha256": "5ha", "layer": 0, "n_tokens": 10**6, "max_length": 64,
    }  # fmt: skip
    return Asked(**given | over)


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, harvest.harvest(*pair, SOURCE, asked(pair, n_tokens=300), folder)


def test_activations_are_the_model_s_own(pair, whole):
    folder, manifest = whole
    activations = Activations.open(folder)
    first = activations.raw(manifest.shards[0])
    for side, model in enumerate(pair):
        (ids,) = model.encode_many(TEXTS[:1])
        with torch.inference_mode():  # by another route: what transformers calls hidden states
            states = model.model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        own = states[1][0, 1:].to(torch.bfloat16)
        torch.testing.assert_close(first[: len(own), side], own)
    tokens, windows = activations.index(manifest.shards[0])
    assert tokens[windows == 0].tolist() == ids[1:]


def test_each_token_but_the_first_of_a_text_is_there_once(pair, tmp_path):
    manifest = harvest.harvest(*pair, SOURCE, asked(pair, n_tokens=N_BYTES), tmp_path)
    assert manifest.n_tokens == N_BYTES
    assert manifest.is_complete
    activations = Activations.open(tmp_path)
    tokens = torch.cat([activations.index(shard)[0] for shard in manifest.shards])
    rows = pair[0].encode_many(TEXTS)
    assert tokens.tolist() == [token for row in rows for token in row[1:]]


def test_scales_make_the_mean_norm_sqrt_d(whole):
    folder, manifest = whole
    activations = Activations.open(folder)
    everything = torch.cat([activations.read(shard) for shard in manifest.shards])
    means = everything.double().norm(dim=-1).mean(0)
    assert means.tolist() == pytest.approx([4.0, 4.0], rel=1e-6)  # sqrt(16)


def test_windows_are_cut_and_each_loses_its_first_token(pair, tmp_path):
    source = TextSource("long", "5ha", lambda first: iter(["abcdefgh" * 4, "xy"][first:]))
    manifest = harvest.harvest(*pair, source, asked(pair, max_length=10), tmp_path)
    assert manifest.n_tokens == 3 * 9 + 1 + 1  # 32 bytes are windows of 10, 10, 10 and 2; `xy`


@pytest.mark.parametrize("keeps", [1, 2, 5])
def test_a_resumed_harvest_has_the_same_bytes(pair, whole, tmp_path, keeps):
    folder, manifest = whole
    for shard in manifest.shards[:keeps]:
        (tmp_path / shard.file).write_bytes((folder / shard.file).read_bytes())
    (tmp_path / f"{manifest.shards[keeps].file}.part").write_bytes(b"torn")
    replace(manifest, shards=manifest.shards[:keeps], is_complete=False).write(tmp_path)
    told: list[int] = []
    given = asked(pair, n_tokens=300)
    harvest.harvest(*pair, SOURCE, given, tmp_path, progress=told.append)
    again = read(tmp_path)
    assert {name: again[name] for name in read(folder)} == read(folder)
    assert told[0] == sum(shard.n_tokens for shard in manifest.shards[:keeps])
    assert sum(told) == manifest.n_tokens


def test_a_damaged_shard_takes_those_after_it_along(pair, whole, tmp_path):
    folder, manifest = whole
    for name, content in read(folder).items():
        (tmp_path / name).write_bytes(content)
    damaged = manifest.shards[2].file
    (tmp_path / damaged).write_bytes(b"short")
    found = harvest.read_manifest(tmp_path)
    assert found is not None
    assert len(found.shards) == 2 and not found.is_complete
    with pytest.raises(BadInput, match="no complete harvest"):
        Activations.open(tmp_path)
    harvest.harvest(*pair, SOURCE, asked(pair, n_tokens=300), tmp_path)
    assert read(tmp_path) == read(folder)


def test_other_tokenizers_are_refused_in_one_line(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(models.CausalLM, "tokenizes_as", lambda *_: False)
    own = pair[0].encode_many
    monkeypatch.setattr(pair[1], "encode_many", lambda texts: [[*row, 2] for row in own(texts)])
    with pytest.raises(BadInput, match="different token ids: give two models") as error:
        harvest.harvest(*pair, SOURCE, asked(pair), tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("over", "told"), [({"layer": 2}, "layer 2"), ({"max_length": 1}, "16")])
def test_what_cannot_be_harvested_is_refused(pair, tmp_path, over, told):
    with pytest.raises(BadInput, match=told):
        harvest.harvest(*pair, SOURCE, asked(pair, **over), tmp_path)


def test_a_model_of_another_width_is_refused(pair, model_folder, tmp_path):
    wide = models.load(sources.find(str(model_folder("llama", 0, hidden_size=32))), device="cpu")
    with pytest.raises(BadInput, match="width 16.*32"):
        harvest.harvest(pair[0], wide, SOURCE, asked(pair), tmp_path)


# --- reading ------------------------------------------------------------------------------------


def rows_of(batches, n):
    return torch.cat(list(itertools.islice(batches, n))).sum((1, 2)).tolist()


def test_an_epoch_deals_each_training_token_out_once(whole):
    activations = Activations.open(whole[0])
    assert activations.mixing == 1.0  # all shards fit the buffer: a whole permutation
    n = activations.n_training_tokens
    everything = torch.cat([activations.read(s) for s in activations.training]).sum((1, 2))
    dealt = rows_of(activations.batches(1, seed=0), n)
    assert sorted(dealt) == pytest.approx(sorted(everything.tolist()))
    assert dealt != everything.tolist()
    held_out = {s.file for s in activations.held_out}
    assert held_out == {"shard-00000.safetensors"}  # of 20
    assert not held_out & {s.file for s in activations.training}


@pytest.mark.parametrize("first", [1, 7, 45])
def test_batches_resume_where_they_were(whole, first):
    activations = Activations.open(whole[0])
    through = list(itertools.islice(activations.batches(16, seed=3), first + 4))
    resumed = list(itertools.islice(activations.batches(16, seed=3, first=first), 4))
    for one, other in zip(through[first:], resumed, strict=True):
        assert torch.equal(one, other)
    other_seed = next(activations.batches(16, seed=4))
    assert not torch.equal(through[0], other_seed)


def test_a_small_buffer_mixes_within_itself(whole, monkeypatch):
    activations = Activations.open(whole[0])
    largest = max(shard.n_tokens for shard in activations.training)
    monkeypatch.setattr("measure.activations.BUFFER_TOKENS", 3 * largest)
    assert activations.buffer_shards == 3
    assert activations.mixing == pytest.approx(3 / len(activations.training))
    group = next(activations._groups(0, 0))  # the shards of the first buffer
    held = torch.cat([activations.read(shard) for shard in group]).sum((1, 2)).tolist()
    assert len(group) == 3
    assert set(rows_of(activations.batches(1, seed=0), len(held))) == set(held)


def test_too_large_a_batch_is_refused(whole):
    activations = Activations.open(whole[0])
    with pytest.raises(BadInput, match="too few for batches of 100,000"):
        next(activations.batches(100_000, seed=0))


# --- texts --------------------------------------------------------------------------------------


def test_a_file_of_texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": f"t\u2028{i}"}) + "\n" for i in range(5)))
    source = text_sources.load(str(path))
    assert source.name == "texts.jsonl"
    assert list(source.texts(2)) == ["t\u20282", "t\u20283", "t\u20284"]
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": "t"}))
    assert text_sources.load(str(other)).sha256 != source.sha256


@pytest.mark.parametrize("line", ["{}", "[1]", "no json", '{"text": 3}', '{"text": "\\ud800"}'])
def test_a_line_without_text_is_named(tmp_path, line):
    path = tmp_path / "texts.jsonl"
    path.write_text(f'{{"text": "good"}}\n{line}\n')
    with pytest.raises(BadInput, match="line 2"):
        list(text_sources.load(str(path)).texts(0))


def test_a_text_that_is_not_there():
    with pytest.raises(BadInput, match="neither a .jsonl file"):
        text_sources.load("nowhere.jsonl")


def test_the_zoo_s_corpus_resumes_anywhere():
    source = text_sources.load("zoo-corpus")
    assert list(itertools.islice(source.texts(0), 6))[4:] == list(
        itertools.islice(source.texts(4), 2)
    )
