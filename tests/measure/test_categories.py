"""Categories by word lists: triggers by hand, top tokens against all of them, ends by counting."""

import math

import numpy as np
import pytest
import torch

from measure import categories
from measure.categories import TopTokens, Trigger
from measure.intervals import newcombe_interval

R, D, A, C = "self-reflection", "deductive", "alternative", "contrastive"


def test_triggers_are_whole_words_in_any_case():
    text = "Wait, let  me check: Also, so-so. SO it follows that but butter; or maybe not."
    words = [(text[t.start : t.end], t.category) for t in categories.triggers(text)]
    assert words == [
        ("Wait", R), ("let  me check", R), ("SO", D), ("it follows", D), ("but", C),
        ("or maybe", A),
    ]  # fmt: skip
    assert categories.triggers("Awaiting, thusly, instead's, double-check") == [
        Trigger(29, 41, R)  # a hyphen or an apostrophe goes on with a word
    ]
    assert categories.triggers("") == []


def test_every_trigger_is_found_in_its_category():
    for category, words in categories.TRIGGERS.items():
        for word in words:
            assert categories.triggers(f"x {word.upper()}, y") == [
                Trigger(2, 2 + len(word), category)
            ]


def test_a_token_touches_what_it_shares_a_character_with():
    text = "7. Let me check: but"
    #       0  3   7  10   15 16
    starts = [-1, 0, 2, 6, 9, 15, 16]  # added, "7.", " Let", " me", " check", ":", " but"
    none, r, c = frozenset(), frozenset({R}), frozenset({C})
    assert categories.touched(text, starts) == [none, none, r, r, r, none, c]
    # One token that holds all of it, and of a text without triggers.
    assert categories.touched(text, [0]) == [frozenset({R, C})]
    assert categories.touched("7 + 5", [0, 1]) == [none, none]
    assert categories.touched("", []) == []


@pytest.mark.parametrize(
    ("tokens", "label"),
    [
        ([{R}, {R}, set(), set()], R),  # half is enough
        ([{R}, set(), set()], "other"),
        ([{C}, {C, D}, {D}, {D}], D),  # 2 and 3 of 4 reach it: the one with more
        ([{C, D}, {C, D}], D),  # as many: the one named first
        ([set()], "other"),
        ([], None),
    ],
)
def test_a_latent_s_category(tokens, label):
    assert categories.annotate([frozenset(token) for token in tokens]) == label


@pytest.mark.parametrize("cuts", [(), (1,), (7, 8, 40), (50,)])
def test_top_tokens_are_those_of_all_at_once_whatever_the_batches(cuts):
    # Whole numbers, so that many are equal; places are not the running number.
    rng = np.random.default_rng(3)
    values = rng.integers(0, 5, size=(60, 4)).astype(np.float32)
    values[:, 2] = 0
    values[:58, 3] = 0
    places = 100 + 3 * np.arange(60)
    top = TopTokens(4, n_tokens=10)
    for part in np.split(np.arange(60), cuts):
        top.add(torch.from_numpy(values[part]), torch.from_numpy(places[part]))
    for latent in range(4):
        ranked = sorted(range(60), key=lambda i: (-values[i, latent], i))[:10]
        expected = [(places[i], values[i, latent]) for i in ranked if values[i, latent] > 0]
        assert top.of(latent) == expected
    assert top.of(2) == []


# --- ends ---------------------------------------------------------------------------------------


def test_ends_by_counting():
    # By NRN from above: reflection, reflection, other, contrastive | other, other, reflection, D.
    nrn = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1, np.nan, 0.95])
    labels = [R, R, "other", C, "other", "other", R, D, R, None]  # the last two do not count
    found = {c.category: c for c in categories.counts_at_ends(nrn, labels)}
    assert [found[c].n_top for c in (R, D, A, C, "other")] == [2, 0, 0, 1, 1]
    assert [found[c].n_bottom for c in (R, D, A, C, "other")] == [1, 1, 0, 0, 2]
    assert all(c.n_per_end == 4 for c in found.values())
    assert found[R].difference[0] == 0.25
    assert found[R].difference[1] < 0 < found[R].difference[2]
    assert found[A].top[:2] == (0.0, 0.0)


def test_no_difference_without_one_and_nothing_of_nothing():
    labels = [R, "other"] * 200
    found = list(categories.counts_at_ends(np.linspace(0, 1, 400), labels))
    assert found[0].n_per_end == 100
    assert found[0].difference[0] == 0
    assert found[0].difference[1] == pytest.approx(-found[0].difference[2])
    assert list(categories.counts_at_ends(np.array([0.5]), [R])) == []
    assert list(categories.counts_at_ends(np.array([]), [])) == []


def test_newcombe_by_the_published_example():
    # Newcombe 1998, Statistics in Medicine 17, table II, method 10: 56/70 against 48/80.
    low, high = newcombe_interval(56, 70, 48, 80)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
    assert newcombe_interval(0, 10, 0, 10)[1] == pytest.approx(-newcombe_interval(0, 10, 0, 10)[0])
    with pytest.raises(ValueError, match="share of none"):
        newcombe_interval(0, 0, 1, 2)
    assert not math.isnan(low)
