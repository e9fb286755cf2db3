"""A length of time as people write it: `90m`, `12h`, `1d12h`. Used by the API models; whole seconds, never zero."""

import re
from typing import Annotated, Final

from pydantic import Field

_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_PATTERN: Final = "^" + "".join(f"([1-9][0-9]{{0,5}}{unit})?" for unit, _ in _UNITS) + "$"

Duration = Annotated[str, Field(pattern=_PATTERN, min_length=2, max_length=28)]
"""Days, hours, minutes and seconds, each at most once and in this order."""


def seconds_of(duration: str) -> int:
    """Seconds of a Duration."""
    found = re.fullmatch(_PATTERN, duration)
    assert found is not None  # the model has checked it
    return sum(int(part[:-1]) * size for part, (_, size) in zip(found.groups(), _UNITS, strict=True) if part)
