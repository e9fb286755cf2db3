"""Settings of the programs, from the environment; everything about the training itself is in the recipe."""

import os
from collections.abc import Mapping
from typing import Final

from pydantic import Field, ValidationError

from bananas_core.model import Model
from bananas_trainer.errors import ContractBroken

CHECKPOINT_SECONDS_VARIABLE: Final = "BANANAS_CHECKPOINT_SECONDS"


class Settings(Model):
    """Of one process."""

    checkpoint_seconds: float = Field(
        60,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="Seconds between checkpoints in the middle of an epoch; 0 is after every step. What a killed attempt loses "
        "at most, against the second that a checkpoint of a large network takes.",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Reads what is set.

        Raises:
            ContractBroken: naming the variable.
        """
        text = environment.get(CHECKPOINT_SECONDS_VARIABLE)
        if text is None:
            return cls()
        try:
            return cls.model_validate({"checkpoint_seconds": text})
        except ValidationError as error:
            raise ContractBroken(
                f"environment variable {CHECKPOINT_SECONDS_VARIABLE}: {text!r}: {error.errors()[0]['msg']}"
            ) from error
