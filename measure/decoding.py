"""Texts continued and scored batch by batch, with hooks and cache: how transformers runs them.

Sampling is exact and belongs to the item: token t of a row is the inverse distribution function, at
its u_t, of the tempered and top-p truncated distribution. So no batch decides what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from measure.text_model import Scored

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from measure.models import CausalLM


@torch.inference_mode()
def greedy(
    model: CausalLM, rows: Sequence[Sequence[int]], k: int, n_new: int
) -> tuple[Float[torch.Tensor, "batch tokens k"], list[list[int]]]:
    """Continue each row by the fp32 argmax: k largest logits a step, and the tokens before EOS."""
    batch = model.pad(rows, side="left")
    cache: Any = model.new_cache()
    ended = torch.zeros(len(rows), dtype=torch.bool, device=model.device)
    eos = torch.tensor(sorted(model.eos_ids), dtype=torch.long, device=model.device)
    chosen: list[list[int]] = [[] for _ in rows]
    tops: list[torch.Tensor] = []
    for _ in range(n_new):
        last = model.states(batch, cache).after_norm[:, -1]
        values, indices = model.top_logits(last, k)
        tops.append(values)
        best = indices[:, 0]
        ended |= torch.isin(best, eos)
        for index, (token, is_over) in enumerate(zip(best.tolist(), ended.tolist(), strict=True)):
            if not is_over:
                chosen[index].append(token)
        if bool(ended.all()):
            break
        grown = torch.cat([batch.mask, torch.ones_like(batch.mask[:, :1])], dim=1)
        batch = type(batch)(best[:, None], grown)
    return torch.stack(tops, dim=1), chosen


def top_logits(
    model: CausalLM, texts: Sequence[Scored], k: int
) -> list[Float[torch.Tensor, "tokens k"]]:
    """The k largest logits before each scored token of each text."""
    where = [(row, p - 1) for row, (_, positions) in enumerate(texts) for p in positions]
    if not where:
        return [torch.empty((0, k)) for _ in texts]
    states = model.states(model.pad([ids for ids, _ in texts])).after_norm
    index = torch.tensor(where, device=model.device)
    found = model.top_logits(states[index[:, 0], index[:, 1]], k)[0]
    return list(found.split([len(positions) for _, positions in texts]))


def token_logprobs(
    model: CausalLM, rows: Sequence[Scored]
) -> list[Float[NDArray[np.float64], " tokens"]]:
    """Log probabilities in nats of the tokens at given positions of each row, given all before."""
    if not rows:
        return []
    states = model.states(model.pad([ids for ids, _ in rows])).after_norm
    where = torch.tensor(
        [(row, p - 1, ids[p]) for row, (ids, positions) in enumerate(rows) for p in positions],
        dtype=torch.long,
        device=model.device,
    ).reshape(-1, 3)
    tokens: Int[torch.Tensor, " scored"] = where[:, 2]
    found = model.token_logprobs(states[where[:, 0], where[:, 1]], tokens)
    sizes = np.cumsum([len(positions) for _, positions in rows])[:-1]
    return np.split(found.double().cpu().numpy(), sizes)


@torch.inference_mode()
def sample(
    model: CausalLM,
    rows: Sequence[Sequence[int]],
    uniforms: Float[NDArray[np.float64], "rows steps"],
    limits: Sequence[int],
    temperature: float,
    top_p: float,
) -> list[tuple[list[int], bool]]:
    """Continue each row: its new tokens before the ending one, and whether that came.

    `limits`: new tokens at most, by row. Rows that ended leave the batch.
    """
    chosen: list[list[int]] = [[] for _ in rows]
    ended = [False] * len(rows)
    alive = [index for index, limit in enumerate(limits) if limit > 0]
    if not alive:
        return list(zip(chosen, ended, strict=True))
    batch = model.pad([rows[index] for index in alive], side="left")
    ids, mask, cache = batch.ids, batch.mask, model.new_cache()
    drawn_at = torch.from_numpy(uniforms).to(model.device)
    for step in range(max(limits)):
        last = model.states(type(batch)(ids, mask), cache).after_norm[:, -1]
        tokens = draw(model.logits(last), drawn_at[alive, step], temperature, top_p).tolist()
        going: list[int] = []
        for place, (index, token) in enumerate(zip(alive, tokens, strict=True)):
            if token in model.eos_ids:
                ended[index] = True
                continue
            chosen[index].append(token)
            if len(chosen[index]) < limits[index]:
                going.append(place)
        if not going:
            break
        picked = torch.tensor(going, device=model.device)
        if len(going) < len(alive):
            cache.batch_select_indices(picked)
            alive = [alive[place] for place in going]
        ids = torch.tensor([[tokens[place]] for place in going], device=model.device)
        mask = torch.cat([mask[picked], torch.ones_like(ids, dtype=torch.bool)], dim=1)
    return list(zip(chosen, ended, strict=True))


HEAD = 1_024  # tokens of a large vocabulary that are sorted first: they nearly always decide


def draw(
    logits: Float[torch.Tensor, "rows vocab"],
    uniforms: Float[torch.Tensor, " rows"],
    temperature: float,
    top_p: float,
) -> Int[torch.Tensor, " rows"]:
    """Tokens at the inverse distribution function of `uniforms`, most probable token first.

    top_p keeps the fewest most probable tokens whose probabilities sum to at least it. Of equally
    probable tokens the one with the lower id comes first.
    """
    logits = logits.double()
    if logits.shape[-1] <= HEAD:
        return _draw_from_all(logits, uniforms, temperature, top_p)
    head, order = logits.topk(HEAD)
    order, by_id = order.sort()
    head, by_value = head.gather(-1, by_id).sort(dim=-1, descending=True, stable=True)
    scaled = logits / temperature
    reached = (head / temperature - scaled.logsumexp(-1, keepdim=True)).exp().cumsum(-1)
    n_kept = (reached < top_p).sum(-1).clamp(max=HEAD - 1)
    kept_mass = reached.gather(-1, n_kept[:, None])[:, 0] if top_p < 1 else 1.0
    wanted = uniforms * kept_mass
    below = torch.minimum((reached <= wanted[:, None]).sum(-1), n_kept)
    tokens = order.gather(-1, by_value).gather(-1, below[:, None])[:, 0]
    # Where the head does not reach far enough, or its last token's equals may lie beyond it.
    certain = (reached * (head > head[:, -1:])).amax(-1)
    is_open = certain <= (wanted if top_p == 1 else top_p)
    if bool(is_open.any()):
        tokens[is_open] = _draw_from_all(logits[is_open], uniforms[is_open], temperature, top_p)
    return tokens


def _draw_from_all(
    logits: Float[torch.Tensor, "rows vocab"],
    uniforms: Float[torch.Tensor, " rows"],
    temperature: float,
    top_p: float,
) -> Int[torch.Tensor, " rows"]:
    sorted_logits, order = logits.sort(dim=-1, descending=True, stable=True)
    reached = (sorted_logits / temperature).softmax(-1).cumsum(-1)
    n_kept = (reached < top_p).sum(-1).clamp(max=logits.shape[-1] - 1)
    kept_mass = reached.gather(-1, n_kept[:, None])
    below = (reached <= uniforms[:, None] * kept_mass).sum(-1)
    return order.gather(-1, torch.minimum(below, n_kept)[:, None])[:, 0]
