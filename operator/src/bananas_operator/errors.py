"""The exception tree of the operator. Whether an error may pass is part of its type.

OperatorError
├── SettingsError          the environment says something that cannot be
├── WatchesEndedError      nothing is heard any more: this process must end
├── LeaseLostError         another replica acts: this process must end
└── ApiError               the API server said no, or nothing
    ├── RetryableError     may pass: asked again with backoff
    │   ├── UnreachableError   no answer: a write may or may not have happened
    │   ├── ThrottledError     429
    │   ├── ServerError        5xx
    │   ├── StaleError         409: the object has changed since it was observed
    │   ├── ExpiredError       410: a list's continuation is too old
    │   └── FencedError        a write was not sent, or refused, because another replica may act
    ├── AlreadyExistsError 409: a create met an object of that name
    ├── NotFoundError      404
    │   └── NotInstalledError  of a whole kind: its CRD is not there
    └── RefusedError       400, 403, 422: the request itself is refused, the message says why
"""


class OperatorError(Exception):
    """Anything that goes wrong in the operator."""


class SettingsError(OperatorError):
    """A setting that cannot be; the message names the variable and what would be valid."""


class WatchesEndedError(OperatorError):
    """The watches have ended by themselves."""


class LeaseLostError(OperatorError):
    """This replica does not lead (any more), or cannot tell."""


class ApiError(OperatorError):
    """An answer of the API server that is no success."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class RetryableError(ApiError):
    """An error that may pass."""


class UnreachableError(RetryableError):
    """No answer: a write may or may not have happened."""


class ThrottledError(RetryableError):
    """429: too many requests."""

    def __init__(self, message: str, *, status: int = 429, retry_after_seconds: float = 0) -> None:
        super().__init__(message, status=status)
        self.retry_after_seconds = retry_after_seconds


class ServerError(RetryableError):
    """5xx. A write may have happened."""


class StaleError(RetryableError):
    """409: the object has changed since it was observed."""


class ExpiredError(RetryableError):
    """410: a list's continuation is too old; begin anew."""


class FencedError(RetryableError):
    """The write was not sent, or refused by the fence in the API server: another replica may be acting."""


class AlreadyExistsError(ApiError):
    """409: a create met an object of that name."""


class NotFoundError(ApiError):
    """404: no such object."""


class NotInstalledError(NotFoundError):
    """404: the API server does not know the kind; the message names it and what would help."""


class RefusedError(ApiError):
    """400, 403 or 422: the request itself is refused."""
