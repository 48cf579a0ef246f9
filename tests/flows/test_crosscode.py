"""`cicatrix crosscode` on embedded models: what it stores, that it goes on, what it refuses."""

import json

import pytest

from flows import cli
from flows.crosscode_run import Coder
from measure import __main__ as alone
from measure import crosscoder_jobs
from measure.crosscoder_training import Trainer
from measure.crosscoding import Crosscoding
from measure.errors import BadInput
from warehouse import checks, read
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all

BASE, DISTILLED = "zoo:llama-small-base", "zoo:llama-small-distilled"
SHORT = {
    "tokens": 6_000, "epochs": 2, "latents": 64, "train_batch": 256, "max_new_tokens": 8,
    "control_draws": 1,
}  # fmt: skip


def coder(lake, **over) -> Coder:
    return Coder(
        lake, Crosscoding(**{"base": BASE, "distilled": DISTILLED, **SHORT, **over}), "cpu"
    )


@pytest.fixture(scope="module")
def stopped_and_whole(tmp_path_factory):
    """One run that is stopped in mid-training and goes on; its lake and steps beside another's."""
    found = {}
    patch = pytest.MonkeyPatch()
    for name in ("stopped", "whole"):
        patch.setenv("CICATRIX_HOME", str(tmp_path_factory.mktemp(name)))
        with Lake.open() as lake:
            run = coder(lake, skip=("ablation", "steering"))
            if name == "stopped":
                own, calls = Trainer.save, []

                def save(self, path, own=own, calls=calls):
                    calls.append(path)
                    if len(calls) == 3:  # the third stretch is trained and not kept
                        raise KeyboardInterrupt
                    own(self, path)

                with patch.context() as once:
                    once.setattr(Trainer, "save", save)
                    with pytest.raises(KeyboardInterrupt):
                        run.learn()
                assert len(lake.units_done(run.coder.measurement_id)) == 2
                run = coder(lake, skip=("ablation", "steering"))
            run.complete()
            assert run.is_complete()
            again = coder(lake, skip=("ablation", "steering"))
            again.complete()
            assert again.n_new_units == 0
        broken = {k: v.to_dicts() for k, v in checks.run().items() if v.height}
        assert broken == {}
        found[name] = records() | {
            "mart": read.mart("crosscoder"),
            "geometry": read.mart("word_geometry_gain"),
        }
    patch.undo()
    return found


def records():
    keys = {
        "crosscoder_step": "step", "latent": "latent", "latent_context": ("latent", "rank"),
        "parallelogram": ("relation", "n_axes", "side"),
    }  # fmt: skip
    return {table: read.table(table).sort(key) for table, key in keys.items()}


def test_what_was_measured_elsewhere_is_what_is_measured_here(
    home, stopped_and_whole, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    request = {"base": BASE, "distilled": DISTILLED, **SHORT, "skip": ["ablation", "steering"]}
    (tmp_path / "request.json").write_text(json.dumps(request))
    assert alone.main(["request.json", "--out", "out.jsonl"]) == 0
    whole = (tmp_path / "out.jsonl").read_bytes()
    # Torn in the midst of its training, it goes on at the checkpoint before, or from the start.
    lines = whole.splitlines(keepends=True)
    (tmp_path / "out.jsonl").write_bytes(b"".join(lines[:9]) + lines[9][:40])
    assert alone.main(["request.json", "--out", "out.jsonl"]) == 0
    assert cli.main(["take", "out.jsonl"]) == 0
    for table, rows in records().items():
        assert rows.height > 0
        assert rows.equals(stopped_and_whole["whole"][table]), table
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}
    with Lake.open() as lake:
        assert coder(lake, skip=("ablation", "steering")).is_complete()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": "many"}, "tokens 'many' cannot be: give a whole number"),
        ({"tokens": 0}, "tokens 0 is under 1"),
        ({"layer": 99}, "layer 99 of 'zoo:llama-small-base', which has"),
        ({"sparsity": "l3"}, "sparsity 'l3' cannot be: give batchtopk or l1"),
        ({"skip": ["all"]}, "give some of crosscoder, ablation, steering, parallelogram"),
        ({"lr": 3}, "lr 3 is no learning rate"),
        ({"dtype": "int3"}, "dtype 'int3' is unknown"),
        ({"device": "cuda:77"}, "'cuda:77' cannot be used here"),
        ({"student": BASE}, "unknown key 'student'"),
        ({"text": "nowhere.jsonl"}, "neither a .jsonl file"),
    ],
)
def test_a_request_that_cannot_be_is_one_line(tmp_path, capsys, change, said):
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"base": BASE, "distilled": DISTILLED, **change}))
    assert alone.main([str(path), "--out", str(tmp_path / "out.jsonl")]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_word_pairs_alone(home):
    with Lake.open() as lake:
        run = coder(lake, skip=("crosscoder",))
        run.complete()
        assert run.is_complete()
    assert read.table("crosscoder_step").is_empty()
    assert read.mart("word_geometry_gain").height > 0


def test_a_stopped_run_ends_as_the_unbroken_one(stopped_and_whole):
    stopped, whole = stopped_and_whole["stopped"], stopped_and_whole["whole"]
    for table in ("crosscoder_step", "latent", "latent_context"):
        assert stopped[table].height > 0
        assert stopped[table].equals(whole[table]), table


def test_it_tells_of_the_pair(stopped_and_whole):
    row = stopped_and_whole["whole"]["mart"].row(0, named=True)
    assert (row["base"], row["distilled"]) == ("llama-small-base", "llama-small-distilled")
    assert row["n_trained"] == 2 * 6_000 // 256 * 256
    assert row["n_base_only"] + row["n_shared"] + row["n_between"] + row[
        "n_distilled_only"
    ] == row["n_live"]  # fmt: skip
    assert stopped_and_whole["whole"]["geometry"].height > 0


def test_a_lost_checkpoint_starts_training_again(home, monkeypatch):
    with Lake.open() as lake:
        run = coder(lake)
        monkeypatch.setattr(run, "_describe", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.learn()
        n_done = len(lake.units_done(run.coder.measurement_id))
        assert n_done == len(run.coder.units) - 1
        last = crosscoder_jobs.checkpoint(run.checkpoints, run.settings.n_steps)
        assert last.is_file()
        last.unlink()
        coder(lake).learn()
        assert lake.is_complete(run.coder.measurement_id)


def test_a_dry_run_says_what_it_costs_and_measures_nothing(home, capsys):
    Lake.open().close()
    arguments = ["crosscode", "--base", BASE, "--distilled", DISTILLED, "--dry-run"]
    assert cli.main(arguments) == 0
    told = capsys.readouterr().out
    assert "400,000 tokens harvested of both models" in told
    assert "1,953 steps of 1,024 tokens for 384 latents" in told  # 8 times 48
    assert read.table("measurement").is_empty()


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"distilled": BASE}, "are one model"),
        ({"text": "nowhere.jsonl"}, "neither a .jsonl file"),
        ({"k": 1_000}, "k of 1000"),
        ({"tokens": 10}, "no batch"),
    ],
)
def test_what_cannot_be_asked_is_refused(home, over, told):
    with Lake.open() as lake, pytest.raises(BadInput, match=told):
        coder(lake, **over)
