"""Evaluation by a benchmark table in this process: what `bananas search` runs. It never waits and never fails a trial."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from bananas_core.api.search import Strategy
from bananas_core.spaces import Architecture
from bananas_predictor.offers import World
from bananas_predictor.search import Asked, Proposal, Search, TrialRecord
from bananas_predictor.spaces import SearchSpace, named_space
from bananas_tables import Table, TableEntry

RUN_STREAM: Final = 101
"""Keeps the draws of runs apart from those of the proposals, which follow from the same seed and index."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A trial of a search on a table."""

    index: int
    architecture: Architecture
    entry: TableEntry


class TableEvaluation:
    """A search of `trials` look-ups."""

    def __init__(
        self,
        table: Table,
        strategy: Strategy,
        seed: int,
        trials: int,
        progress: Callable[[Evaluated], None],
        space: SearchSpace | None = None,
        *,
        one_run: bool = False,
        known: Mapping[int, Evaluated] = MappingProxyType({}),
    ) -> None:
        """`progress` is told of every trial; `space` is the table's where none is given; with `one_run` each trial sees a
        single training, drawn with the seed. What is `known`, by index, of an earlier run is not looked up again.
        """
        self.evaluated: list[Evaluated] = []
        self.exhausted = False
        """Whether the space was used up before the trials."""
        self.why_exhausted = ""
        self._table = table
        # A table answers again, and the original counts that as a query.
        self._asked = Asked(space or named_space(table.space), strategy, seed, may_repeat=True)
        self._trials = trials
        self._progress = progress
        self._one_run = one_run
        self._known = known
        self._records: list[TrialRecord] = []
        self._batch = strategy.initial_trials

    async def observe(self) -> World | None:
        """Everything looked up so far; None at the end."""
        if self.exhausted or len(self._records) >= self._trials:
            return None
        return World(
            asked=self._asked,
            trials=tuple(self._records),
            budget_trials=self._trials,
            parallelism=self._batch,
            surplus=0,  # nothing is in flight while the predictor fits
        )

    async def offer(self, proposals: list[Proposal]) -> None:
        """Looks them up."""
        for proposal in proposals:
            entry = self._entry(proposal)
            self._records.append(
                TrialRecord(
                    proposal.index, proposal.architecture, "Succeeded", entry.validation_accuracy, proposal.origin
                )
            )
            self.evaluated.append(Evaluated(proposal.index, proposal.architecture, entry))
            self._progress(self.evaluated[-1])

    def _entry(self, proposal: Proposal) -> TableEntry:
        known = self._known.get(proposal.index)
        if known is not None and known.architecture == proposal.architecture:
            return known.entry
        if not self._one_run:
            return self._table.look_up(proposal.architecture)
        rng = np.random.default_rng([self._asked.seed, proposal.index, RUN_STREAM])
        return self._table.draw(proposal.architecture, rng)

    async def publish(self, search: Search) -> None:
        """Notes how many to take next, as the strategy has it."""
        search.tell(self._records)
        self._batch = search.batch_size()
        self.exhausted = bool(search.exhausted)
        self.why_exhausted = search.why_exhausted if self.exhausted else ""
