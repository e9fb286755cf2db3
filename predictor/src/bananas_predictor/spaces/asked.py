"""Which space a NASSearch asks for: by name or entry point, within its bounds. Called by the evaluation by trials."""

from dataclasses import dataclass

from bananas_core.api import NASSearchSpec
from bananas_core.api.search import Constraints
from bananas_core.spaces import Space
from bananas_predictor.spaces import SearchSpace, named_space
from bananas_predictor.spaces.constrained import constrained
from bananas_predictor.spaces.costs import NetworkShape, trained_shape
from bananas_predictor.spaces.custom import load_space


@dataclass(frozen=True)
class SpaceSettings:
    """What of a search's spec says which architectures there are."""

    name: Space
    entry_point: str | None
    """Of a space of one's own."""
    constraints: Constraints | None
    shape: NetworkShape | None
    """Of the networks that are trained; None where a table tells of the published ones."""

    @classmethod
    def of(cls, spec: NASSearchSpec) -> "SpaceSettings":
        """Of a spec."""
        size = spec.constraints.image_size if spec.constraints is not None else None
        return cls(
            name=spec.space,
            entry_point=spec.custom_space.entry_point if spec.custom_space is not None else None,
            constraints=spec.constraints,
            shape=trained_shape(spec.trial.recipe, size) if spec.evaluator == "train" else None,
        )

    def make(self) -> SearchSpace:
        """The space.

        Raises:
            InputError: the entry point leads to no space, or constraints are asked for that it cannot keep.
        """
        space = (
            load_space(self.entry_point, "spec.customSpace.entryPoint") if self.entry_point else named_space(self.name)
        )
        return constrained(space, self.constraints, self.shape)
