"""The commands on sentences: `cicatrix trace` and `cicatrix select`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # argparse has no public name for what add_subparsers returns
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


def add_trace(commands: "Commands") -> None:
    """Whose sentences a distilled model writes."""
    trace = commands.add_parser(
        "trace",
        help="say which sentences of a distilled model come from its teacher",
        description="Samples a distilled model and its student (the base before distillation) on "
        "problems with checkable answers, scores every sentence under all models, and says which "
        "come from the teacher. What is in the lake already is not done again.",
    )
    trace.add_argument("--teacher", nargs="+", required=True, metavar="T", dest="teachers")
    trace.add_argument("--student", required=True, metavar="S", help="the base it was made from")
    trace.add_argument("--distilled", required=True, metavar="D")
    trace.add_argument(
        "--control", metavar="C", help="an unrelated model, for the share a wrong teacher earns"
    )
    trace.add_argument(
        "--problems",
        default="zoo40",
        metavar="FILE",
        help=".jsonl of `problem` and `answer` (default: zoo40, which the embedded models solve)",
    )
    trace.add_argument(
        "--rollouts", metavar="FILE", help=".jsonl of the distilled model's `text` by `problem_id`"
    )
    trace.add_argument("--samples", type=int, default=16, metavar="K", dest="n_samples")
    trace.add_argument("--temperature", type=float, default=0.6, metavar="X")
    trace.add_argument("--top-p", type=float, default=0.95, metavar="X")
    trace.add_argument("--max-new-tokens", type=int, default=512, metavar="N")
    trace.add_argument("--seed", type=int, default=0, metavar="N")
    trace.add_argument(
        "--plain-prompt",
        default="Q: {problem}\\nA:",
        metavar="TEXT",
        help="for models without a chat template; \\n is a line break (default: %(default)s)",
    )
    trace.add_argument("--alpha", type=float, default=0.1, metavar="X")
    trace.add_argument("--beta", type=float, metavar="X", help="default: found from the sentences")
    trace.add_argument("--length-rule", choices=("student", "own"), default="student")
    trace.add_argument("--device", help="cpu, cuda:0, ... (default: the first GPU, else the CPU)")
    trace.add_argument("--dtype", default="float32", help="of the weights in memory")
    trace.add_argument("--batch-size", type=int, default=64, metavar="N", help="rollouts at once")
    trace.add_argument("--dry-run", action="store_true", help="say what it would cost, and stop")
    trace.add_argument("--json", action="store_true", help="print one JSON array")
    trace.set_defaults(run=_trace)


def add_select(commands: "Commands") -> None:
    """Which of a teacher's responses a student should learn from."""
    select = commands.add_parser(
        "select",
        help="choose the teacher's responses that a student should learn from",
        description="Samples a teacher's responses, scores their sentences under teacher and "
        "student, and writes one right response of each question as fine-tuning data: JSON lines "
        "of prompt and completion, and how each was chosen.",
    )
    select.add_argument("--teacher", required=True, metavar="T", help="the model that answers")
    select.add_argument("--student", required=True, metavar="S", help="the model that shall learn")
    select.add_argument("--out", required=True, type=Path, metavar="FILE", help="the .jsonl file")
    select.add_argument(
        "--problems",
        default="zoo-train100",
        help="a .jsonl file of problems and answers (default: 100 that embedded models can solve)",
    )
    select.add_argument("--samples", type=int, default=8, metavar="K", help="of each problem")
    select.add_argument(
        "--criterion",
        # Those of measure.selection, which imports NumPy.
        choices=("max-count", "random", "longest", "highest-proportion", "min-count", "grape"),
        default="max-count",
        help="what is wanted of a response (default: the most sentences that are the teacher's)",
    )
    select.add_argument("--beta", type=float, help="default: found from the sentences")
    select.add_argument("--keep-wrong", action="store_true", help="wrong answers may be chosen")
    select.add_argument("--temperature", type=float, default=1.0)
    select.add_argument("--max-new-tokens", type=int, default=512, metavar="N")
    select.add_argument("--seed", type=int, default=0)
    select.add_argument("--device", help="cpu, cuda:0, ... (default: the first GPU, else the CPU)")
    select.add_argument("--dtype", default="float32", help="of the weights in memory")
    select.add_argument("--batch-size", type=int, default=64, metavar="N", help="responses at once")
    select.add_argument("--force", action="store_true", help="write the file anew if it exists")
    select.set_defaults(run=run_select)


def _trace(given: argparse.Namespace) -> int:
    from flows import trace

    options = {k: v for k, v in vars(given).items() if k not in ("run", "json", "dry_run")}
    options["plain_prompt"] = given.plain_prompt.replace("\\n", "\n")
    return trace.trace(options, as_json=given.json, dry_run=given.dry_run)


def run_select(given: argparse.Namespace) -> int:
    """Run `cicatrix select`, which needs no lake."""
    from flows import selecting
    from measure.rollouts import Sampling

    choice = selecting.Choice(
        teacher=given.teacher,
        student=given.student,
        problem_set=given.problems,
        sampling=Sampling(
            n_samples=given.samples,
            temperature=given.temperature,
            max_new_tokens=given.max_new_tokens,
            seed=given.seed,
        ),
        criterion=given.criterion,
        beta=given.beta,
        only_right=not given.keep_wrong,
        device=given.device,
        dtype=given.dtype,
        batch_size=given.batch_size,
    )
    return selecting.select(choice, given.out, force=given.force)
