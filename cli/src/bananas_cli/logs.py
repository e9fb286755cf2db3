"""The log of a trial's attempt, or of a search's predictor. Called by `command`, which writes the pieces out.

Which pod it is follows from labels alone: the operator names Jobs, Kubernetes names pods.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from bananas_cli.cluster import Cluster
from bananas_cli.errors import NoResult, NotFound, NotPossible
from bananas_cli.snapshot import RawObject, Trial, parse_search, parse_trial
from bananas_core import constants
from bananas_core.api.trial import TERMINAL_PHASES

TRAINER, PREDICTOR = "trainer", "predictor"
"""Names of the containers."""
POLL_SECONDS: Final = 1.0
"""Between looks at a container that has not started: a person watches."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which log, and how much of it."""

    attempt: int | None = None
    """Of a trial; None is the last one that has a pod."""
    follow: bool = False
    previous: bool = False
    """That of the container before the last restart."""
    tail: int | None = None
    """Last lines; None is all."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whose log it is."""

    words: str
    """For messages."""
    labels: dict[str, str]
    container: str
    absent: Callable[[], NoResult]
    """What it means that there is no pod."""


def log_pieces(cluster: Cluster, name: str, wanted: Wanted, say: Callable[[str], None]) -> Iterator[bytes]:
    """The log of the trial of this name, or else of the predictor of the search of this name, piece by piece.

    `say` is told once what a log that does not begin yet waits for.

    Raises:
        NotFound: there is neither.
        NotPossible: an attempt of a search, or one that never was.
        NoResult: no pod, or its container has not started; says why.
        CliError: any other trouble.
    """
    subject = _subject(cluster, name, wanted)
    pod = _started_pod(cluster, subject, wanted, say)
    yield from cluster.log(pod, subject.container, follow=wanted.follow, previous=wanted.previous, tail=wanted.tail)


def _subject(cluster: Cluster, name: str, wanted: Wanted) -> _Subject:
    try:
        raw = cluster.trial(name)
    except NotFound as no_trial:
        try:
            search = parse_search(cluster.search(name))
        except NotFound as no_search:
            raise NotFound(f"{no_trial}. And {no_search}") from None
        if wanted.attempt is not None:
            raise NotPossible(f"{name} is a search; --attempt is for a trial, such as {name}-0") from None
        labels = {constants.LABEL_SEARCH_UID: search.uid, constants.LABEL_COMPONENT: "predictor"}
        text = f"the predictor of {name} has no pod: the search is {search.phase}"
        stalled = search.condition(constants.CONDITION_STALLED)
        if stalled is not None:
            text += f" ({stalled.reason}: {stalled.message})"
        return _Subject(f"the predictor of {name}", labels, PREDICTOR, lambda: NoResult(text))
    trial = parse_trial(raw)
    attempts = trial.status.attempts
    if wanted.attempt is not None and not 1 <= wanted.attempt <= max(attempts, 1):
        there = "no attempt yet" if attempts == 0 else "1 attempt" if attempts == 1 else f"{attempts} attempts"
        raise NotPossible(f"--attempt {wanted.attempt}: {name} has had {there}; want a number from 1")
    labels = {constants.LABEL_TRIAL_UID: str(raw["metadata"]["uid"])}
    words = name
    if wanted.attempt is not None:
        labels[constants.LABEL_ATTEMPT] = str(wanted.attempt)
        words = f"attempt {wanted.attempt} of {name}"
    return _Subject(words, labels, TRAINER, lambda: _no_pod(words, trial))


def _started_pod(cluster: Cluster, subject: _Subject, wanted: Wanted, say: Callable[[str], None]) -> str:
    """Name of the pod; with `follow`, once its container has started."""
    told = ""
    while True:
        pods = cluster.pods(subject.labels)
        if not pods:
            raise subject.absent()
        pod = max(pods, key=_age)
        waits_for = _why_not_started(pod, subject.container)
        if waits_for is None:
            return str(pod["metadata"]["name"])
        text = f"{subject.words}: pod {pod['metadata']['name']} has not started: {waits_for}"
        if not wanted.follow:
            raise NoResult(text)
        if text != told:
            say(text)
            told = text
        time.sleep(POLL_SECONDS)


def _age(pod: RawObject) -> tuple[int, str]:
    attempt = (pod["metadata"].get("labels") or {}).get(constants.LABEL_ATTEMPT, "0")
    return (int(attempt) if attempt.isdecimal() else 0), str(pod["metadata"].get("creationTimestamp"))


def _why_not_started(pod: RawObject, container: str) -> str | None:
    """None once the container runs or has run."""
    status: dict[str, Any] = pod.get("status") or {}
    for found in status.get("containerStatuses") or ():
        if found.get("name") != container:
            continue
        state = found.get("state") or {}
        if "waiting" not in state or found.get("restartCount") or (found.get("lastState") or {}).get("terminated"):
            return None
        return _words(state["waiting"], "the container is being made")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _words(condition, "no node has been found")
    if status.get("phase") == "Failed":
        return _words(status, "it failed")
    return "no node has taken it up yet"


def _words(given: dict[str, Any], otherwise: str) -> str:
    return ": ".join(str(given[key]) for key in ("reason", "message") if given.get(key)) or otherwise


def _no_pod(words: str, trial: Trial) -> NoResult:
    status = trial.status
    if status.phase in TERMINAL_PHASES:
        why = status.reason or (status.failure.reason if status.failure is not None else "")
        return NoResult(
            f"{words} has ended ({status.phase}{f', {why}' if why else ''}), and its pod is gone, and the log with it: Jobs go "
            "once their result is recorded, failed ones after some hours. kubectl nas export has what was recorded"
        )
    if status.phase == "Pending":
        return NoResult(f"{words} was not admitted yet: it waits for a free slot and has no pod")
    waits = f": {status.message}" if status.message else ""
    return NoResult(f"{words} has no pod at the moment; it is {status.phase}{waits}")
