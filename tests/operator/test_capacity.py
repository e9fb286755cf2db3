"""How many trials nodes and quotas can hold."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core import constants
from bananas_core.workload.capacity import Limit, admits, can_do_without, gpus, limit
from bananas_core.workload.surroundings import ClaimView, NodeView, QuotaView, Taint, claim_view, node_view, quantity
from bananas_operator.actions import WriteSearch
from bananas_operator.plan import plan
from bananas_operator.views import Facts

from .builders import SETTINGS, at, observed, search, spec

ONE_GPU = {"resources": {"limits": {"nvidia.com/gpu": 1, "memory": "8Gi"}, "requests": {"cpu": "500m"}}}


def node(name: str, gpus: int = 0, **changes: Any) -> NodeView:
    view = NodeView(name, {"zone": "a"}, {"pods": 110, "cpu": 8, "memory": 64 * 2**30, "nvidia.com/gpu": gpus})
    return replace(view, **changes)


def bound(*nodes: NodeView, template: dict[str, Any] | None = None, **facts: Any) -> Limit | None:
    return limit(spec(trial={"template": template or ONE_GPU}), Facts(nodes=nodes, **facts))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2", 2),
        ("500m", 0.5),
        ("1Gi", 2**30),
        ("1.5Ki", 1536),
        ("1e3", 1000),
        ("3k", 3000),
        (4, 4),
        ("many", 0),
        ("", 0),
    ],
)
def test_a_quantity_is_read_as_kubernetes_writes_it(text: str | float, want: float) -> None:
    assert quantity(text) == want


@given(st.integers(0, 10**9), st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi"]))
def test_every_quantity_is_a_number_that_grows_with_its_digits(number: int, unit: str) -> None:
    assert quantity(f"{number}{unit}") <= quantity(f"{number + 1}{unit}")


def test_the_scarcest_resource_of_all_matching_nodes_is_the_bound_and_is_named_with_numbers() -> None:
    found = bound(node("a", 4), node("b", 2), node("c", 0))
    assert found is not None
    assert (found.trials, found.by_quota) == (6, False)
    assert "(3 of 3)" in found.message
    assert "nvidia.com/gpu 1" in found.message
    assert "6 in all" in found.message


def test_a_node_holds_whole_trials_only() -> None:
    found = bound(node("a", 4, allocatable={"pods": 110, "cpu": 8, "memory": 20 * 2**30, "nvidia.com/gpu": 4}))
    assert found is not None
    assert found.trials == 2
    assert "memory 8Gi" in found.message


SELECTED = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}


def term(operator: str, *values: str, key: str = "zone", field: bool = False) -> dict[str, Any]:
    part = {
        "matchFields" if field else "matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]
    }
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [part]}}
    return {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("template", "want"),
    [
        ({}, True),
        ({"nodeSelector": {"zone": "a"}}, True),
        ({"nodeSelector": {"zone": "b"}}, False),
        (term("In", "a", "b"), True),
        (term("In", "b"), False),
        (term("NotIn", "a"), False),
        (term("Exists"), True),
        (term("DoesNotExist"), False),
        (term("Gt", "7", key="cores"), True),
        (term("Lt", "7", key="cores"), False),
        (term("In", "n", key="metadata.name", field=True), True),
        (term("NotIn", "n", key="metadata.name", field=True), False),
        ({"affinity": {"nodeAffinity": "nonsense"}}, True),
    ],
)
def test_selectors_and_required_affinity_are_weighed_as_the_scheduler_does(
    template: dict[str, Any], want: bool
) -> None:
    the_node = node("n", 1, labels={"zone": "a", "cores": "8"})
    assert admits(the_node, spec(trial={"template": template}).trial.template) is want


@pytest.mark.parametrize(
    ("effect", "toleration", "want"),
    [
        ("NoSchedule", None, False),
        ("NoExecute", None, False),
        ("PreferNoSchedule", None, True),
        ("NoSchedule", {"key": "gpu", "operator": "Exists"}, True),
        ("NoSchedule", {"operator": "Exists"}, True),
        ("NoSchedule", {"key": "gpu", "value": "yes"}, True),
        ("NoSchedule", {"key": "gpu", "value": "no"}, False),
        ("NoSchedule", {"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_taints_are_weighed_as_the_scheduler_does(effect: str, toleration: dict[str, str] | None, want: bool) -> None:
    tainted = node("n", 1, taints=(Taint("gpu", "yes", effect),))
    template = {"tolerations": [toleration]} if toleration else {}
    assert admits(tainted, spec(trial={"template": template}).trial.template) is want


def test_a_node_that_is_not_ready_or_cordoned_can_hold_trials_again_but_takes_none_now() -> None:
    given = spec(trial={"template": ONE_GPU})
    gone = node("a", 2, ready=False, taints=(Taint("node.kubernetes.io/unreachable", "", "NoSchedule"),))
    cordoned = node("b", 2, cordoned=True, taints=(Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),))
    found = bound(gone, cordoned)
    assert found is not None
    assert found.trials == 4
    assert not can_do_without(frozenset(), given, Facts(nodes=(gone, cordoned)))
    assert can_do_without(frozenset(("c",)), given, Facts(nodes=(gone, node("d", 1))))
    assert not can_do_without(frozenset(("d",)), given, Facts(nodes=(gone, node("d", 1))))


def test_no_matching_node_says_so() -> None:
    found = bound(node("a", 2), template={**ONE_GPU, "nodeSelector": {"zone": "b"}})
    assert found == Limit(0, "none of 1 nodes matches nodeSelector, affinity and tolerations of spec.trial.template")


def test_a_claim_of_one_node_bounds_by_the_largest_node() -> None:
    claim = ClaimView("spec.checkpoints.claim", "disk", frozenset(("ReadWriteOnce",)))
    found = bound(node("a", 2), node("b", 4), claims=(claim,))
    assert found is not None
    assert found.trials == 4
    assert "spec.checkpoints.claim disk" in found.message


@pytest.mark.parametrize(
    ("hard", "want"),
    [
        ({"requests.nvidia.com/gpu": 3}, 3),
        ({"pods": 5}, 5),
        ({"count/jobs.batch": 2}, 2),
        ({"cpu": 2}, 4),
        ({"requests.memory": 17 * 2**30}, 2),
        ({"limits.memory": 1}, None),
        ({"services": 1}, None),
    ],
)
def test_a_quota_bounds_by_its_tightest_line(hard: dict[str, float], want: int | None) -> None:
    found = bound(node("a", 8), quotas=(QuotaView("team", hard),))
    assert found is not None
    assert (found.trials if found.by_quota else None) == want
    if want is not None:
        assert "ResourceQuota team" in found.message


def test_nodes_are_read_as_the_api_server_shows_them() -> None:
    item = {
        "metadata": {"name": "n", "labels": {"zone": "a"}},
        "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "1500m"}, "conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    want = NodeView("n", {"zone": "a"}, {"cpu": 1.5}, (Taint("k", "", "NoSchedule"),), ready=False, cordoned=True)
    assert node_view(item) == want


@pytest.mark.parametrize(
    ("spec_modes", "status_modes", "want"),
    [
        (["ReadWriteMany"], None, (False, False)),
        (["ReadWriteOnce"], None, (True, False)),
        (["ReadWriteOncePod"], ["ReadWriteOncePod"], (True, True)),
        (["ReadWriteOnce"], ["ReadWriteOnce", "ReadOnlyMany"], (False, False)),
        (["ReadOnlyMany"], None, (False, False)),
    ],
)
def test_a_claim_is_of_one_node_or_pod_by_the_modes_of_its_volume(
    spec_modes: list[str], status_modes: list[str] | None, want: tuple[bool, bool]
) -> None:
    item = {"metadata": {"name": "c"}, "spec": {"accessModes": spec_modes}, "status": {"accessModes": status_modes}}
    view = claim_view("spec.data.claim", item)
    assert (view.of_one_node, view.of_one_pod) == want


# --- what a person sees ---


def condition(facts: Facts, name: str = constants.CONDITION_OVERSUBSCRIBED, **changes: Any) -> tuple[str, str, str]:
    given = spec(trial={"template": ONE_GPU}, **changes)
    todo = plan(observed(facts=facts, search=search(given)), at(0), SETTINGS)
    (write,) = [action for action in todo.actions if isinstance(action, WriteSearch)]
    found = next(c for c in write.status.conditions if c.type == name)
    return found.status, found.reason, found.message


def test_more_parallelism_than_the_nodes_hold_is_a_condition_with_numbers() -> None:
    status, reason, message = condition(Facts(nodes=(node("a", 2),)), parallelism=8)
    assert (status, reason) == ("True", constants.REASON_TOO_FEW_NODES)
    assert "spec.parallelism is 8" in message
    assert "hold 2 trials" in message
    fits = condition(Facts(nodes=(node("a", 2),)), parallelism=2)
    assert fits == ("False", constants.REASON_ALL_GOOD, "")


def test_an_operator_that_may_not_list_nodes_says_that_it_does_not_know_but_knows_quotas() -> None:
    assert condition(Facts(nodes=None), parallelism=8)[:2] == ("Unknown", constants.REASON_NODES_UNKNOWN)
    quota = (QuotaView("team", {"pods": 3}),)
    assert condition(Facts(nodes=None, quotas=quota), parallelism=8)[:2] == ("True", constants.REASON_QUOTA_TOO_SMALL)


def test_while_oversubscribed_the_nodes_are_looked_at_again() -> None:
    facts = Facts(nodes=(node("a", 2),), check_again_at=at(60))
    view = observed(facts=facts, search=search(spec(trial={"template": ONE_GPU}, parallelism=8)))
    assert plan(view, at(0), SETTINGS).again_at == at(60)


def test_a_claim_of_one_pod_is_refused_for_more_than_one_trial_at_once() -> None:
    facts = Facts(claims=(ClaimView("spec.checkpoints.claim", "disk", frozenset(("ReadWriteOncePod",))),))
    status, reason, message = condition(facts, constants.CONDITION_STALLED, parallelism=2)
    assert (status, reason) == ("True", constants.REASON_CLAIM_OF_ONE_POD)
    assert "spec.checkpoints.claim: claim disk" in message
    assert "spec.parallelism is 2" in message
    assert condition(facts, constants.CONDITION_STALLED, parallelism=1)[0] == "False"


def test_too_much_parallelism_is_an_event_once() -> None:
    view = observed(facts=Facts(nodes=(node("a", 2),)), search=search(spec(trial={"template": ONE_GPU}, parallelism=8)))
    (write,) = [action for action in plan(view, at(0), SETTINGS).actions if isinstance(action, WriteSearch)]
    assert constants.REASON_TOO_FEW_NODES in [note.reason for note in write.notes]
    told = replace(view, search=replace(view.search, status=write.status))
    assert not [action for action in plan(told, at(1), SETTINGS).actions if isinstance(action, WriteSearch)]


@pytest.mark.parametrize(
    ("limits", "want"),
    [
        ({"nvidia.com/gpu": "2", "cpu": "4"}, 2),
        ({"amd.com/gpu": 1}, 1),
        ({"nvidia.com/mig-1g.5gb": "1", "nvidia.com/mig-3g.20gb": "2"}, 3),
        ({"cpu": "4", "nvidia.com/gpu-memory": "8"}, 0),
    ],
)
def test_gpus_are_counted_whoever_makes_them_and_slices_too(limits: dict[str, Any], want: float) -> None:
    assert gpus(limits) == want
