import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `making`, the rows these tests share

from warehouse.attach import create
from warehouse.lake import Lake, Location


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location.from_env({"CICATRIX_HOME": str(tmp_path / "home")})


@pytest.fixture
def lake(location: Location):
    with Lake.open(location) as opened:
        yield opened


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A PostgreSQL server of our own, on a socket in its folder and a local port, with a lake."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.fail("PostgreSQL's server is missing; install it: apt-get install postgresql")
    # Not below tmp_path: pytest closes that to other users, and the server does not run as root.
    base = Path(tempfile.mkdtemp(prefix="cicatrix-pg-"))
    user = "postgres" if os.geteuid() == 0 else os.environ.get("USER", "postgres")

    def run(*command: str) -> None:
        as_user = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []
        subprocess.run([*as_user, *command], check=True, capture_output=True, cwd="/")

    if os.geteuid() == 0:
        subprocess.run(["chown", user, str(base)], check=True)
    bin_folder, data = folders[-1], str(base / "d")
    run(str(bin_folder / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-N")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = f"-k {base} -c listen_addresses=127.0.0.1 -p {port} -c fsync=off"
    run(str(bin_folder / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", f"{base}/log", "start")
    env = {
        "CICATRIX_CATALOG": f"postgres:dbname=postgres host={base} port={port} user=postgres",
        "CICATRIX_DATA": str(tmp_path / "data"),
    }
    try:
        create(Location.from_env(env))
        yield env
    finally:
        run(str(bin_folder / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(base)
