"""What people, queues and the API server do to a search in a history, each of it allowed at any moment.

`Neighbours` is the cluster in miniature with all of them, on top of everything that goes wrong; `histories` makes it happen.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from bananas_core import constants
from bananas_core.api import NASTrialStatus
from bananas_core.api.trial import Origin
from bananas_operator.resources import TRIAL_STATUS
from bananas_operator.views import ContainerRunning, Donor, Finding, Observed, Problem, TrialView

from .builders import ARCHITECTURES, trial
from .faults import Trouble
from .model import DATA_DIGEST, KINDS, Kind, StaleError


class RefusedError(StaleError):
    """The API server refused a write for good; for the pass it is the end, as a stale one is."""


@dataclass
class Neighbours(Trouble):
    """Everybody else who has to do with a search."""

    refusals: int = 0
    """How many of the next writes of trials' statuses are refused."""
    findings: dict[str, Finding] = field(default_factory=dict)
    donors: tuple[Donor, ...] = ()

    # --- many at once, as it mostly is ---

    def catch_up(self) -> None:
        """All watches tell all that they have to tell."""
        for kind in KINDS:
            self.deliver(kind, 1000)

    def come_to_rest(self) -> None:
        """As mostly: the operator hears everything, and passes until nothing is left to do."""
        for _ in range(6):
            self.catch_up()
            if not self.run_pass():
                return

    def offer(self, count: int, first: int) -> None:
        """The predictor offers several architectures at once."""
        for number in range(count):
            self.propose(first + number)

    def kubelets(self, how: str) -> None:
        """Every Job goes a step further."""
        for job in self._unfinished():
            self._step(job, how)

    def drain(self, is_told: bool) -> None:
        """All nodes of a cheap kind are taken away at once; mostly the operator is told at once, too."""
        for job in self._unfinished():
            pod = self._pod(job)
            if pod is not None and isinstance(pod.state, ContainerRunning):
                self._step(job, "interrupt")
        if is_told:
            self.catch_up()

    # --- people ---

    def delete(self, kind: Kind, choice: int) -> None:
        """A person deletes something by hand."""
        names = [name for name in self.truth if name[0] == kind]
        if names:
            self._remove(names[choice % len(names)])

    def scale(self, parallelism: int) -> None:
        """A person, or an autoscaler."""
        self._change_spec(parallelism=parallelism)

    def budget(self, trials: int) -> None:
        """Somebody changes the budget."""
        self._change_spec(budget=self._spec.budget.model_copy(update={"trials": trials}))

    def aim(self, target: float | None) -> None:
        """A person sets, moves or removes a bound of the budget."""
        self._change_spec(budget=self._spec.budget.model_copy(update={"target_accuracy": target}))

    def suspend(self, suspend: bool) -> None:
        """A person pauses the search, or lets it go on."""
        self._change_spec(suspend=suspend)

    def change_template(self, image: str) -> None:
        """A person wants another image for what has not started yet."""
        template = self._spec.trial.template.model_copy(update={"image": image})
        self._change_spec(trial=self._spec.trial.model_copy(update={"template": template}))

    @property
    def _spec(self) -> Any:
        return self.truth["search", "s"].item.spec

    def _change_spec(self, **changes: Any) -> None:
        stored = self.truth["search", "s"].item
        changed = stored.spec.model_copy(update=changes)
        self._store(("search", "s"), replace(stored, spec=changed, generation=stored.generation + 1))

    def cancel(self, choice: int) -> None:
        """A person gives a trial up."""
        found: list[TrialView] = self.items("trial")
        if found:
            chosen = found[choice % len(found)]
            self._store(("trial", chosen.name), replace(chosen, cancelled=True))

    def retry(self, choice: int) -> None:
        """A person asks for another go: at once, or, of a trial that has failed, by a trial that the predictor offers."""
        found: list[TrialView] = self.items("trial")
        if not found:
            return
        chosen = found[choice % len(found)]
        self._store(("trial", chosen.name), replace(chosen, retried_at=self.now))
        if chosen.status.phase == "Failed" and self._may_propose() and chosen.spec is not None:
            made = trial(self.proposals, architecture=chosen.spec.architecture)
            assert made.spec is not None
            origin = Origin(method="retry", parent=chosen.index)
            self.proposals += 1
            self._store(("trial", made.name), replace(made, spec=made.spec.model_copy(update={"origin": origin})))

    def edit_predictor(self, replicas: int, image: str) -> None:
        """A person changes the predictor's Deployment by hand."""
        found = self.truth.get(("deployment", "s-predictor"))
        if found is not None:
            self._store(("deployment", "s-predictor"), replace(found.item, replicas=replicas, image=image))

    # --- queues ---

    def hold(self, choice: int) -> None:
        """A queue takes a Job's place away: its pod is ended, and the Job waits."""
        jobs = [job for job in self._unfinished() if not (job.suspended or job.deleting)]
        if jobs:
            job = jobs[choice % len(jobs)]
            if ("pod", job.name) in self.truth:
                self._remove(("pod", job.name))
            self._store(("job", job.name), replace(job, suspended=True))

    def let_go(self) -> None:
        """The queue has room again for all that wait."""
        for job in self._unfinished():
            if job.suspended:
                self._store(("job", job.name), replace(job, suspended=False, resumed=self.now))

    # --- the API server, and other searches ---

    def refuse(self, writes: int) -> None:
        """A webhook or a policy refuses some writes of trials' statuses."""
        self.refusals = writes

    def offer_results(self, count: int) -> None:
        """Other searches of the namespace have these results, and the search may take them over."""
        self.donors = tuple(_donor(index) for index in range(count))

    # --- the operator ---

    def observe(self) -> Observed:
        return replace(super().observe(), findings=tuple(self.findings.values()), donors=self.donors)

    def restart(self) -> None:
        super().restart()
        self.findings = {}

    def _write_trial(self, action: Any) -> None:
        name = action.trial.name
        if self.refusals > 0:
            self.refusals -= 1
            problem = Problem(constants.REASON_STATUS_REFUSED, "a policy refuses its status")
            wait = timedelta(seconds=self.settings.recheck_seconds)
            self.findings[name] = Finding(TRIAL_STATUS, name, problem, self.now + wait)
            raise RefusedError
        super()._write_trial(action)
        self.findings.pop(name, None)

    def mend(self) -> None:
        self.refusals, self.donors = 0, ()
        self.findings = {}  # asked again within a minute, unless the clock was set back meanwhile
        self.let_go()
        super().mend()


def _donor(index: int) -> Donor:
    given = trial(index).spec
    assert given is not None
    status = {"phase": "Succeeded", "validationAccuracy": 0.5 + index / 100, "dataDigest": DATA_DIGEST}
    spec = given.model_copy(update={"search": "other"})
    return Donor(f"other-{index}", ARCHITECTURES[index].hash(), spec, NASTrialStatus.model_validate(status))
