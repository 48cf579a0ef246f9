import itertools
import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from measure import lineage, resemblance, sources, tensors
from tests.conftest import ARCHITECTURES

FOUR = {"num_hidden_layers": 4}


@pytest.fixture(autouse=True)
def one_thread():
    """Dividing matrices of 16 columns among threads costs more than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


@pytest.fixture
def changed(tmp_path):
    """A copy of a model folder whose weights went through a function."""
    numbers = itertools.count()

    def copy(folder, change=lambda weights: weights):
        new = shutil.copytree(folder, tmp_path / f"copy-{next(numbers)}")
        weights = change(load_file(new / "model.safetensors"))
        weights = {name: tensor.contiguous() for name, tensor in weights.items()}
        save_file(weights, new / "model.safetensors", metadata={"format": "pt"})
        return new

    return copy


def run(derivative, base):
    """(records by layer and slot, verdict)."""
    ours, theirs = (tensors.Weights(sources.find(str(folder))) for folder in (derivative, base))
    records = list(lineage.measure(ours, theirs))
    found = lineage.verdict(lineage.layers_of(records), theirs.n_layers)
    return {(r.layer, r.slot): r for r in records}, found


def matrices(records):
    found = [r for r in records.values() if r.is_matrix and r.layer is not None]
    assert found
    return found


# --- whole models -------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_model_and_itself(model_folder, architecture):
    records, verdict = run(*[model_folder(architecture)] * 2)
    for record in records.values():
        if record.reason is None:
            assert record.cosine == pytest.approx(1)
            assert (record.rel_displacement, record.unchanged_frac) == (0, 1)
    for record in matrices(records):
        assert (record.effective_rank, record.numerical_rank) == (None, 0)
        assert record.sv_cosine == pytest.approx(1)
        assert record.aligned_cosine is None  # not needed
    assert verdict.label == "SAME LINEAGE"
    assert verdict.layer_map == ((0, 0), (1, 1))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_other_seeds_of_one_configuration_are_strangers(model_folder, architecture):
    for seed in (1, 2, 3):
        records, verdict = run(model_folder(architecture, seed), model_folder(architecture))
        assert verdict.label == "INDEPENDENT", verdict
        assert verdict.layer_map == ()
        for record in matrices(records):
            assert abs(record.cosine) < 5 / math.sqrt(record.n_entries)
            assert record.null_cosine > 3.09 / math.sqrt(record.n_entries) * (1 - 1e-3)
            assert record.null_cosine < 2 * 3.09 / math.sqrt(record.n_entries)
    # Norms are alike to the last digit (all 1, or Gemma's 0, which has no cosine), so they must not
    # decide.
    norm = records[0, "ln_1" if architecture == "gpt2" else "input_layernorm"]
    assert norm.cosine == (None if architecture in ("gemma2", "gemma3") else 1)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_a_noised_copy_has_its_lineage(model_folder, changed, architecture, noise):
    """Noise of that share of a weight's norm: cosine 1 / sqrt(1 + noise^2), 0.995 or 0.894."""

    def add_noise(weights):
        return {
            name: w + noise * w.norm() / math.sqrt(w.numel()) * normal(*w.shape, seed=i).float()
            for i, (name, w) in enumerate(weights.items())
        }

    folder = model_folder(architecture)
    records, verdict = run(changed(folder, add_noise), folder)
    assert verdict.label == "SAME LINEAGE"
    for record in matrices(records):
        assert record.cosine == pytest.approx(1 / math.sqrt(1 + noise**2), abs=0.04)
        assert record.rel_displacement == pytest.approx(noise, rel=0.25)
        assert record.unchanged_frac == 0


def permuted(weights, n_heads=4, n_kv=2, head_dim=4):
    """The same function: MLP neurons, kv-groups and the heads of a group in another order."""
    generator = rng(5)
    found = dict(weights)
    for layer in range(2):
        block = f"model.layers.{layer}."
        neurons = torch.randperm(32, generator=generator)
        for name in ("gate_proj", "up_proj"):
            found[f"{block}mlp.{name}.weight"] = weights[f"{block}mlp.{name}.weight"][neurons]
        down = f"{block}mlp.down_proj.weight"
        found[down] = weights[down][:, neurons]
        heads = torch.arange(n_heads).reshape(n_kv, -1).flip(0).flip(1).flatten()  # 3 2 1 0
        rows = (heads[:, None] * head_dim + torch.arange(head_dim)).flatten()
        kv_rows = (torch.tensor([1, 0])[:, None] * head_dim + torch.arange(head_dim)).flatten()
        for name, order in (("q", rows), ("k", kv_rows), ("v", kv_rows)):
            weight = f"{block}self_attn.{name}_proj.weight"
            found[weight] = weights[weight][order]
        o = f"{block}self_attn.o_proj.weight"
        found[o] = weights[o][:, rows]
    return found


def test_permuted_neurons_and_heads_are_seen_through(model_folder, changed):
    folder = model_folder("llama")
    copy = changed(folder, permuted)
    records, verdict = run(copy, folder)
    for record in matrices(records):
        assert record.cosine < 0.35 and record.margin > 0
        assert record.aligned_cosine == pytest.approx(1)
        assert record.sv_cosine == pytest.approx(1)
    assert verdict.label == "SAME LINEAGE"
    assert "14 weights only after aligning neurons or heads, then 1.000" in verdict.reasons[0]


def test_the_permuted_copy_is_the_same_function(model_folder, changed):
    """Else the test above would hide nothing."""
    from transformers import AutoModelForCausalLM

    folder = model_folder("llama")
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        logits = [
            AutoModelForCausalLM.from_pretrained(f)(ids).logits
            for f in (folder, changed(folder, permuted))
        ]
    torch.testing.assert_close(*logits, rtol=1e-3, atol=1e-3)


def test_gpt2s_transposed_and_fused_weights_are_seen_through(model_folder, changed):
    """Neurons are columns of c_fc and rows of c_proj; heads are columns of the thirds of c_attn."""

    def permute(weights):
        found = dict(weights)
        neurons, heads = torch.randperm(64, generator=rng(3)), torch.tensor([2, 0, 3, 1])
        rows = (heads[:, None] * 4 + torch.arange(4)).flatten()
        for layer in range(2):
            block = f"transformer.h.{layer}."
            for name, index in (
                ("mlp.c_fc.weight", (slice(None), neurons)),
                ("mlp.c_fc.bias", neurons),
                ("mlp.c_proj.weight", neurons),
                ("attn.c_attn.weight", (slice(None), torch.cat([rows, 16 + rows, 32 + rows]))),
                ("attn.c_proj.weight", rows),
            ):
                found[block + name] = weights[block + name][index]
        return found

    folder = model_folder("gpt2")
    records, verdict = run(changed(folder, permute), folder)
    assert {r.slot for r in matrices(records)} == {"q", "k", "v", "o", "up", "down"}
    for record in matrices(records):
        assert record.aligned_cosine == pytest.approx(1)
    assert verdict.label == "SAME LINEAGE"


def test_a_rotated_residual_stream_is_no_proof_of_independence(model_folder, changed):
    """Gains are 1, so that a rotation of the residual stream leaves the function as it is."""
    q = torch.linalg.qr(normal(16, 16, seed=9)).Q.float()

    def rotate(weights):
        writes = ("o_proj.weight", "down_proj.weight")
        return {
            name: w if w.ndim < 2 else (q.T @ w if name.endswith(writes) else w @ q)
            for name, w in weights.items()
        }

    folder = model_folder("llama")
    records, verdict = run(changed(folder, rotate), folder)
    assert max(abs(r.cosine) for r in matrices(records)) < 0.5
    assert min(r.sv_cosine for r in matrices(records)) > 1 - 1e-9
    assert verdict.label == "INCONCLUSIVE"
    assert "rotated copy" in verdict.reasons[1]


@pytest.mark.parametrize("rank", [1, 3])
def test_a_lora_shows_its_rank(model_folder, changed, rank):
    def merge(weights):
        return {
            name: w
            + (
                normal(w.shape[0], rank, seed=i) @ normal(rank, w.shape[1], seed=-i - 1) / 10
            ).float()
            if name.endswith("_proj.weight")
            else w
            for i, (name, w) in enumerate(weights.items())
        }

    folder = model_folder("llama")
    records, verdict = run(changed(folder, merge), folder)
    for record in matrices(records):
        assert record.numerical_rank == rank
        assert 1 - 1e-9 <= record.effective_rank <= rank + 1e-6
    assert records[None, "embed"].unchanged_frac == 1
    assert verdict.label == "SAME LINEAGE"


def layer_of(name):
    return int(name.split(".layers.")[1].split(".")[0]) if ".layers." in name else None


def test_a_graft_names_its_layers(model_folder, changed):
    """Layers 1 and 3 of another model in the base's body."""
    base, donor = model_folder("llama", 0, **FOUR), model_folder("llama", 1, **FOUR)
    others = load_file(donor / "model.safetensors")
    records, verdict = run(
        changed(base, lambda w: {n: others[n] if layer_of(n) in (1, 3) else w[n] for n in w}), base
    )
    assert verdict.label == "PARTIAL"
    assert verdict.layer_map == ((0, 0), (2, 2))
    assert "layers 0 from 0, 2 from 2; not from the base: 1, 3" in verdict.reasons[1]


def cut_to(kept):
    """A model of only those layers, in that order; the configuration keeps saying four."""

    def cut(weights):
        found = {name: w for name, w in weights.items() if layer_of(name) is None}
        for new, old in enumerate(kept):
            for name, w in weights.items():
                if layer_of(name) == old:
                    found[name.replace(f".layers.{old}.", f".layers.{new}.")] = w
        return found

    return cut


@pytest.mark.parametrize("kept", [(1, 3), (0, 1), (3, 2, 1, 0), (0, 1, 1, 2, 2, 3)])
def test_depth_students_say_where_their_layers_come_from(model_folder, changed, kept):
    """Every other layer, the first half, another order, and layers taken twice."""
    base = model_folder("llama", 0, **FOUR)

    def make(weights):
        cut = cut_to(kept)(weights)
        return {
            n: w + 0.05 * normal(*w.shape, seed=i).float() for i, (n, w) in enumerate(cut.items())
        }

    _, verdict = run(changed(base, make), base)
    assert verdict.label == "PARTIAL"
    assert verdict.layer_map == tuple(enumerate(kept))


def test_another_width_cannot_be_compared(model_folder):
    wide = model_folder("llama", hidden_size=32, vocab_size=300)
    records, verdict = run(wide, model_folder("llama"))
    assert verdict.label == "NOT COMPARABLE"
    assert records[0, "k"].cosine is None
    assert records[0, "k"].reason == "shapes differ: [16, 32] here, [8, 16] in the base"


def test_a_base_without_layers_leaves_nothing_to_match(model_folder, changed):
    base = model_folder("llama")
    bare = changed(base, lambda w: {n: t for n, t in w.items() if layer_of(n) is None})
    records, verdict = run(base, bare)
    assert records[0, "q"].reason == "the base has no such weight"
    assert verdict.label == "PARTIAL" and verdict.layer_map == ()
    assert "the embedding or head alone" in verdict.reasons[1]


def test_configuration_tokenizer_and_names_decide_nothing(model_folder, changed, tmp_path):
    """A stranger in the base's clothes stays one, and a copy in a stranger's stays a copy."""
    base, other = model_folder("llama", 0), model_folder("mistral", 1)
    dressed_stranger, dressed_copy = changed(other), changed(base)
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / file, dressed_stranger / file)
    config = json.loads((dressed_copy / "config.json").read_text())
    config |= {"model_type": "qwen2", "num_attention_heads": 2, "_name_or_path": "other/model"}
    config["architectures"] = ["Qwen2ForCausalLM"]
    (dressed_copy / "config.json").write_text(json.dumps(config))
    (dressed_copy / "tokenizer.json").write_text("{}")
    assert run(dressed_stranger, base)[1].label == "INDEPENDENT"
    assert run(dressed_copy, base) == run(changed(base), base)


def test_types_and_shards_do_not_matter(model_folder, changed):
    """A bf16 copy in two files with an index: displaced by rounding alone, of no rank."""
    base = model_folder("llama")
    copy = changed(base)
    weights = {n: w.bfloat16() for n, w in load_file(copy / "model.safetensors").items()}
    (copy / "model.safetensors").unlink()
    files = {n: f"model-0000{1 + ('layers' in n)}-of-00002.safetensors" for n in weights}
    for file in set(files.values()):
        save_file({n: w for n, w in weights.items() if files[n] == file}, copy / file)
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    records, verdict = run(copy, base)
    assert verdict.label == "SAME LINEAGE"
    for record in matrices(records):
        assert 0 < record.rel_displacement < 2**-8
        assert record.numerical_rank == 0


def test_an_untied_head_is_compared_with_the_embedding_it_came_from(model_folder, changed):
    base = model_folder("qwen2")  # tied
    copy = changed(base, lambda w: w | {"lm_head.weight": w["model.embed_tokens.weight"].clone()})
    assert run(copy, base)[0][None, "head"].cosine == pytest.approx(1)


def test_broken_weights_give_a_reason_and_no_number(model_folder, changed):
    def spoil(weights):
        weights["model.layers.0.self_attn.q_proj.weight"][0, 0] = math.nan
        weights["model.layers.0.self_attn.k_proj.weight"].zero_()
        return weights

    base = model_folder("llama")
    records, verdict = run(changed(base, spoil), base)
    for slot in ("q", "k"):
        assert records[0, slot].cosine is None
        assert records[0, slot].reason == "a weight is not finite, or 0 throughout"
    assert verdict.label == "SAME LINEAGE"  # by the five others


def test_gguf_is_not_comparable_and_says_which(tmp_path, model_folder):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    gguf, folder = sources.find(str(tmp_path / "m.gguf")), sources.find(str(model_folder("llama")))
    for derivative, base, role in ((gguf, folder, "derivative"), (folder, gguf, "base")):
        (pair,) = lineage.measure_pair(derivative, base)
        assert pair.lineage_label == "NOT COMPARABLE" and pair.n_layers is None
        assert pair.reason.startswith(f"the {role} is a GGUF file")
        assert str(tmp_path) not in pair.reason


def test_a_pair_has_the_verdict_of_its_weights_and_is_watched(model_folder, changed):
    """Layers 1 and 3 dropped of four; every weight is seen once, and float32 holds the numbers."""
    base = model_folder("llama", 0, **FOUR)
    seen = []

    def watched(parts):
        for part in parts:
            seen.append(part.slot)
            yield part

    ours, theirs = (sources.find(str(f)) for f in (changed(base, cut_to((0, 2))), base))
    pair, *records = lineage.measure_pair(ours, theirs, watched)
    assert seen == [record.slot for record in records]
    assert (pair.lineage_label, pair.n_layers, pair.n_base_layers) == ("PARTIAL", 2, 4)
    assert pair.n_layers_related == 2 and "layers 0 from 0, 1 from 2" in pair.label_reasons
    assert lineage.verdict(lineage.layers_of(records), 4).label == pair.lineage_label
    for record in records:
        assert record.cosine == torch.tensor(record.cosine).item()  # a float32


def test_a_pair_alone_is_another_measurement_with_the_same_answer(model_folder):
    whole = lineage.plan("d", "b")
    alone = lineage.plan("d", "b", is_pair_alone=True)
    assert whole.measurement_id != alone.measurement_id
    assert (whole.models, whole.method_version) == (alone.models, alone.method_version)
    ours, theirs = (sources.find(str(model_folder("llama", seed))) for seed in (0, 1))
    opened = [tensors.Weights(one) for one in (ours, theirs)]
    assert lineage.compare(*opened) == lineage.measure_pair(ours, theirs)
    # The same weights again: nothing of a comparison stays in them.
    assert lineage.compare(*opened) == lineage.measure_pair(ours, theirs)


# --- the parts of weights -----------------------------------------------------------------------


def test_fused_weights_are_cut_as_transformers_cuts_them(tmp_path):
    """Phi-3's qkv_proj: 4 heads and 2 kv-heads of 2 rows, by the width of o alone."""
    qkv, gate_up = normal(16, 6), normal(10, 6, seed=1)
    block = "model.layers.0."
    save_file(
        {
            f"{block}self_attn.qkv_proj.weight": qkv,
            f"{block}self_attn.o_proj.weight": normal(6, 8, seed=2),
            f"{block}mlp.gate_up_proj.weight": gate_up,
            "model.embed_tokens.weight": normal(9, 6, seed=3),
        },
        tmp_path / "model.safetensors",
    )
    (tmp_path / "config.json").write_text("{}")
    weights = tensors.Weights(sources.find(str(tmp_path)))
    cuts = {"q": qkv[:8], "k": qkv[8:12], "v": qkv[12:], "gate": gate_up[:5], "up": gate_up[5:]}
    for slot, expected in cuts.items():
        assert torch.equal(weights.read(weights.parts[0, slot]), expected)
    assert weights.parts[0, "o"].shape == (8, 6)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_stored_value_is_in_one_part(model_folder, architecture):
    source = sources.find(str(model_folder(architecture)))
    weights = tensors.Weights(source)
    for part in weights.parts.values():
        assert tuple(weights.read(part).shape) == part.shape
    n_values = sum(math.prod(part.shape) for part in weights.parts.values())
    assert n_values == sources.size_of(source.ref).n_params
    assert "other" not in {part.kind for part in weights.parts.values()}


# --- the numbers of a pair ----------------------------------------------------------------------


def sums_of(a, b, size=5):
    return resemblance.overlap(zip(a.split(size), b.split(size), strict=True))


def test_closed_form_of_the_sums():
    """A = (3, 4; 0, 0), B = (3, 0; 0, 4): dot 9, norms 5 and 5, difference (0, -4; 0, 4)."""
    found = sums_of(torch.tensor([[3.0, 4], [0, 0]]), torch.tensor([[3.0, 0], [0, 4]]), size=1)
    assert found.cosine == pytest.approx(9 / 25)
    assert found.norm_difference == pytest.approx(math.sqrt(32))
    assert found.n_equal == 2
    assert found.null_independent == pytest.approx(3.0902 / 2, rel=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_permuted_null_is_that_of_drawn_copies(axis):
    """The independent route: 4,000 permuted copies of a weight with a common row and column."""
    a, b = (normal(60, 40, seed=s) + 2 * normal(60, 1, seed=s + 2) for s in (0, 1))
    a, b = (w + 2 * normal(1, 40, seed=7) for w in (a, b)) if axis == 0 else (a, b)
    generator = rng(4)
    drawn = []
    for _ in range(4000):
        copy = b.index_select(axis, torch.randperm(b.shape[axis], generator=generator))
        drawn.append((a * copy).sum().item() / (a.norm() * b.norm()).item())
    drawn = torch.tensor(drawn, dtype=torch.float64)
    expected = drawn.mean() + resemblance.Z * drawn.std()
    sums = sums_of(a, b)
    m, total = (60, sums.dot_of_column_sums) if axis == 0 else (40, sums.dot_of_row_sums)
    c = a @ b.T if axis == 0 else a.T @ b
    found = resemblance._permuted(m, sums.dot, total, c) / (sums.norm_a * sums.norm_b)
    assert found == pytest.approx(expected.item(), rel=0.08)
    assert sums.null_permuted(a, b) >= found - 1e-12


def test_what_a_copy_shares_with_itself_is_no_part_of_its_null():
    """Else 20 sampled units of 400 would count themselves 20 times too often."""
    w = normal(400, 48)
    found = sums_of(w, w).null_permuted(w[::20], w[::20])
    assert found == pytest.approx(resemblance.Z / math.sqrt(w.numel()), rel=0.25)


def test_strangers_with_one_tokenizer_stay_within_the_null():
    """Each has a direction of its own that follows the same token frequencies.

    3.09 / sqrt n alone would call most such pairs related, one way or the other.
    """
    frequency = torch.logspace(0, -2, 300, dtype=torch.float64)[:, None]
    n_by_formula = n_by_copies = 0
    for seed in range(200):
        a, b = (
            8 * frequency * normal(1, 48, seed=3 * seed + i)
            + normal(300, 48, seed=10**6 + 2 * seed + i)
            for i in (0, 1)
        )
        sums = sums_of(a, b, size=300)
        n_by_formula += sums.cosine > sums.null_independent
        n_by_copies += sums.cosine > max(sums.null_independent, sums.null_permuted(a, b))
    assert n_by_formula > 60
    assert n_by_copies <= 4  # 1 % at most has another cause than chance


def test_effective_and_numerical_rank():
    sigma = torch.tensor([2.0, 2, 2, 2, 0], dtype=torch.float64)
    assert resemblance.effective_rank(sigma) == pytest.approx(4)
    # Energies 9 : 1: entropy of (0.9, 0.1).
    two = resemblance.effective_rank(torch.tensor([3.0, 1], dtype=torch.float64))
    assert two == pytest.approx(math.exp(-0.9 * math.log(0.9) - 0.1 * math.log(0.1)))
    assert resemblance.effective_rank(torch.zeros(3)) is None


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_singular_values_are_torchs(shape):
    w = normal(*shape)
    torch.testing.assert_close(resemblance.singular_values(w), torch.linalg.svdvals(w))


def test_a_low_rank_change_shows_through_bf16():
    """Rounded as stored, the change has every rank; above the rounding it has the LoRA's."""
    base = normal(300, 200).bfloat16()
    merged = (base.double() + 0.2 * normal(300, 4, seed=1) @ normal(4, 200, seed=2)).bfloat16()
    sigma = resemblance.singular_values(merged.double() - base.double())
    assert int((sigma > 1e-6).sum()) == 200
    eps = torch.finfo(torch.bfloat16).eps
    assert resemblance.numerical_rank(sigma, base.double(), eps) == 4


@pytest.mark.parametrize("block", [3, 4096])
def test_a_permutation_is_found_whatever_the_signs(monkeypatch, block):
    monkeypatch.setattr(resemblance, "BLOCK_UNITS", block)
    few, order = normal(20, 12), torch.randperm(20, generator=rng(1))
    signs = torch.where(torch.arange(20) % 2 == 0, 1.0, -3.0)[:, None]
    many = torch.empty_like(few)
    many[order] = few * signs
    assert torch.equal(resemblance.match_units(few, many), order)
    assert resemblance.aligned_cosine(few, few[order]) == pytest.approx(1)


def test_the_assignment_is_the_best_where_every_best_is_anothers_and_half_of_it_elsewhere():
    """Against all 720 assignments of 6 units."""
    for seed in range(20):
        few = normal(6, 4, seed=seed)
        order = torch.randperm(6, generator=rng(seed))
        for many, is_copy in (
            (few[order] + 0.05 * normal(6, 4, seed=99), True),
            (normal(6, 4, seed=seed + 50), False),
        ):
            alike = (
                torch.nn.functional.normalize(few) @ torch.nn.functional.normalize(many).T
            ).abs()
            best = max(
                sum(alike[i, j].item() for i, j in enumerate(p))
                for p in itertools.permutations(range(6))
            )
            partner = resemblance.match_units(few, many).tolist()
            assert sorted(partner) == list(range(6))
            reached = sum(alike[i, j].item() for i, j in enumerate(partner))
            assert best / 2 <= reached <= best + 1e-6
            if is_copy and len(set(alike.argmax(1).tolist())) == 6:
                assert reached == pytest.approx(best)


def test_some_units_are_aligned_with_all():
    many = normal(500, 30)
    assert resemblance.match_units(many[::50], many.bfloat16()).tolist() == list(range(0, 500, 50))


def test_units_that_are_all_the_same_end():
    assert (resemblance.match_units(torch.ones(60, 4), torch.ones(60, 4)) >= 0).sum() == 20


def test_strangers_are_within_the_null_of_alignment():
    for seed in range(40):
        a, b = normal(64, 24, seed=2 * seed), normal(64, 24, seed=2 * seed + 1)
        assert resemblance.aligned_cosine(a, b) < resemblance.null_aligned(a, b, rng(seed))


def test_large_weights_are_sampled_and_say_so(model_folder, changed, monkeypatch):
    monkeypatch.setattr(resemblance.spaced, "__defaults__", (16,))
    folder = model_folder("llama")
    records, verdict = run(changed(folder, permuted), folder)
    assert [records[0, slot].n_units_used for slot in ("up", "k")] == [16, 8]  # of 32 and 8
    aligned = [r.aligned_cosine for r in matrices(records) if r.aligned_cosine is not None]
    assert len(aligned) > 7 and aligned == pytest.approx([1] * len(aligned))
    assert verdict.label == "SAME LINEAGE"


# --- the verdict, on summary rows ---------------------------------------------------------------


def row(layer, margin, *, base_layer=None, n_compared=7, sv_cosine=0.999):
    return lineage.LayerLineage(
        layer=layer,
        base_layer=layer if base_layer is None else base_layer,
        n_weights=7,
        n_compared=n_compared,
        median_cosine=None if margin is None else max(0.0, margin),
        median_aligned_cosine=None,
        median_margin=margin,
        n_aligned=0,
        max_sv_cosine=sv_cosine,
    )


def test_more_than_nine_in_ten_layers_are_the_same_lineage():
    rows = [row(i, 0.9) for i in range(10)]
    assert lineage.verdict(rows, 10).label == "SAME LINEAGE"
    strange = [row(10, -0.01)]
    assert lineage.verdict(rows + strange, 11).label == "SAME LINEAGE"  # 10 of 11
    partial = lineage.verdict(rows[:9] + [row(9, -0.01)], 10)  # 9 of 10
    assert partial.label == "PARTIAL"
    assert "not from the base: 9" in partial.reasons[1]


def test_a_base_with_more_layers_makes_it_partial():
    found = lineage.verdict([row(i, 0.9) for i in range(4)], 6)
    assert found.label == "PARTIAL"
    assert "not taken from it: 4, 5" in found.reasons[1]


def test_within_the_null_throughout_is_independent():
    assert lineage.verdict([row(i, -0.01) for i in range(4)], 4).label == "INDEPENDENT"


def test_a_shared_embedding_alone_is_partial():
    rows = [row(0, -0.01), row(1, -0.01), row(None, 0.8)]
    found = lineage.verdict(rows, 2)
    assert found.label == "PARTIAL"
    assert "the embedding or head alone" in found.reasons[1]


def test_too_little_in_common_is_inconclusive():
    found = lineage.verdict([row(i, -0.01, n_compared=3) for i in range(4)], 4)
    assert found.label == "INCONCLUSIVE"
    assert "only 12 of 28 weights" in found.reasons[1]


def test_nothing_in_common_is_not_comparable():
    rows = [row(i, None, n_compared=0, sv_cosine=None) for i in range(4)]
    assert lineage.verdict(rows, 4).label == "NOT COMPARABLE"
