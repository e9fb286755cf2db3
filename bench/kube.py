"""Requests to the development cluster as its admin, plain and patient: what the operator's benchmark and chaos ask with.

Standard library only, and nothing of the programs under test: a measurement must not share the client of what it measures.
"""

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

from devcluster import addresses, credentials
from devcluster.paths import Paths

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
NAS = "/apis/nas.bananas.dev/v1alpha1"
RETRY_SECONDS = 0.5


class RefusedError(Exception):
    """The API server answered with an error that another try would not change."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Kube:
    """The API server, as admin. Waits while it is away, for it is killed on purpose."""

    def __init__(self, paths: Paths, *, patience_seconds: float = 60) -> None:
        self._base = f"https://{addresses.HOST}:{addresses.API_SERVER_PORT}"
        self._token = credentials.tokens(paths)["admin"]
        self._patience = patience_seconds
        trust = ssl.create_default_context(cafile=str(credentials.server_certificate(paths)))
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )

    def get(self, path: str) -> Object | None:
        """An object; None where there is none."""
        try:
            return self._send("GET", path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def list(self, path: str, selector: str = "") -> list[Object]:
        """Objects; none where there is no such kind."""
        query = f"?labelSelector={urllib.request.quote(selector)}" if selector else ""  # type: ignore[attr-defined]
        items: list[Object] = (self.get(path + query) or {"items": []})["items"]
        return items

    def create(self, path: str, body: Object) -> Object:
        """Creates an object; one that is there already is what a lost answer to our own request left."""
        try:
            return self._send("POST", path, body)
        except RefusedError as error:
            if error.status == 409 and "already exists" in str(error):
                return self.get(f"{path}/{body['metadata']['name']}") or {}
            raise

    def patch(self, path: str, body: object, content_type: str = MERGE) -> Object:
        """Patches an object."""
        return self._send("PATCH", path, body, content_type)

    def delete(self, path: str, *, grace_seconds: int | None = None) -> None:
        """Deletes an object, in the background what it owns; nothing where there is none."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            self._send("DELETE", path, body)
        except RefusedError as error:
            if error.status != 404:
                raise

    def _send(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Object:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._once(method, path, body, content_type)
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                if (error.code != 429 and error.code < 500) or time.monotonic() > deadline:
                    raise RefusedError(error.code, _message(text)) from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                if time.monotonic() > deadline:
                    raise RefusedError(503, f"{method} {path}: {error}") from error
            time.sleep(RETRY_SECONDS)

    def _once(self, method: str, path: str, body: object, content_type: str) -> Object:
        request = urllib.request.Request(  # noqa: S310 - an address of this machine
            self._base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": content_type},
        )
        with self._opener.open(request, timeout=10) as response:
            answer: Object = json.loads(response.read())
        return answer


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300]
