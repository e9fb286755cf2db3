"""NASSearch and NASTrial as the predictor reads and writes them: the only place where their dicts are taken apart."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from bananas_core import constants
from bananas_core.api import NASSearchSpec, NASTrialSpec, NASTrialStatus, PredictorStatus
from bananas_core.api.trial import TableSpec
from bananas_core.names import trial_name
from bananas_predictor.errors import InputError
from bananas_predictor.search import Proposal

Raw = dict[str, Any]

SEEDS: Final = 2**32
"""Seeds of a training: 0 up to here."""


@dataclass(frozen=True, slots=True)
class SearchObject:
    """A NASSearch."""

    name: str
    uid: str
    created: str
    """When it was made, as the API server writes times."""
    is_going: bool
    """Whether it is being deleted."""
    spec: NASSearchSpec
    phase: str | None
    predictor: PredictorStatus
    """What the predictor said last; the defaults where it has said nothing."""


@dataclass(frozen=True, slots=True)
class TrialObject:
    """A NASTrial."""

    name: str
    uid: str
    controller_uid: str | None
    search_uid_label: str | None
    is_going: bool
    spec: NASTrialSpec
    status: NASTrialStatus
    is_retried: bool = False
    """Whether it has failed and a person has asked since to have it tried again."""


def read_search(raw: Raw) -> SearchObject:
    """Parses a NASSearch.

    Raises:
        InputError: naming the field that this release cannot read.
    """
    metadata, status = raw["metadata"], raw.get("status") or {}
    try:
        return SearchObject(
            name=metadata["name"],
            uid=metadata["uid"],
            created=metadata["creationTimestamp"],
            is_going="deletionTimestamp" in metadata,
            spec=NASSearchSpec.model_validate(raw["spec"]),
            phase=status.get("phase"),
            predictor=PredictorStatus.model_validate(status.get("predictor") or {}),
        )
    except ValidationError as error:
        raise InputError(f"NASSearch {metadata['name']}: {_first(error)}") from error


def read_trial(raw: Raw) -> TrialObject:
    """Parses a NASTrial.

    Raises:
        InputError: naming the field that this release cannot read.
    """
    metadata = raw["metadata"]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    try:
        status = NASTrialStatus.model_validate(raw.get("status") or {})
        return TrialObject(
            name=metadata["name"],
            uid=metadata["uid"],
            controller_uid=owners[0] if owners else None,
            search_uid_label=(metadata.get("labels") or {}).get(constants.LABEL_SEARCH_UID),
            is_going="deletionTimestamp" in metadata,
            spec=NASTrialSpec.model_validate(raw["spec"]),
            status=status,
            is_retried=_is_retried(status, (metadata.get("annotations") or {}).get(constants.ANNOTATION_RETRY)),
        )
    except ValidationError as error:
        raise InputError(f"NASTrial {metadata['name']}: {_first(error)}") from error


def _is_retried(status: NASTrialStatus, asked: str | None) -> bool:
    """Whether a person asked after the end; what is no time, for a person may have typed it, asks for nothing."""
    if status.phase != "Failed" or asked is None:
        return False
    try:
        when = datetime.fromisoformat(asked)
    except ValueError:
        return False
    ended = status.completion_time
    return when.tzinfo is not None and (ended is None or when >= datetime.fromisoformat(ended))


def trial_spec(search: SearchObject, proposal: Proposal) -> NASTrialSpec:
    """The spec of the trial that a proposal becomes."""
    spec = search.spec
    return NASTrialSpec(
        search=search.name,
        index=proposal.index,
        architecture=proposal.architecture,
        seed=(spec.seed + proposal.repeat) % SEEDS,
        recipe=spec.trial.recipe if spec.evaluator == "train" else None,
        table=(spec.table or TableSpec()) if spec.evaluator == "table" else None,
        origin=proposal.origin,
    )


def write_trial(search: SearchObject, spec: NASTrialSpec) -> Raw:
    """The NASTrial with this spec: owned by the search, so that it goes with it."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TRIAL_KIND,
        "metadata": {
            "name": trial_name(search.name, spec.index),
            "labels": {
                constants.LABEL_NAME: constants.APP_NAME,
                constants.LABEL_COMPONENT: "trial",
                constants.LABEL_SEARCH: search.name,
                constants.LABEL_SEARCH_UID: search.uid,
                constants.LABEL_ARCHITECTURE: spec.architecture.hash(),
            },
            "ownerReferences": [
                {
                    "apiVersion": constants.API_VERSION,
                    "kind": constants.SEARCH_KIND,
                    "name": search.name,
                    "uid": search.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": spec.to_kubernetes(),
    }


def write_status(search: SearchObject, status: PredictorStatus) -> Raw:
    """What is applied: this field manager's part of the status. The UID keeps it off a search of the same name made anew."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.SEARCH_KIND,
        "metadata": {"name": search.name, "uid": search.uid},
        "status": {"predictor": status.to_kubernetes()},
    }


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
