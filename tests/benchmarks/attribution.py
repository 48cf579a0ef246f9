"""How well teacher attribution does on the zoo, where the teacher of every model is known.

    python -m tests.benchmarks.attribution CACHE            the half that is reported
    python -m tests.benchmarks.attribution CACHE --choose   the half that statistic and thresholds
                                                            were chosen on, all statistics compared
    python -m tests.benchmarks.attribution CACHE --tiny MODELS PROBLEMS
        models of another making: a folder with `tiny-base-gsm` and its kin, and a .jsonl file

Students are halved by the SHA-256 of their base's name, in that order, every second one: what was
chosen on the first half is reported on the other. Teachers and decoys are those of both. Models not
shipped are read from measure/zoo/unshipped (`cicatrix zoo build` makes them); CACHE keeps scores.
Intervals are of 1,000 resamples here, a tenth of a measurement's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from measure import (
    attribution,
    intervals,
    models,
    problems,
    rollouts,
    sentence_scores,
    sources,
    spans,
    zoo,
)
from measure.attribution import DISTILLED, STUDENT
from measure.models import CausalLM
from measure.records import Attribution, AttributionCandidate, Rollout
from measure.spans import Layout, Spans

SAMPLING = rollouts.Sampling(n_samples=4, max_new_tokens=256)
BATCH = 128
LINEAGES = ("llama", "qwen2", "mistral", "llama-small", "gemma2", "gpt2")
ORDER = sorted(LINEAGES, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
CHOOSING, REPORTING = ORDER[::2], ORDER[1::2]
# Two other lineages for each, whose models are its decoys.
DECOYS = {
    "llama": ("qwen2", "mistral"), "qwen2": ("mistral", "llama"), "mistral": ("llama", "qwen2"),
    "llama-small": ("mistral", "qwen2"), "gemma2": ("llama", "mistral"), "gpt2": ("qwen2", "llama"),
}  # fmt: skip
TRANSFORMED = ("round-trip", "pruned", "noised", "merged", "permuted")
WEAK = (75, 50, 25)  # percent of the way from a base's weights to a distilled model's


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# --- cases --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A model, candidates for its teacher, and what is right."""

    model: str
    base: str
    asked: str  # which set of candidates
    kind: str  # true, left-out, control, or same-data
    candidates: tuple[str, ...]
    teacher: str | None  # the true one, in the candidates or not


def root(name: str) -> str:
    """The first teacher of a line of teachers: its members cannot be told apart by right."""
    teacher = zoo.member(name).teacher
    return name if teacher is None else root(teacher)


def candidates(lineage: str) -> dict[str, tuple[str, ...]]:
    """Both teachers alone; with a sibling and decoys; with two distilled models beside them."""
    one, other = DECOYS[lineage]
    two = ("teacher-forward", "teacher-gains-first")
    decoys = (*two, "depth-student", f"{one}-base", f"{other}-base", f"{one}-sft-plain")
    hard = (*decoys, f"{one}-distilled", f"{one}-distilled-gains-first")
    return {"two teachers": two, "with decoys": decoys, "with hard decoys": hard}


def cases(lineages: Sequence[str], strength: int = 100) -> Iterator[Case]:
    """All cases of some lineages; of another strength, only of the distilled models."""
    for member in zoo.members():
        if member.role != "derivative" or member.base is None:
            continue
        lineage = member.base.removesuffix("-base")
        if lineage not in lineages or (strength < 100 and not member.is_distilled):
            continue
        name = member.name if strength == 100 else f"{member.name}@{strength}"
        for asked, given in candidates(lineage).items():
            if member.is_distilled:
                without = tuple(c for c in given if root(c) != member.teacher)
                yield Case(name, member.base, asked, "true", given, member.teacher)
                yield Case(name, member.base, asked, "left-out", without, member.teacher)
                continue
            same = tuple(c for c in given if "sft-plain" in c and "sft-plain" in member.name)
            if same:
                yield Case(name, member.base, asked, "same-data", given, None)
            without = tuple(c for c in given if c not in same)
            yield Case(name, member.base, asked, "control", without, None)


# --- models, rollouts, scores -------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """Rollouts and scores of models by name, kept in a folder."""

    folder: Path
    asked: problems.ProblemSet
    paths: Mapping[str, Path]  # of models that are not in the zoo

    def __hash__(self) -> int:
        return id(self)

    @lru_cache(16)  # noqa: B019
    def model(self, name: str) -> CausalLM:
        """A model; 'NAME@25' is a quarter of the way from its base's weights to its own."""
        name, _, percent = name.partition("@")
        given = str(self.paths[name]) if name in self.paths else f"zoo:{name}"
        found = models.load(sources.find(given), device="cpu")
        if percent:
            base = models.load(sources.find(f"zoo:{zoo.member(name).base}"), device="cpu")
            pairs = zip(found.model.parameters(), base.model.parameters(), strict=True)
            with torch.no_grad():
                for own, other in pairs:
                    own.copy_(other + int(percent) / 100 * (own - other))
            found = CausalLM(found.model, found.tokenizer, found.card, "cpu")
        return found

    @cache  # noqa: B019
    def rollouts(self, name: str) -> list[Rollout]:
        path = self.folder / f"{name}.jsonl"
        if not path.exists():
            made = [
                rollout
                for unit in rollouts.units(self.asked, SAMPLING.n_samples)
                for rollout in rollouts.measure_unit(
                    self.model(name), self.asked, unit, SAMPLING, BATCH, lambda _: None
                )
            ]
            path.write_text("\n".join(json.dumps(asdict(rollout)) for rollout in made))
        return [Rollout(**json.loads(line)) for line in path.read_text().split("\n")]

    @cache  # noqa: B019
    def layout(self, name: str) -> Layout:
        return spans.lay_out(self.rollouts(name))

    @cache  # noqa: B019
    def logprobs(self, text: str, reader: str) -> NDArray[np.float64]:
        path = self.folder / f"{text} by {reader}.npy"
        if not path.exists():
            given = sentence_scores.Texts("", "", tuple(self.rollouts(text)))
            model = self.model(reader)
            scores = [
                score
                for unit in given.units
                for score in sentence_scores.measure_unit(model, given, unit, BATCH, lambda _: None)
            ]
            found = spans.span_logprobs(self.layout(text), scores)
            np.save(path, found.astype(np.float32))
        return np.load(path).astype(np.float64)

    def spans(self, case: Case, *texts: str) -> dict[str, Spans]:
        """Rollouts of some models as the models of a case read them, by name."""
        readers = {DISTILLED: case.model, STUDENT: case.base} | {c: c for c in case.candidates}
        return {
            text: Spans(self.layout(text), {r: self.logprobs(text, m) for r, m in readers.items()})
            for text in texts
        }

    def attribute(
        self, case: Case, options: attribution.Options
    ) -> tuple[list[AttributionCandidate], Attribution]:
        texts = self.spans(case, case.model, *case.candidates)
        texts[DISTILLED] = texts.pop(case.model)
        found = attribution.attribute(texts, options)
        rows = [row for row in found if isinstance(row, AttributionCandidate)]
        (summary,) = (row for row in found if isinstance(row, Attribution))
        return rows, summary


# --- the statistics compared --------------------------------------------------------------------


def joint_weights(shifts: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative least squares of `target` on the columns of `shifts`, by descent on each."""
    gram, product = shifts.T @ shifts, shifts.T @ target
    weights = np.zeros(len(product))
    for _ in range(2_000):
        for i in range(len(weights)):
            step = (product[i] - gram[i] @ weights) / gram[i, i]
            weights[i] = max(0.0, weights[i] + step)
    return weights


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """-1 to 1; 0 where one of them does not vary."""
    moments = np.array([len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y])
    return float(np.nan_to_num(attribution.alignment(moments)))


def statistics(scores: Scores, case: Case) -> dict[str, list[float]]:
    """Every statistic of each candidate, in order."""
    texts = scores.spans(case, case.model, case.base, *case.candidates)

    def shift(text: str, reader: str) -> NDArray[np.float64]:
        its = texts[text]
        return (its.logprobs[reader] - its.logprobs[STUDENT])[its.is_used]

    def gain(text: str, reader: str) -> float:
        n_bytes = texts[text].layout.n_bytes[texts[text].is_used].sum()
        return float(shift(text, reader).sum() / n_bytes / np.log(2))

    d, s = case.model, case.base
    moved = np.concatenate([shift(c, DISTILLED) for c in case.candidates])
    theirs = np.stack(
        [np.concatenate([shift(c, t) for c in case.candidates]) for t in case.candidates], axis=1
    )
    mean = theirs.mean(1)
    residual = moved - mean * (moved @ mean) / (mean @ mean)
    found: dict[str, list[float]] = {
        "joint weight, candidates' text": joint_weights(theirs, moved).tolist(),
    }
    for i, t in enumerate(case.candidates):
        own, its = gain(d, DISTILLED), gain(t, t)
        one = {
            "excess less that on the base's text": gain(d, t) - gain(s, t),
            "excess, model's text": gain(d, t),
            "the same over the model's own gain": gain(d, t) / own,
            "gain of the model, candidate's text": gain(t, DISTILLED),
            "the same over the candidate's own": gain(t, DISTILLED) / its,
            "share, both texts": (gain(d, t) + gain(t, DISTILLED)) / (own + its),
            "alignment, base's text": correlation(shift(s, DISTILLED), shift(s, t)),
            "alignment, model's text": correlation(shift(d, DISTILLED), shift(d, t)),
            "alignment, candidate's text": correlation(shift(t, DISTILLED), shift(t, t)),
            "alignment, candidates' text": correlation(moved, theirs[:, i]),
            "the same as a contrast": correlation(residual, theirs[:, i] - mean),
        }
        for name, value in one.items():
            found.setdefault(name, []).append(value)
    return found


def compare(scores: Scores, lineages: Sequence[str]) -> None:
    """How far each statistic parts the true teacher, at each strength, from wrong candidates."""
    full = [c for c in cases(lineages) if len(c.candidates) > 1]
    wrong = [statistics(scores, c) for c in full if c.kind in ("left-out", "control")]
    strengths = (100, *WEAK)
    right = {
        strength: [
            (c, statistics(scores, c)) for c in cases(lineages, strength) if c.kind == "true"
        ]
        for strength in strengths
    }
    say(f"{'':38} wrong ones' largest | true: least, median (of {len(right[100])} cases),")
    say(f"{'':38} {len(wrong)} cases        | above all wrong at {strengths} %; family first")
    for name in right[100][0][1]:
        null = max(max(found[name]) for found in wrong)
        true = {s: [_of_teacher(c, f[name]) for c, f in found] for s, found in right.items()}
        above = [sum(value > null for value in values) for values in true.values()]
        first = sum(root(c.candidates[int(np.argmax(f[name]))]) == c.teacher for c, f in right[100])
        values = true[100]
        say(
            f"{name:38} {null:8.2f}            | {min(values):6.2f} {np.median(values):6.2f}   "
            f"{above}  {first}"
        )


def _of_teacher(case: Case, values: Sequence[float]) -> float:
    pairs = zip(case.candidates, values, strict=True)
    return max(value for name, value in pairs if root(name) == case.teacher)


# --- the verdicts scored ------------------------------------------------------------------------


def wilson(n_hits: int, n: int) -> str:
    """'hits of n, share [its 95 % interval]'."""
    if not n:
        return "0 of 0"
    z = 1.959964
    share = n_hits / n
    middle = (share + z**2 / 2 / n) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / 4 / n**2)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return f"{n_hits} of {n}, {share:.2f} [{low:.2f}, {high:.2f}]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was said in one case."""

    case: Case
    rows: list[AttributionCandidate]
    summary: Attribution

    @property
    def named(self) -> list[str]:
        """Candidates that the verdict names."""
        return [row.role for row in self.rows if row.is_attributed]

    @property
    def is_right(self) -> bool:
        """The true teacher alone, or a family of none but its relatives with it."""
        return self.case.teacher in self.named and not self.is_false

    @property
    def is_false(self) -> bool:
        """A model is named that is neither the true teacher nor of its family."""
        return any(root(name) != self.case.teacher for name in self.named)

    @property
    def largest(self) -> float:
        """Share of the first in rank."""
        return max(-np.inf if row.share is None else row.share for row in self.rows)


def report(found: Sequence[Outcome]) -> None:
    """Accuracy with the true teacher there, and false attributions without, by candidates."""
    for asked in ("two teachers", "with decoys", "with hard decoys"):
        say(asked)
        here = [o for o in found if o.case.asked == asked]
        true = [o for o in here if o.case.kind == "true"]
        if true:
            n = len(true)
            exact = sum(o.rows[0].role == o.case.teacher for o in true)
            family = sum(root(o.rows[0].role) == o.case.teacher for o in true)
            abstained = sum(o.summary.attribution == "NOT ENOUGH" for o in true)
            denied = sum(o.summary.attribution == "NONE OF THESE" for o in true)
            say(f"  true teacher there   first in rank       {wilson(exact, n)}")
            say(f"                       or its sibling      {wilson(family, n)}")
            say(f"                       verdict right       {wilson(sum(map(_right, true)), n)}")
            say(f"                       verdict false       {wilson(sum(map(_false, true)), n)}")
            say(f"                       not enough          {wilson(abstained, n)}")
            say(f"                       none of these       {wilson(denied, n)}")
            say(f"                       share {min(_shares_of_teacher(true)):.2f} or more")
        groups = {
            "teacher left out": [o for o in here if o.case.kind == "left-out"],
            "not distilled": [o for o in here if _is_control(o, transformed=False)],
            "weights changed": [o for o in here if _is_control(o, transformed=True)],
            "read the same texts": [o for o in here if o.case.kind == "same-data"],
        }
        for name, group in groups.items():
            if not group:
                continue
            none = sum(o.summary.attribution == "NONE OF THESE" for o in group)
            say(f"  {name:20} attributed          {wilson(sum(map(_false, group)), len(group))}")
            say(f"                       none of these       {wilson(none, len(group))}")
            say(f"                       largest share {max(o.largest for o in group):.2f}")
    for o in found:
        if o.is_false:
            said = f"{o.summary.attribution}: {o.summary.attribution_reasons}"
            say(f"  {o.case.model} ({o.case.asked}, {o.case.kind}): {said}")


def _right(outcome: Outcome) -> bool:
    return outcome.is_right


def _false(outcome: Outcome) -> bool:
    return outcome.is_false


def _is_control(outcome: Outcome, *, transformed: bool) -> bool:
    method = zoo.member(outcome.case.model.partition("@")[0]).method
    return outcome.case.kind == "control" and (method in TRANSFORMED) == transformed


def _shares_of_teacher(true: Sequence[Outcome]) -> Iterator[float]:
    for outcome in true:
        for row in outcome.rows:
            if row.role == outcome.case.teacher and row.share is not None:
                yield row.share


TINY = (
    ("tiny-distilled-kl", "tiny-base-gsm", ("stories260K", "tiny-base-gsm-seed1")),
    ("tiny-distilled-seq", "tiny-base-gsm", ("stories260K", "tiny-base-gsm-seed1")),
    ("tiny-distilled-kl", "tiny-base-gsm", ("tiny-base-gsm-seed1", "stories260K-ft-gsm")),
    ("tiny-distilled-seq", "tiny-base-gsm", ("tiny-base-gsm-seed1", "stories260K-ft-gsm")),
    ("tiny-base-gsm-seed1", "tiny-base-gsm", ("stories260K", "stories260K-ft-gsm")),
    # It has read what these have: the limit of what text can tell.
    ("stories260K-ft-gsm", "stories260K", ("tiny-base-gsm", "tiny-base-gsm-seed1")),
)
N_TINY_PROBLEMS = 40


def tiny(cache: Path, folder: Path, asked: problems.ProblemSet) -> None:
    """Verdicts on models made elsewhere: teacher stories260K, or none."""
    few = problems.ProblemSet(asked.name, asked.problems[:N_TINY_PROBLEMS])
    names = {name for model, base, given in TINY for name in (model, base, *given)}
    scores = Scores(cache, few, {name: folder / name for name in names})
    for model, base, given in TINY:
        case = Case(model, base, "", "", given, None)
        rows, summary = scores.attribute(case, attribution.Options())
        say(f"{model} from {base}: {summary.attribution}: {summary.attribution_reasons}")
        for row in rows:
            say(
                f"    {row.role:20} share {row.share:6.3f} "
                f"[{row.ci_low_share:.3f}, {row.ci_high_share:.3f}]  learned {row.learned:6.3f}  "
                f"gain {row.gain_distilled:6.3f} bits/byte  alignment {row.alignment:5.2f}"
            )


def main() -> None:
    """Print the scores on one half, and on the choosing one how all statistics compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--tiny", nargs=2, metavar=("MODELS", "PROBLEMS"))
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    intervals.N_RESAMPLES = 1_000
    if given.tiny:
        tiny(given.cache, Path(given.tiny[0]), problems.load(given.tiny[1]))
        return
    scores = Scores(given.cache, problems.load("zoo40"), {})
    if given.choose:
        compare(scores, CHOOSING)
    options = attribution.Options()
    lineages = CHOOSING if given.choose else REPORTING
    for strength in (100, *WEAK):
        asked = cases(lineages, strength)
        found = [Outcome(case, *scores.attribute(case, options)) for case in asked]
        say(f"--- students of {', '.join(lineages)}; {strength} % of the way ---")
        report(found)


if __name__ == "__main__":
    main()
