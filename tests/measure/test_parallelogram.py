"""Parallelograms: perfect ones, none at all, by brute force, and in a model by hand."""

import itertools
import json

import numpy as np
import pytest
import torch

from measure import models, parallelogram, residual, sources
from measure.errors import BadInput
from measure.feature_records import Parallelogram, ParallelogramDifference
from measure.parallelogram import Relation


def relation(n, name="r"):
    return Relation(name, tuple((f"a{i}", f"b{i}") for i in range(n)))


def perfect(n, d=24, seed=0):
    """Words of `relation(n)` where every second is its first plus one step."""
    rng = np.random.default_rng(seed)
    first, step = rng.normal(size=(n, d)), 3 * rng.normal(size=d)
    return np.stack([first, first + step], axis=1).reshape(2 * n, d)  # a0, b0, a1, ...


def unstructured(n, d=24, seed=0):
    return np.random.default_rng(seed).normal(size=(2 * n, d))


def measured(n, base, distilled, n_axes=20):
    found = list(parallelogram.measure(relation(n), {"base": base, "distilled": distilled}, n_axes))
    sides = {r.side: r for r in found if isinstance(r, Parallelogram)}
    return sides, next((r for r in found if isinstance(r, ParallelogramDifference)), None)


# --- the loss -----------------------------------------------------------------------------------


def test_a_loss_by_hand():
    # Corners of a square, squared norm 1: (1, 0) - (0, 1) as (0, -1) - (-1, 0).
    points = np.array([[1.0, 0], [0, 1], [0, -1], [-1, 0]])
    pairs, couple = np.array([[0, 1], [2, 3]]), np.array([[0, 1]])
    assert parallelogram.losses(points, pairs, couple).tolist() == [0.0]
    # The second pair turned round: twice the step (1, -1), 4 * 2.
    assert parallelogram.losses(points, np.array([[0, 1], [3, 2]]), couple).tolist() == [8.0]


def test_losses_by_the_formula():
    vectors = unstructured(7)
    points = parallelogram.projected(vectors, 5)
    # By another route: eigenvectors of the covariance, the formula word by word.
    centred = vectors - vectors.mean(0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, -5:]
    e = centred @ axes
    s = (e**2).sum() / len(e)
    couples = parallelogram.couples_of(7)
    assert couples.tolist() == [list(c) for c in itertools.combinations(range(7), 2)]
    pairs = relation(7).indices
    found = parallelogram.losses(points, pairs, couples)
    for loss, (i, j) in zip(found, couples, strict=True):
        (one, two), (three, four) = pairs[i], pairs[j]
        square = ((e[one] + e[four] - e[two] - e[three]) ** 2).sum()
        assert loss == pytest.approx(square / s)


def test_unstructured_vectors_have_a_mean_of_4_and_their_median_is_3_87():
    n = 1000
    points = parallelogram.projected(unstructured(n, d=20), 20)
    couples = parallelogram.couples_of(n)
    assert len(couples) == 10_000 and (couples[:, 0] != couples[:, 1]).all()
    found = parallelogram.losses(points, relation(n).indices, couples)
    # Losses are 4 chi^2 / 20 of 20 axes, whose deviation is 4 sqrt(2 / 20).
    assert found.mean() == pytest.approx(4.0, abs=0.1)
    assert np.median(found) == pytest.approx(3.87, abs=0.1)


def test_random_pairs_of_n_words_have_a_mean_of_4n_over_n_less_1():
    # All ways of pairing 6 words, exactly: 4 * 6 / 5.
    points = parallelogram.projected(unstructured(3), 20)
    means = []
    for order in itertools.permutations(range(6)):
        pairs = np.array(order).reshape(3, 2)
        means.append(parallelogram.losses(points, pairs, parallelogram.couples_of(3)).mean())
    assert np.mean(means) == pytest.approx(4 * 6 / 5)


def test_area_and_curve_by_hand():
    found = np.array([0.0, 1.0, 4.0, 9.0])
    assert parallelogram.areas(found).tolist() == [1.0, 0.75, 0.0, 0.0]
    curve = parallelogram.curve(found)
    # Up to 0: one of four; from 1: two; at 4: three.
    assert (curve[0], curve[9], curve[10], curve[-1]) == (0.25, 0.25, 0.5, 0.75)
    # The area is the one under the curve.
    rng = np.random.default_rng(0).uniform(0, 6, 5000)
    steps = (parallelogram.curve(rng)[1:] + parallelogram.curve(rng)[:-1]) / 2
    assert steps.mean() == pytest.approx(parallelogram.areas(rng).mean(), abs=1e-3)


# --- summaries ----------------------------------------------------------------------------------


def test_perfect_against_none():
    sides, difference = measured(30, unstructured(30), perfect(30))
    base, distilled = sides["base"], sides["distilled"]
    assert distilled.median_loss == pytest.approx(0.0, abs=1e-12)
    assert distilled.area == pytest.approx(1.0)
    assert (distilled.ci_low_area, distilled.ci_high_area) == pytest.approx((1.0, 1.0))
    # Paired at random they keep the step from firsts to seconds, and no more.
    assert distilled.is_structured and distilled.null_high_area < 0.8
    assert distilled.cdf[1] == 1.0 and distilled.cdf[-1] == 1.0
    # 60 words: 4 * 60 / 59 on average; the observed pairing is one like any other.
    assert base.null_mean_loss == pytest.approx(4 * 60 / 59, abs=0.02)
    assert base.null_low_area <= base.area <= base.null_high_area and not base.is_structured
    assert base.ci_low_median_loss < base.median_loss < base.ci_high_median_loss
    assert difference.d_area == pytest.approx(1.0 - base.area)
    assert difference.d_median_loss == pytest.approx(-base.median_loss)
    assert difference.change == "more structured" and difference.ci_high_d_median_loss < 0
    assert measured(30, perfect(30), unstructured(30))[1].change == "less structured"


def test_a_model_against_itself_differs_by_nothing():
    noisy = perfect(12) + 0.5 * unstructured(12, seed=3)
    _, difference = measured(12, noisy, noisy)
    assert (difference.d_area, difference.ci_low_d_area, difference.ci_high_d_area) == (0, 0, 0)
    assert difference.change == "no difference"


def test_two_axes_make_any_words_look_structured_and_the_null_says_so():
    sides, _ = measured(8, unstructured(8), unstructured(8, seed=1), n_axes=2)
    wide, _ = measured(8, unstructured(8), unstructured(8, seed=1))
    assert sides["base"].null_low_median_loss < wide["base"].null_low_median_loss
    assert not sides["base"].is_structured


def test_of_unstructured_words_few_are_called_structured():
    n_structured = sum(
        measured(10, unstructured(10, seed=s), unstructured(10, seed=100 + s))[0]["base"]
        .is_structured
        for s in range(40)
    )  # fmt: skip
    assert n_structured <= 4  # 2.5 % of 40 is 1


def test_resamples_by_counting_couples_out():
    """Weights of couples against couples written out as often as their pairs were drawn."""
    points, pairs = parallelogram.projected(unstructured(6), 20), relation(6).indices
    couples = parallelogram.couples_of(6)
    found = parallelogram.summary(points, pairs, couples)
    losses = dict(zip(map(tuple, couples.tolist()), found.losses.tolist(), strict=True))
    counts = next(parallelogram.bootstrap_counts(6, parallelogram.N_RESAMPLES, chunk=100))
    for r in range(20):
        drawn = np.repeat(np.arange(6), counts[r]).tolist()
        written = sorted(losses[i, j] for i, j in itertools.combinations(drawn, 2) if i != j)
        area = np.mean([max(0, 1 - loss / 4) for loss in written])
        assert found.areas[r] == pytest.approx(area)
        # The lower median, where there are two.
        assert found.medians[r] == written[(len(written) - 1) // 2]


def test_what_cannot_be_measured_says_why():
    sides, difference = measured(4, unstructured(4), unstructured(4))
    assert sides["base"].reason == "4 pairs, 5 are needed" and sides["base"].area is None
    assert difference is None
    sides, difference = measured(6, np.ones((12, 8)), unstructured(6))
    assert sides["base"].reason == "the model has one state for all words"
    assert sides["distilled"].reason is None and difference is None


def test_shuffled_pairs_keep_no_pair():
    pairs = relation(5).indices
    for seed in range(20):
        found = parallelogram.shuffled(pairs, np.random.default_rng(seed))
        assert sorted(found[:, 1]) == sorted(pairs[:, 1]) and (found[:, 0] == pairs[:, 0]).all()
        assert not (found[:, 1] == pairs[:, 1]).any()


# --- words --------------------------------------------------------------------------------------


def test_states_are_of_the_last_token_of_a_word_alone(model_folder):
    model = models.load(sources.find(str(model_folder("llama"))), device="cpu")
    words = ["a", "word", "it"]
    done = []
    found = parallelogram.word_states(model, words, 1, 2, done.append)
    assert sum(done) == 3
    for row, word in zip(found, words, strict=True):
        ids = [model.encode(" " + word)]
        assert len(ids[0]) == len(word) + 1
        # After the last block stands what the final norm is given.
        expected = model.states(model.pad(ids)).before_norm[0, -1]
        torch.testing.assert_close(torch.from_numpy(row).float(), expected, rtol=1e-4, atol=1e-5)
    assert parallelogram.word_states(model, [], 1, 2, done.append).shape == (0, 16)
    assert residual.half_depth(model) == 0


def test_own_relations_are_pairs_of_words():
    for given in (parallelogram.world_relations(), parallelogram.zoo_relations()):
        assert len({r.name for r in given}) == len(given)
        for one in given:
            assert len(one.pairs) >= parallelogram.MIN_PAIRS
            assert all(a.strip() and b.strip() and a != b for a, b in one.pairs)
            assert len(set(one.pairs)) == len(one.pairs)
    months = next(r for r in parallelogram.zoo_relations() if r.name == "next_month")
    assert len(months.words) == 12 and months.pairs[0] == ("January", "February")
    assert months.indices[1].tolist() == [1, 2]  # words that stand in two pairs are one


def test_word_pairs_of_a_file(tmp_path):
    file = tmp_path / "antonym.json"
    pairs = [{"input": "hot", "output": "cold"}, {"input": "up ", "output": "down"}]
    file.write_text(json.dumps([*pairs, pairs[0]]))
    (found,) = parallelogram.read_relations(tmp_path)
    assert found == Relation("antonym", (("hot", "cold"), ("up", "down")))
    assert parallelogram.read_relations(file) == [found]
    for wrong in ("{", '["hot"]', '[{"input": "hot"}]', '[{"input": "", "output": "x"}]', "3"):
        file.write_text(wrong)
        with pytest.raises(BadInput, match="give a list of"):
            parallelogram.read_relations(file)
    file.unlink()
    with pytest.raises(BadInput, match=r"no \.json file"):
        parallelogram.read_relations(tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        parallelogram.read_relations(file)
