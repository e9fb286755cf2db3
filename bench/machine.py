"""What every result file says of the machine, and how a benchmark keeps its JSON and its table. Imports nothing heavy."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def processor() -> str:
    """The machine's, in its own words."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def machine() -> dict[str, Any]:
    """Where a benchmark ran."""
    return {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def keep(folder: Path, stem: str, result: dict[str, Any], lines: Sequence[str]) -> None:
    """Writes `stem`.json and the table `stem`.md, and shows the table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"{stem}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
