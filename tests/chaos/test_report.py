"""Strikes are counted from evidence: what was not hit, or hit while no trial ran, does not count."""

import pytest

from bench.chaos.faults import Record, urgent_pod
from bench.chaos.oracle import Violation
from bench.chaos.report import by_check, by_kind, table
from bench.chaos.schedule import Kind
from bench.containers import Container

TRIALS = [Container("a", "lab", "s-0-1", "trainer", 7, started=10, ended=20)]


@pytest.mark.parametrize(
    ("record", "want"),
    [
        (Record(15, Kind.ETCD, "killed", [15]), (1, 1)),
        (Record(25, Kind.ETCD, "killed", [25]), (1, 0)),
        (Record(15, Kind.ETCD, "", []), (0, 0)),
        (Record(9, Kind.ETCD, "proxy", [9, 12]), (1, 1)),
        (Record(15, Kind.ETCD, "proxy", []), (0, 0)),
    ],
)
def test_a_strike_counts_if_it_hit_and_while_a_trial_ran_if_a_container_lived(
    record: Record, want: tuple[int, int]
) -> None:
    row = by_kind([record], TRIALS, [])[Kind.ETCD]
    assert (row["strikes"], row["while_a_trial_ran"]) == want


def test_a_violation_is_shown_with_the_kind_that_struck_last_before_it() -> None:
    records = [Record(10, Kind.ETCD, "killed", [10]), Record(20, Kind.NODE, "", []), Record(30, Kind.TRIAL, "x", [30])]
    found = [Violation("results once", "s-0", "twice", 25), Violation("budget exact", "s", "too few")]
    rows = by_kind(records, TRIALS, found)
    assert {kind: row["violations"] for kind, row in rows.items() if row["violations"]} == {Kind.ETCD: 1}
    assert by_check(found)["results once"] == by_check(found)["budget exact"] == 1
    assert "etcd" in table(rows)


def test_a_container_that_has_not_ended_runs() -> None:
    assert Container("a", "lab", "p", "trainer", 1, started=5).ran_at(100)
    assert not Container("a", "lab", "p", "trainer", 1).ran_at(100)


def test_the_urgent_pod_asks_for_the_gpus_it_is_told() -> None:
    (container,) = urgent_pod("u", 3)["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "3"}
