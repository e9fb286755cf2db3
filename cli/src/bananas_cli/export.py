"""Everything of a search as one JSON file: the objects as the API server gave them, so that nothing is lost."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from bananas_cli.snapshot import RawObject

FORMAT: Final = "bananas.export/v1"


def export_json(search: RawObject, trials: Sequence[RawObject], now: datetime) -> str:
    """The text of the file. managedFields are left out: who wrote what is the cluster's business, and half the size."""
    ordered = sorted(trials, key=lambda trial: trial["spec"]["index"])
    content = {
        "format": FORMAT,
        "exportTime": now.isoformat(timespec="seconds"),
        "search": _plain(search),
        "trials": [_plain(trial) for trial in ordered],
    }
    return json.dumps(content, indent=2)


def _plain(raw: RawObject) -> RawObject:
    metadata = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    return {**raw, "metadata": metadata}
