"""A server, and the program with its kubeconfig."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.api_server import ApiServer, serving
from tests.cli.terminal import Terminal


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as state:
        yield state


@pytest.fixture
def terminal(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    terminal = Terminal(server, tmp_path, monkeypatch, capsys)
    yield terminal
    for process in terminal.started:
        process.kill()
        process.wait()
