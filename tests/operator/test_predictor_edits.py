"""A predictor's Deployment that somebody has changed by hand is put right, and no oftener than once a minute."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_operator.actions import EnsurePredictor
from bananas_operator.parse import deployment_view
from bananas_operator.plan import plan
from bananas_operator.predictor import CONTAINER, build_deployment, is_edited
from bananas_operator.views import Observed

from .builders import SETTINGS, at, deployment, observed, search, spec
from .test_plan import settled


def edited(checked: float | None = 0, **changes: Any) -> Observed:
    when = at(checked) if checked is not None else None
    return replace(observed(deployment=deployment(**changes)), predictor_checked_at=when)


def mends(seen: Observed, seconds: float) -> list[bool]:
    return [a.outdated for a in plan(seen, at(seconds), SETTINGS).actions if isinstance(a, EnsurePredictor)]


@pytest.mark.parametrize("change", [{"replicas": 0}, {"replicas": 2}, {"image": "example/other:1"}])
def test_what_was_changed_by_hand_is_put_right(change: dict[str, Any]) -> None:
    assert mends(edited(**change), 100) == [True]
    assert mends(edited(None, **change), 100) == [True], "an operator that has just begun"


def test_what_is_changed_again_and_again_costs_a_write_a_minute() -> None:
    fought_over = settled(edited(100, replicas=0), 101)
    assert mends(fought_over, 101) == []
    assert plan(fought_over, at(101), SETTINGS).again_at == at(100 + SETTINGS.recheck_limit_seconds)
    assert mends(fought_over, 100 + SETTINGS.recheck_limit_seconds) == [True]


def test_an_untouched_one_is_left_alone_and_costs_no_pass() -> None:
    seen = settled(edited(100), 101)
    assert mends(seen, 200) == []
    assert plan(seen, at(101), SETTINGS).again_at is None


def test_what_the_api_server_adds_is_no_edit() -> None:
    given = spec()
    made = build_deployment(search(given), given, SETTINGS)
    made["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T12:00:00Z"}
    made["spec"] |= {"progressDeadlineSeconds": 600}
    made["spec"]["template"]["spec"] |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always"}
    assert not is_edited(deployment_view(made, (), CONTAINER), given, SETTINGS)
    made["spec"]["replicas"] = 0
    assert is_edited(deployment_view(made, (), CONTAINER), given, SETTINGS)
