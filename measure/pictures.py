"""What a person would look at: where heads look and what they say; MLPs of two models side by side.

    patterns   of every head, on the first prompts: as many as keep within some 20,000 rows
    OV tokens  what a head adds at the end of a clean prompt, read as logits (measure/ov_scores.py):
               the 5 tokens that are among its first 5 on most prompts
    MLP map    similarity of every MLP of the teacher with every one of the student
    MLP clouds outputs of each MLP of the teacher and of the most similar of the student, token by
               token, on the first two principal axes of that MLP's own centred outputs

An axis has no sign of its own: the teacher's points to its outermost token, the student's to where
its tokens go with the teacher's. The first token's outputs are often so large that both axes are
about it; it is drawn apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from measure.ablation import ROWS
from measure.components import Blocks
from measure.models import CausalLM
from measure.ov_scores import N_TOP, top_tokens
from measure.picture_records import AttentionPattern, MlpProjection, MlpSimilarity, OvToken
from measure.prompts import Progress
from measure.similarity import Similarity
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from numpy.typing import NDArray

    Outputs = Float[NDArray[np.floating], "layers prompts tokens width"]
    Scores = Float[NDArray[np.float64], "prompts tokens 2"]

METHOD = "pictures"
PAIR_METHOD = "mlp-pictures"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
MOST_ROWS = 20_000
MOST_PATTERNS = 2  # prompts
MOST_PROJECTED = 20  # prompts


@torch.inference_mode()
def attention_patterns(model: CausalLM, task: TaskSet) -> Iterator[AttentionPattern]:
    """A record a prompt, head and position; none of no prompts."""
    blocks = Blocks(model, torch.from_numpy(task.clean))
    heads = [c for c in blocks.components if c.head is not None]
    n_tokens = task.clean.shape[1]
    n = max(1, min(MOST_PATTERNS, MOST_ROWS // (len(heads) * n_tokens)))
    role_of = {at: role for role, places in task.roles.items() for at in places}
    patterns = blocks.patterns(torch.from_numpy(task.clean[:n])).double().cpu().numpy()
    for key, ids, of_heads in zip(task.keys, task.clean, patterns, strict=False):
        texts = tokens_of(model, ids.tolist())
        for head, rows in zip(heads, of_heads, strict=True):
            for position, weights in enumerate(rows.tolist()):
                yield AttentionPattern(
                    prompt_id=key,
                    layer=head.layer,
                    head=head.head or 0,
                    position=position,
                    token=texts[position],
                    role=role_of.get(position),
                    weights=tuple(weights),
                )


@torch.inference_mode()
def ov_tokens(
    model: CausalLM, task: TaskSet, progress: Progress, rows: int = ROWS
) -> Iterator[OvToken]:
    """Up to 5 records a head, none of one that writes nothing; `progress` hears of prompts."""
    ids = torch.from_numpy(task.clean)
    blocks = Blocks(model, ids)
    streams = [blocks.embed(some) for some in ids.split(rows)]
    for layer in range(blocks.n_layers):
        said: list[Counter[int]] = [Counter() for _ in range(blocks.n_heads(layer))]
        for index, before in enumerate(streams):
            parts = blocks.read(layer, before)
            for head, counted in enumerate(said):
                top = top_tokens(blocks, layer, head, parts.z, task.position)
                counted.update(token for token in top.flatten().tolist() if token >= 0)
                progress(len(before))
            streams[index] = parts.after
        for head, counted in enumerate(said):
            often = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:N_TOP]
            for rank, (token, n_first) in enumerate(often, 1):
                yield OvToken(
                    layer=layer,
                    head=head,
                    rank=rank,
                    token=tokens_of(model, [token])[0],
                    n_prompts=len(ids),
                    n_first=n_first,
                )


def tokens_of(model: CausalLM, ids: list[int]) -> list[str]:
    """The text of each token by itself."""
    return [str(model.tokenizer.decode([token])) for token in ids]


def mlp_map(alike: Similarity) -> Iterator[MlpSimilarity]:
    """A record a pair of MLPs, the teacher's layer by layer."""
    for (teacher, student), found in np.ndenumerate(alike.mlps):
        yield MlpSimilarity(
            layer_teacher=teacher,
            layer_student=student,
            n_prompts=alike.n_prompts,
            similarity=float(found),
            method=alike.mlp_method,
            chance=alike.chance_mlps,
        )


def mlp_clouds(
    alike: Similarity,
    outputs: tuple[Outputs, Outputs],
    keys: tuple[str, ...],
    tokens: list[list[str]],
) -> Iterator[MlpProjection]:
    """A record a pair, model and prompt, of the first 20; the pairs are greedy, the teacher's all.

    `tokens` are texts by prompt and position.
    """
    for teacher, row in enumerate(alike.mlps):
        student = int(row.argmax())
        theirs = projected(outputs[0][teacher])
        ours = projected(outputs[1][student]).turned_to(theirs.scores)
        both: tuple[tuple[Literal["teacher", "student"], Projected], ...] = (
            ("teacher", theirs), ("student", ours),
        )  # fmt: skip
        for whose, found in both:
            for key, texts, scores in list(zip(keys, tokens, found.scores, strict=True))[
                :MOST_PROJECTED
            ]:
                yield MlpProjection(
                    layer_teacher=teacher,
                    layer_student=student,
                    whose=whose,
                    prompt_id=key,
                    tokens=tuple(texts),
                    first=tuple(scores[:, 0].tolist()),
                    second=tuple(scores[:, 1].tolist()),
                    share_first=float(found.shares[0]),
                    share_second=float(found.shares[1]),
                )


@dataclass(frozen=True, slots=True)
class Projected:
    """Outputs of an MLP on their first two principal axes."""

    scores: Scores
    shares: Float[NDArray[np.float64], " axes"]  # of the variance; 0 of outputs that never change

    def turned_to(self, other: Scores) -> Projected:
        """Each axis the way round in which the same tokens go along with another's."""
        signs = np.where((self.scores * other).sum((0, 1)) < 0, -1.0, 1.0)
        return Projected(self.scores * signs, self.shares)


def projected(outputs: Float[NDArray[np.floating], "prompts tokens width"]) -> Projected:
    """The principal axes of one MLP's outputs over all prompts and tokens, width 2 or more.

    Each points to where the token that lies furthest out on it is.
    """
    flat = outputs.reshape(-1, outputs.shape[-1]).astype(np.float64)
    centred = flat - flat.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    scores = centred @ vectors[:, [-1, -2]]
    furthest = scores[np.abs(scores).argmax(0), [0, 1]]
    total = values.sum()
    shares = np.clip(values[[-1, -2]], 0, None) / total if total > 0 else np.zeros(2)
    turned = scores * np.where(furthest < 0, -1.0, 1.0)
    return Projected(turned.reshape(*outputs.shape[:2], 2), shares)
