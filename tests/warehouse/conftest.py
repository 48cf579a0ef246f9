import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `making`, the rows these tests share

from warehouse.lake import Lake, Location


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location.from_env({"CICATRIX_HOME": str(tmp_path / "home")})


@pytest.fixture
def lake(location: Location):
    with Lake.open(location) as opened:
        yield opened
