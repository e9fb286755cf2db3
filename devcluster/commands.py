"""Programs that are run to their end. Their output goes into the error when they fail, and nowhere else."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from devcluster.errors import CommandFailed

# Debian keeps iptables, ip and debootstrap in sbin, which is not on everybody's PATH.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SEARCH_PATH}", **(extra or {})}


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_seconds: float | None = None,
    hint: str = "",
    lock: IO[str] | None = None,
) -> str:
    """The program's stdout. CommandFailed tells the command, its last lines and `hint`.

    It shares `lock`: when we are killed, the lock is held until the program has ended, too.
    """
    command = [str(argument) for argument in argv]
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=environment(env),
            cwd=cwd,
            timeout=timeout_seconds,
            pass_fds=() if lock is None else (lock.fileno(),),
        )
    except FileNotFoundError as missing:
        raise CommandFailed(f"{missing.filename} is not installed. {hint}".strip()) from missing
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(
            f"`{shlex.join(command)}` took longer than {timeout_seconds:.0f} s. {hint}".strip()
        ) from late
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise CommandFailed(f"`{shlex.join(command)}` failed with exit code {done.returncode}. {hint}\n{tail}".strip())
    return done.stdout


def succeeds(argv: Sequence[str | Path]) -> bool:
    try:
        run(argv)
    except CommandFailed:
        return False
    return True
