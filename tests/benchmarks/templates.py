"""Templates of 40 prompts x 64 tokens, against one `generate` call a prompt.

Ours is one unit of `measure.functional` after the other. The naive way is what transformers'
manual leads to: `generate(output_scores=True, return_dict_in_generate=True)` for each prompt, then
gaps of the top 21 scores and their PPP residual in NumPy. Texts must be the same, and templates
equal to 1e-4 logits: rounding differs between batches, and where two tokens are nearly alike it
may choose another, which is said.
"""

import numpy as np
import torch

from measure import functional, prompts
from measure.functional import MAX_NEW_TOKENS, K
from measure.models import CausalLM
from measure.prompts import Prompt
from measure.records import PromptTemplate
from tests.benchmarks.both_ways import Timed, load, model_argument, say

WANTED = 5
TOLERANCE = 1e-4


def naive_template(model: CausalLM, prompt: Prompt) -> tuple[str, np.ndarray]:
    """(text, template) of one prompt, with nothing of ours but the tokenizer's call."""
    row = model.encode(prompt.text)
    ids = torch.tensor([row])
    with torch.inference_mode():
        out = model.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=MAX_NEW_TOKENS,
            pad_token_id=0,
            output_scores=True,
            return_dict_in_generate=True,
        )
    new_ids = [t for t in out.sequences[0, len(row) :].tolist() if t not in model.eos_ids]
    scores = torch.cat(out.scores)[: len(new_ids)]
    top = scores.float().topk(K + 1).values.double().numpy()
    gaps, ranks = top[:, :-1] - top[:, 1:], np.arange(1, K + 1)
    residuals = gaps - (gaps * ranks).mean(1, keepdims=True) / ranks
    return model.continuation(row, new_ids), residuals.mean(0)


def main() -> None:
    """Time both ways, one unit of prompts at a time."""
    model = load(model_argument(__doc__))
    bank = prompts.load("canonical40")
    plan = functional.plan("", bank)
    naive_template(model, bank.prompts[0])
    model.continue_greedily([model.encode(bank.prompts[0].text)], K + 1, MAX_NEW_TOKENS)
    timed, ours, naive = Timed(), list[PromptTemplate](), list[tuple[str, np.ndarray]]()
    for unit in plan.units:
        first, last = (int(part) for part in unit.removeprefix("prompts-").split("-"))
        chunk = bank.prompts[first : last + 1]
        records, pairs = timed.take(
            lambda unit=unit: list(
                functional.measure_unit(model, bank, unit, plan.batch_size, lambda _: None)
            ),
            lambda chunk=chunk: [naive_template(model, prompt) for prompt in chunk],
        )
        ours += records
        naive += pairs
    same = [(r, t) for r, (text, t) in zip(ours, naive, strict=True) if r.text == text]
    off = max(float(np.abs(np.array(r.template) - t).max()) for r, t in same)
    n_tokens = sum(record.n_tokens for record in ours)
    say(timed.text(f"templates, {len(ours)} prompts, {n_tokens:,} tokens", WANTED))
    say(
        f"{len(same)} of {len(ours)} texts are the same; their templates differ by {off:.1e} logits"
    )
    assert len(same) >= len(ours) - 2 and off < TOLERANCE, "the two ways do not agree"


if __name__ == "__main__":
    main()
