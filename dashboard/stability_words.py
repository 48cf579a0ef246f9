"""What the page on capability and proxies of stability says in words."""

from datetime import datetime

import polars as pl

from dashboard.words import ago, count, escaped, newest

# Wherever the word stands on a page, this stands with it.
PROXY = (
    "R holds five proxies of stability, of this project's own definition: satisfaction, "
    "feasibility, dependence, perturbation, horizon. Their source, arXiv 2603.25022, publishes no "
    "numbers to check them against."
)
MEANINGS = {
    "short clean": "accuracy on short problems as they are",
    "short perturbed": "accuracy on short problems told otherwise",
    "long clean": "accuracy on long problems as they are",
    "long perturbed": "accuracy on long problems told otherwise",
    "satisfaction": "1 − share of steps whose burden exceeds the teacher's limit",
    "feasibility": "1 − share of steps that arrive outside the model's own region",
    "dependence": "how well violations foretell a wrong answer: max(0, 2 AUC − 1)",
    "perturbation": "share of problems whose answer a perturbation leaves as it was",
    "horizon": "accuracy on long over short problems, 1 at most",
    "mean load": "burden per sentence",
    "retune": "change of the violation rate by a small fine-tune",
}
COMPONENTS = tuple(MEANINGS)
BESIDE = ("mean load", "retune")
HYPOTHESES = {
    "coupling": "Eq. 9: students close in K are close in R, and both fall apart together",
    "H1": "R falls faster with K in students of the constrained teacher",
    "H2": "output-only students lose more on long and on perturbed problems than their teacher",
    "H3": "at matched teachers and equal budget its students are less accurate, without higher R",
    "H4": "of students close in K, its students are closer in R",
}


def answer(students: pl.DataFrame, now: datetime | None = None) -> str:
    """Whether capability travelled without the proxies, of one teacher's students."""
    if students.is_empty():
        return "No student of this teacher was measured."
    teacher = escaped(students["teacher"][0])
    epsilon = f"{students['epsilon_k'][0]:g}"
    near = students.filter(pl.col("delta_k") <= pl.col("epsilon_k"))
    said = (
        f"Of {count(students.height, 'student')} of **{teacher}**, {near.height} "
        f"{'is' if near.height == 1 else 'are'} within {epsilon} of its accuracy"
    )
    decided = near.remove(pl.col("asymmetry") == "NOT ENOUGH")
    if near.height and decided.is_empty():
        said += "; too few stories were tested to say how far they are from it in R"
    elif near.height:
        apart = decided.filter(pl.col("asymmetry") == "ASYMMETRIC")
        names = ", ".join(f"**{escaped(name)}**" for name in apart["student"].head(4))
        names = f" ({names}{', …' if apart.height > 4 else ''})" if apart.height else ""
        said += f", and {apart.height} of these differ from it in R by more than noise{names}"
    n = students["n_problems"].max()
    return f"{said}. n = {count(int(str(n)), 'story').replace('storys', 'stories')}; " + (
        f"measured {ago(newest(students), now)}."
    )
