"""The predictor's border to Kubernetes, as a protocol: what the evaluation by trials needs of a cluster, and no more.

`api_server` is the real one; the tests bring one in memory.
"""

from typing import Protocol

from bananas_predictor.objects import Raw


class Cluster(Protocol):
    """A view of one search and its trials that is kept up to date, and a few requests."""

    async def wait(self, timeout_seconds: float | None) -> None:
        """Returns when something has changed since the last call, or the time is over."""
        ...

    def search(self) -> Raw | None:
        """The NASSearch of our name as last seen."""
        ...

    def trials(self) -> tuple[Raw, ...]:
        """The NASTrials with our search's UID label as last seen, in no order."""
        ...

    async def create_trial(self, trial: Raw) -> Raw:
        """Creates a NASTrial and returns it; it is in the view from now on.

        Raises:
            AlreadyExistsError: there is an object of that name.
            TemporaryError: try again.
            ClusterError: refused.
        """
        ...

    async def read_trial(self, name: str) -> Raw:
        """Reads a NASTrial; if it bears our label, it is in the view from now on.

        Raises:
            NotFoundError: there is none.
            TemporaryError: try again.
            ClusterError: refused.
        """
        ...

    async def read_other(self, search: str) -> tuple[Raw, tuple[Raw, ...]]:
        """Reads another NASSearch of the namespace and its NASTrials, once.

        Raises:
            NotFoundError: there is no such search.
            TemporaryError: try again.
            ClusterError: refused.
        """
        ...

    async def apply_search_status(self, search: Raw) -> None:
        """Server-side apply to the status of the NASSearch, as our field manager.

        Raises:
            TemporaryError: try again.
            ClusterError: refused.
        """
        ...
