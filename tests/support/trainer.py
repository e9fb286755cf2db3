"""The trainer's programs in real processes, started in milliseconds: a server loads torch once and forks.

The forked process runs what `python -m bananas_trainer.pod` or `bananas-trainer` runs; a test of each runs that very command.
"""

import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from bananas_core.contract import TRIAL_FILE_VARIABLE, TrialFile

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Polls until the condition holds; fails the test after the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.002)


@dataclass
class Running:
    """A pod program that was started."""

    pid: int
    log: Path
    exit_code: int | None = None
    """Negative: the signal that ended it."""

    def kill(self, number: signal.Signals) -> None:
        """Sends a signal to it, and to nothing else."""
        os.kill(self.pid, number)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of that name in its log."""
        if not self.log.exists():
            return []
        lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.startswith("{")]
        return [event for line in lines if line.endswith("\n") and (event := json.loads(line))["event"] == name]


class Processes:
    """The client of the server below."""

    def __enter__(self) -> "Processes":
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            # A malloc arena for each thread reserves address space that nobody uses, and RLIMIT_AS counts it.
            "MALLOC_ARENA_MAX": "1",
        }
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.trainer"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running: dict[int, Running] = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(DEADLINE_SECONDS)

    def start(
        self, trial: TrialFile, limits: dict[str, int] | None = None, environment: dict[str, str] | None = None
    ) -> Running:
        """Starts the attempt; its files lie beside its termination file. Limits are those of setrlimit, by name; a negative one
        of RLIMIT_AS is so many bytes above what the process has at its start.
        """
        folder = Path(trial.termination_file).parent
        file, log = folder / f"trial-{trial.attempt}.json", folder / f"log-{trial.attempt}"
        file.write_text(trial.model_dump_json(by_alias=True, exclude_none=True))
        return self.start_file(file, log, limits, environment)

    def start_file(
        self, file: Path, log: Path, limits: dict[str, int] | None = None, environment: dict[str, str] | None = None
    ) -> Running:
        """Starts an attempt with this trial file."""
        return self._start(log, file=str(file), limits=limits or {}, environment=environment or {})

    def run_command(self, folder: Path, *arguments: str | Path) -> tuple[int, str]:
        """Runs `bananas-trainer` with these arguments; gives exit code and output, both streams together."""
        running = self.start_command(folder, *arguments)
        return self.wait(running), running.log.read_text()

    def start_command(self, folder: Path, *arguments: str | Path) -> Running:
        """Starts `bananas-trainer` with these arguments."""
        return self._start(folder / "output", arguments=[str(argument) for argument in arguments])

    def _start(self, log: Path, **request: Any) -> Running:
        assert self._server.stdin is not None
        log.unlink(missing_ok=True)  # of an earlier run, else its events would be taken for this one's
        request["log"] = str(log)
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        while (answer := self._answer()) is not None and "started" not in answer:
            self._note(answer)
        assert answer is not None, "the server ended"
        running = Running(answer["started"], log)
        self._running[running.pid] = running
        return running

    def wait(self, running: Running) -> int:
        """Waits for its end and gives the exit code."""
        while running.exit_code is None:
            answer = self._answer()
            assert answer is not None, "the server ended"
            self._note(answer)
        return running.exit_code

    def run(self, trial: TrialFile, limits: dict[str, int] | None = None) -> int:
        """Runs the attempt to its end and gives the exit code."""
        return self.wait(self.start(trial, limits))

    def _answer(self) -> dict[str, int] | None:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        answer: dict[str, int] | None = json.loads(line) if line else None
        return answer

    def _note(self, answer: dict[str, int]) -> None:
        self._running.pop(answer["ended"]).exit_code = answer["code"]


def serve() -> None:
    """Reads requests, forks, and tells who started and who ended. It has no threads, so that forking is safe."""
    for module in (
        "checkpoint",
        "data",
        "device",
        "networks.counting",
        "train",
        "weights",
        "pod",
        "command",
        "examining",
    ):
        import_module(f"bananas_trainer.{module}")  # torch once, for all
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        waiting = b""
        while True:
            for key, _ in selector.select():
                if key.fd == sys.stdin.fileno():
                    content = os.read(key.fd, 65536)
                    if not content:
                        return
                    *lines, waiting = (waiting + content).split(b"\n")
                    for line in lines:
                        pid = _fork(json.loads(line))
                        selector.register(os.pidfd_open(pid), selectors.EVENT_READ, data=pid)
                        _say({"started": pid})
                else:
                    _, status = os.waitpid(key.data, 0)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _say({"ended": key.data, "code": os.waitstatus_to_exitcode(status)})


def _fork(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code: int | str | None = 99
    try:
        descriptor = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        os.environ.update(request.get("environment", {}))
        for name, value in request.get("limits", {}).items():
            limit = value if value >= 0 else _address_space() - value
            resource.setrlimit(getattr(resource, name), (limit, limit))
        code = _run(request)
    except SystemExit as error:
        code = error.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _run(request: dict[str, Any]) -> int:
    if "arguments" in request:
        from bananas_trainer.command import app

        app(request["arguments"])
        return 0
    from bananas_trainer import pod

    os.environ[TRIAL_FILE_VARIABLE] = request["file"]
    return pod.main()


def _say(answer: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
