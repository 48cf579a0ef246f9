"""Does teacher-guided selection help? A student of the zoo for each criterion and seed.

    python -m tests.benchmarks.selection FOLDER

A seed has questions of its own, responses of its own, a training order and held-out problems of its
own; all criteria of a seed share them. So an interval over seeds is one over questions and problems
too. One response of each question is read: as many examples for each criterion. All students read
as many tokens (steps x rows x 192, packed), not as many passes: criteria that choose longer
responses would else train for longer, and length is what they are compared with. Two are added:

    random-again     the null: a second draw of the vanilla selection must not improve on the first
    random-as-often  what more passes do: the vanilla selection, read as often as min-count's
                     shorter responses are, so in more steps

Every result is a line in FOLDER/results.jsonl as it comes; a run that was stopped goes on.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from flows.selector import Choice, Selector
from measure import problems, selection, zoo
from measure.records import Rollout
from measure.selection import CRITERIA, Candidate, Gain
from measure.zoo import build, corpus, scoring, train
from warehouse.lake import Lake, Location

SEEDS = range(5)
N_QUESTIONS = 500  # of a seed
N_SAMPLES = 6  # of a question
NEW_TOKENS = 128
STEPS, BATCH_ROWS, LR = 250, 8, 2e-3
N_PER_CELL = 50  # held-out problems of each horizon and condition: 400 a seed
SCORE_SEED = 7_000  # and the seed: problems that nothing else is scored on
AGAIN, AGAIN_SEED = "random-again", 1_000
AS_OFTEN = "random-as-often"


def pool(folder: Path, teacher: str, student: str, seed: int) -> list[Candidate]:
    """A seed's candidates, sampled and scored once."""
    path = folder / f"pool-{seed}.jsonl"
    if not path.exists():
        choice = Choice(
            teacher=f"zoo:{teacher}",
            student=f"zoo:{student}",
            problems=str(_questions(folder, seed)),
            n_samples=N_SAMPLES,
            temperature=1.0,
            top_p=1.0,
            max_new_tokens=NEW_TOKENS,
            seed=seed,
        )
        own = Location.from_env({"CICATRIX_HOME": str(folder / f"home-{seed}")})
        with Lake.open(own) as lake:
            selector = Selector(lake, choice, "cpu")
            selector.complete()
            found = selector.pool()
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text("".join(_as_line(one) for one in found.candidates), "utf-8")
        unfinished.rename(path)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        Candidate(
            Rollout(**line["rollout"]),
            np.array(line["p_teacher"]),
            np.array(line["p_student"]),
            line["n_tokens"],
            line["mean_logprob"],
        )
        for line in lines
    ]


def _questions(folder: Path, seed: int) -> Path:
    """The file of a seed's own questions."""
    every = problems.load(f"zoo-train{N_QUESTIONS * len(SEEDS)}").problems
    path = folder / f"problems-{seed}.jsonl"
    own = every[N_QUESTIONS * seed : N_QUESTIONS * (seed + 1)]
    path.write_text(
        "".join(
            json.dumps({"problem_id": p.problem_id, "problem": p.text, "answer": p.answer}) + "\n"
            for p in own
        ),
        "utf-8",
    )
    return path


def _as_line(one: Candidate) -> str:
    line = asdict(one) | {"p_teacher": one.p_teacher.tolist(), "p_student": one.p_student.tolist()}
    return json.dumps(line) + "\n"


def make_pool(folder: Path, teacher: str, student: str, seed: int) -> None:
    """In a process of its own."""
    pool(folder, teacher, student, seed)


def make_student(
    folder: Path, teacher: str, student: str, seed: int, criterion: str
) -> dict[str, object]:
    """Train a student on what a criterion selects, score it; its line of the results."""
    began = time.perf_counter()
    torch.set_num_threads(1)
    among = pool(folder, teacher, student, seed)
    beta, beta_source = selection.find_beta(among)
    chosen = _select(among, criterion, beta, seed)
    longest = selection.select(among, "longest", beta)
    model, tokenizer = build.load(zoo.member(student).path)
    texts = _texts(chosen)
    steps = STEPS
    if criterion == AS_OFTEN:
        shortest = _texts(selection.select(among, "min-count", beta))
        sizes = [len(tokenizer("".join(read))["input_ids"]) for read in (texts, shortest)]
        steps = round(STEPS * sizes[0] / sizes[1])
    rows = build.rows_of(
        tokenizer, corpus.documents(seed, {"traces": 1.0}, traces=texts), steps * BATCH_ROWS
    )
    losses = train.train(model, train.batches(rows, steps, BATCH_ROWS, seed), steps, LR)
    scored = scoring.accuracies(model, tokenizer, N_PER_CELL, SCORE_SEED + seed)
    return {
        "teacher": teacher,
        "student": student,
        "seed": seed,
        "criterion": criterion,
        "accuracy": {k: v for k, v in scored.items() if k.startswith("accuracy_")},
        "beta": beta,
        "beta_source": beta_source,
        "steps": steps,
        "n_candidates": len(among),
        "n_examples": len(chosen),
        "mean_tokens": float(np.mean([one.n_tokens for one in chosen])),
        "mean_teacher_sentences": float(np.mean([one.n_teacher(beta) for one in chosen])),
        "same_as_longest": float(np.mean([a is b for a, b in zip(chosen, longest, strict=True)])),
        "final_loss": float(np.mean(losses[-train.LAST_STEPS :])),
        "train_s": time.perf_counter() - began,
    }


def _texts(chosen: Sequence[Candidate]) -> list[str]:
    return [
        problems.plain_prompt(problems.PLAIN_PROMPT, one.rollout.problem) + one.rollout.text
        for one in chosen
    ]


def _select(among: Sequence[Candidate], criterion: str, beta: float, seed: int) -> list[Candidate]:
    if criterion == AGAIN:
        return selection.select(among, "random", beta, AGAIN_SEED + seed)
    criterion = "random" if criterion == AS_OFTEN else criterion
    return selection.select(among, next(c for c in CRITERIA if c == criterion), beta, seed)


def points_of(results: Sequence[dict[str, object]]) -> dict[str, dict[str, list[float]]]:
    """All seeds' points; what was added is one more criterion."""
    points: dict[str, dict[str, list[float]]] = {}
    for line in sorted(results, key=lambda line: line["seed"]):
        for cell, share in line["accuracy"].items():
            points.setdefault(line["criterion"], {}).setdefault(cell, []).append(100 * share)
    return points


def report(results: Sequence[dict[str, object]]) -> None:
    """The table and the verdict."""
    points = points_of(results)
    found = selection.rank_criteria(points)
    head = f"{'criterion':20}{'points':>22}{'over random':>24}"
    say(f"{head}{'tokens':>8}{'Teacher':>9}{'= longest':>11}")
    for row in found.rows:
        own = [line for line in results if line["criterion"] == row.criterion]
        tokens, teacher, same = (
            float(np.mean([line[name] for line in own]))
            for name in ("mean_tokens", "mean_teacher_sentences", "same_as_longest")
        )
        average = f"{row.average:.1f} [{row.ci_low_average:.1f}, {row.ci_high_average:.1f}]"
        shown = f"{row.criterion:20}{average:>22}{_gain(row.gain):>24}"
        say(f"{shown}{tokens:8.1f}{teacher:9.2f}{same:11.0%}")
    for reason in found.reasons:
        say(reason)
    null = selection.gain_over(points, AGAIN, "random")
    say(f"null: {null.text()}: {null.label}")
    passes = selection.gain_over(points, "min-count", AS_OFTEN)
    say(f"at as many passes: {passes.text()}: {passes.label}")
    say(f"verdict: {found.label}")


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return ""
    return f"{gain.points:+.1f} [{gain.ci_low_points:+.1f}, {gain.ci_high_points:+.1f}]"


def main() -> None:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--teacher", default="teacher-forward")
    parser.add_argument("--student", default="qwen2-base")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    log = given.folder / "results.jsonl"
    results = (
        [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    )
    done = {(line["seed"], line["criterion"]) for line in results}
    wanted = [
        (seed, c) for seed in SEEDS for c in (*CRITERIA, AGAIN, AS_OFTEN) if (seed, c) not in done
    ]
    models = (given.folder, given.teacher, given.student)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, context, build.end_with_parent) as workers:
        pools = [workers.submit(make_pool, *models, s) for s in sorted({s for s, _ in wanted})]
        for finished in tqdm(as_completed(pools), total=len(pools), desc="pools"):
            finished.result()
        students = [workers.submit(make_student, *models, *one) for one in wanted]
        for finished in tqdm(as_completed(students), total=len(students), desc="students"):
            results.append(finished.result())
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(results[-1]) + "\n")
    report(results)


def say(line: str) -> None:
    """Print a line at once: a run takes half an hour."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
