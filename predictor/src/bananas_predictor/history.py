"""What a strategy may know: everything that was proposed, as arrays. Made by `Search`, read by strategies, never changed.

Notation: n proposed architectures, by index.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.trial import TrialPhase
from bananas_predictor.repeats import OPEN, Row
from bananas_predictor.spaces import Cells, SearchSpace


@dataclass(frozen=True)
class History:
    """Everything that was proposed."""

    space: SearchSpace
    seed: int
    indices: NDArray[np.int64]
    """(n,) numbers of the trials."""
    cells: Cells
    """(n, ...)"""
    accuracies: NDArray[np.float64]
    """(n,) validation accuracy, NaN where there is none."""
    parents: NDArray[np.int64]
    """(n,) number of the trial that was mutated, -1 for a random one."""
    seen: frozenset[int]
    """Keys of everything proposed, cancelled trials included: the operator would refuse a second one."""
    is_open: NDArray[np.bool_]
    """(n,) proposed and not ended."""
    counted: int
    """Proposed and not cancelled."""
    next_index: int
    variances: NDArray[np.float64] | None = None
    """(n,) of the accuracies, which are then means of several results; None where the noise is not known."""
    may_repeat: bool = False
    """Whether an architecture may be proposed twice: a table answers again, a cluster refuses."""
    is_urgent: bool = False
    """Whether a slot waits for the choice, so that the last fit must do."""

    @classmethod
    def of(
        cls,
        *,
        space: SearchSpace,
        seed: int,
        indices: Sequence[int],
        cells: Cells,
        phases: Sequence[TrialPhase],
        accuracies: Sequence[float | None],
        parents: Sequence[int | None],
        may_repeat: bool = False,
    ) -> "History":
        """From columns in the order of the indices."""
        results = [
            value if phase == "Succeeded" and value is not None else float("nan")
            for phase, value in zip(phases, accuracies, strict=True)
        ]
        return cls(
            space=space,
            seed=seed,
            indices=np.array(indices, dtype=np.int64),
            cells=cells,
            accuracies=np.array(results, dtype=np.float64),
            parents=np.array([-1 if parent is None else parent for parent in parents], dtype=np.int64),
            seen=frozenset(space.keys(cells).tolist()),
            is_open=np.array([phase in OPEN for phase in phases], dtype=np.bool_),
            counted=sum(phase != "Cancelled" for phase in phases),
            next_index=max(indices, default=-1) + 1,
            may_repeat=may_repeat,
        )

    @classmethod
    def of_rows(
        cls,
        *,
        space: SearchSpace,
        seed: int,
        indices: Sequence[int],
        cells: Cells,
        rows: Sequence[Row],
        parents: Sequence[int | None],
        next_index: int,
    ) -> "History":
        """With one row for each architecture, whatever the number of its trials."""
        variances = np.array([row.variance for row in rows], dtype=np.float64)
        return cls(
            space=space,
            seed=seed,
            indices=np.array(indices, dtype=np.int64),
            cells=cells,
            accuracies=np.array([row.accuracy for row in rows], dtype=np.float64),
            parents=np.array([-1 if parent is None else parent for parent in parents], dtype=np.int64),
            seen=frozenset(space.keys(cells).tolist()),
            is_open=np.array([row.is_open for row in rows], dtype=np.bool_),
            counted=sum(bool(row.repeats) for row in rows),
            next_index=next_index,
            variances=variances if variances.any() else None,
        )

    def with_open(self, cell: Cells, parent: int | None) -> "History":
        """After one more proposal, a (1, ...) cell and the trial that it was made of."""
        return replace(
            self,
            indices=np.append(self.indices, self.next_index),
            cells=np.concatenate([self.cells, cell]),
            accuracies=np.append(self.accuracies, np.nan),
            parents=np.append(self.parents, -1 if parent is None else parent),
            variances=None if self.variances is None else np.append(self.variances, 0.0),
            seen=self.seen | set(self.space.keys(cell).tolist()),
            is_open=np.append(self.is_open, True),
            counted=self.counted + 1,
            next_index=self.next_index + 1,
        )

    @property
    def open_count(self) -> int:
        """Trials proposed and not ended."""
        return int(self.is_open.sum())

    @property
    def has_result(self) -> NDArray[np.bool_]:
        """(n,)"""
        return ~np.isnan(self.accuracies)

    @property
    def result_count(self) -> int:
        """Trials with a result."""
        return int(self.has_result.sum())

    def is_new(self, cells: Cells) -> NDArray[np.bool_]:
        """(len(cells),): not proposed before, and the first of its kind among the cells."""
        keys = self.space.keys(cells)
        first = np.zeros(len(cells), dtype=np.bool_)
        first[np.unique(keys, return_index=True)[1]] = True
        return first & np.array([key not in self.seen for key in keys.tolist()], dtype=np.bool_)
