"""Whether the predictor is any good: do its forecasts rank what came true better than chance? Pure; called by `Search`.

The test: Spearman's rank correlation r of n forecasts with the results, one-sided against r <= 0 at 5 % (r * sqrt(n - 1) is
about standard normal where forecasts say nothing). It needs `FORECASTS_JUDGED` of them. A predictor that passes over nothing
fails it 95 times in 100; the one of `bananas` was at r = .36 to .73 after 40 forecasts on NAS-Bench-201, with .26 to be reached.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Final

from bananas_core.constants import FORECASTS_JUDGED
from bananas_predictor.forecasts import ForecastScore
from bananas_predictor.records import TrialRecord

CRITICAL: Final = 1.645
"""Of the standard normal distribution, one-sided at 5 %."""


def is_no_better_than_chance(score: ForecastScore) -> bool:
    """Whether enough forecasts came true, and they do not rank better than chance."""
    if score.forecasts < FORECASTS_JUDGED:
        return False
    return (score.rank_correlation or 0.0) * sqrt(score.forecasts - 1) < CRITICAL


def has_fallen_back(records: Sequence[TrialRecord]) -> bool:
    """Whether evolution has proposed already: of all mutants, its alone come without a forecast. It stays with it."""
    return any(
        record.origin is not None and record.origin.method == "mutation" and record.origin.predicted_mean is None
        for record in records
    )
