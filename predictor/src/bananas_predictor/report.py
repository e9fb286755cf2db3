"""What `bananas search` writes and shows: every trial of every run, from which every figure follows. Pure."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from rich.table import Table

from bananas_core.spaces import Space
from bananas_predictor.evaluation.table import Evaluated


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Frozen):
    """One look-up; accuracies are fractions."""

    index: int
    architecture: str
    validation_accuracy: float
    test_accuracy: float | None
    seconds: float | None


class Run(_Frozen):
    """One seed."""

    seed: int
    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, seed: int, evaluated: Sequence[Evaluated]) -> "Run":
        """From what an evaluation did."""
        return cls(
            seed=seed,
            trials=tuple(
                Trial(
                    index=one.index,
                    architecture=one.architecture.to_text(),
                    validation_accuracy=one.entry.validation_accuracy,
                    test_accuracy=one.entry.test_accuracy,
                    seconds=one.entry.seconds,
                )
                for one in evaluated
            ),
        )

    def best(self, count: int) -> Trial:
        """The best by validation accuracy of the first `count` trials."""
        return max(self.trials[:count], key=lambda trial: trial.validation_accuracy)


class SearchReport(_Frozen):
    """The JSON of `bananas search`; the keys are a contract with whoever plots it."""

    space: Space
    strategy: str
    settings: dict[str, Any]
    versions: dict[str, str]
    table: str
    runs: tuple[Run, ...]

    def to_json(self) -> str:
        """As a file."""
        return self.model_dump_json() + "\n"

    def summary(self) -> Table:
        """Mean and standard error over the seeds, of the best by validation so far."""
        runs = [run for run in self.runs if run.trials]
        table = Table(
            title=f"{self.strategy} on {self.space} ({self.table}), {len(runs)} seed(s)", title_justify="left"
        )
        for name in ("trials", "best validation %", "its test %"):
            table.add_column(name, justify="right")
        longest = max((len(run.trials) for run in runs), default=0)
        for count in [n for n in (10, 20, 50, 100, 150, 200, 300, 500, 1000) if n < longest] + [longest] * bool(
            longest
        ):
            best = [run.best(count) for run in runs]
            table.add_row(
                str(count),
                _mean([trial.validation_accuracy for trial in best]),
                _mean([trial.test_accuracy for trial in best if trial.test_accuracy is not None]),
            )
        return table


def versions() -> dict[str, str]:
    """What the numbers depend on."""
    return {name: version(name) for name in ("bananas-predictor", "bananas-tables", "numpy", "torch")}


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "-"
    percents = 100 * np.array(values)
    error = percents.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{percents.mean():.3f}" + ("" if np.isnan(error) else f" ± {error:.3f}")
