"""How the dashboard is started, and what it promises whoever starts it."""

import subprocess
import sys
import tomllib
from pathlib import Path

from dashboard.__main__ import APP, arguments

REPOSITORY = Path(__file__).parents[2]


def test_the_configuration_keeps_to_this_machine_and_to_itself():
    config = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["allowedHosts"] == ["localhost", "127.0.0.1", "::1"]
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"
    assert config["theme"]["light"].keys() == config["theme"]["dark"].keys()


def test_python_m_dashboard_hands_its_flags_to_streamlit():
    assert arguments(["--port", "8600"]) == ["run", str(APP), "--server.port", "8600"]
    assert APP.is_file()


def test_the_dashboard_loads_nothing_that_measures_or_schedules():
    code = (
        "import sys, dashboard.charts, dashboard.live, dashboard.tables, dashboard.headings\n"
        "found = {'torch', 'prefect', 'measure', 'flows'} & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
