"""A search in memory: ask for proposals, tell what became of them.

Called by the loop, by `bananas propose`, and by anyone in Python. Everything follows from the settings, the seed and the
records of trials, so a search that is built again from the same records proposes the same; it never opens a file, a socket
or a cluster and keeps no other state than what it was told.

    search = Search("nasbench201", Strategy(), seed=0)
    for proposal in search.ask(4):
        ...                                     # train proposal.architecture, in any order and as long as it takes
        search.tell([TrialRecord(proposal.index, proposal.architecture, "Succeeded", accuracy, proposal.origin)])
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bananas_core.api.search import Constraints, Strategy
from bananas_core.api.trial import Origin
from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, Space
from bananas_predictor.candidates import Spellings
from bananas_predictor.errors import InputError
from bananas_predictor.forecasts import score_forecasts
from bananas_predictor.health import has_fallen_back, is_no_better_than_chance
from bananas_predictor.history import History
from bananas_predictor.records import UNKNOWN_PARENT, Asked, Known, Proposal, TrialRecord
from bananas_predictor.repeats import Row, row_of_result, rows_of
from bananas_predictor.spaces import Cells, SearchSpace, named_space
from bananas_predictor.spaces.constrained import Constrained, constrained
from bananas_predictor.spaces.costs import NetworkShape
from bananas_predictor.spaces.custom import CustomSpace, space_of
from bananas_predictor.state import SearchState, state_of
from bananas_predictor.strategies import ChoosingStrategy, Fit, has_fallback, strategy_of
from bananas_predictor.strategies.evolution import EvolutionStrategy

__all__ = ["UNKNOWN_PARENT", "Asked", "Known", "Proposal", "Search", "TrialRecord"]


class Search:
    """A search of one space with one strategy and seed."""

    def __init__(
        self,
        space: Space | SearchSpace | CustomSpace[Any],
        strategy: Strategy,
        seed: int,
        records: Iterable[TrialRecord] = (),
        *,
        may_repeat: bool = False,
        constraints: Constraints | None = None,
        shape: NetworkShape | None = None,
        repeats: int = 1,
        known: Iterable[Known] = (),
    ) -> None:
        """An empty search, or one that goes on from records.

        Args:
            space: the name of a space, or a space of your own (`spaces.custom`).
            strategy: how architectures are chosen.
            seed: of every random choice.
            records: what was tried before.
            may_repeat: see `Asked`.
            constraints: bounds that hold for every proposal.
            shape: of the networks that the bounds are meant for; by default those of the space's paper.
            repeats: how often every architecture is proposed, each time for a training with another seed.
            known: results of another search to begin with; they stand for random architectures of the start.
        """
        self.exhausted: bool | None = None
        """Whether the last `ask` found no architecture that was not proposed before; None before the first."""
        searched = named_space(space) if isinstance(space, str) else space
        if not isinstance(searched, SearchSpace):
            searched = space_of(searched, "space")
        known = tuple(known)
        self._asked = Asked(
            constrained(searched, constraints, shape),
            strategy,
            seed,
            repeats,
            may_repeat and repeats == 1 and not known,
            known,
        )
        self._known_cells = self._asked.space.pack([result.architecture for result in known])
        self._space = self._asked.space
        self._spellings = Spellings()
        self._strategy = strategy_of(strategy, self._spellings)
        self._fallback = EvolutionStrategy(strategy, self._spellings) if has_fallback(strategy) else None
        self._records: dict[int, TrialRecord] = {}
        self._cells: dict[int, tuple[Architecture, Cells]] = {}
        self.tell(records)

    @classmethod
    def of(cls, asked: Asked) -> "Search":
        """An empty search of what is asked."""
        return cls(
            asked.space,
            asked.strategy,
            asked.seed,
            may_repeat=asked.may_repeat,
            repeats=asked.repeats,
            known=asked.known,
        )

    def to_json(self) -> str:
        """Everything that its proposals follow from; `from_json` reads it."""
        records = self.records
        spellings = {
            index: spelling
            for index, spelling in self._spellings.known().items()
            if index in self._cells and self._is_worth_keeping(spelling, self._cells[index][1])
        }
        return state_of(self._asked, records, spellings).model_dump_json(exclude_none=True)

    @classmethod
    def from_json(cls, text: str, space: SearchSpace | CustomSpace[Any] | None = None) -> "Search":
        """The search that `to_json` wrote; it proposes what that one would. A space of one's own must be given again.

        What is asked for as urgent is left out: it rests on the last fit, and a search read back has none.

        Raises:
            InputError: naming the field that is wrong.
        """
        state = SearchState.read(text)
        if (space is not None) != (state.space == "custom"):
            raise InputError(
                f"state of a search: space: it is {state.space}; want a space of one's own given where it is custom, only there"
            )
        search = cls(
            space if space is not None else state.space,
            state.strategy,
            state.seed,
            state.records(),
            may_repeat=state.may_repeat,
            constraints=state.constraints,
            shape=state.shape.shape() if state.shape is not None else None,
            repeats=state.repeats,
            known=[Known(known.architecture, known.accuracy) for known in state.known],
        )
        for index, spelling in state.spellings().items():
            if not np.array_equal(search._space.settle(spelling)[0], search._cells[index][1]):
                raise InputError(
                    f"state of a search: trial {index}: its spelling is one of another architecture; want what to_json wrote"
                )
            search._spellings.note(index, spelling)
        return search

    def _is_worth_keeping(self, spelling: Cells, cell: Cells) -> bool:
        """Whether it is more than the cell; it may also be stale, of an architecture that the trial had before `replace`."""
        return bool((spelling != cell).any()) and np.array_equal(self._space.settle(spelling)[0], cell)

    @property
    def asked(self) -> Asked:
        """What it is asked for."""
        return self._asked

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """Everything that was proposed, by index."""
        return tuple(self._records[index] for index in sorted(self._records))

    @property
    def fit(self) -> Fit | None:
        """The last fit, if there was one."""
        return self._strategy.fit

    @property
    def why_exhausted(self) -> str:
        """What `exhausted` means here, for a person."""
        tried = f"no architecture of {self._space.name} is left that was not proposed"
        if isinstance(self._space, Constrained):
            return f"{tried} and keeps {self._space.told()}"
        return tried

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
            self._pack(record)
            self._records[record.index] = record

    def replace(self, records: Sequence[TrialRecord]) -> None:
        """Forgets everything, proposals that were never published included, and takes these records for the truth."""
        self._records = {}
        self.tell(records)

    def ask(self, count: int = 1, *, is_urgent: bool = False) -> list[Proposal]:
        """Up to `count` proposals, none of an architecture proposed before (but see `Asked`).

        Urgent ones rest on the last fit, where there is one, and do not wait for one that knows the latest results.
        First those that an architecture lacks of its `repeats`. Fewer than asked where the strategy waits for results of
        what is in flight, and where the space is used up (`exhausted`, `why_exhausted`).
        """
        self.exhausted = False
        records = self.records
        rows, history = self._history(records)
        proposals: list[Proposal] = []
        for row in rows:
            if len(proposals) < count:
                first = records[row.first]
                proposals += self._repeat(first.architecture, first.origin, row.repeats, count - len(proposals))
        if proposals:
            _, history = self._history(self.records)
        history = replace(history, is_urgent=is_urgent)
        strategy = self._choosing(self.records)
        while len(proposals) < count and strategy.is_ready(history):
            # Every proposal has randomness of its own, so that it does not depend on how many were asked for at once.
            rng = np.random.default_rng(np.random.SeedSequence([self._asked.seed, history.next_index]))
            choice = strategy.choose(history, rng)
            if choice is None or not self._allows(choice.cell):
                self.exhausted = True
                break
            history = history.with_open(choice.cell, choice.origin.parent)
            (architecture,) = self._space.unpack(choice.cell)
            proposals += self._repeat(architecture, _own(choice.origin), frozenset(), count - len(proposals))
            history = replace(history, next_index=self._next_index())
        return proposals

    def try_again(self, failed: Sequence[TrialRecord]) -> list[Proposal]:
        """Proposals of the very architectures of trials that failed: a person, not the strategy, wants them."""
        proposals = []
        for record in failed:
            index, origin = self._next_index(), Origin(method="retry", parent=record.index)
            proposals.append(Proposal(index, record.architecture, origin, record.repeat))
            self.tell([TrialRecord(index, record.architecture, "Pending", None, origin, record.repeat)])
        return proposals

    def prepare(self) -> None:
        """Does at once what the first fit would have to wait for."""
        self._strategy.prepare()

    def batch_size(self) -> int:
        """How many to ask for at once where all can be evaluated at once."""
        records = self.records
        return self._choosing(records).batch_size(self._history(records)[1])

    @property
    def no_better_than_chance(self) -> bool:
        """Whether the predictor's forecasts have turned out to say nothing (`health`); stays so where evolution took over."""
        return self._is_useless(self.records)

    def _is_useless(self, records: Sequence[TrialRecord]) -> bool:
        if self._fallback is not None and has_fallen_back(records):
            return True
        return is_no_better_than_chance(score_forecasts(records))

    def _choosing(self, records: Sequence[TrialRecord]) -> ChoosingStrategy:
        """Who chooses: the strategy, or evolution once its predictor is known to say nothing."""
        return self._fallback if self._fallback is not None and self._is_useless(records) else self._strategy

    def _repeat(
        self, architecture: Architecture, origin: Origin | None, taken: frozenset[int], count: int
    ) -> list[Proposal]:
        """Up to `count` of the trainings that an architecture lacks; none of one that was cancelled before any began."""
        lacking = [number for number in range(self._asked.repeats) if number not in taken][:count]
        made = []
        for number in lacking:
            index = self._next_index()
            made.append(Proposal(index, architecture, origin or Origin(method="random"), number))
            self.tell([TrialRecord(index, architecture, "Pending", None, origin, number)])
        return made

    def _next_index(self) -> int:
        return max(self._records, default=-1) + 1

    def _allows(self, cell: Cells) -> bool:
        return not isinstance(self._space, Constrained) or bool(self._space.allows(cell)[0])

    def _history(self, records: Sequence[TrialRecord]) -> tuple[list[Row], History]:
        """What the strategy may know; and the rows of it that may lack repeats."""
        cells = self._packed(records)
        if self._asked.may_repeat:  # every query counts by itself
            return [], History.of(
                space=self._space,
                seed=self._asked.seed,
                indices=[record.index for record in records],
                cells=cells,
                phases=[record.phase for record in records],
                accuracies=[record.validation_accuracy for record in records],
                parents=[_mutated(record) for record in records],
                may_repeat=True,
            )
        rows = rows_of(records, self._space.keys(cells))
        firsts = [records[row.first] for row in rows]
        known = self._asked.known
        return [row for row in rows if row.repeats], History.of_rows(
            space=self._space,
            seed=self._asked.seed,
            indices=[*(UNKNOWN_PARENT + n for n in range(len(known))), *(first.index for first in firsts)],
            cells=np.concatenate([self._known_cells, cells[[row.first for row in rows]]])
            if known
            else cells[[row.first for row in rows]],
            rows=[*(row_of_result(result.accuracy) for result in known), *rows],
            parents=[*(None for _ in known), *(_mutated(first) for first in firsts)],
            next_index=self._next_index(),
        )

    def _pack(self, record: TrialRecord) -> None:
        """Packs an architecture, once."""
        known = self._cells.get(record.index)
        if known is not None and known[0] == record.architecture:
            return
        try:
            (cell,) = self._space.pack([record.architecture])
        except ArchitectureError as error:
            raise InputError(f"trial {record.index}: architecture: {error}") from error
        self._cells[record.index] = (record.architecture, cell)

    def _packed(self, records: Sequence[TrialRecord]) -> Cells:
        """(n, ...) cells of the records."""
        if not records:
            return self._space.pack([])
        return np.stack([self._cells[record.index][1] for record in records])


def _own(origin: Origin) -> Origin:
    """Without a parent that is no trial of this search."""
    known = origin.parent is not None and origin.parent >= UNKNOWN_PARENT
    return origin.model_copy(update={"parent": None}) if known else origin


def _mutated(record: TrialRecord) -> int | None:
    """Index of the trial that a trial was made of by the strategy."""
    return record.origin.parent if record.origin is not None and record.origin.method == "mutation" else None
