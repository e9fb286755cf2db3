"""The program as a person runs it: in this process, or as one of its own. Fixtures of it are in `conftest`."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bananas_cli.command import app
from tests.cli.api_server import ApiServer


class Terminal:
    """Runs the program with this server's kubeconfig, in a folder of its own."""

    def __init__(
        self, server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self.kubeconfig = server.kubeconfig(folder)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("KUBE")},
            "KUBECONFIG": str(self.kubeconfig),
            "COLUMNS": "100",
        }
        self.started: list[subprocess.Popen[str]] = []
        self._monkeypatch = monkeypatch
        self._capture = capture

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """In this process, whose start would take longer than all the rest; exit code, output, errors."""
        given = arguments if "--kubeconfig" in arguments else (*arguments, "--kubeconfig", str(self.kubeconfig))
        self._capture.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["kubectl-nas", *given])
            patch.setenv("COLUMNS", "100")
            patch.chdir(self.folder)
            with pytest.raises(SystemExit) as end:
                app()
        out, err = self._capture.readouterr()
        code = end.value.code
        return (code if isinstance(code, int) else 0), out, err

    def start(self, *arguments: str, **streams: Any) -> "subprocess.Popen[str]":
        """As a process of its own, which finds the kubeconfig by the environment, as kubectl's plugins do."""
        command = [sys.executable, "-m", "bananas_cli.command", *arguments]
        process = subprocess.Popen(command, env=self.environment, **{"text": True, **streams})
        self.started.append(process)
        return process

    def refuse(self, *arguments: str) -> str:
        """Runs a command that must fail with one line, no traceback and no output; the line."""
        code, out, err = self.run(*arguments)
        assert code == 1, out + err
        assert out == ""
        lines = err.strip().splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("kubectl nas: ")
        return lines[0]


def wait_for(what: str, server: ApiServer, requests: int) -> None:
    """Until the server was asked so many times."""
    deadline = time.monotonic() + 30
    while len(server.requests) < requests:
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)
