"""A search that starts with the results of another: what is taken, what is refused, and what follows from it."""

from typing import Any

import pytest

from bananas_core import constants
from bananas_core.api.search import Strategy
from bananas_core.spaces import Architecture
from bananas_core.spaces.nasbench201 import OPERATIONS, Nasbench201Architecture
from bananas_predictor.errors import InputError
from bananas_predictor.objects import Raw, SearchObject, read_search, read_trial
from bananas_predictor.search import Known, Search, TrialRecord
from bananas_predictor.warm_start import known_results
from tests.predictor.fake_cluster import SEARCH, FakeCluster, search_object
from tests.predictor.test_loop import Run, accuracy_of

WARM = {"warmStartFrom": {"search": "lime"}}


def cell(number: int) -> Architecture:
    ops = tuple(OPERATIONS[(number // 5**place) % 5] for place in range(6))
    return Architecture.of(Nasbench201Architecture(ops=ops))


def other(**spec: Any) -> Raw:
    raw = search_object(**spec)
    raw["metadata"] |= {"name": "lime", "uid": "9f8e"}
    return raw


def its_trial(index: int, *, accuracy: float = 0.8, ended: str = "2026-03-04T11:00:00Z", **more: Any) -> Raw:
    architecture = more.pop("architecture", cell(1000 + 7 * index))
    return {
        "metadata": {
            "name": f"lime-{index}",
            "uid": f"lime-uid-{index}",
            "labels": {constants.LABEL_SEARCH_UID: "9f8e"},
            "ownerReferences": [{"uid": more.pop("owner", "9f8e"), "controller": True}],
        },
        "spec": {
            "search": "lime",
            "index": index,
            "architecture": architecture.to_kubernetes(),
            "table": {},
            "origin": {"method": more.pop("method", "random")},
        },
        "status": {"phase": "Succeeded", "validationAccuracy": accuracy, "completionTime": ended, **more},
    }


def own(**spec: Any) -> SearchObject:
    return read_search(search_object(**WARM, **spec))


def taken(*trials: Raw, of: Raw | None = None, **spec: Any) -> tuple[Known, ...]:
    return known_results(own(**spec), read_search(of or other()), [read_trial(raw) for raw in trials])


def test_results_are_taken_in_the_order_of_the_trials() -> None:
    got = taken(its_trial(4, accuracy=0.7), its_trial(1, accuracy=0.6))
    assert got == (Known(cell(1007), 0.6), Known(cell(1028), 0.7))


def test_several_results_of_one_architecture_are_one_mean() -> None:
    same = cell(77)
    got = taken(its_trial(0, accuracy=0.6, architecture=same), its_trial(1, accuracy=0.8, architecture=same))
    assert got == (Known(same, pytest.approx(0.7)),)


@pytest.mark.parametrize(
    "passed_over",
    [
        pytest.param(its_trial(1, ended="2026-03-04T12:00:01Z"), id="ended later"),
        pytest.param(its_trial(1, phase="Failed"), id="failed"),
        pytest.param(its_trial(1, phase="Running", completionTime=None), id="running"),
        pytest.param(its_trial(1, owner="somebody"), id="not its own"),
        pytest.param(its_trial(1, method="promotion"), id="trained to the end"),
    ],
)
def test_only_results_that_were_there_when_the_search_was_made_are_taken(passed_over: Raw) -> None:
    assert taken(its_trial(0), passed_over) == taken(its_trial(0))
    with pytest.raises(InputError, match="had no result when this search was made"):
        taken(passed_over)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"space": "nasbench101"}, "space"),
        ({"table": {"file": "a.csv"}, "data": {"claim": "d"}}, "data.claim"),
        ({"evaluator": "train", "trial": {"recipe": {"epochs": 3, "scoreEpochs": 1}}}, "evaluator"),
    ],
)
def test_a_search_whose_accuracies_cannot_be_compared_is_refused_with_the_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError, match=f"its {field} differs"):
        taken(its_trial(0), of=other(**changes))


def test_a_table_that_only_takes_another_time_is_the_same_table() -> None:
    assert len(taken(its_trial(0), of=other(table={"secondsPerTrial": 9}))) == 1


def known(count: int = 12) -> list[Known]:
    return [Known(cell(31 * n + 5), 0.5 + 0.01 * n) for n in range(count)]


def test_the_predictor_chooses_at_once_and_proposes_nothing_that_is_known() -> None:
    results = known()
    search = Search("nasbench201", Strategy(initial_trials=10, candidates=50, ensemble_size=2), 3, known=results)
    proposals = search.ask(20)
    assert {p.origin.method for p in proposals[:5]} == {"mutation"}
    assert [p.index for p in proposals] == list(range(20))
    assert not {p.architecture.hash() for p in proposals} & {r.architecture.hash() for r in results}
    assert search.fit is not None
    assert search.fit.results == 12


@pytest.mark.parametrize("name", ["bananas", "bananasPaper", "evolution", "localSearch", "random"])
def test_every_strategy_takes_them_and_a_parent_is_a_trial_of_this_search(name: str) -> None:
    search = Search("nasbench201", Strategy.model_validate({"name": name, "candidates": 50}), 1, known=known())
    for _ in range(6):
        for proposal in search.ask(3):
            assert proposal.origin.parent is None or proposal.origin.parent < proposal.index
            search.tell([TrialRecord(proposal.index, proposal.architecture, "Succeeded", 0.5, proposal.origin)])
    assert len(search.records) >= 6


def test_the_same_follows_when_it_is_built_again() -> None:
    strategy = Strategy(initial_trials=10, candidates=50, ensemble_size=2)
    first = Search("nasbench201", strategy, 3, known=known())
    for proposal in first.ask(4):
        first.tell([TrialRecord(proposal.index, proposal.architecture, "Succeeded", 0.6, proposal.origin)])
    again = Search("nasbench201", strategy, 3, first.records, known=known())
    assert [p.architecture for p in again.ask(3)] == [p.architecture for p in first.ask(3)]


async def test_the_pod_reads_them_once_and_begins_with_its_predictor() -> None:
    cluster = FakeCluster(search_object(trials=6, **WARM))
    cluster.others["lime"] = (other(), tuple(its_trial(n, accuracy=0.5 + 0.01 * n) for n in range(12)))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) >= 3, "three offers")
    methods = [raw["spec"]["origin"]["method"] for raw in cluster.by_index()]
    assert methods[:3] == ["mutation"] * 3


async def test_a_search_that_is_not_there_is_told_and_waited_for() -> None:
    cluster = FakeCluster(search_object(trials=6, **WARM))
    async with Run(cluster) as run:
        await run.until(lambda: bool(cluster.statuses), "a status")
        said = cluster.statuses[-1]
        assert said["reason"] == constants.REASON_WARM_START_UNUSABLE
        assert "there is no NASSearch lime" in said["message"]
        assert not cluster.store
        cluster.others["lime"] = (other(), (its_trial(0), its_trial(1, accuracy=0.9)))
        await run.until(lambda: len(cluster.store) >= 3, "three offers")
        await run.until(lambda: not cluster.statuses[-1].get("reason"), "the reason is gone")


async def test_a_search_that_was_deleted_since_holds_nothing_up() -> None:
    cluster = FakeCluster(search_object(trials=5, **WARM))
    cluster.others["lime"] = (other(), tuple(its_trial(n) for n in range(6)))
    async with Run(cluster) as run:
        await run.until(lambda: len(cluster.store) >= 3, "three offers")
        await run.kill()
        del cluster.others["lime"]
        run.start()
        await run.drain(
            lambda raw: {"phase": "Succeeded", "validationAccuracy": accuracy_of(raw)},
            lambda: sum(raw.get("status", {}).get("phase") == "Succeeded" for raw in cluster.store.values()) == 5,
        )
    assert {name.rsplit("-", 1)[0] for name in cluster.store} == {SEARCH}
