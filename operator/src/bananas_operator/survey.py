"""`Observed` looked at from all sides once per pass: current attempts, who is in flight, the verdict. Pure.

`plan`, `admission`, `stalls` and `conditions` ask it; nothing here says what to do.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bananas_core.api import NASSearchSpec, NASTrialStatus
from bananas_core.api.trial import TERMINAL_PHASES
from bananas_operator import silence
from bananas_operator.attempts import Attempt, current_attempt, is_healthy
from bananas_operator.classify import Running, classify
from bananas_operator.placement import Avoided, avoided
from bananas_operator.resources import TRIAL_STATUS
from bananas_operator.settings import Settings
from bananas_operator.views import JobView, Observed, Problem, TrialView, is_admitted

__all__ = ("Survey", "Verdict", "is_admitted", "is_terminal", "survey", "verdict")

Verdict = Literal["open", "promoting", "complete", "exhausted", "failed"]
"""Open: trials are to come. Promoting: all have ended, and the best are trained to the end. The others are ends."""


@dataclass(frozen=True)
class Survey:
    """One search at one time."""

    observed: Observed
    now: datetime
    settings: Settings
    attempts: dict[str, Attempt]
    """The unsettled attempts of trials in flight, by trial UID."""
    has_success: bool
    limits: silence.Bounds | None = None
    """How long silence is borne; None where the spec cannot be read."""
    avoided: tuple[Avoided, ...] = ()
    """Nodes that failed twice in a row."""

    @property
    def spec(self) -> NASSearchSpec | None:
        """The spec, if it parses."""
        return self.observed.search.spec

    @property
    def suspended(self) -> bool:
        """Whether the user has suspended the search."""
        return self.spec is not None and self.spec.suspend

    def jobs(self, trial: TrialView) -> tuple[JobView, ...]:
        """All Jobs of a trial."""
        return self.observed.jobs_of.get(trial.uid, ())

    def healthy(self, trial: TrialView) -> bool:
        """Whether its current attempt has got far enough to show that image, data and recipe are good."""
        attempt = self.attempts.get(trial.uid)
        progress = self.observed.progress_of.get(trial.uid)
        return attempt is not None and is_healthy(attempt, progress, self.now, self.settings)

    def stuck(self, trial: TrialView) -> bool:
        """Whether its status must be left as it is: it cannot be read, or was refused just now."""
        refused = self.observed.finding(TRIAL_STATUS, trial.name)
        return trial.unreadable is not None or (refused is not None and self.now < refused.retry_at)

    def works(self, trial: TrialView) -> bool:
        """Whether a trial takes a slot: in flight by its status, or by a Job that its status does not know of yet."""
        return trial.in_flight or (not trial.terminal and bool(self.jobs(trial)))

    def survivors(self, trial: TrialView) -> list[JobView]:
        """Jobs of settled attempts that are seen to run on: their node has come back, or they hang."""
        return [
            job
            for job in self.jobs(trial)
            if job.attempt <= trial.status.settled_attempt and job.pod is not None and job.pod.silent_since is None
            if isinstance(classify(job, self.now, self.settings), Running)
        ]

    def orphans(self) -> int:
        """Unfinished Jobs of trials that are not seen: deleted, or not yet told by the watch."""
        known = {trial.uid for trial in self.observed.trials}
        return len({job.trial_uid for job in self.observed.jobs if not (job.complete or job.failed)} - known)


def survey(observed: Observed, now: datetime, settings: Settings, *, promoted: bool = False) -> Survey:
    """Looks at a search, or at its promotion."""
    attempts: dict[str, Attempt] = {}
    spec = observed.search.spec
    limits = silence.bounds(spec, observed, promoted=promoted) if spec is not None else None
    for trial in observed.trials:
        jobs = observed.jobs_of.get(trial.uid, ())
        if trial.in_flight or (not trial.terminal and jobs):
            attempt = current_attempt(trial, jobs, now, settings)
            if attempt is not None and limits is not None:
                attempt = silence.judged(attempt, trial, observed, limits, now)
            if attempt is not None:
                attempts[trial.uid] = attempt
    has_success = any(trial.status.phase == "Succeeded" for trial in observed.trials)
    return Survey(observed, now, settings, attempts, has_success, limits, avoided(observed.trials, now, settings))


def is_terminal(status: NASTrialStatus) -> bool:
    """Whether it has ended."""
    return status.phase in TERMINAL_PHASES


def verdict(survey: Survey, statuses: dict[str, NASTrialStatus], reached: Problem | None) -> Verdict:
    """What the statuses say of the search as a whole; `statuses` by trial UID, with what this pass will write.

    `reached` is the bound of the budget that is reached.
    """
    spec = survey.spec
    if spec is None:
        return "open"
    phases = [status.phase for status in statuses.values()]
    if phases.count("Failed") > spec.trial.max_failed_trials:
        return "failed"
    working = survey.orphans() or any(
        survey.works(trial) and not is_terminal(statuses[trial.uid]) for trial in survey.observed.trials
    )
    in_flight = working or any(phase in ("Queued", "Running") for phase in phases)
    if in_flight:
        return "open"
    if reached is not None:
        return "complete"
    predictor = survey.observed.search.status.predictor
    if predictor is not None and predictor.exhausted and "Pending" not in phases:
        return "exhausted"
    return "open"
