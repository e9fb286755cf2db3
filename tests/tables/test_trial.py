"""The program of a table trial, run as a process as a container would run it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bananas_core.attempt import Attempt
from bananas_core.contract import ExitCode, FailureReport, ProgressMessage, Report, TrialFile
from bananas_core.errors import AttemptError
from bananas_core.spaces import parse_architecture
from bananas_tables import load_table
from bananas_tables.trial import simulate
from tests.tables.published import converted

ARCHITECTURE = parse_architecture(
    "nasbench201", "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|"
)
Object = dict[str, Any]


class Pod:
    """A trial's directories and its container, as a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints" / "u1"
        self.termination = folder / "termination-log"
        self.termination.touch()
        self.process: subprocess.Popen[str] | None = None

    def start(self, *, text: str | None = None, **changes: Any) -> "Pod":
        self.termination.write_text("")
        trial: Object = {
            "namespace": "demo",
            "search": "s",
            "trial": "s-1",
            "trialUid": "u1",
            "attempt": 1,
            "architecture": json.loads(ARCHITECTURE.canonical_json()),
            "table": {"secondsPerTrial": 0},
            "checkpointDir": str(self.checkpoints),
            "terminationFile": str(self.termination),
            **changes,
        }
        file = self.folder / "trial.json"
        file.write_text(json.dumps({k: v for k, v in trial.items() if v is not None}) if text is None else text)
        environment = {**os.environ, "BANANAS_TRIAL_FILE": str(file)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bananas_tables.trial"], env=environment, stderr=subprocess.PIPE, text=True
        )
        return self

    def end(self) -> tuple[int, str]:
        """Exit code and termination message."""
        assert self.process is not None
        _, self.errors = self.process.communicate(timeout=30)
        return self.process.returncode, self.termination.read_text()

    def run(self, **changes: Any) -> tuple[int, str]:
        return self.start(**changes).end()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    pod = Pod(tmp_path)
    yield pod
    if pod.process is not None and pod.process.poll() is None:
        pod.process.kill()
        pod.process.wait()


@pytest.fixture
def progress() -> Iterator[tuple[str, list[ProgressMessage]]]:
    """A progress endpoint on a real socket: its URL and what arrived."""
    messages: list[ProgressMessage] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.append(ProgressMessage.read(body.decode()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/progress", messages
    server.shutdown()
    server.server_close()


def wait_until(what: str, condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.01)


def test_a_look_up_in_the_toy_table_is_reported_in_both_places(pod: Pod) -> None:
    code, message = pod.run()
    entry = load_table("nasbench201", None).look_up(ARCHITECTURE)
    want = Report(
        trial_uid="u1",
        attempt=1,
        validation_accuracy=entry.validation_accuracy,
        test_accuracy=entry.test_accuracy,
        parameters=entry.parameters,
        seconds=entry.seconds,
        device="table",
        data_digest=f"sha256:{load_table('nasbench201', None).digest}",
    )
    assert code == ExitCode.OK
    assert Report.read(message) == want
    assert Report.read((pod.checkpoints / "report.json").read_text()) == want


def test_a_table_on_the_data_volume_is_read(pod: Pod) -> None:
    (pod.folder / "tables").mkdir()
    (pod.folder / "tables" / "mine.csv").write_text(f"arch,validation_accuracy\n{ARCHITECTURE.to_text()},0.625\n")
    code, message = pod.run(table={"file": "tables/mine.csv"}, dataDir=str(pod.folder), checkpointDir=None)
    assert (code, Report.read(message).validation_accuracy) == (0, 0.625)


def test_an_existing_report_is_given_again_with_the_new_attempt(pod: Pod) -> None:
    _, first = pod.run()
    code, second = pod.run(attempt=2, table={"secondsPerTrial": 3600})
    assert code == ExitCode.OK
    assert Report.read(second) == Report.read(first).model_copy(update={"attempt": 2})


def test_the_report_of_another_trial_in_the_directory_is_not_ours(pod: Pod) -> None:
    pod.checkpoints.mkdir(parents=True)
    foreign = Report(trial_uid="other", attempt=1, validation_accuracy=0.99)
    (pod.checkpoints / "report.json").write_text(foreign.to_message())
    code, message = pod.run()
    assert code == ExitCode.OK
    assert Report.read(message).validation_accuracy != 0.99


def test_a_damaged_report_is_passed_over_and_made_anew(pod: Pod) -> None:
    pod.checkpoints.mkdir(parents=True)
    (pod.checkpoints / "report.json").write_text('{"kind":"bananas.rep')
    code, message = pod.run()
    assert code == ExitCode.OK
    assert Report.read(message).trial_uid == "u1"


def test_a_lower_attempt_is_void_once_a_higher_one_has_started(pod: Pod) -> None:
    pod.run(attempt=3)
    code, message = pod.run(attempt=2)
    assert code == ExitCode.FENCED
    assert "attempt 3 of trial s-1 has started" in FailureReport.read(message).message


def test_a_running_attempt_stops_writing_when_it_is_overtaken(pod: Pod) -> None:
    pod.start(table={"secondsPerTrial": 3})
    elapsed = pod.checkpoints / "elapsed.json"
    wait_until("the first step is saved", elapsed.exists)
    (pod.checkpoints / "attempt").write_text("2\n")
    before = elapsed.read_text()
    code, _ = pod.end()
    assert code == ExitCode.FENCED
    assert json.loads(elapsed.read_text())["seconds"] <= json.loads(before)["seconds"] + 0.31
    assert not (pod.checkpoints / "report.json").exists()


def test_a_write_that_fails_once_a_higher_attempt_has_started_is_told_as_overtaken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The higher one tidies up, also the temporary file of this one."""
    file = tmp_path / "trial.json"
    started = Pod(tmp_path).start(attempt=1)
    started.end()
    attempt = Attempt.start(file)

    def overtaken(path: Path, *_: object) -> None:
        (attempt_file := path.with_name("attempt")).write_text("2\n")
        raise FileNotFoundError(2, "No such file or directory", str(attempt_file))

    monkeypatch.setattr("bananas_tables.trial.write_atomically", overtaken)
    with pytest.raises(AttemptError) as caught:
        simulate(attempt, 0.01)
    assert caught.value.exit_code == ExitCode.FENCED


@pytest.mark.slow
def test_sigterm_ends_a_simulated_training_and_the_next_attempt_goes_on(
    pod: Pod, progress: tuple[str, list[ProgressMessage]]
) -> None:
    url, messages = progress
    pod.start(table={"secondsPerTrial": 2}, progressUrl=url)
    wait_until("epoch 5 of 10", lambda: any(m.epoch == 5 for m in messages))
    assert pod.process is not None
    pod.process.send_signal(signal.SIGTERM)
    code, message = pod.end()
    assert code == ExitCode.INTERRUPTED
    assert FailureReport.read(message).reason == "Interrupted"
    saved = json.loads((pod.checkpoints / "elapsed.json").read_text())["seconds"]
    assert 1 <= saved < 2
    del messages[:]
    code, message = pod.run(attempt=2, table={"secondsPerTrial": 2}, progressUrl=url)
    assert code == ExitCode.OK
    assert min(m.epoch for m in messages) >= 5
    assert {(m.trial, m.attempt, m.epochs) for m in messages} == {("s-1", 2, 10)}


def test_a_progress_endpoint_that_is_not_there_costs_nothing(pod: Pod) -> None:
    code, message = pod.run(table={"secondsPerTrial": 0.2}, progressUrl="http://127.0.0.1:1/v1/progress")
    assert code == ExitCode.OK
    assert Report.read(message).attempt == 1
    assert "progress not posted" in pod.errors


def test_a_converted_file_of_nasbench101_is_looked_up_without_what_converted_it(pod: Pod, tmp_path: Path) -> None:
    path = converted(tmp_path)
    architecture = parse_architecture("nasbench101", "101:0")
    code, message = pod.run(
        architecture=json.loads(architecture.canonical_json()), table={"file": path.name}, dataDir=str(tmp_path)
    )
    assert code == ExitCode.OK, pod.errors
    report = Report.model_validate_json(message)
    want = load_table("nasbench101", path).look_up(architecture)
    assert (report.validation_accuracy, report.test_accuracy) == (want.validation_accuracy, want.test_accuracy)
    assert (report.seconds, report.parameters) == (want.seconds, want.parameters)


def test_a_progress_endpoint_that_never_answers_holds_nothing_up(pod: Pod) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        start = time.monotonic()
        code, _ = pod.run(
            table={"secondsPerTrial": 0.2}, progressUrl=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/progress"
        )
    assert code == ExitCode.OK
    assert time.monotonic() - start < 4


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"table": {"file": "none.csv"}, "dataDir": "/"}, ExitCode.DATA_MISSING, ["none.csv", "No such file"]),
        (
            {"table": {"file": "../x.csv"}, "dataDir": "/usr/lib"},
            ExitCode.DATA_MISSING,
            ["../x.csv", "leaves the data"],
        ),
        ({"table": {"file": "x.csv"}}, ExitCode.CONTRACT_BROKEN, ["x.csv", "dataDir"]),
        ({"table": None}, ExitCode.CONTRACT_BROKEN, ["table is not set"]),
        (
            {"table": {"file": "trial.json"}, "dataDir": "."},
            ExitCode.DATA_INVALID,
            ["trial.json", "line 1", "validation_accuracy"],
        ),
        ({"checkpointDir": "/proc/none"}, ExitCode.CHECKPOINT_UNUSABLE, ["/proc/none", "spec.checkpoints"]),
    ],
)
def test_an_error_ends_with_its_exit_code_and_a_message_for_a_person(
    pod: Pod, changes: Object, code: ExitCode, words: list[str]
) -> None:
    if changes.get("dataDir") == ".":
        changes = {**changes, "dataDir": str(pod.folder)}
    got, message = pod.run(**changes)
    assert got == code
    failure = FailureReport.read(message)
    assert [word for word in words if word not in failure.message] == [], failure.message
    assert "Traceback" not in pod.errors


@pytest.mark.parametrize("text", ["", "{", '{"version": 2}', '{"version": 1, "attempt": 0}', "\x00"])
def test_a_trial_file_that_is_none_breaks_the_contract(pod: Pod, text: str) -> None:
    code, _ = pod.run(text=text)
    assert code == ExitCode.CONTRACT_BROKEN
    assert "trial file" in pod.errors
    assert "Traceback" not in pod.errors


def test_without_a_trial_file_the_variable_is_named() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "BANANAS_TRIAL_FILE"}
    done = subprocess.run(
        [sys.executable, "-m", "bananas_tables.trial"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.CONTRACT_BROKEN
    assert "BANANAS_TRIAL_FILE" in done.stderr


def test_the_toy_look_up_loads_no_numpy() -> None:
    """It must start in a fraction of a second; numpy alone takes a tenth."""
    program = "import sys, bananas_tables.trial; sys.exit('numpy' in sys.modules or 'http' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_trial_file_of_these_tests_is_a_whole_one(pod: Pod) -> None:
    """So that a test of a refusal fails for its own reason."""
    pod.run()
    assert TrialFile.read((pod.folder / "trial.json").read_text()).architecture == ARCHITECTURE
