"""Stiffness from the files' slices, against loading the model: time and peak memory. Linux only.

Each way is a process of its own, twice in turns, on a file that was read before. Ours maps the file
and holds one chunk; pages of the mapped file that were read count as resident, though the system
may take them back. The naive way loads the model with transformers and takes the standard deviation
of its head in float64. S must be equal to 1e-6 of itself.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from measure import sources, stiffness
from measure.models import FINAL_NORMS
from tests.benchmarks.both_ways import Spent, Timed, say
from tests.benchmarks.memory import reset_peak, resident

WANTED = 1


def naive_stiffness(source: sources.Source) -> float:
    """gamma_mean * sigma_w by the model in memory."""
    model = AutoModelForCausalLM.from_pretrained(source.folder, dtype=torch.float32)
    decoder = model.get_decoder()
    norm = next(getattr(decoder, name) for name in FINAL_NORMS if hasattr(decoder, name))
    gain = norm.weight.detach().double()
    if model.config.get_text_config().model_type in stiffness.OFFSET_NORMS:
        gain = gain + 1
    spread = model.get_output_embeddings().weight.detach().double().std(correction=0)
    return float(gain.abs().mean() * spread)


def child(ref: str, way: str) -> None:
    """Take one way here, and print its S, seconds and bytes."""
    folder = Path(ref)
    n_bytes = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    # Not `sources.find`: a model's id is a checksum of all its bytes.
    source = sources.Source(
        ref=ref, kind="local", label=folder.name, model_id="", folder=folder, n_bytes=n_bytes
    )
    torch.ones((64, 64)) @ torch.ones((64, 64))  # the libraries' own pools
    before = resident("VmRSS")
    reset_peak()
    began, cpu_began = time.perf_counter(), time.process_time()
    s = stiffness.measure(source).stiffness if way == "ours" else naive_stiffness(source)
    taken = {
        "s": s,
        "spent": (time.perf_counter() - began, time.process_time() - cpu_began),
        "peak": resident("VmHWM") - before,
        "file": source.n_bytes,
    }
    sys.stdout.write(json.dumps(taken))


def main() -> None:
    """Run both ways in turns, each in a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a folder with config.json and safetensors")
    parser.add_argument("--child", choices=("ours", "naive"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.model, given.child)
    taken = {"ours": list[dict[str, Any]](), "naive": list[dict[str, Any]]()}
    for way in ("ours", "naive", "naive", "ours"):
        command = [sys.executable, "-m", "tests.benchmarks.stiffness", given.model, "--child", way]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        taken[way].append(json.loads(done.stdout))
    ours, naive = taken["ours"], taken["naive"]
    timed = Timed(*([Spent(*t["spent"]) for t in way] for way in (ours, naive)))
    size = ours[0]["file"]
    say(timed.text(f"stiffness of {size / 1e9:.2f} GB", WANTED))
    peaks = [max(t["peak"] for t in way) for way in (ours, naive)]
    say(
        f"peak memory: {peaks[0] / 1e6:,.0f} MB, mapped pages of the file with them, against "
        f"{peaks[1] / 1e6:,.0f} MB; S {ours[0]['s']:.6f} against {naive[0]['s']:.6f}"
    )
    assert math.isclose(ours[0]["s"], naive[0]["s"], rel_tol=1e-6), "the two ways do not agree"


if __name__ == "__main__":
    main()
