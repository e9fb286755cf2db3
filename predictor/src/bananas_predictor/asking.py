"""What a person asks to be searched, on the command line: space, bounds, and who knows the accuracies. Called by `command`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bananas_core.api.search import Constraints
from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Space
from bananas_predictor.errors import InputError
from bananas_predictor.evaluation.function import FunctionTable
from bananas_predictor.spaces import SPACES, SearchSpace
from bananas_predictor.spaces.constrained import UNSHAPED, constrained
from bananas_predictor.spaces.costs import PUBLISHED, NetworkShape
from bananas_predictor.spaces.custom import Adapted, load_space
from bananas_tables import Table, load_table
from bananas_tables.custom import CustomTable


@dataclass(frozen=True)
class Question:
    """A space within bounds."""

    name: Space
    entry_point: str | None = None
    max_parameters: int | None = None
    max_multiply_adds: int | None = None

    @property
    def constraints(self) -> Constraints | None:
        """The bounds, if there are any."""
        if self.max_parameters is None and self.max_multiply_adds is None:
            return None
        return Constraints(max_parameters=self.max_parameters, max_multiply_adds=self.max_multiply_adds)

    @property
    def settings(self) -> dict[str, Any]:
        """What of it goes into a report, beside the space's name."""
        settings: dict[str, Any] = {"spaceEntryPoint": self.entry_point} if self.entry_point is not None else {}
        return settings | ({"constraints": self.constraints.to_kubernetes()} if self.constraints is not None else {})

    def unbounded(self) -> SearchSpace:
        """The space.

        Raises:
            InputError: naming the option.
        """
        if self.name != "custom":
            if self.entry_point is not None:
                raise InputError(f"--space-entry-point is for --space custom; the space is {self.name}")
            return SPACES[self.name]
        if self.entry_point is None:
            raise InputError("--space custom needs --space-entry-point package.module:Name")
        _see_this_folder()
        return load_space(self.entry_point, "--space-entry-point")

    def bounded(self, space: SearchSpace, shape: NetworkShape | None = None) -> SearchSpace:
        """The space within the bounds."""
        return constrained(space, self.constraints, shape)


def accuracies_of(space: SearchSpace, table: Path | None, evaluator: str | None, epochs: int | None) -> Table:
    """Who knows the accuracies: a table, or a function.

    Raises:
        InputError: naming option, or file, line and field.
        TableError: the table cannot be read.
    """
    if evaluator is not None:
        if table is not None:
            raise InputError(f"--evaluator {evaluator} and --table {table}; want one of them")
        _see_this_folder()
        return FunctionTable(space, evaluator)
    if space.name == "custom" and table is None:
        raise InputError("--space custom has no toy table; want --table FILE or --evaluator package.module:function")
    tabulated = load_table(space.name, table, epochs)
    if isinstance(space, Adapted) and isinstance(tabulated, CustomTable):
        _check_texts(space, tabulated)
    return tabulated


def network_shape(
    space: Space, channels: int | None, layers: int | None, classes: int, image_size: int
) -> NetworkShape:
    """The networks that bounds are meant for; what is not said is as the space's paper has it."""
    published = PUBLISHED.get(space, UNSHAPED)
    return NetworkShape(channels or published.channels, layers or published.layers, classes, 3, image_size)


def _check_texts(space: Adapted, table: CustomTable) -> None:
    """A row under another spelling than the canonical one would never be found."""
    for architecture in table:
        text = architecture.to_text()
        where = f"{table.source}, line {table.lines[text]}, arch"
        try:
            (canonical,) = space.unpack(space.pack([architecture]))
        except ArchitectureError as error:
            raise InputError(f"{where}: {error}") from error
        if canonical.to_text() != text:
            raise InputError(f"{where}: {text!r} is not in canonical form; want {canonical.to_text()!r}")


def _see_this_folder() -> None:
    """A module beside the person is found, as `python -m` does; the installed command does not look there by itself."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
