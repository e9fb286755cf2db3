"""Settings of the programs, from the environment; everything about the training itself is in the recipe."""

import os
from collections.abc import Mapping, MutableMapping
from typing import Final

from pydantic import Field, ValidationError

from bananas_core.model import Model
from bananas_trainer.errors import ContractBroken

CHECKPOINT_SECONDS_VARIABLE: Final = "BANANAS_CHECKPOINT_SECONDS"
WAIT_POLICY_VARIABLE: Final = "OMP_WAIT_POLICY"


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


def share_processors(environment: MutableMapping[str, str] = os.environ) -> None:
    """Lets torch's threads sleep while they wait for each other; called before torch is loaded, which looks once.

    By default they spin. Where other programs want the same processors, as on a node with several trials, a thread then spins
    while the one it waits for is not running: a step took up to ten times as long. Alone on a machine it makes no difference.
    """
    environment.setdefault(WAIT_POLICY_VARIABLE, "passive")
