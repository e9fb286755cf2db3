"""What an attempt does: from its trial file to its report. Called by the pod program and by `bananas-trainer train`.

torch is loaded here and not above, so that an attempt that finds its report repeats it at once.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from bananas_core.attempt import Attempt
from bananas_core.contract import Report
from bananas_trainer.epoch import EpochRecord, Tell
from bananas_trainer.errors import ContractBroken


def train_attempt(attempt: Attempt, listeners: Sequence[Tell], before_result: Callable[[], None]) -> Report:
    """Trains from the newest checkpoint to the end; `before_result` is called when there is a result to be written.

    Raises:
        AttemptError: whatever ends the attempt.
    """
    trial = attempt.trial
    architecture, recipe = trial.architecture.cell, trial.recipe
    if recipe is None:
        raise ContractBroken("trial file: recipe: not set; this trainer trains by a recipe, not from a table")

    from bananas_trainer.checkpoint import Checkpoints  # noqa: PLC0415 - loads torch, as do the others
    from bananas_trainer.data import load  # noqa: PLC0415
    from bananas_trainer.device import choose_device, device_name  # noqa: PLC0415
    from bananas_trainer.networks.counting import measure  # noqa: PLC0415
    from bananas_trainer.train import train  # noqa: PLC0415
    from bananas_trainer.training import Task  # noqa: PLC0415

    def tell(record: EpochRecord) -> None:
        attempt.progress.post(record.epoch, recipe.epochs, record.validation_accuracy)
        for listener in listeners:
            listener(record)

    checkpoints = Checkpoints(attempt, attempt.directory) if attempt.directory is not None else None
    device = choose_device()
    folders = (Path(name) if name is not None else None for name in (trial.data_dir, trial.cache_dir))
    data = load(recipe, *folders)
    result = train(Task(architecture, recipe, data, trial.seed, trial.attempt, device), checkpoints, tell)
    size = measure(result.network, data.image_shape)
    report = attempt.report(
        validation_accuracy=result.validation_accuracy,
        parameters=size.parameters,
        multiply_adds=size.multiply_adds,
        epochs=result.epochs,
        seconds=round(result.seconds, 3),
        device=device_name(device),
        data_digest=data.digest,
    )
    before_result()
    if checkpoints is not None:
        checkpoints.write_weights(result.network, {"architecture": trial.architecture.canonical_json()})
        attempt.record(report)  # durable before the checkpoints go
        checkpoints.drop()
    return report
