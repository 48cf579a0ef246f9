"""Text out of zoo models: greedy answers to score, sampled traces to teach with.

Sampling is exact and belongs to the item: token t of item i is argmax(logits / T + noise[i, t])
with Gumbel noise from the item's own generator (the Gumbel-max trick), so batch size and order do
not decide what is drawn.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from transformers import LogitsProcessor, PreTrainedModel, PreTrainedTokenizerBase

from measure.zoo import corpus, problems
from measure.zoo.recipes import NEW_TOKENS, TraceSet

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
        problems.item_rng(seed, "sample", first + i).gumbel(size=(NEW_TOKENS, vocab_size))
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
            input_ids=given["input_ids"].to(model.device),
            attention_mask=given["attention_mask"].to(model.device),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            logits_processor=noise,
        )
        new = out[:, given["input_ids"].shape[1] :]
        texts += tokenizer.batch_decode(new, skip_special_tokens=True)
    return texts


def traces(
    teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, wanted: TraceSet
) -> list[str]:
    """Let the teacher answer training problems; returns whole texts of right answers only."""
    asked = [
        corpus.told_problem(
            wanted.seed, i, is_held_out=False, horizon=wanted.horizon, is_clean=wanted.is_clean
        )
        for i in range(wanted.n)
    ]
    answered = replies(
        teacher,
        tokenizer,
        [made.prompt for made in asked],
        temperature=wanted.temperature,
        seed=wanted.seed,
    )
    pairs = zip(asked, answered, strict=True)
    return [made.prompt + text for made, text in pairs if problems.is_right(made, text)]
