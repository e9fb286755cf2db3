"""The condition PredictorUseful: what the predictor says of its forecasts, in words, and once as an Event."""

import pytest

from bananas_core import constants
from bananas_core.api import NASSearchStatus
from bananas_core.api.search import PredictorStatus
from bananas_operator.actions import Plan

from .builders import observed, search, spec
from .test_plan import condition, decide, notes, status

USELESS = PredictorStatus(forecasts=43, rank_correlation=0.0512, no_better_than_chance=True)


def told(said: PredictorStatus | None, strategy: str = "bananas", fallback: str = "none") -> Plan:
    asked = spec(strategy={"name": strategy, "initialTrials": 2, "fallback": fallback})
    return decide(observed(search=search(asked, status=NASSearchStatus(predictor=said))))


@pytest.mark.parametrize(
    ("said", "strategy", "want"),
    [
        (None, "bananas", ("Unknown", "TooFewForecasts")),
        (PredictorStatus(forecasts=39, no_better_than_chance=False), "bananas", ("Unknown", "TooFewForecasts")),
        (PredictorStatus(forecasts=40, rank_correlation=0.6), "bananasPaper", ("True", "AsExpected")),
        (USELESS, "bananas", ("False", "PredictorNoBetterThanChance")),
        (PredictorStatus(), "random", ("Unknown", "StrategyWithoutPredictor")),
    ],
)
def test_the_condition_says_what_is_known(said: PredictorStatus | None, strategy: str, want: tuple[str, str]) -> None:
    assert condition(told(said, strategy), constants.CONDITION_PREDICTOR_USEFUL)[:2] == want


@pytest.mark.parametrize(
    ("fallback", "want"),
    [
        (
            "none",
            "nothing is done about it, for spec.strategy.fallback is none; set it to evolution to let that propose",
        ),
        ("evolution", "evolution proposes from now on, as spec.strategy.fallback says"),
    ],
)
def test_a_useless_predictor_is_told_with_what_is_done_about_it_and_holds_nothing_up(fallback: str, want: str) -> None:
    todo = told(USELESS, fallback=fallback)
    text = f"the rank correlation of 43 forecasts with their results is 0.05, no better than chance; {want}"
    assert condition(todo, constants.CONDITION_PREDICTOR_USEFUL)[2] == text
    assert condition(todo, constants.CONDITION_STALLED)[0] == "False"
    assert constants.REASON_NO_BETTER_THAN_CHANCE in notes(todo)


def test_the_event_comes_once() -> None:
    asked = spec(strategy={"name": "bananas", "initialTrials": 2})
    before = status(told(USELESS)).model_copy(update={"predictor": USELESS})
    again = decide(observed(search=search(asked, status=before)), seconds=200)
    assert constants.REASON_NO_BETTER_THAN_CHANCE not in notes(again)
