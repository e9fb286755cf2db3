"""The exception tree of the predictor.

PredictorError
├── InputError            a file, option or setting that a person gave; the message names it and what would be right
└── ClusterError          the API server refused or could not be reached
    ├── TemporaryError       it may pass: overload, a lost connection, a namespace that is going away
    ├── AlreadyExistsError   an object of that name is there
    ├── NotFoundError        there is no such object
    └── ExpiredError         the watch or the page is too old: list again
"""


class PredictorError(Exception):
    """Anything that the predictor refuses or cannot do."""


class InputError(PredictorError, ValueError):
    """Bad input of a person; the message names the file, line or option, and what would be right."""


class ClusterError(PredictorError):
    """An answer of the API server that is final for the request: sending it again gives the same."""


class TemporaryError(ClusterError):
    """No answer, or one that may be another next time."""


class AlreadyExistsError(ClusterError):
    """There is an object of that name."""


class NotFoundError(ClusterError):
    """There is no object of that name."""


class ExpiredError(ClusterError):
    """The resource version is too old to go on from."""
