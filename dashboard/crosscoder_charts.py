"""The charts of crosscoders: curves of training, the histogram of NRN."""

import altair as alt
import polars as pl

from dashboard.charts import drawn_once, tooltips

FIGURES = {
    "fvu_base": "Variance unexplained, base",
    "fvu_distilled": "Variance unexplained, distilled",
    "dead_share": "Dead latents, share",
    "l0": "L0, latents on a token",
    "loss": "Loss",
}
MOST_STEPS = 500  # drawn of each figure
GENUINE, OTHERS, NOT_BORNE_OUT = "#0072B2", "#999999", "#D55E00"  # of Okabe & Ito
_KINDS = {
    "other": "others, by the norms",
    "genuine": "distilled-only, borne out",
    "not": "above 0.9, not borne out",
}


@drawn_once
def curve(steps: pl.DataFrame, figure: str) -> alt.Chart:
    """One of `FIGURES` over the tokens read, from 0; rows of the mart `crosscoder_training`.

    Of many steps every second, third, ... is drawn, with the last.
    """
    every = -(-steps.height // MOST_STEPS)
    is_last = pl.int_range(pl.len()) == pl.len() - 1
    told = steps.select("step", "n_tokens", value=figure).sort("step")
    most = float(told.select(pl.col("value").max()).item() or 0.0)
    drawn = told.filter((pl.int_range(pl.len()) % max(every, 1) == 0) | is_last)
    title = alt.Title(FIGURES[figure], subtitle=_thinned(every))
    return (
        alt.Chart(drawn, height=190, width="container", title=title)
        .mark_line(point=drawn.height == 1)
        .encode(
            x=alt.X("n_tokens:Q", title="tokens read", axis=alt.Axis(tickCount=3, format="~s")),
            y=alt.Y(
                "value:Q",
                title=None,
                scale=alt.Scale(domain=[0, 1.05 * most or 1]),
                axis=alt.Axis(tickCount=3, format="~g"),
            ),
            tooltip=[
                alt.Tooltip("step:Q"),
                alt.Tooltip("n_tokens:Q", title="tokens read", format=","),
                alt.Tooltip("value:Q", title=FIGURES[figure], format=".3~g"),
            ],
        )
    )


def _thinned(every: int) -> str:
    return f"one of each {every} steps is drawn; all are in the lake" if every > 1 else ""


@drawn_once
def histogram(bins: pl.DataFrame) -> alt.Chart:
    """Latents by NRN, those above 0.9 by what latent scaling says; rows of `latent_histogram`."""
    drawn = (
        bins.with_columns(
            other=pl.col("n_latents") - pl.col("n_genuine") - pl.col("n_not_borne_out")
        )
        .rename({"n_genuine": "genuine", "n_not_borne_out": "not"})
        .unpivot(list(_KINDS), index=["nrn_low", "nrn_high"], variable_name="kind")
        .filter(pl.col("value") > 0)
        .with_columns(pl.col("kind").replace_strict(_KINDS))
    )
    colours = alt.Scale(domain=list(_KINDS.values()), range=[OTHERS, GENUINE, NOT_BORNE_OUT])
    n_latents = bins["n_latents"].sum()
    title = alt.Title(
        "Whose are the latents?", subtitle=f"n = {n_latents:,} live latents; measured"
    )
    x = alt.X(
        "nrn_low:Q", bin="binned", title="NRN: 0 base-only, 0.5 shared, 1 distilled-only",
        scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(tickCount=5),
    )  # fmt: skip
    # Its entries stand below each other: beside each other a phone cuts the last.
    legend = alt.Legend(title=None, orient="top", columns=1)
    return (
        alt.Chart(drawn, height=360, width="container", title=title)
        .mark_bar()
        .encode(
            x,
            alt.X2("nrn_high"),
            alt.Y("sum(value):Q", title="Latents"),
            alt.Color("kind:N", scale=colours, legend=legend),
            tooltip=tooltips(
                N={"kind": "They are"},
                Q={"nrn_low": "NRN from", "nrn_high": "to", "value": "Latents"},
            ),
        )
    )
