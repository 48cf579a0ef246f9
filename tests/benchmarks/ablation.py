"""The ablation sweep against one full forward pass a component, on the same prompts.

    python -m tests.benchmarks.ablation zoo:teacher-forward numerals
    python -m tests.benchmarks.ablation SMOLLM2 numerals --every 10    # layers 5, 15 and 25 of 30

Of a large model a layer in every N stands for all, from the middle of the first N on, so that the
sweep has as far to go as over all of them. Both give the same numbers; times are of the processor,
one thread, so that other work on the machine does not count. The full pass is the model's own, of
100 prompts in one batch.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from measure import ablation, models, sources, tasks
from measure.components import Blocks
from measure.models import CausalLM
from measure.tasks import TaskSet
from tests.benchmarks.both_ways import say

N_PROMPTS = 100
TOLERANCE = 1e-3


def swept(model: CausalLM, task: TaskSet, layers: range) -> np.ndarray:
    """As `cicatrix circuits` does it, means over the corrupted prompts and all."""
    sweep = ablation.Sweep(model, task)
    return np.concatenate([sweep.layer(i, lambda _: None) for i in layers])


def by_full_passes(model: CausalLM, task: TaskSet, layers: range, rows: int) -> np.ndarray:
    """A hook and whole passes for each component; the means are taken once, and not timed apart."""
    ids = torch.from_numpy(task.clean)
    blocks = Blocks(model, ids)
    means = ablation.mean_outputs(blocks, torch.from_numpy(task.corrupted), ablation.ROWS)
    found: list[np.ndarray] = []
    for component in blocks.components:
        if component.layer not in layers:
            continue
        layer = model.decoder.get_submodule(_layers(model))[component.layer]
        if component.head is None:
            mean = means.mlp[component.layer]
            handle = layer.mlp.register_forward_hook(partial(_instead, mean))
        else:
            where = blocks.head_slice(component.layer, component.head)
            projection = next(
                module
                for name, module in layer.named_modules()
                if name in ("self_attn.o_proj", "attn.c_proj")
            )
            edit = partial(_with_slice, where, means.z[component.layer])
            handle = projection.register_forward_pre_hook(edit)
        with torch.inference_mode():
            passes = [
                model.model(input_ids=some).logits[:, task.position] for some in ids.split(rows)
            ]
        logits = torch.cat(passes).double().numpy()
        handle.remove()
        each = np.arange(len(ids))
        found.append(logits[each, task.answer] - logits[each, task.foil])
    return np.array(found)


def by_transformer_lens(
    python: str, model: CausalLM, task: TaskSet, layers: range
) -> tuple[float, np.ndarray]:
    """Seconds and logit differences of its hooks, in a process of its own, without loading."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.model.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        np.savez(
            folder / "task.npz", clean=task.clean, corrupted=task.corrupted, answer=task.answer,
            foil=task.foil, position=task.position, layers=np.array(layers),
            n_heads=Blocks(model, torch.from_numpy(task.clean)).n_heads(0),
        )  # fmt: skip
        script = Path(__file__).with_name("by_transformer_lens.py")
        subprocess.run([python, str(script), name], check=True)  # noqa: S603  the user's own
        found = np.load(folder / "found.npz")
        return float(found["seconds"]), found["found"]


def _layers(model: CausalLM) -> str:
    return next(name for name, _ in model.decoder.named_children() if name in ("layers", "h"))


def _instead(mean: Tensor, _: nn.Module, __: Any, output: Tensor) -> Tensor:
    return mean.expand_as(output)


def _with_slice(where: slice, mean: Tensor, _: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
    z = args[0].clone()
    z[:, :, where] = mean[:, where]
    return (z,)


def _seconds(run: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    began = time.process_time()
    found = run()
    return time.process_time() - began, found


def main() -> None:
    """Print both times, their ratio, and how far the numbers differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("task")
    parser.add_argument(
        "--transformer-lens", metavar="PYTHON", help="an interpreter that has it, to compare"
    )
    parser.add_argument(
        "--rows", type=int, default=N_PROMPTS, metavar="N", help="prompts in a full pass"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one layer in N")
    given = parser.parse_args()
    source = sources.find(given.model)
    model = models.load(source, device="cpu")
    torch.set_num_threads(1)
    name = tasks.name_for(given.task, is_zoo=source.kind == "zoo")
    task = tasks.task_set(model.tokenizer, name, N_PROMPTS)
    layers = range(given.every // 2, model.card.n_layers, given.every)
    fast_s, fast = _seconds(lambda: swept(model, task, layers))
    full_s, full = _seconds(lambda: by_full_passes(model, task, layers, given.rows))
    off = float(np.abs(fast - full).max())
    if off > TOLERANCE:
        raise SystemExit(f"the two ways differ by {off:.2g} logits: no figure of speed holds")
    say(
        f"{model.card.label}, {len(fast)} components of {len(layers)} of {model.card.n_layers} "
        f"layers, {N_PROMPTS} prompts of "
        f"{task.clean.shape[1]} tokens: {fast_s:.2f} s against {full_s:.2f} s, "
        f"by {given.rows} at once, "
        f"{full_s / fast_s:.1f} x; largest difference {off:.1e} logits"
    )
    if given.transformer_lens is None:
        say("TransformerLens: not compared, since no interpreter was given that has it")
        return
    lens_s, lens = by_transformer_lens(given.transformer_lens, model, task, layers)
    off = float(np.abs(fast - lens).max())
    if off > TOLERANCE:
        raise SystemExit(f"TransformerLens differs by {off:.2g} logits: no figure of speed holds")
    say(f"TransformerLens: {lens_s:.2f} s, {lens_s / fast_s:.1f} x; largest difference {off:.1e}")


if __name__ == "__main__":
    main()
