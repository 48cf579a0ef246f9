from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from measure import models, pictures, sources
from measure.similarity import similarity
from tests.measure.handmade import copying, one_term_differs
from tests.measure.tasksets import answered


def test_a_head_without_preference_looks_at_all_so_far_alike(model_folder):
    model, task = copying(model_folder), one_term_differs()
    found = list(pictures.attention_patterns(model, task))
    assert len(found) == 2 * 4 * 8  # the first prompts, heads of both layers, tokens
    for row in found:
        seen = row.position + 1
        assert row.weights == pytest.approx([1 / seen] * seen + [0] * (8 - seen), abs=1e-6)
    roles = {row.position: row.role for row in found}
    assert roles == {0: None, 1: None, 2: "term", 3: None, 4: "other", 5: None, 6: None, 7: "final"}
    first = [
        row.token for row in found if (row.prompt_id, row.layer, row.head) == ("prompt-0", 0, 0)
    ]
    assert first == [model.tokenizer.decode([i]) for i in task.clean[0]]


def test_patterns_of_many_tokens_are_kept_of_fewer_prompts(model_folder, monkeypatch):
    model, task = copying(model_folder), one_term_differs()
    monkeypatch.setattr(pictures, "MOST_ROWS", 2 * 4 * 8 - 1)
    assert {row.prompt_id for row in pictures.attention_patterns(model, task)} == {"prompt-0"}


def test_a_copying_head_says_what_it_has_read_most_often(model_folder):
    """Of 8 tokens, each said as often as it stands there: 5 said in each prompt."""
    clean = np.array([[1, 1, 2, 2, 3, 3, 4, 5], [1, 1, 2, 2, 3, 3, 4, 6], [1, 1, 2, 2, 7, 7, 8, 9]])
    task = replace(one_term_differs(), clean=clean)
    model, heard = copying(model_folder), []
    found = list(pictures.ov_tokens(model, task, heard.append, rows=2))
    assert {(row.layer, row.head) for row in found} == {(0, 0)}  # the others write nothing
    told = [(row.rank, row.token, row.n_first, row.n_prompts) for row in found]
    expected = [(1, 1, 3), (2, 2, 3), (3, 3, 2), (4, 4, 2), (5, 5, 1)]  # rank, token, prompts
    assert told == [(rank, model.tokenizer.decode([t]), n, 3) for rank, t, n in expected]
    assert sum(heard) == 3 * 4


def test_axes_of_outputs_along_two_directions():
    """Four tokens on a cross: +-3 along one direction, +-1 along another. 18/20 and 2/20."""
    along, across = np.array([0.6, 0.8, 0]), np.array([0, 0, 1.0])
    outputs = np.array([[5 + 3 * along, 5 - 3 * along], [5 + across, 5 - across]])
    found = pictures.projected(outputs)
    assert found.shares == pytest.approx([0.9, 0.1])
    assert np.abs(found.scores) == pytest.approx(np.array([[[3, 0], [3, 0]], [[0, 1], [0, 1]]]))
    turned = found.turned_to(-found.scores)
    assert turned.scores == pytest.approx(-found.scores)
    assert pictures.projected(np.ones((2, 2, 3))).shares.tolist() == [0, 0]


def test_the_token_that_lies_furthest_out_is_on_the_positive_side():
    outputs = np.random.default_rng(0).normal(size=(4, 5, 6))
    outputs[0, 0] -= 40
    scores = pictures.projected(outputs).scores.reshape(-1, 2)
    assert scores[0, 0] == scores[:, 0].max() > 0
    assert scores[np.abs(scores[:, 1]).argmax(), 1] > 0


def test_a_model_beside_its_copy(model_folder):
    """Each MLP is like itself, 1, and both clouds of a pair are the same points."""
    model = models.load(sources.find(str(model_folder())), device="cpu")
    task = answered(model)
    from measure.circuit_jobs import looked_at

    patterns, outputs = looked_at(model, task, 4)
    alike = similarity(
        (patterns, patterns), (outputs, outputs), has_bos=False, why_other_basis=None
    )
    cells = {(r.layer_teacher, r.layer_student): r for r in pictures.mlp_map(alike)}
    assert sorted(cells) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert cells[0, 0].similarity == pytest.approx(1) == cells[1, 1].similarity
    assert cells[0, 1].similarity == alike.mlps[0, 1]
    assert {r.method for r in cells.values()} == {"eigenvectors"}
    texts = [["t"] * 9] * 6
    found = list(pictures.mlp_clouds(alike, (outputs, outputs), task.keys, texts))
    assert len(found) == 2 * 2 * 6
    for row in found:
        assert row.layer_student == row.layer_teacher
        (twin,) = [
            r
            for r in found
            if (r.layer_teacher, r.prompt_id) == (row.layer_teacher, row.prompt_id)
            and r.whose != row.whose
        ]
        assert twin.first == row.first and twin.second == row.second
        assert 0 < row.share_second <= row.share_first < 1


def test_clouds_are_of_the_first_prompts():
    alike = SimpleNamespace(mlps=np.ones((1, 1)))
    outputs = np.random.default_rng(1).normal(size=(1, 25, 2, 4))
    keys = tuple(f"p{i}" for i in range(25))
    rows = list(pictures.mlp_clouds(alike, (outputs, outputs), keys, [["a", "b"]] * 25))
    assert [r.prompt_id for r in rows if r.whose == "teacher"] == list(keys[:20])
