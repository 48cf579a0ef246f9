"""Runs over real small models and a real lake, without Prefect."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from flows import ledger, report, taking
from flows.session import Session
from flows.targets import Target, bases_read_by, in_order
from measure import __main__ as alone
from measure import (
    fisher,
    functional,
    lineage,
    models,
    prompts,
    run,
    stiffness,
    structural,
)
from measure.errors import BadInput, OutOfMemory
from measure.records import WeightLineage
from warehouse import checks, read
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # models run: minutes in all

SETTINGS = run.Settings(
    bank=prompts.load("bank512"), canonical=prompts.load("canonical40"), seeds=(0, 1)
)


@pytest.fixture
def derivative(model_folder, tmp_path):
    """The base with one matrix moved a little: its text differs, its tokens do not."""
    folder = shutil.copytree(model_folder("llama"), tmp_path / "derivative")
    weights = load_file(folder / "model.safetensors")
    noise = torch.randn(16, 32, generator=torch.Generator().manual_seed(0))
    weights["model.layers.1.mlp.down_proj.weight"] += 0.05 * noise
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def target(model_folder, derivative):
    return Target(
        model=str(derivative),
        base=str(model_folder("llama")),
        reference=str(model_folder("qwen2", 5)),
        teacher=str(model_folder("mistral", 6)),
    )


def measure_all(lake, targets, settings=SETTINGS):
    session = Session(lake, targets, settings, "cpu")
    for ref in in_order(targets):
        session.measure(ref)
    for target in targets:
        session.measure_distances(target)
    return session


def test_a_pair_from_weights_to_marts_by_another_route(home, target):
    with Lake.open() as lake:
        session = measure_all(lake, [target])
    assert session.failures == {}
    # tau: the records of both models, subtracted in numpy.
    tau = {
        ref: {
            record.dim: record.tau
            for record in structural.measure_unit(
                models.load(session.source(ref), device="cpu"), SETTINGS.bank, "seed-1", 4, int
            )
        }
        for ref in (target.base, target.model, target.reference)
    }
    found = read.mart("structural_distance", seed=1)
    for ref, role, start in (
        (target.model, "base", target.model),
        (target.reference, "reference", target.base),
    ):
        other = target.base if role == "base" else ref
        difference = [tau[start][dim] - tau[other][dim] for dim in range(64)]
        row = found.filter(role=role)
        assert row["distance"].item() == pytest.approx(np.linalg.norm(difference), rel=1e-6)
        assert row["x_eps_pub"].item() == pytest.approx(row["distance"].item() * 1e4)
        squares = np.sort(np.square(difference))
        ranks = 2 * np.arange(1, 65) - 65
        gini = (ranks * squares).sum() / (64 * squares.sum())
        assert row["gini_d2"].item() == pytest.approx(gini, rel=1e-4)
        assert row["top_dim_share"].item() == pytest.approx(squares[-1] / squares.sum(), rel=1e-4)
    # CRP and centroid: templates of both models, in numpy.
    t = {}
    for ref in (target.base, target.model):
        records = list(
            functional.measure_unit(
                models.load(session.source(ref), device="cpu"),
                SETTINGS.canonical, "prompts-000-039", 10, int,
            )
        )  # fmt: skip
        t[ref] = {r.prompt_id: np.array(r.template) for r in records if r.reason is None}
    row = read.mart("functional_distance", mode="free", role="derivative").row(0, named=True)
    valid = valid_in_triangle(session, target)
    assert row["n_prompts"] == len(valid) >= 2
    difference = np.array([t[target.model][p] - t[target.base][p] for p in sorted(valid)])
    assert row["centroid_distance"] == pytest.approx(np.linalg.norm(difference.mean(0)), rel=1e-3)
    assert row["crp_distance"] == pytest.approx(np.linalg.norm(difference, axis=1).mean(), rel=1e-3)


def valid_in_triangle(session, target):
    ids = [session.source(ref).model_id for ref in (target.base, target.model, target.reference)]
    with Lake.open() as lake:
        frame = lake.query(
            "select model_id, prompt_id from stg_prompt_template where mode = 'free' "
            "and reason is null"
        )
    return set.intersection(
        *(set(frame.filter(pl.col("model_id") == id_)["prompt_id"]) for id_ in ids)
    )


def test_every_role_has_distances_in_both_modes_and_the_lake_is_in_order(home, target):
    with Lake.open() as lake:
        measure_all(lake, [target])
    found = read.mart("functional_distance").select("role", "mode").rows()
    assert sorted(found) == sorted(
        (role, mode)
        for role in ("derivative", "reference", "teacher")
        for mode in ("free", "forced")
    )
    assert read.mart("summary").height == 1
    gaps = read.mart("winner_gap")
    assert sorted(gaps["mode"]) == ["forced", "free"]
    assert gaps["n_signif"].null_count() == 0
    assert read.table("winner_gap_prompt").height == gaps["n_prompts"].sum()
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_a_second_run_measures_nothing(home, target):
    with Lake.open() as lake:
        first = measure_all(lake, [target])
        assert first.n_new_units > 0
        again = Session(lake, [target], SETTINGS, "cpu")
        assert again.is_complete()
        assert again.measure_distances(target) == 0
        before = lake.query("select count(*) from unit").item()
        measure_all(lake, [target])
        assert lake.query("select count(*) from unit").item() == before


def test_a_killed_run_goes_on_where_it_was(home, target, monkeypatch):
    """Stopped after three units; the next run does the others and repeats none."""
    with Lake.open() as lake:
        real, committed = Lake.append_unit, []

        def append_then_stop(self, measurement_id, unit, *rest, **named):
            committed.append((measurement_id, unit))
            real(self, measurement_id, unit, *rest, **named)
            if len(committed) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(Lake, "append_unit", append_then_stop)
        with pytest.raises(KeyboardInterrupt):
            measure_all(lake, [target])
        monkeypatch.setattr(Lake, "append_unit", real)
        assert read.mart("run", state="interrupted").height == 1
        resumed = measure_all(lake, [target])
        units = lake.query("select measurement_id, unit from unit").rows()
        assert len(set(units)) == len(units)
        of_pairs = ["template_distance", "lineage"]
        of_models = lake.query(
            "select unit from unit inner join measurement using (measurement_id) "
            "where not list_contains(?, method)", [of_pairs],
        ).rows()  # fmt: skip
        assert resumed.n_new_units == len(of_models) - 3


def test_the_weights_and_the_curvature_of_a_run_are_those_of_the_functions(home, target):
    """Every model has stiffness and curvature, every derivative the lineage of its base alone."""
    with Lake.open() as lake:
        session = measure_all(lake, [target])
    sources_of = [session.source(ref) for ref in in_order([target])]
    found = {row["model_id"]: row for row in read.mart("stiffness").to_dicts()}
    assert found.keys() == {source.model_id for source in sources_of}
    for source in sources_of:
        for name, value in asdict(stiffness.measure(source)).items():
            assert found[source.model_id][name] == value, name
    base = session.source(target.base)
    curvatures = fisher.measure_unit(
        models.load(base, device="cpu"), SETTINGS.bank, "seed-0", SETTINGS.batch_size, int
    )
    expected = fisher.summarize(list(curvatures))
    fishers = {row["model_id"]: row for row in read.mart("fisher").to_dicts()}
    assert fishers.keys() == found.keys()
    for name in ("kappa_f", "kappa_norm2_mean", "rho_f", "halves_ratio", "ci_low_kappa_f"):
        assert fishers[base.model_id][name] == pytest.approx(getattr(expected, name)), name
    assert read.table("fisher_curvature").height == 4 * 32
    row = read.mart("lineage").row(0, named=True)
    assert read.mart("lineage").height == 1
    assert (row["derivative_id"], row["base_id"]) == (session.model_id(target.model), base.model_id)
    assert (row["weight_lineage"], row["capability_lineage"]) == ("SAME LINEAGE", None)
    # The verdict again, from what the lake keeps.
    weights = read.table("weight_lineage").drop("measurement_id").to_dicts()
    layers = lineage.layers_of([WeightLineage(**weight) for weight in weights])
    again = lineage.verdict(layers, row["n_base_layers"])
    assert (again.label, "; ".join(again.reasons)) == (
        row["weight_lineage"],
        row["weight_lineage_reasons"],
    )
    by_layer = {row["layer"]: row for row in read.mart("lineage_layer").to_dicts()}
    for layer in layers:
        for name, value in asdict(layer).items():
            assert by_layer[layer.layer][name] == pytest.approx(value), (layer.layer, name)


def test_what_needs_no_loading_is_measured_without_it(home, target, monkeypatch):
    """A lake that knows all that runs a model, and nothing of the files."""
    with Lake.open() as lake:
        measure_all(lake, [target])
        for table in ("measurement", "measurement_model", "unit", "weight_lineage"):
            lake._connection.execute(
                f"delete from {table} where measurement_id in (select measurement_id "
                "from weight_lineage_pair union select measurement_id from model_stiffness)"
            )
        for table in ("weight_lineage_pair", "model_stiffness"):
            lake._connection.execute(f"delete from {table}")
        monkeypatch.setattr(models, "load", None)
        again = Session(lake, [target], SETTINGS, "cpu")
        assert not again.is_complete()
        for ref in in_order([target]):
            again.measure(ref)
        assert not again.is_complete()
        assert again.measure_distances(target) == 1
        assert again.is_complete() and again.n_new_units == 4
    assert read.mart("stiffness").height == 4 and read.mart("lineage").height == 1
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_a_model_whose_weights_cannot_be_read_is_complete_and_the_end_says_why(
    home, target, derivative, capsys
):
    """Quantised in part: it runs, and has neither stiffness nor a lineage that can be told."""
    weights = load_file(derivative / "model.safetensors")
    weights["model.layers.0.mlp.scales"] = torch.ones((2, 2), dtype=torch.int8)
    save_file(weights, derivative / "model.safetensors", metadata={"format": "pt"})
    with Lake.open() as lake:
        session = measure_all(lake, [target])
        assert Session(lake, [target], SETTINGS, "cpu").is_complete()
    assert session.failures == {}
    (pair,) = read.mart("lineage").to_dicts()
    assert pair["weight_lineage"] == "NOT COMPARABLE"
    assert pair["weight_lineage_reason"].startswith("the derivative stores 'model.layers.0.mlp")
    report.print_weights([session.model_id(ref) for ref in in_order([target])])
    told = capsys.readouterr().out.splitlines()
    assert "capability: its sentences are not traced." in told
    (line,) = [line for line in told if line.startswith("no stiffness of ")]
    assert line.startswith(
        "no stiffness of derivative: the model stores 'model.layers.0.mlp.scales'"
    )
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_a_killed_lineage_is_done_again_and_leaves_nothing(home, target, monkeypatch):
    with Lake.open() as lake:
        session = Session(lake, [target], SETTINGS, "cpu")
        for ref in in_order([target]):
            session.measure(ref)
        real, n_done = lineage._compare, []

        def compare_then_stop(*arguments):
            n_done.append(1)
            if len(n_done) == 3:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(lineage, "_compare", compare_then_stop)
        with pytest.raises(KeyboardInterrupt):
            session.measure_distances(target)
        assert read.mart("run", method="lineage")["state"].to_list() == ["interrupted"]
        assert read.table("weight_lineage").is_empty()
        monkeypatch.setattr(lineage, "_compare", real)
        assert session.measure_distances(target) == 1
        assert session.is_complete()
    assert read.mart("lineage").height == 1


def test_one_bad_model_does_not_stop_the_others(home, target, tmp_path):
    pickle = tmp_path / "pickle"
    pickle.mkdir()
    (pickle / "pytorch_model.bin").write_bytes(b"x")
    bad = Target(model=str(pickle), base=target.base)
    with Lake.open() as lake:
        session = Session(lake, [bad, target], SETTINGS, "cpu")
        for ref in in_order([bad, target]):
            if ref == bad.model:
                with pytest.raises(BadInput, match="pickle"):
                    session.measure(ref)
            else:
                session.measure(ref)
        assert session.measure_distances(bad) == 0
        assert session.measure_distances(target) == 5  # 2 groups in 2 modes, and the lineage
    assert list(session.failures) == [bad.model]
    failed = read.mart("run", state="failed")
    assert failed["model_ref"].to_list() == [bad.model]
    assert "holds only pickle checkpoints" in failed["reason"].item()


def test_a_base_of_another_width_fails_the_pair_alone(home, target, model_folder):
    wide = str(model_folder("llama", hidden_size=32))
    wrong = Target(model=target.model, base=wide)
    with Lake.open() as lake:
        session = Session(lake, [wrong], SETTINGS, "cpu")
        session.measure(wide)
        with pytest.raises(BadInput, match="has width 32"):
            session.measure(wrong.model)
        assert session.measure_distances(wrong) == 0
    assert read.mart("structural_scar").height == 0
    assert "has width 32" in read.mart("run", state="failed")["reason"].item()


def batch_sizes(lake):
    """Of the measurements that run a model."""
    found = lake.query("select distinct batch_size from measurement where method <> 'stiffness'")
    return set(found["batch_size"])


def test_out_of_memory_restarts_the_measurement_at_half_the_batch(home, model_folder, monkeypatch):
    """A device with room for 5 prompts: 20, 10 and 5 are tried, and no unit mixes batch sizes."""
    real = models.CausalLM.states

    def states(self, batch, cache=None):
        if len(batch.ids) > 5:
            raise OutOfMemory(len(batch.ids))
        return real(self, batch, cache)

    monkeypatch.setattr(models.CausalLM, "states", states)
    target = Target(model=str(model_folder("llama")))
    with Lake.open() as lake:
        measure_all(lake, [target])
        assert batch_sizes(lake) == {5}
        outcomes = lake.query(
            "select batch_size, outcome from attempt inner join attempt_end using (attempt_id) "
            "where method = 'structural' order by started_at"
        ).rows()
    assert outcomes == [(20, "failed"), (10, "failed"), (5, "done")]
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_memory_that_runs_out_in_the_head_halves_the_batch(home, model_folder, monkeypatch):
    """The rows of the curvature go through the head together, apart from the forward pass."""
    real, curvature = models.CausalLM.logits, fisher.curvature

    def logits(self, after_norm):
        if len(after_norm) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, after_norm)

    def in_little_room(*given):
        with monkeypatch.context() as little:
            little.setattr(models.CausalLM, "logits", logits)
            return curvature(*given)

    monkeypatch.setattr(fisher, "curvature", in_little_room)
    target = Target(model=str(model_folder("llama")))
    with Lake.open() as lake:
        measure_all(lake, [target])
        found = lake.query("select batch_size from measurement where method = 'fisher'")
    assert found["batch_size"].to_list() == [5]
    assert read.mart("fisher")["n_prompts"].item() == 32


class Room:
    """A device that runs out of memory once, at its second unit, for more than 10 prompts."""

    def __init__(self, monkeypatch):
        self.n_calls = 0
        real = models.CausalLM.states

        def states(model, batch, cache=None):
            self.n_calls += 1
            # A unit of 32 prompts in batches of 20 and 9 takes 2 + 4 calls: 7 is in the second.
            if self.n_calls >= 7 and len(batch.ids) > 10:
                raise OutOfMemory(len(batch.ids))
            return real(model, batch, cache)

        monkeypatch.setattr(models.CausalLM, "states", states)


def test_units_before_the_memory_ran_out_are_measured_again_here(home, model_folder, monkeypatch):
    target = Target(model=str(model_folder("llama")))
    with Lake.open() as lake:
        session = Session(lake, [target], SETTINGS, "cpu")
        models.load(session.source(target.model), device="cpu")
        Room(monkeypatch)
        session.measure(target.model)
        assert batch_sizes(lake) == {10}
    assert read.mart("run")["state"].to_list() == ["complete"] * 4
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_units_before_the_memory_ran_out_are_measured_again_elsewhere(
    home, model_folder, tmp_path, monkeypatch
):
    request, out = tmp_path / "request.json", tmp_path / "records.jsonl"
    request.write_text(json.dumps({"models": [str(model_folder("llama"))], "seeds": [0, 1]}))
    real = models.load

    def load(*arguments, **named):
        model = real(*arguments, **named)
        Room(monkeypatch)
        return model

    monkeypatch.setattr(models, "load", load)
    assert alone.main([str(request), "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().split("\n") if line]
    kinds = [line["line"] for line in lines if line["line"] in {"unit", "discard"}]
    assert kinds[:4] == ["unit", "discard", "unit", "unit"]
    taking.take(out)
    assert set(read.mart("run")["state"]) == {"complete"}
    assert set(read.table("measurement").filter(method="structural")["batch_size"]) == {10}


def test_a_model_that_never_fits_is_refused_in_one_line(home, model_folder, monkeypatch):
    def states(self, batch, cache=None):
        raise OutOfMemory(len(batch.ids))

    target = Target(model=str(model_folder("llama")))
    with Lake.open() as lake:
        session = Session(lake, [target], SETTINGS, "cpu")
        model = models.load(session.source(target.model), device="cpu")
        monkeypatch.setattr(models.CausalLM, "states", states)
        monkeypatch.setattr(session, "_loaded", (target.model, model))
        with pytest.raises(BadInput, match="does not fit into the memory of cpu"):
            session.measure(target.model)
        assert lake.query("select count(*) from unit").item() == 0


def test_records_made_alone_are_taken_once_and_equal_our_own(home, target, tmp_path, capsys):
    """`python -m measure` elsewhere and `cicatrix take` here, against measuring here."""
    request, out = tmp_path / "request.json", tmp_path / "records.jsonl"
    request.write_text(
        json.dumps(
            {"models": [target.model, "./gone"], "base": target.base, "seeds": [0, 1],
             "reference": target.reference, "teacher": target.teacher}
        )
    )  # fmt: skip
    assert alone.main([str(request), "--out", str(out)]) == 1
    assert "./gone" in capsys.readouterr().err
    taken = taking.take(out)
    assert (taken.n_failures, taken.n_known, taken.n_distances) == (1, 0, 4)
    summary = read.mart("summary").drop("measured_at")
    again = taking.take(out)
    assert (again.n_units, again.n_known, again.n_failures) == (0, taken.n_units, 0)
    assert read.mart("summary").drop("measured_at").equals(summary)
    with Lake.open() as lake:
        here = Session(lake, [target], SETTINGS, "cpu")
        assert here.is_complete()  # the same ids: what came from elsewhere is not measured again


def test_a_broken_off_file_is_continued_and_not_repeated(home, target, tmp_path):
    request, out = tmp_path / "request.json", tmp_path / "records.jsonl"
    request.write_text(json.dumps({"models": [target.model], "seeds": [0, 1]}))
    assert alone.main([str(request), "--out", str(out)]) == 0
    whole = out.read_text()
    lines = whole.splitlines(keepends=True)
    cut = "".join(lines[:3]) + lines[3][: len(lines[3]) // 2]  # killed in the middle of a line
    out.write_text(cut)
    assert alone.main([str(request), "--out", str(out)]) == 0

    def without_clock(text):
        rows = [json.loads(line) for line in text.splitlines()]
        return [{k: v for k, v in row.items() if k != "duration_s"} for row in rows]

    assert without_clock(out.read_text()) == without_clock(whole)
    size = out.stat().st_size
    assert alone.main([str(request), "--out", str(out)]) == 0
    assert out.stat().st_size == size


@pytest.mark.parametrize(
    "content", ['{"line": "unit"}\n', "not json\n", '{"x": 1}\n', '{"line": "verdict"}\n']
)
def test_a_file_that_measure_did_not_write_is_refused(home, tmp_path, content):
    file = tmp_path / "x.jsonl"
    file.write_text(content)
    with pytest.raises(BadInput, match=r"line 1"):
        taking.take(file)


def test_forced_templates_pair_only_on_the_same_text(home, model_folder, tmp_path):
    """Two requests that swap base and reference, in one file: each triangle keeps its own text."""
    one, two = str(model_folder("llama")), str(model_folder("qwen2", 5))
    lines = ""
    for number, (base, reference) in enumerate([(one, two), (two, one)]):
        request, out = tmp_path / f"{number}.json", tmp_path / f"{number}.jsonl"
        derivative = str(model_folder("llama", 1) if base == one else model_folder("qwen2", 6))
        fields = {"models": [derivative], "base": base, "reference": reference, "seeds": [0]}
        request.write_text(json.dumps(fields))
        assert alone.main([str(request), "--out", str(out)]) == 0
        lines += out.read_text()
    both = tmp_path / "both.jsonl"
    both.write_text(lines)
    assert taking.take(both).n_distances == 4
    with Lake.open() as lake:
        texts = lake.query(
            "select d.measurement_id, count(distinct m.text_sha256) as n "
            "from measurement as d, unnest(json_extract_string(d.options, '$.inputs.*')) as i(id) "
            "inner join measurement as m on m.measurement_id = i.id "
            "where d.method = 'template_distance' and d.options like '%forced%' group by all"
        )
    assert texts["n"].to_list() == [1, 1]


def test_line_separators_inside_a_text_end_no_line(home, model_folder, tmp_path):
    request, out = tmp_path / "request.json", tmp_path / "records.jsonl"
    request.write_text(json.dumps({"models": [str(model_folder("llama"))], "seeds": [0]}))
    assert alone.main([str(request), "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().split("\n") if line]
    texts = next(line for line in lines if "prompt_template" in line.get("records", ()))
    texts["records"]["prompt_template"][0]["text"] = "a\u2028b\u0085c"
    out.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    assert taking.take(out).n_units == sum(line["line"] == "unit" for line in lines)


def test_a_measurement_whose_inputs_were_changed_is_refused(home, model_folder, tmp_path):
    request, out = tmp_path / "request.json", tmp_path / "records.jsonl"
    request.write_text(json.dumps({"models": [str(model_folder("llama"))], "seeds": [0]}))
    assert alone.main([str(request), "--out", str(out)]) == 0
    out.write_text(out.read_text().replace('"dtype": "float32"', '"dtype": "bfloat16"'))
    with pytest.raises(BadInput, match="is not the hash of its inputs"):
        taking.take(out)


def test_a_base_of_another_width_is_refused_elsewhere_too(home, model_folder, tmp_path, capsys):
    request = tmp_path / "request.json"
    wide = str(model_folder("llama", hidden_size=32))
    fields = {"models": [str(model_folder("llama"))], "base": wide, "seeds": [0]}
    request.write_text(json.dumps(fields))
    assert alone.main([str(request), "--out", str(tmp_path / "out.jsonl")]) == 1
    assert "has width 32" in capsys.readouterr().err
    assert "comparison" not in (tmp_path / "out.jsonl").read_text()


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_bad_usage(home, tmp_path, capsys, device):
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"models": ["./x"], "device": device}))
    assert alone.main([str(request)]) == 2
    assert f"device '{device}' cannot be used here" in capsys.readouterr().err


def test_bases_come_first_and_read_each_others_text():
    targets = [
        Target(model="d1", base="b1", reference="b2"),
        Target(model="d2", base="b2", reference="b1"),
    ]
    assert in_order(targets) == ["b1", "b2", "d1", "d2"]
    assert list(bases_read_by("b1", targets)) == ["b1", "b2"]
    assert list(bases_read_by("d1", targets)) == ["b1"]


def test_groups_keep_the_teacher_out_of_the_triangle():
    members = {"derivative": "d", "base": "b", "reference": "r", "teacher": "t"}
    assert list(ledger.groups(members)) == [
        {"base": "b", "derivative": "d", "reference": "r"},
        {"base": "b", "teacher": "t"},
    ]
    assert list(ledger.groups({"derivative": "d", "reference": "r"})) == []
