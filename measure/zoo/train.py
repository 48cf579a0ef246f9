"""The one training loop: packed rows of tokens in, fp32 weights changed in place.

AdamW, linear warm-up, cosine to zero, mean cross-entropy in nats per token; where there is a
teacher at hand, its softened distribution beside the text. Given the same rows, weights and one
thread, it yields the same weights, interrupted or not.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional
from tqdm import tqdm
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from measure.zoo.recipes import MAX_POSITIONS, Shape

WARMUP_FRAC = 0.05
WEIGHT_DECAY = 0.1
CLIP_NORM = 1.0
LAST_STEPS = 20  # the final training loss is the mean over these
SOFTENING = 2.0  # temperature of both distributions when logits are learnt (DistilGPT2's)
CHECKPOINT_EVERY = 200  # steps
_OPEN_ROWS = 32
_MASKED = -100


def _rotary_config(config_class: Any, shape: Shape, **more: Any) -> Any:
    window = {} if shape.window is None else {"sliding_window": shape.window}
    return config_class(
        hidden_size=shape.width,
        num_hidden_layers=shape.n_layers,
        intermediate_size=shape.ffn_width,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        max_position_embeddings=MAX_POSITIONS,
        **window,
        **more,
    )


def _gemma2_config(shape: Shape, **more: Any) -> Gemma2Config:
    head_dim = shape.width // shape.n_heads
    return _rotary_config(
        Gemma2Config, shape, head_dim=head_dim, query_pre_attn_scalar=head_dim, **more
    )


def _gpt2_config(shape: Shape, **more: Any) -> GPT2Config:
    return GPT2Config(
        n_embd=shape.width,
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        n_inner=shape.ffn_width,
        n_positions=MAX_POSITIONS,
        # No recipe drops out: what a seed yields does not depend on where a run was interrupted.
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **more,
    )


_CLASSES: dict[str, tuple[Callable[..., Any], Callable[[Any], PreTrainedModel]]] = {
    "LlamaForCausalLM": (lambda s, **m: _rotary_config(LlamaConfig, s, **m), LlamaForCausalLM),
    "Qwen2ForCausalLM": (lambda s, **m: _rotary_config(Qwen2Config, s, **m), Qwen2ForCausalLM),
    "MistralForCausalLM": (
        lambda s, **m: _rotary_config(MistralConfig, s, **m),
        MistralForCausalLM,
    ),
    "Gemma2ForCausalLM": (_gemma2_config, Gemma2ForCausalLM),
    "GPT2LMHeadModel": (_gpt2_config, GPT2LMHeadModel),
}


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """The token ids that begin, end and fill up a document."""

    bos: int
    eos: int
    pad: int


def new_model(shape: Shape, vocab_size: int, ids: SpecialIds, seed: int) -> PreTrainedModel:
    """Make a model with random weights."""
    config_of, model_class = _CLASSES[shape.model_class]
    config = config_of(
        shape,
        vocab_size=vocab_size,
        tie_word_embeddings=shape.is_tied,
        bos_token_id=ids.bos,
        eos_token_id=ids.eos,
        pad_token_id=ids.pad,
    )
    # transformers draws initial weights from the global generator only.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config)


def half_of(model: PreTrainedModel) -> PreTrainedModel:
    """Keep every other block and the last: how DistilGPT2's student starts from its teacher."""
    decoder: Any = model.get_decoder()
    n_kept = len(decoder.layers) // 2
    kept = [*range(0, 2 * n_kept - 2, 2), len(decoder.layers) - 1]
    blocks: Any = torch.nn.ModuleList(decoder.layers[i] for i in kept)
    decoder.layers = blocks
    for position, block in enumerate(blocks):
        block.self_attn.layer_idx = position
    model.config.num_hidden_layers = n_kept
    return model


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
    model: PreTrainedModel,
    ids: Int[torch.Tensor, "rows tokens"],
    pad: int,
    teacher: PreTrainedModel | None = None,
) -> Float[torch.Tensor, ""]:
    """Mean cross-entropy in nats over the tokens of `ids` that are not `pad`.

    With a teacher, its mean with the KL divergence from the teacher's softened distribution to the
    student's, times the softening squared (Hinton et al. 2015).
    """
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
    is_pad = ids[:, 1:] == pad
    targets = ids[:, 1:].masked_fill(is_pad, _MASKED)
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=_MASKED)
    if teacher is None:
        return loss
    with torch.no_grad():
        wanted = teacher(input_ids=ids[:, :-1], use_cache=False).logits.float()
    student_log, teacher_log = ((z[~is_pad] / SOFTENING).log_softmax(-1) for z in (logits, wanted))
    divergence = functional.kl_div(student_log, teacher_log, reduction="batchmean", log_target=True)
    return 0.5 * loss + 0.5 * SOFTENING**2 * divergence


def rate_at(step: int, n_steps: int, peak: float) -> float:
    """Give the learning rate of a step: up over the first 5 % of steps, then a cosine to 0."""
    warmup = max(1, round(WARMUP_FRAC * n_steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, n_steps - warmup)))


def _optimizer(model: PreTrainedModel) -> torch.optim.AdamW:
    """Decay the matrices; norms and biases stay free."""
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), fused=True)


@dataclass(slots=True)
class _Progress:
    """Where a training stands; on disk after every `CHECKPOINT_EVERY` steps."""

    model: PreTrainedModel
    optimizer: torch.optim.AdamW
    path: Path | None
    losses: list[float] = field(default_factory=list[float])

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if self.path is None or not self.path.exists():
            return
        with safe_open(self.path, "pt") as saved, torch.no_grad():
            self.losses = json.loads(saved.metadata()["losses"])
            for name, weight in self.model.named_parameters():
                weight.copy_(saved.get_tensor(f"weight {name}"))
                if not weight.requires_grad:  # frozen beside a LoRA
                    continue
                self.optimizer.state[weight] = {
                    key: saved.get_tensor(f"{key} {name}")
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }

    def save(self) -> None:
        """Write the checkpoint; the file is replaced whole."""
        if self.path is None:
            return
        tensors: dict[str, torch.Tensor] = {}
        for name, weight in self.model.named_parameters():
            tensors[f"weight {name}"] = weight.detach()
            for key, value in self.optimizer.state.get(weight, {}).items():
                tensors[f"{key} {name}"] = value
        unfinished = self.path.with_suffix(".unfinished")
        save_file(tensors, unfinished, metadata={"losses": json.dumps(self.losses)})
        os.replace(unfinished, self.path)


def train(
    model: PreTrainedModel,
    stream: Iterable[Int[torch.Tensor, "rows tokens"]],
    n_steps: int,
    peak_lr: float,
    *,
    teacher: PreTrainedModel | None = None,
    penalty: Callable[[int], Float[torch.Tensor, ""]] | None = None,
    checkpoint: Path | None = None,
    bar: "tqdm[Any] | None" = None,
) -> list[float]:
    """Train on a stream of batches; returns the loss of each step, in nats per token.

    `penalty` of a step, from 0, is added to its loss, and is not in what is returned.

    With `checkpoint`, a training that was interrupted goes on from its last saved step; the stream
    must be the same one, from its beginning.
    """
    pad = model.config.pad_token_id
    optimizer = _optimizer(model)
    progress = _Progress(model, optimizer, checkpoint)
    progress.resume()
    losses = progress.losses
    if bar is not None:
        bar.initial = bar.n = len(losses)  # steps of an earlier run have no part in this one's rate
        bar.refresh()
    model.train()
    for step, ids in zip(range(n_steps), stream, strict=False):
        if step < len(losses):
            continue
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, n_steps, peak_lr)
        loss = next_token_loss(model, ids.to(model.device), pad, teacher)
        (loss if penalty is None else loss + penalty(step)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if len(losses) % CHECKPOINT_EVERY == 0:
            progress.save()
        if bar is not None:
            bar.update()
            bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    model.eval()
    return losses
