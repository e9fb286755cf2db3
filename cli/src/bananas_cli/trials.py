"""The table of a search's trials, best first; those without a result after them."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bananas_cli.formatting import percent, predicted, short, stopwatch
from bananas_cli.snapshot import Snapshot, Trial


def trials_view(snapshot: Snapshot, limit: int | None = None) -> RenderableType:
    """The table; with a limit, that many rows and a line that says how many there are."""
    best = snapshot.ranked()
    others = [trial for trial in snapshot.trials if trial.accuracy is None]
    rows = [*best, *others]
    if not rows:
        return Text(f"{snapshot.search.name} has no trials yet", style="bright_black")
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("architecture", no_wrap=True, overflow="ellipsis", ratio=1, min_width=12)  # takes what is left
    table.add_column("origin", no_wrap=True)
    table.add_column("predicted", justify="right", no_wrap=True)
    table.add_column("tries", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for place, trial in enumerate(rows[:limit]):
        style = "bold green" if place == 0 and trial.accuracy is not None else ""
        table.add_row(
            str(trial.spec.index),
            _result(trial),
            short(trial.spec.architecture),
            _origin(trial),
            predicted(trial),
            str(trial.status.attempts),
            "–" if trial.seconds is None else stopwatch(trial.seconds),
            style=style,
        )
    if limit is None or len(rows) <= limit:
        return table
    return Group(table, Text(f"{len(rows) - limit} more; --limit 0 shows all", style="bright_black"))


def _result(trial: Trial) -> Text:
    if trial.accuracy is not None:
        return Text(percent(trial.accuracy))
    style = {"Failed": "red", "Running": "cyan"}.get(trial.status.phase, "bright_black")
    return Text(trial.status.phase.lower(), style=style)


def _origin(trial: Trial) -> str:
    """Short, for the architecture needs the room: `random`, or the trial that was mutated."""
    came = trial.spec.origin
    return came.method if came.parent is None else f"from #{came.parent}"
