"""What the predictor pod is told, by environment variables that the operator sets. Read once, by `pod`."""

from collections.abc import Mapping
from dataclasses import dataclass

from bananas_core import constants
from bananas_predictor.errors import InputError


@dataclass(frozen=True, slots=True)
class PodSettings:
    """Settings of the predictor pod."""

    namespace: str
    """Namespace of the search. BANANAS_NAMESPACE."""
    search: str
    """Name of the NASSearch. BANANAS_SEARCH."""
    search_uid: str
    """Its UID: a search of the same name made anew is another one. BANANAS_SEARCH_UID."""

    metrics_port: int = constants.METRICS_PORT
    """Port of /metrics and /healthz; 0 takes a free one. BANANAS_METRICS_PORT, for a predictor outside a pod."""
    page_size: int = 500
    """Objects in a page of a list; what kubectl takes."""
    watch_seconds: int = 45
    """Length of a watch, below `dead_seconds`: its end shows that the connection is alive."""
    relist_seconds: float = 300
    """A watch that was cut delivers no deletions, so everything is listed anew this often."""
    retry_seconds: float = 1
    """First pause after an error; doubled up to `longest_retry_seconds`."""
    longest_retry_seconds: float = 30
    """Long enough to spare an API server in trouble, short enough that a person does not notice."""
    conflict_seconds: float = 5
    """Pause before another look at an object of somebody else that bears the name of our next trial."""
    publish_seconds: float = 10
    """What the predictor says of its forecasts waits this long for more to be said with it."""
    dead_seconds: float = 120
    """/healthz fails when lists and watches have given nothing for so long."""
    stuck_seconds: float = 1800
    """/healthz fails when a step of the loop takes longer. Once there was a fit it fails sooner (`pulse`): this is for the first
    one of a restarted predictor, on thousands of results, which takes minutes."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "PodSettings":
        """Reads the environment.

        Raises:
            InputError: naming the variable that is missing.
        """
        values = [environment.get(name, "") for name in ("BANANAS_NAMESPACE", "BANANAS_SEARCH", "BANANAS_SEARCH_UID")]
        missing = [
            name
            for name, value in zip(("BANANAS_NAMESPACE", "BANANAS_SEARCH", "BANANAS_SEARCH_UID"), values, strict=True)
            if not value
        ]
        if missing:
            raise InputError(
                f"{missing[0]} is not set; want the namespace, name and UID of a NASSearch in BANANAS_NAMESPACE, "
                "BANANAS_SEARCH and BANANAS_SEARCH_UID (the operator sets them)"
            )
        namespace, search, search_uid = values
        port = environment.get("BANANAS_METRICS_PORT", str(constants.METRICS_PORT))
        if not port.isdecimal() or int(port) > 65_535:
            raise InputError(f"BANANAS_METRICS_PORT is {port!r}; want a port from 0 to 65535")
        return cls(namespace, search, search_uid, int(port))
