"""What `bananas search` writes and shows: every trial of every run, from which every figure follows. Pure."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.table import Table

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Space, parse_architecture
from bananas_predictor.errors import InputError
from bananas_predictor.evaluation.table import Evaluated
from bananas_tables import Table as BenchmarkTable
from bananas_tables import TableEntry

if TYPE_CHECKING:
    from bananas_predictor.assessment import Assessed


R = TypeVar("R", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Frozen):
    """One look-up; accuracies are fractions."""

    index: int
    architecture: str
    validation_accuracy: float
    test_accuracy: float | None
    seconds: float | None

    def evaluated(self, space: Space) -> Evaluated:
        """As an evaluation has it."""
        entry = TableEntry(self.validation_accuracy, self.test_accuracy, self.seconds)
        return Evaluated(self.index, parse_architecture(space, self.architecture), entry)


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

    @property
    def trials(self) -> int:
        """Architectures of a run."""
        return int(self.settings["trials"])

    def to_json(self) -> str:
        """As a file."""
        return self.model_dump_json() + "\n"

    def complete(self, seed: int) -> Run | None:
        """The run of a seed, if it was not cut off."""
        for run in self.runs:
            if run.seed == seed and len(run.trials) == self.trials:
                return run
        return None

    def check_same(self, asked: "SearchReport") -> None:
        """Whether a search can go on from here.

        Raises:
            InputError: it is another one, or an architecture cannot be read.
        """
        if "tableDigest" in asked.settings and "tableDigest" not in self.settings:
            raise InputError(
                "--resume: the file does not say which table it is of (settings.tableDigest): an earlier version of Bananas "
                "wrote it; want another file"
            )
        if self.settings != asked.settings and "bananas-core" not in self.versions:
            raise InputError(
                "--resume: the file does not say which settings took effect (versions.bananas-core): an earlier version of "
                "Bananas wrote it; want another file"
            )
        for field in ("space", "strategy", "table", "settings"):
            old, new = getattr(self, field), getattr(asked, field)
            if old != new:
                raise InputError(
                    f"--resume: {field} of the file is {old}; asked for {new}; want the same, or another file"
                )
        for run in self.runs:
            self.begun(run.seed)

    def begun(self, seed: int) -> dict[int, Evaluated]:
        """What a run of a seed that was cut off has looked up, by index.

        Raises:
            InputError: an architecture that cannot be read.
        """
        trials = next((run.trials for run in self.runs if run.seed == seed), ())
        try:
            return {one.index: one.evaluated(self.space) for one in trials}
        except ArchitectureError as error:
            raise InputError(f"run of seed {seed}: architecture: {error}; want what --json wrote") from error

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


class CompareReport(_Frozen):
    """The JSON of `bananas compare`."""

    reports: tuple[SearchReport, ...]

    def to_json(self) -> str:
        """As a file."""
        return self.model_dump_json() + "\n"

    def curves(self) -> dict[str, NDArray[np.float64]]:
        """(seeds, trials) best validation error so far, percent, by strategy."""
        return {
            report.strategy: np.array([_trajectory(run, report.trials) for run in report.runs])
            for report in self.reports
            if report.runs
        }


class Assessment(_Frozen):
    """A predictor at a training size."""

    predictor: str
    train_size: int
    mean_absolute_errors: tuple[float, ...]
    """Of the repeats, percentage points."""
    rank_correlations: tuple[float, ...]


class AssessReport(_Frozen):
    """The JSON of `bananas assess`."""

    space: Space
    table: str
    seed: int
    settings: dict[str, Any]
    versions: dict[str, str]
    assessments: tuple[Assessment, ...]

    @classmethod
    def of(
        cls, table: BenchmarkTable, seed: int, settings: Mapping[str, Any], found: "Sequence[Assessed]"
    ) -> "AssessReport":
        """From what was measured, and how."""
        assessments = [
            Assessment(
                predictor=one.predictor,
                train_size=one.train_size,
                mean_absolute_errors=one.errors,
                rank_correlations=one.correlations,
            )
            for one in found
        ]
        return cls(
            space=table.space,
            table=table.source,
            seed=seed,
            settings={**settings, **digest_of(table)},
            versions=versions(),
            assessments=tuple(assessments),
        )

    def to_json(self) -> str:
        """As a file."""
        return self.model_dump_json() + "\n"

    def summary(self) -> Table:
        """Means and standard errors over the repeats."""
        table = Table(title=f"predictors on {self.space} ({self.table})", title_justify="left")
        for name in ("predictor", "trained on", "mean absolute error, points", "rank correlation"):
            table.add_column(name, justify="right")
        for one in self.assessments:
            errors, correlations = np.array(one.mean_absolute_errors) / 100, np.array(one.rank_correlations) / 100
            table.add_row(one.predictor, str(one.train_size), _mean(errors), _mean(correlations))
        return table


def _trajectory(run: Run, trials: int) -> NDArray[np.float64]:
    """(trials,) a run that ended early keeps what it had."""
    errors = 100 * (1 - np.array([trial.validation_accuracy for trial in run.trials]))
    best = np.minimum.accumulate(errors)
    return np.concatenate([best, np.full(trials - len(best), best[-1])])


def read_report(path: Path, kind: type[R]) -> R:
    """A report that was written before.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    try:
        return kind.model_validate_json(path.read_text())
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; want what --json wrote"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def write_whole(path: Path, text: str) -> None:
    """Whole or not at all: an interrupted write must not cost what `--resume` goes on from."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text)
    unfinished.replace(path)


def versions() -> dict[str, str]:
    """What the numbers depend on."""
    ours = ("bananas-core", "bananas-predictor", "bananas-tables")
    return {"python": platform.python_version(), **{name: version(name) for name in (*ours, "numpy", "torch")}}


def digest_of(table: BenchmarkTable) -> dict[str, str]:
    """Which table it is, for files of one name differ; a function has no digest."""
    return {"tableDigest": f"sha256:{table.digest}"} if table.digest else {}


def _mean(values: Sequence[float] | NDArray[np.float64]) -> str:
    if not len(values):
        return "-"
    percents = 100 * np.array(values)
    error = percents.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{percents.mean():.3f}" + ("" if np.isnan(error) else f" ± {error:.3f}")
