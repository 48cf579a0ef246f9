"""Task sets without meaning for models with random weights, and ablation by hooks on the whole."""

import numpy as np
import torch

from measure.components import Blocks, Component
from measure.task_items import Item
from measure.tasks import TaskSet


def answered(model, n=6, n_tokens=9, seed=0, position=None):
    """Random bytes; the answer is the model's likeliest token at `position`, the foil its next."""
    rng = np.random.default_rng(seed)
    clean, corrupted = rng.integers(1, 250, (2, n, n_tokens))
    position = n_tokens - 1 if position is None else position
    with torch.inference_mode():
        logits = model.model(input_ids=torch.from_numpy(clean)).logits[:, position]
    best = logits.topk(2).indices.numpy()
    keys = tuple(f"prompt-{i}" for i in range(n))
    items = tuple(Item(clean=key, corrupted=key, answer="a", foil="b", roles={}) for key in keys)
    roles = {"final": (position,)}
    return TaskSet(
        "bytes", clean, corrupted, best[:, 0], best[:, 1], roles, position, keys, items, n
    )


def gaps(model, ids, task):
    with torch.inference_mode():
        logits = model.model(input_ids=torch.from_numpy(ids)).logits[:, task.position].double()
    rows = np.arange(len(ids))
    return logits.numpy()[rows, task.answer] - logits.numpy()[rows, task.foil]


def ablated_together(model, task, removed):
    """The other route: hooks on the whole model."""
    ids = torch.from_numpy(task.clean)
    blocks = Blocks(model, ids)
    means = [means_of(model, task, block) for block in blocks._blocks]
    handles = []
    for layer, (block, (z, mlp)) in enumerate(zip(blocks._blocks, means, strict=True)):
        some = [c.head for c in removed if c.layer == layer and c.is_head]

        def edit(_, args, some=some, z=z, layer=layer):
            value = args[0].clone()
            for head in some:
                where = blocks.head_slice(layer, head)
                value[:, :, where] = z[:, where]
            return (value,)

        handles.append(block.projection.register_forward_pre_hook(edit))
        if Component(layer) in removed:
            module = block.layer.get_submodule(block.mlp)
            handles.append(
                module.register_forward_hook(lambda _, __, out, mlp=mlp: mlp.expand_as(out))
            )
    found = gaps(model, task.clean, task)
    for handle in handles:
        handle.remove()
    return found


def means_of(model, task, block):
    caught = {}
    module = block.layer.get_submodule(block.mlp)
    handles = [
        block.projection.register_forward_pre_hook(lambda _, a: caught.update(z=a[0].mean(0))),
        module.register_forward_hook(lambda _, __, out: caught.update(mlp=out.mean(0))),
    ]
    gaps(model, task.corrupted, task)
    for handle in handles:
        handle.remove()
    return caught["z"], caught["mlp"]
