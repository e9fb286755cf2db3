"""What an attempt does: from its trial file to its report. Called by the pod program and by `bananas-trainer train`.

torch is loaded here and not above, so that an attempt that finds its report repeats it at once.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bananas_core.attempt import Attempt
from bananas_core.contract import Report
from bananas_core.errors import ArchitectureError
from bananas_trainer.epoch import EpochRecord, Tell
from bananas_trainer.errors import ContractBroken
from bananas_trainer.interruption import Interruption
from bananas_trainer.settings import Settings


def train_attempt(
    attempt: Attempt, listeners: Sequence[Tell], interruption: Interruption, settings: Settings
) -> Report:
    """Trains from the newest checkpoint to the end; `interruption` is disarmed when there is a result to be written.

    Raises:
        AttemptError: whatever ends the attempt.
    """
    trial = attempt.trial
    recipe = trial.recipe
    try:
        architecture = trial.architecture.published
    except ArchitectureError as error:
        raise ContractBroken(f"trial file: architecture: {error} in spec.trial.template.image") from error
    if recipe is None:
        raise ContractBroken("trial file: recipe: not set; this trainer trains by a recipe, not from a table")

    with without_collection():
        from bananas_trainer.checkpoint import Checkpoints  # noqa: PLC0415 - loads torch, as do the others
        from bananas_trainer.data import SPLIT_SEED, load  # noqa: PLC0415
        from bananas_trainer.device import choose_device, device_name  # noqa: PLC0415
        from bananas_trainer.networks.counting import measure  # noqa: PLC0415
        from bananas_trainer.train import train  # noqa: PLC0415
        from bananas_trainer.training import Task  # noqa: PLC0415
        from bananas_trainer.weights import metadata_of  # noqa: PLC0415

    def tell(record: EpochRecord) -> None:
        attempt.progress.post(record.epoch, recipe.epochs, record.validation_accuracy)
        for listener in listeners:
            listener(record)

    checkpoints = None
    if attempt.directory is not None:
        checkpoints = Checkpoints(attempt, attempt.directory, settings.checkpoint_seconds)
        interruption.wait_while(lambda: checkpoints.unsaved)
    device = choose_device()
    folders = (Path(name) if name is not None else None for name in (trial.data_dir, trial.cache_dir))
    data = load(recipe, *folders)
    result = train(Task(architecture, recipe, data, trial.seed, trial.attempt, device), checkpoints, tell)
    size = measure(result.network, data.image_shape)
    split_seed = SPLIT_SEED if recipe.validation_fraction else None
    accuracy = result.validation_accuracy if result.validation_accuracy is not None else result.test_accuracy
    report = attempt.report(
        validation_accuracy=accuracy,  # without validation images that of the test images, as in a final training
        test_accuracy=result.test_accuracy,
        parameters=size.parameters,
        multiply_adds=size.multiply_adds,
        epochs=len(result.history),
        seconds=round(result.seconds, 3),
        device=device_name(device),
        data_digest=data.digest,
        split_seed=split_seed,
    )
    interruption.disarm()
    if checkpoints is not None:
        checkpoints.write_curve(result.history)
        checkpoints.write_weights(result.network, metadata_of(trial.architecture, result.normalise, split_seed))
        attempt.record(report)  # durable before the checkpoints go
        checkpoints.drop()
    return report


@contextmanager
def without_collection() -> Iterator[None]:
    """For loading torch, which makes 300,000 objects that stay: to look through them again and again, as Python does, takes an
    eighth of the time. What was loaded is not looked through later either. Where torch is there already, nothing is frozen:
    it would be what others have made, for good.
    """
    was_enabled, loads = gc.isenabled(), "torch" not in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if loads:
            gc.freeze()
        if was_enabled:
            gc.enable()
