"""The live view over a script of looks: when it ends, what it says, what it outlives."""

import contextlib
import io
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import pytest
from rich.console import Console

from bananas_cli.errors import NotFound, Unreachable
from bananas_cli.snapshot import Snapshot
from bananas_cli.watching import watch
from tests.cli import builders

RUNNING = builders.snapshot(builders.running())
STALLED = builders.snapshot(builders.stalled())
COMPLETE = builders.snapshot(builders.complete())
FAILED = builders.snapshot(builders.failed())


def script(*looks: Snapshot | Exception) -> Callable[[], Snapshot]:
    """Gives the looks one after the other; asking once more is an error of the watcher."""
    left = list(looks)

    def look() -> Snapshot:
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    return look


def clock() -> Callable[[], datetime]:
    """Goes on by a minute at each question."""
    minutes = count()
    return lambda: builders.NOW + timedelta(minutes=next(minutes))


def watched(*looks: Snapshot | Exception, terminal: bool = False) -> tuple[int, list[str]]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, height=40, color_system=None)
    code = watch(script(*looks), console, clock(), interval_seconds=0)
    return code, out.getvalue().splitlines()


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("end", "want"), [(COMPLETE, 0), (FAILED, 1)])
def test_it_ends_with_the_search(terminal: bool, end: Snapshot, want: int) -> None:
    code, lines = watched(RUNNING, STALLED, RUNNING, end, terminal=terminal)
    assert code == want
    assert end.search.phase in "\n".join(lines)


def test_a_line_is_printed_for_news_and_not_for_passing_time() -> None:
    _, lines = watched(RUNNING, RUNNING, RUNNING, STALLED, RUNNING, COMPLETE)
    assert [line.split()[1] for line in lines] == ["Running:", "Stalled:", "Running:", "Complete:"]


def test_an_answer_that_does_not_come_is_waited_for() -> None:
    trouble = Unreachable("no answer from https://there: timed out")
    code, lines = watched(RUNNING, trouble, trouble, COMPLETE)
    assert code == 0
    assert [("trying again" in line) for line in lines] == [False, True, False]


def test_the_last_screen_stays_while_the_cluster_does_not_answer() -> None:
    _, lines = watched(RUNNING, Unreachable("no answer"), COMPLETE, terminal=True)
    at = next(i for i, line in enumerate(lines) if "no answer; trying again" in line)
    assert "11 of 20" in "\n".join(lines[max(0, at - 25) : at])


def test_no_answer_to_the_first_look_is_an_error() -> None:
    with pytest.raises(Unreachable):
        watched(Unreachable("no answer"))


@pytest.mark.parametrize("terminal", [False, True])
def test_a_search_that_is_deleted_is_an_error(terminal: bool) -> None:
    with pytest.raises(NotFound):
        watched(RUNNING, NotFound("no NASSearch demo"), terminal=terminal)


def test_time_that_is_up_ends_it_though_the_cluster_does_not_answer() -> None:
    looks = iter([RUNNING])

    def look() -> Snapshot:
        found = next(looks, None)
        if found is None:
            raise Unreachable("no answer")
        return found

    out = io.StringIO()
    assert watch(look, Console(file=out), clock(), timeout_seconds=0.05, interval_seconds=0) == 124


def test_ctrl_c_that_python_drops_ends_it_all_the_same() -> None:
    looks = count()

    def look() -> Snapshot:
        if next(looks) == 1:
            with contextlib.suppress(KeyboardInterrupt):  # as in the finaliser of an object
                signal.raise_signal(signal.SIGINT)
        return RUNNING

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        watch(look, Console(file=io.StringIO()), clock(), interval_seconds=0)
    assert next(looks) == 2
    assert signal.getsignal(signal.SIGINT) is before
