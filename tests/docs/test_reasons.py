"""docs/reasons.md explains every reason that a person can meet, and no other."""

import re
from pathlib import Path

from bananas_core import constants
from bananas_operator.classify import SEARCH_REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "reasons.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+\.) \| ([^|]+\.) \|$", re.MULTILINE)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_reason_that_a_person_can_meet_is_explained() -> None:
    want = {value for name, value in vars(constants).items() if name.startswith(("REASON_", "EVENT_"))}
    assert {reason for reason, _, _ in ROW.findall(PAGE)} == want


def test_every_row_says_what_happened_and_what_to_do() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(ROW.findall(PAGE))


def test_the_errors_that_hold_a_search_up_are_named_where_a_person_looks_for_them() -> None:
    told = section("A search is held up").split("|\n\n")[-1]
    assert set(re.findall(r"`([A-Z]\w+)`", told)) == SEARCH_REASONS
    explained = {reason for reason, _, _ in ROW.findall(section("A trial failed"))}
    assert explained >= SEARCH_REASONS
