"""A search in memory: ask for proposals, tell what became of them.

Called by the loop, by `bananas propose`, and by anyone in Python. Everything follows from the settings, the seed and the
records of trials, so a search that is built again from the same records proposes the same; it never opens a file, a socket
or a cluster and keeps no other state than what it was told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bananas_core.api.search import Strategy
from bananas_core.api.trial import Origin, TrialPhase
from bananas_core.spaces import Architecture, Space
from bananas_predictor.errors import InputError
from bananas_predictor.history import History
from bananas_predictor.spaces import SPACES, Cells, SearchSpace
from bananas_predictor.strategies import Fit, strategy_of


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """What is known of a proposed architecture."""

    index: int
    architecture: Architecture
    phase: TrialPhase = "Pending"
    validation_accuracy: float | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        """Refuses a result that is none.

        Raises:
            InputError: naming the trial and the value.
        """
        accuracy = self.validation_accuracy
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise InputError(f"trial {self.index}: validation accuracy {accuracy}; want a fraction from 0 to 1")
        if self.phase == "Succeeded" and accuracy is None:
            raise InputError(f"trial {self.index}: succeeded without a validation accuracy; want one from 0 to 1")


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture to try, and how it was chosen."""

    index: int
    architecture: Architecture
    origin: Origin


class Search:
    """A search of one space with one strategy and seed."""

    def __init__(
        self,
        space: Space | SearchSpace,
        strategy: Strategy,
        seed: int,
        records: Iterable[TrialRecord] = (),
        *,
        may_repeat: bool = False,
    ) -> None:
        """An empty search, or one that goes on from records.

        `may_repeat`: evolution as published asks for an architecture again now and then, which counts as a query. A cluster
        admits none twice, so by default a repetition is drawn anew.
        """
        self.exhausted: bool | None = None
        """Whether the last `ask` found no architecture that was not proposed before; None before the first."""
        self._space = SPACES[space] if isinstance(space, str) else space
        self._strategy = strategy_of(strategy)
        self._seed = seed
        self._may_repeat = may_repeat
        self._asked = (self._space.name, strategy, seed)
        self._records: dict[int, TrialRecord] = {}
        self._cells: dict[int, tuple[Architecture, Cells]] = {}
        self.tell(records)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """Everything that was proposed, by index."""
        return tuple(self._records[index] for index in sorted(self._records))

    @property
    def fit(self) -> Fit | None:
        """The last fit, if there was one."""
        return self._strategy.fit

    def asks_for(self, space: Space, strategy: Strategy, seed: int) -> bool:
        """Whether this is the search of these settings."""
        return self._asked == (space, strategy, seed)

    def tell(self, records: Iterable[TrialRecord]) -> None:
        """Takes in what became of trials, in any order and as often as you like; the last word on an index counts.

        Raises:
            InputError: an architecture of another space, or an index whose architecture has changed.
        """
        for record in records:
            if record.architecture.space != self._space.name:
                raise InputError(
                    f"trial {record.index}: its space is {record.architecture.space}; this search's is {self._space.name}"
                )
            known = self._records.get(record.index)
            if known is not None and known.architecture != record.architecture:
                raise InputError(
                    f"trial {record.index}: architecture {record.architecture.to_text()} differs from the one known: "
                    f"{known.architecture.to_text()}"
                )
            self._records[record.index] = record

    def replace(self, records: Sequence[TrialRecord]) -> None:
        """Forgets everything, proposals that were never published included, and takes these records for the truth."""
        self._records = {}
        self.tell(records)

    def ask(self, count: int = 1) -> list[Proposal]:
        """Up to `count` proposals, none of an architecture proposed before (but see `may_repeat`).

        Fewer where the strategy waits for results of what is in flight, and where the space is used up (`exhausted`).
        """
        self.exhausted = False
        proposals: list[Proposal] = []
        history = self._history()
        while len(proposals) < count and self._strategy.is_ready(history):
            index = history.next_index
            # Every proposal has randomness of its own, so that it does not depend on how many were asked for at once.
            rng = np.random.default_rng(np.random.SeedSequence([self._seed, index]))
            choice = self._strategy.choose(history, rng)
            if choice is None:
                self.exhausted = True
                break
            (architecture,) = self._space.unpack(choice.cell)
            proposals.append(Proposal(index, architecture, choice.origin))
            self._records[index] = TrialRecord(index, architecture, "Pending", None, choice.origin)
            history = history.with_open(choice.cell, choice.origin.parent)
        return proposals

    def prepare(self) -> None:
        """Does at once what the first fit would have to wait for."""
        self._strategy.prepare()

    def batch_size(self) -> int:
        """How many to ask for at once where all can be evaluated at once."""
        return self._strategy.batch_size(self._history())

    def _history(self) -> History:
        records = self.records
        return History.of(
            space=self._space,
            seed=self._seed,
            indices=[record.index for record in records],
            cells=self._packed(records),
            phases=[record.phase for record in records],
            accuracies=[record.validation_accuracy for record in records],
            parents=[None if record.origin is None else record.origin.parent for record in records],
            may_repeat=self._may_repeat,
        )

    def _packed(self, records: Sequence[TrialRecord]) -> Cells:
        """(n, ...) cells of the records; each architecture is packed once."""
        new = [r for r in records if r.index not in self._cells or self._cells[r.index][0] != r.architecture]
        for record, cell in zip(new, self._space.pack([r.architecture for r in new]), strict=True):
            self._cells[record.index] = (record.architecture, cell)
        if not records:
            return self._space.pack([])
        return np.stack([self._cells[record.index][1] for record in records])
