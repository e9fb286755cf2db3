"""Version 1 of the contract between the operator and whatever trains: any image that follows it can be a trainer.

Given to the container:
  * the environment variable BANANAS_TRIAL_FILE: path of a JSON file (`TrialFile`) that says everything else;
  * `data_dir` in it, read-only, and `checkpoint_dir`, to be made by the trainer, kept between the attempts of a trial;
    `cache_dir` is scratch space that dies with the attempt.
Expected of it:
  * exit code 0 after writing `Report` as JSON (at most 1 KiB) to the termination message (`termination_file`, a path), and,
    where there is a checkpoint directory, first to `report.json` in it, fsynced. An attempt that finds a `report.json` of its
    own trial there writes it to the termination message at once, with its own attempt number, and exits 0;
  * on SIGTERM a checkpoint inside the grace period and exit code 75;
  * on an error one of `ExitCode`, with `FailureReport` as the termination message. Any other code is an error that may pass;
  * where there is a `progress_url`: `ProgressMessage` as JSON by POST after an epoch. Losing it loses nothing, so a
    trainer never waits or fails for it;
  * a lower attempt must not write once a higher one has started: the file `attempt` in the checkpoint directory holds the
    highest number, and a trainer reads it before each write, and again before it puts what it wrote in place
    (`ExitCode.FENCED` if it has been overtaken).
"""

from enum import IntEnum
from typing import Final, Literal, TypeVar

from pydantic import Field, ValidationError

from bananas_core import constants
from bananas_core.api.recipe import Recipe
from bananas_core.api.trial import TableSpec
from bananas_core.errors import ContractError
from bananas_core.model import Model, StatusModel
from bananas_core.spaces import Architecture

TRIAL_FILE_VARIABLE: Final = "BANANAS_TRIAL_FILE"
TRIAL_FILE_PATH: Final = "/bananas/trial/trial.json"
DATA_PATH: Final = "/bananas/data"
CHECKPOINT_PATH: Final = "/bananas/checkpoints"
CACHE_PATH: Final = "/bananas/cache"
TERMINATION_PATH: Final = "/dev/termination-log"
REPORT_FILE: Final = "report.json"
ATTEMPT_FILE: Final = "attempt"
MAX_MESSAGE_BYTES: Final = 1024
MAX_DEVICE: Final = 64
"""Characters of a device's name in a report; a trainer cuts a longer one."""
MAX_COUNT: Final = 2**63 - 1
"""What the API server stores as an integer: a status with a greater one is refused, and no later one would be written."""

M = TypeVar("M", bound=Model)


class ExitCode(IntEnum):
    """Exit codes of a trainer, after sysexits.h where that has one."""

    OK = 0
    CONTRACT_BROKEN = 64
    """The trial file is missing, unreadable or of another version. Fatal for the search."""
    DATA_INVALID = 65
    """A data file or table is corrupt, or lacks what is asked. Fatal for the search."""
    DATA_MISSING = 66
    """A data file or table is not there. Fatal for the search."""
    FENCED = 69
    """A higher attempt of the trial has started. The attempt is void."""
    PROGRAM_ERROR = 70
    """An error of the trainer itself. May pass."""
    OUT_OF_DEVICE_MEMORY = 71
    """The network does not fit the device. Fatal for the trial."""
    DIVERGED = 72
    """The loss is not a number, or shows that the training cannot succeed. Fatal for the trial."""
    CHECKPOINT_UNUSABLE = 73
    """The checkpoint directory cannot be written. Fatal for the search."""
    INTERRUPTED = 75
    """Ended by SIGTERM after a checkpoint. No failure."""
    RECIPE_INVALID = 78
    """The recipe does not fit the data or the space. Fatal for the search."""


REASON_OF_EXIT_CODE: Final = {
    ExitCode.CONTRACT_BROKEN: constants.REASON_CONTRACT_BROKEN,
    ExitCode.DATA_INVALID: constants.REASON_DATA_INVALID,
    ExitCode.DATA_MISSING: constants.REASON_DATA_MISSING,
    ExitCode.FENCED: constants.REASON_INTERRUPTED,
    ExitCode.PROGRAM_ERROR: constants.REASON_PROGRAM_ERROR,
    ExitCode.OUT_OF_DEVICE_MEMORY: constants.REASON_OUT_OF_DEVICE_MEMORY,
    ExitCode.DIVERGED: constants.REASON_DIVERGED,
    ExitCode.CHECKPOINT_UNUSABLE: constants.REASON_CHECKPOINT_UNUSABLE,
    ExitCode.INTERRUPTED: constants.REASON_INTERRUPTED,
    ExitCode.RECIPE_INVALID: constants.REASON_RECIPE_INVALID,
}


class TrialFile(Model):
    """What a trainer is told: the trial, the attempt, and where things are."""

    version: Literal[1] = Field(1, description="Version of the contract.")
    namespace: str = Field(max_length=63, description="Namespace of the trial.")
    search: str = Field(max_length=63, description="Name of the search.")
    trial: str = Field(max_length=253, description="Name of the trial.")
    trial_uid: str = Field(min_length=1, max_length=64, description="UID of the trial; goes into every report.")
    attempt: int = Field(ge=1, description="Number of the attempt, from 1.")
    architecture: Architecture = Field(description="What to train or look up.")
    seed: int = Field(0, ge=0, description="Seed of the training.")
    recipe: Recipe | None = Field(None, description="How to train it.")
    table: TableSpec | None = Field(None, description="Where to look it up.")
    data_dir: str | None = Field(None, max_length=4096, description="Directory of the data volume, read-only.")
    checkpoint_dir: str | None = Field(None, max_length=4096, description="Directory of this trial's checkpoints.")
    cache_dir: str | None = Field(None, max_length=4096, description="Scratch directory of this attempt.")
    termination_file: str = Field(TERMINATION_PATH, max_length=4096, description="Where the termination message goes.")
    progress_url: str | None = Field(None, max_length=2048, description="Where progress is posted.")

    @classmethod
    def read(cls, text: str) -> "TrialFile":
        """Reads the JSON text of a trial file.

        Raises:
            ContractError: naming the field that is wrong.
        """
        return _read(cls, text, "trial file")


class Report(StatusModel):
    """The result of a trial."""

    kind: Literal["bananas.report/v1"] = Field("bananas.report/v1", description="Marks the message.")
    trial_uid: str = Field(min_length=1, max_length=64, description="UID of the trial, from the trial file.")
    attempt: int = Field(ge=1, description="Number of the attempt, from the trial file.")
    validation_accuracy: float = Field(
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="The result, from 0 to 1; without validation images the test accuracy.",
    )
    test_accuracy: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="Of a training to the end, or where a table has one."
    )
    parameters: int | None = Field(None, ge=0, le=MAX_COUNT, description="Trainable parameters.")
    multiply_adds: int | None = Field(None, ge=0, le=MAX_COUNT, description="Multiply-adds for one image.")
    epochs: int | None = Field(None, ge=0, le=MAX_COUNT, description="Epochs trained, over all attempts.")
    seconds: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Seconds of training, over all attempts."
    )
    device: str | None = Field(None, max_length=MAX_DEVICE, description="Device that trained.")
    data_digest: str | None = Field(None, max_length=80, pattern="^[0-9a-z:]*$", description="Digest of the data.")
    split_seed: int | None = Field(
        None, ge=0, le=MAX_COUNT, description="Seed that chose the validation images; none where there are none."
    )

    @classmethod
    def read(cls, text: str) -> "Report":
        """Reads a termination message or report file.

        Raises:
            ContractError: naming the field that is wrong.
        """
        return _read(cls, text, "report")

    def to_message(self) -> str:
        """The JSON text, at most `MAX_MESSAGE_BYTES` bytes by the bounds of the fields."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class FailureReport(StatusModel):
    """Why an attempt failed."""

    kind: Literal["bananas.failure/v1"] = Field("bananas.failure/v1", description="Marks the message.")
    reason: str = Field(max_length=64, description="One word of the documented list (constants.REASON_...).")
    message: str = Field(description="For a person: the file or field, what is wrong, what would be right.")

    @classmethod
    def read(cls, text: str) -> "FailureReport":
        """Reads a termination message.

        Raises:
            ContractError: naming the field that is wrong.
        """
        return _read(cls, text, "failure report")

    def to_message(self) -> str:
        """The JSON text, its message cut so that at most `MAX_MESSAGE_BYTES` bytes remain."""
        text = self.model_dump_json(by_alias=True)
        message = self.message
        while len(text.encode()) > MAX_MESSAGE_BYTES:
            message = message[: len(message) * 9 // 10]
            text = FailureReport(reason=self.reason, message=message + "...").model_dump_json(by_alias=True)
        return text


class ProgressMessage(StatusModel):
    """How far an attempt is."""

    namespace: str = Field(max_length=63, description="Namespace of the trial.")
    trial: str = Field(max_length=253, description="Name of the trial.")
    trial_uid: str = Field(max_length=64, description="UID of the trial.")
    attempt: int = Field(ge=1, description="Number of the attempt.")
    epoch: int = Field(ge=0, le=MAX_COUNT, description="Epochs done.")
    epochs: int = Field(ge=1, le=MAX_COUNT, description="Epochs to do.")
    validation_accuracy: float | None = Field(None, ge=0, le=1, description="After the last epoch.")

    @classmethod
    def read(cls, text: str) -> "ProgressMessage":
        """Reads the body of a progress post.

        Raises:
            ContractError: naming the field that is wrong.
        """
        return _read(cls, text, "progress message")


def _read(model: type[M], text: str, what: str) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ContractError(f"{what}: {field}: {first['msg']}") from error
