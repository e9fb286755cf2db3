"""Processes are known by their mark, and ended by it. With real processes of this machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import processes, waiting
from devcluster.errors import NotReady
from devcluster.processes import Daemon

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.stop(processes.find(tmp_path), deadline_seconds=0)


def daemon(*argv: str, part: str = "sleeper") -> Daemon:
    return Daemon(part, argv)


SLEEPER = daemon("/bin/sleep", "600")


def ensure(wanted: Daemon, state: Path) -> bool:
    return processes.ensure(wanted, state=state, log=state / "log")


def appear(part: str, state: Path) -> processes.Process:
    waiting.until(lambda: part in processes.leaders(state), what=part, deadline_seconds=10)
    return processes.leaders(state)[part]


def test_a_running_daemon_is_not_started_again(state: Path) -> None:
    assert ensure(SLEEPER, state)
    first = appear("sleeper", state)
    assert not ensure(SLEEPER, state)
    assert processes.leaders(state)["sleeper"] == first


def test_a_daemon_with_another_command_line_is_started_anew(state: Path) -> None:
    ensure(SLEEPER, state)
    first = appear("sleeper", state)
    assert ensure(daemon("/bin/sleep", "601"), state)
    assert appear("sleeper", state).pid != first.pid
    assert not processes.alive(first)


def test_children_are_found_by_the_mark_that_they_inherit(state: Path) -> None:
    ensure(daemon("/bin/sh", "-c", "sleep 600 & wait"), state)
    waiting.until(lambda: len(processes.find(state)) == 2, what="parent and child", deadline_seconds=10)
    assert [process.leader for process in sorted(processes.find(state), key=lambda process: process.pid)] == [
        True,
        False,
    ]
    processes.stop(processes.find(state))
    assert processes.find(state) == []


def test_a_daemon_that_ignores_sigterm_is_killed_at_the_deadline(state: Path) -> None:
    ensure(daemon(sys.executable, "-c", STUBBORN), state)
    waiting.until(lambda: "ready" in (state / "log").read_text(), what="the handler", deadline_seconds=10)
    processes.stop(processes.find(state), deadline_seconds=0.2)
    assert processes.find(state) == []


def test_a_process_without_our_mark_is_not_ended_when_it_has_the_number_of_one(state: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as bystander:
        remembered = processes.Process(bystander.pid, state, "sleeper", SLEEPER.recipe, leader=True)
        processes.stop([remembered])
        assert bystander.poll() is None
        bystander.kill()


def test_a_cluster_of_another_state_folder_is_left_alone(state: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    ensure(SLEEPER, other)
    process = appear("sleeper", other)
    assert processes.find(state) == []
    processes.stop(processes.find(state))
    assert processes.alive(process)
    os.kill(process.pid, signal.SIGKILL)


def test_a_daemon_that_ends_by_itself_is_told_with_the_end_of_its_log(state: Path) -> None:
    ensure(daemon("/bin/sh", "-c", "echo no such flag; exit 1"), state)
    with pytest.raises(NotReady, match="no such flag"):
        processes.wait_ready("sleeper", lambda: False, state=state, log=state / "log", deadline_seconds=10)
