"""The `bananas-trainer` command, called as a person calls it."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest
from typer.testing import CliRunner

from bananas_core.contract import ExitCode
from bananas_core.spaces import Architecture
from bananas_core.spaces.drawing import draw
from bananas_trainer.command import app
from bananas_trainer.genotypes import NAMED
from tests.support.images import pack
from tests.support.trainer import Processes, wait_until

SMALL = ["epochs=2", "scoreEpochs=1", "channels=1", "layers=2", "batchSize=512", "auxiliary=false", "cutout=0"]


def settings(*values: str) -> list[str]:
    return [part for value in values for part in ("--set", value)]


@pytest.mark.slow
def test_describe_gives_the_published_size_as_json() -> None:
    """The very command, with the path through its entry point."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("bananas-trainer"),
        "describe",
        "--genotype",
        "BANANAS",
        "--json",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=True)
    assert json.loads(done.stdout) == {
        "genotype": "BANANAS",
        "channels": 36,
        "layers": 20,
        "parameters": 3_583_054,
        "auxiliary_parameters": 476_426,
        "multiply_adds": 566_043_264,
    }


@pytest.mark.slow
def test_describe_draws_both_cells_of_a_genotype_from_a_file(processes: Processes, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(NAMED["DARTS_V2"].to_text())
    code, output = processes.run_command(tmp_path, "describe", "--genotype", file, "--channels", "16", "--layers", "8")
    assert code == 0
    assert "246,106" in output
    assert draw(Architecture.of(NAMED["DARTS_V2"])) in output


def test_train_reports_and_a_second_run_only_repeats_it(processes: Processes, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("epochs: 9\nlearningRate: 0.1\n")
    command: list[str | Path] = ["train", "--genotype", "DARTS_V2", "--out", tmp_path / "out", "--recipe", recipe]
    command += settings(*SMALL)
    code, output = processes.run_command(tmp_path, *command)
    assert code == 0
    events = [json.loads(line) for line in output.splitlines()]
    assert [event["event"] for event in events] == ["training", "epoch", "epoch", "report"]
    assert events[1]["learningRate"] == 0.1
    assert events[3]["validationAccuracy"] == events[2]["validationAccuracy"]
    _, output = processes.run_command(tmp_path, *command)
    (again,) = (json.loads(line) for line in output.splitlines())
    assert again == {**events[3], "attempt": 2}
    code, output = processes.run_command(tmp_path, *command, *settings("epochs=3"))
    assert code == ExitCode.CHECKPOINT_UNUSABLE
    assert "holds another training" in output


def test_train_goes_on_after_it_was_killed(processes: Processes, tmp_path: Path) -> None:
    command: list[str | Path] = ["train", "--genotype", "DARTS_V2", "--out", tmp_path / "out"]
    command += settings(*SMALL, "epochs=40")
    running = processes.start_command(tmp_path, *command)
    wait_until(lambda: len(running.events("epoch")) >= 2, "two epochs")
    running.kill(signal.SIGTERM)
    assert processes.wait(running) == ExitCode.INTERRUPTED
    running = processes.start_command(tmp_path, *command)
    wait_until(lambda: len(running.events("epoch")) >= 1, "an epoch")
    running.kill(signal.SIGKILL)
    processes.wait(running)
    assert running.events("resumed")[0]["epoch"] >= 2


@pytest.mark.parametrize(
    ("arguments", "want_code", "want"),
    [
        (["--genotype", "DARTS_V9"], 2, "DARTS_V1, DARTS_V2, BANANAS"),
        (["--genotype", "BANANAS", "--set", "epochs"], 2, "FIELD=VALUE"),
        (["--genotype", "BANANAS", "--set", "epoch=3"], ExitCode.RECIPE_INVALID, "recipe.epoch"),
        (["--genotype", "BANANAS", "--set", "epochs=many"], ExitCode.RECIPE_INVALID, "recipe.epochs: 'many'"),
        (["--genotype", "BANANAS", "--set", "epochs=["], 2, "--set epochs=[: '[' is no YAML value"),
        (
            ["--genotype", "BANANAS", "--set", "dataset=npz"],
            2,
            "--data digits: is digits, but the recipe says dataset: npz",
        ),
        (["--genotype", "BANANAS", "--recipe", "/nowhere.yaml"], 2, "recipe file /nowhere.yaml"),
        (["--genotype", "BANANAS", "--data", "/nowhere.npz"], ExitCode.DATA_MISSING, "/nowhere.npz"),
        (["--genotype", "BANANAS", "--out", "/dev/null/x"], ExitCode.CHECKPOINT_UNUSABLE, "--out /dev/null/x"),
        (["--genotype", "BANANAS"], ExitCode.RECIPE_INVALID, "set auxiliary: false; recipe.cutout: 16"),
    ],
)
def test_bad_arguments_are_refused_with_what_would_be_right(
    processes: Processes, tmp_path: Path, arguments: list[str], want_code: int, want: str
) -> None:
    code, output = processes.run_command(tmp_path, "train", "--out", tmp_path / "out", *arguments)
    assert code == want_code
    assert want in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("recipe", "want_code", "want"),
    [
        ("epoch: 3", ExitCode.RECIPE_INVALID, "recipe.epoch: no such field"),
        ("dataset: npz\nfile: data.npz", ExitCode.OK, ""),
        ("dataset: npz\nfile: below/data.npz", ExitCode.OK, ""),
        ("file: other.npz", 2, "data.npz: the recipe says file: other.npz; want --data with the path of that file"),
        ("dataset: cifar10\nfile: x", 2, "data.npz: is npz, but the recipe says dataset: cifar10 (file: x)"),
    ],
)
def test_a_recipe_file_that_names_its_data_must_name_that_of_data(
    processes: Processes, tmp_path: Path, npz: Callable[..., Path], recipe: str, want_code: int, want: str
) -> None:
    (tmp_path / "recipe.yaml").write_text(recipe)
    command: list[str | Path] = ["train", "--genotype", "DARTS_V2", "--out", tmp_path / "out", "--data", npz()]
    command += ["--recipe", tmp_path / "recipe.yaml", *settings(*SMALL, "batchSize=16")]
    code, output = processes.run_command(tmp_path, *command)
    assert want in output
    assert code == want_code
    assert "Traceback" not in output


def test_a_recipe_file_of_other_data_is_not_trained_on_the_digits(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("dataset: npz\nfile: data.npz\n")
    command: list[str | Path] = ["train", "--genotype", "DARTS_V2", "--out", tmp_path / "out"]
    code, output = processes.run_command(tmp_path, *command, "--recipe", tmp_path / "recipe.yaml", *settings(*SMALL))
    assert code == 2
    assert "--data digits: is digits, but the recipe says dataset: npz (file: data.npz)" in output


def test_a_name_that_no_recipe_takes_is_told_of_data(
    processes: Processes, tmp_path: Path, npz: Callable[..., Path]
) -> None:
    command: list[str | Path] = [
        "train",
        "--genotype",
        "DARTS_V2",
        "--out",
        tmp_path / "out",
        "--data",
        npz("my data.npz"),
    ]
    code, output = processes.run_command(tmp_path, *command)
    assert code == 2
    assert f"--data {tmp_path}/my data.npz: want a name of" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_on_a_terminal_a_person_hears_of_decoded_images_the_data_and_where_it_goes_on(tmp_path: Path) -> None:
    """The second call goes on after a checkpoint that the first one has left; its standard error is a file."""
    pack(tmp_path / "packed.npz")
    command: list[str | Path] = [Path(sys.executable).with_name("bananas-trainer"), "train"]
    command += ["--genotype", "DARTS_V2", "--out"]
    command += [tmp_path / "out", "--data", tmp_path / "packed.npz"]
    command += settings(*SMALL, "batchSize=4", "cropPadding=1", "validationFraction=0.5", "epochs=4000")
    log, errors = tmp_path / "out" / "epochs.jsonl", tmp_path / "errors"
    shown = [on_a_terminal(command, log)]
    with errors.open("w") as file:
        assert "images:" not in on_a_terminal(command, log, file)
    shown.append(errors.read_text())
    for text, decoded in zip(shown, ("now", "earlier"), strict=True):
        assert f"images: file {tmp_path}/packed.npz, decoded {decoded}" in text
        assert "data digest sha256:" in text
        assert "split seed 0" in text
    assert "resumed: epoch" not in shown[0]
    assert "resumed: epoch" in shown[1]


def on_a_terminal(command: list[str | Path], log: Path, errors: IO[str] | None = None) -> str:
    """What it says on a terminal, unless errors go elsewhere, until the log is longer than it was; then SIGTERM ends it."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "500"}
    before = log.stat().st_size if log.exists() else 0
    process = subprocess.Popen(command, env=environment, stdout=theirs, stderr=errors or theirs)
    os.close(theirs)
    with ThreadPoolExecutor(1) as reader:
        shown = reader.submit(read_to_the_end, ours)
        wait_until(lambda: log.exists() and log.stat().st_size > before, "an epoch")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == ExitCode.INTERRUPTED
    os.close(ours)
    return shown.result()


def read_to_the_end(terminal: int) -> str:
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            return shown.decode()
        if not part:
            return shown.decode()
        shown += part


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (("describe", "--genotype", "DARTS_V2"), "interrupted\n"),
        (("evaluate", "--checkpoint", "x.pt", "--genotype", "DARTS_V2", "--data", "digits"), "interrupted\n"),
        (("export", "--checkpoint", "x.pt", "--genotype", "DARTS_V2", "--out", "y.pt"), "interrupted\n"),
        (
            ("train", "--genotype", "DARTS_V2", "--out", "out"),
            "interrupted; the same command goes on from the last checkpoint\n",
        ),
    ],
)
def test_only_train_goes_on_after_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], want: str
) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bananas_trainer.command.architecture_of", interrupt)
    monkeypatch.setattr("bananas_trainer.command.hold_signals", lambda: None)
    monkeypatch.setattr("bananas_trainer.command.log_for_a_person", lambda: None)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 130
    assert result.stderr == want
