"""What is told of a trained epoch: to the log, the checkpoint, the operator. Loads nothing heavy."""

from collections.abc import Callable

from bananas_core.model import Model


class EpochRecord(Model):
    """One trained epoch; a line of `epochs.jsonl`."""

    attempt: int
    """The one that ended it."""
    epoch: int
    """Epochs done, from 1."""
    loss: float
    """Mean over the training images, the auxiliary classifier's not included."""
    validation_accuracy: float | None = None
    """None where there are no validation images, in a final training."""
    learning_rate: float
    seconds: float
    images_per_second: float = 0
    """Of training, without validation."""
    attempts: tuple[tuple[int, int], ...] = ()
    """(attempt, steps that it trained) of all that had a part in the epoch; none in a record of an older trainer."""
    pieces: int = 1
    """Parts of a batch whose gradients were added up."""


Tell = Callable[[EpochRecord], None]
