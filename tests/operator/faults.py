"""What goes wrong in a history beyond crashes and lag: lost and doubled events, jumps of the clock, lost nodes, late leaders.

`Trouble` is the cluster in miniature with all of it; `histories` makes it happen.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bananas_operator.actions import Action, CreateJob
from bananas_operator.plan import plan
from bananas_operator.views import ContainerRunning, JobView, PodView

from .model import KINDS, Cluster, CrashedError, Kind, Name, StaleError, Stored


@dataclass
class Trouble(Cluster):
    """A cluster in which everything goes wrong."""

    fenced: bool = True
    """Whether a leader that was paused past its Lease is kept from writing; without it the invariants break."""
    log: list[tuple[Name, Stored | None]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    late: tuple[Action, ...] = ()
    """What a leader had decided when it was paused."""

    # --- the watches ---

    def _store(self, name: Name, item: Any) -> Stored:
        stored = super()._store(name, item)
        self.log.append((name, stored))
        return stored

    def _remove(self, name: Name) -> None:
        self.log.append((name, None))
        super()._remove(name)

    def _see(self, name: Name, stored: Stored) -> None:
        """As the operator's cache: what was deleted never comes back."""
        if stored.item.uid not in self.dead:
            super()._see(name, stored)

    def deliver(self, kind: Kind, count: int) -> None:
        before = self._uids()
        super().deliver(kind, count)
        self.dead |= before - self._uids()

    def _read(self, name: Name) -> None:
        before = self._uids()
        super()._read(name)
        self.dead |= before - self._uids()

    def _uids(self) -> set[str]:
        return {stored.item.uid for stored in self.view.values()}

    def replay(self, kind: Kind, count: int) -> None:
        """A watch tells what it has told before."""
        told = [event for event in self.log if event[0][0] == kind]
        told = told[: len(told) - len(self.news[kind])][-count:]
        self.news[kind].extendleft(reversed(told))
        self.deliver(kind, len(told))

    def lose(self, kind: Kind, count: int) -> None:
        """A watch that was cut: what happens meanwhile is never told."""
        for _ in range(min(count, len(self.news[kind]))):
            self.news[kind].popleft()

    def relist(self) -> None:
        """A full list of every kind."""
        for name in [name for name in self.view if name not in self.truth]:
            self._read(name)
        for name, stored in self.truth.items():
            known = self.view.get(name)
            if known is not None and known.item.uid != stored.item.uid:
                self.dead.add(known.item.uid)
                del self.view[name]
            self._see(name, stored)

    # --- time ---

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self.now += timedelta(seconds=seconds)

    # --- nodes ---

    def lose_node(self, choice: int) -> None:
        """The node of a running pod falls silent; the pod may run on."""
        running = [job for job in self._unfinished() if (p := self._pod(job)) and isinstance(p.state, ContainerRunning)]
        if running:
            job = running[choice % len(running)]
            self._silence(job, self.now)

    def nodes_back(self) -> None:
        """Every node answers again."""
        for job in self._unfinished():
            self._silence(job, None)

    def _silence(self, job: JobView, since: datetime | None) -> None:
        pod = self._pod(job)
        if pod is not None and (pod.silent_since is None) != (since is None):
            self._store_pod(job, replace(pod, silent_since=since))

    def _unfinished(self) -> list[JobView]:
        return [job for job in self.items("job") if not (job.complete or job.failed)]

    def _pod(self, job: JobView) -> PodView | None:
        found = self.truth.get(("pod", job.name))
        return found.item[1] if found is not None else None

    def _step(self, job: JobView, how: str) -> None:
        """As the kubelet takes it, unless the node is silent."""
        pod = self._pod(job)
        if pod is None or pod.silent_since is None:
            super()._step(job, how)

    # --- the operator ---

    def pause_leader(self) -> None:
        """SIGSTOP between a decision and its writes; another replica takes over."""
        self.late = plan(self.observe(), self.now, self.settings).actions
        self.restart()

    def wake_leader(self) -> None:
        """SIGCONT: it goes on where it was."""
        late, self.late = self.late, ()
        if self.fenced:
            return  # every write asks the fence first
        view, self.view = self.view, dict(self.view)
        try:
            for action in late:
                self._apply(action)
        except (StaleError, CrashedError):
            pass
        finally:
            self.view = view

    def _create_job(self, action: CreateJob) -> None:
        """No two attempts of a trial at once, but where the node of one is lost, as far as the operator was told."""
        name: Name = ("job", f"{action.trial.name}-{action.attempt}")
        if name not in self.truth:
            others = [j for j in self._unfinished() if j.trial_uid == action.trial.uid]
            alive = [j.name for j in others if self._is_alive(self.truth, j) and self._is_alive(self.view, j)]
            assert not alive, f"{name[1]} was started beside {alive}"
        super()._create_job(action)

    def _is_alive(self, objects: dict[Name, Stored], job: JobView) -> bool:
        found = objects.get(("pod", job.name))
        pod: PodView | None = found.item[1] if found is not None and found.item[0] == job.uid else None
        return pod is not None and pod.state is not None and pod.silent_since is None

    def mend(self) -> None:
        """Whatever is wrong is so no more."""
        self.writes_until_crash, self.lose_next_answer, self.late = None, False, ()
        self.nodes_back()
        self.relist()
        for kind in KINDS:
            self.deliver(kind, 10**6)
