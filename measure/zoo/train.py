"""The one training loop: packed rows of tokens in, fp32 weights changed in place.

AdamW, linear warm-up, cosine to zero, mean cross-entropy in nats per token. Given the same rows,
weights and one thread, it yields the same weights.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch.nn import functional
from tqdm import tqdm
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from measure.zoo.recipes import MAX_POSITIONS, Shape

WARMUP_FRAC = 0.05
WEIGHT_DECAY = 0.1
CLIP_NORM = 1.0
LAST_STEPS = 20  # the final training loss is the mean over these
_OPEN_ROWS = 32
_MASKED = -100

_CLASSES: dict[str, tuple[Any, Callable[[Any], PreTrainedModel]]] = {
    "LlamaForCausalLM": (LlamaConfig, LlamaForCausalLM),
    "Qwen2ForCausalLM": (Qwen2Config, Qwen2ForCausalLM),
}


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """The token ids that begin, end and fill up a document."""

    bos: int
    eos: int
    pad: int


def new_model(shape: Shape, vocab_size: int, ids: SpecialIds, seed: int) -> PreTrainedModel:
    """Make a model with random weights."""
    config_class, model_class = _CLASSES[shape.model_class]
    config = config_class(
        vocab_size=vocab_size,
        hidden_size=shape.width,
        num_hidden_layers=shape.n_layers,
        intermediate_size=shape.ffn_width,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        tie_word_embeddings=shape.is_tied,
        max_position_embeddings=MAX_POSITIONS,
        bos_token_id=ids.bos,
        eos_token_id=ids.eos,
        pad_token_id=ids.pad,
    )
    # transformers draws initial weights from the global generator only.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config)


def pack(documents: Iterable[list[int]], row_tokens: int, pad: int) -> Iterator[list[int]]:
    """Put whole documents into rows of `row_tokens`, first fit; the rest of a row is `pad`.

    A document is never cut, unless it alone is longer than a row.
    """
    rows: list[list[int]] = []
    for document in documents:
        document = document[:row_tokens]
        fitting = (row for row in rows if len(row) + len(document) <= row_tokens)
        row = next(fitting, None)
        if row is None:
            if len(rows) == _OPEN_ROWS:
                fullest = max(range(len(rows)), key=lambda i: len(rows[i]))
                full = rows.pop(fullest)
                yield full + [pad] * (row_tokens - len(full))
            row = list[int]()
            rows.append(row)
        row.extend(document)
    for row in rows:
        yield row + [pad] * (row_tokens - len(row))


def batches(
    rows: Shaped[np.ndarray, "all_rows tokens"], n_steps: int, batch_rows: int, seed: int
) -> Iterator[Int[torch.Tensor, "rows tokens"]]:
    """Yield `n_steps` batches; each pass over `rows` has an order of its own."""
    order = np.empty(0, dtype=np.int64)
    epoch = 0
    for _ in range(n_steps):
        while len(order) < batch_rows:
            shuffled = np.random.default_rng([seed, epoch]).permutation(len(rows))
            order, epoch = np.concatenate([order, shuffled]), epoch + 1
        taken, order = order[:batch_rows], order[batch_rows:]
        yield torch.from_numpy(rows[taken].astype(np.int64))


def next_token_loss(
    model: PreTrainedModel, ids: Int[torch.Tensor, "rows tokens"], pad: int
) -> Float[torch.Tensor, ""]:
    """Mean cross-entropy in nats over the tokens of `ids` that are not `pad`."""
    logits = model(input_ids=ids[:, :-1]).logits.float()
    targets = ids[:, 1:].masked_fill(ids[:, 1:] == pad, _MASKED)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=_MASKED)


def rate_at(step: int, n_steps: int, peak: float) -> float:
    """Give the learning rate of a step: up over the first 5 % of steps, then a cosine to 0."""
    warmup = max(1, round(WARMUP_FRAC * n_steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, n_steps - warmup)))


def _optimizer(model: PreTrainedModel) -> torch.optim.AdamW:
    """Decay the matrices; norms and biases stay free."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95))


def train(
    model: PreTrainedModel,
    stream: Iterable[Int[torch.Tensor, "rows tokens"]],
    n_steps: int,
    peak_lr: float,
    *,
    bar: "tqdm[Any] | None" = None,
) -> list[float]:
    """Train on a stream of batches; returns the loss of each step, in nats per token."""
    pad = model.config.pad_token_id
    optimizer = _optimizer(model)
    model.train()
    losses: list[float] = []
    for step, ids in zip(range(n_steps), stream, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, n_steps, peak_lr)
        loss = next_token_loss(model, ids, pad)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if bar is not None:
            bar.update()
            bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    model.eval()
    return losses
