"""Asking the Prefect server that is up for a measurement again, by its HTTP API."""

import json
import os
import socket
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from warehouse.location import home

WAIT_S = 5
_DEPLOYMENT = "deployments/name/measure/on-request"
_METHODS = ("structural", "template", "template_distance", "fisher", "stiffness", "lineage", None)


class RetryError(Exception):
    """Why a measurement could not be asked for, in one line."""


def api_url() -> str | None:
    """The API of the server to ask: as set, else as `cicatrix up` announced it on this machine."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url.rstrip("/")
    try:
        state = json.loads((home() / "up.json").read_text(encoding="utf-8"))
        return str(state["api_url"]) if state["host"] == socket.gethostname() else None
    except (OSError, ValueError, KeyError):
        return None


def can_retry(method: str | None) -> bool:
    """Whether the server's flow measures this; None: the model could not even be loaded."""
    return method in _METHODS


def ask(api: str, model_ref: str) -> str:
    """Ask for what is missing of a model; the name of the flow run that was made.

    What was committed is not measured twice. Raises RetryError.
    """
    deployment = _call(f"{api}/{_DEPLOYMENT}")
    run = _call(
        f"{api}/deployments/{deployment.get('id')}/create_flow_run",
        {"parameters": {"targets": [{"model": model_ref}]}, "state": {"type": "SCHEDULED"}},
    )
    return str(run.get("name", "without a name"))


def _call(url: str, body: dict[str, object] | None = None) -> dict[str, object]:
    if not url.startswith(("http://", "https://")):
        raise RetryError(f"'{url}' is no address of a server: set PREFECT_API_URL to http://…/api")
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310
            found = json.loads(answer.read())
    except HTTPError as error:
        what = "it serves no measuring" if error.code == 404 else f"it answered {error.code}"
        raise RetryError(f"the Prefect server at {url}: {what}; is `cicatrix up` running?") from (
            error
        )
    except (OSError, ValueError, HTTPException) as error:
        raise RetryError(f"the Prefect server at {url} cannot be asked ({error})") from error
    if not isinstance(found, dict):
        raise RetryError(f"the Prefect server at {url} answered with something else")
    return found
