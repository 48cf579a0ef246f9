"""Training a crosscoder: losses, dead latents, schedules, checkpoints that resume exactly.

    BatchTopK  mean over tokens and models of |x - x^|  +  1/32 AuxK
    L1         mean over tokens of sum_m |x_m - x^_m|^2  +  lambda(t) mean of sum_j f_j w_j

AuxK: dead latents alone, the d/2 that are largest at a token, rebuild what the others left over;
its squared error is divided by the variance of what was left. A latent is dead once it has not been
kept for `dead_after_tokens`. The rate rises linearly over the warm-up and falls linearly to 0 over
the last fifth, lambda rises over 5 % of the steps, gradients are clipped to norm 1.

Small models (width up to 256) have the pocket's settings, see `settings_for`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from measure.crosscoder import Crosscoder, Sparsity
from measure.errors import BadInput

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Activations = Float[Tensor, "n side d_model"]

POCKET_WIDTH = 256
MAX_GRADIENT = 1.0
AUX_WEIGHT = 1 / 32
DECAY = 0.2  # of the steps, at the end
LAMBDA_WARMUP = 0.05
# lambda = 2 is of Gemma 2 2B; activations' norm is sqrt(d), and an activation pays lambda for being
# there and its square for being missing.
L1_LAMBDA, L1_WIDTH = 2.0, 2_304


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a training run is made of, the activations apart."""

    n_latents: int
    n_steps: int
    sparsity: Sparsity = "batchtopk"
    k: int = 100
    batch_size: int = 2_048
    lr: float = 1e-4
    warmup_steps: int = 1_000
    l1_lambda: float = L1_LAMBDA
    dead_after_tokens: int = 10_000_000
    threshold_from_step: int = 1_000
    threshold_decay: float = 0.999
    seed: int = 49
    precision: Literal["float32", "bfloat16"] = "float32"  # of matrix products on a GPU

    def rate(self, step: int) -> float:
        """Learning rate of a step, from 0."""
        rising = (step + 1) / max(1, self.warmup_steps)
        falling = (self.n_steps - step) / max(1.0, DECAY * self.n_steps)
        return self.lr * min(1.0, rising, falling)

    def l1_weight(self, step: int) -> float:
        """Weight of the L1 penalty at a step, from 0."""
        return self.l1_lambda * min(1.0, step / max(1.0, LAMBDA_WARMUP * self.n_steps))


def settings_for(
    d_model: int,
    n_tokens: int,
    *,
    sparsity: Sparsity = "batchtopk",
    n_latents: int | None = None,
    k: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 49,
    is_gpu: bool = False,
) -> Settings:
    """Settings for a width and so many tokens of training; None is the default of that width.

    Raises:
        BadInput: numbers that no dictionary can have.
    """
    is_pocket = d_model <= POCKET_WIDTH
    n_latents = n_latents or (8 * d_model if is_pocket else 32 * d_model)
    k = k or (max(1, d_model // 8) if is_pocket else 100)
    usual_batch = 2_048 if sparsity == "batchtopk" else 4_096
    batch_size = batch_size or (1_024 if is_pocket else usual_batch)
    n_steps = n_tokens // batch_size
    if not 1 <= k <= n_latents:
        raise BadInput(f"k of {k} among {n_latents} latents: give one from 1 to {n_latents}")
    if n_steps < 1:
        raise BadInput(
            f"{n_tokens:,} tokens are no batch of {batch_size:,}: ask for more tokens or a smaller "
            "batch"
        )
    # A pocket run has a fiftieth of the tokens to arrive in.
    usual_lr = 5e-5 if sparsity == "l1" else 1e-4
    if is_pocket:
        usual_lr = 6e-4 / (n_latents / 2**14) ** 0.5
    start = n_steps // 20 if is_pocket else min(1_000, n_steps // 10)
    return Settings(
        n_latents=n_latents,
        n_steps=n_steps,
        sparsity=sparsity,
        k=k,
        batch_size=batch_size,
        lr=lr or usual_lr,
        warmup_steps=start,
        l1_lambda=L1_LAMBDA * (d_model / L1_WIDTH) ** 0.5,
        dead_after_tokens=n_tokens // 10 if is_pocket else 10_000_000,
        threshold_from_step=start,
        threshold_decay=0.99 if is_pocket else 0.999,
        seed=seed,
        precision="bfloat16" if is_gpu else "float32",
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """What one step showed, of its own batch."""

    loss: float
    sparsity_loss: float  # AuxK or L1, weighted, as it stands in the loss
    fvu: tuple[float, float]  # base, distilled
    l0: float
    dead_share: float
    threshold: float
    rate: float
    gradient_norm: float  # before it is clipped


def unexplained(x: Activations, rebuilt: Activations) -> tuple[float, float]:
    """Share of each model's variance that is not rebuilt, >= 0; 0 where there is no variance."""
    left = (x - rebuilt).detach().double().square().sum((0, 2))
    centred = x.double() - x.double().mean(0)
    total = centred.square().sum((0, 2))
    shares = torch.where(total > 0, left / total, torch.zeros_like(left))
    return float(shares[0]), float(shares[1])


class Trainer:
    """A crosscoder, its optimiser, and how long each latent has been silent."""

    def __init__(
        self, d_model: int, settings: Settings, scales: Tensor, device: str = "cpu"
    ) -> None:
        self.settings = settings
        self.device = torch.device(device)
        crosscoder = Crosscoder(
            d_model,
            settings.n_latents,
            sparsity=settings.sparsity,
            k=settings.k,
            seed=settings.seed,
        )
        crosscoder.scales.copy_(scales)
        self.crosscoder = crosscoder.to(self.device)
        self.optimiser = torch.optim.Adam(self.crosscoder.parameters(), lr=settings.lr)
        self.silent_tokens = torch.zeros(settings.n_latents, dtype=torch.long, device=self.device)
        self.step = 0

    @property
    def n_dead(self) -> int:
        """Latents that have been silent for too long."""
        return int((self.silent_tokens >= self.settings.dead_after_tokens).sum())

    def train(self, batch: Activations, *, is_told: bool = True) -> Figures | None:
        """One step; its figures where they are wanted, which costs a little."""
        x = batch.to(self.device)
        step, settings = self.step, self.settings
        with self._autocast():
            kept, dense, least = self.crosscoder.encode_batch(x)
            rebuilt = self.crosscoder.decode(kept)
            left = (x - rebuilt).float()
            if settings.sparsity == "l1":
                total = left.square().sum((1, 2)).mean()
                weighted = (kept * self.crosscoder.norms().sum(-1)).sum(-1).mean()
                extra = settings.l1_weight(step) * weighted
            else:
                total = left.norm(dim=-1).mean()
                extra = AUX_WEIGHT * self._aux_loss(left.detach(), dense)
        loss = total + extra
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        gradient = torch.nn.utils.clip_grad_norm_(self.crosscoder.parameters(), MAX_GRADIENT)
        rate = settings.rate(step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.silent_tokens += len(x)
        self.silent_tokens[(kept > 0).any(0)] = 0
        if settings.sparsity == "batchtopk" and step >= settings.threshold_from_step:
            self._follow(least)
        self.step += 1
        if not is_told:
            return None
        return Figures(
            loss=float(loss.detach()),
            sparsity_loss=float(extra.detach()),
            fvu=unexplained(x, rebuilt.detach().float()),
            l0=float((kept > 0).sum(-1).float().mean()),
            dead_share=self.n_dead / settings.n_latents,
            threshold=float(self.crosscoder.threshold),
            rate=rate,
            gradient_norm=float(gradient),
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.settings.precision == "bfloat16" and self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()

    def _follow(self, least: Tensor) -> None:
        threshold, decay = self.crosscoder.threshold, self.settings.threshold_decay
        is_first = self.step == self.settings.threshold_from_step
        threshold.copy_(least if is_first else decay * threshold + (1 - decay) * least)

    def _aux_loss(self, left: Activations, dense: Float[Tensor, "n latents"]) -> Tensor:
        is_dead = self.silent_tokens >= self.settings.dead_after_tokens
        n_used = min(self.crosscoder.d_model // 2, int(is_dead.sum()))
        if n_used == 0:
            return dense.new_zeros(())
        top = dense.where(is_dead, -1.0).topk(n_used, dim=-1, sorted=False)
        used = torch.zeros_like(dense).scatter(-1, top.indices, top.values.clamp(min=0))
        rebuilt = self.crosscoder.decode(used) - self.crosscoder.b_dec
        total = (left - left.mean(0)).square().sum((1, 2)).mean()
        error = (left - rebuilt.float()).square().sum((1, 2)).mean()
        return (error / total).nan_to_num(0.0)

    # --- checkpoints ---------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """All that training goes on from, as one .safetensors file, put in place in one step."""
        tensors = {f"model.{name}": t for name, t in self.crosscoder.state_dict().items()}
        tensors["silent_tokens"] = self.silent_tokens
        for name, weights in self.crosscoder.named_parameters():
            for kind, state in self.optimiser.state.get(weights, {}).items():
                tensors[f"adam.{kind}.{name}"] = state
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        save_file(whole, part, metadata={"step": str(self.step), **self._identity()})
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            BadInput: it is damaged, or of a run with other settings.
        """
        try:
            with safe_open(path, framework="pt") as file:
                about: dict[str, str] = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except Exception as error:  # noqa: BLE001  the Rust reader raises its own bare class
            raise BadInput(
                f"checkpoint {str(path)!r} cannot be read: remove it, and training starts again"
            ) from error
        if {name: about.get(name) for name in self._identity()} != self._identity():
            raise BadInput(f"checkpoint {str(path)!r} is of other settings: remove it")
        self.crosscoder.load_state_dict(_under("model.", tensors))
        self.silent_tokens.copy_(tensors["silent_tokens"])
        self.step = int(about["step"])
        for name, weights in self.crosscoder.named_parameters():
            self.optimiser.state[weights] = {
                kind: tensors[f"adam.{kind}.{name}"].to(
                    "cpu" if kind == "step" else weights.device, copy=True
                )
                for kind in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{kind}.{name}" in tensors
            }

    def _identity(self) -> dict[str, str]:
        return {"settings": json.dumps(asdict(self.settings), sort_keys=True)}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def train_steps(
    trainer: Trainer, batches: Iterator[Activations], until: int, told_every: int
) -> Iterator[tuple[int, Figures]]:
    """Train up to step `until`; steps and figures of every so many, and of the last."""
    for batch in batches:
        if trainer.step >= until:
            return
        step = trainer.step
        is_told = (step + 1) % told_every == 0 or step + 1 == until
        figures = trainer.train(batch, is_told=is_told)
        if figures is not None:
            yield step, figures
