"""The border to the API server: what we ask it, and what its errors mean to a person.

Called by `command`. Only reads. Every exception of the client library ends here.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from bananas_cli.errors import CliError, NotFound, NotInstalled, Refused, Unreachable
from bananas_cli.snapshot import RawObject
from bananas_core import constants

PAGE: Final = 500
"""Trials in one answer: one is 2 KiB or so, an answer of a megabyte is what kubectl asks for too."""
TIMEOUT_SECONDS: Final = (5.0, 30.0)
"""To connect, and between two bytes."""


class Cluster:
    """A cluster, and the namespace to look in."""

    def __init__(self, api: Any, host: str, namespace: str) -> None:
        self._api = api
        self.host = host
        self.namespace = namespace

    @classmethod
    def of(cls, kubeconfig: Path | None, context: str | None, namespace: str | None) -> "Cluster":
        """The cluster that kubectl would talk to with these options.

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
        api: Any = client.CustomObjectsApi(client.ApiClient(settings))
        return cls(api, str(settings.host), namespace or home)

    def search(self, name: str) -> RawObject:
        """The NASSearch of this name.

        Raises:
            NotFound: naming those that are there.
            CliError: any other trouble.
        """
        try:
            return self._call("get_namespaced_custom_object", constants.SEARCH_PLURAL, name=name)
        except NotFound:
            raise NotFound(f"no NASSearch {name} in namespace {self.namespace}; {self._others()}") from None

    def trials(self, search_uid: str) -> list[RawObject]:
        """All trials of a search.

        Raises:
            CliError: any trouble.
        """
        items: list[RawObject] = []
        token = ""
        while True:
            page = self._call(
                "list_namespaced_custom_object",
                constants.TRIAL_PLURAL,
                label_selector=f"{constants.LABEL_SEARCH_UID}={search_uid}",
                limit=PAGE,
                **({"_continue": token} if token else {}),
            )
            items += [
                {**item, "apiVersion": page["apiVersion"], "kind": constants.TRIAL_KIND} for item in page["items"]
            ]
            token = page["metadata"].get("continue") or ""
            if not token:
                return items

    def _others(self) -> str:
        try:
            names = [
                item["metadata"]["name"] for item in self._call("list_namespaced_custom_object", "nassearches")["items"]
            ]
        except CliError:
            names = []
        if names:
            return f"there: {', '.join(sorted(names)[:10])}"
        return "none is there; another namespace (-n)? `kubectl get nas -A` lists all"

    def _call(self, method: str, plural: str, **arguments: Any) -> RawObject:
        try:
            answer: RawObject = getattr(self._api, method)(
                group=constants.GROUP,
                version=constants.VERSION,
                namespace=self.namespace,
                plural=plural,
                _request_timeout=TIMEOUT_SECONDS,
                **arguments,
            )
        except ApiException as error:
            raise self._meaning(error, plural) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = _one_line(getattr(error, "reason", None) or error)
            raise Unreachable(
                f"no answer from {self.host}: {reason}; is the cluster up, and the context right?"
            ) from error
        if not isinstance(answer, dict):
            raise Unreachable(f"{self.host} answered no JSON object; is it a Kubernetes API server?")
        return answer

    def _meaning(self, error: Any, plural: str) -> CliError:
        body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
        try:
            message = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            message = ""
        if error.status == 404 and message and "could not find the requested resource" not in message:
            return NotFound(message)
        if error.status == 404:
            return NotInstalled(
                f"the cluster at {self.host} does not know {plural}.{constants.GROUP}: Bananas is not installed there; "
                "install it (make deploy), or choose another --context"
            )
        if error.status == 401:
            return Refused(f"{self.host} does not accept the credentials of this context; log in anew")
        if error.status == 403:
            return Refused(f"{message or 'not allowed'}; ask for get and list on nassearches and nastrials there")
        return Unreachable(f"{self.host} answered {error.status} {error.reason}: {_one_line(message or body)}")


def _inside_a_pod() -> bool:
    default = Path("~/.kube/config").expanduser()
    return "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ and not default.exists()


def _namespace(file: str | None, context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts(file)
    chosen = next((c for c in contexts if c["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def _one_line(what: object) -> str:
    return " ".join(str(what).split())[:300]
