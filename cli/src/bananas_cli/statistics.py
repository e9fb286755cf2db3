"""The two figures that the plugin computes itself: the best so far, and how well the forecasts ranked."""

from collections.abc import Sequence
from itertools import accumulate


def best_so_far(values: Sequence[float]) -> list[float]:
    """The greatest of the values up to each place."""
    return list(accumulate(values, max))


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank; None below 3 pairs or where one side is all the same."""
    if len(xs) < 3:
        return None
    a, b = _ranks(xs), _ranks(ys)
    mean = (len(xs) + 1) / 2
    covariance = sum((p - mean) * (q - mean) for p, q in zip(a, b, strict=True))
    spread = (sum((p - mean) ** 2 for p in a) * sum((q - mean) ** 2 for q in b)) ** 0.5
    return covariance / spread if spread else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for i in order[start : end + 1]:
            ranks[i] = (start + end) / 2 + 1
        start = end + 1
    return ranks
