"""Checkpoints in this process: what trainer 0.1.0 wrote, and the second look at the fence of every file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bananas_core.attempt import Attempt, write_atomically
from bananas_core.contract import ExitCode, TrialFile
from bananas_core.errors import AttemptError, Interrupted
from bananas_trainer import checkpoint, curve
from bananas_trainer.checkpoint import Checkpoints
from bananas_trainer.data import load
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.genotypes import NAMED
from bananas_trainer.train import train
from bananas_trainer.training import Part, Result, Task, start

Trial = Callable[..., TrialFile]
RECIPE = {"epochs": 2, "batch_size": 256}
STEPS = 4  # of an epoch

OLD_LINE = '{"attempt":3,"epoch":1,"loss":2.25,"validationAccuracy":0.125,"learningRate":0.1,"seconds":1.5,"imagesPerSecond":898.0}'
OLD_HEADER = (
    '{"version":1,"trialUid":"uid-of-s-0","history":[%s],'
    '"part":{"steps":2,"images":512,"seconds":0.5},"pieces":1,"checksum":"%s"}'
)
"""Of a checkpoint in the middle of the second epoch, as release 0.1.0 wrote it."""


def task_of(trial: TrialFile) -> Task:
    assert trial.recipe is not None
    data = load(trial.recipe, None)
    return Task(NAMED["BANANAS"], trial.recipe, data, trial.seed, trial.attempt, torch.device("cpu"))


def checkpoints_of(trial: TrialFile) -> tuple[Attempt, Checkpoints]:
    attempt, folder = Attempt(trial), Path(str(trial.checkpoint_dir))
    folder.mkdir(exist_ok=True)
    attempt.check_fence()
    return attempt, Checkpoints(attempt, folder, 3600)


def trained(trial: TrialFile) -> Result:
    return train(task_of(trial), checkpoints_of(trial)[1], lambda _: None)


def stopped_in_the_second_epoch(trial: TrialFile) -> Path:
    """Trains to the second step of the second epoch; gives its checkpoint."""
    attempt, checkpoints = checkpoints_of(trial)
    between, calls = checkpoints.between_steps, []

    def stop(state: Any) -> None:
        calls.append(state.part.steps)
        if state.epoch == 1 and state.part.steps == 2:
            attempt.stop()
        between(state)

    checkpoints.between_steps = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        train(task_of(trial), checkpoints, lambda _: None)
    return Path(str(trial.checkpoint_dir)) / "checkpoint-00001-000002.safetensors"


def made_old(path: Path) -> None:
    """The same tensors under a header of 0.1.0, and its log with a line of 0.1.0."""
    with safe_open(path, framework="pt", device="cpu") as file:
        header = json.loads(file.metadata()["state"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    save_file(tensors, path, {"state": OLD_HEADER % (OLD_LINE, header["checksum"])})
    (path.parent / "epochs.jsonl").write_text(OLD_LINE + "\n")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]


def test_an_epoch_that_is_taken_over_says_who_trained_what(trial: Trial) -> None:
    path = stopped_in_the_second_epoch(trial(3, recipe=RECIPE))
    assert [record.attempts for record in trained(trial(4, recipe=RECIPE)).history] == [
        ((3, STEPS),),
        ((3, 2), (4, STEPS - 2)),
    ]
    assert [line["attempts"] for line in lines(path.parent)] == [[[3, STEPS]], [[3, 2], [4, STEPS - 2]]]


def test_an_epoch_that_an_older_trainer_began_names_no_attempts(trial: Trial, tmp_path: Path) -> None:
    path = stopped_in_the_second_epoch(trial(3, recipe=RECIPE))
    made_old(path)
    result = trained(trial(4, recipe=RECIPE))
    assert [record.attempts for record in result.history] == [(), ()]
    assert (path.parent / "epochs.jsonl").read_text().startswith(OLD_LINE + "\n")
    assert [(line["epoch"], line["attempt"], line.get("attempts")) for line in lines(path.parent)] == [
        (1, 3, None),
        (2, 4, []),
    ]
    want = trained(trial(1, recipe=RECIPE, checkpoint_dir=str(tmp_path / "whole"))).network.state_dict()
    assert all(torch.equal(tensor, want[name]) for name, tensor in result.network.state_dict().items())


def test_an_epoch_that_an_older_trainer_began_names_none_after_another_interruption_either(trial: Trial) -> None:
    path = stopped_in_the_second_epoch(trial(3, recipe=RECIPE))
    made_old(path)
    attempt, checkpoints = checkpoints_of(trial(4, recipe=RECIPE))
    state = start(task_of(attempt.trial))
    checkpoints.restore(state)
    assert state.part is not None
    state.part.steps += 1
    attempt.stop()
    with pytest.raises(Interrupted):
        checkpoints.between_steps(state)
    again = start(task_of(attempt.trial))
    checkpoints_of(trial(5, recipe=RECIPE))[1].restore(again)
    assert again.part is not None
    assert (again.part.steps, again.part.attempts(5)) == (3, ())


def test_the_first_steps_of_a_part_are_the_current_attempts_where_there_was_none() -> None:
    part = Part(torch.Generator(), torch.zeros(()), steps=3)
    assert part.attempts(2) == ((2, 3),)


RECORD = EpochRecord(attempt=1, epoch=1, loss=1, learning_rate=0.1, seconds=1)


@pytest.mark.parametrize("file", ["curve.csv", "curve.svg", "epochs.jsonl", "torn"])
def test_a_file_stays_as_it_is_once_a_higher_attempt_has_started_while_it_was_written(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """The number changes after the first look, in the middle of the write."""
    attempt, checkpoints = checkpoints_of(trial(1, recipe=RECIPE))
    folder = Path(str(attempt.trial.checkpoint_dir))
    state = start(task_of(attempt.trial))
    state.history.append(RECORD)
    checkpoints.save(state)
    checkpoints.write_curve(state.history)
    if file == "torn":
        (folder / "epochs.jsonl").write_text('{"attempt":1,"epo')
    want = {path.name: path.read_bytes() for path in folder.iterdir()} | {"attempt": b"2\n"}

    def overtake() -> None:
        (folder / "attempt").write_text("2\n")

    def overtaken_in_the_middle(
        path: Path, data: str | bytes, may_replace: Callable[[], object] = lambda: None
    ) -> None:
        def second_look() -> None:
            if file in {path.name, "torn"}:
                overtake()
            may_replace()

        real(path, data, second_look)

    real = write_atomically
    monkeypatch.setattr(curve, "write_atomically", overtaken_in_the_middle)
    if file == "torn":
        monkeypatch.setattr(checkpoint, "write_atomically", overtaken_in_the_middle)
    elif file == "epochs.jsonl":
        opened = Path.open

        def slowly(path: Path, *given: Any, **named: Any) -> Any:
            if path.name == file:
                overtake()
            return opened(path, *given, **named)

        monkeypatch.setattr(Path, "open", slowly)
    with pytest.raises(AttemptError) as caught:
        if file == "torn":
            checkpoints.restore(start(task_of(attempt.trial)))
        elif file == "epochs.jsonl":
            state.history.append(RECORD.model_copy(update={"epoch": 2}))
            checkpoints.save(state)
        else:
            checkpoints.write_curve([*state.history, RECORD.model_copy(update={"epoch": 2})])
    assert caught.value.exit_code == ExitCode.FENCED
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    if file == "epochs.jsonl":
        del found["checkpoint-00002.safetensors"]
    elif file == "curve.svg":
        want["curve.csv"] = found["curve.csv"]  # written before
    assert found == want


def test_what_a_second_epoch_adds_to_the_log_is_a_line(trial: Trial) -> None:
    """So that the test above would see one."""
    attempt, checkpoints = checkpoints_of(trial(1, recipe=RECIPE))
    state = start(task_of(attempt.trial))
    for epoch in (1, 2):
        state.history.append(RECORD.model_copy(update={"epoch": epoch}))
        checkpoints.save(state)
    assert [line["epoch"] for line in lines(Path(str(attempt.trial.checkpoint_dir)))] == [1, 2]
