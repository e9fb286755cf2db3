"""Tests of the development cluster itself. Those that need it start it anew, so they run before all tests that only use it."""

import itertools
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def is_disruptive(item: pytest.Item) -> bool:
        return HERE in item.path.parents and item.get_closest_marker("cluster") is not None

    disruptive, others = itertools.tee(items)
    items[:] = [*filter(is_disruptive, disruptive), *itertools.filterfalse(is_disruptive, others)]
