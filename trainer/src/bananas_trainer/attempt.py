"""One attempt of a trial, from its trial file to its report. Called by the pod program and by `bananas-trainer train`.

torch is loaded only when there is something to train: an attempt that finds its report repeats it at once.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from bananas_core.contract import Report, TrialFile
from bananas_trainer.directory import TrialDirectory
from bananas_trainer.epoch import EpochRecord, Tell
from bananas_trainer.errors import ContractBroken
from bananas_trainer.report import find_report, write_report


def make_report(trial: TrialFile, listeners: Sequence[Tell], before_result: Callable[[], None]) -> Report:
    """Trains, or finds the report of an earlier attempt; `before_result` is called when there is a result to be written.

    Raises:
        TrainerError: whatever ends the attempt.
    """
    directory = _claimed_directory(trial)
    report = find_report(directory, trial) if directory is not None else None
    if report is not None:
        before_result()
        return report
    return _train(trial, directory, listeners, before_result)


def _claimed_directory(trial: TrialFile) -> TrialDirectory | None:
    if trial.checkpoint_dir is None:
        return None
    directory = TrialDirectory(Path(trial.checkpoint_dir), trial.trial_uid, trial.attempt)
    directory.claim()
    return directory


def _train(
    trial: TrialFile, directory: TrialDirectory | None, listeners: Sequence[Tell], before_result: Callable[[], None]
) -> Report:
    architecture, recipe = trial.architecture.darts, trial.recipe
    if architecture is None:
        raise ContractBroken(f"trial file: architecture.space: {trial.architecture.space}; this trainer trains darts")
    if recipe is None:
        raise ContractBroken("trial file: recipe: not set; this trainer trains by a recipe, not from a table")

    from bananas_trainer import checkpoint  # noqa: PLC0415 - loads torch, as do the others
    from bananas_trainer.data import load  # noqa: PLC0415
    from bananas_trainer.device import choose_device, device_name  # noqa: PLC0415
    from bananas_trainer.networks.counting import measure  # noqa: PLC0415
    from bananas_trainer.train import train  # noqa: PLC0415
    from bananas_trainer.training import Task  # noqa: PLC0415

    def tell(record: EpochRecord) -> None:
        for listener in listeners:
            listener(record)

    device = choose_device()
    data = load(recipe, Path(trial.data_dir) if trial.data_dir is not None else None)
    result = train(Task(architecture, recipe, data, trial.seed, trial.attempt, device), directory, tell)
    size = measure(result.network, data.image_shape)
    report = Report(
        trial_uid=trial.trial_uid,
        attempt=trial.attempt,
        validation_accuracy=result.validation_accuracy,
        parameters=size.parameters,
        multiply_adds=size.multiply_adds,
        epochs=result.epochs,
        seconds=round(result.seconds, 3),
        device=device_name(device),
        data_digest=data.digest,
    )
    before_result()
    if directory is not None:
        checkpoint.write_weights(directory, result.network, {"architecture": trial.architecture.canonical_json()})
        write_report(directory, report)
        checkpoint.drop_checkpoints(directory)
    return report
