"""A model that vLLM runs: generation with the top logits, and log probabilities of given texts.

The head is fp32 whatever the weights are (`head_dtype`); log probabilities are of temperature 1,
before any sampling. Their differences are those of the logits. A text is scored as its ids but the
last: vLLM always generates a token, and the distribution of that one is the last token's.

Batches decide how vLLM rounds, so theirs is fixed: the engine runs in this process, since across
processes it begins before all texts of a batch have come; no prefix is kept from one batch to the
next; and at most `MAX_BATCHED_TOKENS` go through the model at once.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from transformers import GenerationConfig

from measure import candidates, models
from measure.backends import MAX_BATCHED_TOKENS, Backend
from measure.errors import BadInput, OutOfMemory
from measure.functional import K
from measure.sources import Source, read_config
from measure.text_model import Greedy, Scored, TextModel, one_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from measure.records import ModelCard
    from measure.text_model import Logprobs, Top

# Nothing is told to vLLM's makers; standard output is for records; one process, see above. On a CPU
# this process keeps its threads where they are, and 1 GiB of keys and values is plenty.
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
}
DEFAULTS = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


# --- what of vLLM is used -------------------------------------------------------------------------


class Logprob(Protocol):
    """Of one token."""

    logprob: float


Step = Mapping[int, Logprob]  # by token id: the top ones, and the one that stands there


class Completion(Protocol):
    """What was generated for one text."""

    token_ids: Sequence[int]
    logprobs: Sequence[Step] | None


class Output(Protocol):
    """Of one text: before each of its tokens but the first, and what was generated."""

    prompt_logprobs: Sequence[Step | None] | None
    outputs: Sequence[Completion]


class Engine(Protocol):
    """vLLM's `LLM`, or what stands in for it in tests."""

    def generate(
        self, prompts: Sequence[Any], sampling_params: Sequence[Any], *, use_tqdm: bool
    ) -> Sequence[Output]:
        """One output a prompt, in their order."""
        ...


class Api(Protocol):
    """The part of the module `vllm` that is called here."""

    def LLM(self, **arguments: Any) -> Engine:  # noqa: N802  its own name
        """An engine with a model in it."""
        ...

    def SamplingParams(self, **arguments: Any) -> Any:  # noqa: N802
        """How one text is continued."""
        ...


def api() -> Api:
    """The module `vllm`, imported now, under settings that hold for this process."""
    os.environ.update(ENVIRONMENT)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        found: Any = importlib.import_module("vllm")
    except (ImportError, RuntimeError, OSError) as error:
        raise BadInput(
            f"vllm is installed but cannot be imported ({one_line(error)}): on a CPU, uninstall "
            "torchvision, torchaudio and torchcodec"
        ) from error
    return found


# --- a model of it --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loading:
    """What an engine is made with; it is made anew where a batch failed or is larger."""

    source: Source
    backend: Backend
    dtype: str
    is_cpu: bool

    def arguments(self, batch_size: int) -> dict[str, Any]:
        """Of vLLM's `LLM`."""
        return {
            "model": str(self.source.folder),
            "skip_tokenizer_init": True,  # token ids go in and come out
            "trust_remote_code": False,
            "load_format": "safetensors",
            "generation_config": "vllm",  # no sampling that we do not ask for
            "dtype": self.dtype,
            "quantization": self.backend.quantization,
            "hf_overrides": {"head_dtype": "float32"},
            "tensor_parallel_size": self.backend.tensor_parallel_size,
            "distributed_executor_backend": (
                "uni" if self.backend.tensor_parallel_size == 1 else "mp"
            ),
            "enforce_eager": self.is_cpu,
            "max_logprobs": K + 1,
            "logprobs_mode": "raw_logprobs",
            "max_num_seqs": batch_size,
            "max_num_batched_tokens": max(MAX_BATCHED_TOKENS, batch_size),
            "enable_prefix_caching": False,
            "seed": 0,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        }


class VllmModel(TextModel):
    """A causal model in an engine of vLLM's, of which a process holds one at a time."""

    # Whoever let go of a model before may still be held by the traceback of a failure.
    _running: ClassVar[weakref.ref[VllmModel] | None] = None

    def __init__(
        self,
        vllm: Api,
        loading: Loading,
        tokenizer: PreTrainedTokenizerFast,
        card: ModelCard,
        *,
        device: str,
        batch_size: int,
        eos_ids: frozenset[int],
        max_tokens: int | None,
    ) -> None:
        super().__init__(tokenizer, card, torch.device(device))
        self._vllm = vllm
        self._loading = loading
        self._batch_size = batch_size
        self._eos_ids = eos_ids
        self._max_tokens = max_tokens
        self._engine: Engine | None = None

    def __del__(self) -> None:
        # At the end of the process modules may be gone already, and their memory with them.
        with contextlib.suppress(Exception):
            self.stop()

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text, by the model's generation configuration or its tokenizer."""
        return self._eos_ids

    @property
    def max_tokens(self) -> int | None:
        """Tokens that its positions reach; None where its configuration names no end."""
        return self._max_tokens

    def continue_greedily(self, rows: Sequence[Sequence[int]], k: int, n_new: int) -> list[Greedy]:
        """Each row's greedy text of at most `n_new` tokens, all rows in one batch."""
        limits = [self._room(row, n_new) for row in rows]
        asked = [
            self._vllm.SamplingParams(temperature=0.0, logprobs=k, max_tokens=n, **self._ends)
            for n in limits
        ]
        found: list[Greedy] = []
        for output in self._generate(rows, asked):
            (made,) = output.outputs
            ids, _ = self._before_end(made.token_ids)
            found.append(Greedy(ids, _tops(list(made.logprobs or ())[: len(ids)], k)))
        return found

    def top_of(self, texts: Sequence[Scored], k: int) -> list[Top]:
        """The k largest log probabilities before each scored token."""
        return [_tops(steps, k) for steps in self._steps(texts, k)]

    def logprobs_of(self, texts: Sequence[Scored]) -> list[Logprobs]:
        """Log probabilities in nats of each text's scored tokens."""
        found: list[Logprobs] = []
        for (ids, positions), steps in zip(texts, self._steps(texts, 0), strict=True):
            own = [step[ids[p]].logprob for p, step in zip(positions, steps, strict=True)]
            found.append(np.array(own, dtype=np.float64))
        return found

    def sample(
        self,
        rows: Sequence[Sequence[int]],
        rngs: Sequence[np.random.Generator],
        limits: Sequence[int],
        temperature: float,
        top_p: float,
    ) -> list[tuple[list[int], bool]]:
        """Each row's new tokens; its own generator seeds vLLM's sampler."""
        seeds = [int(rng.integers(2**63)) for rng in rngs]
        going = [index for index, limit in enumerate(limits) if limit > 0]
        asked = [
            self._vllm.SamplingParams(
                temperature=temperature,
                top_p=top_p,
                seed=seeds[index],
                max_tokens=limits[index],
                **self._ends,
            )
            for index in going
        ]
        outputs = self._generate([rows[index] for index in going], asked)
        found: list[tuple[list[int], bool]] = [([], False) for _ in rows]
        for index, output in zip(going, outputs, strict=True):
            found[index] = self._before_end(output.outputs[0].token_ids)
        return found

    def start(self) -> None:
        """Load the weights and run one token: what vLLM cannot run is known then.

        Raises:
            BadInput: with vLLM's reason.
            OutOfMemory: even so.
        """
        if (other := VllmModel._running and VllmModel._running()) is not None:
            other.stop()
        VllmModel._running = weakref.ref(self)
        try:
            with models.out_of_memory_named(self._batch_size):
                self._engine = self._vllm.LLM(**self._loading.arguments(self._batch_size))
            self._generate([[0]], [self._vllm.SamplingParams(max_tokens=1, detokenize=False)])
        except OutOfMemory:
            self.stop()
            raise
        except Exception as error:  # what vLLM and its models raise is up to them
            self.stop()
            raise BadInput(self._why_not(error)) from error

    def stop(self) -> None:
        """Let go of engine and weights; the next batch loads them again."""
        if self._engine is None:
            return
        core: Any = getattr(getattr(self._engine, "llm_engine", None), "engine_core", None)
        self._engine = None
        if core is not None:
            core.shutdown()
            del core
            parallel: Any = importlib.import_module("vllm.distributed.parallel_state")
            parallel.cleanup_dist_env_and_memory()
        gc.collect()

    @property
    def _ends(self) -> dict[str, Any]:
        """Ends at this model's ending tokens and no others; tokens stay ids."""
        return {"ignore_eos": True, "stop_token_ids": sorted(self._eos_ids), "detokenize": False}

    def _room(self, row: Sequence[int], n_new: int) -> int:
        return n_new if self._max_tokens is None else min(n_new, self._max_tokens - len(row))

    def _before_end(self, ids: Sequence[int]) -> tuple[list[int], bool]:
        is_ended = bool(ids) and ids[-1] in self._eos_ids
        return list(ids[: len(ids) - is_ended]), is_ended

    def _steps(self, texts: Sequence[Scored], k: int) -> list[list[Step]]:
        """Of each scored token its step: the top k and, among given tokens, the token itself."""
        going = [index for index, (_, positions) in enumerate(texts) if positions]
        asked: list[Any] = []
        for index in going:
            # Of the token that is generated in the last one's place any may be asked for.
            last = {"logprobs": k} if k else {"logprob_token_ids": [texts[index][0][-1]]}
            asked.append(
                self._vllm.SamplingParams(
                    temperature=0.0, prompt_logprobs=k, max_tokens=1, detokenize=False, **last
                )
            )
        outputs = self._generate([texts[index][0][:-1] for index in going], asked)
        found: list[list[Step]] = [[] for _ in texts]
        for index, output in zip(going, outputs, strict=True):
            every = [*(output.prompt_logprobs or ()), *(output.outputs[0].logprobs or ())]
            picked = [every[p] for p in texts[index][1]]
            found[index] = [step for step in picked if step is not None]
        return found

    def _generate(self, rows: Sequence[Sequence[int]], asked: Sequence[Any]) -> Sequence[Output]:
        """One batch; after a failure the engine has texts left over, so it is let go of."""
        if not rows:
            return []
        longest = max(len(row) for row in rows)
        if self._max_tokens is not None and longest >= self._max_tokens:
            raise BadInput(
                f"a text of {longest:,} tokens and one more go beyond the {self._max_tokens:,} "
                f"positions of model {self._loading.source.ref!r}: give shorter texts"
            )
        if len(rows) > self._batch_size:
            self.stop()
            self._batch_size = len(rows)
        if self._engine is None:
            self.start()
        assert self._engine is not None
        prompts = [{"prompt_token_ids": list(row)} for row in rows]
        try:
            with models.out_of_memory_named(len(rows)):
                return self._engine.generate(prompts, asked, use_tqdm=False)
        except BaseException:
            self.stop()
            raise

    def _why_not(self, error: BaseException) -> str:
        ref, said = self._loading.source.ref, one_line(error)
        if "unquantized lm_head" in said:
            return (
                f"model {ref!r} has a quantised head, which vllm does not run in fp32: its gaps "
                "would be those of rounded logits; leave the backend out"
            )
        return (
            f"model {ref!r} cannot be run by vllm on {self.device} ({said}): leave the backend "
            "out, or give a model that vllm runs there"
        )


def _tops(steps: Sequence[Step], k: int) -> Top:
    """The k largest values of each step, in order."""
    rows = [sorted((one.logprob for one in step.values()), reverse=True)[:k] for step in steps]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, k)


# --- loading --------------------------------------------------------------------------------------


def load(
    source: Source, backend: Backend, *, device: str, dtype: str, batch_size: int
) -> VllmModel:
    """A checked source in an engine of vLLM's.

    Raises:
        BadInput: a model, device or type that vLLM cannot measure by an fp32 head.
    """
    models.check_dtype(dtype)
    if source.gguf_file is not None or source.is_masked:
        kind = "a GGUF file" if source.gguf_file is not None else "a masked language model"
        raise BadInput(
            f"model {source.ref!r} is {kind}, which the backend transformers alone measures: "
            "leave the backend out"
        )
    config = read_config(source.ref, source.folder)
    quantisation = backend.quantization or candidates.quantisation_of(config)
    if quantisation is not None and dtype == "float32":
        # Of another type than the head's: only then does vLLM say that a head is quantised.
        raise BadInput(
            f"model {source.ref!r} has quantised weights ({quantisation}), which vllm does not "
            "compute with in float32: give `--dtype bfloat16`; the head stays fp32"
        )
    vllm = api()
    refuse_other_device(device)
    tokenizer = models.load_tokenizer(source)
    if backend.chat_template is not None:
        tokenizer.chat_template = backend.chat_template
    config, card = models.card_without_weights(source, tokenizer)
    try:
        generation: Any = GenerationConfig.from_pretrained(source.folder, local_files_only=True)
    except OSError:  # a model may come without one
        generation = config
    model = VllmModel(
        vllm,
        Loading(source, backend, dtype, is_cpu=device == "cpu"),
        tokenizer,
        card,
        device=device,
        batch_size=batch_size,
        eos_ids=models.eos_ids(generation, tokenizer),
        max_tokens=models.max_tokens(config),
    )
    models.refuse_misfit_tokenizer(source, model)
    model.start()
    return model


def refuse_other_device(device: str) -> None:
    """Raises BadInput for a device that the installed vLLM does not run on."""
    platforms: Any = importlib.import_module("vllm.platforms")
    built_for: str = platforms.current_platform.device_type
    kind, _, number = device.partition(":")
    if kind != built_for:
        raise BadInput(
            f"device {device!r} cannot be used: the vllm installed here is built for {built_for}"
        )
    if number not in ("", "0"):
        raise BadInput(
            f"device {device!r} cannot be picked for vllm: set CUDA_VISIBLE_DEVICES={number} and "
            f"give `{kind}:0`"
        )
