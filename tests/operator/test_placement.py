"""Where attempts run: away from nodes that failed, together where a volume is of one node."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core import constants
from bananas_core.workload.surroundings import ClaimView, NodeView
from bananas_operator.actions import CreateJob, WriteSearch, WriteTrial
from bananas_operator.attempts import stamp
from bananas_operator.job import build_job
from bananas_operator.placement import MAX_AVOIDED, Avoided, Placement, affinity, avoided, claim_label, place
from bananas_operator.plan import plan
from bananas_operator.views import Facts, TrialView

from .builders import SETTINGS, at, ended, job, observed, pod, search, spec, trial

ROOM = {"pods": 110.0}
TWO_NODES = Facts(nodes=(NodeView("bad", allocatable=ROOM), NodeView("good", allocatable=ROOM)))
ONE_NODE = Facts(nodes=(NodeView("bad", allocatable=ROOM),))
DISK = ClaimView("spec.checkpoints.claim", "disk", frozenset(("ReadWriteOnce",)))


def faulty(index: int, *faults: tuple[str, float], phase: str = "Queued", **status: Any) -> TrialView:
    given = [{"node": name, "time": stamp(at(seconds))} for name, seconds in faults]
    return trial(index, phase, attempts=len(faults), settledAttempt=len(faults), nodeFaults=given, **status)


def done(index: int, node: str, seconds: float) -> TrialView:
    return trial(
        index,
        "Succeeded",
        attempts=1,
        settledAttempt=1,
        node=node,
        completionTime=stamp(at(seconds)),
        validationAccuracy=0.5,
    )


def names(*trials: TrialView, seconds: float = 100) -> list[str]:
    return [one.node for one in avoided(trials, at(seconds), SETTINGS)]


def test_a_node_on_which_two_attempts_in_a_row_failed_is_avoided_whosever_they_were() -> None:
    assert names(faulty(0, ("bad", 10))) == []
    assert names(faulty(0, ("bad", 10)), faulty(1, ("bad", 20))) == ["bad"]
    assert names(faulty(0, ("bad", 10), ("bad", 20))) == ["bad"]
    assert names(faulty(0, ("a", 10), ("b", 20))) == []


def test_a_result_on_the_node_between_them_clears_it() -> None:
    assert names(faulty(0, ("bad", 10)), done(2, "bad", 15), faulty(1, ("bad", 20))) == []
    assert names(faulty(0, ("bad", 10)), done(2, "good", 15), faulty(1, ("bad", 20))) == ["bad"]
    assert names(faulty(0, ("bad", 10)), faulty(1, ("bad", 20)), done(2, "bad", 25)) == []
    assert names(done(2, "bad", 5), faulty(0, ("bad", 10)), faulty(1, ("bad", 20))) == ["bad"]


def test_a_node_is_avoided_for_half_an_hour() -> None:
    trials = (faulty(0, ("bad", 10)), faulty(1, ("bad", 20)))
    assert avoided(trials, at(1819), SETTINGS) == (Avoided("bad", at(1820)),)
    assert avoided(trials, at(1820), SETTINGS) == ()


@given(st.lists(st.tuples(st.sampled_from([f"n{i}" for i in range(30)]), st.integers(0, 1000)), max_size=120))
def test_never_more_nodes_are_avoided_than_the_bound_and_each_failed_twice(faults: list[tuple[str, int]]) -> None:
    trials = tuple(faulty(index, fault) for index, fault in enumerate(faults))
    found = avoided(trials, at(1000), SETTINGS)
    assert len(found) <= MAX_AVOIDED
    counts = [node for node, _ in faults]
    assert all(counts.count(one.node) >= 2 for one in found)


def test_a_node_is_ruled_out_only_where_another_can_take_the_trial() -> None:
    bad = (Avoided("bad", at(1)),)
    assert place(spec(), TWO_NODES, bad) == Placement(("bad",), strictly=True)
    assert place(spec(), ONE_NODE, bad) == Placement(("bad",), strictly=False)
    assert place(spec(), Facts(nodes=None), bad) == Placement(("bad",), strictly=False)
    assert place(spec(), replace(TWO_NODES, claims=(DISK,)), bad).strictly is False
    assert place(spec(), TWO_NODES, ()) == Placement()


NOT_BAD = {"key": "metadata.name", "operator": "NotIn", "values": ["bad"]}
IN_ZONE = {"key": "zone", "operator": "In", "values": ["a"]}
REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def test_the_template_s_own_terms_hold_as_well() -> None:
    given = {
        "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [IN_ZONE]}, {"matchFields": [NOT_BAD]}]}}
    }
    found = affinity(given, Placement(("worse",), strictly=True))
    assert found is not None
    first, second = found["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    not_worse = NOT_BAD | {"values": ["worse"]}
    assert first == {"matchExpressions": [IN_ZONE], "matchFields": [not_worse]}
    assert second == {"matchFields": [NOT_BAD, not_worse]}
    assert given["nodeAffinity"][REQUIRED]["nodeSelectorTerms"][1] == {"matchFields": [NOT_BAD]}, "changed in place"


def test_without_another_node_the_failed_one_is_put_last() -> None:
    found = affinity(None, Placement(("bad",)))
    assert found == {"nodeAffinity": {PREFERRED: [{"weight": 100, "preference": {"matchFields": [NOT_BAD]}}]}}


@pytest.mark.parametrize("nonsense", [{"nodeAffinity": 5}, {"podAffinity": []}, {"nodeAffinity": {REQUIRED: "x"}}])
def test_nonsense_in_the_template_ends_no_pass(nonsense: dict[str, Any]) -> None:
    assert affinity(nonsense, Placement(("bad",), strictly=True, together=(DISK,)))


def test_pods_that_share_a_claim_of_one_node_run_where_others_do() -> None:
    made = build_job(search(), spec(), trial(0), 1, SETTINGS, Placement(together=(DISK,)))
    template = made["spec"]["template"]
    label = claim_label("disk")
    assert template["metadata"]["labels"][label] == "mounted"
    (term,) = template["spec"]["affinity"]["podAffinity"][REQUIRED]
    assert term == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {label: "mounted"}}}
    assert len(label.rpartition("/")[2]) <= 63


def test_claims_of_one_node_are_told() -> None:
    todo = plan(observed(trial(0, "Running", attempts=1), facts=replace(TWO_NODES, claims=(DISK,))), at(0), SETTINGS)
    (write,) = [action for action in todo.actions if isinstance(action, WriteSearch)]
    (progressing,) = [c for c in write.status.conditions if c.type == constants.CONDITION_PROGRESSING]
    assert "spec.checkpoints.claim disk is of one node" in progressing.message


# --- in a pass ---


def test_the_next_attempt_goes_elsewhere_and_the_search_says_why() -> None:
    view = observed(faulty(0, ("bad", 10), ("bad", 20)), facts=TWO_NODES)
    todo = plan(view, at(100), SETTINGS)
    (create,) = [action for action in todo.actions if isinstance(action, CreateJob)]
    terms = create.manifest["spec"]["template"]["spec"]["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    assert terms == [{"matchFields": [NOT_BAD]}]
    assert create.manifest["metadata"]["annotations"][constants.ANNOTATION_AVOIDS] == "bad"
    (write,) = [action for action in todo.actions if isinstance(action, WriteSearch)]
    assert write.status.avoided_nodes == ("bad",)
    assert [note.reason for note in write.notes] == [constants.EVENT_NODE_AVOIDED]
    (progressing,) = [c for c in write.status.conditions if c.type == constants.CONDITION_PROGRESSING]
    assert "node bad is avoided until 12:30 UTC" in progressing.message
    settled = replace(view, trials=(), search=replace(view.search, status=write.status))
    assert plan(settled, at(100), SETTINGS).actions[-1].status.avoided_nodes == ()  # type: ignore[union-attr]


def test_an_attempt_that_still_waits_when_the_time_is_over_is_made_anew_without_the_ban() -> None:
    waits = trial(
        0,
        "Queued",
        attempts=3,
        settledAttempt=2,
        nodeFaults=[
            {"node": "bad", "time": stamp(at(10))},
            {"node": "bad", "time": stamp(at(20))},
        ],
    )
    the_job = job(0, 3, pod(None, node=None, unschedulable="1 node(s) didn't match"), avoids=("bad",))
    during = plan(observed(waits, jobs=(the_job,), facts=TWO_NODES), at(100), SETTINGS).actions
    assert [a.status.settled_attempt for a in during if isinstance(a, WriteTrial)] in ([], [2])
    after = plan(observed(waits, jobs=(the_job,), facts=TWO_NODES), at(1900), SETTINGS).actions
    (write,) = [a for a in after if isinstance(a, WriteTrial)]
    assert (write.status.settled_attempt, write.status.phase) == (3, "Queued")
    assert write.status.interruptions == write.status.retries == 0


@pytest.mark.parametrize(
    ("the_pod", "want"),
    [
        (pod(ended(1, start=0, end=50)), (1, 0, 0, 1)),
        (pod(phase="Failed", reason="OutOfcpu"), (0, 1, 0, 1)),
        (pod(ended(75), disrupted="x", disruption="PreemptionByScheduler"), (0, 1, 1, 0)),
        (pod(ended(75), deletion=at(30)), (0, 1, 0, 0)),
        (pod(ended(137), phase="Failed", disrupted="x", disruption="TerminationByKubelet"), (0, 1, 1, 1)),
    ],
    ids=["error", "turned away", "preempted", "deleted", "pressure"],
)
def test_an_end_is_counted_by_its_kind(the_pod: Any, want: tuple[int, int, int, int]) -> None:
    (write,) = [
        a
        for a in plan(observed(trial(0, "Running", attempts=1), jobs=(job(0, 1, the_pod),)), at(60), SETTINGS).actions
        if isinstance(a, WriteTrial)
    ]
    status = write.status
    assert (status.retries, status.interruptions, status.preemptions, len(status.node_faults)) == want


def test_only_the_last_faults_of_a_trial_are_kept() -> None:
    old = faulty(0, ("a", 1), ("b", 2), ("c", 3), ("d", 4), phase="Running")
    the_trial = replace(old, status=old.status.model_copy(update={"attempts": 5}))
    (write,) = [
        a
        for a in plan(observed(the_trial, jobs=(job(0, 5, pod(ended(1), node="e")),)), at(60), SETTINGS).actions
        if isinstance(a, WriteTrial)
    ]
    assert [fault.node for fault in write.status.node_faults] == ["b", "c", "d", "e"]
