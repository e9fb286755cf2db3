"""How `bananas-trainer` shows a training: a progress bar on a terminal, JSON lines otherwise. Called by `command.py` only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bananas_core.contract import Report, TrialFile
from bananas_trainer.epoch import EpochRecord, Tell
from bananas_trainer.log import log, log_epoch, log_for_a_person, log_for_machines


@contextmanager
def epochs_shown(trial: TrialFile) -> Iterator[Tell]:
    """Gives what to tell of an epoch."""
    if not sys.stdout.isatty():
        log_for_machines()
        yield log_epoch
        return
    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, redirect_stderr=sys.stderr.isatty()) as progress:
        log_for_a_person()  # a standard error that is the same terminal is now the bar's, which writes above itself
        bar = progress.add_task("", total=trial.recipe.epochs if trial.recipe is not None else None)

        def tell(record: EpochRecord) -> None:
            progress.update(bar, completed=record.epoch, description=_facts(record))

        yield tell


def show_report(report: Report, out: Path) -> None:
    """The end of a training."""
    if not sys.stdout.isatty():
        log("report", **report.model_dump(by_alias=True, exclude_none=True))
        return
    test = f"test accuracy {report.test_accuracy:.4f}; " if report.test_accuracy is not None else ""
    Console().print(
        f"{test}validation accuracy {report.validation_accuracy:.4f}; weights, curve and report are in {out}"
    )


def _facts(record: EpochRecord) -> str:
    facts = [f"loss {record.loss:.4f}"]
    if record.validation_accuracy is not None:
        facts.append(f"validation accuracy {record.validation_accuracy:.4f}")
    if record.images_per_second:
        facts.append(f"{record.images_per_second:,.0f} images/s")
    return "  ".join(facts)
