"""The table by kind of fault, and the verdict. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.chaos.faults import Record
from bench.chaos.oracle import CHECKS, Violation
from bench.chaos.schedule import Kind
from bench.containers import Container


def struck(record: Record) -> bool:
    """Whether it hit anything."""
    return bool(record.target and record.hits)


def while_a_trial_ran(record: Record, trials: Sequence[Container]) -> bool:
    """Whether a container of a trial lived when it hit, by containerd's own events."""
    return struck(record) and any(trial.ran_at(when) for when in record.hits for trial in trials)


def by_kind(
    records: Sequence[Record], trials: Sequence[Container], violations: Iterable[Violation]
) -> dict[str, dict[str, int]]:
    """Strikes, strikes while a trial ran, and violations after whose kind the last strike was."""
    rows = {kind: {"strikes": 0, "while_a_trial_ran": 0, "violations": 0} for kind in Kind}
    for record in records:
        rows[record.kind]["strikes"] += struck(record)
        rows[record.kind]["while_a_trial_ran"] += while_a_trial_ran(record, trials)
    for violation in violations:
        before = [r for r in records if struck(r) and violation.time is not None and r.time <= violation.time]
        if before:
            rows[before[-1].kind]["violations"] += 1
    return {str(kind): row for kind, row in rows.items()}


def table(rows: dict[str, dict[str, int]]) -> str:
    """The rows as text."""
    lines = [f"{'kind':<26}{'strikes':>9}{'while a trial ran':>19}{'violations after':>18}"]
    for kind, row in rows.items():
        lines.append(f"{kind:<26}{row['strikes']:>9}{row['while_a_trial_ran']:>19}{row['violations']:>18}")
    total = {name: sum(row[name] for row in rows.values()) for name in next(iter(rows.values()))}
    lines.append(f"{'all':<26}{total['strikes']:>9}{total['while_a_trial_ran']:>19}{total['violations']:>18}")
    return "\n".join(lines)


def by_check(violations: Iterable[Violation]) -> dict[str, int]:
    """Violations of each check; those that chaos did not time are here, too."""
    counts = dict.fromkeys(CHECKS, 0)
    for violation in violations:
        counts[violation.check] += 1
    return counts


def told(violations: Iterable[Violation]) -> list[dict[str, Any]]:
    """Violations for JSON."""
    return [vars(violation) for violation in violations]
