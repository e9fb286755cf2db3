"""NASSearch: what a person asks for, and what is told in return."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bananas_core.api.budget import Budget
from bananas_core.api.promotion import Promotion, PromotionStatus
from bananas_core.api.recipe import Recipe
from bananas_core.api.strategy import STRATEGY_RULES, Acquisition, Encoding, Fallback, Strategy, StrategyName
from bananas_core.api.template import PodPlacement, TrialTemplate
from bananas_core.api.trial import TableSpec, Time
from bananas_core.model import Model, StatusModel, cel, immutable
from bananas_core.names import MAX_SEARCH_NAME
from bananas_core.spaces import Space

__all__ = (
    "SEARCH_RULES",
    "Acquisition",
    "BestTrial",
    "Condition",
    "Constraints",
    "Encoding",
    "Evaluator",
    "Fallback",
    "GpuSeconds",
    "Interruptions",
    "Mode",
    "NASSearchSpec",
    "NASSearchStatus",
    "PredictorStatus",
    "Strategy",
    "StrategyName",
    "TrialCounts",
)

ClaimName = Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)]
Evaluator = Literal["train", "table"]
Mode = Literal["async", "batch"]

SEARCH_RULES = (
    (
        f"size(self.metadata.name) <= {MAX_SEARCH_NAME}",
        f"metadata.name must have at most {MAX_SEARCH_NAME} characters: the names of trials, Jobs and pods are made from it",
    ),
    (
        "!self.metadata.name.contains('.')",
        "metadata.name must not contain a dot: the names of Jobs and pods are made from it",
    ),
)
"""CEL rules of the whole object, where metadata.name can be seen."""


class CustomSpace(Model):
    """A search space of one's own."""

    entry_point: str = Field(
        max_length=253,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
        description="The space as package.module:Name, a class or object in the image of spec.predictor; docs/custom-spaces.md "
        "says what it must be able to do.",
    )


class Constraints(Model):
    """How large a network may be. Holds for every proposal of every strategy."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "has(self.maxParameters) || has(self.maxMultiplyAdds)",
            "constraints must set maxParameters, maxMultiplyAdds or both",
        ),
    )

    max_parameters: int | None = Field(
        None, ge=1, le=10**15, description="Most trainable parameters of a network, the auxiliary classifier left out."
    )
    max_multiply_adds: int | None = Field(
        None, ge=1, le=10**18, description="Most multiply-adds of a network for one image."
    )
    image_size: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Side of the images in pixels, where the dataset is npz or folder, which only the trainer sees.",
    )


class TrialSpec(Model):
    """What a trial is: the recipe of its training, the template of its pod and how failures are treated."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "self.recipe.validationFraction > 0.0",
            "recipe.validationFraction must be greater than 0 in a search: architectures are chosen by validation images, "
            "never by test images",
        ),
        (
            "!self.recipe.testAtEnd",
            "recipe.testAtEnd must be false in a search: test images are opened once, for the networks that spec.promote "
            "trains to the end",
        ),
    )

    recipe: Recipe = Field(
        Recipe(),
        description="How a candidate is trained; for evaluator train.",
        json_schema_extra=immutable("spec.trial.recipe", "accuracies of different recipes cannot be compared"),
    )
    template: TrialTemplate = Field(TrialTemplate(), description="The pod of a trial: an allow-list of pod fields.")
    repeats: int = Field(
        1,
        ge=1,
        le=100,
        description="Trials of every architecture, each with a seed of its own; their mean is the architecture's accuracy. "
        "budget.trials counts each of them.",
        json_schema_extra=immutable("spec.trial.repeats", "means of different numbers cannot be compared"),
    )
    retries: int = Field(
        2, ge=0, le=100, description="Further attempts after an error that may pass. Preemption is no error."
    )
    deadline_seconds: int | None = Field(
        None,
        ge=1,
        le=31_536_000,
        description="Seconds after which a running attempt is ended. Waiting for a GPU does not count.",
    )
    no_progress_seconds: int | None = Field(
        None,
        ge=30,
        le=31_536_000,
        description="Seconds without progress after which a running attempt is taken for hung and tried again. It must be longer "
        "than the longest epoch. Unset: never. Progress comes over the network: where it is lost, healthy attempts look hung.",
    )
    node_loss_timeout_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="Seconds for which a node may be unreachable or not ready before its attempts are given up and begin anew on "
        "another node. The default is that of Kubernetes for every pod: restarts of a kubelet and most partitions are shorter.",
    )
    max_failed_trials: int = Field(
        10, ge=0, le=100_000, description="Failed trials that a search bears; one more ends it."
    )
    reuse_results: bool = Field(
        False,
        description="Whether a trial that another search of the namespace has done already (equal architecture, recipe or "
        "table, seed and data digest) is not done again. Its result is taken over, and status.reusedFrom names it.",
    )


class ClaimReference(Model):
    """A claim of the search's namespace."""

    claim: ClaimName = Field(description="Name of a PersistentVolumeClaim in the search's namespace.")


class WarmStart(Model):
    """Another search, whose results the predictor learns from."""

    search: str = Field(
        pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        min_length=1,
        max_length=MAX_SEARCH_NAME,
        description="Name of a NASSearch of the same namespace, with the same space, evaluator and recipe or table. Results "
        "that were there when this search was made are learnt from; their architectures are not proposed again.",
    )


class NASSearchSpec(Model):
    """A neural architecture search."""

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "self.evaluator == 'table' ? self.space != 'darts' : true",
            "evaluator table needs a space with a benchmark table: set space to nasbench101 or nasbench201, or evaluator to train",
        ),
        (
            "has(self.customSpace) == (self.space == 'custom')",
            "customSpace.entryPoint must be set for space custom, and only there",
        ),
        (
            "self.space == 'custom' ? has(self.predictor.image) : true",
            "space custom needs a predictor that has it: set predictor.image to an image of yours",
        ),
        (
            "self.space == 'custom' && self.evaluator == 'train' ? has(self.trial.template.image) : true",
            "space custom needs a trainer that knows its architectures: set trial.template.image to an image of yours",
        ),
        (
            "self.space == 'custom' && self.evaluator == 'table' ? has(self.table) && has(self.table.file) : true",
            "space custom has no toy table: set table.file",
        ),
        (
            "self.evaluator == 'train' && self.space.startsWith('nasbench') ? self.trial.recipe.layers % 3 == 0 : true",
            "trial.recipe.layers must be a multiple of 3 to train space nasbench101 or nasbench201: their networks have three "
            "stacks of as many cells each (published: 9 and 15)",
        ),
        (
            "self.evaluator == 'train' && self.space == 'nasbench101' ? self.trial.recipe.channels >= 5 : true",
            "trial.recipe.channels must be at least 5 to train space nasbench101: they are split over up to 5 vertices of a cell",
        ),
        (
            "self.space.startsWith('nasbench') && has(self.promote) && has(self.promote.layers) "
            "? self.promote.layers % 3 == 0 : true",
            "promote.layers must be a multiple of 3 for space nasbench101 or nasbench201",
        ),
        (
            "self.space == 'nasbench101' && has(self.promote) && has(self.promote.channels) ? self.promote.channels >= 5 : true",
            "promote.channels must be at least 5 for space nasbench101",
        ),
        (
            "self.evaluator == 'train' && self.space.startsWith('nasbench') ? !self.trial.recipe.auxiliary : true",
            "trial.recipe.auxiliary must be false to train space nasbench101 or nasbench201: only networks of space darts have an "
            "auxiliary classifier",
        ),
        (
            "self.evaluator == 'train' && self.space.startsWith('nasbench') ? self.trial.recipe.dropPath == 0.0 : true",
            "trial.recipe.dropPath must be 0 to train space nasbench101 or nasbench201: only networks of space darts have drop "
            "path",
        ),
        (
            "self.evaluator == 'train' && self.space.startsWith('nasbench') ? self.trial.recipe.stem == 'cifar' : true",
            "trial.recipe.stem must be cifar to train space nasbench101 or nasbench201: only networks of space darts have another",
        ),
        (
            "self.evaluator == 'train' ? !has(self.table) : true",
            "table is for evaluator table; remove it, or set evaluator to table",
        ),
        (
            "has(self.table) && has(self.table.file) ? has(self.data) : true",
            "table.file is a file on the data volume: set data.claim",
        ),
        (
            "has(self.trial.recipe.file) ? has(self.data) : true",
            "trial.recipe.file is a file on the data volume: set data.claim",
        ),
        (
            "self.strategy.name != 'random' ? self.strategy.initialTrials * self.trial.repeats <= self.budget.trials : true",
            "strategy.initialTrials (times trial.repeats) must not exceed budget.trials, else all trials are random",
        ),
        (
            "has(self.constraints) && self.evaluator == 'train' && self.space != 'custom' "
            "&& self.trial.recipe.dataset in ['npz', 'folder'] ? has(self.trial.recipe.classes) "
            "&& (has(self.constraints.maxMultiplyAdds) ? has(self.constraints.imageSize) : true) : true",
            "the size of a network follows from the images, and of dataset npz or folder only the trainer sees them: set "
            "trial.recipe.classes, and constraints.imageSize for maxMultiplyAdds",
        ),
        (
            "has(self.batchSize) ? self.mode == 'batch' : true",
            "batchSize is for mode batch; remove it, or set mode to batch",
        ),
        (
            "has(self.constraints) == has(oldSelf.constraints)",
            "constraints cannot be added or removed. Make a new NASSearch instead",
        ),
        (
            "self.evaluator == 'table' ? !has(self.promote) : true",
            "promote trains networks to the end: it is for evaluator train; remove it, or set evaluator to train",
        ),
        (
            "has(self.warmStartFrom) == has(oldSelf.warmStartFrom)",
            "warmStartFrom cannot be added or removed. Make a new NASSearch instead",
        ),
        ("has(self.table) == has(oldSelf.table)", "table cannot be added or removed. Make a new NASSearch instead"),
    )

    space: Space = Field(
        description="Search space: darts, nasbench101, nasbench201, or custom, a space of your own.",
        json_schema_extra=immutable("spec.space", "architectures of another space cannot be compared"),
    )
    custom_space: CustomSpace | None = Field(
        None,
        description="The space of your own, for space custom.",
        json_schema_extra=immutable("spec.customSpace", "architectures of another space cannot be compared"),
    )
    evaluator: Evaluator = Field(
        "train",
        description="How an architecture gets its accuracy: train (a Job trains it) or table (a Job looks it up in a benchmark "
        "table).",
        json_schema_extra=immutable("spec.evaluator", "trained and tabulated accuracies cannot be compared"),
    )
    table: TableSpec | None = Field(
        None,
        description="The benchmark table, for evaluator table. Unset: the toy table that comes with the trial image.",
        json_schema_extra=immutable("spec.table", "accuracies of different tables cannot be compared"),
    )
    strategy: Strategy = Field(
        Strategy(),
        description="How the next architectures are chosen.",
        json_schema_extra=cel(*STRATEGY_RULES),
    )
    constraints: Constraints | None = Field(
        None,
        description="How large a network may be; unset: of any size.",
        json_schema_extra=immutable("spec.constraints", "the proposals must follow from one set of bounds"),
    )
    parallelism: int = Field(
        1, ge=0, le=10_000, description="Trials in flight at once. Fewer than now: the surplus finishes. 0: none."
    )
    mode: Mode = Field(
        "async",
        description="async (a free slot is refilled at once) or batch (the next round is proposed when the one before has "
        "ended, as in the BANANAS paper).",
    )
    batch_size: int | None = Field(
        None, ge=1, le=10_000, description="Architectures of a round, for mode batch. Unset: 10, as in the paper."
    )
    budget: Budget = Field(Budget(), description="When the search ends: at the first bound that is reached.")
    suspend: bool = Field(
        False,
        description="Whether the search pauses: running trials save a checkpoint and are stopped, which is no failure, nothing "
        "new starts, and the predictor is removed. When it is false again, the stopped trials go on where they were.",
    )
    seed: int = Field(
        0,
        ge=0,
        le=4_294_967_295,
        description="Seed of every random choice: same seed and same order of results, same proposals.",
        json_schema_extra=immutable("spec.seed", "the proposals must follow from one seed"),
    )
    trial: TrialSpec = Field(TrialSpec(), description="What a trial is.")
    data: ClaimReference | None = Field(None, description="Volume with the data or table, mounted read-only.")
    checkpoints: ClaimReference | None = Field(
        None,
        description="Volume where trials keep checkpoints, so that an interrupted one goes on. Unset: an attempt starts anew.",
    )
    predictor: PodPlacement = Field(PodPlacement(), description="The pod that chooses the architectures.")
    warm_start_from: WarmStart | None = Field(
        None,
        description="Another search whose results the predictor starts with.",
        json_schema_extra=immutable("spec.warmStartFrom", "the proposals must follow from one history"),
    )
    promote: Promotion | None = Field(
        None,
        description="What to train to the end once the search is complete; test images are opened then, and only then. "
        "Outside every bound of budget. It may be added and removed at any time: then what has begun goes on to its end. Unset: "
        "nothing.",
    )


# --- status ---


class Condition(StatusModel):
    """A condition, as every Kubernetes API has them (metav1.Condition)."""

    type: str = Field(
        max_length=316,
        description="Ready, Progressing, Complete, Failed, Stalled, Oversubscribed, Suspended or PredictorUseful.",
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observed_generation: int = Field(0, ge=0, description="Generation of the spec that this was found for.")
    last_transition_time: Time = Field(description="When status changed last.")
    reason: str = Field(max_length=1024, description="Why, as one word; docs/reasons.md explains each.")
    message: str = Field("", max_length=4096, description="Why, for a person, and what to do.")


class TrialCounts(StatusModel):
    """Trials by phase."""

    pending: int = Field(0, ge=0, description="Proposed, not yet admitted.")
    queued: int = Field(0, ge=0, description="Admitted, no pod running yet.")
    running: int = Field(0, ge=0, description="Being trained.")
    succeeded: int = Field(0, ge=0, description="With a result.")
    failed: int = Field(0, ge=0, description="Failed for good.")
    cancelled: int = Field(0, ge=0, description="Not admitted, or given up by a person or with the search.")


class BestTrial(StatusModel):
    """The best result so far."""

    trial: str = Field(max_length=253, description="Name of the NASTrial.")
    validation_accuracy: float = Field(
        ge=0, le=1, description="Its validation accuracy, from 0 to 1; the mean where trials are repeated."
    )
    architecture: str = Field(max_length=1024, description="Its architecture on one line.")
    results: int = Field(1, ge=1, description="Results that the mean is of.")
    standard_deviation: float | None = Field(
        None, ge=0, le=1, description="Standard deviation of these results, where there are several."
    )


class PredictorStatus(StatusModel):
    """What the predictor says of itself; it alone writes this part, as field manager bananas-predictor."""

    results_seen: int = Field(0, ge=0, description="Results that the last fit saw.")
    fit_seconds: float | None = Field(None, ge=0, description="Seconds that the last fit took.")
    forecasts: int = Field(0, ge=0, description="Results that were forecast before they came true.")
    rank_correlation: float | None = Field(
        None, ge=-1, le=1, description="Spearman correlation of the forecasts with what came true, from -1 to 1."
    )
    mean_absolute_error: float | None = Field(
        None, ge=0, le=1, description="Mean absolute error of the forecasts, as a fraction of 1."
    )
    reason: str = Field(
        "",
        max_length=64,
        description="Why it cannot propose, as one word, where it needs help; the search is then Stalled.",
    )
    message: str = Field("", max_length=1024, description="What holds the predictor up, if anything does.")
    no_better_than_chance: bool = Field(
        False, description="Whether its forecasts, 40 or more, rank no better than chance what came true."
    )
    exhausted: bool = Field(False, description="Whether no architecture is left that was not proposed.")


class GpuSeconds(StatusModel):
    """GPU time; a GPU is counted from the start of the container to its end."""

    used: float = Field(0, ge=0, description="GPU seconds of all ended attempts.")
    wasted: float = Field(
        0,
        ge=0,
        description="GPU seconds of attempts that gave no result: an upper bound, for a checkpoint may have kept most of it.",
    )


class Interruptions(StatusModel):
    """Attempts that were ended from outside; no failures."""

    total: int = Field(0, ge=0, description="Attempts that were preempted, evicted, lost or killed.")
    preemptions: int = Field(0, ge=0, description="Those by a pod of higher priority, an eviction or a drain.")


class NASSearchStatus(StatusModel):
    """What became of a search. Its size does not grow with the number of trials."""

    phase: Literal["Pending", "Running", "Stalled", "Suspended", "Complete", "Failed"] | None = Field(
        None, description="Pending, Running, Stalled, Suspended, Complete or Failed; a summary of the conditions."
    )
    observed_generation: int | None = Field(None, ge=0, description="Generation of the spec that this status is for.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        (),
        description="Ready, Progressing, Complete, Failed, Stalled, Oversubscribed, Suspended, PredictorUseful.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    trials: TrialCounts = Field(TrialCounts(), description="Trials by phase.")
    in_flight: int = Field(0, ge=0, description="Trials admitted and not ended.")
    selector: str | None = Field(
        None, max_length=1024, description="Selects the pods of the trials; for the scale subresource."
    )
    best: BestTrial | None = Field(None, description="The best result so far.")
    predictor: PredictorStatus | None = Field(None, description="What the predictor says of itself.")
    gpu_seconds: GpuSeconds = Field(GpuSeconds(), description="GPU time.")
    promotion: PromotionStatus | None = Field(None, description="How far the training of the best to the end is.")
    avoided_nodes: Annotated[tuple[Annotated[str, Field(max_length=253)], ...], Field(max_length=10)] = Field(
        (),
        description="Nodes that failed twice in a row and are avoided for half an hour; the condition Progressing says more.",
    )
    interruptions: Interruptions = Field(Interruptions(), description="Attempts that were ended from outside.")
    start_time: Time | None = Field(None, description="When the first trial was admitted.")
    completion_time: Time | None = Field(None, description="When the search was complete or given up.")
    paused_seconds: int = Field(
        0,
        ge=0,
        description="Seconds since the first admission, up to the last resumption, in which the search was suspended or had "
        "ended; no part of budget.wallClock.",
    )
    estimated_completion_time: Time | None = Field(
        None,
        description="When the budget will be used at the pace so far, or, in a promotion, the last training to the end be done; "
        "changed when a trial is admitted, starts or ends, and with the slots: parallelism, or fewer where there is less room.",
    )
