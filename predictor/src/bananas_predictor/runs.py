"""Runs of a strategy on a table, one seed after the other: what `bananas search` and `bananas compare` do.

Called by `command`. What is done is kept when a person interrupts: the caller gets every run that was begun.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bananas_core.api.search import Strategy
from bananas_predictor import loop
from bananas_predictor.errors import InputError
from bananas_predictor.evaluation.table import Evaluated, TableEvaluation
from bananas_predictor.report import Run, SearchReport, versions
from bananas_tables import Table


@dataclass(frozen=True)
class Finished:
    """What came out."""

    report: SearchReport
    interrupted: bool
    exhausted: tuple[int, ...]
    """Seeds that used the space up."""


def run_seeds(
    table: Table,
    strategy: Strategy,
    trials: int,
    seeds: Sequence[int],
    progress: Callable[[int, Evaluated], None],
    known: SearchReport | None = None,
    *,
    one_run: bool = False,
) -> Finished:
    """A run for each seed; those that `known` has whole are taken from it. `progress` is told of every look-up.

    With `one_run` each look-up sees one training of an architecture, drawn with the seed, and not the mean of them.

    Raises:
        InputError: `known` is of another search.
        TableError: the table does not answer.
    """
    report = SearchReport(
        space=table.space,
        strategy=strategy.name,
        settings={**strategy.to_kubernetes(), "trials": trials, **({"runs": "one"} if one_run else {})},
        versions=versions(),
        table=table.source,
        runs=(),
    )
    if known is not None:
        _check_same(known, report)
    runs: list[Run] = []
    exhausted: list[int] = []
    interrupted = False
    for seed in seeds:
        before = known.complete(seed) if known is not None else None
        if before is not None:
            runs.append(before)
            continue

        def advance(evaluated: Evaluated, seed: int = seed) -> None:
            progress(seed, evaluated)

        evaluation = TableEvaluation(table, strategy, seed, trials, advance, one_run=one_run)
        try:
            asyncio.run(loop.run(evaluation))
        except KeyboardInterrupt:
            interrupted = True
        if evaluation.evaluated:
            runs.append(Run.of(seed, evaluation.evaluated))
        if interrupted:
            break
        if evaluation.exhausted:
            exhausted.append(seed)
    return Finished(report.model_copy(update={"runs": tuple(runs)}), interrupted, tuple(exhausted))


def _check_same(known: SearchReport, asked: SearchReport) -> None:
    for field in ("space", "strategy", "table", "settings"):
        old, new = getattr(known, field), getattr(asked, field)
        if old != new:
            raise InputError(f"--resume: {field} of the file is {old}; asked for {new}; want the same, or another file")
