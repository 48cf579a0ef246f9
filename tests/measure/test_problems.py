"""Problem sets, and reading answers."""

import json

import pytest

from measure import problems
from measure.errors import BadInput


@pytest.mark.parametrize(
    ("body", "gold", "answer", "is_correct", "reason"),
    [
        (" <think> 3 + 4 = 8. Wait, 7. </think> 7\n", "7", "7", True, None),
        (" 7\n", "8", "7", False, None),
        ("The answer is $\\boxed{\\frac{3}{4}}$.", "0.75", "\\frac{3}{4}", True, None),
        ("so 1,200 dollars", "1200", "1200", True, None),
        ("\\boxed{(3,\\pi/2)}", "\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\pi/2)", True, None),
        ("", "7", None, False, "empty completion"),
        (" \n", None, None, None, "empty completion"),
        ("<think> it is 7", "7", None, False, "its reasoning was not closed"),
        ("I do not know", "7", None, False, "no answer can be read"),
        ("42", None, "42", None, "the problem has no answer to compare with"),
        ("</think> 42", "", "42", None, "the problem's own answer cannot be read"),
    ],
)
def test_answers_by_hand(body, gold, answer, is_correct, reason):
    assert problems.check(body, gold) == problems.Answer(answer, is_correct, reason)


def test_a_hostile_answer_is_wrong_and_soon():
    assert problems.check("\\boxed{10^{10^{10^{10}}}}", "3").is_correct is False
    assert problems.check("(" * 5000 + "x", "1").is_correct is False


def test_the_zoos_set_is_held_out_and_even():
    found = problems.load("zoo40")
    assert len(found.problems) == 40 and found.n_without_answer == 0
    assert len({p.problem_id for p in found.problems}) == 40
    classes = [p.category for p in found.problems]
    assert {c.split()[0] for c in classes} == {"short", "long"}
    assert sum(c.endswith("clean") for c in classes) == 20
    # 5 apples, 5 more, 2 more.
    assert found.problems[0].text.startswith(
        "Hana has 5 apples. Hana gets 5 from Petra. Hana buys 2."
    )
    assert found.problems[0].answer == "12"


def write(tmp_path, lines):
    file = tmp_path / "set.jsonl"
    file.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    )
    return str(file)


def test_lines_that_are_no_problem_are_counted_and_left_out(tmp_path):
    name = write(
        tmp_path,
        [
            {"problem": "One?", "answer": "1"},
            {"question": "Two?", "answer": "1 + 1 is <<1+1=2>>2\n#### 2"},
            {"problem": "Three?", "unique_id": "x", "subject": "Algebra"},
            {"problem": "Four?", "answer": 4},
            {"problem": " "},
            {"problem": "again", "unique_id": "x", "answer": "1"},
            b'{"problem": "\xe4"}',
            b"{",
            ["no", "object"],
            {"problem": "Empty?", "answer": ""},
        ],
    )
    found = problems.load(name)
    assert [(p.problem_id, p.text, p.answer) for p in found.problems] == [
        ("line-1", "One?", "1"),
        ("line-2", "Two?", "2"),
        ("x", "Three?", None),
        ("line-4", "Four?", "4"),
        ("line-10", "Empty?", None),
    ]
    assert found.n_without_answer == 2
    # Told as they are found: what cannot be read at all, and what holds no problem.
    assert sorted(why.partition(":")[0] for why in found.skipped) == [
        f"line {n}" for n in (5, 6, 7, 8, 9)
    ]


@pytest.mark.parametrize("name", ["nothing.jsonl", "zoo41", "set.txt"])
def test_a_set_that_is_not_there(name):
    with pytest.raises(BadInput, match="give 'zoo40' or a .jsonl file"):
        problems.load(name)


def test_a_set_without_any_problem(tmp_path):
    with pytest.raises(BadInput, match=r"has no problem \(line 1: no object"):
        problems.load(write(tmp_path, [{"answer": "1"}]))
