"""A tiny API server on a real socket: serves searches and trials page by page, and any trouble that it is told to make."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]
Answer = tuple[int, Object | str]
ROOT = "/apis/nas.bananas.dev/v1alpha1/namespaces/"


def refusal(code: int, reason: str, message: str) -> Answer:
    """A Status object, as the API server sends it."""
    return code, {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }


@dataclass
class ApiServer:
    """What is in the cluster, and how it answers."""

    url: str = ""
    searches: dict[str, Object] = field(default_factory=dict)
    trials: list[Object] = field(default_factory=list)
    trouble: Callable[[str], Answer | None] = lambda _path: None
    """Answers a path in place of the server, or returns None."""
    page: int = 1000
    requests: list[str] = field(default_factory=list)

    def put(self, objects: tuple[Object, list[Object]]) -> None:
        """Makes these the search and the trials."""
        search, self.trials = objects
        self.searches[search["metadata"]["name"]] = search

    def answer(self, target: str) -> Answer:
        """What a GET of this target brings."""
        self.requests.append(target)
        parts = urlsplit(target)
        trouble = self.trouble(parts.path)
        if trouble is not None:
            return trouble
        namespace, _, rest = parts.path.removeprefix(ROOT).partition("/")
        plural, _, name = rest.partition("/")
        here = namespace == "lab"
        if plural == "nassearches" and name:
            if here and name in self.searches:
                return 200, self.searches[name]
            return refusal(404, "NotFound", f'nassearches.nas.bananas.dev "{name}" not found')
        if plural == "nassearches":
            return 200, self._list("NASSearchList", list(self.searches.values()) if here else [], {})
        if plural == "nastrials":
            return 200, self._list("NASTrialList", self.trials if here else [], parse_qs(parts.query))
        return 404, "404 page not found\n"

    def _list(self, kind: str, items: list[Object], query: dict[str, list[str]]) -> Object:
        start = int(query.get("continue", ["0"])[0])
        size = min(int(query.get("limit", ["1000"])[0]), self.page)
        end = start + size
        bare = [{k: v for k, v in item.items() if k not in ("apiVersion", "kind")} for item in items[start:end]]
        more = {"continue": str(end)} if end < len(items) else {}
        return {
            "apiVersion": "nas.bananas.dev/v1alpha1",
            "kind": kind,
            "metadata": {"resourceVersion": "7", **more},
            "items": bare,
        }

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig whose current context is this server and namespace lab; context `other` is namespace elsewhere."""
        path = folder / "kubeconfig"
        context = {"cluster": "here", "user": "me"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "mine",
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "secret"}}],
            "contexts": [
                {"name": "mine", "context": {**context, "namespace": "lab"}},
                {"name": "other", "context": {**context, "namespace": "elsewhere"}},
            ],
        }
        path.write_text(yaml.safe_dump(config))
        return path


@contextmanager
def serving() -> Iterator[ApiServer]:
    """A server until the end of the block."""
    state = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = state.answer(self.path)
            raw = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
