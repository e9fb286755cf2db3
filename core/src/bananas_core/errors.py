"""The exception tree of the core.

CoreError
├── ArchitectureError   a string or object is no architecture of its space
├── ContractError       a trial file, report or progress message is not what the contract says
└── AttemptError        an attempt must end now; carries the exit code of the contract
    └── Interrupted     ... because SIGTERM came
"""


class CoreError(Exception):
    """Anything that the core refuses."""


class ArchitectureError(CoreError, ValueError):
    """A text or an object that is no architecture of its space; the message names the field and what would be valid."""


class ContractError(CoreError, ValueError):
    """A trial file, report or progress message that does not follow the contract; the message names the field."""


class AttemptError(CoreError):
    """An attempt must end now, with this exit code (`contract.ExitCode`); the message is for a person."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interrupted(AttemptError):  # noqa: N818 - an end, not an error
    """SIGTERM came. Whoever keeps checkpoints has written one before this leaves the program."""
