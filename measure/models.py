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

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from measure import candidates, decoding, gguf_header
from measure.errors import BadInput, OutOfMemory
from measure.records import ModelCard
from measure.request import sha256_of
from measure.sources import FAMILIES, Source, read_config, safetensors_header
from measure.text_model import Greedy, Scored, TextModel, one_line

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float, Int

    from measure.text_model import Logprobs, Top

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


class CausalLM(TextModel):
    """A decoder with an fp32 head and hooks at both sides of its final norm."""

    def __init__(
        self, model: Any, tokenizer: PreTrainedTokenizerFast, card: ModelCard, device: str
    ) -> None:
        super().__init__(tokenizer, card, torch.device(device))
        self.model = model
        self.decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.base_model
        self.final_norm = _final_norm(self.decoder, card)
        head = model.get_output_embeddings()
        self._unembedding = head.weight.detach().float()
        self._bias = None if getattr(head, "bias", None) is None else head.bias.detach().float()

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text, by the model's generation configuration or its tokenizer."""
        return eos_ids(self.model.generation_config, self.tokenizer)

    @property
    def max_tokens(self) -> int | None:
        """Tokens that its positions reach; None where its configuration names no end."""
        return max_tokens(self.model.config)

    def continue_greedily(self, rows: Sequence[Sequence[int]], k: int, n_new: int) -> list[Greedy]:
        """Each row's greedy text of at most `n_new` tokens, all rows in one batch."""
        tops, chosen = decoding.greedy(self, rows, k, n_new)
        return [Greedy(ids, top[: len(ids)]) for ids, top in zip(chosen, tops, strict=True)]

    def top_of(self, texts: Sequence[Scored], k: int) -> list[Top]:
        """The k largest logits before each scored token."""
        return decoding.top_logits(self, texts, k)

    def logprobs_of(self, texts: Sequence[Scored]) -> list[Logprobs]:
        """Log probabilities in nats of each text's scored tokens."""
        return decoding.token_logprobs(self, texts)

    def sample(
        self,
        rows: Sequence[Sequence[int]],
        rngs: Sequence[np.random.Generator],
        limits: Sequence[int],
        temperature: float,
        top_p: float,
    ) -> list[tuple[list[int], bool]]:
        """Each row's new tokens, at the uniform numbers of its own generator."""
        uniforms = np.array([rng.random(max(limits)) for rng in rngs])
        return decoding.sample(self, rows, uniforms, limits, temperature, top_p)

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


class MaskedLM(CausalLM):
    """An encoder that fills masks: for circuits alone, which ask it at the mask's position.

    Its layers norm the stream as they add to it, so its `final_norm` is nothing, and the head
    transforms a state before the unembedding.
    """

    def __init__(  # of the decoder's only what an encoder has too
        self, model: Any, tokenizer: PreTrainedTokenizerFast, card: ModelCard, device: str
    ) -> None:
        TextModel.__init__(self, tokenizer, card, torch.device(device))
        self.model = model
        self.decoder = model.base_model
        self.final_norm = nn.Identity()
        head = model.get_output_embeddings()
        self._unembedding = head.weight.detach().float()
        self._bias = head.bias.detach().float()

    @torch.inference_mode()
    def states(self, batch: Batch, cache: DynamicCache | None = None) -> States:
        """One forward pass; both sites are the state after the last layer."""
        del cache  # of what is continued
        with out_of_memory_named(len(batch.ids)):
            encoded = self.decoder(input_ids=batch.ids, attention_mask=batch.mask.long())
        after: Tensor = encoded.last_hidden_state.float()
        return States(after, after)

    @torch.inference_mode()
    def logits(self, after_norm: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """fp32 logits of states after the last layer."""
        return super().logits(self._transformed(after_norm))

    def token_logits(
        self, after_norm: Float[Tensor, "rows d_model"], tokens: Int[Tensor, "rows k"]
    ) -> Float[Tensor, "rows k"]:
        """fp32 logits of k tokens for each state; gradients pass."""
        return super().token_logits(self._transformed(after_norm), tokens)

    def token_directions(self, tokens: Int[Tensor, "rows k"]) -> Float[Tensor, "rows k d_model"]:
        """None: between a state and its logits stands a transform that is not linear.

        Raises:
            BadInput: always.
        """
        raise BadInput(
            f"{self.card.label!r} is a masked model, whose layers and head norm what they add: "
            "no part of it writes towards a token by itself; leave `residual` out"
        )

    def _transformed(self, states: Tensor) -> Tensor:
        if hasattr(self.model, "cls"):  # BERT
            return self.model.cls.predictions.transform(states)
        inner = self.model.activation(self.model.vocab_transform(states))  # DistilBERT
        return self.model.vocab_layer_norm(inner)


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
            f"device {device!r} cannot be used here ({one_line(error, 80)}): give `cpu`"
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


def eos_ids(generation_config: Any, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """Tokens that end a text, by a generation configuration or else the tokenizer."""
    declared: Any = getattr(generation_config, "eos_token_id", None)
    if declared is None:
        declared = tokenizer.eos_token_id
    if declared is None:
        return frozenset()
    several: list[int] = declared if isinstance(declared, list) else [declared]
    return frozenset(several)


def max_tokens(config: Any) -> int | None:
    """Tokens that a model's positions reach, by its configuration."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def load(source: Source, *, device: str, dtype: str = "float32") -> CausalLM:
    """Load a checked source and refuse what would measure something else than the model.

    Raises:
        BadInput: weights missing or not finite, a tokenizer that does not fit, a head whose
            arithmetic is unknown here, or an unknown architecture.
    """
    check_dtype(dtype)
    safe = _safe_arguments(source)
    tokenizer = _load_tokenizer(source, safe)
    kind = AutoModelForMaskedLM if source.is_masked else AutoModelForCausalLM
    try:
        loaded: Any = kind.from_pretrained(
            source.folder,
            dtype=DTYPES[dtype],
            use_safetensors=True if source.gguf_file is None else None,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, with the tensor's name
            **safe,
        )
    except ImportError as error:
        raise BadInput(
            f"model {source.ref!r} needs an extra that is not installed ({one_line(error)}): "
            "install `cicatrix[gguf]`"
        ) from error
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise BadInput(
            f"model {source.ref!r} could not be loaded by transformers ({one_line(error)}): "
            "give a causal language model of an architecture it knows"
        ) from error
    model, info = loaded
    _refuse_missing(source, info)
    _refuse_not_finite(source, model)
    with out_of_memory_named(1):
        model.eval().to(device)
    use_threads(model.num_parameters())
    with_head = MaskedLM if source.is_masked else CausalLM
    decoder = with_head(model, tokenizer, _card(source, model, tokenizer), device)
    refuse_misfit_tokenizer(source, decoder)
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
            f"model {source.ref!r} needs an extra that is not installed ({one_line(error)}): "
            "install `cicatrix[gguf]`"
        ) from error
    except Exception as error:  # noqa: BLE001  the Rust tokenizers raise bare Exception
        raise BadInput(
            f"the tokenizer of {source.ref!r} could not be loaded ({one_line(error)}): "
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


def refuse_misfit_tokenizer(source: Source, model: TextModel) -> None:
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


def card_without_weights(
    source: Source, tokenizer: PreTrainedTokenizerFast
) -> tuple[PreTrainedConfig, ModelCard]:
    """What a model is, by its configuration and its files' headers alone.

    Raises:
        BadInput: an architecture that transformers does not know.
    """
    safe = _safe_arguments(source)
    try:
        config = AutoConfig.from_pretrained(source.folder, **safe)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError, OSError, ImportError) as error:
        raise BadInput(
            f"model {source.ref!r} is of no architecture that transformers knows "
            f"({one_line(error)}): give a causal language model that it knows"
        ) from error
    return config, _card(source, model, tokenizer)


def _weight_dtype(source: Source) -> str:
    """The storage type most tensors have, as safetensors or llama.cpp spells it."""
    if source.gguf_file is not None:
        return f"GGUF {gguf_header.quantisation(source.folder / source.gguf_file) or ''}".rstrip()
    found = [
        str(entry["dtype"])
        for file in source.folder.glob("*.safetensors")
        for entry in safetensors_header(file).values()
    ]
    most = max(set(found), key=found.count)
    quantised = candidates.quantisation_of(read_config(source.ref, source.folder))
    return most if quantised is None else f"{most} {quantised}"


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
