"""The one border to the API server: requests with plain objects, and its errors translated into ours.

Used by `cache` (lists), `facts` (reads), `apply` (writes) and `election` (the Lease, which no fence guards). It decides
nothing and keeps nothing; no write leaves it that the fence does not let pass. The official client's
generated methods are passed by: their models drop fields that they do not know and raise where one is missing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from kubernetes.aio import client as kubernetes_client

from bananas_core import constants
from bananas_operator.errors import (
    AlreadyExistsError,
    ApiError,
    ExpiredError,
    FencedError,
    NotFoundError,
    RefusedError,
    ServerError,
    StaleError,
    ThrottledError,
    UnreachableError,
)
from bananas_operator.fence import Fence
from bananas_operator.resources import Json, Resource

MERGE_PATCH = "application/merge-patch+json"
MANAGER = ("fieldManager", constants.MANAGER_OPERATOR)
Query = Sequence[tuple[str, str]]


class KubernetesApi:
    """The API server."""

    def __init__(
        self, api_client: kubernetes_client.ApiClient, *, timeout_seconds: float, fence: Fence | None = None
    ) -> None:
        self._client = api_client
        self._client.user_agent = constants.MANAGER_OPERATOR  # for whoever reads the audit log
        self._timeout_seconds = timeout_seconds
        self._fence = fence

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Reads an object."""
        return await self._request("GET", resource.path(namespace, name))

    async def create(self, resource: Resource, namespace: str, body: Json, query: Query = ()) -> Json:
        """Creates an object."""
        return await self._request("POST", resource.path(namespace), body=body, query=[*query, MANAGER])

    async def replace(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        """Replaces an object."""
        return await self._request("PUT", resource.path(namespace, name), body=body, query=[MANAGER])

    async def patch_status(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        """Merges into the status; with a resourceVersion in the body a stale one is refused."""
        path = resource.path(namespace, name, "status")
        return await self._request("PATCH", path, body=body, query=[MANAGER], content_type=MERGE_PATCH)

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str | None, *, owned_first: bool = False
    ) -> Json:
        """Deletes an object, and what it owns in the background or first; nothing but the one with this UID."""
        policy = "Foreground" if owned_first else "Background"
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        return await self._request("DELETE", resource.path(namespace, name), body=body)

    async def delete_selected(self, resource: Resource, namespace: str, selector: str) -> Json:
        """Deletes the objects that labels select, and in the background what they own."""
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        return await self._request("DELETE", resource.path(namespace), body=body, query=[("labelSelector", selector)])

    async def list_page(self, resource: Resource, namespace: str | None, query: Query) -> Json:
        """One page of a list."""
        return await self._request("GET", resource.path(namespace), query=query)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Query = (),
        content_type: str = "application/json",
    ) -> Json:
        try:
            request = await self._client.param_serialize(
                method,
                path,
                query_params=list(query),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            status, headers, data = await self._send(method, request)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{method} {path}: no answer: {error or type(error).__name__}") from error
        answer = _decode(data)
        if 200 <= status < 300:
            return answer
        raise _error(status, headers, answer, f"{method} {path}")

    async def _send(self, method: str, request: tuple[Any, ...]) -> tuple[int, Mapping[str, str], bytes]:
        if method == "GET" or self._fence is None:
            return await self._call(request, self._timeout_seconds)
        with self._fence.write() as seconds:
            return await self._call(request, min(seconds, self._timeout_seconds))

    async def _call(self, request: tuple[Any, ...], seconds: float) -> tuple[int, Mapping[str, str], bytes]:
        response = await self._client.call_api(*request, _request_timeout=aiohttp.ClientTimeout(total=seconds))
        return response.status, response.headers, await response.read()


def _decode(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError:
        return {"message": data[:200].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {}


def _error(status: int, headers: Mapping[str, str], answer: dict[str, Any], request: str) -> ApiError:
    text = str(answer.get("message") or f"{request}: status {status}")
    if status == 409:
        return (AlreadyExistsError if answer.get("reason") == "AlreadyExists" else StaleError)(text, status=status)
    if status == 429:
        details = answer.get("details")
        told = headers.get("Retry-After") or (details.get("retryAfterSeconds") if isinstance(details, dict) else None)
        return ThrottledError(text, retry_after_seconds=_seconds(told))
    if status in (403, 422) and constants.FENCE_POLICY in text:
        return FencedError(text, status=status)
    if status in (401, 408) or status >= 500:
        return ServerError(f"{request}: {text}", status=status)
    if status == 403 and "it is being terminated" in text:
        return NotFoundError(text, status=status)  # the namespace, and with it soon the search, is going
    known: dict[int, type[ApiError]] = {404: NotFoundError, 410: ExpiredError}
    return known.get(status, RefusedError)(text, status=status)


def _seconds(told: Any) -> float:
    """Of a Retry-After; one that is a date, or nonsense, is left to the caller's own backoff."""
    try:
        return min(60.0, max(0.0, float(told)))
    except (TypeError, ValueError):
        return 0
