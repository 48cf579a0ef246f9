"""What nightly scans watch: a TOML file, checked before anything is asked of the hub.

See README, "Nightly scans", for an example with every key.
"""

import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from flows.choice import Choice
from measure import hub
from measure.candidates import Limits
from measure.errors import BadInput
from warehouse.lake import home

HubId = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*/\w[\w.-]*(@\w[\w./-]*)?$")]
State = Literal["gated", "too large", "unsupported", "no safetensors", "failed", "measured"]
Label = Literal["DISTILLED-LIKE", "INCONCLUSIVE", "UNCALIBRATED", "NOT DISTILLED-LIKE"]
DEFAULT_NAME = "watchlist.toml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Night(_Strict):
    """What one night may cost, and how far back it looks."""

    download_gb: float = Field(default=50, gt=0)
    max_models: int = Field(default=20, ge=1)
    overlap_hours: float = Field(default=72, ge=0)  # listed again before the watermark
    first_days: float = Field(default=30, gt=0)  # how far back a base is listed the first time
    attempts: int = Field(default=3, ge=1)  # of a model that fails
    cache_gb: float = Field(default=200, gt=0)


class LimitsOfModels(_Strict):
    """What is measured at most."""

    max_params_b: float = Field(default=15, gt=0)
    max_download_gb: float = Field(default=40, gt=0)
    licences: tuple[str, ...] | None = None  # None: any


class Family(_Strict):
    """Bases whose derivatives are looked for, and what those are compared with."""

    name: str = Field(min_length=1)
    bases: tuple[HubId, ...] = Field(min_length=1)
    relations: tuple[hub.Relation, ...] = Field(default=hub.RELATIONS, min_length=1)
    priority: int = 0  # the highest first
    reference: str | None = None
    shared_comparator: str | None = None


class Alert(_Strict):
    """Whom to tell of what: a model that came to one of these states or verdicts."""

    name: str = Field(min_length=1)
    labels: tuple[Label, ...] = ()
    states: tuple[State, ...] = ()
    families: tuple[str, ...] = ()  # none: all
    file: Path | None = None
    webhook: str | None = Field(default=None, pattern=r"^https?://")


class Watchlist(_Strict):
    """A whole watchlist."""

    family: tuple[Family, ...] = Field(min_length=1)
    night: Night = Night()
    limits: LimitsOfModels = LimitsOfModels()
    measure: Choice = Choice()
    alert: tuple[Alert, ...] = ()
    sha256: str = ""
    folder: Path = Path()  # files of alerts are relative to it

    @property
    def byte_budget(self) -> int:
        """Bytes that a night may download."""
        return int(self.night.download_gb * 1e9)

    def limits_of_models(self) -> Limits:
        """What is measured at most; what no night could download is too large."""
        wanted = int(self.limits.max_download_gb * 1e9)
        return Limits(
            max_params=int(self.limits.max_params_b * 1e9),
            max_download_bytes=min(wanted, self.byte_budget),
            licences=self.limits.licences,
        )

    def family_of(self, name: str) -> Family | None:
        """The family of that name; None if it is watched no more."""
        return next((one for one in self.family if one.name == name), None)


def default_path() -> Path:
    """Where the scheduled scan looks for its watchlist."""
    return home() / DEFAULT_NAME


def load(path: Path) -> Watchlist:
    """The watchlist of a file.

    Raises:
        BadInput: with one line a mistake.
    """
    try:
        raw = path.read_bytes()
        found = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise BadInput(
            f"watchlist {str(path)!r} cannot be read ({error.strerror}): give a TOML file; the "
            "README has an example"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"watchlist {str(path)!r} is no TOML: {error}") from error
    mistakes: list[str] = []
    own = {"sha256", "folder"} & found.keys()
    mistakes += [f"{name}: is no key of a watchlist: remove it" for name in sorted(own)]
    chosen: Watchlist | None = None
    try:
        extra = {"sha256": hashlib.sha256(raw).hexdigest(), "folder": path.resolve().parent}
        chosen = Watchlist.model_validate({**found, **extra})
    except ValidationError as error:
        # A list of one wrong item is not also too short.
        told = [one for one in error.errors() if one["type"] != "too_short" or not one["input"]]
        mistakes += [_line(dict(one)) for one in told]
    mistakes += _contradictions(found)
    if mistakes or chosen is None:
        head = f"watchlist {str(path)!r} has {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}:"
        raise BadInput("\n".join([head, *(f"  {line}" for line in mistakes)]))
    return chosen


def _line(error: dict[str, Any]) -> str:
    where = ""
    for part in error["loc"]:
        where += f"[{part + 1}]" if isinstance(part, int) else f".{part}" * bool(where) or str(part)
    if error["type"] == "extra_forbidden":
        return f"{where}: is no key of a watchlist: correct or remove it"
    if error["type"] == "missing":
        return f"{where}: is missing: give it"
    if error["type"] == "string_pattern_mismatch":
        wanted = "an address such as 'https://host/path'" if "webhook" in where else (
            "a hub id such as 'org/name' or 'org/name@revision'")  # fmt: skip
        return f"{where}: {error['input']!r} is not {wanted}"
    return f"{where}: {error['input']!r} cannot be: {error['msg'].lower()}"


def _contradictions(found: dict[str, Any]) -> list[str]:
    """What no single key shows: names and bases given twice, alerts of nothing or to nobody."""
    lines: list[str] = []
    families = _tables(found, "family")
    names = [one.get("name") for one in families]
    lines += [f"family: {name!r} is named twice: give each name once" for name in _twice(names)]
    bases = [str(base).partition("@")[0] for one in families for base in _list(one.get("bases"))]
    lines += [f"family: base {base!r} is watched twice: once is enough" for base in _twice(bases)]
    alerts = _tables(found, "alert")
    rules = [one.get("name") for one in alerts]
    lines += [f"alert: {name!r} is named twice: give each name once" for name in _twice(rules)]
    for number, one in enumerate(alerts, start=1):
        if not one.get("labels") and not one.get("states"):
            lines.append(f"alert[{number}]: says neither labels nor states: it would tell nothing")
        if not one.get("file") and not one.get("webhook"):
            lines.append(f"alert[{number}]: says neither file nor webhook: it would tell nobody")
        lines += [
            f"alert[{number}].families: {name!r} is no family of this watchlist"
            for name in _list(one.get("families"))
            if name not in names
        ]
    return lines


def _tables(found: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [one for one in _list(found.get(key)) if isinstance(one, dict)]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _twice(values: Sequence[object]) -> list[object]:
    return sorted({one for one in values if one is not None and values.count(one) > 1}, key=str)
