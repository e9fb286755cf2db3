"""What can go wrong, as types.

Cli.py prints these without a traceback; anything else is a bug and keeps its traceback.

DevclusterError
├── Refused            nothing was changed: the machine lacks something, each problem with its remedy
├── CommandFailed      a program that we ran to its end failed
└── NotReady           something that we started did not become ready in time
"""

from __future__ import annotations

from collections.abc import Sequence


class DevclusterError(Exception):
    """The message is complete: what failed and what to do."""


class Refused(DevclusterError):  # noqa: N818 - it is an answer, not an accident
    def __init__(self, problems: Sequence[str], way_out: str = "") -> None:
        self.problems = tuple(problems)
        lines = [*(f"  * {problem}" for problem in self.problems), *([f"  {way_out}"] if way_out else [])]
        super().__init__("\n".join(lines))


class CommandFailed(DevclusterError):  # noqa: N818
    pass


class NotReady(DevclusterError):  # noqa: N818
    pass
