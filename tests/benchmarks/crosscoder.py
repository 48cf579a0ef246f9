"""Tokens a second of harvesting and of training, against a plain loop that holds all in memory.

Harvest: ours reads both models up to the block, in batches by length, to shards on disk; the plain
loop runs whole models with all hidden states, a text at a time, and keeps a list. Training: ours
reads mapped shards through the shuffle buffer; the plain loop has one tensor and a permutation.
Both train the same crosscoder. Then how harvesting grows with the width of a four-block model
(random weights, a byte a token), and training with width and dictionary.

    python -m tests.benchmarks.crosscoder --base zoo:llama-base --distilled zoo:llama-distilled
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from measure import harvest, models, residual, sources, text_sources
from measure.activations import Activations
from measure.crosscoder_training import Settings, Trainer
from measure.harvest import Asked
from measure.models import CausalLM
from measure.text_sources import TextSource
from tests.conftest import write_model


def timed(what: str, n_tokens: int, run: Callable[[], object]) -> None:
    """Run once and say tokens a second, of the clock and of the processor."""
    began, own = time.perf_counter(), time.process_time()
    run()
    wall, cpu = time.perf_counter() - began, time.process_time() - own
    sys.stdout.write(f"{what:44s} {n_tokens / wall:10,.0f} /s {n_tokens / cpu:10,.0f} /CPU s\n")
    sys.stdout.flush()


def plain_harvest(pair: tuple[CausalLM, CausalLM], texts: list[str], layer: int) -> Tensor:
    """Both models whole, a text at a time, all in memory."""
    rows: list[Tensor] = []
    for text in texts:
        sides: list[Tensor] = []
        for model in pair:
            ids = torch.tensor([model.encode(text)])
            with torch.inference_mode():
                states = model.model(ids, output_hidden_states=True).hidden_states
            sides.append(states[layer + 1][0, 1:])
        rows.append(torch.stack(sides, dim=1))
    return torch.cat(rows)


def train(trainer: Trainer, activations: Activations, n_steps: int) -> None:
    """Our way."""
    settings = trainer.settings
    for batch in islice(activations.batches(settings.batch_size, settings.seed), n_steps):
        trainer.train(batch, is_told=False)


def plain_train(trainer: Trainer, rows: Tensor, n_steps: int) -> None:
    """One tensor, one permutation an epoch."""
    size = trainer.settings.batch_size
    for step in range(n_steps):
        start = step * size % (len(rows) - size)
        if step == 0 or start < size:
            order = torch.randperm(len(rows))
        trainer.train(rows[order[start : start + size]], is_told=False)


def harvest_of_width(width: int, texts: list[str], n_tokens: int) -> None:
    """Our harvest of a pair of random models."""
    sizes = {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": 4}
    with tempfile.TemporaryDirectory() as folder:
        base, distilled = (
            models.load(
                sources.find(str(write_model(Path(folder) / str(seed), seed=seed, **sizes))),
                device="cpu",
            )
            for seed in (0, 1)
        )
        source = TextSource("made", "", lambda first: iter(texts[first:]))
        asked = Asked(
            base_id="0", distilled_id="1", text="made", text_sha256="", layer=1, n_tokens=n_tokens
        )
        timed(f"harvest, width {width}", n_tokens, lambda: harvest.harvest(
            base, distilled, source, asked, Path(folder)))  # fmt: skip


def settings_of(n_latents: int, k: int, n_steps: int) -> Settings:
    """A short run."""
    return Settings(n_latents=n_latents, n_steps=n_steps, k=k, batch_size=1024)


def main() -> None:
    """Say all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="zoo:llama-base")
    parser.add_argument("--distilled", default="zoo:llama-distilled")
    parser.add_argument("--tokens", type=int, default=40_000)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    base, distilled = (models.load(sources.find(ref), device="cpu")
                       for ref in (given.base, given.distilled))  # fmt: skip
    made = text_sources.load(text_sources.ZOO_CORPUS)
    texts = list(islice(made.texts(0), given.tokens // 60))  # written beforehand, of neither way
    source = TextSource("made", made.sha256, lambda first: iter(texts[first:]))
    layer = residual.half_depth(base)
    asked = Asked(
        base_id=base.card.model_id, distilled_id=distilled.card.model_id, text="made",
        text_sha256=made.sha256, layer=layer, n_tokens=given.tokens,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        n_tokens = sum(len(row) for row in base.encode_many(texts))
        timed("harvest, ours", given.tokens, lambda: harvest.harvest(
            base, distilled, source, asked, Path(folder)))  # fmt: skip
        timed("harvest, plain", n_tokens, lambda: plain_harvest((base, distilled), texts, layer))
        activations = Activations.open(Path(folder))
        rows = torch.cat([activations.read(shard) for shard in activations.training])
        d_model, n_trained = activations.d_model, given.steps * 1024
        for name, run, source_rows in (("ours", train, activations), ("plain", plain_train, rows)):
            trainer = Trainer(d_model, settings_of(8 * d_model, 8, given.steps), activations.scales)
            run(trainer, source_rows, 2)  # type: ignore[arg-type]
            timed(
                f"training, width {d_model}, {8 * d_model} latents, {name}",
                n_trained,
                lambda run=run, t=trainer, r=source_rows: run(t, r, given.steps),  # type: ignore[misc]
            )
    for width in (64, 128, 256):
        harvest_of_width(width, texts, given.tokens)
    for width, n_latents in ((64, 512), (64, 1024), (64, 2048), (128, 512), (256, 512)):
        trainer = Trainer(width, settings_of(n_latents, width // 8, 10), torch.ones(2))
        rows = torch.randn((8192, 2, width), generator=torch.Generator().manual_seed(0))
        plain_train(trainer, rows, 1)
        timed(
            f"training, width {width}, {n_latents} latents",
            10 * 1024,
            lambda t=trainer, r=rows: plain_train(t, r, 10),
        )


if __name__ == "__main__":
    main()
