"""Training that is killed, at many points and in both ways, gives the same weights bit for bit as training that is not."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path

import pytest

from bananas_core.contract import ExitCode, TrialFile
from tests.support.trainer import Processes, Running, wait_until

pytestmark = pytest.mark.slow

Trial = Callable[..., TrialFile]
EPOCHS = 5
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def want_weights(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Where the weights of uninterrupted trainings are kept, filled by the first test that needs them."""
    return {}


def uninterrupted(processes: Processes, trial: Trial, tmp_path: Path, cache: dict[str, bytes]) -> bytes:
    if "weights" not in cache:
        folder = tmp_path / "uninterrupted"
        assert processes.run(trial(checkpoint_dir=str(folder), recipe={"epochs": EPOCHS})) == ExitCode.OK
        cache["weights"] = (folder / "weights.safetensors").read_bytes()
    return cache["weights"]


def epochs_logged(tmp_path: Path) -> list[tuple[int, int]]:
    """(attempt, epoch) of every line of the log of epochs."""
    log = tmp_path / "checkpoints" / "epochs.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [(line["attempt"], line["epoch"]) for line in lines]


def kill_when(processes: Processes, running: Running, condition: Callable[[], bool], number: signal.Signals) -> int:
    wait_until(lambda: condition() or not alive(running), "the point of the kill")
    running.kill(number)
    return processes.wait(running)


def alive(running: Running) -> bool:
    """Whether it still runs: a zombie, which the server has yet to wait for, does not."""
    return Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_after_every_epoch_it_gives_the_same_weights(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes], number: signal.Signals
) -> None:
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    for attempt in range(1, EPOCHS):
        running = processes.start(trial(attempt, recipe={"epochs": EPOCHS}))
        code = kill_when(processes, running, lambda: len(running.events("epoch")) >= 1, number)  # noqa: B023
        assert code == (ExitCode.INTERRUPTED if number is signal.SIGTERM else -signal.SIGKILL)
    assert processes.run(trial(EPOCHS, recipe={"epochs": EPOCHS})) == ExitCode.OK
    assert (tmp_path / "checkpoints" / "weights.safetensors").read_bytes() == want
    logged = epochs_logged(tmp_path)
    assert [epoch for _, epoch in logged] == [*range(1, EPOCHS + 1)]  # none was trained twice
    assert len({attempt for attempt, _ in logged}) >= 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_any_time_it_gives_the_same_weights(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes], number: signal.Signals
) -> None:
    """Eight kills spread over a training: while it starts, in epochs, in writes. Later ones come later in the attempt."""
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    code, attempt = -1, 0
    while code != ExitCode.OK:
        attempt += 1
        running = processes.start(trial(attempt, recipe={"epochs": EPOCHS}))
        if attempt <= 8:
            point = time.monotonic() + 0.04 * attempt
            code = kill_when(processes, running, lambda: time.monotonic() >= point, number)  # noqa: B023
        else:
            code = processes.wait(running)
        assert code in {ExitCode.OK, ExitCode.INTERRUPTED, -signal.SIGKILL}
    assert (tmp_path / "checkpoints" / "weights.safetensors").read_bytes() == want
    repeated = [epoch for epoch, n in Counter(epoch for _, epoch in epochs_logged(tmp_path)).items() if n > 1]
    assert repeated == []


@pytest.mark.parametrize(
    ("file", "epochs_told", "number"),
    [
        ("checkpoint-00003.safetensors", 2, signal.SIGKILL),
        ("checkpoint-00003.safetensors", 2, signal.SIGTERM),
        ("weights.safetensors", EPOCHS, signal.SIGKILL),
        ("weights.safetensors", EPOCHS, signal.SIGTERM),
    ],
)
def test_killed_in_the_middle_of_a_write_it_gives_the_same_weights(
    processes: Processes,
    trial: Trial,
    tmp_path: Path,
    want_weights: dict[str, bytes],
    file: str,
    epochs_told: int,
    number: signal.Signals,
) -> None:
    """The temporary file is a pipe with room for one page, so the write stops after that."""
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    running = processes.start(trial(recipe={"epochs": EPOCHS}))
    folder = tmp_path / "checkpoints"
    wait_until(lambda: running.events("training") != [], "the start, which removes what it finds left over")
    pipe = folder / f".{file}.{os.uname().nodename}.{running.pid}.tmp"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl(reader, F_SETPIPE_SZ, PAGE)
        wait_until(lambda: first_bytes(reader) != b"", "the first bytes of the write")
        wait_until(lambda: len(running.events("epoch")) == epochs_told, "the epochs before the write")
        assert alive(running)
        running.kill(number)
        if number is signal.SIGTERM and file.startswith("weights"):  # it goes on, as there is a result
            assert alive(running)
            running.kill(signal.SIGKILL)
            number = signal.SIGKILL
        assert processes.wait(running) == (ExitCode.INTERRUPTED if number is signal.SIGTERM else -signal.SIGKILL)
    finally:
        os.close(reader)
    assert not (folder / "report.json").exists()
    assert processes.run(trial(2, recipe={"epochs": EPOCHS})) == ExitCode.OK
    assert (folder / "weights.safetensors").read_bytes() == want
    assert [attempt for attempt, _ in epochs_logged(tmp_path)] == [1] * epochs_told + [2] * (EPOCHS - epochs_told)
    assert list(folder.glob(".*.tmp")) == []


def first_bytes(reader: int) -> bytes:
    try:
        return os.read(reader, 8)
    except BlockingIOError:
        return b""


class Gate:
    """The fence of a running attempt as a pipe: it stands at every look at the fence until it is told a number.

    Each look gets a pipe of its own, since a second number in the same would be read as one with the first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "attempt"
        wait_until(self._path.exists, "the first number")
        self._replace()

    def _replace(self) -> None:
        os.mkfifo(self._folder / "gate")
        (self._folder / "gate").replace(self._path)

    def _next_look(self) -> int:
        found: list[int] = []

        def looks() -> bool:
            try:
                found.append(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # nobody has it open for reading
                return False
            return True

        wait_until(looks, "a look at the fence")
        return found[0]

    def hold_before_rename_of(self, file: str) -> int:
        """Lets everything pass until the file is written and has yet to be renamed; gives the look that holds it up."""
        while True:
            look = self._next_look()
            if list(self._folder.glob(f".{file}.*.tmp")):
                return look
            self._replace()
            self.answer(look, "1\n")

    @staticmethod
    def answer(look: int, number: str) -> None:
        """What the look finds."""
        os.write(look, number.encode())
        os.close(look)

    def remove(self, number: str) -> None:
        """From here on the fence is a file again."""
        (self._folder / "gate").write_text(number)
        (self._folder / "gate").replace(self._path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("file", ["checkpoint-00003.safetensors", "weights.safetensors", "report.json"])
def test_killed_between_write_and_rename_it_gives_the_same_weights(
    processes: Processes,
    trial: Trial,
    tmp_path: Path,
    want_weights: dict[str, bytes],
    file: str,
    number: signal.Signals,
) -> None:
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    folder = tmp_path / "checkpoints"
    running = processes.start(trial(recipe={"epochs": EPOCHS}))
    gate = Gate(folder)
    look = gate.hold_before_rename_of(file)
    (written,) = folder.glob(f".{file}.*.tmp")
    assert written.stat().st_size > 0
    assert not (folder / file).exists()
    running.kill(number)
    gate.remove("1\n")
    if number is signal.SIGKILL:
        assert processes.wait(running) == -signal.SIGKILL
        os.close(look)
    else:  # it ends what it is writing; a result that is there is told
        gate.answer(look, "1\n")
        want_code = ExitCode.INTERRUPTED if file.startswith("checkpoint") else ExitCode.OK
        assert processes.wait(running) == want_code
        assert (folder / file).exists()
    assert processes.run(trial(2, recipe={"epochs": EPOCHS})) == ExitCode.OK
    assert (folder / "weights.safetensors").read_bytes() == want
    assert [epoch for _, epoch in epochs_logged(tmp_path)] == [*range(1, EPOCHS + 1)]


@pytest.mark.parametrize("file", ["checkpoint-00003.safetensors", "weights.safetensors", "report.json"])
def test_a_write_that_ends_after_a_higher_attempt_has_started_renames_nothing(
    processes: Processes, trial: Trial, tmp_path: Path, file: str
) -> None:
    """As on a volume that was lost in the middle of the write and came back."""
    folder = tmp_path / "checkpoints"
    running = processes.start(trial(recipe={"epochs": EPOCHS}))
    gate = Gate(folder)
    look = gate.hold_before_rename_of(file)
    gate.remove("2\n")
    gate.answer(look, "2\n")
    assert processes.wait(running) == ExitCode.FENCED
    assert not (folder / file).exists()
    assert list(folder.glob(".*.tmp")) == []
    assert (folder / "attempt").read_text() == "2\n"


@pytest.mark.parametrize("torn", ["", "{", '{"attempt":1,"epo', None])
def test_a_torn_last_line_of_the_log_of_epochs_is_written_whole(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes], torn: str | None
) -> None:
    """None is the whole line without its end. The checkpoint is written first, so the line is that of its last epoch."""
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    folder = tmp_path / "checkpoints"
    running = processes.start(trial(recipe={"epochs": EPOCHS}))
    gate = Gate(folder)
    look = gate.hold_before_rename_of("checkpoint-00004.safetensors")
    running.kill(signal.SIGKILL)
    processes.wait(running)
    os.close(look)
    gate.remove("1\n")
    log = folder / "epochs.jsonl"
    lines = log.read_text().splitlines()
    assert len(lines) == 3
    log.write_text("\n".join([*lines[:2], lines[2] if torn is None else torn]))
    assert processes.run(trial(2, recipe={"epochs": EPOCHS})) == ExitCode.OK
    assert log.read_text().splitlines()[:3] == lines
    assert [epoch for _, epoch in epochs_logged(tmp_path)] == [*range(1, EPOCHS + 1)]
    assert (folder / "weights.safetensors").read_bytes() == want


def test_sigterm_in_a_long_step_ends_the_attempt_at_once(processes: Processes, trial: Trial) -> None:
    """A step of this recipe takes many seconds."""
    running = processes.start(trial(recipe={"channels": 48, "layers": 8, "batch_size": 1000}))
    wait_until(lambda: len(running.events("training")) == 1, "the start of the training")
    began = time.monotonic()
    running.kill(signal.SIGTERM)
    assert processes.wait(running) == ExitCode.INTERRUPTED
    assert time.monotonic() - began < 2
    assert running.events("epoch") == []


def test_sigterm_leaves_a_message(processes: Processes, trial: Trial, message: Callable[[], dict[str, str]]) -> None:
    running = processes.start(trial(recipe={"epochs": 100}))
    wait_until(lambda: len(running.events("epoch")) >= 1, "an epoch")
    running.kill(signal.SIGTERM)
    assert processes.wait(running) == ExitCode.INTERRUPTED
    assert message()["reason"] == "Interrupted"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_corrupt_newest_checkpoint_is_passed_over_for_the_one_before(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes], damage: str
) -> None:
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    running = processes.start(trial(recipe={"epochs": EPOCHS}))
    kill_when(processes, running, lambda: len(running.events("epoch")) >= 3, signal.SIGKILL)
    checkpoints = sorted((tmp_path / "checkpoints").glob("checkpoint-*.safetensors"))
    assert len(checkpoints) >= 2
    content = bytearray(checkpoints[-1].read_bytes())
    content[-100] ^= 1
    checkpoints[-1].write_bytes(bytes({"truncated": content[:-50], "flipped": content, "empty": b""}[damage]))
    second = processes.start(trial(2, recipe={"epochs": EPOCHS}))
    assert processes.wait(second) == ExitCode.OK
    assert checkpoints[-1].name in second.events("warning")[0]["message"]
    assert second.events("resumed")[0]["checkpoint"] == checkpoints[-2].name
    assert (tmp_path / "checkpoints" / "weights.safetensors").read_bytes() == want


def test_a_lower_attempt_writes_nothing_once_a_higher_one_has_started(
    processes: Processes, trial: Trial, tmp_path: Path, want_weights: dict[str, bytes]
) -> None:
    """Both train at the same time, as after the loss of a node."""
    want = uninterrupted(processes, trial, tmp_path, want_weights)
    low = processes.start(trial(1, recipe={"epochs": EPOCHS}))
    wait_until(lambda: len(low.events("epoch")) >= 1, "an epoch of the lower attempt")
    low.kill(signal.SIGSTOP)
    high = processes.start(trial(2, recipe={"epochs": EPOCHS}))
    wait_until(lambda: len(high.events("epoch")) >= 1, "an epoch of the higher attempt")
    low.kill(signal.SIGCONT)
    assert processes.wait(low) == ExitCode.FENCED
    assert processes.wait(high) == ExitCode.OK
    assert (tmp_path / "checkpoints" / "weights.safetensors").read_bytes() == want
    epochs = Counter(epoch for _, epoch in epochs_logged(tmp_path))
    assert set(epochs) == {*range(1, EPOCHS + 1)}
