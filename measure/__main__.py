r"""`python -m measure REQUEST [--out FILE]`: measure where there is torch and transformers alone.

REQUEST is a JSON file, or `-` for standard input. What to measure:

    {"models": ["path/or/org/name@revision", ...],
     "base": "...", "reference": "...", "shared_comparator": "...", "teacher": "...",   optional
     "seeds": [0, 1, 2, 123], "tau": "resultant", "ppp_fit": "ml",           optional, the defaults
     "bank": "bank512", "prompts": "canonical40",                            optional, the defaults
     "methods": ["structural", "template", "fisher"],                        optional, all
     "dtype": "float32", "device": "cpu", "batch_size": 20}                  optional

or whose sentences to trace, with the options of `cicatrix trace`:

    {"teachers": ["..."], "student": "...", "distilled": "...", "control": "...",
     "problems": "problems.jsonl", "rollouts": "distilled.jsonl",            optional
     "samples": 16, "temperature": 0.6, "top_p": 0.95, "max_new_tokens": 512, "seed": 0,
     "plain_prompt": "Q: {problem}\nA:", "alpha": 0.1, "beta": 0.1, "length_rule": "student",
     "dtype": "float32", "device": "cpu", "batch_size": 64}                  optional

or over which pair to train a crosscoder, with the options of `cicatrix crosscode`:

    {"base": "...", "distilled": "...",
     "text": "texts.jsonl", "layer": 13, "tokens": 100000000, "epochs": 1,   optional, as are
     "max_length": 512, "sparsity": "batchtopk", "latents": 32768, "k": 100,      all that follow
     "train_batch": 2048, "lr": 1e-4, "seed": 49, "contexts": 20,
     "skip": ["crosscoder", "ablation", "steering", "parallelogram"],
     "ablation_pairs": 100, "control_draws": 2, "problems": "problems.jsonl", "samples": 1,
     "max_new_tokens": 160, "plain_prompt": "Q: {problem}\nA:", "relations": "pairs.json",
     "dtype": "bfloat16", "device": "cuda:0", "batch_size": 32}

Its activations and checkpoints go to the folder `crosscoder` of where it runs.

Either may be run by vLLM, the first with "methods": ["template"] alone:

    {"backend": "vllm", "tensor_parallel_size": 1, "quantization": null, "chat_template": null}

Out come JSON lines, see `measure/journal.py`. A file given by `--out` is taken up again where it
broke off. `cicatrix take FILE` appends it to a lake, once, and computes there what runs no model.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from measure import (
    backends,
    crosscodes,
    crosscoding,
    functional,
    lineage,
    models,
    prompts,
    run,
    sources,
    stiffness,
    structural,
    traces,
)
from measure.errors import BadInput
from measure.journal import Journal
from measure.records import PppFit, TauKind
from measure.request import DEFAULT_SEEDS, parse_seeds
from measure.tensors import Part

ROLES = ("base", "reference", "shared_comparator", "teacher")
OPTIONS = ("seeds", "tau", "ppp_fit", "bank", "prompts", "methods", "dtype", "device", "batch_size")
KEYS = {"models", *OPTIONS, *ROLES, *backends.KEYS}


def main(arguments: list[str] | None = None) -> int:
    """Measure a request; 0 if all of it was, 1 if a model failed, 2 for a request that is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m measure", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("request", help="a JSON file, or - for standard input")
    parser.add_argument("--out", type=Path, help="a JSON-lines file, continued if it exists")
    given = parser.parse_args(arguments)
    try:
        measure = _planned(_read_request(given.request))
        journal = Journal(given.out)
    except BadInput as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (ValueError, OSError, KeyError, TypeError) as error:
        sys.stderr.write(f"error: {given.out} cannot be continued ({error}): give another --out\n")
        return 2
    failures = measure(journal)
    for ref, reason in failures.items():
        sys.stderr.write(f"failed: {ref}: {reason}\n")
    return 1 if failures else 0


def _planned(request: dict[str, Any]) -> Callable[[Journal], dict[str, str]]:
    """What a request asks for; run, it gives the reasons of the models that failed.

    Raises:
        BadInput: the request asks for what cannot be.
    """
    if crosscodes.is_crosscode(request):
        return partial(crosscodes.measure, crosscodes.parse(request))
    if traces.is_trace(request):
        return partial(traces.measure, traces.parse(request))
    return partial(_measure_all, request, _settings(request))


def _read_request(name: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        request = json.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"request {name!r} is no readable JSON ({error})") from error
    if not isinstance(request, dict) or not (
        isinstance(request.get("models"), list)
        or traces.is_trace(request)
        or crosscodes.is_crosscode(request)
    ):
        raise BadInput(
            f'request {name!r} lists no models: give {{"models": ["folder"]}}, or "teachers", '
            '"student" and "distilled", or "base" and "distilled"'
        )
    known = KEYS
    if crosscodes.is_crosscode(request):
        known = crosscoding.KEYS
    elif traces.is_trace(request):
        known = traces.KEYS
    if unknown := sorted(set(request) - known):
        raise BadInput(
            f"request {name!r} has an unknown key {unknown[0]!r}: give {', '.join(sorted(known))}"
        )
    return request


def _settings(request: dict[str, Any]) -> run.Settings:
    batch_size = request.get("batch_size", 20)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise BadInput(f"batch_size {batch_size!r} is no whole number of 1 or more")
    models.check_device(_device(request))
    return run.Settings(
        bank=prompts.load(request.get("bank", "bank512")),
        canonical=prompts.load(request.get("prompts", "canonical40")),
        seeds=parse_seeds(request.get("seeds", list(DEFAULT_SEEDS))),
        tau=_one_of(TauKind, request, "tau", structural.DEFAULT_TAU),
        ppp_fit=_one_of(PppFit, request, "ppp_fit", functional.DEFAULT_FIT),
        dtype=request.get("dtype", "float32"),
        device_kind=_device(request).split(":")[0],
        batch_size=batch_size,
        methods=_methods(request),
        backend=backends.parse(request),
    )


def _methods(request: dict[str, Any]) -> tuple[run.Method, ...]:
    given = request.get("methods", list(run.METHODS))
    if not isinstance(given, list) or not given or set(given) - set(run.METHODS):
        raise BadInput(f"methods {given!r} is no list of some of {', '.join(run.METHODS)}")
    return tuple(method for method in run.METHODS if method in given)


def _one_of(kinds: Any, request: dict[str, Any], name: str, default: str) -> Any:
    """What a request says of an option that is one of a Literal's values."""
    given = request.get(name, default)
    if given not in get_args(kinds):
        raise BadInput(f"{name} {given!r} is none of {', '.join(get_args(kinds))}")
    return given


def _device(request: dict[str, Any]) -> str:
    return str(request.get("device") or models.pick_device())


def _measure_all(
    request: dict[str, Any], settings: run.Settings, journal: Journal
) -> dict[str, str]:
    """Reasons of the models that failed, by reference."""
    failures: dict[str, str] = {}
    base_ref = request.get("base")
    compared = [str(request[role]) for role in ROLES if request.get(role)]
    models_asked = [str(model) for model in request["models"]]
    # The base first: the others are scored on its text.
    refs = [*compared[:1], *models_asked, *compared[1:]] if base_ref else [*models_asked, *compared]
    ordered: dict[str, None] = dict.fromkeys(refs)
    texts: dict[str, str] | None = None
    ids: dict[str, str] = {}
    for ref in ordered:
        try:
            source = sources.find(ref)
            if base_ref in ids and ref in models_asked and ref != base_ref:
                texts_of_bank = [prompt.text for prompt in settings.bank.prompts]
                models.refuse_unlike_base(source, sources.find(str(base_ref)), texts_of_bank)
            is_base = ref == base_ref
            texts = _measure_model(source, _device(request), settings, journal, texts, is_base)
            ids[ref] = source.model_id
        except Exception as error:  # noqa: BLE001  whatever it is, the others go on
            ids.pop(ref, None)
            failures[ref] = journal.fail(ref, error)
    _write_comparisons(request, ids, journal)
    for ref in models_asked:
        if ref in ids and base_ref in ids and ids[ref] != ids[base_ref]:
            try:
                _measure_lineage(ref, str(base_ref), journal)
            except Exception as error:  # noqa: BLE001  likewise
                failures[ref] = journal.fail(ref, error)
    return failures


def _measure_model(
    source: sources.Source,
    device: str,
    settings: run.Settings,
    journal: Journal,
    texts: dict[str, str] | None,
    is_base: bool,
) -> dict[str, str] | None:
    """Everything of one model, on its base's texts too once they are there; those texts.

    The model is let go of on return, before the next is loaded.
    """
    model = settings.backend.load(
        source, device=device, dtype=settings.dtype, batch_size=settings.batch_size
    )
    journal.write({"line": "model", **asdict(model.card)})
    for job in run.own_jobs(source.model_id, settings):
        journal.measure(model, job)
    _measure_stiffness(source, journal)
    if functional.METHOD not in settings.methods:
        return None
    if is_base:
        texts = journal.texts(run.template_job(source.model_id, settings))
    if texts is not None:
        journal.measure(model, run.template_job(source.model_id, settings, texts))
    return texts


def _measure_stiffness(source: sources.Source, journal: Journal) -> None:
    plan = stiffness.plan(source.model_id)
    journal.measure_at_once(plan, lambda: [stiffness.measure(source)])


def _measure_lineage(ref: str, base_ref: str, journal: Journal) -> None:
    derivative, base = sources.find(ref), sources.find(base_ref)

    def watched(parts: Sequence[Part]) -> Iterator[Part]:
        name = f"{derivative.label} {lineage.METHOD}"
        yield from tqdm(parts, desc=name, unit="weight", file=sys.stderr, disable=None)

    journal.measure_at_once(
        lineage.plan(derivative.model_id, base.model_id),
        lambda: lineage.measure_pair(derivative, base, watched),
    )


def _write_comparisons(request: dict[str, Any], ids: dict[str, str], journal: Journal) -> None:
    for ref in request["models"]:
        for role in ROLES:
            other = request.get(role)
            if ref in ids and other in ids and ref != other:
                journal.write(
                    {
                        "line": "comparison",
                        "derivative_id": ids[ref],
                        "role": role,
                        "model_id": ids[other],
                    }
                )


if __name__ == "__main__":
    sys.exit(main())
