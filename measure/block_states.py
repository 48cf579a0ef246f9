"""The state of a model at each sentence of a text: one teacher-forced pass, one block kept.

    state      mean over the sentence's tokens of the residual stream after block round(2 L / 3)
    entropy    mean over them of the entropy of the next token, nats
    attention  mean over them, and over the heads of that block, of the largest weight

A token belongs to the sentence that holds its first character; marks of reasoning and sentences
without a token are no steps. Attention weights exist only while their block runs: texts go through
together as far as the weights of one block stay below a limit, and one too long for it alone goes
without them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from measure import sentences
from measure.burden import MIN_STATES_IN_TRAJECTORY
from measure.errors import BadInput
from measure.models import MAX_LOGITS, CausalLM
from measure.prompts import Progress
from measure.records import Rollout
from measure.sentence_scores import Encoded, Texts

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    PerSentence = Float[NDArray[np.float64], " sentences"]

# Attention weights of one block held at once: 2**26 fp32 values are 256 MiB.
MAX_ATTENTION = 2**26
_BLOCKS = ("layers", "h", "blocks")
_ATTENTION = ("self_attn", "attn", "attention")


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A rollout's sentences as a model went through them; without arrays where it was not read."""

    rollout: Rollout
    sentences: tuple[sentences.Sentence, ...]
    states: Float[NDArray[np.float64], "sentences d_model"] | None
    entropy: PerSentence | None
    attention: PerSentence | None  # null also where the weights of one block were too many
    reason: str | None  # why it was not read


def layer_of(model: CausalLM) -> int:
    """The block, from 0, after which states are read."""
    n_layers = len(blocks(model))
    return min(round(2 * n_layers / 3), n_layers - 1)


def blocks(model: CausalLM) -> nn.ModuleList:
    """A decoder's transformer blocks."""
    for name in _BLOCKS:
        if isinstance(found := getattr(model.decoder, name, None), nn.ModuleList):
            return found
    raise BadInput(
        f"architecture {model.card.architecture!r} has no blocks under {', '.join(_BLOCKS)}: "
        "it needs support in measure/block_states.py"
    )


def trajectories(
    model: CausalLM, rollouts: Sequence[Rollout], plain: str, batch_size: int, progress: Progress
) -> Iterator[Trajectory]:
    """Read rollouts, short ones first; those of fewer than three sentences are not read at all."""
    waiting: list[Steps] = []
    for rollout in rollouts:
        steps = Steps.of(Encoded.of(model, rollout, plain))
        if steps.reason is None:
            waiting.append(steps)
        else:
            progress(1)
            yield Trajectory(rollout, steps.kept, None, None, None, steps.reason)
    waiting.sort(key=lambda one: one.n_tokens)
    n_heads = model.model.config.get_text_config().num_attention_heads
    for batch, has_attention in _batches(waiting, batch_size, n_heads):
        yield from _read(model, batch, has_attention=has_attention)
        progress(len(batch))


@dataclass(frozen=True, slots=True)
class Steps:
    """A rollout as tokens, each given to its sentence; `reason`: why it is not to be read."""

    encoded: Encoded
    kept: tuple[sentences.Sentence, ...]
    positions: list[int]  # of tokens within them
    owner: NDArray[np.int64]  # which of them holds each token
    reason: str | None

    @classmethod
    def of(cls, encoded: Encoded) -> Steps:
        """Cut the text; marks of reasoning and sentences without a token hold none."""
        cut = sentences.segment(encoded.rollout.text)
        edges = [sentence.start for sentence in cut]
        owner = np.searchsorted(edges, encoded.starts, side="right") - 1
        n_tokens = np.bincount(owner, minlength=len(cut))
        kept = [i for i, s in enumerate(cut) if not s.is_special and n_tokens[i]]
        place = {i: number for number, i in enumerate(kept)}
        inside = [i for i, own in enumerate(owner.tolist()) if own in place]
        return cls(
            encoded,
            tuple(cut[i] for i in kept),
            [encoded.positions[i] for i in inside],
            np.array([place[int(owner[i])] for i in inside], dtype=np.int64),
            cls._why_not(encoded, len(kept)),
        )

    @staticmethod
    def _why_not(encoded: Encoded, n_sentences: int) -> str | None:
        if n_sentences < MIN_STATES_IN_TRAJECTORY:
            return f"of {n_sentences} sentences, {MIN_STATES_IN_TRAJECTORY} are needed"
        if not encoded.fits:
            n_tokens = len(encoded.ids)
            return f"{n_tokens:,} tokens with the prompt, {encoded.max_tokens:,} fit the model"
        return None

    @property
    def n_tokens(self) -> int:
        """Of the prompt and the text."""
        return len(self.encoded.ids)

    def means(self, values: Tensor) -> NDArray[np.float64]:
        """Mean over each sentence's tokens of what is known by token, first dimension."""
        rows = values.float().cpu().double()
        owner = torch.from_numpy(self.owner)
        shape = (len(self.kept), *rows.shape[1:])
        sums = torch.zeros(shape, dtype=torch.float64).index_add_(0, owner, rows)
        counts = torch.bincount(owner, minlength=len(self.kept)).double()
        return (sums / counts.reshape(-1, *[1] * (rows.ndim - 1))).numpy()


def _batches(
    ascending: Sequence[Steps], batch_size: int, n_heads: int
) -> Iterator[tuple[list[Steps], bool]]:
    """Neighbours in length that go through together, and whether their attention can be held."""
    batch: list[Steps] = []
    for one in ascending:
        per_row = n_heads * one.n_tokens**2
        if batch and (len(batch) == batch_size or (len(batch) + 1) * per_row > MAX_ATTENTION):
            yield batch, True
            batch = []
        if per_row > MAX_ATTENTION:
            yield [one], False
        else:
            batch.append(one)
    if batch:
        yield batch, True


def _read(model: CausalLM, batch: Sequence[Steps], *, has_attention: bool) -> Iterator[Trajectory]:
    caught: dict[str, Tensor] = {}
    block = blocks(model)[layer_of(model)]

    def catch_state(_: nn.Module, __: object, output: Any) -> None:
        caught["state"] = output if isinstance(output, Tensor) else output[0]

    def catch_attention(_: nn.Module, __: object, output: Any) -> None:
        if isinstance(output, tuple) and isinstance(output[1], Tensor):
            caught["attention"] = output[1].float().amax(-1).mean(1)  # of keys, then heads

    handles = [block.register_forward_hook(catch_state)]
    attention = next((m for name, m in block.named_children() if name in _ATTENTION), None)
    if has_attention and attention is not None:
        handles.append(attention.register_forward_hook(catch_attention))
    try:
        with _eager(model, is_wanted=has_attention):
            after_norm = model.states(model.pad([one.encoded.ids for one in batch])).after_norm
    finally:
        for handle in handles:
            handle.remove()
    for row, one in enumerate(batch):
        weights = caught["attention"][row, one.positions] if "attention" in caught else None
        yield Trajectory(
            one.encoded.rollout,
            one.kept,
            one.means(caught["state"][row, one.positions]),
            one.means(entropies(model, after_norm[row, one.positions])),
            None if weights is None else one.means(weights),
            None,
        )


@contextmanager
def _eager(model: CausalLM, *, is_wanted: bool) -> Generator[None]:
    """Attention that gives its weights, which the faster kinds never hold."""
    usual: str | None = model.model.config._attn_implementation
    if not is_wanted or usual in (None, "eager"):
        yield
        return
    model.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.model.set_attn_implementation(usual)


@torch.inference_mode()
def entropies(model: CausalLM, after_norm: Float[Tensor, "rows d_model"]) -> Float[Tensor, " rows"]:
    """Entropy in nats of the next token after each state; never all logits at once."""
    chunk = max(1, MAX_LOGITS // model.card.vocab_size)
    parts: list[Tensor] = []
    for rows in after_norm.split(chunk):
        log_p = model.logits(rows).log_softmax(-1)
        parts.append(-(log_p.exp() * log_p).nan_to_num(0.0).sum(-1))
    return torch.cat(parts)


def right_rollouts(texts: Texts) -> list[Rollout]:
    """The ones with a right answer, in order."""
    return [rollout for rollout in texts.rollouts if rollout.is_correct]
