"""What a linear probe can read out of the residual stream, or out of a head's values.

One linear layer is trained on the activations at one token of each corrupted prompt, whose terms
were drawn independently of one another: in a clean one the first term tells all others. It is asked

    accuracy   which token stands at another role (cross-entropy)
    auroc      which tokens are among those of several roles (a logistic loss each); the area under
               the ROC curve, a mean over tokens

Training as in the paper: Adam with rate 1e-3, 20 epochs, 80 % of the prompts. With it, as a probe
also learns what means nothing: the same with the training labels permuted (the control, to be
subtracted), the share of the largest class, 5 seeds. OUR DEFINITION: features are scaled to mean 0
and deviation 1 over the training part; a start from 0; batches of 32; weight decay 1e-4; no prompt
twice; classes cut down to the smallest, four fifths of each trained on (for the AUROC: of all).

Source: Haskins & Adams 2026, arXiv 2505.10822; methods 4.11.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from measure.ablation import ROWS
from measure.circuit_records import ProbeAccuracy
from measure.components import Blocks
from measure.errors import BadInput
from measure.models import CausalLM
from measure.tasks import READ_AT, TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float, Int
    from numpy.typing import NDArray

    Features = Float[Tensor, "sets prompts width"]
    Indices = Int[NDArray[np.int64], " prompts"]

METHOD = "probes"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
SEEDS = (0, 1, 2, 3, 4)
EPOCHS, RATE, WEIGHT_DECAY, BATCH = 20, 1e-3, 1e-4, 32
TRAINED_SHARE = 0.8
MIN_PER_CLASS = 5  # of which four are trained on

Site = Literal["resid_mid", "value"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one set of features: a value a seed, with the control's and the baseline."""

    value: Float[NDArray[np.float64], "sets seeds"]
    control: Float[NDArray[np.float64], "sets seeds"]
    baseline: float
    n_classes: int
    n_train: int
    n_test: int


def probe_accuracies(
    model: CausalLM,
    task: TaskSet,
    site: Site,
    layer: int,
    labels: Sequence[str],
    *,
    at: str = READ_AT,
    seeds: Sequence[int] = SEEDS,
    rows: int = ROWS,
) -> Iterator[ProbeAccuracy]:
    """Probes of a layer for each of the roles `labels`, and for what is among them.

    `resid_mid` is the stream between attention and MLP; `value` each head's values, of which
    several heads may share one. Features are of the last token of the role `at`.

    Raises:
        BadInput: a role that the task does not have, or too few prompts.
    """
    for role in (at, *labels):
        if role not in task.roles:
            raise BadInput(
                f"task {task.name!r} has no role {role!r}: give one of {', '.join(task.roles)}"
            )
    _, kept = np.unique(task.corrupted, axis=0, return_index=True)
    ids = task.corrupted[np.sort(kept)]
    features = features_at(model, torch.from_numpy(ids), site, layer, task.roles[at][-1], rows)
    told = ids[:, [task.roles[role][-1] for role in labels]]
    asked = [
        (role, "accuracy", accuracies(features, told[:, i], seeds)) for i, role in enumerate(labels)
    ]
    if len(labels) > 1:
        asked.append(("+".join(labels), "auroc", areas(features, membership(told), seeds)))
    heads = [None] if site == "resid_mid" else range(len(features))
    for role, metric, scores in asked:
        for head, values, controls in zip(heads, scores.value, scores.control, strict=True):
            for seed, value, control in zip(seeds, values, controls, strict=True):
                yield ProbeAccuracy(
                    site=site,
                    layer=layer,
                    head=head,
                    read_at=at,
                    label=role,
                    metric=metric,
                    seed=seed,
                    value=float(value),
                    control=float(control),
                    baseline=scores.baseline,
                    n_classes=scores.n_classes,
                    n_train=scores.n_train,
                    n_test=scores.n_test,
                )


@torch.inference_mode()
def features_at(
    model: CausalLM,
    ids: Int[Tensor, "prompts tokens"],
    site: Site,
    layer: int,
    position: int,
    rows: int = ROWS,
) -> Features:
    """Activations at one position: one set of the stream, or a set a head of its values."""
    blocks, found = Blocks(model, ids), list[Tensor]()
    for some in ids.split(rows):
        stream = blocks.embed(some)
        for earlier in range(layer):
            stream = blocks.run(earlier, stream)
        found.append(_at_site(blocks, site, layer, stream)[:, :, position])
    return torch.cat(found, dim=1).float()


def _at_site(blocks: Blocks, site: Site, layer: int, stream: Tensor) -> Tensor:
    if site == "resid_mid":
        parts = blocks.read(layer, stream)
        between = blocks.run(layer, stream, z=parts.z, mlp=torch.zeros_like(parts.mlp))
        return between[None]
    kept: list[Tensor] = []

    def keep(values: Tensor) -> Tensor:
        kept.append(values)
        return values

    blocks.attend(layer, stream, {"v": keep})
    heads = range(blocks.n_heads(layer))
    return torch.stack([kept[0][:, :, blocks.value_slice(layer, head)] for head in heads])


def membership(tokens: Int[NDArray[np.int64], "prompts roles"]) -> Bool[Tensor, "prompts classes"]:
    """Which of all tokens that occur stand among those of each prompt."""
    classes = np.unique(tokens)
    return torch.from_numpy((tokens[:, :, None] == classes).any(1))


def accuracies(
    features: Features, labels: Int[NDArray[np.int64], " prompts"], seeds: Sequence[int] = SEEDS
) -> Scores:
    """Share of held-out prompts whose label the probe names, of classes of equal size.

    Raises:
        BadInput: one class alone, or one with fewer than 5 prompts.
    """
    classes, label = np.unique(labels, return_inverse=True)
    counts = np.bincount(label, minlength=1)
    if len(classes) < 2 or counts.min() < MIN_PER_CLASS:
        raise BadInput(
            f"a probe needs two classes and {MIN_PER_CLASS} prompts of each; of {len(labels)} "
            f"prompts there are {len(classes)} classes, the smallest of {counts.min()}: "
            "give more prompts"
        )
    n_trained = int(TRAINED_SHARE * counts.min())
    train: list[Indices] = []
    test: list[Indices] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        drawn = [rng.permutation(np.flatnonzero(label == c)) for c in range(len(classes))]
        train.append(np.concatenate([some[:n_trained] for some in drawn]))
        test.append(np.concatenate([some[n_trained : counts.min()] for some in drawn]))
    targets = torch.nn.functional.one_hot(torch.from_numpy(label))
    found = _test_logits(features, targets, train, test, seeds, is_logistic=False)
    wanted = torch.from_numpy(label[np.stack(test)])
    value, control = (found.argmax(-1) == wanted).double().mean(-1).numpy()
    return Scores(
        value, control, baseline=1 / len(classes), n_classes=len(classes),
        n_train=len(train[0]), n_test=len(test[0]),
    )  # fmt: skip


def areas(
    features: Features, members: Bool[Tensor, "prompts classes"], seeds: Sequence[int] = SEEDS
) -> Scores:
    """Mean over classes of the chance that a member is scored above one that is none, held out.

    Raises:
        BadInput: so few prompts that no class has both among those held out.
    """
    n, n_classes = members.shape
    n_trained = int(TRAINED_SHARE * n)
    orders = [np.random.default_rng(seed).permutation(n) for seed in seeds]
    train, test = [o[:n_trained] for o in orders], [o[n_trained:] for o in orders]
    found = _test_logits(features, members, train, test, seeds, is_logistic=True)
    by_seed = [_area(found[:, :, i], members[test[i]]) for i in range(len(seeds))]
    if any(np.isnan(area).any() for area in by_seed):
        raise BadInput(
            f"of {n} prompts {n - n_trained} are held out, where no class has members and others "
            "both: give more prompts"
        )
    value, control = np.stack(by_seed, axis=-1)
    return Scores(value, control, 0.5, n_classes, n_trained, n - n_trained)


def _area(
    logits: Float[Tensor, "variants sets prompts classes"], members: Bool[Tensor, "prompts classes"]
) -> Float[NDArray[np.float64], "variants sets"]:
    """Ties count a half; classes without members or without others are left out; NaN if all are."""
    of_classes: list[Tensor] = []
    for c in range(members.shape[1]):
        inside, outside = logits[:, :, members[:, c], c], logits[:, :, ~members[:, c], c]
        gaps = inside[..., :, None] - outside[..., None, :]
        if gaps.shape[-1] and gaps.shape[-2]:
            of_classes.append(((gaps > 0).double() + 0.5 * (gaps == 0)).mean((-1, -2)))
    if not of_classes:
        return np.full(tuple(logits.shape[:2]), np.nan)
    return torch.stack(of_classes).mean(0).numpy()


def _test_logits(
    features: Features,
    targets: Tensor,
    train: Sequence[Indices],
    test: Sequence[Indices],
    seeds: Sequence[int],
    *,
    is_logistic: bool,
) -> Float[Tensor, "variants sets seeds prompts classes"]:
    """What probes say of held-out prompts: the first variant is true, the second the control.

    All sets, seeds and variants are trained at once; none touches another.
    """
    features = features.cpu()
    trained, held_out = (features[:, np.stack(indices)] for indices in (train, test))
    mean, deviation = trained.mean(2, keepdim=True), trained.std(2, keepdim=True)
    deviation = torch.where(deviation > 0, deviation, 1)
    trained, held_out = (trained - mean) / deviation, (held_out - mean) / deviation
    n_train, width = trained.shape[2:]
    generators = [np.random.default_rng([seed, 1]) for seed in seeds]
    permuted = [rng.permutation(indices) for rng, indices in zip(generators, train, strict=True)]
    wanted = torch.stack([targets[np.stack(train)], targets[np.stack(permuted)]])[:, None].float()
    shape = (2, len(features), len(seeds))
    weights = torch.zeros((*shape, width, targets.shape[1]), requires_grad=True)
    biases = torch.zeros((*shape, 1, targets.shape[1]), requires_grad=True)
    optimiser = torch.optim.Adam([weights, biases], lr=RATE, weight_decay=WEIGHT_DECAY)
    of_seed = torch.arange(len(seeds))[:, None]
    for _ in range(EPOCHS):
        order = torch.from_numpy(np.stack([rng.permutation(n_train) for rng in generators]))
        for batch in order.split(BATCH, dim=1):
            logits = trained[:, of_seed, batch] @ weights + biases
            optimiser.zero_grad()
            _loss(logits, wanted[:, :, of_seed, batch], is_logistic).backward()
            optimiser.step()
    with torch.no_grad():
        return held_out @ weights + biases


def _loss(logits: Tensor, wanted: Tensor, is_logistic: bool) -> Tensor:
    """Sum over probes of the mean over prompts."""
    wanted = wanted.expand_as(logits)
    if is_logistic:
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, wanted, reduction="none"
        )
        return each.sum(-1).mean(-1).sum()
    return -(logits.log_softmax(-1) * wanted).sum(-1).mean(-1).sum()
