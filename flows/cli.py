"""The `cicatrix` command. Heavy libraries are imported by the command that needs them."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows import cli_circuits, cli_crosscoder, cli_lake, cli_scan, cli_sentences, cli_stability

if TYPE_CHECKING:  # argparse has no public name for what add_subparsers returns
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; every failure that is not a fault of ours is told in one line."""
    given = _parser().parse_args(arguments)
    from flows import environment
    from measure.errors import BadInput
    from warehouse.lake import LakeError, make_default

    environment.set_defaults()
    try:
        if given.run not in _WITHOUT_LAKE and make_default() and given.run is not _demo:
            _take_records()  # the demo measures its models itself first
        return given.run(given)
    except BadInput as error:
        return _tell(f"error: {error}", BAD_USAGE)
    except BrokenPipeError:  # `cicatrix sql ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (LakeError, ConnectionError) as error:
        return _tell(f"error: {error}", FAILED)
    except KeyboardInterrupt:
        line = "interrupted: what was committed stays; the same command goes on from there"
        return _tell(line, INTERRUPTED)


def _tell(line: str, code: int) -> int:
    sys.stderr.write(line + "\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cicatrix",
        description="Measures what reasoning distillation did to a language model, calibrated to "
        "its base family.",
        epilog="CICATRIX_HOME says where lake, cache and logs are. Exit codes: 0 done, 1 failed, "
        "2 bad usage, 130 interrupted; `verdict` has its own.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_measure(commands)
    _add_verdict(commands)
    cli_sentences.add_trace(commands)
    cli_sentences.add_select(commands)
    cli_circuits.add_circuits(commands)
    cli_stability.add_stability(commands)
    cli_scan.add_scan(commands)
    cli_crosscoder.add_crosscode(commands)
    _add_declare(commands)
    _add_sql(commands)
    _add_take(commands)
    _add_zoo(commands)
    _add_services(commands)
    cli_lake.add_lake(commands)
    return parser


def _add_measure(commands: "Commands") -> None:
    measure = commands.add_parser(
        "measure",
        help="measure what is not yet measured of some models",
        description="Measures what is not yet measured. A model is a folder, a .gguf file, "
        "`zoo:NAME` (the embedded models) or a hub id such as `org/name@revision`.",
    )
    measure.add_argument("models", nargs="+", metavar="MODEL")
    _add_roles(measure)
    _add_choice(measure)
    measure.add_argument(
        "--methods",
        nargs="+",
        # Those of measure.run, which imports torch.
        choices=("structural", "template", "fisher"),
        default=("structural", "template", "fisher"),
        help="what a model is run for (default: all)",
    )
    cli_sentences.add_backend(measure, "vllm with `--methods template` alone")
    measure.add_argument("--dry-run", action="store_true", help="say what it would cost, and stop")
    measure.set_defaults(run=_measure)

    demo = commands.add_parser(
        "demo",
        help="measure the embedded models and serve the dashboard",
        description="Measures the embedded models, prints what was found, serves the dashboard.",
    )
    demo.add_argument("--no-serve", action="store_true", help="stop after the table")
    demo.add_argument("--port", type=_port, default=8501, help="of the dashboard (default 8501)")
    demo.set_defaults(run=_demo)


def _add_roles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", metavar="B", help="the model it was derived from")
    parser.add_argument("--reference", metavar="R", help="a model of another family, same size")
    parser.add_argument(
        "--shared-comparator", metavar="C", help="one stranger shared by all comparisons"
    )
    parser.add_argument("--teacher", metavar="T", help="the model it was distilled from")


def _add_verdict(commands: "Commands") -> None:
    verdict = commands.add_parser(
        "verdict",
        help="say of a model what its measurements allow, layer by layer",
        description="Says what the measurements of a model and its base allow, layer by layer, "
        "with reasons and what is missing; what is not yet measured is measured first. The answer "
        "is on standard output, the course of measuring on standard error.",
        epilog="Exit codes: 10 if a layer is DISTILLED-LIKE; else 12 if one is UNCALIBRATED, 11 if "
        "one is INCONCLUSIVE, 0 if all are NOT DISTILLED-LIKE; 1 failed, 2 bad usage, 130 "
        "interrupted.",
    )
    verdict.add_argument("model", metavar="MODEL")
    _add_roles(verdict)
    _add_choice(verdict)
    verdict.add_argument("--json", action="store_true", help="print one JSON object")
    verdict.set_defaults(run=_verdict)

    evaluate = commands.add_parser(
        "evaluate",
        help="say how well known distilled models are told from the others",
        description="Evaluates the verdict on the models of known lineage in the lake, each judged "
        "without those of its own recipe: by family and pooled, beside one threshold for all.",
    )
    evaluate.add_argument(
        "--lineage",
        action="store_true",
        help="evaluate whose weights a model has instead: over all pairs of the zoo's models, "
        "independent ones with them; measures the pairs that are missing",
    )
    _add_jobs(evaluate, "pairs")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.set_defaults(run=_evaluate)


def _add_declare(commands: "Commands") -> None:
    declare = commands.add_parser(
        "declare",
        help="say what you know of a model's lineage, for calibration and evaluation",
        description="Declares what a model of your own was made from, and whether it was "
        "distilled. It then counts among the models of known lineage of its family, as one that "
        "its user declared; whose weights it has is measured, and no declaration decides that.",
    )
    declare.add_argument("model", metavar="MODEL")
    declare.add_argument("--base", metavar="B", required=True, help="the model it was made from")
    taught = declare.add_mutually_exclusive_group()
    taught.add_argument(
        "--distilled", dest="is_distilled", action="store_const", const=True,
        help="it learnt from a teacher's output",
    )  # fmt: skip
    taught.add_argument(
        "--not-distilled", dest="is_distilled", action="store_const", const=False,
        help="it did not",
    )  # fmt: skip
    declare.add_argument("--teacher", metavar="T", help="that teacher; means --distilled")
    declare.add_argument(
        "--recipe", metavar="NAME",
        help="how it was made: models of one recipe are left out together when one is judged",
    )  # fmt: skip
    declare.add_argument(
        "--replace", action="store_true", help="in place of what was declared before"
    )
    declare.set_defaults(run=_declare)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", nargs="+", metavar="S", help="default: 0 1 2 123")
    parser.add_argument(
        "--tau",
        choices=("resultant", "gap", "cv_cos"),
        default="resultant",
        help="what the scar is measured by (default: resultant, which all marts of scars show)",
    )
    parser.add_argument(
        "--ppp-fit",
        choices=("ml", "ols", "sum", "log", "tail2"),
        default="ml",
        help="how the scale of the gaps is fitted (default: ml, which all marts of distances show)",
    )
    parser.add_argument("--device", help="cpu, cuda:0, ... (default: the first GPU, else the CPU)")
    parser.add_argument("--dtype", default="float32", help="of the weights in memory")
    parser.add_argument("--batch-size", type=int, default=20, metavar="N", help="prompts at once")
    parser.add_argument("--bank", default="bank512", help="prompts of tau: a name or a .jsonl file")
    parser.add_argument("--prompts", default="canonical40", help="prompts of templates, likewise")


def _add_sql(commands: "Commands") -> None:
    sql = commands.add_parser(
        "sql",
        help="ask the lake a question, read-only",
        description="Runs one SELECT over every table and mart (warehouse/DICTIONARY.md), in a "
        "sandbox that can read the lake and do nothing else.",
    )
    sql.add_argument("query", help='such as "select * from summary"; - reads standard input')
    sql.add_argument("--explain", action="store_true", help="show the plan and run nothing")
    sql.add_argument(
        "--rows", type=int, default=1_000_000, metavar="N", help="at most so many (1,000,000)"
    )
    sql.add_argument(
        "--seconds", type=float, default=300.0, metavar="S", help="stop it after so long (300)"
    )
    sql.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table")
    sql.add_argument("--out", type=Path, help="write here instead of standard output")
    sql.set_defaults(run=_sql)


def _add_take(commands: "Commands") -> None:
    take = commands.add_parser(
        "take",
        help="append records measured elsewhere",
        description="Appends the JSON lines of `python -m measure --out FILE`, each unit once, or "
        "a pack (Parquet), each measurement once.",
    )
    take.add_argument("file", type=Path)
    take.set_defaults(run=_take)
    pack = commands.add_parser(
        "pack",
        help="write all complete measurements as one file, for other lakes to take",
        description="Writes all complete measurements as one Parquet file: `cicatrix take` "
        "appends it to another lake.",
    )
    pack.add_argument("file", type=Path)
    pack.add_argument(
        "--of", metavar="MODEL", help="of this derivative, by id or label, and its triangle alone"
    )
    pack.set_defaults(run=_pack)


def _add_zoo(commands: "Commands") -> None:
    parser = commands.add_parser(
        "zoo",
        help="the embedded models: list them, or build them again",
        description="The embedded models: what they are, and how to make them again.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="show the lineage and what was measured")
    listing.set_defaults(run=_zoo_list)
    build = actions.add_parser(
        "build",
        help="make what is missing",
        description="Trains what is missing, goes on where it was stopped, and, when nothing is "
        "left out, measures the records that ship with the project. An hour and three quarters "
        "on 2 cores.",
    )
    build.add_argument("--only", nargs="+", default=[], metavar="NAME", help="and what they need")
    _add_jobs(build, "models")
    build.set_defaults(run=_zoo_build)
    families = actions.add_parser(
        "families",
        help="make a constraint-coupled teacher and a plain one, with students of both",
        description="Trains two small families that differ in a constraint alone (arXiv "
        "2603.25022, Eq. 10), for `cicatrix stability --plain-teacher`. Ten to twenty minutes on a "
        "free core; what is made is left alone when it is asked for again.",
    )
    families.add_argument("folder", metavar="FOLDER", help="a new one, or one begun before")
    families.set_defaults(run=_zoo_families)


def _add_jobs(parser: argparse.ArgumentParser, of: str) -> None:
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help=f"{of} at a time"
    )


def _add_services(commands: "Commands") -> None:
    up = commands.add_parser(
        "up",
        help="serve the dashboard, the Prefect server and the scheduled flows",
        description="Serves all three on localhost until Ctrl-C, which stops all of them.",
    )
    up.add_argument("--port", type=_port, default=8501, help="of the dashboard (default 8501)")
    up.add_argument("--api-port", type=_port, default=4200, help="of Prefect (default 4200)")
    up.set_defaults(run=_up)
    doctor = commands.add_parser(
        "doctor", help="versions, devices, lake, disk, and what to do about what is wrong"
    )
    doctor.set_defaults(run=_doctor)
    init = commands.add_parser(
        "init", help="create the lake that CICATRIX_CATALOG and CICATRIX_DATA name"
    )
    init.set_defaults(run=_init)


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 0 < port < 2**16:
        raise argparse.ArgumentTypeError(f"port {text!r} is no whole number from 1 to 65535")
    return port


def _measure(given: argparse.Namespace) -> int:
    from flows import command, targets

    chosen = [
        targets.Target(
            model=model,
            base=given.base,
            reference=given.reference,
            shared_comparator=given.shared_comparator,
            teacher=given.teacher,
        )
        for model in dict.fromkeys(given.models)
    ]
    choice = _choice(given) | {"methods": tuple(given.methods)} | cli_sentences.backend_of(given)
    if given.dry_run:
        return command.estimate(chosen, choice)
    return command.measure(chosen, choice)


def _verdict(given: argparse.Namespace) -> int:
    from flows import command, targets
    from measure.errors import BadInput

    if given.base is None:
        raise BadInput(f"{given.model!r} is judged against its base: name it with `--base B`")
    target = targets.Target(
        model=given.model,
        base=given.base,
        reference=given.reference,
        shared_comparator=given.shared_comparator,
        teacher=given.teacher,
    )
    return command.judge(target, _choice(given), as_json=given.json)


def _declare(given: argparse.Namespace) -> int:
    from flows import declaring

    said = declaring.Declaration(
        model=given.model,
        base=given.base,
        is_distilled=given.is_distilled,
        teacher=given.teacher,
        recipe=given.recipe,
    )
    for line in declaring.declare(said, replace=given.replace):
        sys.stdout.write(line + "\n")
    return DONE


def _evaluate(given: argparse.Namespace) -> int:
    from flows import confusion, evaluating

    if given.lineage:
        return confusion.report(jobs=_jobs(given), as_json=given.json)
    return evaluating.report(as_json=given.json)


def _choice(given: argparse.Namespace) -> dict[str, object]:
    from measure.errors import BadInput
    from measure.request import DEFAULT_SEEDS, parse_seeds

    if given.batch_size < 1:
        raise BadInput(f"batch size {given.batch_size} is under 1: give such as `--batch-size 8`")
    return {
        "seeds": parse_seeds(given.seeds or list(DEFAULT_SEEDS)),
        "tau": given.tau,
        "ppp_fit": given.ppp_fit,
        "bank": given.bank,
        "canonical": given.prompts,
        "dtype": given.dtype,
        "device": given.device,
        "batch_size": given.batch_size,
    }


def _demo(given: argparse.Namespace) -> int:
    from flows import command, services, targets

    outcome = command.measure(targets.demo_targets(), {})
    _take_records()
    if outcome or given.no_serve:
        return outcome
    return services.serve_dashboard(given.port)


def _sql(given: argparse.Namespace) -> int:
    from flows import report
    from measure.errors import BadInput
    from warehouse import workbench

    if given.rows < 1 or given.seconds <= 0:
        raise BadInput("--rows and --seconds must be above 0: give such as `--rows 1000`")
    query = sys.stdin.read() if given.query == "-" else given.query
    limits = workbench.Limits(given.rows, given.seconds, result_bytes=512_000_000)
    answer = workbench.query(query, limits=limits, is_plan=given.explain)
    for fence in answer.missing:
        sys.stderr.write(f"note: {fence}\n")
    if given.explain:
        sys.stdout.write("\n".join(answer.frame["plan"]) + "\n")
        return DONE
    if answer.is_cut:
        sys.stderr.write(f"these are the first {given.rows:,} rows; --rows gives more\n")
    return report.write_answer(answer.frame, given.format, given.out)


def _take(given: argparse.Namespace) -> int:
    from flows import taking

    sys.stdout.write(taking.take(given.file).text() + "\n")
    return DONE


def _pack(given: argparse.Namespace) -> int:
    from measure.request import code_version
    from warehouse import read
    from warehouse.lake import Lake
    from warehouse.pack import write_pack

    with Lake.open() as lake:
        of = read.model_id(given.of) if given.of else None
        n = write_pack(lake, given.file, made_by=f"cicatrix {code_version()}", of=of)
    sys.stdout.write(f"packed {n} measurements ({given.file.stat().st_size / 1e6:.2f} MB)\n")
    return DONE


def _take_records() -> None:
    from flows import zoo
    from warehouse.lake import Lake

    with Lake.open() as lake:
        zoo.take_records(lake)


def _zoo_list(_: argparse.Namespace) -> int:
    from flows import zoo

    return zoo.list_members()


def _zoo_build(given: argparse.Namespace) -> int:
    from flows import zoo

    return zoo.build(given.only, _jobs(given))


def _zoo_families(given: argparse.Namespace) -> int:
    from flows import zoo

    return zoo.families(Path(given.folder))


def _jobs(given: argparse.Namespace) -> int:
    from measure.errors import BadInput

    if given.jobs < 1:
        raise BadInput(f"--jobs {given.jobs} is under 1: give such as `--jobs 2`")
    return given.jobs


def _up(given: argparse.Namespace) -> int:
    from flows import services

    return services.up(given.port, given.api_port)


def _doctor(_: argparse.Namespace) -> int:
    from flows import doctor

    return doctor.report()


def _init(_: argparse.Namespace) -> int:
    from warehouse.lake import Location, create, schema_version

    location = Location.from_env()
    version = create(location)
    if version == 0:
        said = f"created the lake at {location.name}"
    elif version < schema_version():
        said = f"migrated the lake at {location.name} from version {version} to {schema_version()}"
    else:
        said = f"the lake at {location.name} is there, of version {version}"
    sys.stdout.write(said + "\n")
    _take_records()
    return DONE


# One tells of a lake that cannot be, one makes it, two need none.
_WITHOUT_LAKE = (_doctor, _init, _zoo_list, _zoo_build, _zoo_families, *cli_lake.RUNS)


if __name__ == "__main__":
    sys.exit(main())
