"""Numbers, times and sentences against what a person would write."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from dashboard import words

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (float("nan"), "–"), (0, "0"), (7701.4, "7,701"), (-463.2, "−463"),
        (99.96, "100"), (9.996, "10.0"), (1.0, "1.00"), (0.125, "0.125"), (0.0012345, "0.00123"),
        (2.5e-7, "2.50 × 10⁻⁷"), (0.00099999, "0.00100"),
    ],
)  # fmt: skip
def test_number(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"), (0.42, "0.4 s"), (9.96, "10 s"), (59.6, "1 min"), (130, "2 min 10 s"),
        (3900, "1 h 5 min"), (180_000, "2 d 2 h"),
    ],
)  # fmt: skip
def test_duration(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "just now"), (35, "35 s ago"), (250, "4 min ago"), (7300, "2 h ago"), (9e5, "10 d ago")],
)
def test_ago(seconds, text):
    assert words.ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_span_of_equal_ends_is_one_number():
    assert words.span(1.001, 1.002) == "1.00"
    assert words.span(None, 2) == "–"


def scar(family: str, median: float | None, status: str) -> dict[str, object]:
    return {
        "family": family, "derivative": f"{family}-d", "n_seeds": 4, "median_non_max_x_eps": median,
        "min_non_max_x_eps": median, "max_non_max_x_eps": median, "max_seed": 2,
        "max_seed_x_eps": 999.0, "structural_status": status,
        "measured_at": NOW - timedelta(hours=2),
    }  # fmt: skip


def test_noise_is_never_loudest():
    # b lies farther, yet its noise makes that meaningless.
    rows = [scar("a", 20.0, words.ABOVE), scar("b", 900.0, words.NOT_INTERPRETABLE)]
    sentence = words.loudest_family(pl.DataFrame(rows), NOW)
    assert sentence.startswith("**a**") and "every other family is not interpretable" in sentence
    assert sentence.endswith("1 of 2 pairs above the floor; measured 2 h ago.")


def test_nothing_above_its_floor_names_no_family():
    sentence = words.loudest_family(pl.DataFrame([scar("a", 0.5, words.NOT_INTERPRETABLE)]), NOW)
    assert "None that can be told from noise: 1 pair" in sentence and "a-d" not in sentence


def test_names_cannot_write_markdown():
    assert words.escaped("[x](http://y)*") == r"\[x\]\(http\://y\)\*"


def test_percent_and_signed():
    assert [words.percent(share) for share in (0.9216, 0.00627, 0, 1, None)] == [
        "92.2\u00a0%", "0.627\u00a0%", "0\u00a0%", "100\u00a0%", "–",
    ]  # fmt: skip
    assert [words.signed(area) for area in (0.218, -0.097, 0.0, None)] == [
        "+0.218", "−0.0970", "0", "–",
    ]  # fmt: skip


def traced(name: str, share: float, transfer: str) -> dict[str, object]:
    return {
        "distilled": name, "student": "base", "teacher": "tutor", "control": None,
        "teacher_share": share, "null_share": 0.5, "control_share": None, "is_stable": True,
        "n_sentences": 1, "n_rollouts": 1200, "transfer": transfer,
        "measured_at": NOW - timedelta(hours=2),
    }  # fmt: skip


def test_a_larger_share_that_does_not_transfer_does_not_answer():
    rows = [traced("a", 0.9, "NOT ENOUGH"), traced("b", 0.6, "TRANSFERS")]
    sentence = words.share_from_teacher(pl.DataFrame(rows), NOW)
    assert sentence.startswith("**b**: 60.0\u00a0% of its sentences are likelier under tutor")
    assert "wrong teacher" not in sentence  # there was none
    assert sentence.endswith(
        "own sentences 50.0\u00a0% are. n = 1 sentence of 1,200 rollouts. "
        "2 pairs: 1 TRANSFERS, 1 NOT ENOUGH; measured 2 h ago."
    )


def test_where_nothing_transfers_no_model_is_named():
    rows = [traced("a", 0.9, "DOES NOT TRANSFER")]
    sentence = words.share_from_teacher(pl.DataFrame(rows), NOW)
    assert sentence.startswith("Of none can it be said") and "**a**" not in sentence
    assert sentence.endswith("1 pair: 1 DOES NOT TRANSFER; measured 2 h ago.")
