"""The charts of crosscoders: training curves, the histogram of NRN."""

import altair as alt
import polars as pl

FIGURES = {
    "fvu_base": "unexplained, base",
    "fvu_distilled": "unexplained, distilled",
    "dead_share": "dead latents",
    "l0": "L0",
    "loss": "loss",
}
MOST_STEPS = 500  # drawn of each figure
GENUINE, OTHERS, NOT_BORNE_OUT = "#0072B2", "#999999", "#D55E00"  # of Okabe & Ito
_KINDS = {
    "other": "others, by the norms",
    "genuine": "distilled-only, borne out",
    "not": "above 0.9, not borne out",
}


def curves(steps: pl.DataFrame) -> alt.Chart:
    """A small chart a figure over the tokens read; rows of the mart `crosscoder_training`.

    Of many steps every second, third, ... is drawn, with the last.
    """
    every = -(-steps.height // MOST_STEPS)
    is_last = pl.int_range(pl.len()) == pl.len() - 1
    told = steps.sort("step").filter((pl.int_range(pl.len()) % max(every, 1) == 0) | is_last)
    drawn = told.unpivot(list(FIGURES), index=["step", "n_tokens"], variable_name="figure")
    drawn = drawn.with_columns(pl.col("figure").replace_strict(FIGURES))
    return (
        alt.Chart(drawn, width=220, height=110, title=_thinned(every))
        .mark_line()
        .encode(
            x=alt.X("n_tokens", title="tokens read", axis=alt.Axis(tickCount=3, format="~s")),
            y=alt.Y("value", title=None, scale=alt.Scale(zero=False)),
            tooltip=["figure", "step", alt.Tooltip("value", format=".3g")],
            facet=alt.Facet("figure", columns=3, title=None, sort=list(FIGURES.values())),
        )
        .resolve_scale(y="independent")
    )


def _thinned(every: int) -> alt.Title:
    said = f"one of each {every} steps is drawn; all are in the lake"
    return alt.Title("", subtitle=said if every > 1 else "")


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
    return (
        alt.Chart(drawn, height=220)
        .mark_bar()
        .encode(
            x=alt.X(
                "nrn_low",
                bin="binned",
                title="NRN: 0 base-only, 0.5 shared, 1 distilled-only",
                scale=alt.Scale(domain=[0, 1]),
            ),
            x2="nrn_high",
            y=alt.Y("sum(value)", title="latents"),
            color=alt.Color("kind", scale=colours, legend=alt.Legend(title=None, orient="top")),
            tooltip=["kind", "nrn_low", "nrn_high", alt.Tooltip("value", title="latents")],
        )
    )
