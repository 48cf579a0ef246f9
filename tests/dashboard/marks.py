"""How many marks a page's charts are sent."""

import json
from typing import Any

import pyarrow as pa
from streamlit.testing.v1 import AppTest

MOST = 5_000  # of a chart


def marks_of(app: AppTest) -> list[int]:
    """Of each chart: the rows of its layers, added up, as many as it could draw."""
    return [_marks(element.proto) for element in app.get("vega_lite_chart")]


def _marks(proto: Any) -> int:
    rows = {
        given.name: pa.ipc.open_stream(given.data.data).read_all().num_rows
        for given in proto.datasets
    }
    spec = json.loads(proto.spec)
    if proto.HasField("data"):
        rows[""] = pa.ipc.open_stream(proto.data.data).read_all().num_rows
    return _of(spec, spec, rows, "")


def _of(spec: Any, whole: Any, rows: dict[str, int], above: str | None) -> int:
    """Marks of a spec, whose layers and parts may inherit the data `above` them."""
    data = spec.get("data", above)
    parts = [
        part for key in ("layer", "hconcat", "vconcat", "concat") for part in spec.get(key, ())
    ]
    parts += [spec["spec"]] if "spec" in spec else []
    if parts:
        return sum(_of(part, whole, rows, data) for part in parts)
    if not isinstance(data, dict):
        return rows.get("", 0)
    if "values" in data:
        return len(data["values"])
    if "name" in data:
        given = whole.get("datasets", {}).get(data["name"])
        return len(given) if given is not None else rows[data["name"]]
    return 0
