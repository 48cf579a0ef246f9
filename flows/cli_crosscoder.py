"""`cicatrix crosscode`: features that distillation made."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # argparse has no public name for what add_subparsers returns
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


def add_crosscode(commands: "Commands") -> None:
    """A base, what was distilled of it, and one dictionary over both."""
    crosscode = commands.add_parser(
        "crosscode",
        help="say which features distillation made, by a sparse crosscoder over both models",
        description="Harvests activations of a base and its distilled derivative on the same text, "
        "trains a sparse crosscoder over both, and says which latents are the distilled model's "
        "own; then takes latents out, adds them, and compares the geometry of words. What is in "
        "the lake already is not done again; training goes on from its last checkpoint. Numbers "
        "without a default given here have one for the width of the models.",
    )
    crosscode.add_argument("--base", required=True, metavar="B")
    crosscode.add_argument("--distilled", required=True, metavar="D")
    crosscode.add_argument(
        "--text",
        default="zoo-corpus",
        metavar="FILE",
        help=".jsonl of `text` (default: zoo-corpus, which the embedded models can read)",
    )
    crosscode.add_argument(
        "--layer", type=int, metavar="N", help="the block, from 0, after which the stream is read "
        "(default: half depth)"
    )  # fmt: skip
    crosscode.add_argument("--tokens", type=int, metavar="N", help="harvested of both models")
    crosscode.add_argument("--epochs", type=int, metavar="N", help="times that they are read")
    crosscode.add_argument(
        "--max-length", type=int, default=512, metavar="N", help="tokens of a window"
    )
    crosscode.add_argument(
        "--sparsity",
        choices=("batchtopk", "l1"),
        default="batchtopk",
        help="batchtopk (default), or l1, which makes more false distilled-only latents",
    )
    crosscode.add_argument("--latents", type=int, metavar="N")
    crosscode.add_argument("--k", type=int, metavar="N", help="latents kept on a token")
    crosscode.add_argument("--train-batch", type=int, metavar="N", help="tokens of a step")
    crosscode.add_argument("--lr", type=float, metavar="X")
    crosscode.add_argument("--seed", type=int, default=49, metavar="N")
    crosscode.add_argument(
        "--contexts", type=int, default=20, metavar="N", help="kept of each latent, most active "
        "first; its category is told by 50"
    )  # fmt: skip
    crosscode.add_argument(
        "--skip",
        nargs="+",
        choices=("crosscoder", "ablation", "steering", "parallelogram"),
        default=[],
        help="what is not to be done; without the crosscoder only word pairs are compared",
    )
    crosscode.add_argument(
        "--ablation-pairs", type=int, default=100, metavar="N",
        help="words of each category whose logits are asked without the latents",
    )  # fmt: skip
    crosscode.add_argument(
        "--control-draws", type=int, default=2, metavar="N",
        help="random sets of latents beside each that is taken out",
    )  # fmt: skip
    crosscode.add_argument(
        "--problems", default="zoo40", metavar="FILE",
        help=".jsonl of `problem` and `answer` that is steered on (default: zoo40)",
    )  # fmt: skip
    crosscode.add_argument("--samples", type=int, default=1, metavar="K")
    crosscode.add_argument("--max-new-tokens", type=int, default=160, metavar="N")
    crosscode.add_argument(
        "--plain-prompt",
        default="Q: {problem}\\nA:",
        metavar="TEXT",
        help="for models without a chat template; \\n is a line break (default: %(default)s)",
    )
    crosscode.add_argument(
        "--relations", metavar="FILE", help=".json of word pairs (`input`, `output`), or a folder"
    )
    crosscode.add_argument(
        "--device", help="cpu, cuda:0, ... (default: the first GPU, else the CPU)"
    )
    crosscode.add_argument("--dtype", default="float32", help="of the weights in memory")
    crosscode.add_argument("--batch-size", type=int, default=32, metavar="N", help="windows")
    crosscode.add_argument("--dry-run", action="store_true", help="say what it would cost")
    crosscode.add_argument("--json", action="store_true", help="print one JSON object")
    crosscode.set_defaults(run=_crosscode)


def _crosscode(given: argparse.Namespace) -> int:
    from flows import crosscode

    options = {k: v for k, v in vars(given).items() if k not in ("run", "json", "dry_run")}
    options["plain_prompt"] = given.plain_prompt.replace("\\n", "\n")
    return crosscode.crosscode(options, as_json=given.json, dry_run=given.dry_run)
