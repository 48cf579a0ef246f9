from collections import Counter

import pytest

from measure import published

ROWS = published.load()
BY_SCALE = ("Qwen-1.5B", "Qwen-7B", "Llama-8B", "Qwen-14B", "Mistral-24B")


def value(quantity, subject, convention=None):
    (row,) = [
        row
        for row in ROWS
        if (row.quantity, row.subject, row.convention) == (quantity, subject, convention)
        and row.source == "S0"
    ]
    return row.value


def test_every_row_is_labelled_and_has_one_form():
    assert len(ROWS) > 90
    for row in ROWS:
        assert row.source in ("S0", "S3", "S4") or row.source.startswith("TEXT ")
        assert row.unit and row.subject and row.quantity
        assert (row.value is not None) + (row.low is not None) + (row.text is not None) == 1
        if row.low is not None and row.high is not None:
            assert row.low < row.high, row


def test_structural_numbers_name_their_convention():
    scars = [row for row in ROWS if row.quantity == "x_eps"]
    assert all(row.convention for row in scars)
    in_table_1 = Counter(row.convention for row in scars if row.place == "Table 1")
    assert in_table_1 == {"non_max_range": 5, "max_seed": 5}


def test_the_abstracts_ranges_follow_from_table_1_under_their_conventions():
    table = {(r.subject, r.convention): r for r in ROWS if r.place == "Table 1"}
    short = {r.subject: (r.low, r.high) for r in ROWS if r.place == "abstract, Table 4"}
    assert short["Llama"] == tuple(
        table[model, "max_seed"].value for model in ("Llama-8B", "Llama-70B")
    )
    mistral = table["Mistral-24B", "non_max_range"].low, table["Mistral-24B", "max_seed"].value
    assert short["Mistral"] == mistral
    assert short["Qwen"] == (
        table["Qwen-32B", "non_max_range"].low,
        table["Qwen-14B", "non_max_range"].high,
    )


def test_shifts_shares_and_triangles_agree_with_each_other():
    """Centroid distance is |shift of gap 1| over the root of its share: a slip of a digit shows."""
    distances = [
        abs(value("g1_shift", model)) / (value("g1_share_centroid", model) / 100) ** 0.5
        for model in BY_SCALE
    ]
    assert distances == pytest.approx([1.151, 0.292, 1.031, 1.118, 0.387], abs=0.0006)
    to_shared = "base to shared comparator"
    llama = value("centroid_distance", "Llama-8B", to_shared)
    assert llama * value("dc_ratio", "Llama-8B", "shared, centroid") == pytest.approx(
        1.04, abs=0.01
    )
    mistral = value("centroid_distance", "Mistral-24B", to_shared)
    own = value("centroid_distance", "Mistral-24B", "base to derivative")
    primary = value("centroid_distance", "Mistral-24B", "base to primary reference")
    assert own / mistral == pytest.approx(
        value("dc_ratio", "Mistral-24B", "shared, centroid"), abs=0.01
    )
    assert own / primary == pytest.approx(
        value("dc_ratio", "Mistral-24B", "primary, centroid"), abs=0.005
    )


def test_directions_have_the_sign_of_the_shift():
    directions = {row.subject: row.text for row in ROWS if row.quantity == "direction"}
    assert directions == {m: "Up" if value("g1_shift", m) > 0 else "Down" for m in BY_SCALE}


def test_cancellations_follow_from_the_distances():
    for model in ("Llama-8B", "Mistral-24B"):
        crp, centroid, ratio = (
            value(quantity, model, "base to shared comparator")
            for quantity in ("crp_distance", "centroid_distance", "cancellation")
        )
        assert crp / centroid == pytest.approx(ratio, abs=0.05)
    mean, size = (
        value("g1_shift_per_prompt", "Mistral-24B", how)
        for how in ("absolute value of the mean", "mean of absolute values")
    )
    assert size / mean == pytest.approx(29.3, abs=0.05)
    counts = {row.convention: row.value for row in ROWS if row.quantity == "n_prompts"}
    assert counts["gap 1 up"] + counts["gap 1 down"] == 40


def test_fisher_rows_share_one_lambda_and_one_is_damped():
    rows = [f"unnamed {n}" for n in (1, 2, 3, 4)]
    assert [value("kappa_f", row) / value("rho_f", row) for row in rows] == pytest.approx(
        [10] * 4, abs=0.02
    )
    status = {row.subject: row.text for row in ROWS if row.quantity == "fisher_status"}
    assert [status[row] == "Damping-dominated" for row in rows] == [
        value("rho_f", row) < 1 for row in rows
    ]


HEAD = '[[table]]\nsource = "S0"\nquantity = "q"\nunit = "u"\n'


@pytest.mark.parametrize(
    "rows",
    [
        '{ subject = "a" }',
        '{ subject = "a", low = 1 }',
        '{ subject = "a", high = 1, value = 1 }',
        '{ subject = "a", value = 1, text = "b" }',
        '{ subject = "a", value = 1 }, { subject = "a", value = 2 }',
    ],
)
def test_a_row_that_is_not_whole_or_stands_twice_is_refused(rows):
    with pytest.raises(ValueError, match="needs a value|stands twice"):
        list(published.parse(f"{HEAD}rows = [{rows}]\n"))


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="vaule"):
        list(published.parse(HEAD + 'rows = [{ subject = "a", vaule = 1 }]\n'))
