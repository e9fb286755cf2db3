"""A tiny API server on a real socket: serves what it is given, page by page, and any trouble that it is told to make.

It checks nothing: what a real one says to a NASSearch or a Job is put into `answers` by the test that needs it.
"""

import itertools
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
CORE = "/api/v1/"
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
    pods: list[Object] = field(default_factory=list)
    logs: dict[str, list[bytes]] = field(default_factory=dict)
    """Of a pod, piece by piece."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """What any other GET or POST brings, by path."""
    bodies: list[tuple[str, str, Object]] = field(default_factory=list)
    """What was sent: method, target, body."""
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
        given = self.trouble(parts.path) or self.answers.get(parts.path)
        if given is not None:
            return given
        query = parse_qs(parts.query)
        if parts.path == f"{CORE}namespaces/lab/pods":
            return 200, {"kind": "PodList", "metadata": {}, "items": self._selected(query)}
        namespace, _, rest = parts.path.removeprefix(ROOT).partition("/")
        plural, _, name = rest.partition("/")
        kinds = {
            "nassearches": ("NASSearchList", list(self.searches.values())),
            "nastrials": ("NASTrialList", self.trials),
        }
        if plural not in kinds:
            return 404, "404 page not found\n"
        kind, there = kinds[plural]
        here = there if namespace == "lab" else []
        if not name:
            return 200, self._list(kind, here, query if plural == "nastrials" else {})
        found = [one for one in here if one["metadata"]["name"] == name]
        return (200, found[0]) if found else refusal(404, "NotFound", f'{plural}.nas.bananas.dev "{name}" not found')

    def take(self, method: str, target: str, body: Object) -> Answer:
        """What a PATCH or POST brings."""
        self.bodies.append((method, target, body))
        if method == "POST" and urlsplit(target).path not in self.answers:
            self.requests.append(target)
            return 201, body
        answer = self.answer(target)
        if method == "PATCH" and answer[0] == 200:
            assert isinstance(answer[1], dict)
            answer[1]["metadata"].setdefault("annotations", {}).update(body["metadata"].get("annotations", {}))
        return answer

    def log(self, target: str) -> list[bytes] | None:
        """Pieces of a log; None where the target is none."""
        pod, _, rest = urlsplit(target).path.removeprefix(f"{CORE}namespaces/lab/pods/").partition("/")
        return self.logs.get(pod) if rest == "log" else None

    def _selected(self, query: dict[str, list[str]]) -> list[Object]:
        wanted = dict(pair.split("=") for pair in query["labelSelector"][0].split(","))
        return [pod for pod in self.pods if wanted.items() <= pod["metadata"]["labels"].items()]

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
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            pieces = state.log(self.path)
            if pieces is None:
                self._send(*state.answer(self.path))
                return
            state.requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in itertools.chain(pieces, [b""]):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()

        def do_PATCH(self) -> None:
            self._take("PATCH")

        def do_POST(self) -> None:
            self._take("POST")

        def _take(self, method: str) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(*state.take(method, self.path, body))

        def _send(self, code: int, body: Object | str) -> None:
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
