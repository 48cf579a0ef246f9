"""What a run will cost before it is started: prompts, time, memory, download."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from flows.choice import Choice
from flows.crosscode_run import Coder
from flows.sampler import Sampled
from flows.stability_run import Assessment
from flows.targets import Target, bases_read_by, in_order
from measure import activations, block_states, models, run, sources
from measure.errors import BadInput
from measure.variants import VariantSet

# Tokens that go through a model for one prompt: measured on the prompt sets with small and large
# vocabularies, a prompt has 14 to 62 tokens and a continuation 64.
TOKENS_PER_PASS = {"structural": 35, "fisher": 37, "template": 100}
# Share of a large matrix product's speed that short batches reach.
EFFICIENCY = 0.25


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cost of all that some targets ask for; an upper bound, as the lake is not asked."""

    n_models: int
    n_prompts: int
    seconds: float
    memory_bytes: int
    download_bytes: int
    device: str

    def text(self) -> str:
        """One line for a person."""
        download = f"{self.download_bytes / 1e6:,.0f} MB" if self.download_bytes else "nothing"
        return (
            f"to measure, if none of it is in the lake: {self.n_models} models, "
            f"{self.n_prompts:,} prompts; about {duration(self.seconds)} and "
            f"{self.memory_bytes / 1e9:.1f} GB of memory on {self.device}; to download: {download}"
        )


def of(targets: Sequence[Target], choice: Choice) -> Estimate:
    """Cost by parameters counted from files' headers; what cannot be read costs nothing."""
    device = choice.device or models.pick_device()
    settings = choice.settings(device)
    flops_per_s = EFFICIENCY * matmul_flops_per_s(device)
    n_prompts, seconds, download, largest = 0, START_S, 0, 0
    order = in_order(targets)
    for ref in order:
        try:
            size = sources.size_of(ref)
        except (BadInput, ConnectionError):
            continue
        download += size.download_bytes
        largest = max(largest, size.n_params)
        n_bases = len(list(bases_read_by(ref, targets)))
        n_pairs = sum(target.model == ref and target.base is not None for target in targets)
        passes, of_model_s = of_model(size.n_params, settings, n_bases, n_pairs, flops_per_s)
        n_prompts += passes
        seconds += of_model_s
    element = torch.empty((), dtype=models.DTYPES.get(choice.dtype, torch.float32)).element_size()
    memory = OVERHEAD_BYTES + largest * (element + 4)  # the head is kept in fp32 beside it
    return Estimate(len(order), n_prompts, seconds, memory, download, device)


def of_model(
    n_params: int, settings: run.Settings, n_bases: int, n_pairs: int, flops_per_s: float
) -> tuple[int, float]:
    """Forward passes of one model and the seconds they take, its files read among them.

    It is scored on the texts of `n_bases` models and its weights compared with those of `n_pairs`.
    """
    jobs = run.own_jobs("", settings)
    if "template" in settings.methods:
        jobs += [run.template_job("", settings, {}) for _ in range(n_bases)]
    seconds = LOAD_S + n_params * (READ_S_PER_PARAM + n_pairs * LINEAGE_S_PER_PARAM)
    for job in jobs:
        tokens = job.n_passes * TOKENS_PER_PASS[job.measurement.method]
        seconds += 2 * n_params * tokens / flops_per_s
    return sum(job.n_passes for job in jobs), seconds


@dataclass(frozen=True, slots=True)
class SampledEstimate:
    """Cost of all that is to be sampled and scored; an upper bound, as the lake is not asked."""

    n_readers: int
    n_sampled: int
    n_scored: int
    max_new_tokens: int
    seconds: float
    memory_bytes: int
    download_bytes: int
    device: str

    def text(self) -> str:
        """One line for a person."""
        download = f"{self.download_bytes / 1e6:,.0f} MB" if self.download_bytes else "nothing"
        return (
            f"to do, if none of it is in the lake: {self.n_sampled:,} completions of at most "
            f"{self.max_new_tokens:,} tokens, {self.n_scored:,} scored by {self.n_readers} models; "
            f"at most {duration(self.seconds)} and {self.memory_bytes / 1e9:.1f} GB of memory on "
            f"{self.device}; to download: {download}"
        )


def of_sampled(chosen: Sampled, n_problems: int, device: str) -> SampledEstimate:
    """Cost as if every completion were as long as is allowed; a model not found costs nothing."""
    flops_per_s = EFFICIENCY * matmul_flops_per_s(device)
    writers, readers = chosen.writers(), chosen.readers()
    n_rollouts = n_problems * chosen.n_samples
    n_tokens = n_rollouts * (PROMPT_TOKENS + chosen.max_new_tokens)
    sampling = [ref for ref in writers if not chosen.rollouts or ref != chosen.written_elsewhere()]
    seconds, download, largest = START_S, 0, 0
    for ref in dict.fromkeys([*writers, *readers]):
        try:
            size = sources.size_of(ref)
        except (BadInput, ConnectionError):
            continue
        download += size.download_bytes
        largest = max(largest, size.n_params)
        n_sets = len(writers) * (ref in readers) + (ref in sampling)
        seconds += LOAD_S + n_sets * 2 * size.n_params * n_tokens / flops_per_s
    n_steps = chosen.max_new_tokens * math.ceil(n_rollouts / chosen.batch_size)
    seconds += len(sampling) * n_steps * STEP_S
    element = torch.empty((), dtype=models.DTYPES.get(chosen.dtype, torch.float32)).element_size()
    memory = OVERHEAD_BYTES + largest * (element + 4)
    return SampledEstimate(
        n_readers=len(readers),
        n_sampled=len(sampling) * n_rollouts,
        n_scored=len(writers) * n_rollouts,
        max_new_tokens=chosen.max_new_tokens,
        seconds=seconds,
        memory_bytes=memory,
        download_bytes=download,
        device=device,
    )


@dataclass(frozen=True, slots=True)
class StabilityEstimate:
    """Cost of all that a stability run asks for; an upper bound, as the lake is not asked."""

    n_models: int
    n_rollouts: int
    max_new_tokens: int
    seconds: float
    memory_bytes: int
    device: str

    def text(self) -> str:
        """One line for a person."""
        return (
            f"to measure, if none of it is in the lake: {self.n_rollouts:,} completions of at most "
            f"{self.max_new_tokens:,} tokens of {self.n_models} models, each read once more; at "
            f"most {duration(self.seconds)} and {self.memory_bytes / 1e9:.1f} GB of memory on "
            f"{self.device}"
        )


def of_stability(chosen: Assessment, asked: VariantSet, device: str) -> StabilityEstimate:
    """Cost as if every completion were as long as is allowed; a model not found costs nothing."""
    flops_per_s = EFFICIENCY * matmul_flops_per_s(device)
    n_problems = len(asked.calibration.problems) + len(asked.test.problems)
    if chosen.retune is not None:  # the clean tested problems are answered again
        n_problems += len(asked.tested_clean.problems)
    n_rollouts = n_problems * chosen.n_samples
    n_tokens = n_rollouts * (PROMPT_TOKENS + chosen.max_new_tokens)
    refs = dict.fromkeys(chosen.roles().values())
    seconds, largest = START_S, 0
    for ref in refs:
        try:
            size = sources.size_of(ref)
        except (BadInput, ConnectionError):
            continue
        largest = max(largest, size.n_params)
        seconds += LOAD_S + 2 * 2 * size.n_params * n_tokens / flops_per_s
        seconds += chosen.max_new_tokens * math.ceil(n_rollouts / chosen.batch_size) * STEP_S
    element = torch.empty((), dtype=models.DTYPES.get(chosen.dtype, torch.float32)).element_size()
    memory = OVERHEAD_BYTES + 4 * block_states.MAX_ATTENTION + largest * (element + 4)
    return StabilityEstimate(
        len(refs), len(refs) * n_rollouts, chosen.max_new_tokens, seconds, memory, device
    )


@dataclass(frozen=True, slots=True)
class CrosscoderEstimate:
    """Cost of harvesting a pair and of training a crosscoder over it, if none of it is there."""

    n_tokens: int
    disk_bytes: int
    n_steps: int
    batch_size: int
    n_latents: int
    seconds: float
    memory_bytes: int
    device: str

    def text(self) -> str:
        """One line for a person."""
        return (
            f"to do, if none of it is there: {self.n_tokens:,} tokens harvested of both models "
            f"({self.disk_bytes / 1e9:.2f} GB of disk), {self.n_steps:,} steps of "
            f"{self.batch_size:,} tokens for {self.n_latents:,} latents; about "
            f"{duration(self.seconds)} and {self.memory_bytes / 1e9:.1f} GB of memory on "
            f"{self.device}, and as long again for what the latents do"
        )


def of_crosscoder(coder: Coder) -> CrosscoderEstimate:
    """Cost of the run; half of each model's depth is read at most."""
    flops_per_s = EFFICIENCY * matmul_flops_per_s(coder.device)
    settings, d_model, n_tokens = coder.settings, coder.d_model, coder.asked.n_tokens
    n_params = [
        sources.size_of(ref).n_params for ref in (coder.chosen.base, coder.chosen.distilled)
    ]
    weights = 4 * d_model * settings.n_latents
    n_trained = settings.n_steps * settings.batch_size
    seconds = START_S + 2 * LOAD_S + 2 * sum(n_params) * n_tokens / flops_per_s
    # Forward and backward, and the selection of latents beside them.
    seconds += n_trained * (6 * weights / flops_per_s + 2 * settings.n_latents * SELECT_S)
    element = torch.empty((), dtype=models.DTYPES[coder.chosen.dtype]).element_size()
    memory = OVERHEAD_BYTES + sum(n_params) * (element + 4) + 4 * 4 * weights
    memory += min(activations.BUFFER_BYTES, 4 * d_model * n_tokens)
    memory += 4 * 4 * settings.batch_size * settings.n_latents
    return CrosscoderEstimate(
        n_tokens=n_tokens,
        disk_bytes=4 * d_model * n_tokens,
        n_steps=settings.n_steps,
        batch_size=settings.batch_size,
        n_latents=settings.n_latents,
        seconds=seconds,
        memory_bytes=memory,
        device=coder.device,
    )


PROMPT_TOKENS = 100
SELECT_S = 5e-8  # of one activation of one token in BatchTopK, on one core
STEP_S = 0.01  # of a small model sampling one token of every row of a batch
# Of one core, measured: the unembedding's spread, and a model beside its base. A stranger, whose
# weights are all aligned, takes five times as long.
READ_S_PER_PARAM = 4e-9
LINEAGE_S_PER_PARAM = 7e-8
LOAD_S = 4.0  # a small model: loading, commits, the interpreter's own work
START_S = 15.0  # importing the libraries, Prefect's embedded server
OVERHEAD_BYTES = 800_000_000  # Python, torch, transformers, Prefect's embedded server


def matmul_flops_per_s(device: str) -> float:
    """Speed of one matrix product of 1024 x 1024, timed now."""
    a = torch.ones((1024, 1024), device=device)
    (a @ a).sum().item()
    began = time.perf_counter()
    (a @ a @ a).sum().item()
    return 2 * 2 * 1024**3 / (time.perf_counter() - began)


def duration(seconds: float) -> str:
    """A time as a person says it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
