"""Results of other searches, taken over only where they are the very same."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_core.api import NASTrialSpec, NASTrialStatus
from bananas_core.api.trial import TableSpec
from bananas_operator.actions import CreateJob, WriteTrial
from bananas_operator.parse import donor_of
from bananas_operator.plan import plan
from bananas_operator.views import Donor, Observed

from .builders import ARCHITECTURES, SETTINGS, at, observed, search, spec, trial

DIGEST = "sha256:11"


def donor(index: int = 1, *, name: str = "other-7", digest: str = DIGEST, seed: int = 0, **changes: Any) -> Donor:
    given = trial(index).spec
    assert given is not None
    status = {"phase": "Succeeded", "validationAccuracy": 0.77, "dataDigest": digest, "parameters": 5, "gpuSeconds": 60}
    return Donor(
        name,
        ARCHITECTURES[index].hash(),
        NASTrialSpec.model_validate({**given.to_kubernetes(), "search": "other", "seed": seed, **changes}),
        NASTrialStatus.model_validate(status),
    )


def offered(*donors: Donor, first: str = DIGEST, **changes: Any) -> Observed:
    """A search with one result of its own and a second trial on offer."""
    own = trial(0, "Succeeded", validation_accuracy=0.5, data_digest=first)
    given = spec(trial={"reuseResults": True}, **changes)
    return replace(observed(own, trial(1), search=search(given)), donors=donors)


def decided(seen: Observed) -> NASTrialStatus:
    todo = plan(seen, at(100), SETTINGS)
    assert not [action for action in todo.actions if isinstance(action, CreateJob)]
    (status,) = (a.status for a in todo.actions if isinstance(a, WriteTrial) and a.trial.name == "s-1")
    return status


def test_an_equal_trial_of_another_search_gives_its_result_without_an_attempt_and_is_named() -> None:
    status = decided(offered(donor()))
    assert (status.phase, status.validation_accuracy, status.parameters) == ("Succeeded", 0.77, 5)
    assert status.reused_from == "other-7"
    assert status.message == "result of trial other-7 of search other"
    assert (status.attempts, status.gpu_seconds) == (0, 0)
    assert status.admission_time == status.completion_time


def test_it_counts_for_the_budget() -> None:
    seen = offered(donor(), donor(2), budget={"trials": 2})
    todo = plan(replace(seen, trials=(*seen.trials, trial(2))), at(100), SETTINGS)
    got = {a.trial.name: a.status.phase for a in todo.actions if isinstance(a, WriteTrial)}
    assert got == {"s-1": "Succeeded"}, "though a slot is free"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(donor(2), id="architecture"),
        pytest.param(donor(digest="sha256:22"), id="data"),
        pytest.param(donor(seed=1), id="seed"),
        pytest.param(donor(table=TableSpec(file="a.csv")), id="table"),
        pytest.param(donor(table=None, recipe={}), id="recipe"),
    ],
)
def test_a_result_of_anything_else_is_not_taken_over(other: Donor) -> None:
    assert decided(offered(other)).phase == "Queued"


def test_the_first_trial_is_done_because_nobody_has_read_the_data_yet() -> None:
    seen = offered(donor())
    assert decided(replace(seen, trials=(trial(1),))).phase == "Queued"


def test_whose_result_it_was_at_first_is_told_where_it_is_taken_over_twice() -> None:
    second = donor()
    passed_on = replace(second, status=second.status.model_copy(update={"reused_from": "origin-3"}))
    assert decided(offered(passed_on)).reused_from == "origin-3"


def test_only_a_readable_trial_with_a_result_that_is_no_promotion_can_give() -> None:
    good = donor()
    item = {
        "metadata": {"name": "other-7"},
        "spec": good.spec.to_kubernetes(),
        "status": good.status.to_kubernetes(),
    }
    assert donor_of(item) == good
    assert donor_of({**item, "status": {"phase": "Running"}}) is None
    assert donor_of({**item, "spec": {"search": 7}}) is None
    promoted = {**good.spec.to_kubernetes(), "origin": {"method": "promotion", "parent": 1}}
    assert donor_of({**item, "spec": promoted}) is None
