"""Traced pairs whose numbers can be worked out by hand, as a trace writes them."""

import json
from collections.abc import Sequence
from typing import Any

from warehouse.lake import Lake

# Text, label, probabilities under teacher, base and distilled; a mark of reasoning has no label.
Said = tuple[str, str | None, float | None, float | None, float | None]
SHARES = {"Teacher": (6, 0.75), "Boosted": (1, 0.125), "Shared": (1, 0.125), "Student": (0, 0.0)}
HOSTILE = "<script>alert('1')</script> **bold** $x$ \" onmouseover=\"alert(2)\n"
WITH_ALL: list[Said] = [
    ("<think>\n", None, None, None, None),
    ("So 1 + 1 = 2.\n\n", "Teacher", 0.875, 0.25, 0.75),
    (HOSTILE, "Boosted", 0.25, 0.25, 0.9),
    ("Two.\n", "Shared", 0.5, 0.5, 0.5),
    ("</think>", None, None, None, None),
    ("2", "Teacher", 0.75, 0.5, 0.75),
]
WRONG: list[Said] = [("Three.\n", "Student", 0.125, 0.5, 0.5), ("3", "Teacher", 0.5, 0.25, 0.5)]

LONG: list[Said] = [("Word.\n", "Shared", 0.5, 0.5, 0.5)] * 700


def add_traces(lake: Lake) -> None:
    """llama-distilled with all comparisons, qwen2-distilled without a control and undecided.

    qwen2-distilled has 50 right and 50 wrong rollouts of one sentence: 40 and 10 are Teacher.
    """
    lake.add_models([_model(name) for name in ("teacher-forward", "gpt2-base")])
    for family in ("llama", "qwen2"):
        lake.add_models([_model(f"{family}-{kind}", family) for kind in ("base", "distilled")])
    problem = f"What is 1 + 1?\n{HOSTILE}"
    rollouts = [
        _rollout("q1", 0, WITH_ALL, problem=problem, answer="2", is_correct=True),
        _rollout("q1", 1, WRONG, problem=problem, answer="3", is_correct=False),
        _rollout("q2", 0, LONG, gold=None),
    ]
    texts = {("q1", 0): WITH_ALL, ("q1", 1): WRONG, ("q2", 0): LONG}
    add_pair(lake, "llama-distilled", "llama-base", "gpt2-base", rollouts, texts)
    one: list[Said] = [("Yes.", "Teacher", 0.5, 0.25, 0.5)]
    other: list[Said] = [("No.", "Student", 0.25, 0.5, 0.25)]
    many = {
        (f"q{n % 10}", n // 10): (one if n < 40 or n >= 90 else other, n < 50) for n in range(100)
    }
    add_pair(
        lake,
        "qwen2-distilled",
        "qwen2-base",
        None,
        [_rollout(*key, said, is_correct=right) for key, (said, right) in many.items()],
        {key: said for key, (said, _) in many.items()},
    )


def add_rankings(lake: Lake) -> None:
    """llama-distilled is attributed to teacher-forward, qwen2-distilled to none of two candidates.

    Of qwen2's second candidate nothing was scored.
    """
    for distilled, label, shares in (
        ("llama-distilled", "ATTRIBUTED", (0.875, 0.125)),
        ("qwen2-distilled", "NONE OF THESE", (-1.5, None)),
    ):
        models = {
            "distilled": distilled, "student": distilled.replace("distilled", "base"),
            "teacher": "teacher-forward", "teacher-2": "gpt2-base",
        }  # fmt: skip
        _plan(lake, f"a-{distilled}", "attribution", models, {})
        candidates = [
            _candidate(role, rank, share, is_attributed=rank == 1 and label == "ATTRIBUTED")
            for rank, (role, share) in enumerate(zip(list(models)[2:], shares, strict=True), 1)
        ]
        summary = {
            "attribution": label, "role": "teacher" if label == "ATTRIBUTED" else None,
            "attribution_reasons": "teacher shares more than teacher-2", "n_candidates": 2,
            "n_questions": 40, "own_gain": 1.0, "ci_low_own_gain": 0.5, "ci_high_own_gain": 1.5,
        }  # fmt: skip
        records = {"attribution_candidate": candidates, "attribution": [summary]}
        lake.append_unit(f"a-{distilled}", "all", records, 1.0)


def _candidate(role: str, rank: int, share: float | None, *, is_attributed: bool) -> dict[str, Any]:
    ends = (None, None) if share is None else (share - 0.0625, share + 0.0625)
    missing = dict.fromkeys(
        f"{end}{name}"
        for name in ("behind_first", "gain_distilled", "learned", "alignment")
        for end in ("", "ci_low_", "ci_high_")
    )
    return {
        "role": role, "rank": None if share is None else rank, "n_questions": 40,
        "n_rollouts_distilled": 160, "n_rollouts_own": 160, "n_unscored": 0, "share": share,
        "ci_low_share": ends[0], "ci_high_share": ends[1], "null_share": 0.25,
        "share_with_first": None, "is_sibling": None, "is_attributed": is_attributed,
        "reason": "no sentence was read by all" if share is None else None, **missing,
    }  # fmt: skip


def add_pair(
    lake: Lake,
    distilled: str,
    student: str,
    control: str | None,
    rollouts: list[dict[str, Any]],
    texts: dict[tuple[str, int], list[Said]],
) -> None:
    """One traced pair with the teacher 'teacher-forward'; without a control it is NOT ENOUGH."""
    names = {whose: f"r-{model}" for whose, model in (("d", distilled), ("s", student))}
    own = [_rollout("q1", 0, [("Dunno.", "Student", 0.25, 0.5, 0.25)], is_correct=False)]
    for whose, rows in (("d", rollouts), ("s", own)):
        _plan(lake, names[whose], "rollout", {"model": distilled if whose == "d" else student}, {})
        lake.append_unit(names[whose], "all", {"rollout": rows}, 1.0)
    models = {"distilled": distilled, "student": student, "teacher": "teacher-forward"}
    inputs = {"rollouts_distilled": names["d"], "rollouts_student": names["s"]}
    name = f"p-{distilled}"
    _plan(lake, name, "provenance", models | ({"control": control} if control else {}), inputs)
    is_correct = {(row["problem_id"], row["sample"]): row["is_correct"] for row in rollouts}
    sentences = [
        row for key, said in texts.items() for row in _sentences(key, said, is_correct[key])
    ]
    records = {
        "provenance_sentence": sentences,
        "provenance_share": _shares(has_control=control is not None),
        "provenance_area": _areas(has_within=control is None),
        "provenance_summary": [_summary(rollouts, sentences, has_control=bool(control))],
    }
    lake.append_unit(name, "all", records, 1.0)


def _model(name: str, family: str | None = None) -> dict[str, Any]:
    return {
        "model_id": name, "label": name, "source": "zoo", "family": family, "architecture": None,
        "model_type": None, "n_params": 1000, "n_layers": 2, "hidden_size": 16, "vocab_size": 64,
        "weight_dtype": None, "tokenizer_sha256": None,
    }  # fmt: skip


def _plan(
    lake: Lake, name: str, method: str, models: dict[str, str], inputs: dict[str, str]
) -> None:
    lake.plan(
        {
            "measurement_id": name, "method": method, "method_version": 1, "prompt_set": "sums",
            "prompt_set_sha256": "5e7", "seeds": [], "dtype": "float32", "backend": "transformers",
            "device_kind": "cpu", "replicate": 0, "options": json.dumps({"inputs": inputs}),
            "text_sha256": None, "n_units": 1, "batch_size": 8, "code_version": "0",
            "library_versions": "{}",
        },
        models,
    )  # fmt: skip


def _rollout(
    problem_id: str,
    sample: int,
    said: Sequence[Said],
    *,
    problem: str = "What is it?",
    gold: str | None = "2",
    answer: str | None = None,
    is_correct: bool | None = None,
) -> dict[str, Any]:
    return {
        "problem_id": problem_id, "sample": sample, "category": "sums", "problem": problem,
        "gold": gold, "text": "".join(text for text, *_ in said), "n_tokens": 9, "finish": "stop",
        "answer": answer, "is_correct": is_correct, "reason": None,
    }  # fmt: skip


def _sentences(
    key: tuple[str, int], said: Sequence[Said], is_correct: bool | None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    start, j = 0, 0
    n = sum(label is not None for _, label, *_ in said)
    for sentence, (text, label, p_teacher, p_student, p_distilled) in enumerate(said):
        is_special = label is None
        rows.append(
            {
                "rollouts_of": "distilled", "problem_id": key[0], "sample": key[1],
                "sentence": sentence, "j": None if is_special else j,
                "rel_pos": None if is_special else (j + 0.5) / n, "char_start": start,
                "char_end": start + len(text), "is_special": is_special, "is_long": False,
                "is_repeat": False, "is_correct": is_correct, "n_tokens_teacher": 3,
                "n_tokens_student": 3, "n_tokens_distilled": 3, "p_teacher": p_teacher,
                "p_student": p_student, "p_distilled": p_distilled, "label4": label,
                "label3": None if label in (None, "Boosted") else label,
                "boosted": "boosted_up" if label == "Boosted" else None,
                "reason": "a mark of reasoning" if is_special else None,
            }
        )  # fmt: skip
        start, j = start + len(text), j + (not is_special)
    return rows


def _shares(*, has_control: bool) -> list[dict[str, Any]]:
    own = {**SHARES, "boosted_up": (1, 0.125), "between": (0, 0.0), "suppressed": (0, 0.0)}
    null = {"Teacher": (1, 0.25), "Boosted": (0, 0.0), "Shared": (0, 0.0), "Student": (3, 0.75)}
    wrong = {"Teacher": (1, 0.125), "Boosted": (7, 0.875), "Shared": (0, 0.0), "Student": (0, 0.0)}
    sets = {"distilled": own, "student": null} | ({"control": wrong} if has_control else {})
    return [
        {
            "rollouts_of": whose, "label": label, "n_sentences": n,
            "n_all": 4 if whose == "student" else 8, "n_questions": 2, "share": share,
            "ci_low_share": max(share - 0.125, 0), "ci_high_share": min(share + 0.125, 1),
        }
        for whose, shares in sets.items()
        for label, (n, share) in shares.items()
    ]  # fmt: skip


def _areas(*, has_within: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for label in SHARES:
        for kind, known in (("raw", True), ("within", has_within)):
            area = {"Teacher": 0.6, "Student": -0.6}.get(label, 0.0) if known else None
            rows.append(
                {
                    "label": label, "kind": kind, "n_positions": 1,
                    "n_questions": 10 if kind == "raw" else 4, "area": area,
                    "ci_low_area": None if area is None else area - 0.25,
                    "ci_high_area": None if area is None else area + 0.25,
                    "reason": None if known else "no question has right and wrong rollouts",
                }
            )  # fmt: skip
    return rows


def _summary(
    rollouts: Sequence[dict[str, Any]], sentences: Sequence[dict[str, Any]], *, has_control: bool
) -> dict[str, Any]:
    n_sentences = sum(row["label4"] is not None for row in sentences)
    outcomes = [row["is_correct"] for row in rollouts]
    return {
        "alpha": 0.1, "beta": 0.15, "beta_source": "adaptive", "length_rule": "student",
        "n_rollouts": len(rollouts), "n_correct": outcomes.count(True),
        "n_incorrect": outcomes.count(False), "n_unchecked": outcomes.count(None),
        "n_empty": int(has_control),
        "n_sentences": n_sentences, "n_special": len(sentences) - n_sentences,
        "n_repeats": 2 * has_control, "n_unscored": 0,
        "teacher_minus_null": 0.5, "ci_low_teacher_minus_null": 0.25,
        "ci_high_teacher_minus_null": 0.75,
        "teacher_minus_control": 0.625 if has_control else None,
        "ci_low_teacher_minus_control": 0.5 if has_control else None,
        "ci_high_teacher_minus_control": 0.75 if has_control else None, "least_kappa": 0.5,
        "is_stable": False, "own_token_kappa": 1.0, "n_masked": 0,
        "transfer": "TRANSFERS" if has_control else "NOT ENOUGH",
        "transfer_reasons": "Teacher share less its null +0.500 [+0.250, +0.750]"
        if has_control else "no wrong teacher was given",
        "correctness": "NOT ENOUGH" if has_control else "CORRELATES",
        "correctness_reasons": "no question has right and wrong rollouts" if has_control
        else "within-question area of Teacher +0.600 [+0.350, +0.850], 4 questions",
    }  # fmt: skip
