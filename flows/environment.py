"""Settings of the libraries that flows run on, as environment variables, before they are imported.

Everything Prefect keeps lies under the home; nothing leaves this machine; nothing is pickled.
A value that the user set already stays.
"""

import json
import os
import socket
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from warehouse.lake import LakeError, home

SETTINGS = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    # Leases on disk outlive a killed server, which then frees the slots of whoever died with it.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    "TOKENIZERS_PARALLELISM": "false",
}


def set_defaults() -> None:
    """Set what is not set yet. Call before the first import of prefect or transformers."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_HOME", str(home() / "prefect"))
    if "HF_HOME" not in os.environ:  # somebody's own cache is shared, ours is the home's
        os.environ.setdefault("HF_HUB_CACHE", str(home() / "cache" / "hub"))


def prepare(*, quiet: bool = False) -> None:
    """Make what Prefect needs, and find the server that is up; call before importing Prefect.

    Raises:
        LakeError: the home cannot be written to.
    """
    set_defaults()
    try:
        Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeError(
            f"the home {str(home())!r} cannot be written to ({error.strerror}): "
            "make it writable, or set CICATRIX_HOME to a folder that is"
        ) from error
    if quiet:
        # Failures are told in one line each by the command itself.
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")
    if "PREFECT_API_URL" not in os.environ and (url := running_server()):
        os.environ["PREFECT_API_URL"] = url


def state_file() -> Path:
    """Where `cicatrix up` says what it serves."""
    return home() / "up.json"


def running_server() -> str | None:
    """The API of the server that `cicatrix up` started here, if it answers."""
    try:
        state = json.loads(state_file().read_text(encoding="utf-8"))
        if state["host"] != socket.gethostname():
            return None
        with urlopen(f"{state['api_url']}/health", timeout=5) as answer:
            return state["api_url"] if answer.status == 200 else None
    except (OSError, ValueError, KeyError, URLError):
        return None
