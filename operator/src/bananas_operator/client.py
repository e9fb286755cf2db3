"""The one border to the API server: requests with plain objects, and its errors translated into ours.

Used by `cache` (lists), `facts` (reads) and `apply` (writes). It decides nothing and keeps nothing. The official client's
generated methods are passed by: their models drop fields that they do not know and raise where one is missing.
"""

import json
from collections.abc import Sequence
from typing import Any

import aiohttp
from kubernetes.aio import client as kubernetes_client

from bananas_core import constants
from bananas_operator.errors import (
    AlreadyExistsError,
    ApiError,
    ExpiredError,
    NotFoundError,
    RefusedError,
    ServerError,
    StaleError,
    ThrottledError,
    UnreachableError,
)
from bananas_operator.resources import Json, Resource

MERGE_PATCH = "application/merge-patch+json"
MANAGER = ("fieldManager", constants.MANAGER_OPERATOR)
Query = Sequence[tuple[str, str]]


class KubernetesApi:
    """The API server."""

    def __init__(self, api_client: kubernetes_client.ApiClient, *, timeout_seconds: float) -> None:
        self._client = api_client
        self._client.user_agent = constants.MANAGER_OPERATOR  # for whoever reads the audit log
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

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
            response = await self._client.call_api(*request, _request_timeout=self._timeout)
            data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{method} {path}: no answer: {error or type(error).__name__}") from error
        answer = _decode(data)
        if 200 <= response.status < 300:
            return answer
        raise _error(response.status, str(answer.get("reason", "")), f"{method} {path}", str(answer.get("message", "")))


def _decode(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError:
        return {"message": data[:200].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {}


def _error(status: int, reason: str, request: str, message: str) -> ApiError:
    text = message or f"{request}: status {status}"
    if status == 409:
        return (AlreadyExistsError if reason == "AlreadyExists" else StaleError)(text, status=status)
    if status in (401, 408) or status >= 500:
        return ServerError(f"{request}: {text}", status=status)
    if status == 403 and "it is being terminated" in text:
        return NotFoundError(text, status=status)  # the namespace, and with it soon the search, is going
    known: dict[int, type[ApiError]] = {404: NotFoundError, 410: ExpiredError, 429: ThrottledError}
    return known.get(status, RefusedError)(text, status=status)
