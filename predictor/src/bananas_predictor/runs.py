"""Runs of a strategy on a table, one seed after the other: what `bananas search` and `bananas compare` do.

Called by `command`. What is done is kept when a person interrupts: the caller gets every run that was begun.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bananas_core.api.search import Strategy
from bananas_predictor import loop
from bananas_predictor.errors import PredictorError
from bananas_predictor.evaluation.table import Evaluated, TableEvaluation
from bananas_predictor.report import Run, SearchReport, digest_of, versions
from bananas_predictor.spaces import SearchSpace
from bananas_predictor.spaces.custom import told
from bananas_predictor.strategies.effective import effective_settings
from bananas_tables import Table
from bananas_tables.errors import TableError

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Finished:
    """What came out."""

    report: SearchReport
    """Everything that is known: runs of seeds that were not asked for, and runs that were cut off, too."""
    seeds: tuple[int, ...]
    """That were asked for."""
    interrupted: bool
    exhausted: tuple[int, ...]
    """Seeds that used the space up."""
    why_exhausted: str = ""
    failure: str = ""
    """The error that ended it, if one did; what was done before is in the report."""

    @property
    def whole(self) -> SearchReport:
        """The runs that were asked for and not cut off: what figures are made of."""
        return self._with(run for run in self._asked if self._is_whole(run))

    @property
    def shown(self) -> SearchReport:
        """The whole runs; where all were cut off, the one that got farthest, for a person to see what there is."""
        if self.whole.runs or not self._asked:
            return self.whole
        return self._with([max(self._asked, key=lambda run: len(run.trials))])

    @property
    def _asked(self) -> list[Run]:
        return [run for run in self.report.runs if run.seed in self.seeds]

    def _is_whole(self, run: Run) -> bool:
        return len(run.trials) == self.report.trials or run.seed in self.exhausted

    def _with(self, runs: Iterable[Run]) -> SearchReport:
        return self.report.model_copy(update={"runs": tuple(runs)})


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
    settings: Mapping[str, Any] = NOTHING,
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
    report = empty_report(table, strategy, trials, one_run=one_run, settings=settings)
    if known is not None:
        known.check_same(report)
    # Whatever happens, what is known is not lost: that of seeds that are not asked for, or not reached, either.
    runs = {run.seed: run for run in known.runs} if known is not None else {}
    exhausted: list[int] = []
    interrupted, why_exhausted, failure = False, "", ""
    for seed in seeds:
        if known is not None and known.complete(seed) is not None:
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
        except (Exception, SystemExit) as error:
            if table.space != "custom":  # a defect of ours
                raise
            failure = f"--space custom: {told(error)}"
        # Cut off again before it had got so far, what is known is more.
        if len(evaluation.evaluated) >= max(1, len(cut_off)):
            runs[seed] = Run.of(seed, evaluation.evaluated)
        if interrupted or failure:
            break
        if evaluation.exhausted:
            exhausted.append(seed)
            why_exhausted = evaluation.why_exhausted
    whole = report.model_copy(update={"runs": tuple(runs[seed] for seed in sorted(runs))})
    return Finished(whole, tuple(seeds), interrupted, tuple(exhausted), why_exhausted, failure)


def empty_report(
    table: Table, strategy: Strategy, trials: int, *, one_run: bool = False, settings: Mapping[str, Any] = NOTHING
) -> SearchReport:
    """The report of a search before its first run; the arguments are those of `run_seeds`."""
    return SearchReport(
        space=table.space,
        strategy=strategy.name,
        settings={
            **effective_settings(strategy),
            "trials": trials,
            **({"runs": "one"} if one_run else {}),
            **settings,
            **digest_of(table),
        },
        versions=versions(),
        table=table.source,
        runs=(),
    )
