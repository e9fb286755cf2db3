"""A search and its trials as they were at one moment, parsed once; everything that is shown is made from this."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from bananas_cli.errors import Unreadable
from bananas_core import constants
from bananas_core.api import Condition, NASSearchSpec, NASSearchStatus, NASTrialSpec, NASTrialStatus
from bananas_core.model import Model
from bananas_core.workload.trials import asked_at

M = TypeVar("M", bound=Model)
RawObject = dict[str, Any]
"""An object as the API server gave it."""


@dataclass(frozen=True, slots=True)
class Search:
    """A NASSearch."""

    namespace: str
    name: str
    uid: str
    created: datetime
    spec: NASSearchSpec
    status: NASSearchStatus

    @property
    def phase(self) -> str:
        """Its phase; Pending before the operator has seen it."""
        return self.status.phase or "Pending"

    @property
    def ended(self) -> int:
        """Trials with a result or a failure."""
        return self.status.trials.succeeded + self.status.trials.failed

    def condition(self, kind: str) -> Condition | None:
        """The condition of a type, where it is True."""
        return next((c for c in self.status.conditions if c.type == kind and c.status == "True"), None)

    def lacking(self, kind: str) -> Condition | None:
        """The condition of a type, where it is False."""
        return next((c for c in self.status.conditions if c.type == kind and c.status == "False"), None)


@dataclass(frozen=True, slots=True)
class Trial:
    """A NASTrial."""

    name: str
    created: datetime
    spec: NASTrialSpec
    status: NASTrialStatus
    promotion_hash: str | None = None
    """Of what was asked of the recipe, where it trains a winner to the end."""
    retried_at: datetime | None = None
    """When a person asked for another go last."""

    @property
    def accuracy(self) -> float | None:
        """The result, where it has one."""
        return self.status.validation_accuracy if self.status.phase == "Succeeded" else None

    @property
    def seconds(self) -> float | None:
        """From the first container to the end; None before either."""
        start, end = parse_time(self.status.start_time), parse_time(self.status.completion_time)
        return (end - start).total_seconds() if start and end else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A search and its trials, lowest index first."""

    search: Search
    trials: tuple[Trial, ...]
    unreadable: tuple[str, ...] = ()
    """Names of trials that this release cannot read."""

    @property
    def ended(self) -> int:
        """Trials that used budget and are over: those that a person gave up after their admission, too."""
        given_up = sum(t.status.phase == "Cancelled" and t.status.admission_time is not None for t in self.trials)
        return self.search.ended + given_up

    promoted: tuple[Trial, ...] = ()
    """Trials that train a winner to the end: no part of the search proper."""

    def results(self) -> list[tuple[Trial, float]]:
        """Trials with a result and the result, in the order in which they ended."""
        found = [(trial, trial.accuracy) for trial in self.trials if trial.accuracy is not None]
        return sorted(found, key=lambda pair: (pair[0].status.completion_time or "", pair[0].spec.index))

    def ranked(self) -> list[Trial]:
        """Trials with a result, best first; of equals, the lower index."""
        return [t for t, _ in sorted(self.results(), key=lambda pair: (-pair[1], pair[0].spec.index))]

    def winner(self) -> tuple[Trial, str] | None:
        """The best trial, and its accuracy in words; where architectures have several trials, the first of the best mean."""
        ranked, best = self.ranked(), self.search.status.best
        if best is not None and self.search.spec.trial.repeats > 1:
            spread = f" ± {100 * best.standard_deviation:.2f}" if best.standard_deviation is not None else ""
            for trial in ranked:
                if trial.name == best.trial:
                    return trial, f"{100 * best.validation_accuracy:.2f}{spread} % (mean of {best.results})"
        return (ranked[0], f"{100 * (ranked[0].accuracy or 0):.2f} %") if ranked else None


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time, as Kubernetes writes it."""
    return datetime.fromisoformat(text) if text else None


def parse_search(raw: RawObject) -> Search:
    """Parses a NASSearch.

    Raises:
        Unreadable: naming the field that this release does not know.
    """
    metadata = raw["metadata"]
    return Search(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        spec=_parse(NASSearchSpec, raw, "spec"),
        status=_parse(NASSearchStatus, raw, "status"),
    )


def parse_trial(raw: RawObject) -> Trial:
    """Parses a NASTrial.

    Raises:
        Unreadable: naming the field that this release does not know.
    """
    metadata = raw["metadata"]
    annotations = metadata.get("annotations") or {}
    return Trial(
        name=metadata["name"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        spec=_parse(NASTrialSpec, raw, "spec"),
        status=_parse(NASTrialStatus, raw, "status"),
        promotion_hash=annotations.get(constants.ANNOTATION_PROMOTION_HASH),
        retried_at=asked_at(annotations.get(constants.ANNOTATION_RETRY)),
    )


def parse_snapshot(search: RawObject, trials: list[RawObject]) -> Snapshot:
    """Parses a search and its trials. A trial that cannot be read is named, not fatal: the others can be shown.

    Raises:
        Unreadable: where the search itself cannot be read.
    """
    readable: list[Trial] = []
    unreadable: list[str] = []
    for raw in trials:
        try:
            readable.append(parse_trial(raw))
        except Unreadable:
            unreadable.append(raw["metadata"]["name"])
    readable.sort(key=lambda trial: (trial.spec.index, trial.name))
    return Snapshot(
        parse_search(search),
        tuple(trial for trial in readable if trial.spec.origin.method != "promotion"),
        tuple(unreadable),
        tuple(trial for trial in readable if trial.spec.origin.method == "promotion"),
    )


def _parse(model: type[M], raw: RawObject, part: str) -> M:
    try:
        return model.model_validate(raw.get(part) or {})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join([part, *map(str, first["loc"])])
        raise Unreadable(
            f"{raw['kind']} {raw['metadata']['name']}: {field}: {first['msg']}; is this kubectl-nas of the same release as "
            "the cluster's operator?"
        ) from error
