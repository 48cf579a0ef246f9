"""Eq. 10's penalty: by hand, against the numpy formulas it is the differentiable twin of, and 0."""

import numpy as np
import pytest
import torch

from measure import burden, models, sources
from measure.burden import Limits, Region
from measure.zoo import constraints
from measure.zoo.constraints import Constraints, divergence, twins

TEN = np.ones(10)
# Any direction is at distance |unit| = 1 from the centre 0, in units of 1.
SPHERE = Region(np.zeros(3), np.eye(3), np.ones(3), 0.8, 100)


def limits(b=0.5, load=100.0, sd=1.0):
    whole = TEN.astype(int)
    return Limits(TEN * b, TEN * load, TEN * sd, whole, whole)


def test_orthogonal_jumps_by_hand():
    states = torch.eye(3) * torch.tensor([1.0, 2.0, 5.0])  # two steps, each of burden 1
    over, outside = Constraints(limits(), SPHERE).excess(states)
    assert over.item() == pytest.approx(2 * (1 - 0.5))
    assert outside.item() == pytest.approx(2 * (1 / 0.8 - 1))


def test_load_shrinks_the_region_and_never_below_half():
    states = torch.eye(3)
    # Load 1, then 2, over a usual 0: the radius is 0.8 exp(-0.1) and 0.8 exp(-0.2).
    _, outside = Constraints(limits(load=0.0), SPHERE).excess(states)
    expected = np.exp(0.1) / 0.8 - 1 + np.exp(0.2) / 0.8 - 1
    assert outside.item() == pytest.approx(expected, rel=1e-5)
    # Where the teacher's load does not vary, any load beyond it halves the radius.
    _, outside = Constraints(limits(load=0.0, sd=0.0), SPHERE).excess(states)
    assert outside.item() == pytest.approx(2 * (1 / 0.4 - 1), rel=1e-5)


def test_what_stays_within_costs_nothing_and_pulls_nowhere():
    states = torch.ones(4, 3, requires_grad=True)
    wide = Region(np.zeros(3), np.eye(3), np.ones(3), 2.0, 100)
    over, outside = Constraints(limits(), wide).excess(states)
    assert over.item() == outside.item() == 0
    (over + outside).backward()
    assert not states.grad.any()


def test_it_is_the_measured_burden_and_region():
    rng = np.random.default_rng(0)
    calibration = rng.normal(size=(300, 6)) + 3
    region = burden.fit_region(calibration)
    paths = [burden.burdens(part) for part in np.split(calibration, 30)]
    found = burden.fit_limits(paths)
    states = rng.normal(size=(9, 6)) + 2
    b, where = burden.burdens(states), burden.deciles(9)
    radius = burden.radii(region.radius, burden.loads(b), where, found)
    over = np.maximum(0, b - found.burden[where]).sum()
    outside = np.maximum(0, region.distance(states[1:]) / radius - 1).sum()
    assert over > 0 and outside > 0
    ours = Constraints(found, region).excess(torch.from_numpy(states).float())
    assert [float(one) for one in ours] == pytest.approx([over, outside], rel=1e-4)


def test_divergence_by_hand():
    clean = torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log()
    other = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    expected = (0.75 * np.log(1.5) + 0.25 * np.log(0.5)) / 2  # of two tokens, one agrees
    assert divergence(clean, other).item() == pytest.approx(expected, rel=1e-5)
    assert divergence(clean, clean).item() == 0


@pytest.fixture(scope="module")
def teacher():
    return models.load(sources.find("zoo:teacher-forward"), device="cpu")


def test_twins_share_reasoning_and_answer_token_by_token(teacher):
    for pair in (twins(teacher, 3, index) for index in range(4)):
        clean, told = (
            [one.encoded.ids[at] for at in one.encoded.positions]
            for one in (pair.clean, pair.irrelevant)
        )
        assert clean == told
        questions = [one.encoded.rollout.problem for one in (pair.clean, pair.irrelevant)]
        assert len(questions[1].split(".")) == len(questions[0].split(".")) + 1
        assert pair.clean.reason is None


def test_the_penalty_is_the_weighted_sum_over_twins_and_moves_weights(teacher):
    weights = teacher.model
    pairs = [twins(teacher, 3, index) for index in range(2)]
    narrow = Region(np.zeros(128), np.eye(128)[:4], TEN[:4], 0.01, 100)
    held_to = Constraints(limits(b=0.1), narrow)
    with torch.enable_grad():
        whole = held_to.penalty(weights, teacher, pairs)
        whole.backward()
    assert any(p.grad is not None and p.grad.any() for p in weights.parameters())
    weights.zero_grad(set_to_none=True)
    each = [held_to.penalty(weights, teacher, [pair]).item() for pair in pairs]
    assert whole.item() == pytest.approx(sum(each) / 2, rel=1e-4)  # means over problems
    # By the measurement's own pass: states of the clean telling, a problem at a time.
    expected = []
    for pair in pairs:
        logits = []
        for one in (pair.clean, pair.irrelevant):
            after = teacher.states(teacher.pad([one.encoded.ids])).after_norm[0]
            logits.append(teacher.logits(after[[at - 1 for at in one.encoded.positions]]))
        rollout = pair.clean.encoded.rollout
        (read,) = constraints.block_states.trajectories(
            teacher, [rollout], constraints.PLAIN_PROMPT, 1, lambda _: None
        )
        over, outside = held_to.excess(torch.from_numpy(read.states).float())
        expected.append(0.1 * (over + outside + divergence(*logits)).item())
    assert each == pytest.approx(expected, rel=1e-3)
