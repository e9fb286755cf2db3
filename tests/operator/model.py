"""A cluster in miniature, for histories: the truth, the operator's lagging view of it, and everybody who changes it.

Objects are the views themselves. Every write gets a rising version; each kind's watch lags by its own number of events.
The operator can crash after any write, or lose the answer to one, as with a real API server.
"""

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from bananas_operator.actions import (
    Action,
    CreateJob,
    CreateTrial,
    DeleteJob,
    DeleteJobs,
    DeletePredictor,
    EnsureConfigMap,
    EnsurePredictor,
    WriteSearch,
    WriteTrial,
)
from bananas_operator.plan import plan
from bananas_operator.settings import Settings
from bananas_operator.survey import is_admitted, is_terminal
from bananas_operator.views import (
    ContainerEnded,
    ContainerRunning,
    JobView,
    Observed,
    PodView,
    SearchView,
    TrialView,
)

from .builders import ARCHITECTURES, T0, deployment, report, search, trial

Kind = Literal["search", "trial", "job", "pod", "deployment"]
DATA_DIGEST = "sha256:11"
KINDS: tuple[Kind, ...] = ("search", "trial", "job", "pod", "deployment")
Name = tuple[Kind, str]


class CrashedError(Exception):
    """The operator died."""


class StaleError(Exception):
    """A write met a newer version, or its answer was lost."""


@dataclass
class Stored:
    """An object at a version."""

    version: int
    item: Any


@dataclass
class Cluster:
    """Truth, view, clock, and what must never happen."""

    settings: Settings
    search: SearchView = field(default_factory=search)
    now: datetime = T0
    version: int = 0
    truth: dict[Name, Stored] = field(default_factory=dict)
    view: dict[Name, Stored] = field(default_factory=dict)
    gone: set[Any] = field(default_factory=set)
    news: dict[Kind, deque[tuple[Name, Stored | None]]] = field(default_factory=lambda: {k: deque() for k in KINDS})
    suspects: set[Name] = field(default_factory=set)
    writes_until_crash: int | None = None
    lose_next_answer: bool = False
    proposals: int = 0
    predictor_checked_at: datetime | None = None
    recorded: Counter[str] = field(default_factory=Counter)
    started: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._store(("search", "s"), self.search)
        self.restart()

    # --- the API server ---

    def _store(self, name: Name, item: Any) -> Stored:
        self.version += 1
        if hasattr(item, "version"):
            item = replace(item, version=str(self.version))
        stored = Stored(self.version, item)
        self.truth[name] = stored
        self.news[name[0]].append((name, stored))
        return stored

    def _remove(self, name: Name) -> None:
        stored = self.truth.pop(name)
        self.news[name[0]].append((name, None))
        self.gone.add(stored.item.uid)
        uid = stored.item.uid
        for other in [n for n, s in self.truth.items() if _owner(n, s.item) == uid]:
            self._remove(other)

    def items(self, kind: Kind) -> list[Any]:
        return [stored.item for (k, _), stored in self.truth.items() if k == kind]

    # --- the operator's view ---

    def deliver(self, kind: Kind, count: int) -> None:
        """The watch tells the next events of a kind."""
        for _ in range(min(count, len(self.news[kind]))):
            name, stored = self.news[kind].popleft()
            if stored is None:
                known = self.view.get(name)
                if known is not None and known.item.uid in self.gone and self._told_gone(name, known):
                    del self.view[name]
            else:
                self._see(name, stored)

    def _told_gone(self, name: Name, known: Stored) -> bool:
        now = self.truth.get(name)
        return now is None or now.item.uid != known.item.uid

    def _see(self, name: Name, stored: Stored) -> None:
        known = self.view.get(name)
        if known is None or known.version < stored.version:
            self.view[name] = stored

    def _read(self, name: Name) -> None:
        if name in self.truth:
            self._see(name, self.truth[name])
        else:
            self.view.pop(name, None)

    def restart(self) -> None:
        """A new operator lists everything."""
        self.view = dict(self.truth)
        self.news = {kind: deque() for kind in KINDS}
        self.suspects.clear()
        self.writes_until_crash = self.predictor_checked_at = None

    def observe(self) -> Observed:
        """As `Observer` does, direct reads included."""
        for name in list(self.suspects):
            self._read(name)
        self.suspects.clear()
        self._confirm_absences()
        trials = self._seen("trial")
        jobs = []
        for job in self._seen("job"):
            pod = self.view.get(("pod", job.name))
            jobs.append(replace(job, pod=pod.item[1] if pod is not None and pod.item[0] == job.uid else None))
        return Observed(
            search=self.view["search", "s"].item,
            trials=tuple(sorted(trials, key=lambda t: t.index)),
            jobs=tuple(jobs),
            deployment=next(iter(self._seen("deployment")), None),
            predictor_checked_at=self.predictor_checked_at,
        )

    def _confirm_absences(self) -> None:
        for found in self._seen("trial"):
            name: Name = ("job", f"{found.name}-{found.status.attempts}")
            if found.in_flight and found.status.attempts > found.status.settled_attempt and name not in self.view:
                self._read(name)
        for job in self._seen("job"):
            if job.complete or job.failed:
                self._read(("pod", job.name))

    def _seen(self, kind: Kind) -> list[Any]:
        return [stored.item for (k, _), stored in self.view.items() if k == kind]

    # --- a pass ---

    def run_pass(self) -> bool:
        """Observe, plan, apply; whether anything was written."""
        todo = plan(self.observe(), self.now, self.settings)
        try:
            for action in todo.actions:
                self._apply(action)
        except StaleError:
            return True
        except CrashedError:
            self.restart()
            return True
        return bool(todo.actions)

    def _wrote(self, name: Name) -> None:
        """Whatever can go wrong after a write has happened."""
        if self.writes_until_crash is not None:
            self.writes_until_crash -= 1
            if self.writes_until_crash <= 0:
                raise CrashedError
        if self.lose_next_answer:
            self.lose_next_answer = False
            self.suspects.add(name)
            raise StaleError
        self._read(name)

    def _apply(self, action: Action) -> None:
        match action:
            case WriteTrial():
                self._write_trial(action)
            case CreateJob():
                self._create_job(action)
            case DeleteJob():
                self._delete_job(action)
            case DeleteJobs():
                self._delete_jobs(action)
            case EnsurePredictor():
                known = self.truth.get(("deployment", "s-predictor"))
                if known is None or action.outdated:
                    uid = known.item.uid if known is not None else f"deployment-{self.version}"
                    self._store(("deployment", "s-predictor"), deployment(uid=uid, created=self.now))
                self._wrote(("deployment", "s-predictor"))
                self.predictor_checked_at = self.now
            case DeletePredictor():
                if ("deployment", "s-predictor") in self.truth:
                    self._remove(("deployment", "s-predictor"))
                self._wrote(("deployment", "s-predictor"))
            case WriteSearch(status):
                self._check_version(("search", "s"), self.view["search", "s"].item.version)
                self._store(("search", "s"), replace(self.truth["search", "s"].item, status=status))
                self._wrote(("search", "s"))
            case CreateTrial() | EnsureConfigMap():
                raise AssertionError(f"no search here asks for a promotion, and yet: {action}")

    def _delete_jobs(self, action: DeleteJobs) -> None:
        chosen = [n for n, s in self.truth.items() if n[0] == "job" and s.item.trial_uid in action.trial_uids]
        for name in chosen:
            self._check_recorded(self.truth[name].item)
            self._remove(name)
        for name in [n for n, s in self.view.items() if n[0] == "job" and s.item.uid in action.job_uids]:
            self._wrote(name)

    def _delete_job(self, action: DeleteJob) -> None:
        name: Name = ("job", action.name)
        found = self.truth.get(name)
        if found is not None and found.item.uid == action.uid:
            self._check_recorded(found.item)
            runs = not (found.item.complete or found.item.failed) and ("pod", action.name) in self.truth
            if action.stops and runs:
                self._store(name, replace(found.item, deleting=True))
            else:
                self._remove(name)
        self._wrote(name)

    def _check_version(self, name: Name, version: str) -> None:
        stored = self.truth.get(name)
        if stored is None or stored.item.version != version:
            self.suspects.add(name)
            raise StaleError

    def _write_trial(self, action: WriteTrial) -> None:
        name: Name = ("trial", action.trial.name)
        self._check_version(name, action.trial.version)
        old, new = self.truth[name].item.status, action.status
        assert not is_terminal(old), f"{action.trial.name}: a terminal status was revised: {old} -> {new}"
        assert new.settled_attempt >= old.settled_attempt
        if (new.retries, new.interruptions) != (old.retries, old.interruptions):
            assert new.settled_attempt > old.settled_attempt, "an attempt was counted twice"
        if is_admitted(new) and not is_admitted(old):
            self._check_admission(action)
        if new.phase == "Succeeded":
            self.recorded[action.trial.uid] += 1
        self._store(name, replace(self.truth[name].item, status=new))
        self._wrote(name)

    def _create_job(self, action: CreateJob) -> None:
        name: Name = ("job", f"{action.trial.name}-{action.attempt}")
        found = self.truth.get(("trial", action.trial.name))
        if found is None or found.item.uid != action.trial.uid:
            self._wrote(name)  # made, and collected at once: its owner is gone
            return
        if name not in self.truth:
            assert is_admitted(found.item.status), "a Job of a trial that is not admitted"
            assert not is_terminal(found.item.status), "a Job of a trial that has ended"
            others = self._at_work() - {action.trial.uid}
            limit = self.view["search", "s"].item.spec.parallelism
            assert len(others) < limit, f"{len(others)} at work when {name} was created, parallelism {limit}"
            # A Job deleted by hand before its number was recorded never ran as far as anybody can know: its number is free.
            assert action.attempt > found.item.status.attempts, "an attempt was started twice"
            self.started.append((action.trial.uid, action.attempt))
            hash_ = action.manifest["metadata"]["annotations"]["nas.bananas.dev/template-hash"]
            job = JobView(
                name[1], f"job-{self.version}", action.trial.uid, action.attempt, self.now, template_hash=hash_
            )
            self._store(name, job)
        self._wrote(name)

    def _at_work(self) -> set[str]:
        """Trials with a Job whose end is not recorded."""
        settled = {t.uid: t.status.settled_attempt for t in self.items("trial") if not t.terminal}
        return {j.trial_uid for j in self.items("job") if j.trial_uid in settled and j.attempt > settled[j.trial_uid]}

    def _check_admission(self, action: WriteTrial) -> None:
        trials: list[TrialView] = self.items("trial")
        given = self.view["search", "s"].item.spec
        admitted = [t for t in trials if t.admitted]
        if not is_terminal(action.status):
            assert len([t for t in admitted if not t.terminal]) < given.parallelism, "admitted beyond parallelism"
        assert len(admitted) < given.budget.trials, "admitted beyond the budget"
        assert action.trial.spec is not None
        origin, same = action.trial.spec.origin, [t for t in admitted if t.hash == action.trial.hash]
        again = bool(same) and (origin.method, origin.parent) == ("retry", same[-1].index)
        assert not same or (again and same[-1].status.phase == "Failed"), "an architecture was admitted twice"

    def _check_recorded(self, job: JobView) -> None:
        """A Job goes only when its end is persisted."""
        found = next((t for t in self.items("trial") if t.uid == job.trial_uid), None)
        assert (
            found is None
            or found.terminal
            or max(found.status.settled_attempt, found.status.stopped_attempt) >= job.attempt
        ), f"{job.name} deleted early"

    # --- everybody else ---

    def propose(self, architecture: int) -> None:
        """The predictor offers another one."""
        if not self._may_propose():
            return
        made = trial(self.proposals, architecture=ARCHITECTURES[architecture])
        self.proposals += 1
        self._store(("trial", made.name), made)

    def _may_propose(self) -> bool:
        return ("deployment", "s-predictor") in self.truth and self.proposals < len(ARCHITECTURES)

    def pending(self) -> int:
        return sum(t.status.phase == "Pending" for t in self.items("trial"))

    def kubelet(self, choice: int, how: str) -> None:
        """One Job goes a step further, or ends in the given way."""
        jobs: list[JobView] = [job for job in self.items("job") if not (job.complete or job.failed)]
        if jobs:
            self._step(jobs[choice % len(jobs)], how)

    def _step(self, job: JobView, how: str) -> None:
        known = self.truth.get(("pod", job.name))
        if job.suspended:
            return
        if known is None:
            self._store_pod(job, PodView("pod", f"pod-{self.version}", self.now, gpus=1))
        elif known.item[1].state is None:
            self._store_pod(job, replace(known.item[1], state=ContainerRunning(self.now), phase="Running", node="n1"))
        else:
            self._end(job, known.item[1], how)

    def _store_pod(self, job: JobView, pod: PodView) -> None:
        self._store(("pod", job.name), _PodOf((job.uid, pod)))

    def _end(self, job: JobView, pod: PodView, how: str) -> None:
        codes = {"succeed": 0, "interrupt": 75, "error": 70, "diverge": 72, "no report": 0, "kill": 137}
        if how == "lose pod":
            self._remove(("pod", job.name))
            if job.deleting:
                self._remove(("job", job.name))
            else:
                self._store(("job", job.name), replace(job, failed=True))
            return
        code = codes[how]
        index = int(job.name.split("-")[1])
        told = report(index, job.attempt, data_digest=DATA_DIGEST).replace(f"trial-{index}", job.trial_uid)
        message = told if how == "succeed" else ""
        started = pod.state.started if isinstance(pod.state, ContainerRunning) else self.now
        state = ContainerEnded(code, "Completed" if code == 0 else "Error", message, started, self.now)
        self._store_pod(job, replace(pod, state=state, phase="Succeeded" if code == 0 else "Failed"))
        if job.deleting:
            self._remove(("job", job.name))
        else:
            self._store(("job", job.name), replace(job, complete=code == 0, failed=code != 0))

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @property
    def phase(self) -> str | None:
        phase: str | None = self.truth["search", "s"].item.status.phase
        return phase


class _PodOf(tuple[str, PodView]):
    """(UID of its Job, pod), with the pod's UID where the model looks for one."""

    @property
    def uid(self) -> str:
        return self[1].uid


def _owner(name: Name, item: Any) -> str | None:
    match name[0]:
        case "job":
            return str(item.trial_uid)
        case "pod":
            return str(item[0])
        case _:
            return None
