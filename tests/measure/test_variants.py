"""Linked problems: two horizons, two conditions, and sides that share no story."""

import json

import pytest

from measure import problems, variants
from measure.errors import BadInput


def test_the_zoo_s_stories_are_told_four_ways_with_one_answer():
    made = variants.load("zoo-variants12").variants
    assert len(made) == 48
    by_story = {}
    for one in made:
        by_story.setdefault(one.story, []).append(one)
    for told in by_story.values():
        assert {(v.horizon, v.condition) for v in told} == {
            (h, c) for h in ("short", "long") for c in ("clean", "perturbed")
        }
        # A perturbation changes no answer.
        assert {
            len({v.problem.answer for v in told if v.horizon == h}) for h in ("short", "long")
        } == {1}
    kinds = {v.problem.category.split()[1] for v in made}
    assert kinds == {"clean", "order", "renamed", "irrelevant"}


def test_a_long_problem_has_at_least_two_more_steps():
    for one in variants.load("zoo-variants12").variants:
        n_numbers = sum(word.strip(".?").isdigit() for word in one.problem.text.split())
        n_idle = "irrelevant" in one.problem.category
        # The start and one or two events; two more events.
        assert n_numbers - n_idle in ((2, 3) if one.horizon == "short" else (4, 5))


def test_no_story_stands_on_both_sides():
    made = variants.load("zoo-variants120")
    ids = {v.problem.problem_id: v.story for v in made.variants}
    sides = [{ids[p.problem_id] for p in side.problems} for side in (made.calibration, made.test)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 120
    # methods.md asks for 50 problems at least.
    assert made.n_test_stories == len(sides[1]) >= 50
    assert {p.category.split()[1] for p in made.calibration.problems} == {"clean"}
    assert len(made.test.problems) == 4 * len(sides[1]) == len(made.tested)


def test_more_stories_leave_the_others_on_their_side():
    few, more = (variants.load(f"zoo-variants{n}") for n in (10, 20))
    assert {p.problem_id for p in few.test.problems} <= {p.problem_id for p in more.test.problems}


def test_no_other_set_of_the_zoo_has_these_stories():
    texts = {v.problem.text for v in variants.load("zoo-variants120").variants}
    assert not texts & {p.text for p in problems.load("zoo40").problems}


def line(story, horizon="short", condition="clean", **over):
    own = {"problem_id": f"{story} {horizon} {condition}", "problem": "1 + 1?", "answer": "2"}
    return json.dumps(own | {"story": story, "horizon": horizon, "condition": condition} | over)


def test_a_file_of_linked_problems(tmp_path):
    file = tmp_path / "own.jsonl"
    good = [
        line(f"s{i}", h, c) for i in range(8) for h in ("short", "long") for c in ("clean", "order")
    ]
    bad = [line("s1", "medium"), line("", "long", "perturbed"), line("s0"), "[1]",
           line("s2", condition="claen"), line("s3", problem="")]  # fmt: skip
    file.write_text("\n".join([*good, *bad]))
    made = variants.load(str(file))
    assert len(made.variants) == 32
    assert {v.condition for v in made.variants} == {"clean", "perturbed"}
    assert len(made.skipped) == len(bad)
    assert made.skipped[0] == (
        "line 33: give a `story`, a `horizon` (short or long) and a `condition` (clean, perturbed, "
        "order, renamed or irrelevant)"
    )
    assert "stands there twice" in made.skipped[2]
    assert len(made.test.problems) + 2 * len(made.calibration.problems) == 32


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line("s0")], "leave none for"),  # one story is on one side
        ([line(f"s{i}", condition="order") for i in range(8)], "leave none for calibration"),
        ([], "0 stories of"),
    ],
)
def test_a_file_that_leaves_one_side_empty(tmp_path, lines, said):
    file = tmp_path / "few.jsonl"
    file.write_text("\n".join(lines))
    with pytest.raises(BadInput, match=said):
        variants.load(str(file))


@pytest.mark.parametrize("name", ["zoo40", "nothing.jsonl", "zoo-variants0"])
def test_a_set_that_is_not_there(name):
    with pytest.raises(BadInput, match="does not exist"):
        variants.load(name)
