"""Several trials of one architecture: which are admitted, and when their mean is the best."""

from dataclasses import replace
from typing import Any

import pytest

from bananas_core import constants
from bananas_core.api import NASSearchStatus
from bananas_core.api.search import BestTrial, PredictorStatus
from bananas_operator.views import TrialView

from .builders import ARCHITECTURES, observed, search, spec, trial
from .test_plan import condition, decide, status, writes


def seeded(index: int, seed: int, phase: str = "Pending", of: int = 0, **status: Any) -> TrialView:
    """A trial of architecture number `of` with this seed."""
    made = trial(index, phase, ARCHITECTURES[of], **status)
    assert made.spec is not None
    return replace(made, spec=made.spec.model_copy(update={"seed": seed}))


def repeated(*trials: TrialView, repeats: int = 3, **changes: Any) -> Any:
    asked = spec(trial={"repeats": repeats}, parallelism=10, budget={"trials": 20})
    return observed(*trials, search=search(asked, **changes))


def test_an_architecture_is_admitted_once_with_each_seed_and_no_oftener_than_its_repeats() -> None:
    trials = [seeded(0, 0), seeded(1, 1), seeded(2, 1), seeded(3, 2), seeded(4, 3), seeded(5, 0, of=1)]
    found = writes(decide(repeated(*trials)))
    assert {name: one.phase for name, one in found.items()} == {
        "s-0": "Queued",
        "s-1": "Queued",
        "s-2": "Cancelled",
        "s-3": "Queued",
        "s-4": "Cancelled",
        "s-5": "Queued",
    }
    assert found["s-2"].reason == constants.REASON_DUPLICATE_ARCHITECTURE
    assert found["s-2"].message == "trial s-1 has the same architecture and seed"
    assert found["s-4"].message == "trial s-0, s-1, s-3 has the same architecture"


def test_of_many_repeats_a_message_names_the_first_three() -> None:
    trials = [seeded(index, index, "Succeeded", validation_accuracy=0.5) for index in range(5)]
    found = writes(decide(repeated(*trials, seeded(5, 5), repeats=5)))["s-5"]
    assert found.message == "trial s-0, s-1, s-2 and 2 more has the same architecture"


def test_without_repeats_another_seed_makes_no_other_trial() -> None:
    found = writes(decide(repeated(seeded(0, 0), seeded(1, 1), repeats=1)))
    assert [one.phase for one in found.values()] == ["Queued", "Cancelled"]


def best_of(*trials: TrialView, repeats: int = 2) -> BestTrial | None:
    return status(decide(repeated(*trials, repeats=repeats))).best


def result(index: int, seed: int, of: int, accuracy: float) -> TrialView:
    return seeded(index, seed, "Succeeded", of, validation_accuracy=accuracy)


def test_the_best_is_the_best_mean_of_those_whose_repeats_are_all_in() -> None:
    lucky = [result(0, 0, 0, 0.99), seeded(1, 1, "Running", of=0, attempts=1)]
    good, better = [result(2, 0, 1, 0.7), result(3, 1, 1, 0.8)], [result(4, 0, 2, 0.6), result(5, 1, 2, 0.95)]
    best = best_of(*lucky, *good, *better)
    assert best is not None
    assert (best.trial, best.validation_accuracy, best.results) == ("s-4", 0.775, 2)
    assert best.standard_deviation == pytest.approx(0.247487)
    assert best.architecture == ARCHITECTURES[2].to_text()


def test_a_repeat_that_failed_is_no_part_of_the_mean_and_nothing_waits_for_it() -> None:
    best = best_of(result(0, 0, 0, 0.9), seeded(1, 1, "Failed", of=0), result(2, 0, 1, 0.5), result(3, 1, 1, 0.6))
    assert best is not None
    assert (best.trial, best.validation_accuracy, best.results, best.standard_deviation) == ("s-0", 0.9, 1, None)


def test_while_no_architecture_has_all_its_repeats_one_that_has_fewer_is_the_best() -> None:
    best = best_of(result(0, 0, 0, 0.9), result(1, 0, 1, 0.8), seeded(2, 1, "Running", of=0, attempts=1))
    assert best is not None
    assert (best.trial, best.results) == ("s-1", 1)


def test_why_the_space_is_exhausted_is_said_in_the_predictors_words() -> None:
    told = NASSearchStatus(predictor=PredictorStatus(exhausted=True, message="none keeps maxParameters 1,000"))
    todo = decide(observed(trial(0, "Succeeded", validation_accuracy=0.5), search=search(status=told)))
    want = "none keeps maxParameters 1,000; 1 of 4 trials ended"
    assert condition(todo, "Complete") == ("True", constants.REASON_SPACE_EXHAUSTED, want)
