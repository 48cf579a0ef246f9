"""Our way and the naive one, side by side: taken in turns in one run, so under one load."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from measure import models, sources

T = TypeVar("T")


@dataclass
class Timed:
    """Seconds of both ways, a pair for each piece of the work."""

    ours: list[float] = field(default_factory=list)
    naive: list[float] = field(default_factory=list)

    def take(self, ours: Callable[[], T], naive: Callable[[], T]) -> tuple[T, T]:
        """What both give on one piece; who goes first alternates."""
        ways = [(self.ours, ours), (self.naive, naive)]
        given: list[T] = []
        order = ways if len(self.ours) % 2 == 0 else ways[::-1]
        for seconds, way in order:
            began = time.perf_counter()
            given.append(way())
            seconds.append(time.perf_counter() - began)
        first, second = given if order is ways else given[::-1]
        return first, second

    def text(self, what: str, wanted: float) -> str:
        """One line: totals, their ratio, the range of the pieces' own, and what was wanted."""
        ratio = sum(self.naive) / sum(self.ours)
        pieces = [naive / ours for naive, ours in zip(self.naive, self.ours, strict=True)]
        return (
            f"{what}: {sum(self.ours):.2f} s, naive {sum(self.naive):.2f} s, ratio {ratio:.1f} "
            f"({len(pieces)} pieces: median {statistics.median(pieces):.1f}, "
            f"{min(pieces):.1f} to {max(pieces):.1f}); "
            f"{wanted:g} wanted: {'reached' if ratio >= wanted else 'NOT REACHED'}"
        )


def model_argument(doc: str) -> str:
    """The one argument of a benchmark."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("model", help="a folder, a .gguf file or zoo:NAME")
    return parser.parse_args().model


def load(ref: str) -> models.CausalLM:
    """A model as every measurement loads it, in fp32 on the CPU."""
    model = models.load(sources.find(ref), device="cpu")
    say(
        f"{model.card.label}: {model.card.n_params:,} parameters, {torch.get_num_threads()} threads"
    )
    return model


def say(line: str) -> None:
    """Print a line at once: a run may be minutes long."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
