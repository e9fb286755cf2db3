"""A search as JSON and back, and results that come in any order, late, failed, repeated or not at all."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananas_core.api.search import Constraints, Strategy, StrategyName
from bananas_core.spaces import Space
from bananas_predictor.errors import InputError
from bananas_predictor.search import Known, Proposal, Search, TrialRecord
from bananas_predictor.spaces.costs import NetworkShape
from bananas_predictor.strategies import STRATEGIES
from tests.predictor.test_custom_space import Mistaken

SKIPS = {"space": "nasbench201", "nasbench201": {"ops": ["skip_connect"] * 6}}


def quick(name: StrategyName = "bananas") -> Strategy:
    return Strategy(name=name, initial_trials=4, candidates=40, ensemble_size=2)


def ended(proposal: Proposal, fails: bool = False) -> TrialRecord:
    accuracy = None if fails else int(proposal.architecture.hash()[:4], 16) / 0xFFFF
    phase: Any = "Failed" if fails else "Succeeded"
    return TrialRecord(proposal.index, proposal.architecture, phase, accuracy, proposal.origin, proposal.repeat)


@pytest.mark.parametrize(
    ("space", "name"),
    [(space, name) for space in ("nasbench201", "nasbench101") for name in STRATEGIES] + [("darts", "bananas")],
)
def test_a_search_read_back_from_json_proposes_the_same(space: Space, name: StrategyName) -> None:
    search = Search(space, quick(name), 4)
    for _ in range(5):
        asked = search.ask(3)
        search.tell([ended(proposal, proposal.index == 4) for proposal in asked[:2]])  # one stays in flight
    again = Search.from_json(search.to_json())
    assert again.records == search.records
    for _ in range(6):
        asked = search.ask(3)
        assert again.ask(3) == asked
        for one in (search, again):
            one.tell(map(ended, asked))
    assert again.to_json() == search.to_json()


def test_a_state_keeps_how_a_cell_was_drawn_where_that_is_more_than_the_cell() -> None:
    search = Search("nasbench101", quick("evolution"), 4)
    search.tell(map(ended, search.ask(4)))
    search.ask(12)
    trials = json.loads(search.to_json())["trials"]
    spelled = [trial for trial in trials if "spelling" in trial]
    assert spelled
    whole = spelled[0]
    for spelling, want in (
        ("2" * 26, "trials.0.spelling: String should match"),
        ("0" * 26, f"trial {whole['index']}: its spelling is one of another architecture"),
    ):
        changed = json.loads(search.to_json())
        changed["trials"][changed["trials"].index(whole)]["spelling"] = spelling
        with pytest.raises(InputError) as caught:
            Search.from_json(json.dumps(changed))
        assert want.replace("trials.0", f"trials.{trials.index(whole)}") in str(caught.value)
    other = json.loads(Search("nasbench201", quick(), 4).to_json())
    other["trials"] = [{"index": 0, "phase": "Pending", "spelling": whole["spelling"], "architecture": SKIPS}]
    with pytest.raises(InputError, match=r"trials.0.spelling: a cell of nasbench201 has none but itself"):
        Search.from_json(json.dumps(other))


def test_a_state_leaves_out_a_spelling_of_an_architecture_that_its_trial_has_no_more() -> None:
    search = Search("nasbench101", quick("evolution"), 4)
    search.tell(map(ended, search.ask(4)))
    search.ask(12)
    trials = json.loads(search.to_json())["trials"]
    spelled = next(trial["index"] for trial in trials if "spelling" in trial)
    other = search.records[(spelled + 1) % len(trials)].architecture
    search.replace([replace(one, architecture=other) if one.index == spelled else one for one in search.records])
    assert "spelling" not in json.loads(search.to_json())["trials"][spelled]
    again = Search.from_json(search.to_json())
    assert again.records == search.records
    assert again.ask(3) == search.ask(3)


def test_everything_that_was_asked_for_survives() -> None:
    (known,) = Search("darts", quick(), 9).ask(1)
    search = Search(
        "darts",
        quick(),
        1,
        constraints=Constraints(max_parameters=30_000),
        shape=NetworkShape(4, 3, 10, 1, 8),
        repeats=2,
        known=[Known(known.architecture, 0.25)],
    )
    search.tell(map(ended, search.ask(5)))
    again = Search.from_json(search.to_json())
    assert again.asked == search.asked
    assert again.ask(3) == search.ask(3)


def test_a_space_of_ones_own_is_given_again() -> None:
    search = Search(Mistaken(), quick(), 0)
    search.tell(map(ended, search.ask(6)))
    text = search.to_json()
    assert Search.from_json(text, Mistaken()).ask(2) == search.ask(2)
    with pytest.raises(InputError, match="space: it is custom; want a space of one's own given"):
        Search.from_json(text)
    with pytest.raises(InputError, match="space: it is darts"):
        Search.from_json(Search("darts", quick(), 0).to_json(), Mistaken())


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"seed": -1}, "seed: Input should be greater"),
        ({"seeds": 1}, "seeds: Extra inputs"),
        ({"kind": "bananas.search/v2"}, "kind: Input should be"),
        ({"space": "mnist"}, "space: Input should be"),
        ({"strategy": {"name": "magic"}}, "strategy.name: Input should be"),
        ({"trials": [{"index": 0}]}, "trials.0.architecture: Field required"),
    ],
)
def test_a_state_that_is_none_is_refused_by_field(change: dict[str, Any], want: str) -> None:
    state = json.loads(Search("nasbench201", quick(), 0).to_json()) | change
    with pytest.raises(InputError) as caught:
        Search.from_json(json.dumps(state))
    assert want in str(caught.value)
    assert "want what to_json wrote" in str(caught.value)


def test_an_index_twice_and_an_accuracy_in_percent_are_refused_by_place() -> None:
    search = Search("nasbench201", quick(), 0)
    search.tell(map(ended, search.ask(2)))
    state = json.loads(search.to_json())
    twice = state | {"trials": [*state["trials"], state["trials"][0]]}
    with pytest.raises(InputError, match=r"trials.2.index: 0 is there twice"):
        Search.from_json(json.dumps(twice))
    state["trials"][1]["validation_accuracy"] = 93.1
    with pytest.raises(InputError, match=r"trials.1.validation_accuracy: Input should be less than or equal to 1"):
        Search.from_json(json.dumps(state))


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_whatever_becomes_of_trials_nothing_is_proposed_twice_and_the_order_of_telling_says_nothing(
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from(STRATEGIES))
    search = Search("nasbench201", quick(name), data.draw(st.integers(0, 3)))
    told: dict[int, TrialRecord] = {}
    flying: list[Proposal] = []
    hashes: list[str] = []
    for _ in range(data.draw(st.integers(1, 8))):
        asked = search.ask(data.draw(st.integers(1, 4)))
        hashes += [proposal.architecture.hash() for proposal in asked]
        flying += asked
        ending = data.draw(st.lists(st.sampled_from(flying), unique_by=lambda p: p.index)) if flying else []
        records = [ended(proposal, data.draw(st.booleans())) for proposal in ending]
        told |= {record.index: record for record in records}
        flying = [proposal for proposal in flying if proposal.index not in told]
        search.tell(data.draw(st.permutations(records + records[:1])))
    assert len(set(hashes)) == len(hashes)
    again = Search("nasbench201", quick(name), search.asked.seed, reversed(search.records))
    other = Search("nasbench201", quick(name), search.asked.seed, data.draw(st.permutations(search.records)))
    assert again.ask(2) == other.ask(2)


def test_a_result_that_is_corrected_counts_as_corrected() -> None:
    search = Search("nasbench201", quick(), 0)
    first = [ended(proposal) for proposal in search.ask(6)]
    search.tell([replace(record, validation_accuracy=0.01) for record in first])
    search.tell(first)
    assert search.ask(2) == Search("nasbench201", quick(), 0, first).ask(2)
