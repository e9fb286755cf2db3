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
from bananas_core.names import numbered, trial_name
from bananas_core.workload.trials import is_of_promotion, is_void


def retry(cluster: Cluster, name: str, now: datetime) -> str:
    """Asks for another go now; what will happen, for a person.

    Raises:
        NotPossible: the trial does not wait after an error and has not failed, or its promotion is over.
        CliError: any other trouble.
    """
    trial = parse_trial(cluster.trial(name))
    status = trial.status
    match status.phase:
        case "Failed" if trial.spec.origin.method == "promotion":
            text = _trained_again(cluster, trial)
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
            raise NotPossible(f"{name} has succeeded with {_result(trial)}; a result is never revised")
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


def _result(trial: Trial) -> str:
    """A training to the end has no validation images, and a test accuracy alone."""
    accuracy = trial.status.validation_accuracy
    return percent(accuracy) if accuracy is not None else f"test accuracy {percent(trial.status.test_accuracy)}"


def _trained_again(cluster: Cluster, trial: Trial) -> str:
    """What will become of a training to the end that has failed.

    Raises:
        NotPossible: it is no part of a promotion any more, so that nothing would happen.
    """
    try:
        search = parse_search(cluster.search(trial.spec.search))
    except NotFound:
        raise NotPossible(f"{trial.name}: its search {trial.spec.search} is gone") from None
    if search.spec.promote is None:
        raise NotPossible(
            f"{trial.name} trains to the end, and {search.name} asks for that no more; set spec.promote first"
        )
    told, winner = search.status.promotion, trial_name(search.name, trial.spec.index)
    if told is not None and winner not in [result.trial for result in told.results]:
        raise NotPossible(
            f"{trial.name}: {winner} is not among the best of {search.name} any more; raise spec.promote.top"
        )
    if trial.spec.seed > search.spec.promote.seeds:
        raise NotPossible(f"{trial.name} has seed {trial.spec.seed}; raise spec.promote.seeds of {search.name} first")
    _refuse_replaced(cluster, trial, search)
    text = f"{trial.name}: its network is trained to the end once more, as a new trial"
    if search.phase == "Failed":
        return f"{text}, once the search goes on: {search.name} is Failed; raise {_bound(search)}"
    if search.phase == "Suspended":
        return f"{text}, once {search.name} is resumed"
    return text


def _refuse_replaced(cluster: Cluster, trial: Trial, search: Search) -> None:
    """Nothing comes of another go at a training in whose place another counts: the operator looks at the last that does.

    Raises:
        NotPossible: it is so.
    """
    first, number = numbered(trial.name)
    names = (raw for raw in cluster.trials(search.uid) if numbered(raw["metadata"]["name"])[0] == first)
    counting = [
        one
        for one in map(parse_trial, names)
        if one.name != trial.name and _is_of(one, search) and not is_void(one.status, one.retried_at)
    ]
    last = max(counting, key=lambda one: numbered(one.name)[1], default=None)
    phase = last.status.phase if last is not None else ""
    by = f"as {last.name} ({phase})" if last is not None else "by itself, once the search has ended"
    hint = "; retry that one" if phase == "Failed" else ""
    if not _is_of(trial, search):
        raise NotPossible(
            f"{trial.name} had another recipe than spec.promote of {search.name} asks for now; its network is trained by that "
            f"recipe {by}{hint}"
        )
    if last is not None and numbered(last.name)[1] > number:
        raise NotPossible(f"{trial.name}: its network is trained once more already, {by}{hint}")


def _is_of(trial: Trial, search: Search) -> bool:
    return is_of_promotion(trial.spec, trial.promotion_hash, search.spec)


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
