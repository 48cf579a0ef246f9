"""Harvested activations as a training run reads them: mapped into memory, scaled, shuffled.

Shuffling, OUR DEFINITION: an epoch takes the shards in a random order, as many together as fill the
buffer, permutes the tokens of those and deals them out in batches. Batch number t is a function of
(seed, t) alone, so a run that is resumed reads on where it was. Tokens mix within a buffer only:
`mixing` is the share of the training tokens that one buffer holds, 1 for a whole permutation. The
first twentieth of the shards is held out: no batch has a token of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from measure.errors import BadInput
from measure.harvest import Manifest, Shard, read_manifest

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

BUFFER_TOKENS = 2**18
BUFFER_BYTES = 2**30
HELD_OUT = 0.05


@dataclass(frozen=True)
class Activations:
    """A complete folder of shards."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> Activations:
        """Raises BadInput where nothing complete, or only one shard, was harvested."""
        manifest = read_manifest(folder)
        if manifest is None or not manifest.is_complete:
            raise BadInput(f"folder {str(folder)!r} holds no complete harvest: harvest it first")
        if len(manifest.shards) < 2:
            raise BadInput(
                f"{manifest.n_tokens:,} tokens in one shard leave none to hold out: "
                "give more text, or ask for as many tokens as there are"
            )
        return cls(folder, manifest)

    @property
    def d_model(self) -> int:
        """Width of both models."""
        return self.manifest.d_model

    @cached_property
    def scales(self) -> Float[Tensor, " side"]:
        """What activations of each model are multiplied by."""
        return torch.tensor(self.manifest.scales, dtype=torch.float32)

    @property
    def held_out(self) -> tuple[Shard, ...]:
        """Shards that no batch is drawn from."""
        return self.manifest.shards[: self._n_held_out]

    @property
    def training(self) -> tuple[Shard, ...]:
        """Shards that batches are drawn from."""
        return self.manifest.shards[self._n_held_out :]

    @property
    def _n_held_out(self) -> int:
        return max(1, round(HELD_OUT * len(self.manifest.shards)))

    @property
    def n_training_tokens(self) -> int:
        """Tokens of an epoch."""
        return sum(shard.n_tokens for shard in self.training)

    @property
    def buffer_shards(self) -> int:
        """Shards that are in memory together: what is shuffled at once."""
        tokens = min(BUFFER_TOKENS, BUFFER_BYTES // (4 * self.d_model))
        return max(1, tokens // max(shard.n_tokens for shard in self.manifest.shards))

    @property
    def mixing(self) -> float:
        """Share of the training tokens that one buffer holds, 0 to 1."""
        return min(1.0, self.buffer_shards / len(self.training))

    def batches(
        self, batch_size: int, seed: int, first: int = 0
    ) -> Iterator[Float[Tensor, "batch side d_model"]]:
        """Scaled batches without end from number `first` on; what a buffer leaves over is skipped.

        Raises:
            BadInput: no buffer holds one batch.
        """
        together = min(self.buffer_shards, len(self.training))
        if together * min(s.n_tokens for s in self.training) < batch_size:
            raise BadInput(
                f"{self.n_training_tokens:,} tokens are too few for batches of {batch_size:,}: "
                "ask for more tokens or a smaller batch"
            )
        number = 0
        for epoch in count():
            for group, shards in enumerate(self._groups(seed, epoch)):
                n_batches = sum(shard.n_tokens for shard in shards) // batch_size
                if number + n_batches > first:
                    rows = torch.cat([self.raw(shard) for shard in shards])
                    order = np.random.default_rng([seed, epoch, group, 1]).permutation(len(rows))
                    for i in range(max(0, first - number), n_batches):
                        drawn = torch.from_numpy(order[i * batch_size : (i + 1) * batch_size])
                        yield rows[drawn].float() * self.scales[:, None]
                number += n_batches

    def _groups(self, seed: int, epoch: int) -> Iterator[Sequence[Shard]]:
        """The shards of an epoch, those together that share a buffer."""
        order = np.random.default_rng([seed, epoch, 0]).permutation(len(self.training))
        for start in range(0, len(order), self.buffer_shards):
            yield [self.training[i] for i in order[start : start + self.buffer_shards]]

    def read(self, shard: Shard) -> Float[Tensor, "tokens side d_model"]:
        """Scaled activations of one shard, fp32."""
        return self.raw(shard).float() * self.scales[:, None]

    def index(self, shard: Shard) -> tuple[Int[Tensor, " tokens"], Int[Tensor, " tokens"]]:
        """Token ids and window numbers of one shard."""
        with safe_open(self.folder / shard.file, framework="pt") as file:
            return file.get_tensor("tokens").long(), file.get_tensor("window").long()

    def raw(self, shard: Shard) -> Tensor:
        """One shard as it is stored, mapped into memory: read where it is touched."""
        with safe_open(self.folder / shard.file, framework="pt") as file:
            return file.get_tensor("activations")
