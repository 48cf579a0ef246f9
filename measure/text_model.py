"""What a measurement of texts asks of a model, whichever backend runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from measure.errors import BadInput
from measure.records import ModelCard

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from transformers import PreTrainedTokenizerFast

    Top = Float[torch.Tensor, "tokens k"]
    Logprobs = Float[NDArray[np.float64], " tokens"]

# Token ids of a text, and the positions in it that are scored: each given all before it, so none
# is 0.
Scored = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Greedy:
    """A continuation by the fp32 argmax, up to the token that ends a text."""

    new_ids: list[int]
    top: Top  # of each new token's state the k largest logits, but for a constant a token


class TextModel(ABC):
    """A causal model with its tokenizer; what it gives is of fp32 logits at temperature 1."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, card: ModelCard, device: torch.device
    ) -> None:
        self.tokenizer = tokenizer
        self.card = card
        self.device = device

    # --- what a backend runs --------------------------------------------------------------------

    @property
    @abstractmethod
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text, by the model's generation configuration or its tokenizer."""

    @property
    @abstractmethod
    def max_tokens(self) -> int | None:
        """Tokens that its positions reach; None where its configuration names no end."""

    @abstractmethod
    def continue_greedily(self, rows: Sequence[Sequence[int]], k: int, n_new: int) -> list[Greedy]:
        """Each row's greedy text of at most `n_new` tokens, all rows in one batch."""

    @abstractmethod
    def top_of(self, texts: Sequence[Scored], k: int) -> list[Top]:
        """The k largest logits before each scored token, but for a constant a token."""

    @abstractmethod
    def logprobs_of(self, texts: Sequence[Scored]) -> list[Logprobs]:
        """Log probabilities in nats of each text's scored tokens."""

    @abstractmethod
    def sample(
        self,
        rows: Sequence[Sequence[int]],
        rngs: Sequence[np.random.Generator],
        limits: Sequence[int],
        temperature: float,
        top_p: float,
    ) -> list[tuple[list[int], bool]]:
        """Each row's new tokens, at most its limit, drawn by its own generator.

        With them, whether the token that ends a text came; it is not among them.
        """

    # --- its tokenizer --------------------------------------------------------------------------

    def chat_prompt(self, message: str) -> str | None:
        """The text up to its reply by the model's own chat template; None without a template."""
        return chat_prompt(self.tokenizer, message, self.card.label)

    def encode(self, text: str, *, specials: bool = True) -> list[int]:
        """Token ids of a raw text with the special tokens the tokenizer adds by itself."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=specials)["input_ids"]  # pyright: ignore[reportAssignmentType]
        return self._known(ids)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of raw texts, without special tokens."""
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), add_special_tokens=False)
        rows: list[list[int]] = encoded["input_ids"]  # pyright: ignore[reportAssignmentType]
        return [self._known(ids) for ids in rows]

    @property
    def prefix_ids(self) -> list[int]:
        """The special tokens that its tokenizer puts before a text, such as BOS; often none."""
        with_specials, (bare,) = self.encode("a"), self.encode_many(["a"])
        return with_specials[: with_specials.index(bare[0])]

    def tokenizes_as(self, other: TextModel) -> bool:
        """Whether both tokenizers are the same, byte for byte."""
        ours, theirs = self.tokenizer.backend_tokenizer, other.tokenizer.backend_tokenizer
        return ours.to_str() == theirs.to_str()

    def encode_with_starts(
        self, text: str, *, specials: bool = True
    ) -> tuple[list[int], list[int]]:
        """Token ids, and the index of each token's first character (-1 for added specials)."""
        encoded = self.tokenizer(
            text,
            add_special_tokens=specials,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        ids: list[int] = encoded["input_ids"]  # pyright: ignore[reportAssignmentType]
        offsets: list[tuple[int, int]] = encoded["offset_mapping"]  # pyright: ignore[reportAssignmentType]
        added: list[int] = encoded["special_tokens_mask"]  # pyright: ignore[reportAssignmentType]
        # A special token written in the text itself (such as <think>) has an extent; an added
        # one (BOS) has none.
        starts = [
            -1 if special and start == end else start
            for (start, end), special in zip(offsets, added, strict=True)
        ]
        return self._known(ids), starts

    def _known(self, ids: list[int]) -> list[int]:
        if ids and max(ids) >= self.card.vocab_size:
            raise BadInput(
                f"the tokenizer of {self.card.label!r} gives token {max(ids):,}, but only "
                f"{self.card.vocab_size:,} embeddings exist: give the tokenizer it was trained with"
            )
        return ids

    def continuation(self, prompt_ids: Sequence[int], new_ids: Sequence[int]) -> str:
        """The text that `new_ids` add to the prompt, blanks at the seam kept."""
        before = self.tokenizer.decode(list(prompt_ids), clean_up_tokenization_spaces=False)
        whole = self.tokenizer.decode([*prompt_ids, *new_ids], clean_up_tokenization_spaces=False)
        if isinstance(before, str) and isinstance(whole, str) and whole.startswith(before):
            return whole[len(before) :]
        return str(self.tokenizer.decode(list(new_ids), clean_up_tokenization_spaces=False))


def chat_prompt(tokenizer: PreTrainedTokenizerFast, message: str, label: str) -> str | None:
    """The text up to a reply by a model's chat template; None without a template."""
    if tokenizer.chat_template is None:
        return None
    chat = [{"role": "user", "content": message}]
    try:
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # what a template raises is up to its author
        raise BadInput(
            f"the chat template of {label!r} failed ({one_line(error)}): "
            "give a model whose template takes one message of a user"
        ) from error
    return str(text)


def one_line(error: BaseException, limit: int = 200) -> str:
    """What an error says, without line breaks and cut; its class where it says nothing."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
