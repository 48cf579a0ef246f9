"""A small lake of compared pairs whose numbers can be worked out by hand."""

from tests.warehouse.making import add_distances, comparison, distance_row, model, winner_gap_rows
from warehouse.lake import Lake

HOSTILE = "evil `$x$` <script>*b*"  # a label must be shown as it is


def add_pairs(lake: Lake) -> None:
    """Three pairs of one base in mode free, two references each: see the rows; one is refused."""
    of_reference = {"cancelling": (1.0, 0.5), "agreeing": (1.5, 3.0)}
    for name, centroid, crp in (("cancelling", 0.1, 2.0), ("agreeing", 3.0, 4.0)):
        primary, shared = of_reference[name]
        rows = [
            distance_row("derivative", centroid_distance=centroid, crp_distance=crp),
            distance_row("reference", centroid_distance=primary, crp_distance=4.0),
            distance_row("shared_comparator", centroid_distance=shared, crp_distance=4.0),
        ]
        gap = winner_gap_rows(
            [0.75, -0.25, -0.5],
            ci_low_mean_signed_g1=-0.5, ci_high_mean_signed_g1=0.5,
            cancellation_g1=6.0, cancellation_noise_p_g1=0.625, sign_p_g1=1.0,
        )  # fmt: skip
        others = {"base": "base", "reference": "other", "shared_comparator": "common"}
        add_distances(lake, f"d-{name}", {"derivative": name, **others}, rows, gap)
        lake.add_comparisons([comparison(name, role, other) for role, other in others.items()])
    numbers = [name for name in distance_row("derivative") if "distance" in name]
    refused = distance_row(
        "derivative", **dict.fromkeys(numbers), reason="7 % of the gaps are exactly 0"
    )
    lake.add_models([model("bad", label=HOSTILE)])
    add_distances(lake, "d-bad", {"base": "base", "derivative": "bad"}, [refused])
    lake.add_comparisons([comparison("bad", "base", "base")])
