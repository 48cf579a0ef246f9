"""Rows of sentence provenance for the warehouse's tests."""

SCORE = {"dtype": "float64", "backend": "numpy", "prompt_set": "set", "prompt_set_sha256": "5e7"}
ROLES = ("teacher", "student", "distilled")


def sentence(problem: int, sample: int, number: int, n: int, label: str, **over: object):
    """Sentence `number` of `n`, each of four characters, without marks of reasoning."""
    return {
        "rollouts_of": "distilled",
        "problem_id": f"p{problem:03d}",
        "sample": sample,
        "sentence": number,
        "j": number,
        "rel_pos": (number + 0.5) / n,
        "char_start": 4 * number,
        "char_end": 4 * number + 4,
        "is_special": False,
        "is_long": False,
        "is_repeat": False,
        "is_correct": sample == 0,
        **{f"n_tokens_{role}": 2 for role in ROLES},
        "p_teacher": 0.75,
        "p_student": 0.25,
        "p_distilled": 0.5,
        "label4": label,
        "label3": "Teacher",
        "boosted": None,
        "reason": None,
        **over,
    }


def share(label: str, n: int, n_all: int, whose: str = "distilled"):
    return {
        "rollouts_of": whose, "label": label, "n_sentences": n, "n_all": n_all, "n_questions": 60,
        "share": n / n_all, "ci_low_share": 0.0, "ci_high_share": 1.0,
    }  # fmt: skip


SUMMARY = {
    "alpha": 0.1, "beta": 0.1, "beta_source": "given", "length_rule": "student", "n_rollouts": 120,
    "n_correct": 90, "n_incorrect": 20, "n_unchecked": 10, "n_empty": 0, "n_sentences": 240,
    "n_special": 0, "n_repeats": 0, "n_unscored": 0, "teacher_minus_null": None,
    "ci_low_teacher_minus_null": None, "ci_high_teacher_minus_null": None,
    "teacher_minus_control": None, "ci_low_teacher_minus_control": None,
    "ci_high_teacher_minus_control": None, "least_kappa": 1.0, "is_stable": True,
    "own_token_kappa": 1.0, "n_masked": 0, "transfer": "NOT ENOUGH", "transfer_reasons": "few",
    "correctness": "NOT ENOUGH", "correctness_reasons": "few",
}  # fmt: skip


def rollout(problem: int, sample: int, text: str):
    return {
        "problem_id": f"p{problem:03d}", "sample": sample, "category": "", "problem": "?",
        "gold": "1", "text": text, "n_tokens": 4, "finish": "stop", "answer": "1",
        "is_correct": sample == 0, "reason": None,
    }  # fmt: skip


def score(**over: object):
    return {
        "problem_id": "p", "sample": 0, "sentence": 0, "char_start": 0, "char_end": 4,
        "is_special": False, "n_tokens": 3, "sum_logprob": -1.5, "span_tokens": [1, 2],
        "span_logprobs": [-0.5, -1.0], "reason": None, **over,
    }  # fmt: skip


def candidate(role: str, rank: int, low: float, high: float, **over: object):
    share = {"share": (low + high) / 2, "ci_low_share": low, "ci_high_share": high}
    empty = dict.fromkeys(
        f"{end}{name}"
        for name in ("behind_first", "gain_distilled", "learned", "alignment")
        for end in ("", "ci_low_", "ci_high_")
    )
    return {
        "role": role, "rank": rank, "n_questions": 40, "n_rollouts_distilled": 160,
        "n_rollouts_own": 160, "n_unscored": 0, "null_share": 0.25, "share_with_first": None,
        "is_sibling": None, "is_attributed": False, "reason": None, **share, **empty, **over,
    }  # fmt: skip


def attribution(label: str) -> dict[str, object]:
    """What a ranking of two candidates decides."""
    return {
        "attribution": label, "role": None, "attribution_reasons": "why", "n_candidates": 2,
        "n_questions": 40, "own_gain": 1.0, "ci_low_own_gain": 0.5, "ci_high_own_gain": 1.5,
    }  # fmt: skip


def area(label: str, kind: str) -> dict[str, object]:
    """How much more of a label right answers have: 0.5."""
    return {
        "label": label, "kind": kind, "n_positions": 2, "n_questions": 60, "area": 0.5,
        "ci_low_area": 0.25, "ci_high_area": 0.75, "reason": None,
    }  # fmt: skip


def one_of_each() -> dict[str, list[dict[str, object]]]:
    """A good row of every table of provenance."""
    return {
        "rollout": [rollout(0, 0, "Ab. ")],
        "sentence_score": [score()],
        "provenance_sentence": [sentence(0, 0, 0, 1, "Shared", p_teacher=1 / 3)],
        "provenance_share": [share("Shared", 1, 1)],
        "provenance_area": [area("Teacher", "raw")],
        "provenance_summary": [SUMMARY],
        "attribution_candidate": [candidate("teacher", 1, 0.25, 0.75)],
        "attribution": [attribution("ATTRIBUTED")],
    }


def one_of_each_broken() -> dict[str, list[dict[str, object]]]:
    """The same, each against its check."""
    return {
        "rollout": [rollout(0, 0, "Ab. ") | {"gold": None}],
        "sentence_score": [score(n_tokens=4)],
        "provenance_sentence": [sentence(0, 0, 0, 1, "Shared", p_teacher=1.5)],
        "provenance_share": [share("Shared", 3, 4)],
        "attribution_candidate": [candidate("teacher", 2, 0.25, 0.75)],
    }
