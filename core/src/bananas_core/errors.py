"""The exception tree of the core.

CoreError
├── ArchitectureError   a string or object is no architecture of its space
└── ContractError       a trial file, report or progress message is not what the contract says
"""


class CoreError(Exception):
    """Anything that the core refuses."""


class ArchitectureError(CoreError, ValueError):
    """A text or an object that is no architecture of its space; the message names the field and what would be valid."""


class ContractError(CoreError, ValueError):
    """A trial file, report or progress message that does not follow the contract; the message names the field."""
