"""How well the predictors foretell architectures that they have not seen (the paper's table 1 and figure 4).

Called by `bananas assess`. Networks train on n random rows of a table and are tested on others.

Notation: n training rows, c test rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, get_args

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
MEMBERS: Final[dict[Predictor, int]] = {"bananas": 5, "bananasPaper": 1}
"""Networks whose mean is the forecast."""
TEST_ROWS: Final = 1000
WHOLE: Final = 50_000
"""Rows up to which a table is read whole; from a larger one only what is drawn is looked up."""
Floats = NDArray[np.float64]
Drawn = tuple[Cells, Floats]
"""Cells of different rows, and their accuracies; the last TEST_ROWS are those to be foretold."""


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


@dataclass(frozen=True)
class Assessments:
    """What came out."""

    found: tuple[Assessed, ...]
    """The last one has fewer repeats where it was interrupted."""
    interrupted: bool


def settings(sizes: Sequence[int], repeats: int) -> dict[str, Any]:
    """What a report says of how it was measured."""
    return {"trainSizes": list(sizes), "repeats": repeats, "testRows": TEST_ROWS, "members": dict(MEMBERS)}


def assess(
    space: SearchSpace,
    table: Table,
    sizes: Sequence[int],
    repeats: int,
    seed: int,
    progress: Callable[[], None],
) -> Assessments:
    """Every predictor at every size; `progress` is told of each fit. Ctrl-C keeps what was done."""
    drawn: list[Drawn] = []
    found: list[Assessed] = []
    interrupted = False
    for predictor, n in product(PREDICTORS, sizes):
        forecasts: list[Floats] = []
        try:
            for repeat in range(len(drawn), repeats):
                drawn.append(_draw(space, table, max(sizes) + TEST_ROWS, np.random.default_rng([seed, repeat])))
            for made in _FORECASTS[predictor](space, drawn, n, seed):
                forecasts.append(made)
                progress()
        except KeyboardInterrupt:
            interrupted = True
        if forecasts:
            found.append(_assessed(predictor, n, forecasts, [accuracies[-TEST_ROWS:] for _, accuracies in drawn]))
        if interrupted:
            break
    return Assessments(tuple(found), interrupted)


def _assessed(predictor: Predictor, n: int, forecasts: Sequence[Floats], measured: Sequence[Floats]) -> Assessed:
    """From the (c,) forecasts of each repeat that was made."""
    pairs = list(zip(forecasts, measured, strict=False))
    return Assessed(
        predictor,
        n,
        tuple(float(100 * np.abs(f - m).mean()) for f, m in pairs),
        tuple(spearman(f, m) or 0.0 for f, m in pairs),
        pairs[0],
    )


def _draw(space: SearchSpace, table: Table, count: int, rng: np.random.Generator) -> Drawn:
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


def _papers(space: SearchSpace, drawn: Sequence[Drawn], n: int, seed: int) -> Iterator[Floats]:
    """Of each repeat. All at once: it is faster, and the rounding of networks that train together is that of the docs."""
    jobs = []
    for repeat, (cells, accuracies) in enumerate(drawn):
        features, others = (space.encode(some, "path") for some in (cells[:n], cells[-TEST_ROWS:]))
        jobs.append(PaperJob(features, accuracies[:n], others, MEMBERS["bananasPaper"], (seed, repeat, n)))
    for forecasts in forecast(jobs):
        yield forecasts.mean(axis=0)


def _ours(space: SearchSpace, drawn: Sequence[Drawn], n: int, seed: int) -> Iterator[Floats]:
    """Of each repeat, as soon as it is fitted."""
    for repeat, (cells, accuracies) in enumerate(drawn):
        job = FitJob.of(space, "graph", cells[:n], accuracies[:n], MEMBERS["bananas"], (seed, repeat, n))
        (ensemble,) = fit_ensembles([job])
        yield ensemble.predict(cells[-TEST_ROWS:]).mean(axis=0)


_FORECASTS: Final[dict[Predictor, Callable[[SearchSpace, Sequence[Drawn], int, int], Iterator[Floats]]]] = {
    "bananas": _ours,
    "bananasPaper": _papers,
}
