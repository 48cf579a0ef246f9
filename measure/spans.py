"""Rollouts cut into spans of about four words, and how several models read them.

Spans partition a text by character, so models with different tokenizers are compared on the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure import sentences
from measure.records import Rollout, SentenceScore

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float, Int

    Nats = Float[NDArray[np.float64], " spans"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How rollouts are cut; arrays run over spans."""

    questions: tuple[str, ...]  # problem ids
    question: Int[NDArray[np.int64], " spans"]  # index into `questions`
    rollout: Int[NDArray[np.int64], " spans"]
    n_bytes: Int[NDArray[np.int64], " spans"]
    keys: tuple[tuple[str, int, int], ...]  # problem, sample, sentence
    sentence: Int[NDArray[np.int64], " spans"]  # index into `keys`
    is_counted: Bool[NDArray[np.bool_], " spans"]  # no mark of reasoning, no repeated sentence


@dataclass(frozen=True, slots=True)
class Spans:
    """Rollouts of one model as several models read them."""

    layout: Layout
    logprobs: Mapping[str, Nats]  # by role; NaN where that model could not read the sentence

    @property
    def is_used(self) -> Bool[NDArray[np.bool_], " spans"]:
        """Spans that count, read by all."""
        return self.layout.is_counted & ~np.isnan(np.stack(list(self.logprobs.values()))).any(0)

    @property
    def n_unscored(self) -> int:
        """Sentences that count and that one of the models could not read."""
        left_out = self.layout.is_counted & ~self.is_used
        return len(np.unique(self.layout.sentence[left_out]))

    @property
    def n_rollouts(self) -> int:
        """Rollouts with a span that is used."""
        return len(np.unique(self.layout.rollout[self.is_used]))


def lay_out(rollouts: Sequence[Rollout]) -> Layout:
    """Cut rollouts into sentences and spans, in order."""
    questions = tuple(sorted({rollout.problem_id for rollout in rollouts}))
    index = {problem_id: i for i, problem_id in enumerate(questions)}
    keys: list[tuple[str, int, int]] = []
    rows: list[tuple[int, int, int, int, bool]] = []
    for number, rollout in enumerate(rollouts):
        said = ""
        for place, sentence in enumerate(sentences.segment(rollout.text)):
            text = rollout.text[sentence.start : sentence.end].strip()
            is_counted = not sentence.is_special and text != said
            said = said if sentence.is_special else text
            for start, end in sentences.spans(rollout.text, sentence):
                n_bytes = len(rollout.text[start:end].encode())
                rows.append((index[rollout.problem_id], number, n_bytes, len(keys), is_counted))
            keys.append((rollout.problem_id, rollout.sample, place))
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    question, rollout_of, n_bytes, sentence_of, is_counted = table.T
    return Layout(
        questions, question, rollout_of, n_bytes, tuple(keys), sentence_of, is_counted.astype(bool)
    )


def span_logprobs(layout: Layout, scores: Sequence[SentenceScore]) -> Nats:
    """A model's log probabilities in nats by span, NaN where it could not read the sentence.

    Raises:
        ValueError: the scores are of other sentences.
    """
    by_key = {(s.problem_id, s.sample, s.sentence): s for s in scores}
    counts = np.bincount(layout.sentence, minlength=len(layout.keys)).tolist()
    found: list[float] = []
    for key, n_spans in zip(layout.keys, counts, strict=True):
        score = by_key.get(key)
        if score is None or len(score.span_tokens) != n_spans:
            raise ValueError(f"no scores of sentence {key}: score all models on the same rollouts")
        found += [np.nan] * n_spans if score.span_logprobs is None else score.span_logprobs
    return np.array(found, dtype=np.float64)


def read(rollouts: Sequence[Rollout], scores: Mapping[str, Sequence[SentenceScore]]) -> Spans:
    """Rollouts with the scores of several models by role."""
    layout = lay_out(rollouts)
    return Spans(layout, {role: span_logprobs(layout, found) for role, found in scores.items()})
