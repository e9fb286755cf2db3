"""How candidates are compared, after BANANAS (arXiv 1910.11858, section 4 "Acquisition functions"). Called by the strategies.

Notation: m members, c candidates. Forecasts are accuracies, so greater is better everywhere; the original minimises a loss.
The standard deviation is that of the population of members, as in the original.
"""

from math import erf, pi, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.search import Acquisition

Values = NDArray[np.float64]

UCB_FACTOR: Final = 0.5
"""The original's factor on the standard deviation in ucb."""
EI_SCALE: Final = 0.2
"""The original divides the standard deviation by 5 in ei."""


PENALISED: Final[frozenset[Acquisition]] = frozenset(("ucb", "ei", "pi"))
"""Those that heed what is in flight by `penalise`. its and ts draw anew for each proposal of a fit; and mean asks for nothing but
the expected value, which a result that came out as expected would not change (penalised, it found worse ones)."""


def penalise(forecasts: NDArray[np.float64], in_flight: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, c) forecasts, less a penalty for what a result in flight will tell anyway; (m, p) forecasts of what is in flight.

    A candidate is lowered by its standard deviation over the members times its correlation, member by member, with the one in
    flight that it is most like: as if that one had turned out a standard deviation worse than expected (a constant liar, after
    Ginsbourger et al. 2010, on the members' covariance). Without it the proposals of one fit would walk down one
    ranking, neighbour by neighbour, wherever an acquisition does not draw. A correlation below 0 raises nothing.
    """
    if not in_flight.shape[1]:
        return forecasts
    own, other = (values - values.mean(axis=0) for values in (forecasts, in_flight))
    deviations = forecasts.std(axis=0)
    scales = np.maximum(np.outer(deviations, in_flight.std(axis=0)), 1e-12)
    correlations = (own.T @ other / len(forecasts) / scales).max(axis=1)
    lowered: NDArray[np.float64] = forecasts - deviations * np.clip(correlations, 0, 1)
    return lowered


def acquire(
    acquisition: Acquisition,
    forecasts: NDArray[np.float64],
    best_accuracy: float,
    rng: np.random.Generator,
    its_scale: float = 1.0,
) -> Values:
    """(c,) values of the acquisition function from (m, c) forecasts; greater is better.

    `its_scale` is a factor on the standard deviation in its: the paper's is 1.
    """
    mean: Values = forecasts.mean(axis=0)
    deviation: Values = forecasts.std(axis=0)
    match acquisition:
        case "its":  # Independent Thompson sampling, eq. 4: one draw from N(mean, std) for each candidate
            return rng.normal(mean, its_scale * deviation)
        case "ucb":  # eq. 3, with the sign of an accuracy
            return mean + UCB_FACTOR * deviation
        case "ei":  # eq. 1
            scale = np.maximum(EI_SCALE * deviation, 1e-12)
            gap = (mean - best_accuracy) / scale
            return scale * (gap * _cumulative(gap) + _density(gap))
        case "pi":  # eq. 2
            return _cumulative((mean - best_accuracy) / np.maximum(deviation, 1e-12))
        case "ts":  # Thompson sampling, section 4: one member stands for a draw of the function
            drawn: Values = forecasts[rng.integers(len(forecasts))]
            return drawn
        case "mean":
            return mean


def _density(x: Values) -> Values:
    return np.exp(-(x**2) / 2) / sqrt(2 * pi)


_erf = np.vectorize(erf, otypes=[np.float64])


def _cumulative(x: Values) -> Values:
    values: Values = (1 + _erf(x / sqrt(2))) / 2
    return values
