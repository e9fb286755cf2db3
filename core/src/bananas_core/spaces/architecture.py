"""The architecture as it travels between the programs: a space and the cell of that space."""

from hashlib import md5
from typing import ClassVar, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from bananas_core.errors import ArchitectureError
from bananas_core.model import Model
from bananas_core.spaces.custom import CustomArchitecture
from bananas_core.spaces.darts import DartsArchitecture
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import Nasbench201Architecture

Space = Literal["darts", "nasbench101", "nasbench201", "custom"]
PublishedCell = DartsArchitecture | Nasbench101Architecture | Nasbench201Architecture
Cell = PublishedCell | CustomArchitecture


class Architecture(Model):
    """One architecture: `space` names it, and the field of that name holds it."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "has(self.darts) == (self.space == 'darts') && has(self.nasbench101) == (self.space == 'nasbench101') "
            "&& has(self.nasbench201) == (self.space == 'nasbench201') && has(self.custom) == (self.space == 'custom')",
            "exactly the field named by space must be set",
        ),
    )

    space: Space = Field(description="Search space of the architecture.")
    darts: DartsArchitecture | None = Field(None, description="The architecture, where space is darts.")
    nasbench101: Nasbench101Architecture | None = Field(
        None, description="The architecture, where space is nasbench101."
    )
    nasbench201: Nasbench201Architecture | None = Field(
        None, description="The architecture, where space is nasbench201."
    )
    custom: CustomArchitecture | None = Field(None, description="The architecture, where space is custom.")

    @model_validator(mode="after")
    def _one_cell(self) -> "Architecture":
        given = [name for name in get_args(Space) if getattr(self, name) is not None]
        if given != [self.space]:
            raise ArchitectureError(
                f"space is {self.space}, so exactly the field {self.space} must be set; set: {given}"
            )
        return self

    @classmethod
    def of(cls, cell: Cell) -> "Architecture":
        """Wraps a cell."""
        match cell:
            case DartsArchitecture():
                return cls(space="darts", darts=cell)
            case Nasbench101Architecture():
                return cls(space="nasbench101", nasbench101=cell)
            case Nasbench201Architecture():
                return cls(space="nasbench201", nasbench201=cell)
            case CustomArchitecture():
                return cls(space="custom", custom=cell)

    @property
    def cell(self) -> Cell:
        """The cell of the space."""
        cell: Cell | None = getattr(self, self.space)
        assert cell is not None  # checked by _one_cell
        return cell

    @property
    def published(self) -> PublishedCell:
        """The cell of a space of ours, whose networks this project can build.

        Raises:
            ArchitectureError: space is custom.
        """
        if isinstance(self.cell, CustomArchitecture):
            raise ArchitectureError(
                f"space is custom: what {self.to_text()[:80]!r} means is known to the trainer of that space only; want its image"
            )
        return self.cell

    def to_text(self) -> str:
        """One line, for tables and people; `parse_architecture` reads it back."""
        return self.cell.to_text()

    def hash(self) -> str:
        """32 hexadecimal digits, equal for every spelling of the same network (graph isomorphism, not function)."""
        if isinstance(self.cell, Nasbench101Architecture):
            return self.cell.graph_hash()
        text = f"{self.space}:{self.cell.canonical().to_text()}"
        return md5(text.encode(), usedforsecurity=False).hexdigest()

    def canonical_json(self) -> str:
        """The architecture as JSON without spaces, keys in the order of the model."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


def parse_architecture(space: Space, text: str) -> Architecture:
    """Reads the one-line form of a space.

    Raises:
        ArchitectureError: naming what is wrong and what would be right.
    """
    try:
        match space:
            case "darts":
                return Architecture.of(DartsArchitecture.parse(text))
            case "nasbench101":
                return Architecture.of(Nasbench101Architecture.parse(text))
            case "nasbench201":
                return Architecture.of(Nasbench201Architecture.parse(text))
            case "custom":
                return Architecture.of(CustomArchitecture.parse(text))
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f"{part}: " for part in first["loc"])
        raise ArchitectureError(field + first["msg"].removeprefix("Value error, ")) from error
