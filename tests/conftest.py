"""What all tests share: where the real data lies."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that is busy with something else is no error of an example.
settings.register_profile("bananas", deadline=None)
settings.load_profile("bananas")

DATA = Path(os.environ.get("BANANAS_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Path of a file of the real data; skips where it is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"{name} is not in {DATA}; set BANANAS_DATA to the folder that holds it")
        return path

    return find
