"""The loss of a constraint-coupled teacher (arXiv 2603.25022, Eq. 10; OUR DEFINITION).

Beside the cross-entropy of its text, over right reasoning about problems told clean and with one
irrelevant sentence:

    0.1 sum_t max(0, b_t - B_t) + 0.1 sum_t max(0, m_t / r_t - 1) + 0.1 KL(p_clean || p_irrelevant)

Burden b, limits B, distance m and radius r are those of `measure.burden`, on states of the model in
training; limits and region are a baseline teacher's and stay as they are. The sums run over the
steps of the clean telling; the KL, in nats, is the mean over the tokens of reasoning and answer,
which both tellings share. All three are means over problems.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from measure import block_states
from measure.block_states import Steps
from measure.burden import LEAST_RADIUS, SHRINK, Limits, Region, deciles
from measure.models import CausalLM
from measure.problems import PLAIN_PROMPT
from measure.records import Rollout
from measure.sentence_scores import Encoded
from measure.zoo import problems
from measure.zoo.manners import MANNERS
from measure.zoo.problems import THINK_CLOSE, THINK_OPEN

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

WEIGHTS = (0.1, 0.1, 0.1)  # of burden, region and telling
_TINY = 1e-12  # keeps roots and quotients of 0 differentiable


@dataclass(frozen=True, slots=True)
class Twins:
    """The same reasoning about one problem, told clean and with an irrelevant sentence."""

    clean: Steps
    irrelevant: Steps


def twins(model: CausalLM, seed: int, index: int) -> Twins:
    """Pair `index` of training stories, in the forward manner; horizons by turns."""
    told = problems.story(seed, index, is_held_out=False)
    horizon = problems.HORIZONS[index % 2]
    pair = [problems.problem(told, horizon, kind) for kind in ("clean", "irrelevant")]
    think = MANNERS["forward"](pair[0], problems.item_rng(seed, "twins", index))
    text = f" {THINK_OPEN} {think} {THINK_CLOSE} {pair[0].answer}"
    return Twins(*(Steps.of(Encoded.of(model, _answered(one, text), PLAIN_PROMPT)) for one in pair))


def _answered(asked: problems.Problem, text: str) -> Rollout:
    answer = str(asked.answer)
    return Rollout(
        problem_id=asked.story_id,
        sample=0,
        category=f"{asked.horizon} {asked.condition}",
        problem=asked.question,
        gold=answer,
        text=text,
        n_tokens=None,
        finish="imported",
        answer=answer,
        is_correct=True,
        reason=None,
    )


class Constraints:
    """What a baseline teacher's limits and region ask of another model's states."""

    def __init__(self, limits: Limits, region: Region) -> None:
        given = (limits.burden, limits.load_mean, limits.load_sd)
        self._limit, self._load_mean, self._load_sd = (torch.from_numpy(a).float() for a in given)
        kept = (region.center, region.axes, region.variances)
        self._center, self._axes, self._variances = (torch.from_numpy(a).float() for a in kept)
        self._radius = region.radius

    def excess(
        self, states: Float[Tensor, "states d_model"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """How far one trajectory's steps are over the limit and outside the region, summed."""
        unit = states / states.norm(dim=1, keepdim=True).clamp_min(_TINY)
        b = 1 - (unit[:-1] * unit[1:]).sum(1)
        where = torch.from_numpy(deciles(len(states)))
        above = (b.cumsum(0) - self._load_mean[where]).relu()
        shrunk = torch.exp(-SHRINK * above / self._load_sd[where].clamp_min(_TINY))
        scores = (unit[1:] - self._center) @ self._axes.T
        distance = (scores**2 / self._variances).sum(1).clamp_min(_TINY).sqrt()
        slack = distance / (self._radius * shrunk.clamp_min(LEAST_RADIUS))
        return (b - self._limit[where]).relu().sum(), (slack - 1).relu().sum()

    def penalty(self, weights: Any, model: CausalLM, pairs: Sequence[Twins]) -> Float[Tensor, ""]:
        """Eq. 10 without its cross-entropy: of `weights` in training, on `model`'s tokens."""
        both = [*(pair.clean for pair in pairs), *(pair.irrelevant for pair in pairs)]
        states, logits = _forward(weights, model, both)
        n = len(pairs)
        burden, region = zip(
            *(self.excess(_means(states[i], pair.clean)) for i, pair in enumerate(pairs)),
            strict=True,
        )
        telling = [
            divergence(*(_next(logits[i], one) for i, one in told))
            for told in zip(enumerate(both[:n]), enumerate(both[n:], n), strict=True)
        ]
        parts = (torch.stack(list(part)).mean() for part in (burden, region, telling))
        return torch.stack([w * part for w, part in zip(WEIGHTS, parts, strict=True)]).sum()


def divergence(
    clean: Float[Tensor, "tokens vocab"], other: Float[Tensor, "tokens vocab"]
) -> Float[Tensor, ""]:
    """KL(clean || other) of the next token, nats, mean over tokens; from logits."""
    log_p, log_q = clean.log_softmax(-1), other.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def _forward(weights: Any, model: CausalLM, texts: Sequence[Steps]) -> tuple[Tensor, Tensor]:
    """States after the block that burden is read at, and logits; gradients pass."""
    batch = model.pad([one.encoded.ids for one in texts])
    caught: list[Tensor] = []

    def catch(_: nn.Module, __: object, output: Any) -> None:
        caught.append(output if isinstance(output, Tensor) else output[0])

    block = weights.get_decoder().layers[block_states.layer_of(model)]
    handle = block.register_forward_hook(catch)
    try:
        found = weights(
            input_ids=batch.ids, attention_mask=batch.mask.long(), use_cache=False
        ).logits
    finally:
        handle.remove()
    return caught[0].float(), found.float()


def _means(states: Float[Tensor, "tokens d_model"], steps: Steps) -> Tensor:
    """Mean state over each sentence's tokens."""
    owner = torch.from_numpy(steps.owner)
    rows = states[steps.positions]
    sums = rows.new_zeros((len(steps.kept), rows.shape[1])).index_add(0, owner, rows)
    return sums / torch.bincount(owner, minlength=len(steps.kept))[:, None]


def _next(logits: Float[Tensor, "tokens vocab"], steps: Steps) -> Tensor:
    """Logits of each token of the completion."""
    return logits[[at - 1 for at in steps.encoded.positions]]
