"""What a strategy may know: everything that was proposed, as arrays. Made by `Search`, read by strategies, never changed.

Notation: n proposed architectures, by index.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bananas_core.api.trial import TrialPhase
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
    seen: frozenset[int]
    """Keys of everything proposed, cancelled trials included: the operator would refuse a second one."""
    open_count: int
    """Proposed and not ended."""
    counted: int
    """Proposed and not cancelled."""
    next_index: int

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
            seen=frozenset(space.keys(cells).tolist()),
            open_count=sum(phase in ("Pending", "Queued", "Running") for phase in phases),
            counted=sum(phase != "Cancelled" for phase in phases),
            next_index=max(indices, default=-1) + 1,
        )

    def with_open(self, cell: Cells) -> "History":
        """After one more proposal, a (1, ...) cell."""
        return replace(
            self,
            indices=np.append(self.indices, self.next_index),
            cells=np.concatenate([self.cells, cell]),
            accuracies=np.append(self.accuracies, np.nan),
            seen=self.seen | set(self.space.keys(cell).tolist()),
            open_count=self.open_count + 1,
            counted=self.counted + 1,
            next_index=self.next_index + 1,
        )

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
