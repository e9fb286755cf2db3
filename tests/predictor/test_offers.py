"""How many are offered: by example, and whatever the state."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core.api.search import Strategy
from bananas_core.api.trial import TrialPhase
from bananas_predictor.offers import World, offers, retries, surplus, unserved
from bananas_predictor.search import Asked, Search, TrialRecord
from bananas_predictor.spaces import SPACES

ARCHITECTURE = Search("nasbench201", Strategy(name="random"), 0).ask(1)[0].architecture
phases = st.lists(st.sampled_from(["Pending", "Queued", "Running", "Succeeded", "Failed", "Cancelled"]), max_size=30)


def world(states: list[TrialPhase], *, budget: int, parallelism: int, is_open: bool = True) -> World:
    return World(
        asked=Asked(SPACES["nasbench201"], Strategy(), 0),
        trials=tuple(
            TrialRecord(index, ARCHITECTURE, phase, 0.5 if phase == "Succeeded" else None)
            for index, phase in enumerate(states)
        ),
        budget_trials=budget,
        parallelism=parallelism,
        surplus=surplus(parallelism),
        is_open=is_open,
    )


@pytest.mark.parametrize(("parallelism", "want"), [(1, 1), (8, 1), (9, 2), (16, 2), (100, 13)])
def test_the_surplus_is_an_eighth_of_the_slots_rounded_up(parallelism: int, want: int) -> None:
    assert surplus(parallelism) == want


@pytest.mark.parametrize(
    ("states", "budget", "parallelism", "want"),
    [
        ([], 100, 4, 5),
        (["Running"] * 4, 100, 4, 1),
        (["Running"] * 4 + ["Pending"], 100, 4, 0),
        (["Running"] * 2 + ["Queued"] + ["Pending"], 100, 4, 1),
        (["Running"] * 9, 100, 4, 1),  # scaled down: the surplus finishes
        (["Succeeded"] * 98, 100, 4, 2),
        (["Succeeded"] * 98 + ["Pending"], 100, 4, 1),
        (["Failed"] * 100, 100, 4, 0),
        (["Cancelled"] * 100, 100, 4, 5),
        (["Succeeded"] * 10, 5, 4, 0),  # the budget was lowered
        ([], 100, 0, 0),
    ],
)
def test_offers_fill_the_free_slots_and_the_surplus_within_the_budget(
    states: list[TrialPhase], budget: int, parallelism: int, want: int
) -> None:
    assert offers(world(states, budget=budget, parallelism=parallelism)) == want


def test_a_closed_search_gets_no_offers() -> None:
    assert offers(world([], budget=10, parallelism=4, is_open=False)) == 0


@given(phases, st.integers(1, 40), st.integers(0, 20))
def test_offers_never_exceed_the_budget_and_never_leave_an_open_search_without_any(
    states: list[TrialPhase], budget: int, parallelism: int
) -> None:
    offered = offers(world(states, budget=budget, parallelism=parallelism))
    counted = len(states) - states.count("Cancelled")
    open_count = states.count("Pending") + states.count("Queued") + states.count("Running")
    assert offered >= 0
    assert offered == 0 or counted + offered <= budget
    if parallelism and counted < budget and not open_count:
        assert offered > 0


@pytest.mark.parametrize(
    ("states", "repeats", "want"),
    [
        ([], 1, 10),  # the initial trials are the first round
        (["Succeeded"] * 3, 1, 7),  # the predictor was killed while it offered them
        (["Succeeded"] * 9 + ["Running"], 1, 0),
        (["Succeeded"] * 9 + ["Failed"], 1, 4),
        (["Succeeded"] * 12 + ["Running"], 1, 1),
        (["Succeeded"] * 13 + ["Pending"], 1, 0),
        (["Succeeded"] * 14 + ["Cancelled"] * 3, 1, 4),
        (["Succeeded"] * 28, 1, 2),  # the budget's end
        ([], 2, 20),
        (["Succeeded"] * 20, 2, 8),
        (["Succeeded"] * 27 + ["Queued"], 2, 0),
    ],
)
def test_in_rounds_the_next_one_is_offered_whole_once_the_one_before_has_ended(
    states: list[TrialPhase], repeats: int, want: int
) -> None:
    seen = world(states, budget=30, parallelism=2)
    asked = replace(seen.asked, repeats=repeats)
    assert offers(replace(seen, asked=asked, batch_size=4)) == want


def test_rounds_of_a_random_search_are_all_of_one_size() -> None:
    seen = world([], budget=30, parallelism=2)
    asked = replace(seen.asked, strategy=Strategy(name="random"))
    assert offers(replace(seen, asked=asked, batch_size=4)) == 4


def failed(count: int) -> tuple[TrialRecord, ...]:
    return tuple(TrialRecord(index, ARCHITECTURE, "Failed") for index in range(count))


@pytest.mark.parametrize(("budget", "want_again", "want_new"), [(100, 2, 0), (6, 1, 0), (5, 0, 0)])
def test_what_a_person_wants_again_goes_first_and_needs_a_place_in_the_budget(
    budget: int, want_again: int, want_new: int
) -> None:
    asked = replace(world(["Failed", "Failed", "Running", "Running", "Pending"], budget=budget, parallelism=2))
    asked = replace(asked, retries=failed(2))
    assert (len(retries(asked)), offers(asked)) == (want_again, want_new)


def test_nothing_is_tried_again_while_the_search_is_closed() -> None:
    assert retries(replace(world([], budget=9, parallelism=1, is_open=False), retries=failed(1))) == ()


@pytest.mark.parametrize(
    ("states", "want"),
    [
        (["Running"] * 4, 0),
        (["Running"] * 3 + ["Pending"], 0),
        (["Running"] * 2 + ["Pending"], 1),
        (["Succeeded"] * 4, 4),
        (["Running"] * 6, 0),
    ],
)
def test_a_slot_is_unserved_while_nothing_is_on_offer_for_it(states: list[TrialPhase], want: int) -> None:
    assert unserved(world(states, budget=100, parallelism=4)) == want


def test_nothing_is_urgent_where_nothing_is_kept_in_store() -> None:
    assert unserved(replace(world([], budget=100, parallelism=4), surplus=0)) == 0
