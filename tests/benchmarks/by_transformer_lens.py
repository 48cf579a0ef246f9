"""The ablation sweep by TransformerLens, run by `ablation` with another interpreter.

    PYTHON tests/benchmarks/by_transformer_lens.py FOLDER

FOLDER has a model and `task.npz`: token ids, position, answer, foil, the layers asked for. A hook
puts the mean over the corrupted prompts in a component's place, and the whole model runs, one
component after another. What comes out is `found.npz`: logit differences, and seconds of CPU.
Needs transformer-lens >= 4 and nothing of this project.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch


def main(folder: Path) -> None:
    """Ablate, and write what was found and what it took."""
    # An environment of its own has it, this project's does not.
    from transformer_lens.model_bridge import TransformerBridge  # pyright: ignore
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    own = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = TransformerBridge.boot_transformers(
        str(folder), hf_model=own, tokenizer=tokenizer, device="cpu"
    )
    task = np.load(folder / "task.npz")
    clean, corrupted = torch.from_numpy(task["clean"]), torch.from_numpy(task["corrupted"])
    rows, n_heads = np.arange(len(clean)), int(task["n_heads"])
    found: list[np.ndarray] = []
    began = time.process_time()
    with torch.inference_mode():
        names = [
            f"blocks.{layer}.{part}"
            for layer in task["layers"].tolist()
            for part in ("attn.hook_z", "hook_mlp_out")
        ]
        _, kept = model.run_with_cache(corrupted, names_filter=names)
        for layer in task["layers"].tolist():
            z, mlp = (kept[f"blocks.{layer}.{p}"].mean(0) for p in ("attn.hook_z", "hook_mlp_out"))
            for head in (*range(n_heads), None):

                def edit(
                    value: Any, hook: Any, head: Any = head, z: Any = z, mlp: Any = mlp
                ) -> Any:
                    del hook
                    if head is None:
                        return mlp.expand_as(value)
                    value = value.clone()
                    if value.dim() == 4:  # heads apart
                        value[:, :, head] = z[:, head]
                    else:
                        width = value.shape[-1] // n_heads
                        where = slice(head * width, (head + 1) * width)
                        value[:, :, where] = z[:, where]
                    return value

                part = "hook_mlp_out" if head is None else "attn.hook_z"
                hooks = [(f"blocks.{layer}.{part}", edit)]
                logits = model.run_with_hooks(clean, fwd_hooks=hooks)
                at = logits[:, int(task["position"])].double().numpy()
                found.append(at[rows, task["answer"]] - at[rows, task["foil"]])
    seconds = time.process_time() - began
    np.savez(folder / "found.npz", found=np.array(found), seconds=seconds)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
