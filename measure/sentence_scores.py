"""Log probability of each sentence of given rollouts under a model: one forward pass a rollout.

The model reads its own prompt (chat template, or the plain form) and the completion as it is, byte
for byte. A token belongs to the sentence, and to the span of words, that holds its first character:
so models with different tokenizers score the same sentences. Source: arXiv 2512.20908; the rule for
tokens is OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure import problems, rollouts, sentences
from measure.backends import TRANSFORMERS, Backend
from measure.models import out_of_memory_named
from measure.prompts import Progress
from measure.records import Rollout, SentenceScore
from measure.request import Measurement
from measure.text_model import TextModel

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    pass

METHOD = "sentence_score"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id


@dataclass(frozen=True, slots=True)
class Texts:
    """Rollouts to score, in order, and the set of problems they are on."""

    prompt_set: str
    prompt_set_sha256: str
    rollouts: tuple[Rollout, ...]
    plain_prompt: str = problems.PLAIN_PROMPT

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the chunks of rollouts, by the first and last index."""
        count, step = len(self.rollouts), rollouts.ROLLOUTS_PER_UNIT
        return tuple(
            f"rollouts-{s:05d}-{min(s + step, count) - 1:05d}" for s in range(0, count, step)
        )


def plan(
    model_id: str,
    texts: Texts,
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 64,
    backend: Backend = TRANSFORMERS,
) -> Measurement:
    """A model's scores of given rollouts; whose they are does not name the measurement."""
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"model": model_id},
        prompt_set=texts.prompt_set,
        prompt_set_sha256=texts.prompt_set_sha256,
        dtype=dtype,
        backend=backend.name,
        device_kind=device_kind,
        options={
            "plain_prompt": texts.plain_prompt,
            "span_words": sentences.SPAN_WORDS,
            **backend.options(),
        },
        text_sha256=rollouts.texts_sha256(texts.rollouts),
        units=texts.units,
        batch_size=batch_size,
    )


def measure_unit(
    model: TextModel, texts: Texts, unit: str, batch_size: int, progress: Progress
) -> Iterator[SentenceScore]:
    """The scores of one chunk of rollouts; long ones go through the model together."""
    first, last = (int(part) for part in unit.removeprefix("rollouts-").split("-"))
    encoded = [Encoded.of(model, r, texts.plain_prompt) for r in texts.rollouts[first : last + 1]]
    encoded.sort(key=lambda one: len(one.ids))
    for start in range(0, len(encoded), batch_size):
        batch = encoded[start : start + batch_size]
        fitting = [one for one in batch if one.fits]
        with out_of_memory_named(len(batch)):
            found = iter(model.logprobs_of([(one.ids, one.positions) for one in fitting]))
        for one in batch:
            yield from one.records(next(found) if one.fits else None)
        progress(len(batch))


@dataclass(frozen=True, slots=True)
class Encoded:
    """A rollout as a model's tokens."""

    rollout: Rollout
    ids: list[int]
    positions: list[int]  # of the completion's tokens; the first token of all cannot be scored
    starts: list[int]  # first character of each of them in the completion
    max_tokens: int | None

    @classmethod
    def of(cls, model: TextModel, rollout: Rollout, plain: str) -> Encoded:
        """A model's prompt and the completion, byte for byte."""
        prompt, specials = rollouts.prompt_text(model, rollout.problem, plain)
        ids, starts = model.encode_with_starts(prompt + rollout.text, specials=specials)
        where = [p for p, start in enumerate(starts) if p > 0 and start >= len(prompt)]
        inside = [starts[p] - len(prompt) for p in where]
        return cls(rollout, ids, where, inside, model.max_tokens)

    @property
    def fits(self) -> bool:
        """Whether the model's positions reach its end."""
        return self.max_tokens is None or len(self.ids) <= self.max_tokens

    def records(self, logprobs: NDArray[np.float64] | None) -> Iterator[SentenceScore]:
        """One record a sentence; without `logprobs` all are null, with the reason."""
        text = self.rollout.text
        cut = [(s, sentences.spans(text, s)) for s in sentences.segment(text)]
        edges = [start for _, spans in cut for start, _ in spans]
        owner = np.searchsorted(edges, self.starts, side="right") - 1
        counts = np.bincount(owner, minlength=len(edges))
        sums = None if logprobs is None else _sums(owner, logprobs, len(edges))
        first = 0
        for number, (sentence, spans) in enumerate(cut):
            part = slice(first, first + len(spans))
            first += len(spans)
            yield self._record(number, sentence, counts[part], None if sums is None else sums[part])

    def _record(
        self,
        number: int,
        sentence: sentences.Sentence,
        counts: NDArray[np.int64],
        sums: NDArray[np.float64] | None,
    ) -> SentenceScore:
        n_tokens = int(counts.sum())
        reason = None
        if sums is None:
            reason = f"{len(self.ids):,} tokens with the prompt, {self.max_tokens:,} fit the model"
        elif n_tokens == 0:
            reason = "no token of the model begins in it"
        known = sums if n_tokens else None
        return SentenceScore(
            problem_id=self.rollout.problem_id,
            sample=self.rollout.sample,
            sentence=number,
            char_start=sentence.start,
            char_end=sentence.end,
            is_special=sentence.is_special,
            n_tokens=n_tokens,
            sum_logprob=None if known is None else float(known.sum()),
            span_tokens=tuple(counts.tolist()),
            # As exact as the fp32 logits behind them.
            span_logprobs=None if known is None else tuple(known.astype(np.float32).tolist()),
            reason=reason,
        )


def _sums(owner: NDArray[np.int64], logprobs: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    found = np.zeros(n)
    np.add.at(found, owner, logprobs)
    return found
