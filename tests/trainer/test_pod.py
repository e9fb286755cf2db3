"""The program of a trial's container, in real processes: its report, its exit codes and messages, and what it costs to start."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bananas_core.contract import TRIAL_FILE_VARIABLE, ExitCode, ProgressMessage, Report, TrialFile
from bananas_core.spaces import parse_architecture
from tests.support.trainer import Processes, wait_until

Trial = Callable[..., TrialFile]
Message = Callable[[], dict[str, Any]]


@pytest.mark.slow
def test_the_command_of_the_container_trains_and_reports(tmp_path: Path, trial: Trial) -> None:
    """Also: neither scikit-learn nor torch's compiler is loaded, which would cost seconds in every trial."""
    (tmp_path / "trial.json").write_text(trial().model_dump_json(by_alias=True))
    environment = {**os.environ, TRIAL_FILE_VARIABLE: str(tmp_path / "trial.json"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "importtime", "-m", "bananas_trainer.pod"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == ExitCode.OK
    report = Report.read((tmp_path / "termination").read_text())
    assert (report.trial_uid, report.attempt, report.epochs) == ("uid-of-s-0", 1, 4)
    assert report.parameters
    assert report.multiply_adds
    assert report.device == "cpu, 1 thread"
    assert report.data_digest is not None
    assert report.data_digest.startswith("sha256:")
    assert report.split_seed == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "torch" in loaded
    assert not loaded & {"sklearn", "scipy", "torch._dynamo", "sympy"}


def test_the_accuracy_is_the_mean_of_the_last_epochs(
    processes: Processes, trial: Trial, message: Message, tmp_path: Path
) -> None:
    assert processes.run(trial(recipe={"epochs": 5, "score_epochs": 3})) == ExitCode.OK
    epochs = [json.loads(line) for line in (tmp_path / "checkpoints" / "epochs.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4, 5]
    want = sum(epoch["validationAccuracy"] for epoch in epochs[2:]) / 3
    assert message()["validationAccuracy"] == pytest.approx(want)


def test_an_attempt_without_a_checkpoint_directory_reports_too(
    processes: Processes, trial: Trial, message: Message, tmp_path: Path
) -> None:
    assert processes.run(trial(checkpoint_dir=None)) == ExitCode.OK
    assert message()["kind"] == "bananas.report/v1"
    assert not (tmp_path / "checkpoints").exists()


def test_only_the_result_stays_when_the_report_is_there(processes: Processes, trial: Trial, tmp_path: Path) -> None:
    assert processes.run(trial()) == ExitCode.OK
    want = {"attempt", "curve.csv", "curve.svg", "epochs.jsonl", "report.json", "weights.safetensors"}
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == want


def test_a_later_attempt_repeats_the_report_with_its_own_number(
    processes: Processes, trial: Trial, message: Message, tmp_path: Path
) -> None:
    assert processes.run(trial()) == ExitCode.OK
    first = message()
    (tmp_path / "termination").unlink()
    log = (tmp_path / "checkpoints" / "epochs.jsonl").read_bytes()
    second = processes.start(trial(2))
    assert processes.wait(second) == ExitCode.OK
    assert message() == {**first, "attempt": 2}
    assert (tmp_path / "checkpoints" / "epochs.jsonl").read_bytes() == log
    assert second.events("training") == []


def test_two_trainings_of_a_seed_give_the_same_curve_and_another_seed_another(
    processes: Processes, trial: Trial, tmp_path: Path
) -> None:
    curves = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert processes.run(trial(checkpoint_dir=str(tmp_path / name), seed=seed)) == ExitCode.OK
        lines = (tmp_path / name / "epochs.jsonl").read_text().splitlines()
        curves.append([(json.loads(line)["loss"], json.loads(line)["validationAccuracy"]) for line in lines])
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


# --- what cannot succeed: one exit code a kind, and a message that names the field or file and what would be right ---


def expect_failure(code: int, message: Message, want_code: ExitCode, *want: str) -> None:
    failure = message()
    assert code == want_code, failure
    assert failure["kind"] == "bananas.failure/v1"
    missing = [part for part in want if part not in failure["message"]]
    assert not missing, failure["message"]


@pytest.mark.parametrize(
    ("recipe", "want"),
    [
        ({"classes": 7}, ["recipe.classes: 7", "10 labels"]),
        ({"auxiliary": True}, ["recipe.auxiliary: true", "set auxiliary: false"]),
        ({"cutout": 8}, ["recipe.cutout: 8", "less than 8"]),
        ({"crop_padding": 9}, ["recipe.cropPadding: 9", "less than 8"]),
        ({"batch_size": 1007}, ["recipe.batchSize: 1007", "at most 1006"]),
        ({"batch_size": 1}, ["recipe.batchSize: 1", "at least 2"]),
        ({"validation_fraction": 1e-6}, ["recipe.validationFraction: 1e-06", "0 to validate"]),
        ({"epochs": 2, "score_epochs": 3}, ["recipe.scoreEpochs: 3", "at most epochs, 2"]),
        ({"cutout": 9, "auxiliary": True}, ["recipe.cutout: 9", "recipe.auxiliary: true"]),
        ({"dataset": "npz", "file": "../data.npz"}, ["recipe.file", "leaves the data volume"]),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(
    processes: Processes, trial: Trial, message: Message, recipe: dict[str, Any], want: list[str]
) -> None:
    expect_failure(processes.run(trial(recipe=recipe)), message, ExitCode.RECIPE_INVALID, *want)


@pytest.mark.parametrize(
    ("side", "classes", "recipe", "want"),
    [
        (3, 4, {"cutout": 0}, ["recipe.layers: 2", "3 x 3 pixels", "multiples of 4"]),
        (8, 48, {"classes": 10}, ["recipe.classes: 10", "48 labels", "want 48"]),
    ],
)
def test_a_recipe_that_does_not_fit_the_file_is_refused(
    processes: Processes,
    trial: Trial,
    message: Message,
    npz: Callable[..., Path],
    side: int,
    classes: int,
    recipe: dict[str, Any],
    want: list[str],
) -> None:
    npz(side=side, classes=classes)
    code = processes.run(trial(recipe={"dataset": "npz", "file": "data.npz", "batch_size": 16, **recipe}))
    expect_failure(code, message, ExitCode.RECIPE_INVALID, "data.npz", *want)


def test_a_missing_data_file_is_named(processes: Processes, trial: Trial, message: Message) -> None:
    code = processes.run(trial(recipe={"dataset": "npz", "file": "sub/absent.npz"}))
    expect_failure(code, message, ExitCode.DATA_MISSING, "sub/absent.npz", "no such file")


def test_a_trial_without_a_data_volume_is_told_so(processes: Processes, trial: Trial, message: Message) -> None:
    code = processes.run(trial(recipe={"dataset": "npz", "file": "data.npz"}, data_dir=None))
    expect_failure(code, message, ExitCode.DATA_MISSING, "data.npz", "data.claim")


def test_a_truncated_data_file_is_named(
    processes: Processes, trial: Trial, message: Message, npz: Callable[..., Path]
) -> None:
    path = npz()
    path.write_bytes(path.read_bytes()[:2000])
    code = processes.run(trial(recipe={"dataset": "npz", "file": "data.npz"}))
    expect_failure(code, message, ExitCode.DATA_INVALID, str(path), "truncated or corrupt")


def test_a_training_that_diverges_ends_and_says_at_which_rate(
    processes: Processes, trial: Trial, message: Message
) -> None:
    recipe = {"learning_rate": 100, "weight_decay": 10, "epochs": 50}
    expect_failure(processes.run(trial(recipe=recipe)), message, ExitCode.DIVERGED, "learning rate", "smaller")


def test_not_even_two_images_fit(processes: Processes, trial: Trial, message: Message) -> None:
    recipe = {"channels": 200, "layers": 6, "batch_size": 4, "epochs": 1, "score_epochs": 1}
    code = processes.run(trial(recipe=recipe), limits={"RLIMIT_AS": -100_000_000})
    expect_failure(code, message, ExitCode.OUT_OF_DEVICE_MEMORY, "not even 2 images would fit", "fewer recipe.channels")


def test_a_checkpoint_directory_that_is_a_file_is_refused(
    processes: Processes, trial: Trial, message: Message, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").write_text("not a directory")
    expect_failure(processes.run(trial()), message, ExitCode.CHECKPOINT_UNUSABLE, str(tmp_path / "checkpoints"))


def test_a_read_only_checkpoint_directory_is_refused(processes: Processes, trial: Trial, message: Message) -> None:
    """Nobody can make a directory there, not even root, as whom these tests may run."""
    code = processes.run(trial(checkpoint_dir="/proc/self/checkpoints"))
    expect_failure(code, message, ExitCode.CHECKPOINT_UNUSABLE, "/proc/self/checkpoints", "writable")


def test_a_full_checkpoint_directory_is_told_and_keeps_what_it_has(
    processes: Processes, trial: Trial, message: Message, tmp_path: Path
) -> None:
    first = processes.start(trial(recipe={"epochs": 50}))
    wait_until(lambda: len(first.events("epoch")) >= 2, "two epochs")
    first.kill(signal.SIGKILL)
    processes.wait(first)
    code = processes.run(trial(2, recipe={"epochs": 50}), limits={"RLIMIT_FSIZE": 8192})
    expect_failure(code, message, ExitCode.CHECKPOINT_UNUSABLE, str(tmp_path / "checkpoints"), "space left")
    third = processes.start(trial(3, recipe={"epochs": 50}))
    wait_until(lambda: len(third.events("epoch")) >= 1, "an epoch")
    third.kill(signal.SIGTERM)
    assert processes.wait(third) == ExitCode.INTERRUPTED
    assert third.events("resumed")[0]["epoch"] >= 2


def test_a_directory_with_the_checkpoints_of_another_trial_is_refused(
    processes: Processes, trial: Trial, message: Message
) -> None:
    first = processes.start(trial(recipe={"epochs": 50}))
    wait_until(lambda: len(first.events("epoch")) >= 1, "an epoch")
    first.kill(signal.SIGKILL)
    processes.wait(first)
    code = processes.run(trial(2, trial_uid="another"))
    expect_failure(code, message, ExitCode.CHECKPOINT_UNUSABLE, "belongs to trial uid-of-s-0", "another")


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (None, "absent.json"),
        ("{", "trial file"),
        ('{"version": 2}', "version"),
    ],
)
def test_a_trial_file_that_cannot_be_read_is_refused(
    processes: Processes, tmp_path: Path, content: str | None, want: str
) -> None:
    path = tmp_path / "absent.json"
    if content is not None:
        path.write_text(content)
    running = processes.start_file(path, tmp_path / "log")
    assert processes.wait(running) == ExitCode.CONTRACT_BROKEN
    assert want in running.log.read_text()


def test_a_trial_of_another_kind_is_refused(processes: Processes, trial: Trial, message: Message) -> None:
    changed = trial().model_copy(update={"recipe": None})
    expect_failure(processes.run(changed), message, ExitCode.CONTRACT_BROKEN, "recipe: not set")


NASBENCH = {
    "nasbench101": parse_architecture("nasbench101", "110011:01"),
    "nasbench201": parse_architecture(
        "nasbench201", "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    ),
}


@pytest.mark.parametrize("space", NASBENCH)
def test_a_cell_of_a_nasbench_space_is_trained(
    processes: Processes, trial: Trial, message: Message, space: str
) -> None:
    recipe = {"layers": 3, "drop_path": 0, "channels": 5, "epochs": 2}
    assert processes.run(trial(architecture=NASBENCH[space], recipe=recipe)) == ExitCode.OK
    assert message()["epochs"] == 2
    assert message()["parameters"] > 0


@pytest.mark.parametrize("space", NASBENCH)
def test_a_recipe_of_darts_is_refused_for_a_nasbench_space(
    processes: Processes, trial: Trial, message: Message, space: str
) -> None:
    code = processes.run(trial(architecture=NASBENCH[space], recipe={"auxiliary": True, "layers": 20}))
    want = ["recipe.layers: 20", "multiple of 3", "recipe.auxiliary: true", "recipe.dropPath: 0.2", space]
    expect_failure(code, message, ExitCode.RECIPE_INVALID, *want)


def test_channels_that_cannot_be_split_over_the_vertices_are_refused(
    processes: Processes, trial: Trial, message: Message
) -> None:
    code = processes.run(
        trial(architecture=NASBENCH["nasbench101"], recipe={"channels": 4, "layers": 3, "drop_path": 0})
    )
    expect_failure(code, message, ExitCode.RECIPE_INVALID, "recipe.channels: 4", "at least 5")


def test_the_stem_for_large_images_is_refused_where_it_does_not_fit(
    processes: Processes, trial: Trial, message: Message
) -> None:
    code = processes.run(trial(recipe={"stem": "imagenet", "auxiliary": True}))
    want = ["recipe.layers: 2", "imagenet stem divided it by 8", "multiples of 32", "recipe.auxiliary", "224 to 256"]
    expect_failure(code, message, ExitCode.RECIPE_INVALID, *want)
    code = processes.run(
        trial(architecture=NASBENCH["nasbench201"], recipe={"stem": "imagenet", "layers": 3, "drop_path": 0})
    )
    expect_failure(code, message, ExitCode.RECIPE_INVALID, "recipe.stem: imagenet", "want cifar")


# --- progress ---


class _Inbox(http.server.BaseHTTPRequestHandler):
    received: list[ProgressMessage]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.received.append(ProgressMessage.read(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def test_progress_arrives_after_each_epoch(processes: Processes, trial: Trial) -> None:
    received: list[ProgressMessage] = []
    handler = type("Inbox", (_Inbox,), {"received": received})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/progress"
        running = processes.start(trial(recipe={"epochs": 200}, progress_url=url))
        wait_until(lambda: len(received) >= 3, "three messages")
        running.kill(signal.SIGTERM)
        processes.wait(running)
        server.shutdown()
    assert {(m.trial, m.trial_uid, m.attempt, m.epochs) for m in received} == {("s-0", "uid-of-s-0", 1, 200)}
    assert [m.epoch for m in received] == sorted({m.epoch for m in received})
    assert all(m.validation_accuracy is not None for m in received)


def test_an_operator_that_never_answers_costs_nothing(processes: Processes, trial: Trial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/progress"
        assert processes.run(trial(progress_url=url)) == ExitCode.OK


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "no address at all"])
def test_an_operator_that_is_not_there_costs_nothing(processes: Processes, trial: Trial, url: str) -> None:
    assert processes.run(trial(progress_url=url)) == ExitCode.OK


def test_real_images_of_cifar_are_trained_on(
    processes: Processes, trial: Trial, message: Message, data_file: Callable[[str], Path], tmp_path: Path
) -> None:
    with np.load(data_file("cifar10_lossless_subset.npz")) as file:
        small = {name: file[name][:200] for name in file.files}
    np.savez(tmp_path / "cifar.npz", **small)
    recipe = {
        "dataset": "npz",
        "file": "cifar.npz",
        "epochs": 1,
        "score_epochs": 1,
        "auxiliary": True,
        "batch_size": 64,
    }
    assert processes.run(trial(recipe=recipe)) == ExitCode.OK
    assert message()["epochs"] == 1
