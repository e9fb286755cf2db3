"""Whether the operator sees the cluster: what /healthz answers, and /livez of what only a new process can mend.

kopf's own liveness says 200 while a resource is not watched at all; here a watch that owes us a change we know of by other
ways, or lists that do not succeed, make the operator unhealthy, and the kubelet starts it anew.
"""

from bananas_operator.cache import Cache, Lister
from bananas_operator.settings import Settings

PATIENCE = 4
"""How many times older the last list may be where a kind of ours is not found any more: a new process can but wait for it, too,
unless it is this one that errs. A process that has never listed everything waits as long as it takes."""


class Health:
    """Looks at cache and lists."""

    def __init__(self, cache: Cache, lister: Lister, settings: Settings) -> None:
        self._cache = cache
        self._lister = lister
        self._settings = settings

    def problems(self) -> list[str]:
        """What is wrong, as sentences; nothing if all is well."""
        found = [self._lister.not_installed] if self._lister.not_installed is not None else []
        return found + self.ailments()

    def ailments(self) -> list[str]:
        """What a new process might mend: not that a kind of ours is not installed yet, for which this one waits."""
        found = []
        age = self._lister.seconds_since_list()
        limit = 1.5 * self._settings.resync_seconds + self._settings.error_backoff_limit_seconds
        waits = self._lister.not_installed is not None
        limit *= PATIENCE if waits else 1
        if age is None and not waits:
            found.append("no full list yet")
        elif age is not None and age > limit:
            found.append(f"the last full list is {age:.0f} s old, more than {limit:.0f} s")
        untold = self._cache.seconds_untold()
        if untold > self._settings.echo_seconds:
            found.append(
                f"a watch has not told a change for {untold:.0f} s, more than {self._settings.echo_seconds:.0f} s"
            )
        return found
