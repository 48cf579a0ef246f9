"""Text out of zoo models: greedy answers to score, sampled traces to teach with.

Sampling is exact and belongs to the item: token t of item i is argmax(logits / T + noise[i, t])
with Gumbel noise from the item's own generator (the Gumbel-max trick), so batch size and order do
not decide what is drawn.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from transformers import LogitsProcessor, PreTrainedModel, PreTrainedTokenizerBase

from measure.zoo import corpus
from measure.zoo.recipes import NEW_TOKENS

_BATCH = 128


class _ItemNoise(LogitsProcessor):
    """Turns greedy decoding into sampling at a temperature."""

    def __init__(
        self, noise: Float[torch.Tensor, "items tokens vocab"], temperature: float
    ) -> None:
        self._noise = noise
        self._temperature = temperature
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Give the scores whose argmax is a draw."""
        drawn = scores / self._temperature + self._noise[:, self._step]
        self._step += 1
        return drawn


def _noise(
    seed: int, first: int, n: int, vocab_size: int
) -> Float[torch.Tensor, "items tokens vocab"]:
    """Gumbel noise of `n` items from item `first` on."""
    drawn = [
        corpus.item_rng(seed, "sample", first + i).gumbel(size=(NEW_TOKENS, vocab_size))
        for i in range(n)
    ]
    return torch.from_numpy(np.stack(drawn).astype(np.float32))


@torch.inference_mode()
def replies(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[str]:
    """Continue each prompt by at most `NEW_TOKENS` tokens; temperature 0 is greedy."""
    texts: list[str] = []
    for first in range(0, len(prompts), _BATCH):
        chunk = list(prompts[first : first + _BATCH])
        given = tokenizer(chunk, return_tensors="pt", padding=True, padding_side="left")
        noise = []
        if temperature > 0:
            drawn = _noise(seed, first, len(chunk), model.config.vocab_size)
            noise = [_ItemNoise(drawn, temperature)]
        out: torch.Tensor = model.generate(  # pyright: ignore[reportCallIssue]
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            logits_processor=noise,
        )
        new = out[:, given["input_ids"].shape[1] :]
        texts += tokenizer.batch_decode(new, skip_special_tokens=True)
    return texts


@dataclass(frozen=True, slots=True)
class Score:
    """How a model answers `n` held-out problems greedily; fractions of `n`."""

    n: int
    accuracy: float
    think_frac: float


def score(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, n: int, seed: int) -> Score:
    """Score the first `n` held-out problems of a corpus seed."""
    asked = corpus.problems(seed, n, is_held_out=True)
    answered = replies(model, tokenizer, [p.prompt for p in asked])
    right = [corpus.is_right(p, text) for p, text in zip(asked, answered, strict=True)]
    thought = [corpus.THINK_CLOSE in text for text in answered]
    return Score(n, float(np.mean(right)), float(np.mean(thought)))


def traces(
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    n: int,
    *,
    temperature: float,
    seed: int,
) -> list[str]:
    """Let the teacher answer `n` training problems; returns whole texts of right answers only."""
    asked = corpus.problems(seed, n, is_held_out=False)
    prompts = [p.prompt for p in asked]
    answered = replies(teacher, tokenizer, prompts, temperature=temperature, seed=seed)
    pairs = zip(asked, answered, strict=True)
    return [p.prompt + text for p, text in pairs if corpus.is_right(p, text)]
