"""What else lives in a cluster, played on the fake API server: Job controller, kubelet, Deployment controller, predictor.

Each reacts to a change at once or after `seconds`; a test replaces `behaviour` to let attempts end in its own way.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any

from bananas_core import constants
from bananas_core.api.search import NASSearchSpec
from bananas_core.api.trial import NASTrialSpec, Origin, TableSpec
from bananas_core.contract import Report, TrialFile
from bananas_core.names import trial_name
from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench201 import OPERATIONS, Nasbench201Architecture

from .fake_api import FakeApi, Object

ARCHITECTURES = [
    Architecture.of(Nasbench201Architecture(ops=ops))  # `none` nowhere: every spelling is a network of its own
    for ops in product([op for op in OPERATIONS if op != "none"], repeat=6)
]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def accuracy(file: TrialFile) -> float:
    """A number that follows from the architecture."""
    return int(file.architecture.hash()[:4], 16) / 0xFFFF


@dataclass(frozen=True)
class End:
    """How an attempt ends."""

    exit_code: int = 0
    message: str = ""
    reason: str = "Completed"
    pod_reason: str = ""
    disrupted: bool = False


@dataclass(frozen=True)
class Stuck:
    """An attempt whose container cannot start."""

    reason: str
    message: str = ""


def succeed(file: TrialFile) -> End | Stuck:
    """Every attempt ends well."""
    return End(message=report(file))


def report(file: TrialFile) -> str:
    return Report(
        kind="bananas.report/v1",
        trial_uid=file.trial_uid,
        attempt=file.attempt,
        validation_accuracy=accuracy(file),
        epochs=3,
        device="test",
    ).to_message()


def search(name: str = "s", *, trials: int = 6, parallelism: int = 2, **spec: Any) -> Object:
    """A search over the toy table."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.SEARCH_KIND,
        "metadata": {"name": name},
        "spec": {
            "space": "nasbench201",
            "evaluator": "table",
            "strategy": {"name": "random"},
            "parallelism": parallelism,
            "budget": {"trials": trials},
            **spec,
        },
    }


def trial(search_object: Object, index: int, architecture: Architecture | None = None, **spec: Any) -> Object:
    """A proposal of the predictor."""
    name, uid = search_object["metadata"]["name"], search_object["metadata"]["uid"]
    architecture = architecture or ARCHITECTURES[index]
    proposal = NASTrialSpec(
        search=name,
        index=index,
        architecture=architecture,
        table=TableSpec(**search_object["spec"].get("table", {})),
        origin=Origin(method="random"),
    ).to_kubernetes()
    return {
        "metadata": {
            "name": trial_name(name, index),
            "labels": {
                constants.LABEL_SEARCH: name,
                constants.LABEL_SEARCH_UID: uid,
                constants.LABEL_ARCHITECTURE: architecture.hash(),
            },
            "ownerReferences": [
                {
                    "apiVersion": constants.API_VERSION,
                    "kind": constants.SEARCH_KIND,
                    "name": name,
                    "uid": uid,
                    "controller": True,
                }
            ],
        },
        "spec": {**proposal, **spec},
    }


@dataclass
class World:
    """Everything but the operator."""

    api: FakeApi
    seconds: float = 0.02
    behaviour: Callable[[TrialFile], End | Stuck] = succeed
    refuse_pods: str | None = None
    """Message of FailedCreate events, while pods are refused."""
    proposes: bool = True
    architectures: list[Architecture] = field(default_factory=lambda: list(ARCHITECTURES))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.api.on_change.append(self._changed)

    def _changed(self, kind: str, item: Object) -> None:
        held = item.get("spec", {}).get("suspend") or "deletionTimestamp" in item["metadata"]
        if kind == "Job" and not item.get("status") and not held:
            self._start(self._run_job(item))
        if kind == "Deployment" and not item.get("status"):
            self._start(self._run_deployment(item))
        if kind in ("NASTrial", "NASSearch") and self.proposes:
            self._start(self._propose(item))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- Job controller and kubelet ---

    async def _run_job(self, job: Object) -> None:
        await asyncio.sleep(0)
        while self.refuse_pods is not None and self._lives(job):
            self._event(job, self.refuse_pods)
            await asyncio.sleep(0.05)
        if not self._lives(job):
            return
        pod = self._make_pod(job)
        file = TrialFile.read(pod["metadata"]["annotations"][constants.ANNOTATION_TRIAL_FILE])
        end = self.behaviour(file)
        while isinstance(end, Stuck):
            self._set_container(pod, {"waiting": {"reason": end.reason, "message": end.message}}, phase="Pending")
            await asyncio.sleep(0.05)
            if not self._pod_lives(pod):
                return
            end = self.behaviour(file)
        started = now()
        self._set_container(pod, {"running": {"startedAt": started}}, phase="Running")
        stopped = await self._trains(pod)
        if not self._pod_lives(pod):
            return
        end = End(exit_code=75, reason="Error") if stopped else end
        ended = {
            "exitCode": end.exit_code,
            "reason": end.reason if end.exit_code == 0 else end.reason.replace("Completed", "Error"),
            "message": end.message,
            "startedAt": started,
            "finishedAt": now(),
        }
        phase = "Succeeded" if end.exit_code == 0 else "Failed"
        self._set_container(pod, {"terminated": ended}, phase=phase, end=end)
        if stopped:
            await asyncio.sleep(0.1)
            self.api.delete("Job", job["metadata"]["name"])
            return
        if self._lives(job):
            condition = {"type": "Complete" if end.exit_code == 0 else "Failed", "status": "True"}
            self._status("Job", job, {"conditions": [condition]})

    async def _trains(self, pod: Object) -> bool:
        """Whether it was told to stop before its time was over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        while (left := end - loop.time()) > 0:
            found = self.api.find("Pod", pod["metadata"]["name"])
            if found is None or "deletionTimestamp" in found["metadata"]:
                return found is not None
            await asyncio.sleep(min(left, 0.02))
        return False

    def _lives(self, job: Object) -> bool:
        found = self.api.find("Job", job["metadata"]["name"])
        return found is not None and found["metadata"]["uid"] == job["metadata"]["uid"]

    def _pod_lives(self, pod: Object) -> bool:
        return self.api.find("Pod", pod["metadata"]["name"]) is not None

    def _make_pod(self, job: Object) -> Object:
        template = job["spec"]["template"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "controller": True}
        return self.api.create(
            "Pod",
            {
                "metadata": {
                    **template["metadata"],
                    "generateName": f"{job['metadata']['name']}-",
                    "ownerReferences": [{**owner, "uid": job["metadata"]["uid"]}],
                },
                "spec": {**template["spec"], "nodeName": "node1"},
            },
        )

    def _set_container(self, pod: Object, state: Object, *, phase: str, end: End | None = None) -> None:
        if not self._pod_lives(pod):
            return
        status: Object = {
            "phase": phase,
            "containerStatuses": [{"name": "trainer", "state": state, "restartCount": 0}],
        }
        if end is not None and end.pod_reason:
            status["reason"] = end.pod_reason
        if end is not None and end.disrupted:
            status["conditions"] = [
                {
                    "type": "DisruptionTarget",
                    "status": "True",
                    "reason": "PreemptionByScheduler",
                    "message": "preempted",
                }
            ]
        self._status("Pod", pod, status)

    def _status(self, kind: str, item: Object, status: Object) -> None:
        self.api.update(kind, item["metadata"]["name"], lambda found: found.update(status=status))

    def _event(self, job: Object, message: str) -> None:
        self.api.create(
            "Event",
            {
                "metadata": {"generateName": "failed-create-"},
                "involvedObject": {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]},
                "reason": "FailedCreate",
                "message": message,
                "type": "Warning",
            },
        )

    # --- predictor ---

    async def _run_deployment(self, deployment: Object) -> None:
        await asyncio.sleep(0)
        if self.api.find("Deployment", deployment["metadata"]["name"]) is None:
            return
        self._status("Deployment", deployment, {"conditions": [{"type": "Available", "status": "True"}]})
        for item in self.api.all("NASSearch") if self.proposes else ():
            await self._propose(item)

    async def _propose(self, item: Object) -> None:
        """Keeps one more on offer than fit, from the list of architectures, as long as the Deployment is there."""
        await asyncio.sleep(0)
        name = item["metadata"]["name"] if item["kind"] == "NASSearch" else item["spec"]["search"]
        found = self.api.find("NASSearch", name)
        if found is None or self.api.find("Deployment", f"{name}-predictor") is None:
            return
        spec = NASSearchSpec.model_validate(found["spec"])
        uid = found["metadata"]["uid"]
        trials = [t for t in self.api.all("NASTrial") if t["metadata"]["labels"][constants.LABEL_SEARCH_UID] == uid]
        phases = [t.get("status", {}).get("phase", "Pending") for t in trials]
        open_budget = sum(phase != "Cancelled" for phase in phases) < spec.budget.trials
        if open_budget and phases.count("Pending") < spec.parallelism + 1:
            index = max((t["spec"]["index"] for t in trials), default=-1) + 1
            if index < len(self.architectures) and self.api.find("NASTrial", trial_name(name, index)) is None:
                self.api.create("NASTrial", trial(found, index, self.architectures[index]))


def conditions(item: Object) -> dict[str, Object]:
    return {c["type"]: c for c in item.get("status", {}).get("conditions", [])}


def kubeconfig(address: str, token: str = "token") -> str:
    """A kubeconfig for the fake server."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "clusters": [{"name": "fake", "cluster": {"server": address}}],
            "users": [{"name": "fake", "user": {"token": token}}],
        }
    )
