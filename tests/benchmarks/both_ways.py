"""Our way and the naive one, side by side: taken in turns in one run, so under one load."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch

from measure import models, sources

T = TypeVar("T")


class Spent(NamedTuple):
    """What one way took for one piece of the work."""

    seconds: float
    cpu_seconds: float  # of all threads: hardly moved by what else the machine does


@dataclass
class Timed:
    """What both ways took, a pair for each piece of the work."""

    ours: list[Spent] = field(default_factory=list)
    naive: list[Spent] = field(default_factory=list)

    def take(self, ours: Callable[[], T], naive: Callable[[], T]) -> tuple[T, T]:
        """What both give on one piece; who goes first alternates."""
        ways = [(self.ours, ours), (self.naive, naive)]
        given: list[T] = []
        order = ways if len(self.ours) % 2 == 0 else ways[::-1]
        for spent, way in order:
            began, cpu_began = time.perf_counter(), time.process_time()
            given.append(way())
            spent.append(Spent(time.perf_counter() - began, time.process_time() - cpu_began))
        first, second = given if order is ways else given[::-1]
        return first, second

    def text(self, what: str, wanted: float) -> str:
        """One line: both ratios of the totals, the range of the pieces', and what was wanted."""
        seconds, cpu = (
            [sum(one[i] for one in way) for way in (self.ours, self.naive)] for i in (0, 1)
        )
        pieces = [n.seconds / o.seconds for n, o in zip(self.naive, self.ours, strict=True)]
        ratio, cpu_ratio = seconds[1] / seconds[0], cpu[1] / cpu[0]
        return (
            f"{what}: {seconds[0]:.2f} s, naive {seconds[1]:.2f} s: ratio {ratio:.1f} "
            f"({len(pieces)} pieces, {min(pieces):.1f} to {max(pieces):.1f}); CPU time "
            f"{cpu[0]:.2f} s, naive {cpu[1]:.2f} s: ratio {cpu_ratio:.1f}; "
            f"{wanted:g} wanted: {'reached' if min(ratio, cpu_ratio) >= wanted else 'NOT REACHED'}"
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
