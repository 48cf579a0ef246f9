"""Peak memory of templates and of tau, each in a process of its own. Linux only.

The figure is the process's peak resident memory (VmHWM of /proc) less what it had resident before
the model was loaded, libraries and prompts included. It is taken twice: over loading, during which
the mapped file counts beside the weights made from it, and over measuring, the peak reset between.
The limit is 1.5 times the weights plus one batch: of templates its key-value cache and a step's
logits, of tau the states at both sites with their float64 copies.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch

from measure import functional, models, prompts, sources, structural
from measure.models import CausalLM
from tests.benchmarks.both_ways import say

BATCH_SIZE = 20
LIMIT = 1.5


def resident(field: str) -> int:
    """Bytes of this process by a field of its status: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def reset_peak() -> None:
    """Make the peak what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def batch_bytes(model: CausalLM, what: str) -> int:
    """What one batch must hold, by arithmetic."""
    config = model.model.config.get_text_config()
    name = "canonical40" if what == "templates" else "bank512"
    longest = max(len(model.encode(prompt.text)) for prompt in prompts.load(name).prompts)
    if what == "tau":  # two sites, in fp32 and in float64
        return BATCH_SIZE * longest * config.hidden_size * 2 * (4 + 8)
    width = config.num_key_value_heads * (
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    cache = config.num_hidden_layers * 2 * width * 4 * (longest + functional.MAX_NEW_TOKENS)
    return BATCH_SIZE * (cache + 4 * model.card.vocab_size)


def measure(model: CausalLM, what: str) -> None:
    """One unit, as it is measured."""
    if what == "templates":
        bank = prompts.load("canonical40")
        unit = functional.plan("", bank).units[0]
        list(functional.measure_unit(model, bank, unit, BATCH_SIZE, lambda _: None))
    else:
        list(
            structural.measure_unit(
                model, prompts.load("bank512"), "seed-0", BATCH_SIZE, lambda _: None
            )
        )


def child(ref: str, what: str) -> None:
    """Load and measure here, and print what it took."""
    prompts.load("canonical40"), prompts.load("bank512")
    torch.ones((64, 64)) @ torch.ones((64, 64))  # the libraries' own pools
    before = resident("VmRSS")
    reset_peak()
    model = models.load(sources.find(ref), device="cpu")
    loading, held = resident("VmHWM"), resident("VmRSS")
    reset_peak()
    measure(model, what)
    taken = {
        "weights": sum(p.numel() * p.element_size() for p in model.model.parameters()),
        "batch": batch_bytes(model, what),
        "loading": loading - before,
        "held": held - before,
        "measuring": resident("VmHWM") - before,
    }
    sys.stdout.write(json.dumps(taken))


def main() -> None:
    """Run both measurements, each in a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a folder, a .gguf file or zoo:NAME")
    parser.add_argument("--child", choices=("templates", "tau"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.model, given.child)
    for what in ("templates", "tau"):
        command = [sys.executable, "-m", "tests.benchmarks.memory", given.model, "--child", what]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        taken = json.loads(done.stdout)
        limit = LIMIT * taken["weights"] + taken["batch"]
        mb = {name: f"{value / 1e6:,.0f} MB" for name, value in taken.items()}
        verdict = "reached" if taken["measuring"] <= limit else "NOT REACHED"
        say(
            f"{what}: weights {mb['weights']}, one batch {mb['batch']}; peak while measuring "
            f"{mb['measuring']}, wanted at most {limit / 1e6:,.0f} MB: {verdict}; peak while "
            f"loading {mb['loading']}, held after it {mb['held']}"
        )


if __name__ == "__main__":
    main()
