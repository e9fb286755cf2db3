"""When a search has had enough, whichever bound is reached first, and what happens when a person moves the bound."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core import constants
from bananas_core.api.budget import Budget, seconds_of
from bananas_core.workload.surroundings import NodeView
from bananas_operator.actions import DeletePredictor, EnsurePredictor
from bananas_operator.views import Facts, Observed, TrialView

from .builders import at, ended, job, observed, pod, report, running, search, spec, trial
from .test_plan import condition, decide, settled, status, writes


def done(index: int, accuracy: float, minute: int, **more: Any) -> TrialView:
    """A result; the first admission is at 11:00."""
    times = {"start_time": f"2026-01-01T11:{minute - 1:02}:00Z", "completion_time": f"2026-01-01T11:{minute:02}:00Z"}
    return trial(
        index,
        "Succeeded",
        attempts=1,
        settled_attempt=1,
        validation_accuracy=accuracy,
        gpu_seconds=60,
        **{**times, **more},
    )


def bounded(*trials: TrialView, jobs: Any = (), suspend: bool = False, **bounds: Any) -> Observed:
    given_spec = spec(budget={"trials": 50, **bounds}, suspend=suspend)
    return observed(*trials, jobs=jobs, search=search(given_spec))


def changed(seen: Observed, suspend: bool = False, **bounds: Any) -> Observed:
    new = spec(budget={"trials": 50, **bounds}, suspend=suspend)
    return replace(seen, search=replace(seen.search, spec=new, generation=seen.search.generation + 1))


REACHED = {
    constants.REASON_TARGET_REACHED: ({"targetAccuracy": 0.8}, {"targetAccuracy": 0.81}),
    constants.REASON_NO_IMPROVEMENT: ({"noImprovementTrials": 2}, {"noImprovementTrials": 3}),
    constants.REASON_GPU_HOURS_USED: ({"gpuHours": 0.05}, {"gpuHours": 0.06}),
    constants.REASON_WALL_CLOCK_USED: ({"wallClock": "1h"}, {"wallClock": "1h2m"}),
    constants.REASON_BUDGET_USED: ({"trials": 3}, {"trials": 4}),
}
RESULTS = (done(0, 0.8, 5), done(1, 0.7, 6), done(2, 0.8, 4))


@pytest.mark.parametrize("reason", REACHED)
def test_a_bound_that_is_reached_completes_the_search_for_that_reason_and_cancels_its_offers(reason: str) -> None:
    results = RESULTS if reason != constants.REASON_NO_IMPROVEMENT else (RESULTS[0], RESULTS[1], done(2, 0.8, 7))
    todo = decide(bounded(*results, trial(3), **REACHED[reason][0]))
    assert condition(todo, "Complete")[:2] == ("True", reason)
    want = constants.REASON_BUDGET_EXHAUSTED if reason == constants.REASON_BUDGET_USED else reason
    assert (writes(todo)["s-3"].phase, writes(todo)["s-3"].reason) == ("Cancelled", want)
    assert [a for a in todo.actions if isinstance(a, DeletePredictor)]
    assert status(todo).phase == "Complete"


@pytest.mark.parametrize("reason", REACHED)
def test_a_bound_that_is_not_reached_lets_the_search_go_on(reason: str) -> None:
    assert writes(decide(bounded(*RESULTS, trial(3), **REACHED[reason][1])))["s-3"].phase == "Queued"


@pytest.mark.parametrize("reason", REACHED)
def test_a_complete_search_whose_bound_is_raised_goes_on_and_gets_its_predictor_back(reason: str) -> None:
    results = RESULTS if reason != constants.REASON_NO_IMPROVEMENT else (RESULTS[0], RESULTS[1], done(2, 0.8, 7))
    complete = replace(settled(bounded(*results, **REACHED[reason][0])), deployment=None)
    assert decide(complete, 100_000).actions == (), "it is left alone however long it stays so"
    todo = decide(changed(complete, **REACHED[reason][1]), 100_000)
    assert (status(todo).phase, status(todo).completion_time) == ("Running", None)
    assert [a for a in todo.actions if isinstance(a, EnsurePredictor)]


@pytest.mark.parametrize("reason", REACHED)
def test_a_bound_that_is_lowered_ends_admission_and_lets_what_is_in_flight_finish(reason: str) -> None:
    results = RESULTS if reason != constants.REASON_NO_IMPROVEMENT else (RESULTS[0], RESULTS[1], done(2, 0.8, 7))
    flying = trial(3, "Running", attempts=1)
    seen = settled(bounded(*results, flying, trial(4), jobs=(job(3, 1, pod(running())),), **REACHED[reason][1]), 10)
    todo = decide(changed(seen, **REACHED[reason][0]))
    assert "s-4" not in writes(todo)
    assert status(todo).phase == "Running"
    assert not [a for a in todo.actions if isinstance(a, DeletePredictor)]


def test_gpu_hours_count_attempts_that_run_and_the_pass_comes_when_they_are_used() -> None:
    flying = trial(0, "Running", attempts=1, start_time="2026-01-01T12:00:00Z", node="node1")
    seen = bounded(flying, trial(1), jobs=(job(0, 1, pod(running(), gpus=2)),), gpuHours=0.1)
    assert writes(decide(seen, 179))["s-1"].phase == "Queued"
    assert "s-1" not in writes(decide(seen, 180))
    admitted = replace(bounded(flying, jobs=seen.jobs, gpuHours=0.1), predictor_checked_at=at(100))
    assert decide(settled(admitted), 100).again_at == at(181)


def test_an_attempt_that_ends_in_this_pass_is_not_counted_twice() -> None:
    flying = trial(0, "Running", attempts=1)
    seen = bounded(flying, trial(1), jobs=(job(0, 1, pod(ended(0, report(), end=100))),), gpuHours=0.05)
    assert writes(decide(seen, 110))["s-1"].phase == "Queued"


def test_a_new_best_among_the_last_in_flight_lets_the_search_go_on() -> None:
    results = (done(0, 0.8, 5), done(1, 0.7, 6))
    flying = (trial(2, "Running", attempts=1), trial(3))
    ends = bounded(*results, *flying, jobs=(job(2, 1, pod(ended(0, report(2, accuracy=0.9)))),), noImprovementTrials=1)
    assert writes(decide(ends))["s-3"].phase == "Queued"


def test_the_wall_clock_stands_still_while_the_search_is_suspended() -> None:
    begun = trial(0, "Queued", attempts=1, settled_attempt=1)
    runs = settled(bounded(begun, wallClock="2h"), 0)
    paused = settled(changed(runs, suspend=True, wallClock="2h"), 600)
    assert status(decide(changed(runs, suspend=True, wallClock="2h"), 600)).phase == "Suspended"
    assert decide(replace(paused, deployment=None), 50_000).actions == ()
    resumed = changed(paused, wallClock="2h")
    assert status(decide(resumed, 50_000)).paused_seconds == 50_000 - 600
    assert condition(decide(resumed, 50_000), "Complete")[0] == "False"
    later = settled(resumed, 50_000)
    want = 50_000 - 600 + 3600  # an hour was used at second 0, 10 minutes until it was suspended
    offered = replace(later, trials=(*later.trials, trial(1)), predictor_checked_at=at(want - 1))
    assert "s-1" in writes(decide(offered, want - 1))
    assert "s-1" not in writes(decide(offered, want))


def test_time_before_the_first_admission_is_no_pause() -> None:
    paused = settled(bounded(trial(0), suspend=True, wallClock="1h"), 0)
    resumed = settled(changed(paused, wallClock="1h"), 5000)
    assert resumed.search.status.paused_seconds == 0


def test_the_time_in_which_a_search_was_complete_does_not_count() -> None:
    complete = replace(settled(bounded(*RESULTS, wallClock="1h"), 0), deployment=None)
    todo = decide(changed(complete, wallClock="2h"), 90_000)
    assert (status(todo).phase, status(todo).paused_seconds) == ("Running", 90_000)


# --- estimate ---


def estimate(seen: Observed, seconds: float = 0) -> str | None:
    return status(decide(seen, seconds)).estimated_completion_time


def test_the_estimate_follows_the_parallelism() -> None:
    results = (done(0, 0.8, 10), done(1, 0.7, 10))

    def with_parallelism(number: int) -> str | None:
        return estimate(observed(*results, search=search(spec(parallelism=number, budget={"trials": 10}))))

    assert with_parallelism(1) == "2026-01-01T11:18:00Z"
    assert with_parallelism(4) == "2026-01-01T11:12:00Z"
    assert with_parallelism(0) is None


def test_the_last_trial_in_flight_takes_its_whole_time_however_many_slots_there_are() -> None:
    flying = trial(2, "Running", attempts=1, start_time="2026-01-01T12:00:00Z")
    given_spec = spec(parallelism=8, budget={"trials": 3})
    seen = observed(*RESULTS[:2], flying, jobs=(job(2, 1, pod(running())),), search=search(given_spec))
    assert estimate(seen) == "2026-01-01T12:01:00Z"


def test_gpu_hours_and_wall_clock_bring_the_estimate_forward() -> None:
    results = (done(0, 0.8, 10), done(1, 0.7, 10))
    assert estimate(bounded(*results)) == "2026-01-01T11:34:00Z"  # 48 left, two at once, a minute each
    assert estimate(bounded(*results, gpuHours=0.1)) == "2026-01-01T11:12:00Z"  # for 4 more
    assert estimate(bounded(*results, wallClock="62m")) == "2026-01-01T11:34:00Z"
    assert estimate(bounded(*results, wallClock="20m"), -2460) == "2026-01-01T11:21:00Z"


def test_a_trial_that_was_suspended_on_its_way_does_not_spoil_the_estimate() -> None:
    long = trial(
        1,
        "Succeeded",
        attempts=2,
        settled_attempt=2,
        validation_accuracy=0.5,
        start_time="2026-01-01T11:01:00Z",
        completion_time="2026-01-01T12:10:00Z",
    )
    paused = settled(bounded(done(0, 0.8, 10), trials=4, suspend=True), 0)
    seen = replace(settled(changed(paused, trials=4), 500), trials=(done(0, 0.8, 10), long))
    assert estimate(seen, 700) == "2026-01-01T12:11:00Z"


# --- the field ---


@given(st.integers(0, 999), st.integers(0, 999), st.integers(0, 999), st.integers(0, 999))
def test_a_length_of_time_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    parts = zip((days, hours, minutes, seconds), "dhms", strict=True)
    text = "".join(f"{number}{unit}" for number, unit in parts if number)
    if text:
        assert Budget(wall_clock=text).wall_clock_seconds == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def test_lengths_of_time() -> None:
    assert [seconds_of(text) for text in ("90m", "12h", "1d12h", "1h30m5s")] == [5400, 43_200, 129_600, 5405]


@pytest.mark.parametrize("text", ["", "12", "h", "0h", "1.5h", "-1h", "30m1h", "12 h", "1w"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wallClock"):
        Budget.model_validate({"wallClock": text})


@pytest.mark.parametrize("hours", [1e8, 1e9])
def test_a_bound_beyond_all_dates_is_no_bound(hours: float) -> None:
    flying = trial(1, "Running", attempts=1, start_time="2026-01-01T12:00:00Z")
    seen = bounded(done(0, 0.8, 5), flying, jobs=(job(1, 1, pod(running())),), gpuHours=hours, trials=100_000)
    todo = decide(settled(seen), 100)
    assert todo.again_at is None or todo.again_at < at(1000)


def test_an_end_beyond_all_dates_is_told_as_a_hundred_years() -> None:
    years = done(0, 0.8, 5, start_time="1026-01-01T11:00:00Z")
    found = status(decide(bounded(years, trial(1), trials=100_000))).estimated_completion_time
    assert found is not None
    assert found.startswith("2125-")


def test_the_estimate_counts_no_more_slots_than_there_is_room_for() -> None:
    def left(nodes: int) -> str | None:
        room = Facts(nodes=tuple(NodeView(f"n{i}", {}, {"pods": 1}) for i in range(nodes)))
        asked = spec(budget={"trials": 13}, parallelism=4)
        seen = observed(done(0, 0.8, 59), search=search(asked), facts=room)
        return status(decide(seen)).estimated_completion_time

    assert left(4) == left(100) == "2026-01-01T12:02:00Z", "12 trials of a minute in 4 slots, from 11:59"
    assert left(2) == "2026-01-01T12:05:00Z"
    assert left(0) == left(4), "no room at all, and yet one has ended: how much there will be is not known"


def test_with_repeats_means_are_compared_and_each_result_counts() -> None:
    def results(*accuracies: float) -> list[TrialView]:
        pairs = enumerate(accuracies)
        return [replace(done(i, accuracy, i + 1), hash=f"architecture {i // 2}") for i, accuracy in pairs]

    def ends(limit: int, *accuracies: float) -> bool:
        asked = spec(budget={"trials": 50, "noImprovementTrials": limit}, trial={"repeats": 2})
        found = condition(decide(observed(*results(*accuracies), search=search(asked))), "Complete")
        return found[:2] == ("True", constants.REASON_NO_IMPROVEMENT)

    lucky_but_worse = (0.8, 0.8, 0.5, 0.9)
    assert ends(2, *lucky_but_worse)
    assert not ends(3, *lucky_but_worse)
    unlucky_but_better = (0.8, 0.8, 0.7, 0.95)
    assert not ends(1, *unlucky_but_better)
    assert not ends(1, 0.8, 0.8, 0.5), "one of its repeats is to come"
