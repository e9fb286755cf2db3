"""The best architectures of a search: by one result, or by the mean of several seeds.

Pure; called by `conditions`, `budgets` and `promotion`.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import fmean

from bananas_core.api import NASTrialStatus
from bananas_core.api.search import BestTrial
from bananas_operator.survey import Survey, is_terminal
from bananas_operator.views import TrialView

Statuses = dict[str, NASTrialStatus]


@dataclass(frozen=True)
class Result:
    """What came of an architecture."""

    trial: TrialView
    """The first of its trials that has a result."""
    accuracies: tuple[float, ...]
    known: str
    """When the last of them came."""

    @property
    def mean(self) -> float:
        """Its accuracy."""
        return self.accuracies[0] if len(self.accuracies) == 1 else round(fmean(self.accuracies), 6)

    @property
    def standard_deviation(self) -> float | None:
        """Of several results."""
        if len(self.accuracies) < 2:
            return None
        squares = sum((accuracy - self.mean) ** 2 for accuracy in self.accuracies)
        return round(sqrt(squares / (len(self.accuracies) - 1)), 6)


def best(survey: Survey, statuses: Statuses) -> BestTrial | None:
    """The first of `ranked`."""
    first = min(_candidates(survey, statuses), key=_rank, default=None)
    if first is None:
        return None
    return BestTrial(
        trial=first.trial.name,
        validation_accuracy=first.mean,
        architecture=(first.trial.spec.architecture.to_text() if first.trial.spec is not None else "")[:1024],
        results=len(first.accuracies),
        standard_deviation=first.standard_deviation,
    )


def ranked(survey: Survey, statuses: Statuses) -> list[Result]:
    """Architectures whose trials have all ended, highest mean validation accuracy first; of equal ones the lowest index.

    While no architecture has all its repeats, or where the budget has cut off even the first one's, those that have none in
    flight count: a mean of fewer.
    """
    return sorted(_candidates(survey, statuses), key=_rank)


def finished(survey: Survey, statuses: Statuses) -> list[Result]:
    """The same architectures in the order in which their accuracy was known."""
    return sorted(_candidates(survey, statuses), key=lambda result: (result.known, result.trial.index))


def _rank(result: Result) -> tuple[float, int]:
    return -result.mean, result.trial.index


def _candidates(survey: Survey, statuses: Statuses) -> list[Result]:
    repeats = survey.spec.trial.repeats if survey.spec is not None else 1
    ended = [group for group in _groups(survey, statuses) if all(is_terminal(statuses[trial.uid]) for trial in group)]
    whole = [group for group in ended if len(group) >= repeats]
    return _results(whole, statuses) or _results(ended, statuses)


def _groups(survey: Survey, statuses: Statuses) -> list[list[TrialView]]:
    """Trials by architecture, in the order of the first; those that were cancelled are no part of it."""
    groups: dict[str, list[TrialView]] = {}
    for trial in survey.observed.trials:
        if statuses[trial.uid].phase != "Cancelled":
            groups.setdefault(trial.hash or trial.uid, []).append(trial)
    return list(groups.values())


def _results(groups: list[list[TrialView]], statuses: Statuses) -> list[Result]:
    return [result for group in groups if (result := _result(group, statuses)) is not None]


def _result(group: list[TrialView], statuses: Statuses) -> Result | None:
    if len(group) == 1:  # nearly always, and there may be ten thousand
        status = statuses[group[0].uid]
        accuracy = status.validation_accuracy if status.phase == "Succeeded" else None
        return Result(group[0], (accuracy,), status.completion_time or "") if accuracy is not None else None
    results = [
        (trial, accuracy, statuses[trial.uid].completion_time or "")
        for trial in group
        if statuses[trial.uid].phase == "Succeeded"
        and (accuracy := statuses[trial.uid].validation_accuracy) is not None
    ]
    if not results:
        return None
    return Result(results[0][0], tuple(accuracy for _, accuracy, _ in results), max(known for _, _, known in results))
