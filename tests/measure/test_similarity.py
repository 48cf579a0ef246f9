"""Similarity of heads and MLPs: closed forms, brute force on resampled prompts, and chance."""

import numpy as np
import pytest

from measure import similarity as of
from measure.errors import BadInput
from measure.similarity import head_similarity, paper_head_similarity, similarity


def patterns(n_prompts, n_heads, n_tokens, seed):
    """Causal attention: each head's own random pattern, varied by prompt; rows sum to 1."""
    rng = np.random.default_rng(seed)
    own = 2 * rng.normal(size=(n_heads, n_tokens, n_tokens))
    logits = own + rng.normal(size=(n_prompts, *own.shape))
    weights = np.exp(logits) * np.tril(np.ones((n_tokens, n_tokens)))
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def outputs(n_layers, n_prompts, n_tokens, width, seed):
    """A few strong directions each, different ones a layer, about a mean that is not 0."""
    rng = np.random.default_rng(seed)
    scale = 1 / np.arange(1, width + 1)
    found = []
    for _ in range(n_layers):
        basis = np.linalg.qr(rng.normal(size=(width, width)))[0]
        values = rng.normal(size=(n_prompts, n_tokens, width)) + rng.normal(
            size=(n_prompts, 1, width)
        )
        found.append(values * scale @ basis.T + rng.normal(size=width))
    return np.stack(found)


def both(teacher, student, seed=0, n_prompts=6, n_tokens=5):
    """Patterns and outputs of two models of so many layers, heads and width."""
    return (
        tuple(
            patterns(n_prompts, heads, n_tokens, seed + i)
            for i, (_, heads, _) in enumerate((teacher, student))
        ),
        tuple(
            outputs(layers, n_prompts, n_tokens, width, seed + i)
            for i, (layers, _, width) in enumerate((teacher, student))
        ),
    )


OURS = {"has_bos": False, "why_other_basis": None}

# --- heads --------------------------------------------------------------------------------------


def test_head_cosine_by_hand_with_and_without_a_bos():
    """Three tokens, two heads; the rows of queries 1 and 2 are what counts.

    With a BOS its column goes: head A keeps [1, 0], [0.1, 0.3] -> [1, 0], [1/4, 3/4]; head B
    [1, 0], [0.3, 0.1] -> [1, 0], [3/4, 1/4]. Cosine (1 + 3/8) / (1 + 10/16) = 11/13.
    Without: A 0.2 0.8 0, 0.6 0.1 0.3; B 0.5 0.5 0, 0.6 0.3 0.1.
    """
    a = [[1, 0, 0], [0.2, 0.8, 0], [0.6, 0.1, 0.3]]
    b = [[1, 0, 0], [0.5, 0.5, 0], [0.6, 0.3, 0.1]]
    one, other = np.array([a]), np.array([b])
    assert head_similarity(one, other, has_bos=True)[0, 0] == pytest.approx(11 / 13)
    dot = 0.2 * 0.5 + 0.8 * 0.5 + 0.36 + 0.03 + 0.03
    size_a, size_b = 0.04 + 0.64 + 0.36 + 0.01 + 0.09, 0.25 + 0.25 + 0.36 + 0.09 + 0.01
    assert head_similarity(one, other, has_bos=False)[0, 0] == pytest.approx(
        dot / (size_a * size_b) ** 0.5
    )


def test_a_sink_at_bos_makes_the_published_way_blind_and_not_ours():
    """Heads that put 0.97 on BOS and look at different tokens with the rest."""
    n = 8
    back, own = np.zeros((n, n)), np.zeros((n, n))
    for q in range(n):
        for which, key in ((back, max(1, q - 1)), (own, max(1, q))):
            which[q, 0] = 0.97 if q else 1.0
            which[q, key] += 0.03 if q else 0.0
    assert paper_head_similarity(back[None], own[None])[0, 0] > 0.99
    # Of rows 1 to 7 the first alone looks at the same token in both: 1 / 7.
    assert head_similarity(back[None], own[None], has_bos=True)[0, 0] == pytest.approx(1 / 7)


def test_the_published_way_by_hand():
    """Rows 1 0 and 1 0 agree; 0.6 0.8 and 0.8 0.6 have cosine 0.96 / 1: mean 0.98."""
    one, other = np.array([[[1, 0], [0.6, 0.8]]]), np.array([[[1, 0], [0.8, 0.6]]])
    assert paper_head_similarity(one, other)[0, 0] == pytest.approx(0.98)


def test_a_head_that_looks_at_bos_alone_is_like_no_other():
    bos = np.zeros((1, 4, 4))
    bos[..., 0] = 1
    assert head_similarity(bos, bos, has_bos=True)[0, 0] == 0
    assert head_similarity(bos, bos, has_bos=False)[0, 0] == pytest.approx(1)


# --- MLPs ---------------------------------------------------------------------------------------


def axes(variances, n_prompts=40, n_tokens=6, seed=0):
    """Outputs whose covariance has the coordinate axes as eigenvectors, with these variances."""
    rows = np.random.default_rng(seed).normal(size=(n_prompts * n_tokens, len(variances)))
    rows -= rows.mean(0)
    white = rows @ np.linalg.inv(np.linalg.cholesky(rows.T @ rows / len(rows))).T
    return (white * np.sqrt(variances)).reshape(1, n_prompts, n_tokens, -1)


def of_mlps(teacher, student, **asked):
    """The two models have one head each, of no interest here."""
    _, n_prompts, n_tokens, _ = teacher.shape
    heads = patterns(n_prompts, 1, n_tokens, seed=9)
    return similarity((heads, heads), (teacher, student), **{**OURS, **asked})


def test_eigenvectors_in_another_order_are_found_by_the_best_order_alone():
    """Axes 0, 1, 2 lead in the teacher, 1, 0, 2 in the student: only the third fits in order."""
    found = of_mlps(axes([9, 4, 1, 0.1, 0.1]), axes([4, 9, 1, 0.1, 0.1]))
    assert found.mlps[0, 0] == pytest.approx(1 / 3)
    assert found.mlps_reordered[0, 0] == pytest.approx(1)


def test_eq_6_of_turned_axes_is_the_cosine_of_the_angle():
    """The student's first two axes are turned by 30 degrees: cosines cos 30, cos 30, 1."""
    angle = np.pi / 6
    turn = np.eye(5)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    teacher = axes([9, 4, 1, 0.1, 0.1])
    found = of_mlps(teacher, teacher @ turn.T)
    assert found.mlps[0, 0] == pytest.approx((2 * np.cos(angle) + 1) / 3)
    assert found.mlp_method == "eigenvectors"


def test_a_mean_shift_changes_nothing_of_ours_and_all_of_the_published_way():
    teacher = axes([9, 4, 1, 0.1, 0.1])
    shifted = teacher + np.array([0, 0, 0, 0, 100.0])
    assert of_mlps(teacher, shifted).mlps[0, 0] == pytest.approx(1)
    raw = of._paper_mlps(teacher, shifted)[0, 0]
    # Axis 4 leads the shifted one; axes 0 and 1 follow, each one of nine cosines, with any sign.
    assert raw == pytest.approx(0, abs=1e-6) or raw == pytest.approx(2 / 9, abs=1e-6)


def test_more_columns_than_rows_give_the_same_eigenvectors():
    """12 rows of width 40: by the covariance of the columns, which is the definition."""
    (layer,) = outputs(1, 3, 4, 40, seed=1)
    rows = layer.reshape(12, 40) - layer.reshape(12, 40).mean(0)
    expected = np.linalg.eigh(rows.T @ rows)[1][:, :-4:-1]
    cosines = np.abs(of._leading(rows, 3).T @ expected)
    assert cosines == pytest.approx(np.eye(3), abs=1e-8)


def test_cka_of_a_turned_and_scaled_copy_is_1_whatever_its_width():
    teacher = axes([9, 4, 1, 0.1, 0.1])
    wide = np.linalg.qr(np.random.default_rng(1).normal(size=(7, 5)))[0]
    found = of_mlps(teacher, 3 * teacher @ wide.T)
    assert found.mlp_method == "cka"
    assert found.mlp_reason == "a residual stream of 7 against the teacher's 5"
    assert found.mlps[0, 0] == pytest.approx(1)
    assert found.mlps_reordered is None


def test_cka_by_the_other_route_of_gram_matrices():
    """tr(K L) / (|K| |L|) of centred Gram matrices."""
    given = outputs(2, 5, 4, 6, seed=2), outputs(3, 5, 4, 6, seed=3)
    found = of_mlps(*given, why_other_basis="trained apart")
    assert found.mlp_reason == "trained apart"
    centre = np.eye(20) - 1 / 20
    grams = [[centre @ x.reshape(20, 6) @ x.reshape(20, 6).T @ centre for x in m] for m in given]
    expected = [
        [np.trace(k @ h) / np.linalg.norm(k) / np.linalg.norm(h) for h in grams[1]]
        for k in grams[0]
    ]
    assert found.mlps == pytest.approx(np.array(expected))


def test_the_published_spread_by_hand():
    """MLPs 0.1, 0.3: z -1, 1; heads mean 0.5, deviation 0.2: 0.3, 0.7; over 0.7: 3/7, 1."""
    found = of.spread_as_heads(np.array([[0.1, 0.3]]), np.array([[0.3, 0.7]]))
    assert found == pytest.approx(np.array([[3 / 7, 1]]))
    alone = of.spread_as_heads(np.array([[0.4]]), np.array([[0.3, 0.7]]))
    assert alone == pytest.approx(np.array([[1]]))


# --- chance -------------------------------------------------------------------------------------


def test_the_chance_of_random_directions():
    """At width 768 the asymptotic sqrt(2 / (768 pi)) is 0.0288; at width 2 the mean is 2 / pi."""
    assert of.chance_cosine(768) == pytest.approx((2 / (768 * np.pi)) ** 0.5, rel=1e-3)
    assert of.chance_cosine(768) == pytest.approx(0.029, abs=5e-4)
    assert of.chance_cosine(2) == pytest.approx(2 / np.pi)


def test_unrelated_models_are_alike_by_chance():
    """White outputs of two models: the mean over 16 pairs of layers is the chance of the method."""
    rng = np.random.default_rng(5)
    given = rng.normal(size=(4, 30, 10, 40)), rng.normal(size=(4, 30, 10, 40))
    found = of_mlps(*given)
    assert found.mlps.mean() == pytest.approx(found.chance_mlps, rel=0.2)
    assert found.mlps_reordered.mean() == pytest.approx(found.chance_mlps_reordered, rel=0.1)
    assert found.chance_mlps_reordered > found.chance_mlps
    found = of_mlps(*given, why_other_basis="trained apart")
    assert found.mlps.mean() == pytest.approx(found.chance_mlps, rel=0.05)


def test_the_chance_of_cka_is_its_mean_over_orders_of_the_tokens():
    teacher, student = outputs(1, 5, 4, 6, seed=6), outputs(1, 5, 4, 6, seed=7)
    rng = np.random.default_rng(0)
    shuffled = [
        of_mlps(
            teacher,
            rng.permutation(student.reshape(20, 6)).reshape(1, 5, 4, 6),
            why_other_basis="x",
        ).mlps[0, 0]
        for _ in range(300)
    ]
    chance = of_mlps(teacher, student, why_other_basis="x").chance_mlps
    assert np.mean(shuffled) == pytest.approx(chance, abs=4 * np.std(shuffled) / 300**0.5)


def test_heads_chance_is_the_mean_over_all_pairs():
    given = both((1, 4, 6), (1, 3, 6))
    found = similarity(*given, **OURS)
    assert found.chance_heads == pytest.approx(found.heads.mean())


# --- resampled prompts --------------------------------------------------------------------------


@pytest.mark.parametrize("why", [None, "trained apart"])
@pytest.mark.parametrize("has_bos", [False, True])
def test_resampled_is_what_the_drawn_prompts_give_when_measured(why, has_bos):
    """Prompts 0, 0, 3, 5, 5, 5, as if the models had read these; width 6 is kept whole."""
    given = both((3, 4, 6), (2, 3, 6))
    drawn = [0, 0, 3, 5, 5, 5]
    asked = {"has_bos": has_bos, "why_other_basis": why}
    again = similarity(
        tuple(one[drawn] for one in given[0]), tuple(one[:, drawn] for one in given[1]), **asked
    )
    shares = np.bincount(drawn, minlength=6)[None] / 6
    heads, mlps = similarity(*given, **asked).resampled(shares)
    assert heads[0] == pytest.approx(again.heads, abs=1e-5)
    assert mlps[0] == pytest.approx(again.mlps, abs=1e-6)


@pytest.mark.parametrize("why", [None, "trained apart"])
def test_what_is_kept_of_a_wide_mlp_is_enough(why):
    """Width 64, of which 24 directions are kept: against measuring the drawn prompts."""
    given = both((2, 2, 64), (2, 2, 64), n_prompts=60, n_tokens=8)
    whole = similarity(*given, has_bos=False, why_other_basis=why)
    rng = np.random.default_rng(0)
    for _ in range(5):
        drawn = rng.integers(0, 60, 60)
        again = similarity(
            tuple(one[drawn] for one in given[0]),
            tuple(one[:, drawn] for one in given[1]),
            has_bos=False,
            why_other_basis=why,
        )
        _, mlps = whole.resampled(np.bincount(drawn, minlength=60)[None] / 60)
        assert mlps[0] == pytest.approx(again.mlps, abs=0.01)
        assert np.abs(again.mlps - whole.mlps).max() > 0.01  # what is to be found is larger


def test_resampled_in_paper_mode_moves_with_the_heads_alone():
    given = both((3, 4, 6), (2, 3, 6))
    found = similarity(*given, **OURS, mode="paper_code")
    heads, mlps = found.resampled(np.full((2, 6), 1 / 6))
    assert heads[1] == pytest.approx(found.heads)
    assert mlps[1] == pytest.approx(found.mlps)
    assert found.mlps.max() == 1
    assert found.chance_mlps is None


# --- refusals -----------------------------------------------------------------------------------


def test_other_prompts_are_refused():
    (teacher, student), mlps = both((1, 2, 4), (1, 2, 4))
    with pytest.raises(BadInput, match="6 prompts of 5 tokens, 5 prompts of 5 tokens"):
        similarity((teacher, student[:5]), mlps, **OURS)
    with pytest.raises(BadInput, match="5 tokens, 6 prompts of 4 tokens"):
        similarity((teacher, student[:, :, :4, :4]), mlps, **OURS)


def test_the_public_code_needs_one_width():
    with pytest.raises(BadInput, match="streams of 4 and 6"):
        similarity(*both((1, 2, 4), (1, 2, 6)), **OURS, mode="paper_code")
