"""`kubectl nas retry` and `cancel`: a person's word about one trial, as an annotation that the operator reads.

Called by `command`. What makes no sense in the trial's state is refused here with the reason; the operator passes it over.
"""

from datetime import UTC, datetime, timedelta

from bananas_cli.cluster import Cluster
from bananas_cli.errors import NotFound, NotPossible
from bananas_cli.formatting import percent
from bananas_cli.snapshot import Search, Trial, parse_search, parse_time, parse_trial
from bananas_core import constants
from bananas_core.api.trial import TERMINAL_PHASES


def retry(cluster: Cluster, name: str, now: datetime) -> str:
    """Asks for another go now; what will happen, for a person.

    Raises:
        NotPossible: the trial does not wait after an error and has not failed.
        CliError: any other trouble.
    """
    trial = parse_trial(cluster.trial(name))
    status = trial.status
    match status.phase:
        case "Failed":
            text = f"{name}: its architecture is offered again, as a new trial"
            ended = _ended(cluster, trial)
            if ended is not None:
                text += f", once the search goes on: {ended.name} is {ended.phase}; raise {_bound(ended)}"
        case "Queued" if status.next_attempt_time is not None:
            text = f"{name}: attempt {status.attempts + 1} starts now"
        case "Queued":
            raise NotPossible(
                f"{name} is Queued, and not because of an error: {status.message or 'it waits for its pod'}"
            )
        case "Running":
            raise NotPossible(f"{name} is running (attempt {status.attempts}); retry is for one that failed or waits")
        case "Succeeded":
            raise NotPossible(
                f"{name} has succeeded with {percent(status.validation_accuracy)}; a result is never revised"
            )
        case "Cancelled":
            raise NotPossible(f"{name} was cancelled ({status.reason}); retry is for one that failed or waits")
        case "Pending":
            raise NotPossible(f"{name} was not admitted yet: it waits for a free slot; there is nothing to retry")
    cluster.annotate_trial(name, constants.ANNOTATION_RETRY, _stamp(max(now, _ended_at(trial) + timedelta(seconds=1))))
    return text


def cancel(cluster: Cluster, name: str, now: datetime) -> str:
    """Gives a trial up; what will happen, for a person.

    Raises:
        NotPossible: the trial has ended.
        CliError: any other trouble.
    """
    trial = parse_trial(cluster.trial(name))
    status = trial.status
    if status.phase in TERMINAL_PHASES:
        raise NotPossible(f"{name} has ended already ({status.phase}); there is nothing to cancel")
    cluster.annotate_trial(name, constants.ANNOTATION_CANCEL, _stamp(now))
    if status.phase == "Running":
        return f"{name}: attempt {status.attempts} is stopped and the trial Cancelled; another takes its slot"
    return f"{name}: Cancelled before it ran"


def _ended(cluster: Cluster, trial: Trial) -> Search | None:
    """The search, if it proposes nothing any more."""
    try:
        search = parse_search(cluster.search(trial.spec.search))
    except NotFound:
        return None
    return search if search.phase in ("Complete", "Failed") else None


def _bound(search: Search) -> str:
    return "spec.trial.maxFailedTrials" if search.phase == "Failed" else "spec.budget"


def _ended_at(trial: Trial) -> datetime:
    """By the cluster's clock, which may be ahead of ours: a wish counts only if it came later."""
    return parse_time(trial.status.completion_time or trial.status.settled_time) or trial.created


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
