"""When a training can no longer succeed although its loss is still a number. Called by `train.py` before each epoch.

Only from the losses of whole epochs, which every checkpoint holds: a later attempt comes to the same conclusion. The limits
are wide, since a trial that is ended wrongly is a result that is lost, and one that is ended late costs some epochs.
"""

from collections.abc import Sequence
from math import log
from typing import Final

from bananas_trainer.epoch import EpochRecord
from bananas_trainer.errors import Diverged

EXPLODED: Final = 10.0
"""Mean loss of an epoch, in units of guessing. Healthy epochs stay below 2, the first with a large learning rate included."""
EXPLODED_EPOCHS: Final = 2
LEARNT: Final = 0.5
"""Mean loss of an epoch, in units of guessing, of a network that had learnt something."""
FORGOTTEN: Final = 0.95
"""The same of one that guesses again; the rate only falls, so it does not recover."""
FORGOTTEN_EPOCHS: Final = 5


def check_progress(history: Sequence[EpochRecord], classes: int) -> None:
    """Ends a training that has exploded, or forgot what it had learnt and guesses since.

    Raises:
        Diverged: naming the epochs and their loss.
    """
    guessing = log(classes)  # the loss of equal probabilities, which labels of uneven frequency do not exceed
    losses = [record.loss / guessing for record in history]
    if _all(losses[-EXPLODED_EPOCHS:], EXPLODED_EPOCHS, EXPLODED):
        raise _diverged(history, EXPLODED_EPOCHS, f"more than {EXPLODED:g} times {guessing:.3g}, the loss of guessing")
    if _all(losses[-FORGOTTEN_EPOCHS:], FORGOTTEN_EPOCHS, FORGOTTEN) and min(losses) < LEARNT:
        lowest = min(record.loss for record in history)
        raise _diverged(history, FORGOTTEN_EPOCHS, f"that of guessing ({guessing:.3g}), after {lowest:.3g} earlier")


def _all(losses: Sequence[float], epochs: int, limit: float) -> bool:
    return len(losses) == epochs and min(losses) > limit


def _diverged(history: Sequence[EpochRecord], epochs: int, what: str) -> Diverged:
    last = history[-epochs:]
    return Diverged(
        f"training loss of epochs {last[0].epoch} to {last[-1].epoch} is at least {min(r.loss for r in last):.4g}, {what}; "
        f"a smaller recipe.learningRate or recipe.gradientClip would train this architecture"
    )
