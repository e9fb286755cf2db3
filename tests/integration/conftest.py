"""A fake cluster with the whole operator in it, kopf included, on a real socket."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bananas_operator.__main__ import run
from bananas_operator.settings import Settings

from .fake_api import PATH, RESOURCES, Call, FakeApi, Object
from .world import World, conditions, kubeconfig

ROLE = Path(__file__).parents[2] / "manifests" / "base" / "operator-rbac.yaml"
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def granted() -> set[tuple[str, str, str]]:
    """(group, resource, verb) that the shipped role of the operator grants."""
    roles = [
        item
        for item in yaml.safe_load_all(ROLE.read_text())
        if item["kind"] in ("ClusterRole", "Role") and item["metadata"]["name"] == "bananas-operator"
    ]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(calls: list[Call]) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of requests; discovery, which everybody may do, left out."""
    found = set()
    for call in calls:
        match = PATH.match(call.path)
        if match is not None and (match["namespace"] or match["plural"] in {p for _, _, p in RESOURCES}):
            verb = VERBS.get(call.method) or ("get" if match["name"] else "list")
            verb += "collection" if verb == "delete" and not match["name"] else ""
            resource = match["plural"] + (f"/{match['sub']}" if match["sub"] else "")
            found.add((match["group"] or "", resource, verb))
    return found


FAST = {
    "port": 0,
    "resync_seconds": 300,
    "error_backoff_seconds": 0.02,
    "error_backoff_limit_seconds": 0.1,
    "retry_backoff_seconds": 0.2,
    "retry_backoff_limit_seconds": 0.4,
    "recheck_seconds": 0.1,
    "recheck_limit_seconds": 0.2,
    "request_timeout_seconds": 5,
    "identity": "lab",  # that of a container begun anew in its pod: the Lease is its own at once
    "status_seconds": 0.1,
}


class OperatorThread:
    """The operator in a loop of its own: kopf cancels whatever else runs in its loop when it ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.error = error

    async def _main(self) -> None:
        self._loop, self._main_task = asyncio.get_running_loop(), asyncio.current_task()
        await run(self._settings)

    async def kill(self) -> None:
        """Ends it, wherever it is."""
        cancel = self._cancel_main
        while self._thread.is_alive():
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(cancel)
            await asyncio.to_thread(self._thread.join, 1)
            cancel = self._cancel_everything  # kopf sometimes misses that it is cancelled

    def _cancel_main(self) -> None:
        if self._main_task is not None:
            self._main_task.cancel()

    def _cancel_everything(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()


@dataclass
class Lab:
    """The cluster, and the operator's process in it."""

    api: FakeApi
    world: World
    settings: dict[str, Any]
    operator: OperatorThread | None = None
    restarts: bool = False
    """Whether an operator that has ended by itself is begun anew, as the kubelet does."""

    def start(self, **settings: Any) -> None:
        """Starts an operator."""
        self.settings.update(settings)
        self.operator = OperatorThread(Settings(**self.settings))

    async def kill(self) -> None:
        """Ends it, wherever it is."""
        if self.operator is not None:
            await self.operator.kill()

    async def until(self, what: str, condition: Callable[[], Any], seconds: float = 30) -> Any:
        """The first true value of a condition."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not (value := condition()):
            if self.operator is not None and self.operator.error is not None:
                if not self.restarts:
                    raise self.operator.error
                self.start()
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}; search: {self.api.all('NASSearch')}")
            await asyncio.sleep(0.01)
        return value

    def create(self, search: Object) -> Object:
        return self.api.create("NASSearch", search)

    def status(self, name: str = "s") -> Object:
        found: Object = self.api.get("NASSearch", name).get("status", {})
        return found

    async def phase(self, want: str, name: str = "s", seconds: float = 30) -> Object:
        """The status once the search is in this phase."""
        await self.until(f"{name} is {want}", lambda: self.status(name).get("phase") == want, seconds)
        return self.status(name)

    async def stalled(self, reason: str, name: str = "s") -> str:
        """The message of the Stalled condition, once it has this reason."""

        def message() -> str | None:
            found = conditions(self.api.get("NASSearch", name)).get("Stalled", {})
            return f"{found['message']} " if (found.get("status"), found.get("reason")) == ("True", reason) else None

        return str(await self.until(f"{name} is stalled: {reason}", message))

    async def lists_again(self, times: int = 1, seconds: float = 30) -> None:
        """Once the operator has listed everything so many times more: whatever it was to notice, it has."""
        want = self._lists() + times + 1  # one may be under way
        await self.until(f"{times} more full lists", lambda: self._lists() >= want, seconds)

    def _lists(self) -> int:
        """Events are listed last of all."""
        return sum(c.path.endswith("/events") and c.method == "GET" and "limit" in c.query for c in self.api.calls)

    def trials(self, phase: str | None = None) -> list[Object]:
        found = self.api.all("NASTrial")
        return [t for t in found if phase is None or t.get("status", {}).get("phase", "Pending") == phase]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Opens a lab: `async with lab() as it`."""

    @asynccontextmanager
    async def opened(*, start: bool = True, **settings: Any) -> AsyncIterator[Lab]:
        async with FakeApi().serve() as api:
            file = tmp_path / "kubeconfig"
            file.write_text(kubeconfig(api.address))
            monkeypatch.setenv("KUBECONFIG", str(file))
            it = Lab(api, World(api), {**FAST, **settings})
            if start:
                it.start()
            try:
                yield it
            finally:
                await it.kill()
                await it.world.stop()
                for thread in threading.enumerate():
                    if thread.name == "doorbell":  # kopf's, which may take longer to end than the operator waits for it
                        await asyncio.to_thread(thread.join, 15)
            assert asked(api.calls) <= granted(), "the operator asked for what its role does not grant"

    return opened
