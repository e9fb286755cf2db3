"""The yardstick of the operator: one process that watches its pods and creates the next Job the moment one has ended.

No status, no queue, no predictor: what Kubernetes itself needs between two containers, and nothing else.
"""

import asyncio
import copy
import json
import ssl
from typing import Any

import aiohttp

from bench.kube import Object
from devcluster import addresses, credentials
from devcluster.paths import Paths

LABEL = "bench.nas.bananas.dev/loop"
OURS = "nas.bananas.dev/"


def manifest_of(job: Object, namespace: str) -> Object:
    """The Job of a trial as the operator made it, without what ties it to the trial or lets the operator see it."""
    spec = copy.deepcopy(job["spec"])
    for key in ("selector", "manualSelector"):
        spec.pop(key, None)
    template = spec["template"]
    annotations = template["metadata"]["annotations"]
    template["metadata"] = {"labels": {LABEL: "yes"}, "annotations": annotations}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": namespace, "labels": {LABEL: "yes"}},
        "spec": spec,
    }


class PlainLoop:
    """Keeps `slots` Jobs running until `total` were made."""

    def __init__(self, paths: Paths, manifest: Object, *, slots: int, total: int) -> None:
        self._manifest = manifest
        self._slots = slots
        self._total = total
        self._made = 0
        self._ended: set[str] = set()
        self._jobs = f"/apis/batch/v1/namespaces/{manifest['metadata']['namespace']}/jobs"
        self._pods = f"/api/v1/namespaces/{manifest['metadata']['namespace']}/pods"
        self._base = f"https://{addresses.HOST}:{addresses.API_SERVER_PORT}"
        self._headers = {"Authorization": f"Bearer {credentials.tokens(paths)['admin']}"}
        self._trust = ssl.create_default_context(cafile=str(credentials.server_certificate(paths)))

    async def run(self) -> None:
        """Returns when the last container has ended."""
        connector = aiohttp.TCPConnector(ssl=self._trust)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with aiohttp.ClientSession(
            self._base, headers=self._headers, connector=connector, timeout=timeout
        ) as session:
            version = await self._version(session)
            for _ in range(self._slots):
                await self._create(session)
            async with session.get(
                self._pods, params={"watch": "1", "labelSelector": LABEL, "resourceVersion": version}
            ) as answer:
                buffer = b""
                async for chunk in answer.content.iter_any():
                    buffer += chunk
                    *lines, buffer = buffer.split(b"\n")
                    for line in lines:
                        await self._hear(session, json.loads(line)["object"])
                    if len(self._ended) >= self._total:
                        return

    async def _version(self, session: aiohttp.ClientSession) -> str:
        async with session.get(self._pods, params={"labelSelector": LABEL}) as answer:
            return str((await answer.json())["metadata"]["resourceVersion"])

    async def _hear(self, session: aiohttp.ClientSession, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        states = [status.get("state", {}) for status in pod.get("status", {}).get("containerStatuses", ())]
        if name in self._ended or not any("terminated" in state for state in states):
            return
        self._ended.add(name)
        if self._made < self._total:
            await self._create(session)
        await self._delete(session, pod["metadata"]["labels"]["job-name"])

    async def _create(self, session: aiohttp.ClientSession) -> None:
        body = copy.deepcopy(self._manifest)
        body["metadata"]["name"] = f"plain-{self._made}"
        self._made += 1
        async with session.post(self._jobs, json=body) as answer:
            answer.raise_for_status()

    async def _delete(self, session: aiohttp.ClientSession, job: str) -> None:
        async with session.delete(f"{self._jobs}/{job}", params={"propagationPolicy": "Background"}) as answer:
            answer.raise_for_status()


def run(loop: PlainLoop) -> None:
    """For a thread."""
    asyncio.run(loop.run())
