"""The few requests that this program makes to its own API server, as admin."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from devcluster import addresses, credentials
from devcluster.errors import CommandFailed
from devcluster.paths import Paths

TIMEOUT_SECONDS = 5.0


class Api:
    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def ready(self) -> bool:
        """Also when there is no server yet, or no certificate."""
        try:
            return self._send("GET", "/readyz", None, "") == b"ok"
        except (OSError, CommandFailed):
            return False

    def get(self, path: str) -> Any:
        """None when there is no such object."""
        try:
            return json.loads(self._send("GET", path, None, ""))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def apply(self, path: str, body: object) -> None:
        """Server-side apply: the same call makes an object and repairs it."""
        self._send("PATCH", f"{path}?fieldManager=devcluster&force=true", body, "application/apply-patch+yaml")

    def patch(self, path: str, body: object) -> None:
        self._send("PATCH", path, body, "application/strategic-merge-patch+json")

    def delete(self, path: str) -> None:
        self._send("DELETE", path, None, "")

    def _send(self, method: str, path: str, body: object, content_type: str) -> bytes:
        token = credentials.tokens(self._paths)["admin"]
        request = urllib.request.Request(
            f"https://{addresses.HOST}:{addresses.API_SERVER_PORT}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": content_type},
        )
        trust = ssl.create_default_context(cafile=str(credentials.server_certificate(self._paths)))
        # No proxy of the environment: the address is on this machine.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            content: bytes = response.read()
        return content
