"""What a search is told and what it answers: records of trials, proposals, and what it is asked for. Frozen; no behaviour."""

from dataclasses import dataclass
from typing import get_args

from bananas_core.api.search import Strategy
from bananas_core.api.trial import Origin, TrialPhase
from bananas_core.spaces import Architecture
from bananas_predictor.errors import InputError
from bananas_predictor.spaces import SearchSpace


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """What is known of a proposed architecture."""

    index: int
    architecture: Architecture
    phase: TrialPhase = "Pending"
    validation_accuracy: float | None = None
    origin: Origin | None = None
    repeat: int = 0
    """Which of the trainings of this architecture it is, from 0; each has a seed of its own."""

    def __post_init__(self) -> None:
        """Refuses a result that is none.

        Raises:
            InputError: naming the trial and the value.
        """
        if self.phase not in get_args(TrialPhase):
            raise InputError(f"trial {self.index}: phase {self.phase!r}; want one of {', '.join(get_args(TrialPhase))}")
        accuracy = self.validation_accuracy
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise InputError(f"trial {self.index}: validation accuracy {accuracy}; want a fraction from 0 to 1")
        if self.phase == "Succeeded" and accuracy is None:
            raise InputError(f"trial {self.index}: succeeded without a validation accuracy; want one from 0 to 1")


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture to try, and how it was chosen."""

    index: int
    architecture: Architecture
    origin: Origin
    repeat: int = 0
    """Which training of this architecture it is; give each a seed of its own."""


UNKNOWN_PARENT = 2**40
"""Number of the first known result in a `History`, beyond every trial: it has none in this search."""


@dataclass(frozen=True)
class Known:
    """A result that a search begins with."""

    architecture: Architecture
    accuracy: float
    """Validation accuracy from 0 to 1; a mean where it was trained several times."""


@dataclass(frozen=True)
class Asked:
    """What a search is asked for: with the records, all that proposals follow from."""

    space: SearchSpace
    strategy: Strategy
    seed: int
    repeats: int = 1
    """Trainings of every architecture."""
    may_repeat: bool = False
    """Whether a strategy may ask for an architecture that was tried: evolution as published does so now and then, which
    counts as a query. A cluster admits none twice, so by default a repetition is drawn anew."""
    known: tuple[Known, ...] = ()
    """Results to begin with: learnt from, never proposed again, and no trials of this search."""
