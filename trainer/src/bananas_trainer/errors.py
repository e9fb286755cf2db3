"""The exception tree of the trainer. Each leaf knows the exit code with which the contract tells it to the operator.

AttemptError (core)
└── TrainerError
    ├── ContractBroken      the trial file asks for what this trainer does not do
    ├── DataMissing         a data file is not there
    ├── DataInvalid         a data file is corrupt, or its arrays are not what is asked
    ├── RecipeInvalid       a field of the recipe does not fit the data or the space
    ├── CheckpointUnusable  the checkpoint directory cannot be read or written
    ├── Diverged            the loss is not a number, has exploded, or is that of guessing again
    └── OutOfDeviceMemory   the network does not fit the device
"""

from typing import ClassVar

from bananas_core.contract import ExitCode
from bananas_core.errors import AttemptError


class TrainerError(AttemptError):
    """Anything that ends a training; the message names the file or field, and what would be right."""

    code: ClassVar[ExitCode] = ExitCode.PROGRAM_ERROR

    def __init__(self, message: str) -> None:
        super().__init__(self.code, message)


class ContractBroken(TrainerError):  # noqa: N818 - named after the reasons of the contract
    """The trial file asks for what this trainer does not do."""

    code = ExitCode.CONTRACT_BROKEN


class DataMissing(TrainerError):  # noqa: N818
    """A data file is not there."""

    code = ExitCode.DATA_MISSING


class DataInvalid(TrainerError):  # noqa: N818
    """A data file is corrupt, or its arrays are not what is asked."""

    code = ExitCode.DATA_INVALID


class RecipeInvalid(TrainerError):  # noqa: N818
    """A field of the recipe does not fit the data or the space."""

    code = ExitCode.RECIPE_INVALID


class CheckpointUnusable(TrainerError):  # noqa: N818
    """The checkpoint directory cannot be read or written."""

    code = ExitCode.CHECKPOINT_UNUSABLE


class Diverged(TrainerError):  # noqa: N818
    """The loss is not a number, has exploded, or is that of guessing again."""

    code = ExitCode.DIVERGED


class OutOfDeviceMemory(TrainerError):  # noqa: N818
    """The network does not fit the device."""

    code = ExitCode.OUT_OF_DEVICE_MEMORY
