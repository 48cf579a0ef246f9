"""Two families that differ in a constraint: small ones, made, resumed, and refused."""

import shutil
from dataclasses import replace

import pytest
import torch

from measure import sources
from measure.errors import BadInput
from measure.zoo import build, families
from measure.zoo.families import Budget, build_families

pytestmark = pytest.mark.slow  # trains models, and samples from a teacher
TINY = Budget(
    teacher_steps=2,
    n_twins=1,
    n_calibration=24,
    n_traces=8,
    students=(("llama-distilled", (1, 1)),),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("families") / "new"
    said: list[str] = []
    return out, build_families(out, said.append, TINY), said


def weights(folder):
    return torch.cat([p.detach().flatten() for p in build.load(folder)[0].parameters()])


def test_each_arm_has_its_teacher_and_students(made):
    out, found, said = made
    assert found == {
        arm: [out / f"teacher-{arm}", *(out / f"{arm}-llama-distilled-{n}" for n in (1, 2))]
        for arm in ("plain", "constrained")
    }
    assert len(said) == 6
    for folder in (folder for arm in found.values() for folder in arm):
        assert sources.find(str(folder)).label == folder.name
    teachers = [weights(found[arm][0]) for arm in families.ARMS]
    assert not torch.equal(*teachers)  # the constraint is all that differs
    for _, first, second in found.values():
        assert not torch.equal(weights(first), weights(second))


def test_a_longer_student_goes_on_from_the_shorter(made, monkeypatch):
    out, _, _ = made
    started: list[str] = []
    learn = families._learn
    for arm in families.ARMS:
        shutil.rmtree(out / f"{arm}-llama-distilled-2")
    monkeypatch.setattr(
        families,
        "_learn",
        lambda folder, **given: (started.append(given["start"].name), learn(folder, **given)),
    )
    build_families(out, lambda _: None, TINY)
    assert started == [f"{arm}-llama-distilled-1" for arm in families.ARMS]


def test_without_the_penalty_both_teachers_are_one(made, tmp_path, monkeypatch):
    _, found, _ = made
    monkeypatch.setattr(families.Constraints, "penalty", lambda *_: torch.zeros(()))
    families._teach(tmp_path, "constrained", TINY)
    assert torch.equal(weights(tmp_path), weights(found["plain"][0]))


def test_what_is_made_stays_and_what_was_made_otherwise_is_refused(made, tmp_path):
    out, found, _ = made
    said: list[str] = []
    assert build_families(out, said.append, TINY) == found and said == []
    with pytest.raises(BadInput, match="made otherwise: give another folder"):
        build_families(out, said.append, replace(TINY, seed=1))
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(BadInput, match="holds something else: give an empty or a new folder"):
        build_families(tmp_path, said.append, TINY)
