"""`Search` in memory: purity, order, missing and failed results, and that no architecture comes twice."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananas_core.api.search import Strategy
from bananas_core.spaces import Space
from bananas_predictor.errors import InputError
from bananas_predictor.search import Proposal, Search, TrialRecord
from bananas_predictor.spaces import SPACES
from tests.predictor.tiny_space import TINY

QUICK = Strategy(initial_trials=4, candidates=40, ensemble_size=2)
every_space = pytest.mark.parametrize("space", list(SPACES))


def accuracy(proposal: Proposal) -> float:
    """Some accuracy, the same for the same architecture."""
    return int(proposal.architecture.hash()[:4], 16) / 0xFFFF


def succeeded(proposal: Proposal) -> TrialRecord:
    return TrialRecord(proposal.index, proposal.architecture, "Succeeded", accuracy(proposal), proposal.origin)


def run(search: Search, count: int, at_once: int) -> list[Proposal]:
    proposals: list[Proposal] = []
    while len(proposals) < count:
        asked = search.ask(min(at_once, count - len(proposals)))
        assert asked
        search.tell(map(succeeded, asked))
        proposals += asked
    return proposals


@every_space
@pytest.mark.parametrize("encoding", ["path", "truncatedPath", "adjacency", "graph"])
def test_no_architecture_is_proposed_twice_and_indices_count_up(space: Space, encoding: Any) -> None:
    proposals = run(Search(space, QUICK.model_copy(update={"encoding": encoding}), 1), 14, 3)
    assert [p.index for p in proposals] == list(range(14))
    assert len({p.architecture.hash() for p in proposals}) == 14
    assert [p.origin.method for p in proposals] == ["random"] * 4 + ["mutation"] * 10
    for p in proposals[4:]:
        assert p.origin.parent is not None
        assert p.origin.parent < p.index
        assert 0 <= (p.origin.predicted_mean or 0) <= 1


@every_space
def test_the_same_seed_gives_the_same_proposals_and_another_seed_others(space: Space) -> None:
    one, two, other = (run(Search(space, QUICK, seed), 9, 2) for seed in (1, 1, 2))
    assert one == two
    assert one != other


@given(st.integers(1, 7), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_a_search_built_again_from_shuffled_records_proposes_the_same(known: int, order: Any) -> None:
    search = Search("nasbench201", QUICK, 5)
    run(search, 8, 2)
    records = list(search.records)
    records[known] = TrialRecord(known, records[known].architecture, "Running")
    search.replace(records)
    shuffled = list(records)
    order.shuffle(shuffled)
    again = Search("nasbench201", QUICK, 5, shuffled)
    assert again.ask(3) == search.ask(3)


def test_asking_for_three_is_asking_for_one_three_times() -> None:
    together, single = Search("darts", QUICK, 0), Search("darts", QUICK, 0)
    for search in (together, single):
        search.tell(map(succeeded, search.ask(4)))
    assert together.ask(3) == [proposal for _ in range(3) for proposal in single.ask(1)]


def test_results_told_again_change_nothing() -> None:
    search = Search("nasbench201", QUICK, 0)
    first = search.ask(4)
    search.tell(map(succeeded, first))
    search.tell(map(succeeded, first))
    once = Search("nasbench201", QUICK, 0, map(succeeded, first))
    assert search.ask(2) == once.ask(2)


def test_a_failed_trial_teaches_nothing_but_is_not_proposed_again() -> None:
    search = Search("nasbench201", QUICK, 0)
    proposals = search.ask(4)
    search.tell([succeeded(p) for p in proposals[:3]])
    search.tell([TrialRecord(3, proposals[3].architecture, "Failed")])
    later = search.ask(10)
    assert search.fit is not None
    assert search.fit.results == 3
    assert proposals[3].architecture.hash() not in {p.architecture.hash() for p in later}


def test_one_fit_serves_all_proposals_of_the_same_results() -> None:
    search = Search("nasbench201", QUICK, 0)
    search.tell(map(succeeded, search.ask(4)))
    search.ask(1)
    fit = search.fit
    search.ask(5)
    assert search.fit is fit
    search.tell(map(succeeded, search.ask(1)))
    search.ask(1)
    assert search.fit is not fit


def test_with_the_start_in_flight_it_waits_and_proposes_nothing() -> None:
    search = Search("nasbench201", QUICK, 0)
    assert len(search.ask(10)) == 4
    assert search.ask(10) == []
    assert search.exhausted is False


def test_a_used_up_space_ends_with_fewer_proposals_and_says_so() -> None:
    search = Search(TINY, QUICK, 0)
    assert len(run(search, TINY.size, 1)) == TINY.size
    assert search.ask(2) == []
    assert search.exhausted


def test_the_best_are_mutated() -> None:
    search = Search("nasbench201", Strategy(initial_trials=60, candidates=100, ensemble_size=2), 0)
    start = search.ask(60)
    search.tell(map(succeeded, start))
    best = {p.index for p in sorted(start, key=accuracy)[-20:]}
    assert {p.origin.parent for p in search.ask(15)} <= best


@pytest.mark.parametrize("value", [1.01, -0.1, float("nan"), 91.2])
def test_an_accuracy_that_is_no_fraction_is_refused_by_name(value: float) -> None:
    (proposal,) = Search("nasbench201", QUICK, 0).ask(1)
    with pytest.raises(InputError, match=r"trial 0: validation accuracy .*; want a fraction from 0 to 1"):
        TrialRecord(0, proposal.architecture, "Succeeded", value)


def test_a_phase_that_is_none_is_refused_by_name() -> None:
    (proposal,) = Search("nasbench201", QUICK, 0).ask(1)
    phase: Any = "succeeded"
    with pytest.raises(InputError, match="trial 0: phase 'succeeded'; want one of Pending, Queued, Running, Succeeded"):
        TrialRecord(0, proposal.architecture, phase, 0.5)


def test_a_space_that_is_not_known_is_refused_by_name() -> None:
    space: Any = "nasbench300"
    with pytest.raises(InputError, match="space 'nasbench300' is not known; want one of darts, nasbench101"):
        Search(space, QUICK, 0)


def test_an_architecture_of_another_space_is_refused_by_name() -> None:
    (proposal,) = Search("darts", QUICK, 0).ask(1)
    with pytest.raises(InputError, match="trial 0: its space is darts; this search's is nasbench201"):
        Search("nasbench201", QUICK, 0).tell([succeeded(proposal)])


def test_an_index_whose_architecture_changes_is_refused_by_name() -> None:
    search = Search("nasbench201", QUICK, 0)
    one, two = search.ask(2)
    with pytest.raises(InputError, match=r"trial 0: architecture .* differs from the one known"):
        search.tell([TrialRecord(0, two.architecture)])
    assert one.architecture == search.records[0].architecture


def test_the_random_strategy_is_uniform_over_different_architectures() -> None:
    proposals = Search("nasbench201", Strategy(name="random"), 0).ask(400)
    assert len({p.architecture.hash() for p in proposals}) == 400
    first = [p.architecture.nasbench201.ops[0] for p in proposals if p.architecture.nasbench201]
    counts = np.unique(first, return_counts=True)[1]
    assert counts.min() > 400 / 5 - 4 * (400 * 0.2 * 0.8) ** 0.5


def test_an_urgent_proposal_rests_on_the_last_fit_and_is_new_all_the_same() -> None:
    search = Search("nasbench201", QUICK, 0)
    search.tell(map(succeeded, search.ask(4)))
    known = search.ask(1)
    fit = search.fit
    assert fit is not None
    search.tell(map(succeeded, known))
    urgent = search.ask(2, is_urgent=True)
    assert search.fit == fit
    assert len({p.architecture.hash() for p in [*known, *urgent]}) == 3
    search.ask(1)
    assert search.fit != fit


def test_an_urgent_proposal_without_any_fit_waits_for_one() -> None:
    search = Search("nasbench201", QUICK, 0)
    search.tell(map(succeeded, search.ask(4)))
    assert search.ask(1, is_urgent=True)
    assert search.fit is not None
