"""A function of one's own in the place of a benchmark table: `bananas search --evaluator package.module:function`."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from bananas_core.spaces import Architecture
from bananas_predictor.errors import InputError
from bananas_predictor.spaces import SearchSpace
from bananas_predictor.spaces.custom import Adapted, load, told
from bananas_tables import Table, TableEntry

UNBOUNDED: Final = 2**31


class FunctionTable(Table):
    """Asks a function for the accuracy of an architecture; it may train for as long as it likes."""

    def __init__(self, space: SearchSpace, entry_point: str) -> None:
        """`entry_point` is the option as it was given.

        Raises:
            InputError: it leads to no function.
        """
        super().__init__(space.name, entry_point, "")
        function = load(entry_point, "--evaluator")
        if not callable(function):
            raise InputError(f"--evaluator {entry_point}: {function!r} is no function; want one of an architecture")
        self._function: Callable[[Any], Any] = function
        self._space = space

    def look_up(self, architecture: Architecture) -> TableEntry:
        """What the function says.

        Raises:
            InputError: it raises, or says no fraction.
        """
        # A space of one's own has objects of its own; ours are handed over as they are.
        given = self._space.parse(architecture) if isinstance(self._space, Adapted) else architecture
        try:
            answer = self._function(given)
        # It is a person's: whatever it does must not cost what was done before.
        except (Exception, SystemExit) as error:
            raise InputError(f"--evaluator {self.source}: {told(error)} for {architecture.to_text()[:200]}") from error
        if (
            isinstance(answer, bool)
            or not isinstance(answer, int | float)
            or not 0 <= answer <= 1
            or math.isnan(answer)
        ):
            raise InputError(
                f"--evaluator {self.source}: {answer!r} for {architecture.to_text()[:200]}; want a fraction from 0 to 1"
            )
        return TableEntry(validation_accuracy=float(answer))

    def __len__(self) -> int:
        return UNBOUNDED

    def __iter__(self) -> Iterator[Architecture]:
        raise InputError(f"--evaluator {self.source}: a function has no rows; want --table")
