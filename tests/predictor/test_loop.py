"""The loop against a cluster in memory: kills, conflicts, failures, and that it never stands still."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from bananas_core import constants
from bananas_core.api import NASTrialSpec
from bananas_predictor import loop
from bananas_predictor.errors import ClusterError, TemporaryError
from bananas_predictor.evaluation.trials import REFUSALS, TrialEvaluation
from bananas_predictor.metrics import PredictorMetrics
from bananas_predictor.objects import Raw
from bananas_predictor.settings import PodSettings
from bananas_predictor.spaces import SPACES
from bananas_tables import load_table
from tests.predictor.fake_cluster import NAMESPACE, SEARCH, UID, FakeCluster, phase_of, search_object
from tests.predictor.tiny_space import TINY

TABLE = load_table("nasbench201", None)
QUICK = PodSettings(
    NAMESPACE, SEARCH, UID, retry_seconds=0.001, longest_retry_seconds=0.01, conflict_seconds=0.01, publish_seconds=0
)


def accuracy_of(raw: Raw) -> float:
    return TABLE.look_up(NASTrialSpec.model_validate(raw["spec"]).architecture).validation_accuracy


class Run:
    """The predictor's loop as a task, over one fake cluster; can be killed and started again."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.metrics = PredictorMetrics(NAMESPACE, SEARCH)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Run":
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    def start(self) -> None:
        self._task = asyncio.create_task(loop.run(TrialEvaluation(self.cluster, QUICK, self.metrics)))
        self.cluster.touch()

    async def kill(self) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits for a condition; an error of the loop is the test's."""
        deadline = (
            asyncio.get_running_loop().time() + 60
        )  # the first fit waits for torch, which a busy machine loads slowly
        while not holds():
            assert self._task is not None
            if self._task.done():
                self._task.result()
                raise AssertionError("the loop has ended")
            assert asyncio.get_running_loop().time() < deadline, f"{what}: {self.cluster.phases()}"
            await asyncio.sleep(0.001)

    async def drain(self, evaluate: Callable[[Raw], dict[str, Any]], holds: Callable[[], bool]) -> None:
        """Plays the operator, one result at a time and lowest index first, until the condition holds."""

        def idle() -> None:
            self.cluster.admit()
            running = [raw for raw in self.cluster.by_index() if phase_of(raw) == "Running"]
            if running and not holds():
                self.cluster.set_status(running[0], **evaluate(running[0]))
                self.cluster.admit()
                self.cluster.touch()

        self.cluster.idle = idle
        self.cluster.touch()
        await self.until(holds, "the search does not come to an end")
        self.cluster.idle = None


def succeed(raw: Raw) -> dict[str, Any]:
    return {"phase": "Succeeded", "validationAccuracy": accuracy_of(raw)}


def fail(raw: Raw) -> dict[str, Any]:
    return {"phase": "Failed", "failure": {"reason": "Diverged"}}


def finished(cluster: FakeCluster) -> Callable[[], bool]:
    assert cluster.search_raw is not None
    budget = cluster.search_raw["spec"]["budget"]["trials"]
    return lambda: sum(phase in ("Succeeded", "Failed") for phase in cluster.phases()) == budget


async def test_a_search_runs_to_the_end_of_its_budget_without_a_repetition() -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.drain(succeed, finished(cluster))
    raws = cluster.by_index()
    assert [raw["metadata"]["name"] for raw in raws] == [f"{SEARCH}-{index}" for index in range(12)]
    assert len({raw["metadata"]["labels"][constants.LABEL_ARCHITECTURE] for raw in raws}) == 12
    assert [raw["spec"]["origin"]["method"] for raw in raws] == ["random"] * 4 + ["mutation"] * 8


async def test_a_trial_is_owned_by_its_search_and_carries_its_labels_and_table() -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == 3, "offers")
    raw = cluster.store[f"{SEARCH}-0"]
    spec = NASTrialSpec.model_validate(raw["spec"])
    assert raw["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "nas.bananas.dev/v1alpha1",
            "kind": "NASSearch",
            "name": SEARCH,
            "uid": UID,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert raw["metadata"]["labels"] == {
        "app.kubernetes.io/name": "bananas",
        "app.kubernetes.io/component": "trial",
        "nas.bananas.dev/search": SEARCH,
        "nas.bananas.dev/search-uid": UID,
        "nas.bananas.dev/architecture": spec.architecture.hash(),
    }
    assert spec.table is not None and spec.table.file is None and spec.recipe is None


@pytest.mark.parametrize("space", ["darts", "nasbench101", "nasbench201"])
async def test_a_training_search_hands_its_recipe_to_every_trial(space: str) -> None:
    recipe = {"epochs": 7, "scoreEpochs": 2}
    cluster = FakeCluster(search_object(space=space, evaluator="train", trial={"recipe": recipe}))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == 3, "offers")
    for raw in cluster.store.values():
        spec = NASTrialSpec.model_validate(raw["spec"])
        assert spec.table is None
        assert spec.recipe is not None
        assert spec.recipe.epochs == 7


async def test_as_many_are_pending_as_slots_are_free_and_one_more() -> None:
    cluster = FakeCluster(search_object(trials=100, parallelism=9, initial=50))
    async with Run(cluster) as run:
        await run.until(lambda: cluster.phases() == ["Pending"] * 11, "9 free slots and 9/8 rounded up")
        cluster.admit()
        cluster.touch()
        await run.until(lambda: cluster.phases() == ["Running"] * 9 + ["Pending"] * 2, "all slots in use")


async def test_parallelism_zero_offers_nothing_until_it_is_raised() -> None:
    cluster = FakeCluster(search_object(parallelism=0))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.statuses) == 1 or not cluster.creates, "a round")
        assert not cluster.store
        assert cluster.search_raw is not None
        cluster.search_raw["spec"]["parallelism"] = 1
        cluster.touch()
        await run.until(lambda: len(cluster.store) == 2, "offers")


async def test_proposals_are_the_same_when_the_pod_is_killed_after_every_trial() -> None:
    undisturbed, disturbed = FakeCluster(), FakeCluster()
    async with Run(undisturbed) as run:
        await run.drain(succeed, finished(undisturbed))
    async with Run(disturbed) as run:
        for count in range(1, 13):
            await run.drain(
                succeed,
                lambda count=count: disturbed.phases().count("Succeeded") >= count,  # type: ignore[misc]
            )
            await run.until(lambda: has_offered(disturbed), "offers")
            await run.kill()
            run.start()
    want = [raw["spec"] for raw in undisturbed.by_index()]
    assert [raw["spec"] for raw in disturbed.by_index()] == want


def has_offered(cluster: FakeCluster) -> bool:
    """Whether the predictor has offered all that it will before the next result: 2 slots and 1 more, within 12."""
    phases = cluster.phases()
    return len(phases) == 12 or len(phases) - phases.count("Succeeded") == 3


async def test_results_that_come_out_of_order_are_all_learnt_from() -> None:
    cluster = FakeCluster(search_object(parallelism=4))
    async with Run(cluster) as run:

        def idle() -> None:
            cluster.admit()
            running = [raw for raw in cluster.by_index() if phase_of(raw) == "Running"]
            if running:
                cluster.set_status(running[-1], **succeed(running[-1]))
                cluster.touch()

        cluster.idle = idle
        cluster.touch()
        await run.until(finished(cluster), "end")
        await run.until(lambda: cluster.statuses[-1].get("forecasts") == 8, "all forecasts scored")
    assert cluster.statuses[-1]["meanAbsoluteError"] > 0
    assert -1 <= cluster.statuses[-1]["rankCorrelation"] <= 1


@pytest.mark.parametrize("failures", [2, 3, 4, 11, 12])
async def test_a_search_never_stands_still_however_many_of_its_first_trials_fail(failures: int) -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.drain(lambda raw: (fail if raw["spec"]["index"] < failures else succeed)(raw), finished(cluster))
    assert cluster.phases() == ["Failed"] * failures + ["Succeeded"] * (12 - failures)


async def test_the_predictor_waits_for_half_of_the_initial_trials_and_no_longer() -> None:
    cluster = FakeCluster(search_object(initial=6, parallelism=8, trials=30))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == 6, "initial trials only")
        cluster.admit()
        for count in (1, 2):
            cluster.set_status(cluster.by_index()[count], **succeed(cluster.by_index()[count]))
        cluster.touch()
        await run.until(lambda: not cluster._changed.is_set(), "the round")
        assert len(cluster.store) == 6
        cluster.set_status(cluster.by_index()[5], **succeed(cluster.by_index()[5]))
        cluster.touch()
        await run.until(lambda: len(cluster.store) == 12, "5 free slots and 1 more")
    assert {raw["spec"]["origin"]["method"] for raw in cluster.by_index()[6:]} == {"mutation"}


async def test_cancelled_trials_are_replaced_and_cost_no_budget() -> None:
    cluster = FakeCluster()

    def evaluate(raw: Raw) -> dict[str, Any]:
        if raw["spec"]["index"] % 4 == 1:
            return {"phase": "Cancelled", "reason": constants.REASON_BUDGET_EXHAUSTED}
        return succeed(raw)

    async with Run(cluster) as run:
        await run.drain(evaluate, lambda: cluster.phases().count("Succeeded") == 12)
    assert cluster.phases().count("Cancelled") == 4


async def test_a_trial_that_was_made_before_a_crash_is_found_again() -> None:
    cluster = FakeCluster()
    cluster.lose_answers = 2
    async with Run(cluster) as run:
        await run.drain(succeed, finished(cluster))
    assert len(cluster.store) == 12
    assert all(status["message"] == "" for status in cluster.statuses)


async def test_a_view_that_lags_behind_makes_no_trial_twice() -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == 3, "offers")
        cluster.view = {}  # a list that was begun before the creates
        cluster._changed.set()
        await run.until(lambda: len(cluster.view) == 3, "found again")
        await run.drain(succeed, finished(cluster))
    assert len(cluster.store) == 12


async def test_another_trial_of_this_search_under_the_next_name_counts_and_is_gone_past() -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == 3, "offers")
    # An earlier life of the pod, of another release, chose something else for trial 2.
    cluster.store[f"{SEARCH}-2"]["spec"]["origin"] = {"method": "mutation", "parent": 0}
    del cluster.view[f"{SEARCH}-2"]
    async with Run(cluster) as run:
        await run.drain(succeed, finished(cluster))
    assert cluster.store[f"{SEARCH}-2"]["spec"]["origin"]["method"] == "mutation"
    assert len(cluster.store) == 12


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"ownerReferences": [{"uid": "somebody", "controller": True}]}, "is not this search's"),
        ({"ownerReferences": []}, "is not this search's"),
        ({"labels": {}}, "is not this search's"),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, "is being deleted"),
    ],
)
async def test_an_object_of_somebody_else_under_the_next_name_is_waited_for_and_told_of(change: Raw, want: str) -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == 3, "offers")
    foreign = cluster.store[f"{SEARCH}-2"]
    foreign["metadata"].update(change)
    del cluster.view[f"{SEARCH}-2"]
    cluster.is_lagging = True
    async with Run(cluster) as run:
        await run.until(lambda: cluster.has_said(f"NASTrial {SEARCH}-2, the next to be proposed, {want}"), "told of")
        assert cluster.store[f"{SEARCH}-2"] is foreign
        cluster.is_lagging = False
        del cluster.store[f"{SEARCH}-2"]
        cluster.touch()
        await run.drain(succeed, finished(cluster))
        await run.until(lambda: cluster.statuses[-1]["message"] == "", "the message goes")


async def test_a_success_without_an_accuracy_does_not_end_the_search() -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.drain(
            lambda raw: {"phase": "Succeeded"} if raw["spec"]["index"] == 1 else succeed(raw), finished(cluster)
        )
    assert len(cluster.store) == 12


async def test_errors_that_pass_are_told_and_tried_again() -> None:
    cluster = FakeCluster()
    cluster.create_errors = [TemporaryError("429 Too Many Requests"), ClusterError("403 forbidden: quota")]
    cluster.status_errors = [TemporaryError("503")]
    async with Run(cluster) as run:
        await run.drain(succeed, finished(cluster))
        await run.until(lambda: cluster.statuses[-1]["message"] == "", "the message goes")
    assert any("quota" in status["message"] for status in cluster.statuses)


@pytest.mark.parametrize("gone", ["deleted", "made anew", "being deleted", "of a newer release"])
async def test_a_search_that_is_not_ours_any_more_is_left_alone_without_an_end(gone: str) -> None:
    search = search_object()
    cluster = FakeCluster(search)
    match gone:
        case "deleted":
            cluster.search_raw = None
        case "made anew":
            search["metadata"]["uid"] = "another"
        case "being deleted":
            search["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        case _:
            search["spec"]["flavour"] = "sweet"
    async with Run(cluster) as run:
        await run.until(lambda: not cluster._changed.is_set(), "the round")
        cluster.touch()
        await run.until(lambda: not cluster._changed.is_set(), "another round")
    assert (cluster.creates, cluster.statuses) == (0, [])


async def test_a_failed_search_gets_no_more_offers() -> None:
    search = search_object()
    search["status"] = {"phase": "Failed"}
    cluster = FakeCluster(search)
    async with Run(cluster) as run:
        await run.until(lambda: not cluster._changed.is_set(), "the round")
        await asyncio.sleep(0)
    assert not cluster.creates


async def test_an_operator_that_refuses_everything_is_not_offered_trials_for_ever() -> None:
    cluster = FakeCluster(search_object(trials=1000))

    def refuse(raw: Raw) -> dict[str, Any]:
        return {"phase": "Cancelled", "reason": constants.REASON_RECIPE_MISMATCH}

    async with Run(cluster) as run:
        await run.drain(refuse, lambda: cluster.phases().count("Cancelled") >= REFUSALS)
        await run.until(lambda: cluster.has_said("refused the last 20 trials"), "told of")
    assert len(cluster.store) < REFUSALS + 5


async def test_trials_of_another_owner_with_our_label_are_nobodys_results() -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == 3, "offers")
        stranger = {**cluster.store[f"{SEARCH}-0"]}
        stranger["metadata"] = {**stranger["metadata"], "name": "stranger", "ownerReferences": []}
        stranger["spec"] = {**stranger["spec"], "index": 50}
        stranger["status"] = {"phase": "Succeeded", "validationAccuracy": 1.0}
        cluster.store["stranger"] = stranger
        await run.drain(succeed, finished(cluster))  # the fake operator counts the stranger
        await run.until(lambda: f"{SEARCH}-11" in cluster.store, "all of the budget is offered all the same")
    assert f"{SEARCH}-51" not in cluster.store


async def test_an_idle_search_costs_no_status_write_and_a_result_costs_one_at_most() -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.drain(succeed, finished(cluster))
        await run.until(lambda: cluster.statuses[-1].get("forecasts") == 8, "the last result")
        writes = len(cluster.statuses)
        assert writes <= 12
        for _ in range(5):
            cluster.touch()
            await run.until(lambda: not cluster._changed.is_set(), "the round")
        assert len(cluster.statuses) == writes
        await run.kill()
        run.start()
        for _ in range(3):
            await run.until(lambda: not cluster._changed.is_set(), "the round")
            cluster.touch()
    assert len(cluster.statuses) == writes


@pytest.mark.parametrize("strategy", [{"name": "random"}, {"initialTrials": 2, "candidates": 10, "ensembleSize": 2}])
async def test_a_used_up_space_is_said_to_be_once_and_offers_end(
    monkeypatch: pytest.MonkeyPatch, strategy: Raw
) -> None:
    monkeypatch.setitem(SPACES, "nasbench201", TINY)
    cluster = FakeCluster(search_object(trials=100, strategy=strategy))
    async with Run(cluster) as run:
        await run.drain(succeed, lambda: cluster.phases().count("Succeeded") == TINY.size)
        await run.until(lambda: cluster.statuses[-1]["exhausted"], "told of")
        writes = len(cluster.statuses)
        await run.kill()
        run.start()
        await run.until(lambda: not cluster._changed.is_set(), "the round")
    assert len(cluster.store) == TINY.size
    assert len(cluster.statuses) == writes


async def test_a_used_up_space_is_not_told_before_the_operator_has_dealt_with_its_last_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else an operator that hears of the end first takes the search for complete."""
    monkeypatch.setitem(SPACES, "nasbench201", TINY)
    cluster = FakeCluster(search_object(trials=100, parallelism=100, strategy={"name": "random"}))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) == TINY.size, "all are on offer")
        cluster.touch()
        await run.until(lambda: not cluster._changed.is_set(), "the round")
        assert not any(status["exhausted"] for status in cluster.statuses)
        cluster.admit()
        cluster.touch()
        await run.until(lambda: bool(cluster.statuses) and cluster.statuses[-1]["exhausted"], "told of")


async def test_metrics_show_what_the_status_says() -> None:
    cluster = FakeCluster()
    async with Run(cluster) as run:
        await run.drain(succeed, finished(cluster))
        await run.until(lambda: cluster.statuses[-1].get("forecasts") == 8, "the last result")
    text = generate_latest(run.metrics.registry).decode()
    labels = f'namespace="{NAMESPACE}",search="{SEARCH}"'
    last = cluster.statuses[-1]
    assert f"bananas_predictor_rank_correlation{{{labels}}} {last['rankCorrelation']}" in text
    assert f"bananas_predictor_mean_absolute_error{{{labels}}} {last['meanAbsoluteError']}" in text
    assert f"bananas_predictor_results_seen{{{labels}}} {float(last['resultsSeen'])}" in text
    assert f"bananas_predictor_fit_seconds{{{labels}}} {last['fitSeconds']}" in text
    assert 'method="mutation",namespace="team",search="lemon"} 8.0' in text


@given(
    parallelism=st.integers(1, 6),
    initial=st.integers(2, 6),
    outcomes=st.lists(st.sampled_from(["succeed", "fail", "cancel"]), max_size=25),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=25, deadline=None)
def test_whatever_happens_to_trials_the_budget_is_used_and_never_exceeded(
    parallelism: int, initial: int, outcomes: list[str], order: Any
) -> None:
    async def scenario() -> FakeCluster:
        cluster = FakeCluster(search_object(trials=10, parallelism=parallelism, initial=initial))
        left = list(outcomes)

        def idle() -> None:
            cluster.admit()
            running = [raw for raw in cluster.by_index() if phase_of(raw) == "Running"]
            if not running:
                return
            raw = order.choice(running)
            match left.pop() if left else "succeed":
                case "succeed":
                    cluster.set_status(raw, **succeed(raw))
                case "fail":
                    cluster.set_status(raw, **fail(raw))
                case _:
                    cluster.set_status(raw, phase="Cancelled", reason=constants.REASON_BUDGET_EXHAUSTED)
            cluster.admit()
            cluster.touch()

        async with Run(cluster) as run:
            cluster.idle = idle
            cluster.touch()
            await run.until(finished(cluster), "the search does not come to an end")
        return cluster

    cluster = asyncio.run(scenario())
    phases = cluster.phases()
    assert len(phases) - phases.count("Cancelled") == 10
    assert len({raw["metadata"]["labels"][constants.LABEL_ARCHITECTURE] for raw in cluster.store.values()}) == len(
        phases
    )


def fails(raw: Raw) -> dict[str, Any]:
    return {"phase": "Failed", "completionTime": "2026-01-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("asked", "want"),
    [("2026-01-01T12:00:01Z", [("retry", 0)]), ("2026-01-01T11:59:59Z", []), ("at once", [])],
)
async def test_a_failed_trial_is_offered_once_more_when_a_person_asks_after_its_end(
    asked: str, want: list[tuple[str, int]]
) -> None:
    cluster = FakeCluster(search_object(trials=5, parallelism=1, strategy={"name": "random"}))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.phases()) == 2, "two offers")
        cluster.admit()
        first = cluster.by_index()[0]
        cluster.set_status(first, **fails(first))
        first["metadata"]["annotations"] = {constants.ANNOTATION_RETRY: asked}
        cluster.admit()
        cluster.touch()

        def again() -> list[Raw]:
            return [raw for raw in cluster.by_index() if raw["spec"]["origin"]["method"] == "retry"]

        await run.until(lambda: len(cluster.phases()) >= 3, "a third offer")
        cluster.touch()
        await run.drain(succeed, finished(cluster))
        assert [("retry", raw["spec"]["origin"]["parent"]) for raw in again()] == want
        assert all(raw["spec"]["architecture"] == first["spec"]["architecture"] for raw in again())
        assert all(raw["spec"]["seed"] == first["spec"]["seed"] for raw in again())
        assert len(cluster.phases()) == 5, "it takes a place in the budget"


@pytest.mark.parametrize("phase", ["Complete", "Suspended", "Failed"])
async def test_nothing_is_offered_to_a_search_that_admits_nothing(phase: str) -> None:
    search = search_object(strategy={"name": "random"})
    cluster = FakeCluster({**search, "status": {"phase": phase}})
    looked: list[bool] = []
    cluster.idle = lambda: looked.append(True)
    async with Run(cluster) as run:
        await run.until(lambda: bool(looked), "it has looked")
        assert cluster.phases() == []
        assert cluster.search_raw is not None
        cluster.search_raw["status"]["phase"] = "Running"
        cluster.touch()
        await run.until(lambda: len(cluster.phases()) == 3, "it offers")


async def test_a_trial_that_was_given_up_after_its_admission_keeps_its_place_in_the_budget() -> None:
    cluster = FakeCluster(search_object(trials=2, parallelism=1, strategy={"name": "random"}))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.phases()) == 2, "two offers")
        cluster.admit()
        first, second = cluster.by_index()
        cluster.set_status(first, phase="Cancelled", admissionTime="2026-01-01T12:00:00Z")
        cluster.admit()
        cluster.set_status(second, **succeed(second))
        before = len(cluster.statuses)
        cluster.touch()
        await asyncio.sleep(0)
        cluster.set_status(first, reason="CancelledByUser")
        cluster.touch()
        await run.until(lambda: len(cluster.phases()) == 2 and len(cluster.statuses) >= before, "no third")
        assert len(cluster.phases()) == 2


async def test_numbers_wait_for_more_to_be_said_with_them_but_not_at_the_end() -> None:
    now = 0.0
    cluster = FakeCluster(search_object(trials=8, parallelism=2, initial=4))
    slow = replace(QUICK, publish_seconds=1000)
    task = asyncio.create_task(
        loop.run(TrialEvaluation(cluster, slow, PredictorMetrics(NAMESPACE, SEARCH), lambda: now))
    )
    try:
        done = finished(cluster)

        def idle() -> None:
            cluster.admit()
            running = [raw for raw in cluster.by_index() if phase_of(raw) == "Running"]
            if running and not done():
                if cluster.phases().count("Pending") + cluster.phases().count("Running") > 2:
                    assert cluster.statuses == [], "there is more to come"
                cluster.set_status(running[0], **succeed(running[0]))
                cluster.admit()
                cluster.touch()

        cluster.idle = idle
        cluster.touch()
        deadline = asyncio.get_running_loop().time() + 60
        while not (done() and cluster.statuses and cluster.statuses[-1]["forecasts"] == 4):
            assert asyncio.get_running_loop().time() < deadline, cluster.statuses
            await asyncio.sleep(0.001)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
