"""How well the predictors foretell architectures that they have not seen (the paper's table 1 and figure 4).

Called by `bananas assess`. Networks train on n random rows of a table and are tested on others.

Notation: n training rows, c test rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.ensemble import FitJob, fit_ensembles
from bananas_predictor.forecasts import spearman
from bananas_predictor.paper_network import PaperJob, forecast
from bananas_predictor.spaces import Cells, SearchSpace
from bananas_tables import Table

Predictor = Literal["bananas", "bananasPaper"]
"""bananas: our ensemble on graph features. bananasPaper: one network of the paper on path bits."""
PREDICTORS: Final[tuple[Predictor, ...]] = get_args(Predictor)
TEST_ROWS: Final = 1000
WHOLE: Final = 50_000
"""Rows up to which a table is read whole; from a larger one only what is drawn is looked up."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Assessed:
    """One training size of one predictor."""

    predictor: Predictor
    train_size: int
    errors: tuple[float, ...]
    """Mean absolute errors of the repeats, percentage points."""
    correlations: tuple[float, ...]
    """Spearman's rank correlations."""
    example: tuple[Floats, Floats]
    """(c,) predicted and measured accuracies of the first repeat."""


def assess(
    space: SearchSpace,
    table: Table,
    sizes: Sequence[int],
    repeats: int,
    seed: int,
    progress: Callable[[], None],
) -> list[Assessed]:
    """Every predictor at every size; `progress` is told of each of them."""
    drawn = [_draw(space, table, max(sizes) + TEST_ROWS, np.random.default_rng([seed, r])) for r in range(repeats)]
    found = []
    for predictor in PREDICTORS:
        for n in sizes:
            forecasts = _FORECASTS[predictor](space, drawn, n, seed)
            measured = [accuracies[-TEST_ROWS:] for _, accuracies in drawn]
            errors = tuple(float(100 * np.abs(f - m).mean()) for f, m in zip(forecasts, measured, strict=True))
            correlations = tuple(spearman(f, m) or 0.0 for f, m in zip(forecasts, measured, strict=True))
            found.append(Assessed(predictor, n, errors, correlations, (forecasts[0], measured[0])))
            progress()
    return found


Drawn = list[tuple[Cells, Floats]]


def _draw(space: SearchSpace, table: Table, count: int, rng: np.random.Generator) -> tuple[Cells, Floats]:
    """Different rows of the table, uniformly."""
    if len(table) <= WHOLE:
        rows = list(table)
        chosen = [rows[row] for row in rng.permutation(len(rows))[:count]]
        cells = space.pack(chosen)
    else:
        cells = space.sample(2 * count, rng)
        first = np.sort(np.unique(space.keys(cells), return_index=True)[1])[:count]
        cells = cells[first]
        chosen = space.unpack(cells)
    return cells, np.array([table.look_up(architecture).validation_accuracy for architecture in chosen])


def _papers(space: SearchSpace, drawn: Drawn, n: int, seed: int) -> list[Floats]:
    jobs = []
    for repeat, (cells, accuracies) in enumerate(drawn):
        bits, others = (space.encode(some, "path").astype(np.uint8) for some in (cells[:n], cells[-TEST_ROWS:]))
        jobs.append(PaperJob(bits, accuracies[:n], others, 1, (seed, repeat, n)))
    return [forecasts.mean(axis=0) for forecasts in forecast(jobs)]


def _ours(space: SearchSpace, drawn: Drawn, n: int, seed: int) -> list[Floats]:
    jobs = [
        FitJob.of(space, "graph", cells[:n], accuracies[:n], 5, (seed, repeat, n))
        for repeat, (cells, accuracies) in enumerate(drawn)
    ]
    fitted = fit_ensembles(jobs)
    return [
        ensemble.predict(cells[-TEST_ROWS:]).mean(axis=0) for ensemble, (cells, _) in zip(fitted, drawn, strict=True)
    ]


_FORECASTS: Final[dict[Predictor, Callable[[SearchSpace, Drawn, int, int], list[Floats]]]] = {
    "bananas": _ours,
    "bananasPaper": _papers,
}
