"""What the plugin asks a cluster: searches, trials, their pods and logs. Called by the commands.

It changes nothing but the two annotations by which a person steers a trial.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bananas_cli.connection import MERGE_PATCH, OURS, Connection, Query
from bananas_cli.errors import CliError, NotFound
from bananas_cli.snapshot import RawObject
from bananas_core import constants

PAGE: Final = 500
"""Trials in one answer: one is 2 KiB or so, an answer of a megabyte is what kubectl asks for too."""


class Cluster:
    """A cluster, and the namespace to look in."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.namespace = connection.namespace

    @classmethod
    def of(cls, kubeconfig: Path | None, context: str | None, namespace: str | None) -> "Cluster":
        """The cluster that kubectl would talk to with these options.

        Raises:
            Unreachable: no kubeconfig, or no such context in it.
        """
        return cls(Connection.of(kubeconfig, context, namespace))

    def search(self, name: str) -> RawObject:
        """The NASSearch of this name.

        Raises:
            NotFound: naming those that are there.
            CliError: any other trouble.
        """
        return self._named(constants.SEARCH_KIND, constants.SEARCH_PLURAL, "nas", name)

    def trial(self, name: str) -> RawObject:
        """The NASTrial of this name.

        Raises:
            NotFound: naming some that are there.
            CliError: any other trouble.
        """
        return self._named(constants.TRIAL_KIND, constants.TRIAL_PLURAL, constants.TRIAL_PLURAL, name)

    def trials(self, search_uid: str) -> list[RawObject]:
        """All trials of a search.

        Raises:
            CliError: any trouble.
        """
        selector = ("labelSelector", f"{constants.LABEL_SEARCH_UID}={search_uid}")
        items: list[RawObject] = []
        token = ""
        while True:
            query: Query = [selector, ("limit", str(PAGE)), *([("continue", token)] if token else [])]
            page = self.connection.request("GET", self._ours(constants.TRIAL_PLURAL), query=query)
            items += [
                {**item, "apiVersion": page["apiVersion"], "kind": constants.TRIAL_KIND} for item in page["items"]
            ]
            token = page["metadata"].get("continue") or ""
            if not token:
                return items

    def annotate_trial(self, name: str, annotation: str, value: str) -> None:
        """Sets an annotation of a trial.

        Raises:
            CliError: any trouble.
        """
        body: RawObject = {"metadata": {"annotations": {annotation: value}}}
        path = self._ours(constants.TRIAL_PLURAL, name)
        self.connection.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    def pods(self, labels: dict[str, str]) -> list[RawObject]:
        """The pods that carry these labels.

        Raises:
            CliError: any trouble.
        """
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        items: list[RawObject] = self.connection.request("GET", path, query=[("labelSelector", selector)])["items"]
        return items

    def log(self, pod: str, container: str, *, follow: bool, previous: bool, tail: int | None) -> Iterator[bytes]:
        """What a container has written; with `follow`, until it ends.

        Raises:
            CliError: any trouble.
        """
        query = [("container", container)]
        query += [("follow", "true")] if follow else []
        query += [("previous", "true")] if previous else []
        query += [("tailLines", str(tail))] if tail is not None else []
        yield from self.connection.stream(f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log", query)

    def _ours(self, plural: str, name: str = "") -> str:
        return f"{OURS}/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def _named(self, kind: str, plural: str, short: str, name: str) -> RawObject:
        """An object of ours; `short` is what a person types for its kind."""
        try:
            return self.connection.request("GET", self._ours(plural, name))
        except NotFound:
            there = self._names(plural)
            none = f"none is there; another namespace (-n)? `kubectl get {short} -A` lists all"
            hint = f"there: {there}" if there else none
            raise NotFound(f"no {kind} {name} in namespace {self.namespace}; {hint}") from None

    def _names(self, plural: str) -> str:
        """Some that are there, for whoever mistyped one."""
        try:
            items = self.connection.request("GET", self._ours(plural), query=[("limit", str(PAGE))])["items"]
        except CliError:
            return ""
        names = sorted(item["metadata"]["name"] for item in items)
        return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
