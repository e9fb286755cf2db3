"""What a pass may do to the cluster: the vocabulary between `plan` and `apply`. No behaviour."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bananas_core.api import NASSearchStatus, NASTrialStatus
from bananas_operator.resources import Json
from bananas_operator.views import TrialView


@dataclass(frozen=True)
class Note:
    """An Event about the search, for a person."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class WriteTrial:
    """Write a trial's status, at the observed version."""

    trial: TrialView
    status: NASTrialStatus
    decision: str
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class CreateTrial:
    """Make a trial of a promotion; every other trial is the predictor's."""

    manifest: Json


@dataclass(frozen=True)
class EnsureConfigMap:
    """Make a ConfigMap, or bring it up to date."""

    manifest: Json


@dataclass(frozen=True)
class CreateJob:
    """Start an attempt."""

    trial: TrialView
    attempt: int
    manifest: Json


@dataclass(frozen=True)
class DeleteJob:
    """Delete the Job of an attempt that is settled, or that is to stop."""

    name: str
    uid: str
    stops: bool = False
    """Whether it still runs: then the Job stays, being deleted, until its pod has saved what it has and ended."""


@dataclass(frozen=True)
class DeleteJobs:
    """Delete all Jobs of trials that have ended, in one request."""

    trial_uids: tuple[str, ...]
    job_uids: tuple[str, ...]


@dataclass(frozen=True)
class EnsurePredictor:
    """Make what is missing of a predictor, and bring its Deployment up to date."""

    service_account: Json
    role_binding: Json
    deployment: Json
    outdated: bool
    """Whether the Deployment is there, made from another template."""
    present: bool
    """Whether the Deployment is there."""
    accounts: bool = True
    """Whether ServiceAccount and RoleBinding were not seen to be there a short while ago."""


@dataclass(frozen=True)
class DeletePredictor:
    """Delete a predictor; its Deployment last, because its presence is what tells that there is something to delete."""

    name: str
    deployment_uid: str


@dataclass(frozen=True)
class WriteSearch:
    """Write the search's status, at the observed version."""

    status: NASSearchStatus
    notes: tuple[Note, ...] = ()


Jobs = CreateJob | DeleteJob | DeleteJobs
Predictor = EnsurePredictor | DeletePredictor
Action = WriteTrial | CreateTrial | Jobs | Predictor | EnsureConfigMap | WriteSearch


@dataclass(frozen=True)
class Plan:
    """What to do now, in this order, and when to look again."""

    actions: tuple[Action, ...] = ()
    again_at: datetime | None = None
    held: bool = False
    """Whether numbers of the search's status have changed that wait for others to be written with them."""
