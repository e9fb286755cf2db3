"""A predictor's Deployment that somebody has changed by hand is put right, and no oftener than once a minute."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_operator.actions import EnsurePredictor
from bananas_operator.parse import deployment_view
from bananas_operator.plan import plan
from bananas_operator.predictor import build_deployment, image_of, is_edited
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
    assert not is_edited(deployment_view(made, (), image_of(made)), given, SETTINGS)
    made["spec"]["replicas"] = 0
    assert is_edited(deployment_view(made, (), image_of(made)), given, SETTINGS)


def rewritten(image: str, **changes: Any) -> Observed:
    """A webhook has kept mirror/predictor in place of what was sent."""
    seen = edited(100, image=image, **changes)
    return settled(replace(seen, predictor_rewritten=(SETTINGS.predictor_image, "mirror/predictor")), 101)


def test_an_image_that_a_webhook_rewrites_is_left_alone_and_all_else_is_put_right() -> None:
    assert mends(rewritten("mirror/predictor"), 300) == []
    assert plan(rewritten("mirror/predictor"), at(101), SETTINGS).again_at is None
    assert mends(rewritten(SETTINGS.predictor_image), 300) == [], "the webhook was removed"
    assert mends(rewritten("example/other:1"), 300) == [True]
    assert mends(rewritten("mirror/predictor", replicas=0), 300) == [True]
    other = replace(rewritten("mirror/predictor"), predictor_rewritten=("example/older:1", "mirror/predictor"))
    assert mends(other, 300) == [True], "of another image it says nothing"


def test_a_deployment_is_put_right_without_a_look_at_its_accounts_while_they_were_seen_lately() -> None:
    def accounts(seconds: float) -> list[bool]:
        todo = plan(edited(100, replicas=0), at(seconds), SETTINGS)
        return [a.accounts for a in todo.actions if isinstance(a, EnsurePredictor)]

    assert accounts(200) == [False]
    assert accounts(100 + SETTINGS.resync_seconds) == [True]
    mended = replace(edited(100, replicas=0), predictor_mended_at=at(190))
    assert mends(mended, 200) == []
    assert mends(mended, 190 + SETTINGS.recheck_limit_seconds) == [True]
