"""What holds a search up, found anew in every pass: at most one cause at a time, the most fundamental first. Pure.

Called by `plan`, which stops admission while a cause holds it, and by `conditions`, which tells it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bananas_core import constants
from bananas_core.names import job_name, predictor_name
from bananas_operator.attempts import next_attempt_number, waits_for_mending
from bananas_operator.classify import CONFIG_REASONS, IMAGE_REASONS, Blocked, Running
from bananas_operator.facts import refusal
from bananas_operator.resources import DEPLOYMENTS, JOBS, TRIAL_STATUS
from bananas_operator.survey import Survey
from bananas_operator.views import (
    ContainerRunning,
    ContainerWaiting,
    DeploymentView,
    Finding,
    PodView,
    Problem,
    TrialView,
)

_TO_DO = {
    constants.REASON_DATA_MISSING: "Put it on the claim of spec.data",
    constants.REASON_DATA_INVALID: "Mend the file on the claim of spec.data, or what the spec asks of it",
    constants.REASON_RECIPE_INVALID: "The recipe cannot change: mend the data, or make a new NASSearch",
    constants.REASON_CHECKPOINT_UNUSABLE: "Make the claim of spec.checkpoints writable for user 65532",
    constants.REASON_CONTRACT_BROKEN: "Use an image that follows version 1 of the contract: spec.trial.template.image",
}
"""What a person does about an error that a trainer has told."""


@dataclass(frozen=True)
class Stall:
    """A cause outside the search."""

    problem: Problem
    holds_admission: bool = True
    holds_jobs: bool = True
    """Whether Jobs of admitted trials must wait too."""
    probe: str | None = None
    """UID of the one trial that tries whether the cause is mended, if Jobs wait."""


def find_stall(survey: Survey) -> Stall | None:
    """The cause that holds the search up, if there is one."""
    return (
        _invalid_spec(survey)
        or _missing_claim(survey)
        or _claim_of_one_pod(survey)
        or _refused_template(survey)
        or _refused_job(survey)
        or _fatal_error(survey)
        or _refused_pod(survey)
    )


def _invalid_spec(survey: Survey) -> Stall | None:
    problem = survey.observed.search.problem
    if problem is None:
        return None
    return Stall(Problem(constants.REASON_INVALID_SPEC, f"{problem}. Mend the field"))


def _missing_claim(survey: Survey) -> Stall | None:
    missing = survey.observed.facts.missing_claims
    if not missing:
        return None
    field, claim = missing[0]
    return Stall(
        Problem(
            constants.REASON_CLAIM_NOT_FOUND,
            f"{field}: the namespace has no PersistentVolumeClaim {claim}. Create it, or name another",
        )
    )


def _claim_of_one_pod(survey: Survey) -> Stall | None:
    """Two trials at once could never both have it: the second would wait for ever."""
    parallelism = survey.spec.parallelism if survey.spec is not None else 0
    claim = next((claim for claim in survey.observed.facts.claims if claim.of_one_pod), None)
    if claim is None or parallelism <= 1:
        return None
    return Stall(
        Problem(
            constants.REASON_CLAIM_OF_ONE_POD,
            f"{claim.field}: claim {claim.name} is ReadWriteOncePod, so that one pod alone can mount it, and spec.parallelism is "
            f"{parallelism}. Set parallelism to 1, or use a claim with ReadWriteMany (ReadWriteOnce: all trials on one node)",
        )
    )


def _refused_template(survey: Survey) -> Stall | None:
    problem = survey.observed.facts.template
    return Stall(problem) if problem is not None else None


def _refused_job(survey: Survey) -> Stall | None:
    """A Job that could not be made. Its own creation is tried again when the finding is due; others go on."""
    finding = next((found for trial in survey.observed.trials if (found := job_finding(survey, trial))), None)
    if finding is None or _waits_for_quota(survey, finding.problem):
        return None
    return Stall(finding.problem, holds_jobs=False)


def job_finding(survey: Survey, trial: TrialView) -> Finding | None:
    """What was found when the next Job of a trial was to be made."""
    if not trial.in_flight or trial.uid in survey.attempts:
        return None
    number = next_attempt_number(trial, survey.jobs(trial))
    return survey.observed.finding(JOBS.kind, job_name(trial.name, number))


def _fatal_error(survey: Survey) -> Stall | None:
    """An error that every trial would meet, while there is no result that shows the contrary."""
    working = [trial for trial in survey.observed.trials if trial.in_flight]
    if survey.has_success:
        return _all_blocked(survey, working)
    if any(survey.healthy(trial) for trial in working):
        return None
    for trial in working:
        attempt = survey.attempts.get(trial.uid)
        if attempt is not None and isinstance(attempt.outcome, Blocked):
            return Stall(Problem(attempt.outcome.reason, attempt.outcome.message), probe=trial.uid)
    waiting = [trial for trial in working if waits_for_mending(trial.status)]
    if not waiting:
        return None
    failure = waiting[0].status.failure
    assert failure is not None  # waits_for_mending
    probing = next((trial for trial in working if trial.uid in survey.attempts), working[0])
    advice = f". {_TO_DO[failure.reason]}" if failure.reason in _TO_DO else ""
    text = f"trial {waiting[0].name}: {failure.message.rstrip('.')}{advice}; one trial tries again"
    return Stall(Problem(failure.reason, text), probe=probing.uid)


def _all_blocked(survey: Survey, working: list[TrialView]) -> Stall | None:
    """With results there, a container that cannot start is its trial's matter, but nothing moves if it is so for all."""
    outcomes = [survey.attempts[trial.uid].outcome if trial.uid in survey.attempts else None for trial in working]
    blocked = [outcome for outcome in outcomes if isinstance(outcome, Blocked)]
    if not blocked or len(blocked) < len(outcomes):
        return None
    return Stall(Problem(blocked[0].reason, blocked[0].message), holds_admission=False, holds_jobs=False)


def _refused_pod(survey: Survey) -> Stall | None:
    for trial in survey.observed.trials:
        attempt = survey.attempts.get(trial.uid)
        job = attempt.job if attempt is not None else None
        if job is not None and not job.suspended and job.pod is None and job.refusal is not None:
            problem = refusal(job.refusal, "spec.trial.template", constants.REASON_POD_REFUSED)
            return None if _waits_for_quota(survey, problem) else Stall(problem)
    return None


def is_short_of_quota(survey: Survey) -> bool:
    """Whether a quota refuses a Job or pod: one that counts objects may be full of those that have ended."""
    refusals = [job.refusal for job in survey.observed.jobs if job.pod is None and job.refusal is not None]
    problems = [found.problem for found in survey.observed.findings]
    problems += [refusal(text, "spec.trial.template", constants.REASON_POD_REFUSED) for text in refusals]
    return any(problem.reason == constants.REASON_QUOTA_EXCEEDED for problem in problems)


def _waits_for_quota(survey: Survey, problem: Problem) -> bool:
    """A used-up quota that lets some trials run makes the others wait, as full nodes do: it holds up nothing else."""
    runs = any(isinstance(attempt.outcome, Running) for attempt in survey.attempts.values())
    return runs and problem.reason == constants.REASON_QUOTA_EXCEEDED


def find_stuck_trial(survey: Survey) -> Stall | None:
    """A trial whose status cannot be read or written; it takes its place, and all others go on."""
    for trial in survey.observed.trials:
        refused = survey.observed.finding(TRIAL_STATUS, trial.name)
        problem = trial.unreadable or (refused.problem if refused is not None else None)
        if problem is None or trial.deleting:
            continue
        advice = "Mend or delete the trial, or install the release that wrote it"
        text = f"trial {trial.name}: {problem.message}. {advice}; the others go on"
        return Stall(Problem(problem.reason, text), holds_admission=False, holds_jobs=False)
    return None


# --- predictor ---


def find_predictor_stall(survey: Survey) -> Stall | None:
    """What keeps the predictor from proposing; trials that are there already go on."""
    observed = survey.observed
    finding = observed.finding(DEPLOYMENTS.kind, predictor_name(observed.search.name))
    if finding is not None:
        return _predictor(finding.problem.reason, finding.problem.message)
    said = observed.search.status.predictor
    if said is not None and said.reason:
        return _predictor(said.reason, said.message)
    deployment = observed.deployment
    if deployment is None or _is_unjudged(survey, deployment):
        return _told_before(survey)
    return _predictor_deployment(survey, deployment)


def _is_unjudged(survey: Survey, deployment: DeploymentView) -> bool:
    """Whether it is so new that nothing has been said of its pod."""
    is_silent = not deployment.available and deployment.refusal is None and not deployment.pods
    return is_silent and survey.now < deployment.created + timedelta(seconds=survey.settings.recheck_seconds)


def _told_before(survey: Survey) -> Stall | None:
    """A Deployment whose pod is refused is made anew every minute; until the new one is judged, nothing has changed."""
    for told in survey.observed.search.status.conditions:
        if (told.type, told.reason) == (constants.CONDITION_STALLED, constants.REASON_PREDICTOR_UNAVAILABLE):
            return _predictor(told.reason, told.message)
    return None


def _predictor_deployment(survey: Survey, deployment: DeploymentView) -> Stall | None:
    if deployment.available:
        return None
    if deployment.refusal is not None:
        return _predictor(
            constants.REASON_PREDICTOR_UNAVAILABLE,
            refusal(deployment.refusal, "spec.predictor", constants.REASON_POD_REFUSED).message,
        )
    for pod in (pod for pod in deployment.pods if pod.deletion is None):
        stall = _predictor_pod(pod, survey)
        if stall is not None:
            return stall
    if survey.now >= predictor_deadline(survey, deployment):
        seconds = survey.settings.predictor_limit_seconds
        return _predictor(
            constants.REASON_PREDICTOR_UNAVAILABLE,
            f"Deployment {deployment.name} has not been available for {seconds:.0f} s. Look at its pod's log and events",
        )
    return None


def predictor_deadline(survey: Survey, deployment: DeploymentView) -> datetime:
    """From when on a predictor that is not available is worth a condition."""
    since = max((pod.created for pod in deployment.pods), default=deployment.created)
    return since + timedelta(seconds=survey.settings.predictor_limit_seconds)


def _predictor_pod(pod: PodView, survey: Survey) -> Stall | None:
    state = pod.state
    if isinstance(state, ContainerWaiting) and state.reason in IMAGE_REASONS:
        return _predictor(
            constants.REASON_PREDICTOR_FAILING,
            f"image {pod.image} of the predictor cannot be pulled ({state.reason}: {state.message}). Make it available, or "
            "set spec.predictor.image or imagePullSecrets",
        )
    if isinstance(state, ContainerWaiting) and state.reason in CONFIG_REASONS:
        return _predictor(
            constants.REASON_PREDICTOR_FAILING, f"the predictor cannot be started ({state.reason}: {state.message})"
        )
    if not pod.available and pod.restarts >= 2:  # once may be a lost connection
        return _predictor(
            constants.REASON_PREDICTOR_FAILING,
            f"the predictor has ended {pod.restarts} times, last with: {pod.last_message or 'no message; look at its log'}",
        )
    was_ready = (
        isinstance(state, ContainerRunning) and pod.unready_since is not None and pod.unready_since > state.started
    )
    if was_ready and pod.deletion is None:
        return _predictor(
            constants.REASON_PREDICTOR_FAILING,
            "the predictor runs, but has ceased to answer, or says that it is stuck. If it does not come to itself, the "
            "kubelet ends it and it begins anew; look at its log and events",
        )
    waited = (survey.now - pod.created).total_seconds()
    if pod.unschedulable is not None and waited >= survey.settings.unschedulable_seconds:
        return _predictor(
            constants.REASON_PREDICTOR_UNAVAILABLE,
            f"the predictor waits for a node: {pod.unschedulable}. Make room, or change spec.predictor.resources",
        )
    return None


def _predictor(reason: str, message: str) -> Stall:
    return Stall(Problem(reason, message), holds_admission=False, holds_jobs=False)
