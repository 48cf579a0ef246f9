"""The command on components: `cicatrix circuits`."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # argparse has no public name for what add_subparsers returns
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


def add_circuits(commands: "Commands") -> None:
    """What a student kept of its teacher's circuits."""
    circuits = commands.add_parser(
        "circuits",
        help="say which components do a task, and what a student kept of its teacher's",
        description="Ablates every attention head and MLP of a teacher and its students on a task, "
        "and says which matter, how brittle each model is, and whether what is alike in two models "
        "also matters alike. What is in the lake already is not done again.",
    )
    circuits.add_argument("--teacher", required=True, metavar="T", help="or the one model asked")
    circuits.add_argument("--students", nargs="+", default=[], metavar="S")
    circuits.add_argument(
        "--control", metavar="C", help="not a student, with as many components as one"
    )
    circuits.add_argument(
        "--tasks", "--task",
        nargs="+",
        default=["numerals"],
        metavar="TASK",
        help="numerals, number-words, months, indirect-objects, facts, or a .jsonl of `clean`, "
        "`corrupted`, `answer`, `foil` (default: numerals)",
    )  # fmt: skip
    circuits.add_argument("--prompts", type=int, default=100, metavar="N", dest="n_prompts")
    circuits.add_argument("--seed", type=int, default=0, metavar="N")
    circuits.add_argument(
        "--filtered",
        action="store_true",
        help="only prompts that the teacher gets right by far, as the papers chose theirs",
    )
    circuits.add_argument(
        "--with",
        nargs="+",
        default=[],
        metavar="PART",
        dest="parts",
        # Those of flows.circuit_plans, which imports torch.
        choices=(
            "estimates",
            "circuits",
            "edges",
            "patching",
            "residual",
            "pictures",
            "probes",
            "noise",
        ),
        help="more to measure: `estimates` of every ablation from one gradient, beside the "
        "ablations; `circuits`, the components that suffice, and `edges` between them in models of "
        "up to 200 components; `patching` of clean activations into corrupted runs; `residual`, "
        "what each part writes towards the answer; `pictures` of where heads look, what they say "
        "and how MLPs compare; `probes` of the terms; `noise` in the student, whether alignment "
        "responds to it",
    )
    circuits.add_argument(
        "--device", help="cpu, cuda:0, ... (default: the first GPU, else the CPU)"
    )
    circuits.add_argument("--dtype", default="float32", help="of the weights in memory")
    circuits.add_argument("--batch-size", type=int, default=64, metavar="N", help="prompts at once")
    circuits.add_argument("--dry-run", action="store_true", help="say what it would cost, and stop")
    circuits.add_argument("--json", action="store_true", help="print one JSON array")
    circuits.set_defaults(run=_circuits)


def _circuits(given: argparse.Namespace) -> int:
    from flows import circuits

    options = {k: v for k, v in vars(given).items() if k not in ("run", "json", "dry_run")}
    return circuits.circuits(options, as_json=given.json, dry_run=given.dry_run)
