"""docs/reasons.md explains every reason that a person can meet, and no other."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from bananas_core import constants
from bananas_operator.classify import (
    CONFIG_REASONS,
    IMAGE_REASONS,
    SEARCH_REASONS,
    Blocked,
    FatalForSearch,
    FatalForTrial,
    Retryable,
    classify,
)
from bananas_operator.settings import Settings
from bananas_operator.views import ContainerEnded, ContainerState, ContainerWaiting, JobView, PodView

FAILURES = (Blocked, FatalForSearch, FatalForTrial, Retryable)

PAGE = (Path(__file__).parents[2] / "docs" / "reasons.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+\.) \| ([^|]+\.) \|$", re.MULTILINE)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_reason_that_a_person_can_meet_is_explained() -> None:
    want = {value for name, value in vars(constants).items() if name.startswith(("REASON_", "EVENT_"))}
    assert {reason for reason, _, _ in ROW.findall(PAGE)} == want


def test_every_failure_that_an_attempt_can_end_in_is_explained_where_a_person_looks_for_it() -> None:
    """All exit codes with all that a container or pod can say of its end, and what is judged without an end."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    pod = PodView(name="p", uid="u", created=now, phase="Failed", node="n")
    job = JobView(name="j", uid="u", trial_uid="t", attempt=1, created=now, failed=True)
    waiting = (*IMAGE_REASONS, *CONFIG_REASONS, "ContainerCreating", "")
    states: list[ContainerState | None] = [None, *(ContainerWaiting(reason, "") for reason in waiting)]
    for code, reason in product(range(256), ("", "Error", "OOMKilled", "StartError", "Unknown", "Anything")):
        states.append(ContainerEnded(code, reason, "", None, now))
    pod_reasons = ("", "Evicted", "DeadlineExceeded", "OutOfcpu", "UnexpectedAdmissionError", "Anything")
    judged_without_an_end = {constants.REASON_INTERRUPTED, constants.REASON_HANG, constants.REASON_INVALID_TRIAL}
    found = set(judged_without_an_end)
    for state, pod_reason, mount in product(states, pod_reasons, (None, "no disk")):
        phase = "Pending" if isinstance(state, ContainerWaiting) else "Failed"
        view = replace(pod, state=state, reason=pod_reason, mount_problem=mount, phase=phase)
        outcome = classify(replace(job, pod=view), now, Settings())
        found |= {outcome.reason} if isinstance(outcome, FAILURES) else set()
    explained = {reason for reason, _, _ in ROW.findall(section("A trial failed"))}
    assert found == explained


def test_every_row_says_what_happened_and_what_to_do() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(ROW.findall(PAGE))


def test_the_errors_that_hold_a_search_up_are_named_where_a_person_looks_for_them() -> None:
    told = section("A search is held up").split("|\n\n")[-1]
    assert set(re.findall(r"`([A-Z]\w+)`", told)) == SEARCH_REASONS
    explained = {reason for reason, _, _ in ROW.findall(section("A trial failed"))}
    assert explained >= SEARCH_REASONS
