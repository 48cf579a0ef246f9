"""Where do a distilled model's sentences come from? A mart of provenance for each view."""

from typing import Any, Literal

import polars as pl
import streamlit as st

from dashboard import (
    address,
    controls,
    headings,
    live,
    provenance_charts,
    reader,
    rollout_text,
    tables,
    teachers,
)
from dashboard.data import mart, of_families
from dashboard.words import (
    count,
    escaped,
    instant,
    newest,
    number,
    share_from_teacher,
    share_of_pair,
    teachers_named,
)

VIEWS = ("Breakdown", "Teacher", "Position", "Correctness", "Reader")
MOST_SHOWN = 12  # pairs with a card
CHIPS = {
    "TRANSFERS": ("blue", "check"),
    "CORRELATES": ("blue", "check"),
    "DOES NOT TRANSFER": ("orange", "block"),
    "DOES NOT CORRELATE": ("orange", "block"),
    "NOT ENOUGH": ("gray", "question_mark"),
}
BETA = {
    "adaptive": "found from the sentences",
    "fallback": "0.1, as the sentences gave none",
    "given": "given",
}


def main() -> None:
    """Draw the page: the answer, then the view that is asked for."""
    st.title("Where do a distilled model's sentences come from?")
    drawn = live.stamp("provenance")
    pairs = mart("provenance")
    live.refresh_when_new("provenance", drawn)
    if pairs.is_empty():
        live.invite(
            "No sentence has been traced yet. Here the share of a distilled model's sentences "
            "that its teacher accounts for would stand, beside the shares that its base and a "
            "wrong teacher earn, and every rollout to read.",
            [
                (
                    "The embedded models, in a few minutes and without a GPU:",
                    "cicatrix trace --teacher zoo:teacher-forward --student zoo:llama-base "
                    "--distilled zoo:llama-distilled --control zoo:gpt2-base --samples 8 "
                    "--max-new-tokens 256",
                ),
                (
                    "Models of your own, each a folder or a name on the hub:",
                    "cicatrix trace --teacher TEACHER --student BASE --distilled MODEL "
                    "--control UNRELATED",
                ),
            ],
        )
        return
    st.html(rollout_text.STYLE)
    answer = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = controls.families(pairs)
        view = st.segmented_control(
            "View",
            VIEWS,
            default=VIEWS[0],
            required=True,
            key="view",
            bind="query-params",
            wrap=True,
        )
    shown = of_families(pairs, chosen).sort(
        pl.col("teacher_share").max().over("family"), "family", "teacher_share",
        descending=[True, False, True], nulls_last=True,
    )  # fmt: skip
    if view == "Breakdown":
        measured = f"Newest measurement: {instant(newest(shown))}"
        answer.markdown(share_from_teacher(shown), help=measured)
        breakdown(shown)
        address.write({}, reader.ADDRESS)
    elif view == "Teacher":
        stamp = live.stamp("teacher_attribution")
        ranking = teachers.found(chosen)
        live.refresh_when_new("teacher_attribution", stamp)
        answer.markdown(teachers_named(ranking))
        teachers.show(ranking)
        address.write({}, reader.ADDRESS)
    else:
        pair = reader.choose_pair(shown, pairs)
        measured = f"Measured {instant(pair['measured_at'])}"
        answer.markdown(f"{share_of_pair(pair)} {verdict(pair, 'transfer')}", help=measured)
        if view == "Reader":
            reader.show(pair)
        else:
            address.write(reader.address_of(pair), reader.ADDRESS)
            (positions if view == "Position" else correctness)(pair)
    live.copy_link()
    controls.explain(__file__)


def breakdown(pairs: pl.DataFrame) -> None:
    """Shares of every pair beside its null and its wrong teacher, then what they decide."""
    shares = mart("provenance_breakdown").filter(
        pl.col("measurement_id").is_in(pairs["measurement_id"].implode())
    )
    n = shares.select(pl.col("n_questions").min(), most=pl.col("n_questions").max()).row(0)
    st.html(rollout_text.legend())
    live.draw(provenance_charts.breakdown(pairs, shares))
    st.caption(
        "Wide bar: the distilled model's own sentences, Teacher from 0, with its 95 % interval as "
        "a line. Thin bars: the share of Teacher that is no sign of distillation, on the base's "
        "own sentences (null) and with an unrelated model in the teacher's place. A pale row: not "
        "enough to decide. n = "
        f"{'–'.join(dict.fromkeys(f'{end:,}' for end in n))} questions for each share, which its "
        "interval resamples. Every value is measured."
    )
    for pair in pairs.head(MOST_SHOWN).iter_rows(named=True):
        card(pair)
    if pairs.height > MOST_SHOWN:
        st.caption(f"and {count(pairs.height - MOST_SHOWN, 'more pair')}, all in provenance.csv")
    st.subheader("The numbers")
    own = shares.filter(pl.col("rollouts_of") == "distilled")
    tables.show(own.sort("family", "distilled", "teacher", label_order()), headings.SHARES)
    st.caption("boosted_up, between and suppressed are kinds of Boosted, counted there already.")
    with st.container(horizontal=True):
        tables.download(pairs, "provenance")
        tables.download(shares, "provenance_breakdown")


def label_order() -> pl.Expr:
    """The order of the labels everywhere; the kinds of Boosted come last."""
    places = {label: i for i, label in enumerate(provenance_charts.LABELS)}
    return pl.col("label").replace_strict(places, default=len(places))


def card(pair: dict[str, Any]) -> None:
    """What the comparisons of a pair decide, why, and on how much."""
    with st.container(border=True):
        st.markdown(
            f"**{escaped(pair['distilled'])}** on {escaped(pair['student'])}, "
            f"teacher {escaped(pair['teacher'])}"
        )
        st.markdown(verdict(pair, "transfer"))
        st.markdown(verdict(pair, "correctness"))
        facts = [
            f"{count(pair['n_sentences'], 'sentence')} of {count(pair['n_rollouts'], 'rollout')} "
            f"({pair['n_correct']:,} right, {pair['n_incorrect']:,} wrong, "
            f"{pair['n_unchecked']:,} unchecked)",
            f"α {number(pair['alpha'])}",
            f"β {number(pair['beta'])} ({BETA[pair['beta_source']]})",
            _stability(pair),
            f"κ by the other count of tokens {number(pair['own_token_kappa'])}",
            *_left_out(pair),
            escaped(pair["prompt_set"]),
            f"measured {instant(pair['measured_at'])}",
        ]
        st.caption(" · ".join(facts))


def verdict(pair: dict[str, Any], of: Literal["transfer", "correctness"]) -> str:
    """A verdict as a chip, then the comparisons that decided it."""
    tone, icon = CHIPS[pair[of]]
    what = {"transfer": "teacher", "correctness": "right answers"}[of]
    reasons = escaped(pair[f"{of}_reasons"])
    return f":{tone}-badge[:material/{icon}: {what}: {pair[of]}] :small[{reasons}]"


def _left_out(pair: dict[str, Any]) -> list[str]:
    """What no statistic counts, where there is any."""
    kinds = {
        "n_empty": "empty rollout",
        "n_unscored": "sentence without a token in some model or beyond its positions",
        "n_repeats": "repeated sentence",
    }
    found = [count(pair[name], noun) for name, noun in kinds.items() if pair[name]]
    return [f"left out: {', '.join(found)}"] if found else []


def _stability(pair: dict[str, Any]) -> str:
    """Whether other thresholds would give other labels."""
    if pair["least_kappa"] is None:
        return "stability not known"
    word = "stable" if pair["is_stable"] else "**unstable**: other thresholds give other labels"
    return f"least κ {number(pair['least_kappa'])} ({word}; 0.6 is needed)"


def positions(pair: dict[str, Any]) -> None:
    """How each label's share runs along the rollouts, for right and for wrong answers."""
    counted_by = st.segmented_control(
        "Position: number of the sentence, or share of the rollout",
        ["sentence", "share"],
        default="sentence",
        required=True,
        key="counted_by",
        bind="query-params",
    )
    rows = mart("provenance_position", measurement_id=pair["measurement_id"]).filter(
        pl.col("counted_by") == counted_by
    )
    if rows.is_empty():
        st.markdown(
            "No position has 50 sentences of right **and** 50 of wrong answers, the fewest a share "
            f"is shown for: {pair['n_correct']:,} rollouts are right, {pair['n_incorrect']:,} "
            f"wrong, {pair['n_unchecked']:,} unchecked. More samples of each problem give more: "
            "`cicatrix trace … --samples 16`."
        )
        return
    for places in (provenance_charts.LABELS[:2], provenance_charts.LABELS[2:]):
        for column, label in zip(st.columns(2), places, strict=True):
            with column:
                live.draw(provenance_charts.position(rows, label, counted_by))
    st.caption(
        "● solid: rollouts with a right answer · ○ dashed: with a wrong one · band: 95 % interval "
        "of Wilson, which takes sentences for independent and is therefore too narrow. Each point: "
        f"n = {rows['n_all'].min():,} to {rows['n_all'].max():,} sentences of the distilled model; "
        "a position with fewer than 50 of either outcome is left out."
    )
    st.subheader("The numbers")
    answer = pl.col("is_correct").replace_strict(provenance_charts.OUTCOMES, return_dtype=pl.String)
    ordered = rows.with_columns(pl.col("place") + 1, answer=answer)
    ordered = ordered.sort(label_order(), "place", "answer")
    tables.show(ordered, headings.POSITIONS)
    tables.download(rows, "provenance_position")


def correctness(pair: dict[str, Any]) -> None:
    """How much more of each label right answers have, raw and within questions."""
    rows = mart("provenance_correctness", measurement_id=pair["measurement_id"])
    st.markdown(verdict(pair, "correctness"))
    is_news = pl.col("area").is_null() & pl.col("reason").ne_missing(pair["correctness_reasons"])
    missing = rows.filter(is_news).select("kind", "reason").unique()
    for kind, reason in missing.sort("kind").iter_rows():
        what = {"raw": "over all rollouts", "within": "within questions"}[kind]
        st.markdown(f"No area {what}: {escaped(reason or 'no reason was recorded')}.")
    found = rows.drop_nulls("area")
    if not found.is_empty():
        live.draw(provenance_charts.areas(rows))
        n = found.select("kind", "n_positions", "n_questions").unique().sort("kind").iter_rows()
        said = "; ".join(
            f"{kind}: {count(n_positions, 'position')}, {count(n_questions, 'question')}"
            for kind, n_positions, n_questions in n
        )
        st.caption(
            "Area: sum over sentence positions of the label's share in right answers less in wrong "
            "ones; 1 is one whole sentence more. □ raw, over all rollouts: it also shows how hard "
            "the questions are. ● within questions that have both: it does not. Line: 95 % "
            f"interval, questions resampled. n, {said}."
        )
    st.subheader("The numbers")
    tables.show(
        rows.sort(
            "kind",
            label_order(),
        ),
        headings.AREAS,
    )
    tables.download(rows, "provenance_correctness")


main()
