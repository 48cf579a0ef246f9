"""`cicatrix stability`: whether capability travelled without what kept it stable."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # argparse has no public name for what add_subparsers returns
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


def add_stability(commands: "Commands") -> None:
    """A teacher, its students, and what between them is told by their hidden states."""
    stability = commands.add_parser(
        "stability",
        help="say whether a teacher's capability travelled without proxies of its stability",
        description="Samples a teacher and its students on problems told in two horizons and two "
        "conditions, reads burden, load and region of their hidden states sentence by sentence, "
        "and holds both against each other. The proxies are this project's own: their source "
        "(arXiv 2603.25022) publishes no numbers. What is in the lake already is not done again.",
    )
    stability.add_argument("--teacher", required=True, metavar="T")
    stability.add_argument("--students", nargs="+", required=True, metavar="S")
    stability.add_argument(
        "--plain-teacher",
        metavar="T",
        help="one without constraints, matched in accuracy: H1, H3 and H4 compare with it",
    )
    stability.add_argument(
        "--plain-students", nargs="+", default=[], metavar="S", help="its students"
    )
    stability.add_argument(
        "--from-internals",
        nargs="+",
        default=[],
        metavar="S",
        help="those students that learnt from more than what their teacher wrote (its logits, say)",
    )
    stability.add_argument(
        "--problems",
        default="zoo-variants120",
        metavar="FILE",
        help=".jsonl of `problem`, `answer`, `story`, `horizon` and `condition` (default: "
        "zoo-variants120, which the embedded models solve); half of the stories calibrate",
    )
    stability.add_argument(
        "--retune",
        metavar="TEXTS",
        help=".jsonl of `text`, or zoo-narratives: by how much a fixed small fine-tune on them "
        "changes the share of violations (default: not measured)",
    )
    stability.add_argument(
        "--samples", type=int, default=4, metavar="K", dest="n_samples", help="of each problem"
    )
    stability.add_argument("--temperature", type=float, default=0.6, metavar="X")
    stability.add_argument("--top-p", type=float, default=0.95, metavar="X")
    stability.add_argument("--max-new-tokens", type=int, default=512, metavar="N")
    stability.add_argument("--seed", type=int, default=0, metavar="N")
    stability.add_argument(
        "--plain-prompt",
        default="Q: {problem}\\nA:",
        metavar="TEXT",
        help="for models without a chat template; \\n is a line break (default: %(default)s)",
    )
    stability.add_argument(
        "--epsilon-k", type=float, default=0.05, metavar="X",
        help="capability has travelled if accuracies differ by at most this (default: 0.05)",
    )  # fmt: skip
    stability.add_argument(
        "--device", help="cpu, cuda:0, ... (default: the first GPU, else the CPU)"
    )
    stability.add_argument("--dtype", default="float32", help="of the weights in memory")
    stability.add_argument("--batch-size", type=int, default=64, metavar="N", help="rollouts")
    stability.add_argument("--dry-run", action="store_true", help="say what it would cost")
    stability.add_argument("--json", action="store_true", help="print one JSON object")
    stability.set_defaults(run=_stability)


def _stability(given: argparse.Namespace) -> int:
    from flows import stability

    options = {k: v for k, v in vars(given).items() if k not in ("run", "json", "dry_run")}
    options["plain_prompt"] = given.plain_prompt.replace("\\n", "\n")
    return stability.stability(options, as_json=given.json, dry_run=given.dry_run)
