"""Runs of a strategy on a table, one seed after the other: what `bananas search` and `bananas compare` do.

Called by `command`. What is done is kept when a person interrupts: the caller gets every run that was begun.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bananas_core.api.search import Strategy
from bananas_predictor import loop
from bananas_predictor.errors import InputError, PredictorError
from bananas_predictor.evaluation.table import Evaluated, TableEvaluation
from bananas_predictor.report import Run, SearchReport, versions
from bananas_predictor.spaces import SearchSpace
from bananas_tables import Table
from bananas_tables.errors import TableError


@dataclass(frozen=True)
class Finished:
    """What came out."""

    report: SearchReport
    interrupted: bool
    exhausted: tuple[int, ...]
    """Seeds that used the space up."""
    why_exhausted: str = ""
    failure: str = ""
    """The error that ended it, if one did; what was done before is in the report."""


def run_seeds(
    table: Table,
    strategy: Strategy,
    trials: int,
    seeds: Sequence[int],
    progress: Callable[[int, Evaluated], None],
    known: SearchReport | None = None,
    *,
    one_run: bool = False,
    space: SearchSpace | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Finished:
    """A run for each seed; those that `known` has whole are taken from it, and one that was cut off goes on.

    Args:
        table: who knows the accuracies.
        strategy: how architectures are chosen.
        trials: look-ups of a run.
        seeds: of the runs.
        progress: told of every look-up.
        known: what an earlier call has done.
        one_run: each look-up sees one training of an architecture, drawn with the seed, and not the mean of them.
        space: what is searched; the table's space where none is given.
        settings: what else the report should say.

    Raises:
        InputError: `known` is of another search.
    """
    report = SearchReport(
        space=table.space,
        strategy=strategy.name,
        settings={**strategy.to_kubernetes(), "trials": trials, **({"runs": "one"} if one_run else {}), **settings},
        versions=versions(),
        table=table.source,
        runs=(),
    )
    if known is not None:
        _check_same(known, report)
    runs: list[Run] = []
    exhausted: list[int] = []
    interrupted, why_exhausted, failure = False, "", ""
    for number, seed in enumerate(seeds):
        before = known.complete(seed) if known is not None else None
        if before is not None:
            runs.append(before)
            continue

        def advance(evaluated: Evaluated, seed: int = seed) -> None:
            progress(seed, evaluated)

        cut_off = known.begun(seed) if known is not None else {}
        evaluation = TableEvaluation(table, strategy, seed, trials, advance, space, one_run=one_run, known=cut_off)
        try:
            asyncio.run(loop.run(evaluation))
        except KeyboardInterrupt:
            interrupted = True
        except (TableError, PredictorError) as error:
            failure = str(error)
        if len(evaluation.evaluated) >= max(1, len(cut_off)):
            runs.append(Run.of(seed, evaluation.evaluated))
        elif known is not None:  # cut off again, before it had got so far: what is known is more
            runs += known.of_seeds([seed])
        if interrupted or failure:
            if known is not None:
                runs += known.of_seeds(seeds[number + 1 :])
            break
        if evaluation.exhausted:
            exhausted.append(seed)
            why_exhausted = evaluation.why_exhausted
    whole = report.model_copy(update={"runs": tuple(runs)})
    return Finished(whole, interrupted, tuple(exhausted), why_exhausted, failure)


def _check_same(known: SearchReport, asked: SearchReport) -> None:
    for field in ("space", "strategy", "table", "settings"):
        old, new = getattr(known, field), getattr(asked, field)
        if old != new:
            raise InputError(f"--resume: {field} of the file is {old}; asked for {new}; want the same, or another file")
