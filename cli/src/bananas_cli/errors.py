"""The exception tree of the plugin. Each message is one line that says what to do; none reaches a person as a traceback.

CliError
├── Unreachable       no kubeconfig, no such context, or no answer from the API server
├── Refused           the API server knows us not, or lets us not
├── Invalid           the API server refuses what it was given
├── NotFound          no such search or trial
├── NotInstalled      the cluster has no CRDs of ours
├── Unreadable        an object of another release
├── NoResult          what is asked for is not there yet, or no more
└── NotPossible       what is asked for makes no sense in the state that things are in
"""


class CliError(Exception):
    """Anything that ends a command with exit code 1."""


class Unreachable(CliError):  # noqa: N818 - says what is the matter
    """No kubeconfig, no such context, or no answer from the API server. The last of these may pass."""


class Refused(CliError):  # noqa: N818
    """The API server does not know us, or does not let us."""


class Invalid(CliError):  # noqa: N818
    """The API server refuses what it was given."""


class NotFound(CliError):  # noqa: N818
    """No such search or trial."""


class NotInstalled(CliError):  # noqa: N818
    """The cluster has no CRDs of ours."""


class Unreadable(CliError):  # noqa: N818
    """An object of another release."""


class NoResult(CliError):  # noqa: N818
    """What is asked for is not there yet, or no more."""


class NotPossible(CliError):  # noqa: N818
    """What is asked for makes no sense in the state that things are in."""
