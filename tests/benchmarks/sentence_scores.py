"""Sentence scores: one pass a rollout against one pass a sentence; and the memory of a large head.

    python -m tests.benchmarks.sentence_scores zoo:qwen2-distilled

Rollouts of 40 sentences are made of the zoo's own reasoning. Both ways must give the same numbers.
The head is synthetic: 8,192 states of width 64 and 150,000 tokens, whose logits would be 4.9 GB.
"""

import argparse
import json
import subprocess
import sys

import torch

from measure import models, problems, rollouts, sentence_scores, sentences, sources
from measure.models import CausalLM
from measure.records import Rollout, SentenceScore
from tests.benchmarks.both_ways import Timed, load, say

N_SENTENCES = 40
N_ROLLOUTS = 8
N_TOKENS, WIDTH, VOCABULARY = 8_192, 64, 150_000
TOLERANCE = 1e-5


def made(number: int) -> Rollout:
    """A rollout of 40 short sentences."""
    problem = problems.load(problems.ZOO_SET).problems[number]
    text = "".join(f" {i % 7} + {number % 3} = {i % 7 + number % 3}." for i in range(N_SENTENCES))
    return rollouts.record(problem, 0, text, None, "imported")


def _known(record: SentenceScore) -> float:
    if record.sum_logprob is None:
        raise SystemExit(f"a sentence was not scored: {record.reason}")
    return record.sum_logprob


def naive(model: CausalLM, given: Rollout) -> list[float]:
    """A pass of its own for each sentence, with everything before it; whole logits."""
    found: list[float] = []
    prompt, specials = rollouts.prompt_text(model, given.problem, problems.PLAIN_PROMPT)
    for sentence in sentences.segment(given.text):
        ids, starts = model.encode_with_starts(
            prompt + given.text[: sentence.end], specials=specials
        )
        with torch.inference_mode():
            logits = model.model(input_ids=torch.tensor([ids])).logits[0].float()
        logprobs = logits.log_softmax(-1)
        first = len(prompt) + sentence.start
        found.append(
            sum(logprobs[p - 1, ids[p]].item() for p, start in enumerate(starts) if start >= first)
        )
    return found


def main() -> None:
    """Print ratio, difference and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a folder, a .gguf file or zoo:NAME")
    parser.add_argument("--head", choices=("chunked", "whole"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.head:
        head(given.head)
        return
    model = load(given.model)
    timed, worst = Timed(), 0.0
    for first in range(0, 2 * N_ROLLOUTS, N_ROLLOUTS):
        batch = [made(number) for number in range(first, first + N_ROLLOUTS)]
        texts = sentence_scores.Texts("made", "", tuple(batch))

        def ours(texts: sentence_scores.Texts = texts) -> list[float]:
            records = sentence_scores.measure_unit(
                model, texts, texts.units[0], N_ROLLOUTS, lambda _: None
            )
            by_key = {(r.problem_id, r.sentence): _known(r) for r in records}
            order = [r.problem_id for r in texts.rollouts]
            return [by_key[p, i] for p in order for i in range(N_SENTENCES)]

        def each(batch: list[Rollout] = batch) -> list[float]:
            return [x for one in batch for x in naive(model, one)]

        one, other = timed.take(ours, each)
        worst = max(
            worst, max(abs(a - b) / max(1, abs(b)) for a, b in zip(one, other, strict=True))
        )
    say(timed.text(f"{2 * N_ROLLOUTS} rollouts of {N_SENTENCES} sentences", 10))
    say(f"largest difference {worst:.1e} nats, relative above 1; {TOLERANCE:g} allowed")
    if worst > TOLERANCE:
        raise SystemExit("the two ways differ")
    peaks = {name: _peak(given.model, name) for name in ("chunked", "whole")}
    logits = 4 * N_TOKENS * VOCABULARY
    say(
        f"head of {VOCABULARY:,} tokens, {N_TOKENS:,} states: at its peak "
        f"{peaks['chunked'] / 1e6:,.0f} MB more, {peaks['whole'] / 1e6:,.0f} MB with all at once; "
        f"logits are {logits / 1e6:,.0f} MB: {peaks['chunked'] / logits:.3f} of them, 0.25 wanted"
    )


def _peak(ref: str, name: str) -> int:
    """Bytes that scoring adds, in a process of its own. Linux: VmHWM."""
    command = [sys.executable, "-m", "tests.benchmarks.sentence_scores", ref, "--head", name]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def head(name: str) -> None:
    """Score once with a synthetic head; print the bytes it added to the peak."""
    model = models.load(sources.find("zoo:llama-base"), device="cpu")
    model._unembedding = torch.randn(VOCABULARY, WIDTH)  # noqa: SLF001
    states, tokens = torch.randn(N_TOKENS, WIDTH), torch.arange(N_TOKENS)
    before = _status("VmRSS")
    if name == "whole":
        models.MAX_LOGITS = N_TOKENS * VOCABULARY
    model.token_logprobs(states, tokens)
    sys.stdout.write(json.dumps(_status("VmHWM") - before) + "\n")


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
