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
    _add_sampling(trace, "zoo40", "which the embedded models solve", 16, 0.6, "distilled model")
    trace.add_argument("--alpha", type=float, default=0.1, metavar="X")
    trace.add_argument("--beta", type=float, metavar="X", help="default: found from the sentences")
    trace.add_argument("--length-rule", choices=("student", "own"), default="student")
    trace.add_argument("--json", action="store_true", help="print one JSON object")
    trace.set_defaults(run=_trace)


def add_select(commands: "Commands") -> None:
    """Which of a teacher's responses a student should learn from."""
    select = commands.add_parser(
        "select",
        help="choose the teacher's responses that a student should learn from",
        description="Samples a teacher's responses, scores their sentences under teacher and "
        "student, and writes one right response of each question as fine-tuning data: JSON lines "
        "of prompt and completion, and how each was chosen. What is in the lake already is not "
        "done again.",
    )
    select.add_argument("--teacher", required=True, metavar="T", help="the model that answers")
    select.add_argument("--student", required=True, metavar="S", help="the model that shall learn")
    select.add_argument("--out", required=True, type=Path, metavar="FILE", help="the .jsonl file")
    _add_sampling(select, "zoo-train100", "100 like the zoo's training", 8, 1.0, "teacher")
    select.add_argument(
        "--criterion",
        # Those of measure.selection, which imports NumPy.
        choices=("max-count", "random", "longest", "highest-proportion", "min-count", "grape"),
        default="max-count",
        help="what is wanted of a response (default: the most sentences that are the teacher's)",
    )
    select.add_argument("--beta", type=float, metavar="X", help="default: found from the sentences")
    select.add_argument(
        "--keep-wrong", action="store_false", dest="only_right", help="wrong answers may be chosen"
    )
    select.add_argument("--force", action="store_true", help="write the file anew if it exists")
    select.set_defaults(run=_select)


def _add_sampling(
    parser: argparse.ArgumentParser,
    problems: str,
    what: str,
    samples: int,
    temperature: float,
    writer: str,
) -> None:
    """What is sampled, how, and on which machine; the defaults of both commands differ."""
    parser.add_argument(
        "--problems",
        default=problems,
        metavar="FILE",
        help=f".jsonl of `problem` and `answer` (default: {problems}, {what})",
    )
    parser.add_argument(
        "--rollouts", metavar="FILE", help=f".jsonl of the {writer}'s `text` by `problem_id`"
    )
    parser.add_argument(
        "--samples", type=int, default=samples, metavar="K", dest="n_samples",
        help="of each problem (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--temperature", type=float, default=temperature, metavar="X")
    parser.add_argument("--top-p", type=float, default=0.95, metavar="X")
    parser.add_argument("--max-new-tokens", type=int, default=512, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--plain-prompt",
        default="Q: {problem}\\nA:",
        metavar="TEXT",
        help="for models without a chat template; \\n is a line break (default: %(default)s)",
    )
    parser.add_argument("--device", help="cpu, cuda:0, ... (default: the first GPU, else the CPU)")
    parser.add_argument("--dtype", default="float32", help="of the weights in memory")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="rollouts at once")
    add_backend(parser, "either")
    parser.add_argument("--dry-run", action="store_true", help="say what it would cost, and stop")


def add_backend(parser: argparse.ArgumentParser, which: str) -> None:
    """What runs the models."""
    parser.add_argument(
        "--backend",
        choices=("transformers", "vllm"),
        default="transformers",
        help=f"what runs the models: {which} (default: transformers)",
    )
    parser.add_argument(
        "--tensor-parallel", type=int, default=1, metavar="N", dest="tensor_parallel_size",
        help="GPUs that vllm divides a model among (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--quantization", metavar="NAME", help="of the weights, as vllm calls it, if not declared"
    )
    parser.add_argument(
        "--chat-template", metavar="FILE", help="a Jinja file in place of the tokenizer's, for vllm"
    )


def backend_of(given: argparse.Namespace) -> dict[str, object]:
    """The choices of `add_backend`."""
    names = ("backend", "tensor_parallel_size", "quantization", "chat_template")
    return {name: getattr(given, name) for name in names}


def _trace(given: argparse.Namespace) -> int:
    from flows import trace

    options = _options(given, "json")
    return trace.trace(options, as_json=given.json, dry_run=given.dry_run)


def _select(given: argparse.Namespace) -> int:
    from flows import selecting

    options = _options(given, "out", "force")
    return selecting.select(options, given.out, force=given.force, dry_run=given.dry_run)


def _options(given: argparse.Namespace, *others: str) -> dict[str, object]:
    """The choices of what is sampled and measured; `others` are the command's own."""
    left_out = {"run", "dry_run", *others}
    options = {name: value for name, value in vars(given).items() if name not in left_out}
    return options | {"plain_prompt": given.plain_prompt.replace("\\n", "\n")}
