"""`kubectl nas logs`: whose log, which pod, and what there is to say where there is none."""

import subprocess
import threading
import time
from typing import Any

import pytest

from tests.cli import builders
from tests.cli.api_server import ApiServer, Object
from tests.cli.builders import stamp, trial
from tests.cli.terminal import Terminal, wait_for

RUNNING = {"running": {"startedAt": stamp(1)}}


def pod(name: str, attempt: int, state: Object | None = None, *, container: str = "trainer", **status: Any) -> Object:
    labels = {"nas.bananas.dev/trial-uid": "trial-uid-3", "nas.bananas.dev/attempt": str(attempt)}
    if container == "predictor":
        labels = {"nas.bananas.dev/search-uid": "search-uid", "app.kubernetes.io/component": "predictor"}
    statuses = [{"name": "istio-proxy", "state": RUNNING}, {"name": container, "state": state}] if state else []
    return {
        "metadata": {"name": name, "labels": labels, "creationTimestamp": stamp(attempt)},
        "status": {"phase": "Running", "containerStatuses": statuses, **status},
    }


def put(server: ApiServer, *pods: Object, phase: str = "Running", **status: Any) -> None:
    server.put((builders.search(phase="Running"), [trial(3, phase, **{"attempts": 2, **status})]))
    server.pods = list(pods)
    server.logs = {one["metadata"]["name"]: [one["metadata"]["name"].encode(), b": epoch 1\n"] for one in pods}


def test_the_log_is_that_of_the_last_attempt_that_has_a_pod(server: ApiServer, terminal: Terminal) -> None:
    put(server, pod("demo-3-1-xyz", 1, RUNNING), pod("demo-3-2-abc", 2, RUNNING))
    server.logs["demo-3-2-abc"].append(b"\xff\n")  # whatever a program writes
    done = terminal.start("logs", "demo-3", "-n", "lab", stdout=subprocess.PIPE, text=False)
    assert done.communicate(timeout=30)[0] == b"demo-3-2-abc: epoch 1\n\xff\n"
    assert done.returncode == 0
    assert server.requests[-1] == "/api/v1/namespaces/lab/pods/demo-3-2-abc/log?container=trainer"


def test_attempt_tail_and_previous_are_handed_on(server: ApiServer, terminal: Terminal) -> None:
    put(server, pod("demo-3-1-xyz", 1, RUNNING), pod("demo-3-2-abc", 2, RUNNING))
    assert terminal.run("logs", "demo-3", "--attempt", "1", "--tail", "5", "-p")[0] == 0
    assert server.requests[-1] == (
        "/api/v1/namespaces/lab/pods/demo-3-1-xyz/log?container=trainer&previous=true&tailLines=5"
    )


def test_of_a_search_it_is_the_predictors(server: ApiServer, terminal: Terminal) -> None:
    put(server, pod("demo-predictor-1", 0, RUNNING, container="predictor"))
    assert terminal.run("logs", "demo")[0] == 0
    assert server.requests[-1] == "/api/v1/namespaces/lab/pods/demo-predictor-1/log?container=predictor"
    assert "demo is a search; --attempt is for a trial, such as demo-0" in terminal.refuse(
        "logs", "demo", "--attempt", "1"
    )
    server.pods = []
    assert "the predictor of demo has no pod: the search is Running" in terminal.refuse("logs", "demo")


def test_neither_trial_nor_search_brings_the_names_that_are_there(server: ApiServer, terminal: Terminal) -> None:
    put(server)
    said = terminal.refuse("logs", "dem")
    assert "no NASTrial dem in namespace lab; there: demo-3" in said
    assert "no NASSearch dem in namespace lab; there: demo" in said


@pytest.mark.parametrize(
    ("made", "want"),
    [
        (
            pod("p", 2, {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
            "pod p has not started: ImagePullBackOff: not found",
        ),
        (pod("p", 2, {"waiting": {}}), "pod p has not started: the container is being made"),
        (
            pod(
                "p",
                2,
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}],
            ),
            "pod p has not started: Unschedulable: 0/3",
        ),
        (pod("p", 2, phase="Failed", reason="Evicted", message="disk"), "pod p has not started: Evicted: disk"),
        (pod("p", 2), "pod p has not started: no node has taken it up yet"),
    ],
)
def test_a_container_that_has_not_started_says_why(
    server: ApiServer, terminal: Terminal, made: Object, want: str
) -> None:
    put(server, made)
    assert f"demo-3: {want}" in terminal.refuse("logs", "demo-3")


@pytest.mark.slow
def test_following_waits_for_the_container_and_goes_on_to_its_end(server: ApiServer, terminal: Terminal) -> None:
    put(server, pod("p", 2, {"waiting": {"reason": "ContainerCreating"}}))
    process = terminal.start("logs", "demo-3", "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for("two looks", server, 4)
    server.pods = [pod("p", 2, RUNNING)]
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "demo-3: pod p has not started: ContainerCreating\n")
    assert out.startswith("p: epoch 1\n")
    assert server.requests[-1].endswith("log?container=trainer&follow=true")


def test_what_is_written_comes_at_once(server: ApiServer, terminal: Terminal) -> None:
    put(server, pod("p", 2, RUNNING))
    more = threading.Event()

    class Slow(list[bytes]):
        def __iter__(self) -> Any:
            yield b"first\n"
            more.wait(30)
            yield b"second\n"

    server.logs["p"] = Slow()
    process = terminal.start("logs", "demo-3", "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "first\n"
        assert process.poll() is None
    finally:
        more.set()
    assert process.communicate(timeout=30) == ("second\n", "")


def test_a_reader_that_goes_away_is_no_error(server: ApiServer, terminal: Terminal) -> None:
    put(server, pod("p", 2, RUNNING))
    server.logs["p"] = [b"line\n" * 1000] * 200
    process = terminal.start("logs", "demo-3", "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.returncode == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("phase", "status", "want"),
    [
        ("Succeeded", {}, "demo-3 has ended (Succeeded), and its pod is gone, and the log with it"),
        ("Failed", {"failure": {"reason": "OutOfMemory", "message": "x"}}, "demo-3 has ended (Failed, OutOfMemory)"),
        ("Cancelled", {"reason": "CancelledByUser"}, "demo-3 has ended (Cancelled, CancelledByUser)"),
        ("Pending", {}, "demo-3 was not admitted yet"),
        ("Queued", {"message": "the next attempt starts in 20 s"}, "it is Queued: the next attempt starts in 20 s"),
    ],
)
def test_a_trial_without_a_pod_says_why(
    server: ApiServer, terminal: Terminal, phase: str, status: dict[str, Any], want: str
) -> None:
    put(server, phase=phase, **status)
    assert want in terminal.refuse("logs", "demo-3")


@pytest.mark.parametrize(
    ("attempts", "asked", "want"), [(0, 2, "no attempt yet"), (1, 2, "1 attempt"), (2, 0, "2 attempts")]
)
def test_an_attempt_that_never_was_is_refused(
    server: ApiServer, terminal: Terminal, attempts: int, asked: int, want: str
) -> None:
    put(server, attempts=attempts)
    assert f"--attempt {asked}: demo-3 has had {want}; want" in terminal.refuse(
        "logs", "demo-3", "--attempt", str(asked)
    )
