import dataclasses
from typing import get_args

from measure import distances, functional, prompts, structural
from measure.records import PppFit
from measure.request import Measurement, canonical_json, text_set_sha256

PLAN = Measurement(
    method="structural",
    method_version=1,
    models={"model": "sha256:a"},
    prompt_set="bank512",
    prompt_set_sha256="b",
    units=("seed-0", "seed-1"),
    seeds=(0, 1),
    options={"x": 1, "y": [2]},
)


def test_everything_that_can_change_a_number_changes_the_id():
    changes = {
        "method": "template",
        "method_version": 2,
        "models": {"base": "sha256:a"},
        "prompt_set_sha256": "c",
        "seeds": (1, 0),
        "dtype": "bfloat16",
        "backend": "vllm",
        "device_kind": "cuda",
        "replicate": 1,
        "options": {"x": 1},
        "text_sha256": "d",
    }
    ids = {
        dataclasses.replace(PLAN, **{name: value}).measurement_id for name, value in changes.items()
    }
    assert len(ids | {PLAN.measurement_id}) == len(changes) + 1


def test_batch_size_label_and_order_of_keys_do_not():
    same = dataclasses.replace(
        PLAN, batch_size=99, prompt_set="other name", options={"y": [2], "x": 1}
    )
    assert same.measurement_id == PLAN.measurement_id


def test_canonical_json_is_one_text_for_equal_values():
    assert canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'


def test_a_text_set_is_named_by_its_texts_in_any_order():
    assert text_set_sha256({"a": "x", "b": "y"}) == text_set_sha256({"b": "y", "a": "x"})
    assert text_set_sha256({"a": "x"}) != text_set_sha256({"a": "y"})


def test_plans_cover_every_seed_and_prompt():
    bank, canonical = prompts.load("bank512"), prompts.load("canonical40")
    assert structural.plan("m", bank).units == ("seed-0", "seed-1", "seed-2", "seed-123")
    free = functional.plan("m", canonical)
    assert free.units == ("prompts-000-019", "prompts-020-039")
    assert free.text_sha256 is None and free.options["mode"] == "free"
    forced = functional.plan("m", canonical, texts={"canonical-00": "x"})
    assert forced.text_sha256 is not None and forced.options["mode"] == "forced"
    assert forced.measurement_id != free.measurement_id


def test_another_fit_is_another_measurement_and_the_default_keeps_its_id():
    canonical, fits = prompts.load("canonical40"), get_args(PppFit)
    assert len({functional.plan("m", canonical, fit=f).measurement_id for f in fits}) == len(fits)
    plans = {
        fit: distances.plan(
            {"base": "b"}, {"base": "i"}, "free", prompt_set="p", prompt_set_sha256="s", fit=fit
        )
        for fit in fits
    }
    assert len({plan.measurement_id for plan in plans.values()}) == len(fits)
    # As they were when there was no choice: what is in a lake is found again.
    assert functional.plan("m", canonical).options == {
        "mode": "free", "ppp_fit": "ml", "logit_dtype": "float32", "k": 20,
        "max_new_tokens": 64, "min_tokens": 16,
    }  # fmt: skip
    assert plans["ml"].options == {"mode": "free", "inputs": {"base": "i"}}
    assert plans["ols"].options == {"mode": "free", "inputs": {"base": "i"}, "ppp_fit": "ols"}
