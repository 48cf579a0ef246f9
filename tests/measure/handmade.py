"""A decoder written by hand: head 0 of layer 0 copies, all else is silent.

Token i (below 16) is the unit vector i of 64. The head looks at all tokens so far alike and writes
what it read 16 dimensions further on, where the unembedding of token i reads. The RMS of a unit
vector is 1/8, so the head reads 8 times it; of T tokens it writes 8/T of each. With 8 different
tokens the stream at the end is the last token's vector and 8 others of length 1: its norm is 3,
its RMS 3/8, and each token of the prompt has the logit 8/3, all others 0.
"""

import numpy as np
import torch

from measure import models, sources
from measure.task_items import Item
from measure.tasks import TaskSet

LOGIT = 8 / 3
N_TOKENS = 8
SIZES = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2}
TERM, OTHER, FINAL = 2, 4, 7


def copying(model_folder):
    model = models.load(sources.find(str(model_folder(**SIZES))), device="cpu")
    own = model.model
    with torch.no_grad():
        for name, weights in own.named_parameters():
            weights.fill_(1.0 if "norm" in name else 0.0)
        i = torch.arange(16)
        attention = own.model.layers[0].self_attn
        own.model.embed_tokens.weight[i, i] = 1
        attention.v_proj.weight[i, i] = 1  # the first 32 rows are head 0
        attention.o_proj.weight[16 + i, i] = 1
        own.lm_head.weight[i, 16 + i] = 1
    return model


def one_term_differs(n=3):
    """The answer stands among the clean prompt's tokens, the foil among the corrupted one's.

    Another token differs too, and has to do with neither.
    """
    clean, corrupted, answers, foils = [], [], [], []
    for index in range(n):
        tokens = np.random.default_rng(index).permutation(16)
        row = tokens[:N_TOKENS].copy()
        answers.append(row[TERM])
        clean.append(row.copy())
        row[TERM], row[OTHER] = tokens[N_TOKENS], tokens[N_TOKENS + 1]
        foils.append(row[TERM])
        corrupted.append(row)
    keys = tuple(f"prompt-{index}" for index in range(n))
    roles = {"term": (TERM,), "other": (OTHER,), "final": (FINAL,)}
    items = tuple(Item(clean=key, corrupted=key, answer="a", foil="b", roles={}) for key in keys)
    return TaskSet(
        "copying", np.array(clean), np.array(corrupted), np.array(answers), np.array(foils),
        roles, FINAL, keys, items, n,
    )  # fmt: skip
