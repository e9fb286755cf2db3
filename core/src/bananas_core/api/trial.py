"""NASTrial: one proposed architecture, from proposal to result."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bananas_core.api.recipe import Recipe
from bananas_core.model import Model, StatusModel
from bananas_core.spaces import Architecture

Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", min_length=1, max_length=253)]
TrialPhase = Literal["Pending", "Queued", "Running", "Succeeded", "Failed", "Cancelled"]
TERMINAL_PHASES: tuple[TrialPhase, ...] = ("Succeeded", "Failed", "Cancelled")


class TableSpec(Model):
    """A benchmark table that answers instead of a training."""

    file: FileName | None = Field(
        None,
        description="File of the table, relative to the data volume. Unset: the toy table that comes with the trial image.",
    )
    seconds_per_trial: float = Field(
        0, ge=0, le=86_400, description="Seconds that a look-up takes, to simulate a training."
    )


class Origin(Model):
    """How an architecture was chosen."""

    method: Literal["random", "mutation", "promotion", "retry"] = Field(
        description="random, mutation of a parent that the predictor chose, promotion (training of a winner to the end), or "
        "retry of a parent that failed, for a person asked."
    )
    parent: int | None = Field(None, ge=0, description="Index of the trial that was mutated or is tried again.")
    predicted_mean: float | None = Field(None, description="Accuracy that the predictor expects, as a fraction of 1.")
    predicted_standard_deviation: float | None = Field(
        None, ge=0, description="Its standard deviation, as a fraction of 1."
    )
    acquisition: float | None = Field(None, description="Value of the acquisition function; greater is better.")


class NASTrialSpec(Model):
    """One proposed architecture; the predictor writes it, and nobody changes it."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        ("self == oldSelf", "the spec of a NASTrial cannot change: it is what was proposed"),
        (
            "has(self.recipe) != has(self.table)",
            "exactly one of recipe (evaluator train) and table (evaluator table) must be set",
        ),
        (
            "has(self.recipe) && self.origin.method != 'promotion' "
            "? self.recipe.validationFraction > 0.0 && !self.recipe.testAtEnd : true",
            "recipe must keep validation images and leave the test images alone, but in a promotion",
        ),
    )

    search: str = Field(min_length=1, max_length=63, description="Name of the NASSearch.")
    index: int = Field(ge=0, le=99_999, description="Number of the trial in its search, from 0.")
    architecture: Architecture = Field(description="The architecture.")
    seed: int = Field(0, ge=0, le=4_294_967_295, description="Seed of the training.")
    recipe: Recipe | None = Field(None, description="How it is trained; for evaluator train.")
    table: TableSpec | None = Field(None, description="Where it is looked up; for evaluator table.")
    origin: Origin = Field(description="How it was chosen.")


class Progress(StatusModel):
    """How far the current attempt is, as the trainer said last."""

    epoch: int = Field(ge=0, description="Epochs done.")
    epochs: int = Field(ge=1, description="Epochs to do.")
    validation_accuracy: float | None = Field(None, ge=0, le=1, description="Validation accuracy after the last epoch.")
    time: Time | None = Field(None, description="When the trainer said so.")


class NodeFault(StatusModel):
    """An attempt that ended by its node's fault or in an error which may pass."""

    node: str = Field(max_length=253, description="The node.")
    time: Time = Field(description="When the attempt ended.")


class Failure(StatusModel):
    """Why a trial failed, or why its last attempt did."""

    reason: str = Field(max_length=64, description="Why, as one word; docs/reasons.md explains each.")
    message: str = Field("", max_length=2048, description="For a person: what happened and what to do.")


class NASTrialStatus(StatusModel):
    """What became of a trial. A terminal phase is never revised."""

    phase: TrialPhase = Field(
        "Pending",
        description="Pending, Queued (admitted), Running, Succeeded, Failed or Cancelled (not admitted, or given up).",
    )
    reason: str | None = Field(
        None, max_length=64, description="Why it was cancelled, as one word; see docs/reasons.md."
    )
    message: str | None = Field(None, max_length=2048, description="What it waits for or why it ended, for a person.")
    validation_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The result: validation accuracy from 0 to 1. Unset of a training to the end, which has no validation "
        "images: its result is testAccuracy.",
    )
    test_accuracy: float | None = Field(
        None, ge=0, le=1, description="Test accuracy: of a training to the end, or where the table has one."
    )
    progress: Progress | None = Field(None, description="How far the current attempt is.")
    parameters: int | None = Field(None, ge=0, description="Trainable parameters of the network.")
    multiply_adds: int | None = Field(None, ge=0, description="Multiply-adds for one image.")
    gpu_seconds: float = Field(0, ge=0, description="GPU seconds of all ended attempts.")
    gpu_seconds_wasted: float = Field(
        0,
        ge=0,
        description="GPU seconds of attempts that gave no result: all of them, also what a checkpoint has kept for the next "
        "attempt, and so at most what was lost. Attempts that a person stopped by spec.suspend count only without checkpoints.",
    )
    attempts: int = Field(0, ge=0, description="Attempts that were started.")
    retries: int = Field(0, ge=0, description="Attempts that ended in an error which may pass.")
    interruptions: int = Field(0, ge=0, description="Attempts that were preempted, evicted or lost; no failures.")
    preemptions: int = Field(
        0,
        ge=0,
        description="Of the interruptions, those by a pod of higher priority, an eviction or a drain; the others were lost or "
        "killed with their node, pod or Job.",
    )
    node_faults: Annotated[tuple[NodeFault, ...], Field(max_length=4)] = Field(
        (), description="The last attempts that ended by a node's fault or in an error which may pass; newest last."
    )
    checkpoint_directory: str | None = Field(
        None,
        max_length=253,
        description="Its directory on the claim of spec.checkpoints, below that of the search's UID. Unset: its name, as in "
        "release 0.1.0.",
    )
    settled_attempt: int = Field(0, ge=0, description="Last attempt whose end is counted here.")
    settled_time: Time | None = Field(None, description="When the end of the last attempt was counted.")
    stopped_attempt: int = Field(
        0,
        ge=0,
        description="Last attempt that was told to stop, because the search was suspended or the trial given up.",
    )
    next_attempt_time: Time | None = Field(None, description="When the next attempt may start, after an error.")
    node: str | None = Field(None, max_length=253, description="Node of the last attempt.")
    reused_from: str | None = Field(
        None,
        max_length=253,
        description="NASTrial of another search whose result this is, where it was not done again.",
    )
    device: str | None = Field(None, max_length=256, description="Device that trained, as the trainer named it.")
    data_digest: str | None = Field(None, max_length=128, description="Digest of the data, as the trainer computed it.")
    admission_time: Time | None = Field(None, description="When the operator admitted it.")
    start_time: Time | None = Field(None, description="When a container of it ran first.")
    completion_time: Time | None = Field(None, description="When it ended.")
    failure: Failure | None = Field(None, description="Why it failed, or why its last attempt did.")
