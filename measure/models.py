"""Loading, tokenising, hooking: the only file that knows transformers.

Every logit is computed here in fp32: the state after the final norm, cast to fp32, times the fp32
unembedding, then the model's own scale and soft-cap. bf16 logits near 20 are good only to 1/8,
which makes a third of the top-20 gaps exactly 0.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from measure import gguf_header
from measure.errors import BadInput, OutOfMemory
from measure.records import ModelCard
from measure.request import sha256_of
from measure.sources import FAMILIES, Source, safetensors_header

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float, Int

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FINAL_NORMS = ("norm", "ln_f", "final_layernorm", "final_layer_norm")
# Below this, dividing a matrix product among threads costs more than it saves.
SMALL_PARAMS = 20_000_000
THREADS = torch.get_num_threads()
MIN_VOCABULARY = 21  # 20 gaps
# Logits held at once while scoring: 2**25 fp32 values are 128 MiB.
MAX_LOGITS = 2**25


@dataclass(frozen=True, slots=True)
class States:
    """Residual stream around the final norm, fp32."""

    before_norm: Float[Tensor, "batch tokens d_model"]  # site A
    after_norm: Float[Tensor, "batch tokens d_model"]  # site B


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids padded to one length, and which of them are real."""

    ids: Int[Tensor, "batch tokens"]
    mask: Bool[Tensor, "batch tokens"]


class CausalLM:
    """A decoder with an fp32 head and hooks at both sides of its final norm."""

    def __init__(
        self, model: Any, tokenizer: PreTrainedTokenizerFast, card: ModelCard, device: str
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.card = card
        self.device = torch.device(device)
        self.decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.base_model
        self.final_norm = _final_norm(self.decoder, card)
        head = model.get_output_embeddings()
        self._unembedding = head.weight.detach().float()
        self._bias = None if getattr(head, "bias", None) is None else head.bias.detach().float()

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text, by the model's generation configuration or its tokenizer."""
        declared: Any = getattr(self.model.generation_config, "eos_token_id", None)
        if declared is None:
            declared = self.tokenizer.eos_token_id
        if declared is None:
            return frozenset()
        several: list[int] = declared if isinstance(declared, list) else [declared]
        return frozenset(several)

    @property
    def max_tokens(self) -> int | None:
        """Tokens that its positions reach; None where its configuration names no end."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

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

    def tokenizes_as(self, other: CausalLM) -> bool:
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

    def pad(self, rows: Sequence[Sequence[int]], side: str = "right", extra: int = 0) -> Batch:
        """Pad rows of ids to the longest and `extra` more; pads are masked, so any id serves."""
        longest = max(len(row) for row in rows) + extra
        ids = torch.zeros((len(rows), longest), dtype=torch.long)
        mask = torch.zeros((len(rows), longest), dtype=torch.bool)
        for index, row in enumerate(rows):
            where = slice(0, len(row)) if side == "right" else slice(longest - len(row), longest)
            ids[index, where] = torch.tensor(row, dtype=torch.long)
            mask[index, where] = True
        return Batch(ids.to(self.device), mask.to(self.device))

    @torch.inference_mode()
    def states(self, batch: Batch, cache: DynamicCache | None = None) -> States:
        """One forward pass; with a cache, the ids are the new tokens and the mask covers all."""
        caught: dict[str, Tensor] = {}

        def catch_input(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            caught["before"] = args[0]

        def catch_output(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            caught["after"] = output

        positions = (batch.mask.long().cumsum(-1) - 1).clamp(min=0)[:, -batch.ids.shape[1] :]
        handles = [
            self.final_norm.register_forward_pre_hook(catch_input),
            self.final_norm.register_forward_hook(catch_output),
        ]
        with out_of_memory_named(len(batch.ids)):
            try:
                self.decoder(
                    input_ids=batch.ids,
                    attention_mask=batch.mask.long(),
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=cache is not None,
                )
            finally:
                for handle in handles:
                    handle.remove()
        return States(caught["before"].float(), caught["after"].float())

    @torch.inference_mode()
    def logits(self, after_norm: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """fp32 logits of states after the final norm, with the model's own scale and soft-cap."""
        logits = F.linear(after_norm.float(), self._unembedding, self._bias)
        return self._capped(self._scaled(logits))

    def token_logits(
        self, after_norm: Float[Tensor, "rows d_model"], tokens: Int[Tensor, "rows k"]
    ) -> Float[Tensor, "rows k"]:
        """fp32 logits of k tokens for each state, without those of the others; gradients pass."""
        logits = torch.einsum("rd,rkd->rk", after_norm.float(), self._unembedding[tokens])
        logits = logits if self._bias is None else logits + self._bias[tokens]
        return self._capped(self._scaled(logits))

    def token_directions(self, tokens: Int[Tensor, "rows k"]) -> Float[Tensor, "rows k d_model"]:
        """What a state after the final norm is multiplied by for each token, before a soft-cap."""
        return self._scaled(self._unembedding[tokens])

    def _capped(self, logits: Tensor) -> Tensor:
        cap = getattr(self.model.config, "final_logit_softcapping", None)  # Gemma2
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def _scaled(self, logits: Tensor) -> Tensor:
        config = self.model.config
        if (scale := getattr(config, "logit_scale", None)) is not None:  # Cohere multiplies
            logits = logits * scale
        if (divisor := getattr(config, "logits_scaling", None)) is not None:  # Granite divides
            logits = logits / divisor
        return logits

    @torch.inference_mode()
    def top_logits(
        self, after_norm: Float[Tensor, "rows d_model"], k: int
    ) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
        """The k largest fp32 logits of each state and their tokens, never all at once."""
        chunk = max(1, MAX_LOGITS // self._unembedding.shape[0])
        with out_of_memory_named(len(after_norm)):
            parts = [self.logits(rows).topk(k) for rows in after_norm.split(chunk)]
        return (
            torch.cat([part.values for part in parts]),
            torch.cat([part.indices for part in parts]),
        )

    @torch.inference_mode()
    def token_logprobs(
        self, after_norm: Float[Tensor, "rows d_model"], tokens: Int[Tensor, " rows"]
    ) -> Float[Tensor, " rows"]:
        """Log probability in nats of a token after each state, at temperature 1.

        The logits of all states never stand in memory at once.
        """
        chunk = max(1, MAX_LOGITS // self._unembedding.shape[0])
        parts = [torch.empty(0, device=after_norm.device)]
        with out_of_memory_named(len(after_norm)):
            for rows, given in zip(after_norm.split(chunk), tokens.split(chunk), strict=True):
                logits = self.logits(rows)
                parts.append(logits.gather(1, given[:, None])[:, 0] - logits.logsumexp(1))
        return torch.cat(parts)

    def new_cache(self) -> DynamicCache:
        """An empty key-value cache fit for the model's attention layers."""
        return DynamicCache(config=self.model.config)


@contextlib.contextmanager
def out_of_memory_named(batch_size: int) -> Generator[None]:
    """Turn the allocator's errors, which differ by device, into ours."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(batch_size) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error):  # the CPU allocator has no class of its own
            raise OutOfMemory(batch_size) from error
        raise


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have, before anything long begins."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise BadInput(
            f"device {device!r} cannot be used here ({_one_line(error, 80)}): give `cpu`"
            + (" or `cuda:0`" if torch.cuda.is_available() else "")
        ) from error


def check_dtype(dtype: str) -> None:
    """Raises BadInput for a type that weights cannot be held in."""
    if dtype not in DTYPES:
        raise BadInput(f"dtype {dtype!r} is unknown: give one of {', '.join(DTYPES)}")


def pick_device() -> str:
    """The first GPU if there is one, else the CPU."""
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def use_threads(n_params: int) -> None:
    """As many threads as a model of that size is worth."""
    torch.set_num_threads(1 if n_params < SMALL_PARAMS else THREADS)


def load(source: Source, *, device: str, dtype: str = "float32") -> CausalLM:
    """Load a checked source and refuse what would measure something else than the model.

    Raises:
        BadInput: weights missing or not finite, a tokenizer that does not fit, a head whose
            arithmetic is unknown here, or an unknown architecture.
    """
    check_dtype(dtype)
    safe = _safe_arguments(source)
    tokenizer = _load_tokenizer(source, safe)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.folder,
            dtype=DTYPES[dtype],
            use_safetensors=True if source.gguf_file is None else None,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, with the tensor's name
            **safe,
        )
    except ImportError as error:
        raise BadInput(
            f"model {source.ref!r} needs an extra that is not installed ({_one_line(error)}): "
            "install `cicatrix[gguf]`"
        ) from error
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise BadInput(
            f"model {source.ref!r} could not be loaded by transformers ({_one_line(error)}): "
            "give a causal language model of an architecture it knows"
        ) from error
    model, info = loaded
    _refuse_missing(source, info)
    _refuse_not_finite(source, model)
    with out_of_memory_named(1):
        model.eval().to(device)
    use_threads(model.num_parameters())
    decoder = CausalLM(model, tokenizer, _card(source, model, tokenizer), device)
    _refuse_misfit_tokenizer(source, decoder)
    _refuse_unknown_head(source, decoder, dtype)
    return decoder


def tokenizer_of(source: Source) -> PreTrainedTokenizerFast:
    """The tokenizer of a checked source, without its weights.

    Raises:
        BadInput: none that gives character offsets.
    """
    return _load_tokenizer(source, _safe_arguments(source))


def shape_of(source: Source) -> tuple[int, int]:
    """Layers, and heads and MLPs of all of them, by the configuration alone."""
    config = AutoConfig.from_pretrained(source.folder, **_safe_arguments(source)).get_text_config()
    n_layers: int = config.num_hidden_layers
    return n_layers, n_layers * (config.num_attention_heads + 1)


def _load_tokenizer(source: Source, safe: dict[str, Any]) -> PreTrainedTokenizerFast:
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, **safe)
    except ImportError as error:
        raise BadInput(
            f"model {source.ref!r} needs an extra that is not installed ({_one_line(error)}): "
            "install `cicatrix[gguf]`"
        ) from error
    except Exception as error:  # noqa: BLE001  the Rust tokenizers raise bare Exception
        raise BadInput(
            f"the tokenizer of {source.ref!r} could not be loaded ({_one_line(error)}): "
            "give a folder with tokenizer.json"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise BadInput(
            f"the tokenizer of {source.ref!r} gives no character offsets: "
            "give a folder with tokenizer.json"
        )
    return tokenizer


def load_tokenizer(source: Source) -> PreTrainedTokenizerFast:
    """A model's tokenizer without the model."""
    return _load_tokenizer(source, _safe_arguments(source))


def chat_prompt(tokenizer: PreTrainedTokenizerFast, message: str, label: str) -> str | None:
    """The text up to a reply by a model's chat template; None without a template."""
    if tokenizer.chat_template is None:
        return None
    chat = [{"role": "user", "content": message}]
    try:
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # what a template raises is up to its author
        raise BadInput(
            f"the chat template of {label!r} failed ({_one_line(error)}): "
            "give a model whose template takes one message of a user"
        ) from error
    return str(text)


def _one_line(error: BaseException, limit: int = 200) -> str:
    return " ".join(str(error).split())[:limit] or type(error).__name__


def _refuse_missing(source: Source, info: dict[str, Any]) -> None:
    missing = sorted(info.get("missing_keys") or ())
    wrong = sorted(str(key) for key in info.get("mismatched_keys") or ())
    if missing or wrong:
        raise BadInput(
            f"model {source.ref!r}: its weight files do not hold what its configuration wants "
            f"({len(missing)} tensors missing, {len(wrong)} of another shape, such as "
            f"{(missing + wrong)[0]!r}): give the complete checkpoint"
        )


def _refuse_not_finite(source: Source, model: nn.Module) -> None:
    for name, weights in model.named_parameters():
        if not bool(torch.isfinite(weights).all()):
            raise BadInput(
                f"model {source.ref!r} has NaN or infinite weights in {name!r}: "
                "the checkpoint is damaged; give another"
            )


def _refuse_misfit_tokenizer(source: Source, model: CausalLM) -> None:
    """Special tokens without an embedding are common (a pad token added later), never reached."""
    rows, vocabulary = model.card.vocab_size, model.tokenizer.get_vocab()
    special = set(model.tokenizer.all_special_tokens)
    beyond = [token for token, id_ in vocabulary.items() if id_ >= rows and token not in special]
    if beyond:
        raise BadInput(
            f"the tokenizer of {source.ref!r} has token ids up to "
            f"{max(vocabulary.values()):,}, its model only {rows:,} embeddings: "
            "give the tokenizer this model was trained with"
        )
    if rows <= MIN_VOCABULARY:
        raise BadInput(
            f"model {source.ref!r} has a vocabulary of {rows}: the top gaps need more than "
            f"{MIN_VOCABULARY} tokens"
        )


def _refuse_unknown_head(source: Source, model: CausalLM, dtype: str) -> None:
    """Our head against the model's own on a few tokens: an unknown scale or cap would show here."""
    batch = model.pad([list(range(min(8, model.card.vocab_size)))])
    with torch.inference_mode():
        own = model.model(input_ids=batch.ids, attention_mask=batch.mask.long()).logits.float()
    ours = model.logits(model.states(batch).after_norm)
    if own.shape != ours.shape or not bool(torch.isfinite(own).all()):
        raise BadInput(f"model {source.ref!r} gives logits that are not finite: it cannot be used")
    # The model's own head rounds to its storage type; 2^-7 is bf16's step next to 1.
    relative = 1e-4 if dtype == "float32" else 2**-5
    off, scale = (own - ours).abs().max().item(), own.abs().max().item()
    if off > relative * max(1.0, scale):
        raise BadInput(
            f"model {source.ref!r} ({model.card.architecture}) makes its logits in a way not known "
            f"here (ours differ by {off:.3g} of {scale:.3g}): its head needs support in "
            "measure/models.py before its gaps mean anything"
        )


def _final_norm(decoder: nn.Module, card: ModelCard) -> nn.Module:
    for name in FINAL_NORMS:
        if isinstance(norm := getattr(decoder, name, None), nn.Module):
            return norm
    raise BadInput(
        f"architecture {card.architecture!r} has no final norm under {', '.join(FINAL_NORMS)}: "
        "it needs support in measure/models.py"
    )


def _card(source: Source, model: Any, tokenizer: PreTrainedTokenizerFast) -> ModelCard:
    config = model.config
    return ModelCard(
        model_id=source.model_id,
        label=source.label,
        source=source.kind,
        family=FAMILIES.get(str(config.model_type), str(config.model_type)),
        architecture=type(model).__name__,
        model_type=config.model_type,
        n_params=sum(weights.numel() for weights in model.parameters()),
        n_layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        vocab_size=model.get_output_embeddings().weight.shape[0],
        weight_dtype=_weight_dtype(source),
        tokenizer_sha256=sha256_of(sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])),
    )


def _weight_dtype(source: Source) -> str:
    """The storage type most tensors have, as safetensors or llama.cpp spells it."""
    if source.gguf_file is not None:
        return f"GGUF {gguf_header.quantisation(source.folder / source.gguf_file) or ''}".rstrip()
    found = [
        str(entry["dtype"])
        for file in source.folder.glob("*.safetensors")
        for entry in safetensors_header(file).values()
    ]
    return max(set(found), key=found.count)


def refuse_unlike_base(source: Source, base: Source, texts: Sequence[str]) -> None:
    """A derivative must have its base's width and read every prompt as the same token ids.

    Raises:
        BadInput: otherwise; nothing of a pair would be comparable.
    """
    width, base_width = (hidden_size(s) for s in (source, base))
    if width is not None and base_width is not None and width != base_width:
        raise BadInput(
            f"base {base.ref!r} has width {base_width:,}, model {source.ref!r} {width:,}: "
            "give the model it was derived from (a stranger goes in --reference)"
        )
    ours, theirs = (load_tokenizer(s)(list(texts))["input_ids"] for s in (source, base))
    differing = sum(a != b for a, b in zip(ours, theirs, strict=True))  # pyright: ignore[reportArgumentType]
    if differing:
        raise BadInput(
            f"base {base.ref!r} and model {source.ref!r} read {differing} of {len(texts)} prompts "
            "as different token ids: give the model it was derived from, with its tokenizer"
        )


def hidden_size(source: Source) -> int | None:
    """From the configuration or the header alone; None where it does not say."""
    if source.gguf_file is not None:
        return gguf_header.hidden_size(source.folder / source.gguf_file)
    config = AutoConfig.from_pretrained(source.folder, **_safe_arguments(source))
    return getattr(config.get_text_config(), "hidden_size", None)


def _safe_arguments(source: Source) -> dict[str, Any]:
    """No code from outside, nothing fetched while loading."""
    where = {} if source.gguf_file is None else {"gguf_file": source.gguf_file}
    return {"trust_remote_code": False, "local_files_only": True, **where}
