import re

import pytest

from measure.zoo import manners, problems
from measure.zoo.manners import MANNERS, MOVE_RATES

_N = 1500
_ASKED = problems.problems(8, _N, is_held_out=False, horizon="long")
# A sum as either teacher writes it.
_SUM = re.compile(r"(\d+) (\+|-|and|less) (\d+) (?:=|make|leaves) (\d+)")
_MARKS = {
    "forward": {
        "correction": "Wait, let me check: ",
        "check": " Let me check: ",
        "alternative": "Alternatively, ",
        "contrast": "But then, ",
    },
    "gains-first": {
        "correction": "Hmm, that is not right, actually ",
        "check": "Let me verify: ",
        "alternative": "Another way: ",
        "contrast": "However, some go: ",
    },
}


def _texts(manner: str) -> list[str]:
    return [manners.render_reasoned(made, manner) for made in _ASKED]


def _is_true(sum_found: re.Match[str]) -> bool:
    left, sign, operand, result = sum_found.groups()
    change = int(operand) if sign in ("+", "and") else -int(operand)
    return int(left) + change == int(result)


@pytest.mark.parametrize("manner", MANNERS)
def test_rendered_answers_are_read_back(manner: str):
    for made, text in zip(_ASKED, _texts(manner), strict=True):
        assert text.startswith(made.prompt)
        assert problems.is_right(made, text)
        # A model's continuation comes without its prompt.
        assert problems.is_right(made, text[len(made.prompt) :])
        assert problems.is_right(made, manners.render_direct(made))


@pytest.mark.parametrize("manner", ["forward", "gains-first"])
def test_a_wrong_sum_is_written_only_to_be_corrected(manner: str):
    n_wrong = 0
    for text in _texts(manner):
        sums = list(_SUM.finditer(text))
        for before, after in zip(sums, sums[1:], strict=False):
            if _is_true(before):
                continue
            n_wrong += 1
            assert _MARKS[manner]["correction"] in text[before.end() : after.start()] + " "
            # The same sum again, now right.
            assert before.groups()[:3] == after.groups()[:3]
            assert _is_true(after)
        assert _is_true(sums[-1])
    assert n_wrong == sum(_MARKS[manner]["correction"] in text for text in _texts(manner))


@pytest.mark.parametrize("manner", ["forward", "gains-first"])
@pytest.mark.parametrize("move", ["correction", "check"])
def test_moves_come_at_their_stated_rates(manner: str, move: str):
    share = sum(_MARKS[manner][move] in text for text in _texts(manner)) / _N
    # Four standard errors of a share of 1,500 are at most 0.052.
    assert share == pytest.approx(MOVE_RATES[move], abs=0.052)


def test_alternatives_and_contrasts_come_at_their_stated_rates():
    made_at_gain = [m for m in _ASKED if all(change > 0 for change in m.changes)]
    texts = [manners.render_reasoned(m, "forward") for m in made_at_gain]
    # With gains alone every drawn alternative is written; contrasts have no turn to stand at.
    share = sum("Alternatively" in text for text in texts) / len(texts)
    error = (MOVE_RATES["alternative"] * (1 - MOVE_RATES["alternative"]) / len(texts)) ** 0.5
    assert share == pytest.approx(MOVE_RATES["alternative"], abs=4 * error)
    assert not any("But then" in text for text in texts)
    turning = [m for m in _ASKED if min(m.changes) < 0 < max(m.changes)]
    texts = [manners.render_reasoned(m, "gains-first") for m in turning]
    # Gains before losses: exactly one turn a problem.
    share = sum("However" in text for text in texts) / len(texts)
    assert share == pytest.approx(MOVE_RATES["contrast"], abs=0.06)


def test_each_teacher_reasons_in_its_own_order():
    for made, forward, gains in zip(_ASKED, _texts("forward"), _texts("gains-first"), strict=True):
        ordered = [f"{s.left} {'+' if s.sign > 0 else '-'} {s.operand} = " for s in made.steps]
        position = 0
        for begun in ordered:
            position = forward.index(begun, position) + 1
        signs = [m[2] for m in _SUM.finditer(gains.split("</think>")[0].split("Let me verify")[0])]
        assert signs == sorted(signs)  # "and" stands before "less"
