"""The development cluster as tests see it: kubectl, waiting with a deadline, the audit log, volumes.

Everything goes through kubectl, so that a test does what a person does, and none of our own client code is trusted.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
Object = dict[str, Any]
T = TypeVar("T")


class NotInTimeError(AssertionError):
    """A condition did not come true before its deadline."""


@dataclass(frozen=True)
class Answer:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


@dataclass
class Cluster:
    """A running cluster."""

    kubectl_path: str
    kubeconfig: str
    audit_log: Path
    volumes: Path
    processes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of_this_machine(cls) -> "Cluster":
        """The development cluster, as `make cluster-up` left it.

        Raises:
            LookupError: if it does not run.
        """
        answer = subprocess.run(
            [sys.executable, "-m", "devcluster", "status", "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            raise LookupError(f"the development cluster does not run: {answer.stderr}")
        facts = json.loads(answer.stdout)
        return cls(
            kubectl_path=facts["kubectl"],
            kubeconfig=facts["kubeconfig"],
            audit_log=Path(facts["audit_log"]),
            volumes=Path(facts["volumes"]),
            processes=facts["processes"],
        )

    def run(self, *arguments: str, stdin: str | None = None, token: str | None = None) -> Answer:
        """kubectl with these arguments, as the cluster's admin or as the owner of a token."""
        command = [self.kubectl_path, "--kubeconfig", self.kubeconfig]
        if token:
            command = [self.kubectl_path, *self._anonymous(), "--token", token]
        done = subprocess.run(
            [*command, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=120
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def _anonymous(self) -> list[str]:
        config = json.loads(self.kubectl("config", "view", "--raw", "-o", "json"))
        server = config["clusters"][0]["cluster"]["server"]
        return ["--kubeconfig", "/dev/null", "--server", server, "--insecure-skip-tls-verify"]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl that must succeed; its standard output."""
        answer = self.run(*arguments, stdin=stdin)
        assert answer.code == 0, f"kubectl {' '.join(arguments)}: {answer.err}"
        return answer.out

    def apply(self, *objects: Object) -> None:
        """kubectl apply of these objects."""
        self.kubectl("apply", "-f", "-", stdin=_documents(objects))

    def try_to_apply(self, *objects: Object, strict: bool = True) -> Answer:
        """kubectl apply that may be refused."""
        return self.run("apply", f"--validate={'strict' if strict else 'ignore'}", "-f", "-", stdin=_documents(objects))

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None where there is none."""
        answer = self.run("get", kind, name, *(_in(namespace)), "-o", "json", "--ignore-not-found")
        assert answer.code == 0, answer.err
        return json.loads(answer.out) if answer.out.strip() else None

    def list(self, kind: str, namespace: str | None = None, selector: str | None = None) -> list[Object]:
        """Objects of a kind."""
        select = ["-l", selector] if selector else []
        where = _in(namespace) if namespace else ["--all-namespaces"]
        items: list[Object] = json.loads(self.kubectl("get", kind, *where, *select, "-o", "json"))["items"]
        return items

    def patch(self, kind: str, name: str, namespace: str, patch: Object) -> None:
        """A merge patch of an object."""
        self.kubectl("patch", kind, name, *_in(namespace), "--type=merge", "-p", json.dumps(patch))

    def delete(
        self, kind: str, name: str, namespace: str | None = None, *, wait: bool = True, force: bool = False
    ) -> None:
        """Deletes an object; with `force` a pod at once."""
        extra = ["--grace-period=0", "--force"] if force else []
        self.kubectl("delete", kind, name, *_in(namespace), f"--wait={str(wait).lower()}", "--ignore-not-found", *extra)

    def volume(self, name: str, namespace: str, *files: Path) -> Path:
        """A claim of this name, bound to a directory of the node that holds copies of the files; the directory."""
        copies = [part for file in files for part in ("--copy", str(file))]
        done = subprocess.run(
            [sys.executable, "-m", "devcluster", "volume", name, "--namespace", namespace, *copies],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return self.volumes / namespace / name

    def picture(self, namespace: str) -> str:
        """What is in a namespace and what the operator said last, for the report of a test that failed."""
        kinds = "nassearches,nastrials,jobs,pods"
        trials = "custom-columns=TRIAL:.metadata.name,SPEC:.spec.origin,STATUS:.status"
        questions = (
            ("get", kinds, *_in(namespace), "-o", "wide"),
            ("get", "nassearches", *_in(namespace), "-o", "jsonpath={.items[*].status}"),
            ("get", "nastrials", *_in(namespace), "-o", trials),
            ("get", "events", *_in(namespace), "--sort-by=.lastTimestamp"),
            ("logs", "-n", "bananas-system", "-l", "app.kubernetes.io/component=operator", "--tail=150", "--prefix"),
        )
        answers = (self.run(*question) for question in questions)
        return "\n\n".join(answer.out + answer.err for answer in answers)

    def audit(self, since: int = 0) -> Iterator[Object]:
        """Events of the audit log after byte `since`, those of completed requests."""
        with self.audit_log.open("rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n"):
                    event = json.loads(line)
                    if event["stage"] == "ResponseComplete":
                        yield event

    def audit_position(self) -> int:
        """Where the audit log ends now."""
        return self.audit_log.stat().st_size


def wait_for(what: str, condition: Callable[[], T], *, seconds: float, every: float = 0.25) -> T:
    """The first true value of a condition.

    Raises:
        NotInTimeError: after that many seconds, saying what did not happen.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise NotInTimeError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def condition(search: Object | None, kind: str) -> Object:
    """A condition of a search's status, or an empty one."""
    conditions = (search or {}).get("status", {}).get("conditions", [])
    return next(
        (c for c in conditions if c["type"] == kind), {"type": kind, "status": "Unknown", "reason": "", "message": ""}
    )


def _in(namespace: str | None) -> list[str]:
    return ["-n", namespace] if namespace else []


def _documents(objects: tuple[Object, ...]) -> str:
    return "\n---\n".join(json.dumps(o) for o in objects)
