"""The exception tree of the trainer. Each leaf knows the exit code with which the contract tells it to the operator.

TrainerError
├── ContractBroken      the trial file is missing or unreadable
├── DataMissing         a data file is not there
├── DataInvalid         a data file is corrupt, or its arrays are not what is asked
├── RecipeInvalid       a field of the recipe does not fit the data or the space
├── CheckpointUnusable  the checkpoint directory cannot be read or written
├── Fenced              a higher attempt of the trial has started
├── Diverged            the loss is not a number
└── OutOfDeviceMemory   the network does not fit the device
"""

from typing import ClassVar

from bananas_core.contract import ExitCode


class TrainerError(Exception):
    """Anything that ends a training; the message names the file or field, and what would be right."""

    exit_code: ClassVar[ExitCode] = ExitCode.PROGRAM_ERROR


class ContractBroken(TrainerError):  # noqa: N818 - named after the reasons of the contract
    """The trial file is missing, unreadable or of another version."""

    exit_code = ExitCode.CONTRACT_BROKEN


class DataMissing(TrainerError):  # noqa: N818
    """A data file is not there."""

    exit_code = ExitCode.DATA_MISSING


class DataInvalid(TrainerError):  # noqa: N818
    """A data file is corrupt, or its arrays are not what is asked."""

    exit_code = ExitCode.DATA_INVALID


class RecipeInvalid(TrainerError):  # noqa: N818
    """A field of the recipe does not fit the data or the space."""

    exit_code = ExitCode.RECIPE_INVALID


class CheckpointUnusable(TrainerError):  # noqa: N818
    """The checkpoint directory cannot be read or written."""

    exit_code = ExitCode.CHECKPOINT_UNUSABLE


class Fenced(TrainerError):  # noqa: N818
    """A higher attempt of the trial has started; this one must not write."""

    exit_code = ExitCode.FENCED


class Diverged(TrainerError):  # noqa: N818
    """The loss is not a number."""

    exit_code = ExitCode.DIVERGED


class OutOfDeviceMemory(TrainerError):  # noqa: N818
    """The network does not fit the device."""

    exit_code = ExitCode.OUT_OF_DEVICE_MEMORY
