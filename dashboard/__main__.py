"""`python -m dashboard [--port N] [flags of streamlit run]`: serve the pages until Ctrl-C."""

import sys
import threading
from pathlib import Path

from streamlit.web import cli

from warehouse import dictionary, kept

APP = Path(__file__).with_name("app.py")


def arguments(given: list[str]) -> list[str]:
    """What `streamlit run` is given: `--port N` is short for its own name of the port."""
    return ["run", str(APP), *("--server.port" if word == "--port" else word for word in given)]


def make_ready() -> None:
    """Work out beforehand what the first view of a page would wait for."""
    dictionary.described()
    kept.keep_ready()


if __name__ == "__main__":
    threading.Thread(target=make_ready, daemon=True).start()
    cli.main(arguments(sys.argv[1:]), prog_name="streamlit")
