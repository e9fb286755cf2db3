"""The decision of a pass: `Observed` -> `Plan`. Pure; reads as the table of contents of the operator's rules.

Trial statuses are decided first and carried along (`statuses`), so that the search's status at the end tells what will be
true once everything before it has been written; `apply` stops at the first write that fails.
"""

from datetime import datetime, timedelta

from bananas_core import constants
from bananas_core.api import NASSearchSpec, NASTrialStatus
from bananas_core.names import predictor_name
from bananas_core.workload.job import template_hash
from bananas_operator import admission, budgets, conditions, promotion, silence, stalls
from bananas_operator.actions import (
    Action,
    CreateJob,
    CreateTrial,
    DeleteJob,
    DeleteJobs,
    DeletePredictor,
    EnsurePredictor,
    Note,
    Plan,
    WriteSearch,
    WriteTrial,
)
from bananas_operator.attempts import Attempt, Rules, advance, give_up, next_attempt_number, supersede
from bananas_operator.classify import Blocked, FatalForSearch, FatalForTrial, Retryable, Running, Waiting
from bananas_operator.classify import classify as classify_job
from bananas_operator.job import build_job
from bananas_operator.placement import place
from bananas_operator.predictor import build_deployment, build_role_binding, build_service_account, is_edited
from bananas_operator.predictor import template_hash as predictor_hash
from bananas_operator.resources import DEPLOYMENTS
from bananas_operator.settings import Settings
from bananas_operator.stalls import Stall
from bananas_operator.steering import is_retried, is_stopped, steered
from bananas_operator.survey import Survey, is_admitted, verdict
from bananas_operator.views import ContainerEnded, DeploymentView, JobView, Observed, TrialView

Statuses = dict[str, NASTrialStatus]
DEFAULT_RETRIES = 2
MOST_JOBS_TOGETHER = 50
"""Their UIDs go into the address of a request."""


def plan(observed: Observed, now: datetime, settings: Settings) -> Plan:
    """What to do about a search now."""
    if observed.search.deleting:
        return Plan()  # the garbage collector takes everything, by owner references
    seen, promoted = promotion.surveys(observed, now, settings)
    statuses: Statuses = {trial.uid: trial.status for trial in seen.observed.trials}
    stall = None if seen.suspended else stalls.find_stall(seen)

    actions: list[Action] = [*_advance_trials(seen, statuses), *_advance_trials(promoted.seen, promoted.statuses)]
    actions += promotion.give_up(promoted)
    reached = budgets.reached(seen, statuses)
    outcome = verdict(seen, statuses, reached)
    works = outcome == "open" and not seen.suspended
    if outcome == "open":
        held = not works or reached is not None or (stall is not None and stall.holds_admission)
        actions += admission.withdraw(seen, statuses) if works else ()
        actions += admission.admit(seen, statuses, held=held, taken=promoted.in_flight)
        actions += _start_jobs(seen, statuses, stall, taken=_at_work(promoted.seen, promoted.statuses))
    else:
        actions += admission.end(seen, statuses, outcome, reached)
    if not seen.suspended:
        actions += promotion.promote(seen, statuses, promoted, outcome)
        stall = stall or promotion.find_stall(seen, statuses, promoted, outcome)
    actions += _start_jobs(promoted.seen, promoted.statuses, stall, taken=_at_work(seen, statuses) + _starts(actions))
    for part in (seen, promoted.seen):
        actions += [*_stop_jobs(part), *_delete_jobs(part, all_now=not works)]
    actions += _predictor(seen, statuses, wanted=works)
    if works and stall is None and _proposals_needed(seen, statuses):
        stall = stalls.find_predictor_stall(seen)
    stall = stall or stalls.find_stuck_trial(seen) or stalls.find_stuck_trial(promoted.seen)
    outcome, promotion_status, winner = promotion.outcome(seen, statuses, promoted, outcome)
    actions += winner
    status = conditions.search_status(conditions.Found(seen, statuses, stall, outcome, promoted, promotion_status))
    held = conditions.is_held(observed, status, now)
    if status != observed.search.status and not held:
        actions.append(WriteSearch(status, conditions.transition_notes(observed.search.status, status)))
    dues = [budgets.due(seen, statuses), observed.status_held_until if held else None]
    return Plan(tuple(actions), _again_at(seen, promoted.seen, dues, actions), held)


# --- trials ---


def _advance_trials(seen: Survey, statuses: Statuses) -> list[WriteTrial]:
    """What became of the attempts, recorded."""
    retries = seen.spec.trial.retries if seen.spec is not None else DEFAULT_RETRIES
    saves = seen.spec is not None and seen.spec.checkpoints is not None
    writes = []
    has_success = seen.has_success
    for trial in seen.observed.trials:
        if not trial.in_flight or trial.deleting or seen.stuck(trial):
            continue
        rules = Rules(retries, has_success, seen.now, seen.settings, saves)
        status = steered(seen, trial, _advanced(seen, trial, rules))
        if status != trial.status:
            statuses[trial.uid] = status
            decision = _decision(trial.status, status)
            writes.append(WriteTrial(trial, status, decision, _trial_notes(trial, status)))
        has_success = has_success or status.phase == "Succeeded"
    return writes


def _advanced(seen: Survey, trial: TrialView, rules: Rules) -> NASTrialStatus:
    attempt = seen.attempts.get(trial.uid)
    if attempt is None:
        return give_up(trial, trial.problem, seen.now) if trial.spec is None and trial.problem else trial.status
    never_started = isinstance(attempt.outcome, Waiting | Blocked)
    if never_started and attempt.job is not None and seen.spec is not None:
        if attempt.job.template_hash != template_hash(seen.spec, seen.settings, promoted=trial.promoted):
            return supersede(trial, attempt, "the template changed")
        if not set(attempt.job.avoids) <= {one.node for one in seen.avoided}:
            return supersede(trial, attempt, "a node that was avoided is so no more")
    return _moved_on(seen, trial, attempt, rules)


def _moved_on(seen: Survey, trial: TrialView, attempt: Attempt, rules: Rules) -> NASTrialStatus:
    return advance(trial, attempt, seen.observed.progress_of.get(trial.uid), rules)


def _decision(old: NASTrialStatus, new: NASTrialStatus) -> str:
    if new.stopped_attempt > old.stopped_attempt:
        return f"attempt {new.stopped_attempt} is to stop"
    if new.settled_attempt == old.settled_attempt:
        return f"attempt {new.attempts} {new.phase.lower()}"
    return f"attempt {new.settled_attempt} settled: {new.phase.lower()}"


def _trial_notes(trial: TrialView, status: NASTrialStatus) -> tuple[Note, ...]:
    if status.phase == "Failed" and status.failure is not None:
        text = f"trial {trial.name} failed after {status.attempts} attempts: {status.failure.reason}: {status.failure.message}"
        return (Note("Warning", constants.EVENT_TRIAL_FAILED, text[:1000]),)
    again = status.retries > trial.status.retries or status.failure != trial.status.failure
    if status.phase == "Queued" and status.failure is not None and again:
        failure = status.failure
        text = f"trial {trial.name}, attempt {status.settled_attempt}: {failure.reason}: {failure.message}"
        return (Note("Warning", constants.EVENT_ATTEMPT_FAILED, text[:1000]),)
    if status.interruptions > trial.status.interruptions:
        text = f"trial {trial.name}, attempt {status.settled_attempt}: {status.message}"
        return (Note("Normal", constants.EVENT_TRIAL_INTERRUPTED, text[:1000]),)
    return ()


# --- Jobs ---


def _start_jobs(seen: Survey, statuses: Statuses, stall: Stall | None, *, taken: int) -> list[CreateJob]:
    """Next attempts of trials whose admission is persisted: lowest index first, never more at work than parallelism.

    `taken` slots are at work elsewhere: the promotion's for the search, the search's for the promotion.
    """
    spec = seen.spec
    if spec is None or seen.suspended:
        return []
    at_work = taken + _at_work(seen, statuses)
    starts = []
    where = place(spec, seen.observed.facts, seen.avoided)
    for trial in seen.observed.trials:
        if at_work >= spec.parallelism:
            break
        waits = trial.in_flight and not (trial.deleting or seen.stuck(trial)) and trial.uid not in seen.attempts
        if not waits or statuses[trial.uid].phase != "Queued" or not _may_start(seen, trial, stall):
            continue
        if seen.survivors(trial):  # first that one ends: two at once would take two slots
            continue
        number = next_attempt_number(trial, seen.jobs(trial))
        job = build_job(seen.observed.search, spec, trial, number, seen.settings, where)
        starts.append(CreateJob(trial, number, job))
        at_work += 1
    return starts


def _at_work(seen: Survey, statuses: Statuses) -> int:
    """Slots that Jobs take."""
    return seen.orphans() + sum(
        seen.works(trial) and trial.uid in seen.attempts and not _settled_now(trial, statuses)
        for trial in seen.observed.trials
    )


def _starts(actions: list[Action]) -> int:
    return sum(isinstance(action, CreateJob) for action in actions)


def _settled_now(trial: TrialView, statuses: Statuses) -> bool:
    return statuses[trial.uid].settled_attempt > trial.status.settled_attempt


def _may_start(seen: Survey, trial: TrialView, stall: Stall | None) -> bool:
    retried = is_retried(trial)
    if stall is not None and stall.holds_jobs and stall.probe != trial.uid and not (retried and stall.probe):
        return False
    finding = stalls.job_finding(seen, trial)
    if finding is not None and seen.now < finding.retry_at:
        return False
    due = trial.status.next_attempt_time
    if due is None or seen.now >= datetime.fromisoformat(due) or retried:
        return True
    return stall is not None and _spec_changed(seen)


def _spec_changed(seen: Survey) -> bool:
    """Whether the user has changed the spec since the search was found stalled."""
    search = seen.observed.search
    return any(
        c.type == constants.CONDITION_STALLED and c.status == "True" and c.observed_generation != search.generation
        for c in search.status.conditions
    )


def _stop_jobs(seen: Survey) -> list[DeleteJob]:
    """Jobs whose end is wanted, by the status as it was observed: persisted for certain."""
    return [
        DeleteJob(job.name, job.uid, stops=True)
        for trial in seen.observed.trials
        if not seen.stuck(trial)
        for job in seen.jobs(trial)
        if not job.deleting and is_stopped(trial, job)
    ]


def _delete_jobs(seen: Survey, *, all_now: bool) -> list[DeleteJob | DeleteJobs]:
    """Jobs whose end is recorded, by the status as it was observed: persisted for certain.

    Those of trials that have ended wait for others, to be deleted with them in one request; but not where a quota is short,
    nor where a pod may still hold a GPU: that of a last attempt that hangs, or whose image cannot be pulled.
    """
    deletions: list[DeleteJob | DeleteJobs] = []
    together: list[JobView] = []
    for trial in seen.observed.trials:
        jobs = seen.jobs(trial)
        spent = (
            [job for job in jobs if not job.deleting and _is_spent(seen, trial, job)] if not seen.stuck(trial) else []
        )
        alive = seen.survivors(trial)
        if trial.terminal and len(spent) == len(jobs):
            ended = [job for job in spent if _has_ended(seen, job)]
            together += ended
            spent = [job for job in spent if job not in ended]
        deletions += [DeleteJob(job.name, job.uid, stops=job in alive) for job in spent if not is_stopped(trial, job)]
    if all_now or len(together) >= seen.settings.jobs_together or stalls.is_short_of_quota(seen):
        for start in range(0, len(together), MOST_JOBS_TOGETHER):
            deletions.append(_delete_together(together[start : start + MOST_JOBS_TOGETHER]))
    return deletions


def _has_ended(seen: Survey, job: JobView) -> bool:
    return not isinstance(classify_job(job, seen.now, seen.settings), Running | Waiting | Blocked)


def _delete_together(jobs: list[JobView]) -> DeleteJob | DeleteJobs:
    if len(jobs) == 1:
        return DeleteJob(jobs[0].name, jobs[0].uid)
    return DeleteJobs(tuple({job.trial_uid: None for job in jobs}), tuple(job.uid for job in jobs))


def _is_spent(seen: Survey, trial: TrialView, job: JobView) -> bool:
    if not trial.terminal and job.attempt > trial.status.settled_attempt:
        current = seen.attempts.get(trial.uid)
        return current is not None and job.attempt < current.number  # overtaken
    newest = job.attempt == max(other.attempt for other in seen.jobs(trial))
    return not newest or seen.now >= _kept_until(job, seen)


def _kept_until(job: JobView, seen: Survey) -> datetime:
    """Failed ones stay for their logs."""
    outcome = classify_job(job, seen.now, seen.settings)
    if not isinstance(outcome, Retryable | FatalForTrial | FatalForSearch):
        return seen.now
    ended = job.pod.state.finished if job.pod is not None and isinstance(job.pod.state, ContainerEnded) else None
    return (ended or job.created) + timedelta(seconds=seen.settings.failed_job_seconds)


# --- predictor ---


def _predictor(seen: Survey, statuses: Statuses, *, wanted: bool) -> list[EnsurePredictor | DeletePredictor]:
    deployment = seen.observed.deployment
    if deployment is not None and deployment.deleting:
        return []
    if not wanted:
        name = predictor_name(seen.observed.search.name)
        return [DeletePredictor(name, deployment.uid)] if deployment is not None else []
    if seen.spec is None or (deployment is None and not _proposals_needed(seen, statuses)):
        return []
    if deployment is not None and _refused_for_long(seen, deployment):
        return [DeletePredictor(deployment.name, deployment.uid)]
    return _ensure_predictor(seen, seen.spec)


def _refused_for_long(seen: Survey, deployment: DeploymentView) -> bool:
    """A ReplicaSet whose pod is refused tries ever more seldom, up to 16 minutes; one made anew tries at once."""
    refused = deployment.refusal is not None and not deployment.available and not deployment.pods
    return refused and seen.now >= deployment.created + timedelta(seconds=seen.settings.recheck_limit_seconds)


def _ensure_predictor(seen: Survey, spec: NASSearchSpec) -> list[EnsurePredictor | DeletePredictor]:
    search, deployment, now = seen.observed.search, seen.observed.deployment, seen.now
    finding = seen.observed.finding(DEPLOYMENTS.kind, predictor_name(search.name))
    if finding is not None and now < finding.retry_at:
        return []
    manifest = build_deployment(search, spec, seen.settings)
    checked = seen.observed.predictor_checked_at
    outdated = deployment is not None and (
        deployment.template_hash != predictor_hash(manifest)
        or (_is_edited(seen, deployment, spec) and now >= _mended_again_at(seen))
    )
    fresh = checked is not None and now < checked + timedelta(seconds=seen.settings.resync_seconds)
    if deployment is not None and not outdated and fresh and finding is None:
        return []
    account, binding = build_service_account(search), build_role_binding(search)
    present = deployment is not None
    accounts = not (present and fresh and finding is None)
    return [EnsurePredictor(account, binding, manifest, outdated=outdated, present=present, accounts=accounts)]


def _is_edited(seen: Survey, deployment: DeploymentView, spec: NASSearchSpec) -> bool:
    return is_edited(deployment, spec, seen.settings, seen.observed.predictor_rewritten)


def _mended_again_at(seen: Survey) -> datetime:
    """What somebody changes again and again, such as an autoscaler, is put right once a minute and no more."""
    looked = [seen.observed.predictor_checked_at, seen.observed.predictor_mended_at]
    last = max((when for when in looked if when is not None), default=None)
    return last + timedelta(seconds=seen.settings.recheck_limit_seconds) if last is not None else seen.now


def _proposals_needed(seen: Survey, statuses: Statuses) -> bool:
    spec = seen.spec
    if spec is None:
        return False
    offered = sum(is_admitted(status) or status.phase == "Pending" for status in statuses.values())
    return offered < spec.budget.trials


# --- time ---


def _again_at(seen: Survey, promoted: Survey, dues: list[datetime | None], actions: list[Action]) -> datetime | None:
    """When the plan may change although nothing happens."""
    steps = WriteTrial | CreateTrial | CreateJob | EnsurePredictor | DeletePredictor
    if any(isinstance(action, steps) for action in actions):
        return seen.now  # the next step follows from what was just written, or from its refusal
    now, settings = seen.now, seen.settings
    times = [due for due in dues if due is not None]
    for part in (seen, promoted):
        for trial in part.observed.trials:
            times += _trial_times(part, trial)
        for job in part.observed.jobs:
            times.append(_kept_until(job, part))
    times += [finding.retry_at for finding in seen.observed.findings]
    times += [one.until for one in seen.avoided]
    if seen.observed.ask_again_at is not None:
        times.append(seen.observed.ask_again_at)
    facts = seen.observed.facts
    wanting = facts.missing_claims or facts.template is not None or conditions.is_oversubscribed(seen)
    if facts.check_again_at is not None and wanting:
        times.append(facts.check_again_at)
    deployment = seen.observed.deployment
    if deployment is not None and seen.spec is not None and _is_edited(seen, deployment, seen.spec):
        times.append(_mended_again_at(seen))
    if deployment is not None and not deployment.available:
        times.append(stalls.predictor_deadline(seen, deployment))
        times.append(deployment.created + timedelta(seconds=settings.recheck_seconds))
        times.append(deployment.created + timedelta(seconds=settings.recheck_limit_seconds))
        times += [pod.created + timedelta(seconds=settings.unschedulable_seconds) for pod in deployment.pods]
    return min((when for when in times if when > now), default=None)


def _trial_times(seen: Survey, trial: TrialView) -> list[datetime]:
    settings, times = seen.settings, []
    if trial.in_flight and trial.status.next_attempt_time is not None:
        times.append(datetime.fromisoformat(trial.status.next_attempt_time))
    if trial.in_flight:
        ends = [job.pod.deletion for job in seen.survivors(trial) if job.pod is not None]
        times += [when + timedelta(seconds=settings.lost_seconds) for when in ends if when is not None]
    attempt = seen.attempts.get(trial.uid)
    if attempt is None or attempt.job is None or attempt.job.pod is None:
        return times
    pod = attempt.job.pod
    if isinstance(attempt.outcome, Running):
        times.append(attempt.outcome.started + timedelta(seconds=settings.healthy_seconds))
    elif isinstance(attempt.outcome, Waiting):
        times.append(pod.created + timedelta(seconds=settings.unschedulable_seconds))
    elif isinstance(attempt.outcome, Blocked):
        times.append(pod.created + timedelta(seconds=settings.blocked_limit_seconds + 1))
    if pod.deletion is not None:
        times.append(pod.deletion + timedelta(seconds=settings.lost_seconds))
    if seen.limits is not None:
        times += silence.due(attempt, trial, seen.observed, seen.limits)
    progress = seen.observed.progress_of.get(trial.uid)
    if progress is not None and progress.differs_from(trial.status.progress):
        started = attempt.outcome.started if isinstance(attempt.outcome, Running) else seen.now
        times.append(max(progress.writable_at, started + timedelta(seconds=settings.progress_seconds)))
    return times
