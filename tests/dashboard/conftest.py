"""A small lake whose numbers can be worked out by hand.

Structural vectors have one dimension, so a scar is a difference of two numbers; 0.01 is 100 x eps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.dashboard.ablations import add_ablations
from tests.dashboard.comparing import add_pairs
from tests.dashboard.features import add_features
from tests.dashboard.insides import add_insides
from tests.dashboard.traces import add_rankings, add_traces
from warehouse.lake import Lake, Location

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
SEEDS = (0, 1, 2, 123)
EPS = 1e-4
BASES = {"llama": 0.2, "qwen2": 0.5}  # strangers lie 0.3, that is 3,000 x eps, apart
# Multiples of epsilon by seed: llama is loudest, its sft-direct lies under the floor.
SCARS = {
    "llama-distilled": (400, 450, 420, 900),
    "llama-sft-direct": (0.2, 0.3, 0.25, 0.6),
    "qwen2-distilled": (50, 60, 55, 70),
    "qwen2-sft-direct": (10, 12, 11, 14),
}


@pytest.fixture(autouse=True)
def no_cache_of_another_test() -> None:
    st.cache_resource.clear()


@pytest.fixture
def filled(home: Path) -> Iterator[Lake]:
    """Two families, each with a base and two derivatives; a run under way, and a failed one."""
    with Lake.open() as lake:
        for family, tau in BASES.items():
            add_structural(lake, f"{family}-base", family, dict.fromkeys(SEEDS, tau))
        for derivative, scars in SCARS.items():
            add_derivative(lake, derivative, scars)
        for mode, crp in (("free", 2.0), ("forced", 3.0)):
            add_distance(lake, "llama-distilled", "llama-base", mode, centroid=0.125, crp=crp)
            add_distance(lake, "qwen2-distilled", "qwen2-base", mode, centroid=0.5, crp=crp)
        plan(lake, "live", "template", 4, {"model": "llama-base"}, mode="free")
        lake.start_attempt(
            model_ref="zoo:llama-base",
            device="cpu",
            measurement_id="live",
            method="template",
            host="h",
        )
        lake.append_unit("live", "prompts-000-009", {}, 1.0)
        attempt = lake.start_attempt(model_ref="../my models/bert", device="cpu", host="h")
        lake.end_attempt(attempt, "failed", "'BertModel' is no decoder: give a causal model")
        yield lake


@pytest.fixture
def add_pair(filled: Lake) -> Callable[[str, Sequence[float]], None]:
    """Measure and declare one more derivative, its scars in multiples of epsilon by seed."""
    return lambda derivative, scars: add_derivative(filled, derivative, scars)


@pytest.fixture(scope="session")
def traced_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose lake holds two traced and ranked pairs, see `traces`; no test writes to it."""
    made = tmp_path_factory.mktemp("traced")
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(made)})) as lake:
        add_traces(lake)
        add_rankings(lake)
    return made


@pytest.fixture
def traced(home: Path, traced_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two traced pairs and nothing else, to read only."""
    assert home != traced_home
    monkeypatch.setenv("CICATRIX_HOME", str(traced_home))


@pytest.fixture(scope="session")
def ablated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with ablated models, see `ablations` and `insides`; no test writes to it."""
    made = tmp_path_factory.mktemp("ablated")
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(made)})) as lake:
        add_ablations(lake)
        add_insides(lake)
    return made


@pytest.fixture
def ablated(home: Path, ablated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ablated models and nothing else, to read only."""
    assert home != ablated_home
    monkeypatch.setenv("CICATRIX_HOME", str(ablated_home))


@pytest.fixture(scope="session")
def compared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with compared pairs, see `comparing`; no test writes to it."""
    made = tmp_path_factory.mktemp("compared")
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(made)})) as lake:
        add_pairs(lake)
    return made


@pytest.fixture
def compared(home: Path, compared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared pairs and nothing else, to read only."""
    assert home != compared_home
    monkeypatch.setenv("CICATRIX_HOME", str(compared_home))


@pytest.fixture(scope="session")
def features_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with latents in use, see `features`; no test writes to it."""
    made = tmp_path_factory.mktemp("features")
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(made)})) as lake:
        add_features(lake)
    return made


@pytest.fixture
def featured(home: Path, features_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents in use and nothing else, to read only."""
    assert home != features_home
    monkeypatch.setenv("CICATRIX_HOME", str(features_home))


def unfolded(app: AppTest, label: str) -> pd.DataFrame:
    """The table behind a fold, which a click opens."""
    app.session_state[f"fold-{label}"] = True
    app.run()
    (place,) = (one for one in app.expander if one.label == label)
    return place.dataframe[0].value


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Open a page of the app with controls from its address."""

    def opened(name: str = "families", **controls: str | list[str]) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=30)
        app.switch_page(f"app_pages/{name}.py")
        for key, value in controls.items():
            app.query_params[key] = value
        return app.run()

    return opened


def add_derivative(lake: Lake, derivative: str, scars: Sequence[float]) -> None:
    """Its name begins with its family's; the other family's base is its stranger."""
    family, other = sorted(BASES, key=lambda name: not derivative.startswith(name))
    taus = {seed: BASES[family] + x * EPS for seed, x in zip(SEEDS, scars, strict=True)}
    add_structural(lake, derivative, family, taus)
    for role, model in (("base", f"{family}-base"), ("reference", f"{other}-base")):
        pair = {"derivative_id": derivative, "role": role, "model_id": model, "declared_by": "zoo"}
        lake.add_comparisons([pair])


def add_structural(lake: Lake, model: str, family: str, taus: Mapping[int, float]) -> None:
    lake.add_models(
        [
            {
                "model_id": model, "label": model, "source": "zoo", "family": family,
                "architecture": None, "model_type": None, "n_params": 1000, "n_layers": 2,
                "hidden_size": 16, "vocab_size": 64, "weight_dtype": None, "tokenizer_sha256": None,
            }
        ]
    )  # fmt: skip
    plan(lake, f"s-{model}", "structural", len(taus), {"model": model})
    for seed, tau in taus.items():
        row = {
            "seed": seed, "dim": 0, "prompt_id": "p0", "category": "science", "site": "A",
            "n_tokens": 20, "tau": tau, "tau_rerun": tau, "reason": None,
        }  # fmt: skip
        lake.append_unit(f"s-{model}", f"seed-{seed}", {"structural_tau": [row]}, 2.0)


def add_distance(
    lake: Lake, derivative: str, base: str, mode: str, *, centroid: float, crp: float
) -> None:
    """Floors are 0.25 for the centroid and 1 for CRP."""
    name = f"d-{derivative}-{mode}"
    plan(lake, name, "template_distance", 1, {"base": base, "derivative": derivative}, mode=mode)
    row = {
        "mode": mode, "role": "derivative", "n_prompts": 40, "n_prompts_dropped": 0,
        "centroid_distance": centroid, "ci_low_centroid_distance": centroid * 0.9,
        "ci_high_centroid_distance": centroid * 1.1, "crp_distance": crp,
        "ci_low_crp_distance": crp * 0.9, "ci_high_crp_distance": crp * 1.1, "self_baseline": 0.25,
        "sign_flip_floor": 0.125, "sign_flip_p": 0.01, "crp_floor": 1.0, "zero_gap_frac": 0.0,
        "reason": None,
    }  # fmt: skip
    lake.append_unit(name, "all", {"template_distance": [row]}, 0.5)


def plan(
    lake: Lake,
    name: str,
    method: str,
    n_units: int,
    models: dict[str, str],
    mode: str | None = None,
    options: str | None = None,
) -> None:
    lake.plan(
        {
            "measurement_id": name, "method": method, "method_version": 1, "prompt_set": "bank",
            "prompt_set_sha256": "5e7", "seeds": list(SEEDS) if method == "structural" else [],
            "dtype": "float32", "backend": "transformers", "device_kind": "cpu", "replicate": 0,
            "options": options or (f'{{"mode":"{mode}"}}' if mode else '{"tau":"resultant"}'),
            "text_sha256": None, "n_units": n_units, "batch_size": 8, "code_version": "0",
            "library_versions": "{}",
        },
        models,
    )  # fmt: skip
