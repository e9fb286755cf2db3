"""A search as JSON, and back: everything that its proposals follow from, for whoever keeps a search in a file or a database.

Called by `Search.to_json` and `Search.from_json`. What is written is parsed strictly: an unknown or missing field is an error
that names it.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bananas_core.api.search import Constraints, Strategy
from bananas_core.api.trial import Origin, TrialPhase
from bananas_core.spaces import Architecture, Space
from bananas_predictor.errors import InputError
from bananas_predictor.records import Asked, TrialRecord
from bananas_predictor.spaces import Cells
from bananas_predictor.spaces.constrained import Constrained
from bananas_predictor.spaces.costs import NetworkShape

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrialState(_Frozen):
    """A trial."""

    index: Annotated[int, Field(ge=0)]
    architecture: Architecture
    phase: TrialPhase
    validation_accuracy: Fraction | None = None
    origin: Origin | None = None
    repeat: Annotated[int, Field(ge=0)] = 0
    spelling: Annotated[str | None, Field(pattern=r"^[01]{21}[012]{5}$")] = None
    """How the strategies of the paper keep it, where that is more than the architecture: the 21 edges of a NASBench-101 cell as
    it was drawn and its 5 operations, parts on no path included (`spaces.nasbench101_original`)."""


class KnownState(_Frozen):
    """A result to begin with."""

    architecture: Architecture
    accuracy: Fraction


class ShapeState(_Frozen):
    """`NetworkShape`."""

    channels: int
    layers: int
    classes: int
    image_channels: int
    image_size: int
    stem: Literal["cifar", "imagenet"]

    @classmethod
    def of(cls, shape: NetworkShape) -> "ShapeState":
        """Of a shape."""
        return cls(
            channels=shape.channels,
            layers=shape.layers,
            classes=shape.classes,
            image_channels=shape.image_channels,
            image_size=shape.image_size,
            stem=shape.stem,
        )

    def shape(self) -> NetworkShape:
        """The shape."""
        return NetworkShape(**self.model_dump())


class SearchState(_Frozen):
    """A search."""

    kind: Literal["bananas.search/v1"] = "bananas.search/v1"
    space: Space
    strategy: Strategy
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    may_repeat: bool = False
    constraints: Constraints | None = None
    shape: ShapeState | None = None
    known: tuple[KnownState, ...] = ()
    trials: tuple[TrialState, ...] = ()

    def records(self) -> list[TrialRecord]:
        """The trials."""
        return [
            TrialRecord(t.index, t.architecture, t.phase, t.validation_accuracy, t.origin, t.repeat)
            for t in self.trials
        ]

    @classmethod
    def read(cls, text: str) -> "SearchState":
        """Reads the JSON text.

        Raises:
            InputError: naming the field.
        """
        try:
            state = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise InputError(f"state of a search: {field}: {first['msg']}; want what to_json wrote") from error
        seen: set[int] = set()
        for place, trial in enumerate(state.trials):
            if trial.index in seen:
                raise InputError(f"state of a search: trials.{place}.index: {trial.index} is there twice")
            seen.add(trial.index)
            if trial.spelling is not None and state.space != "nasbench101":
                raise InputError(
                    f"state of a search: trials.{place}.spelling: a cell of {state.space} has none but itself"
                )
        return state

    def spellings(self) -> dict[int, Cells]:
        """The (1, 26) spellings of the trials that have one, by index."""
        return {
            trial.index: np.array([[int(digit) for digit in trial.spelling]], dtype=np.int8)
            for trial in self.trials
            if trial.spelling is not None
        }


def state_of(asked: Asked, records: Sequence[TrialRecord], spellings: Mapping[int, Cells]) -> SearchState:
    """The state of a search; `spellings` are the (1, 26) ones that differ from their cells, by index."""
    bounds = asked.space if isinstance(asked.space, Constrained) else None
    return SearchState(
        space=asked.space.name,
        strategy=asked.strategy,
        seed=asked.seed,
        repeats=asked.repeats,
        may_repeat=asked.may_repeat,
        constraints=bounds.constraints if bounds is not None else None,
        shape=ShapeState.of(bounds.shape) if bounds is not None else None,
        known=tuple(KnownState(architecture=known.architecture, accuracy=known.accuracy) for known in asked.known),
        trials=tuple(
            TrialState(
                index=record.index,
                architecture=record.architecture,
                phase=record.phase,
                validation_accuracy=record.validation_accuracy,
                origin=record.origin,
                repeat=record.repeat,
                spelling="".join(map(str, spellings[record.index][0].tolist())) if record.index in spellings else None,
            )
            for record in records
        ),
    )
