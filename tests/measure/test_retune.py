"""The fixed fine-tune: a copy learns, the model does not, and no step changes nothing."""

import json

import numpy as np
import pytest
import torch

from measure import models, retune, rollouts, sources, step_burdens, variants
from measure.burden import Limits
from measure.errors import BadInput
from measure.records import Rollout
from measure.sentence_scores import Texts
from measure.stability_records import TrajectoryStability

TEN = np.ones(10)
LIMITS = Limits(TEN / 2, TEN, TEN, TEN.astype(int), TEN.astype(int))
ASKED = variants.load("zoo-variants8")
SAMPLING = rollouts.Sampling(n_samples=1, max_new_tokens=40)
TEXTS = retune.TextSet("own", ("Anna walks to the lake. ", "It rains. ", "The dog is glad. "))


@pytest.fixture(scope="module")
def tiny(model_folder):
    return models.load(sources.find(str(model_folder("llama"))), device="cpu")


def weights(model):
    return {name: value.clone() for name, value in model.model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_copy_learns_the_texts_and_the_model_stays_as_it_is(tiny):
    before = weights(tiny)
    copied = retune.tuned(tiny, TEXTS, 20)
    assert same(before, weights(tiny)) and not same(before, weights(copied))
    losses = [
        float(retune._loss(model, model.model, list(TEXTS.texts)).detach())
        for model in (tiny, copied)
    ]
    assert losses[1] < losses[0]
    assert same(weights(copied), weights(retune.tuned(tiny, TEXTS, 20)))


def test_the_copy_s_head_is_the_one_that_was_trained(tiny):
    copied = retune.tuned(tiny, TEXTS, 5)
    batch = copied.pad([copied.encode("It rains.")])
    own = copied.model(input_ids=batch.ids).logits
    ours = copied.logits(copied.states(batch).after_norm)
    torch.testing.assert_close(ours, own.detach(), rtol=1e-4, atol=1e-4)


def test_the_loss_is_the_models_own(tiny):
    # One text, so without pads: transformers' own loss on the same ids.
    ids = torch.tensor([tiny.encode(TEXTS.texts[0])])
    expected = tiny.model(input_ids=ids, labels=ids).loss
    found = retune._loss(tiny, tiny.model, [TEXTS.texts[0]])
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_no_step_changes_nothing(tiny, monkeypatch):
    monkeypatch.setattr(retune, "tuned", lambda model, texts: model)
    found = retune.measure(tiny, TEXTS, ASKED, SAMPLING, None, LIMITS, 8, lambda _: None)
    sampled = [one for one in found if isinstance(one, Rollout)]
    clean = ASKED.tested_clean
    assert [one.problem_id for one in sampled] == [p.problem_id for p in clean.problems]
    assert {ASKED.tested[one.problem_id].condition for one in sampled} == {"clean"}
    again = [
        one
        for unit in rollouts.units(ASKED.test, 1)
        for one in rollouts.measure_unit(tiny, ASKED.test, unit, SAMPLING, 8, lambda _: None)
    ]
    # The random numbers belong to the problem, so the clean ones are answered as before.
    assert {one.problem_id: one.text for one in sampled} == {
        one.problem_id: one.text for one in again if one.problem_id.endswith("clean")
    }
    given = Texts("", "", tuple(sampled))
    expected = step_burdens.measure_unit(
        tiny, given, given.units[0], ASKED.tested, None, LIMITS, 8, lambda _: None
    )
    assert [one for one in found if not isinstance(one, Rollout)] == list(expected)
    assert sum(isinstance(one, TrajectoryStability) for one in found) == len(sampled)


def test_texts_of_the_zoo_and_of_a_file(tmp_path):
    zoo = retune.load_texts("zoo-narratives")
    assert len(zoo.texts) == 50 * 16 and len(set(zoo.texts)) > 790
    file = tmp_path / "own.jsonl"
    file.write_text('{"text": "One."}\n{"text": ""}\n7\n{"text": "Two."}\n')
    made = retune.load_texts(str(file))
    assert made.texts == ("One.", "Two.")
    assert [why.split(":")[0] for why in made.skipped] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("none.jsonl", None, "do not exist"), ("no.jsonl", '{"txt": "x"}', "has no text")],
)
def test_texts_that_are_not_there(tmp_path, name, content, said):
    if content:
        (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=said):
        retune.load_texts(str(tmp_path / name))


def test_the_plan_names_texts_and_inputs():
    def planned(texts=TEXTS, **inputs):
        given = {"region": "r", "limits": "l"} | inputs
        return retune.plan({"model": "m", "teacher": "t"}, texts, ASKED, SAMPLING, given)

    other = retune.TextSet("own", ("Other.",))
    ids = {
        planned().measurement_id,
        planned(other).measurement_id,
        planned(limits="x").measurement_id,
    }
    assert len(ids) == 3
    assert json.loads(json.dumps(planned().row()["options"]))
