"""When a search ends: what a person allows, lengths of time as people write them (`90m`, `12h`, `1d12h`) included.

Part of NASSearchSpec; the operator asks in every pass whether a bound is reached.
"""

import re
from typing import Annotated, Final

from pydantic import Field

from bananas_core.model import Model

_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_PATTERN: Final = "^" + "".join(f"([1-9][0-9]{{0,5}}{unit})?" for unit, _ in _UNITS) + "$"

Duration = Annotated[str, Field(pattern=_PATTERN, min_length=2, max_length=28)]
"""Days, hours, minutes and seconds, each at most once and in this order."""


def seconds_of(duration: str) -> int:
    """Seconds of a Duration."""
    found = re.fullmatch(_PATTERN, duration)
    assert found is not None  # the model has checked it
    return sum(int(part[:-1]) * size for part, (_, size) in zip(found.groups(), _UNITS, strict=True) if part)


class Budget(Model):
    """When a search ends: when the first of these is reached. Each may be changed while the search runs, and after it."""

    trials: int = Field(
        150, ge=1, le=100_000, description="Trials that are admitted, whatever their outcome. Never exceeded."
    )
    gpu_hours: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="GPU hours of ended attempts and running ones after which no trial is admitted; what a GPU is, "
        "trial.template.resources says. Those in flight finish: it "
        "is exceeded by what they still take, and by no more. Unset: no bound.",
    )
    wall_clock: Duration | None = Field(
        None,
        description="Time since the first admission after which no trial is admitted, as 90m, 12h or 1d12h (units d, h, m, s). "
        "Time in which the search is suspended or has ended does not count. Those in flight finish: it is exceeded by what they "
        "still take, and by no more. Unset: no bound.",
    )
    target_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Validation accuracy from 0 to 1 at which no further trial is admitted. Those in flight finish. Unset: none.",
    )
    no_improvement_trials: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Results in a row, in the order in which they came, without a new best, after which no trial is admitted. "
        "With trial.repeats the mean of an architecture is compared, once its repeats have ended, and each of them is counted. "
        "Those in flight finish; if one of them is a new best, the search goes on. Unset: no bound.",
    )

    @property
    def wall_clock_seconds(self) -> int | None:
        """`wall_clock` in seconds."""
        return seconds_of(self.wall_clock) if self.wall_clock is not None else None
