"""The border to the API server: one request, one answer, and what its errors mean to a person.

Called by `cluster`, which knows what to ask. Every exception of the client library ends here.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from bananas_cli.errors import CliError, Invalid, NotFound, NotInstalled, Refused, Unreachable
from bananas_cli.snapshot import RawObject
from bananas_core import constants

TIMEOUT_SECONDS: Final = (5.0, 30.0)
"""To connect, and between two bytes."""
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
OURS: Final = f"/apis/{constants.API_VERSION}/namespaces"
"""Under it are searches and trials."""

Query = Sequence[tuple[str, str]]


class Connection:
    """To one API server."""

    def __init__(self, api_client: Any, host: str, namespace: str) -> None:
        self._client = api_client
        self.host = host
        self.namespace = namespace

    @classmethod
    def of(cls, kubeconfig: Path | None, context: str | None, namespace: str | None) -> "Connection":
        """The one that kubectl would use with these options.

        Raises:
            Unreachable: no kubeconfig, or no such context in it.
        """
        settings: Any = client.Configuration()
        try:
            if kubeconfig is None and context is None and _inside_a_pod():
                config.load_incluster_config(client_configuration=settings)
                home = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text()
            else:
                file = str(kubeconfig) if kubeconfig else None
                config.load_kube_config(file, context, settings, persist_config=False)
                home = _namespace(file, context)
        except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise Unreachable(
                f"no usable kubeconfig: {_one_line(error).rstrip('.')}; set KUBECONFIG, --kubeconfig or --context"
            ) from error
        settings.retries = False  # we decide; the client's own retries hide a dead cluster for minutes
        return cls(client.ApiClient(settings), str(settings.host), namespace or home)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: RawObject | None = None,
        content_type: str = "application/json",
    ) -> RawObject:
        """The object that the API server answers.

        Raises:
            CliError: one of its kinds, with what to do.
        """
        response = self._send(method, path, query, body, content_type, TIMEOUT_SECONDS)
        try:
            raw = response.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._no_answer(error) from error
        if not 200 <= response.status < 300:
            raise self._meaning(response.status, str(response.reason), raw, method, path)
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable(f"{self.host} answered no JSON object; is it a Kubernetes API server?")
        return answer

    def stream(self, path: str, query: Query) -> Iterator[bytes]:
        """Pieces of a text as they come, however long nothing comes.

        Raises:
            CliError: one of its kinds; also in the middle, where the connection ends.
        """
        response = self._send("GET", path, query, None, "application/json", (TIMEOUT_SECONDS[0], None))
        try:
            if not 200 <= response.status < 300:
                raise self._meaning(response.status, str(response.reason), response.read(), "GET", path)
            yield from response.response.stream(65536)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._no_answer(error) from error

    def _send(
        self,
        method: str,
        path: str,
        query: Query,
        body: RawObject | None,
        content_type: str,
        timeout: tuple[float, float | None],
    ) -> Any:
        request = self._client.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params={"Accept": "application/json, */*", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            return self._client.call_api(*request, _request_timeout=timeout)
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError) as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: Exception) -> Unreachable:
        reason = _one_line(getattr(error, "reason", None) or error)
        return Unreachable(f"no answer from {self.host}: {reason}; is the cluster up, and the context right?")

    def _meaning(self, status: int, reason: str, raw: bytes, method: str, path: str) -> CliError:
        body = raw.decode(errors="replace")
        try:
            message = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            message = ""
        if status == 404 and message and "could not find the requested resource" not in message:
            return NotFound(message)
        if status == 404 and path.startswith(OURS):
            plural = path.removeprefix(OURS).split("/")[2]
            return NotInstalled(
                f"the cluster at {self.host} does not know {plural}.{constants.GROUP}: Bananas is not installed there; "
                "install it (make deploy), or choose another --context"
            )
        if status == 401:
            return Refused(f"{self.host} does not accept the credentials of this context; log in anew")
        # Of a 403 with another word not the person is refused but the object: by quota, Pod Security, a policy.
        if status == 403 and (not message or _NO_RIGHT.search(message)):
            return Refused(f"{message or 'not allowed'}; ask for {_rights(method, path)} there")
        if status in (400, 403, 409, 422):
            return Invalid(_one_line(message or body))
        return Unreachable(f"{self.host} answered {status} {reason}: {_one_line(message or body)}")


def _rights(method: str, path: str) -> str:
    """What to ask an administrator for."""
    if path.startswith(OURS):
        verbs = {"PATCH": "patch on nastrials", "POST": "create on nassearches"}
        return verbs.get(method, "get and list on nassearches and nastrials")
    resource = next((part for part in reversed(path.split("/")) if part in _RESOURCES), path)
    return f"{_RESOURCES.get(resource, 'get')} on {'pods/log' if resource == 'log' else resource}"


_NO_RIGHT: Final = re.compile(r"\bcannot \w+ ")
"""How an authorizer's word differs from an admission plugin's."""
_RESOURCES: Final = {
    "pods": "list and create",
    "log": "get",
    "jobs": "create",
    "persistentvolumeclaims": "get",
    "resourcequotas": "list",
    "nodes": "list",
    "deployments": "get",
}
"""What we ask for beside our own kinds, and the verb."""


def _inside_a_pod() -> bool:
    default = Path("~/.kube/config").expanduser()
    return "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ and not default.exists()


def _namespace(file: str | None, context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts(file)
    chosen = next((c for c in contexts if c["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def _one_line(what: object) -> str:
    return " ".join(str(what).split())[:1000]
