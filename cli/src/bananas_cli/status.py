"""The one screen of a search: what state, how far, how good, how well predicted, how long still.

Pure functions of a snapshot and the time; `watching` shows them again and again, `command` once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bananas_cli.formatting import clock, duration, origin, percent, short, with_seeds
from bananas_cli.snapshot import Search, Snapshot, Trial, parse_time
from bananas_cli.statistics import best_so_far
from bananas_core import constants
from bananas_core.api.promotion import PromotionStatus

STYLE: Final = {
    "Running": "cyan",
    "Complete": "green",
    "Failed": "red",
    "Stalled": "yellow",
    "Suspended": "magenta",
    "Pending": "bright_black",
}
ROWS: Final = 12
"""Trials in flight that are listed; more would push the summary off a small terminal."""
PROMOTED: Final = 3
"""Networks trained to the end that are listed; the report has all."""
SPARKS: Final = "▁▂▃▄▅▆▇█"
SPARK_WIDTH: Final = 48


def status_view(snapshot: Snapshot, now: datetime) -> RenderableType:
    """The whole screen."""
    search = snapshot.search
    parts: list[RenderableType] = [_summary(snapshot, now)]
    parts += _notices(search)
    flying = [trial for trial in (*snapshot.trials, *snapshot.promoted) if trial.status.phase in ("Running", "Queued")]
    if flying:
        parts.append(Text())
        parts.append(_flight(flying, now))
    failed = _last_failure(snapshot)
    if failed is not None:
        parts += [Text(), failed]
    if snapshot.unreadable:
        names = ", ".join(snapshot.unreadable[:5])
        parts += [Text(), Text(f"not readable by this release: {names}", style="yellow")]
    style = STYLE[search.phase]
    return Panel(
        Group(*parts),
        title=Text.assemble((search.name, "bold"), (f"  {_kind(search)}", "bright_black")),
        title_align="left",
        subtitle=Text(search.phase, style=f"bold {style}"),
        subtitle_align="right",
        border_style=style,
        box=box.ROUNDED,
        padding=(0, 1),
    )


def status_line(snapshot: Snapshot, now: datetime) -> str:
    """The same on one line, for a log."""
    search = snapshot.search
    counts = search.status.trials
    words = [f"{search.phase}: {snapshot.ended} of {search.spec.budget.trials} trials ended"]
    words.append(f"{counts.running} running, {counts.failed} failed")
    if search.status.best is not None:
        words.append(f"best {percent(search.status.best.validation_accuracy)} ({search.status.best.trial})")
    predictor = search.status.predictor
    if predictor is not None and predictor.rank_correlation is not None:
        words.append(f"rank correlation {predictor.rank_correlation:.2f}")
    left = _seconds_left(search, now)
    if left is not None and left > 0:
        words.append(f"about {duration(left)} left")
    line = ", ".join(words)
    for kind in (constants.CONDITION_FAILED, constants.CONDITION_STALLED, constants.CONDITION_SUSPENDED):
        found = search.condition(kind)
        if found is not None:
            line += f"; {found.reason}: {found.message}"
    return line


def _kind(search: Search) -> str:
    where = "table" if search.spec.evaluator == "table" else "training"
    if search.spec.evaluator == "table" and (search.spec.table is None or search.spec.table.file is None):
        where = "toy table"  # synthetic: whoever reads an accuracy must see it
    return f"{search.namespace} · {search.spec.space} · {search.spec.strategy.name} · {where}"


def _summary(snapshot: Snapshot, now: datetime) -> Table:
    search = snapshot.search
    counts, budget = search.status.trials, search.spec.budget.trials
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bright_black", no_wrap=True)
    grid.add_column(ratio=1)
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(total=budget, completed=min(snapshot.ended, budget), width=36, complete_style=STYLE[search.phase]),
        Text(f"{snapshot.ended} of {budget}", style="bold"),
    )
    grid.add_row("Trials", bar)
    grid.add_row("", _counts_text(counts.succeeded, counts.running, counts.queued, counts.failed, counts.pending))
    best = search.status.best
    grid.add_row("Best", Text("no result yet", style="bright_black") if best is None else _best_text(snapshot))
    values = [accuracy for _, accuracy in snapshot.results()]
    if len(values) > 1:
        grid.add_row("Results", _sparks(values))
    if search.status.promotion is not None:
        grid.add_row("Promotion", _promotion_text(search.status.promotion))
    if search.spec.strategy.name != "random":
        grid.add_row("Predictor", _predictor_text(search))
    used = search.status.gpu_seconds
    wasted = f", {duration(used.wasted)} of it without a result" if used.wasted else ""
    grid.add_row("GPU time", Text(f"{duration(used.used)}{wasted}"))
    ended = search.status.interruptions
    if ended.total:
        words = f"{ended.total} attempts ended from outside, {ended.preemptions} of them preempted; no failures"
        grid.add_row("Interruptions", Text(words))
    if search.status.avoided_nodes:
        words = f"{', '.join(search.status.avoided_nodes)}: attempts failed there twice in a row"
        grid.add_row("Avoided", Text(words, style="yellow"))
    grid.add_row("Time", Text(_time_words(search, now)))
    bounds = _bounds(search)
    if bounds:
        grid.add_row("Ends at", Text(", or ".join(bounds)))
    return grid


def _bounds(search: Search) -> list[str]:
    """The bounds of the budget beside the number of trials."""
    budget = search.spec.budget
    found = []
    if budget.gpu_hours is not None:
        found.append(f"{budget.gpu_hours:g} GPU hours")
    if budget.wall_clock is not None:
        found.append(f"{budget.wall_clock} of wall clock")
    if budget.target_accuracy is not None:
        found.append(percent(budget.target_accuracy))
    if budget.no_improvement_trials is not None:
        found.append(f"{budget.no_improvement_trials} results without a new best")
    return found


def _counts_text(succeeded: int, running: int, queued: int, failed: int, pending: int) -> Text:
    parts = [
        (f"{succeeded} succeeded", "green" if succeeded else "bright_black"),
        (f"{running} running", "cyan" if running else "bright_black"),
        (f"{queued} queued", "" if queued else "bright_black"),
        (f"{failed} failed", "red" if failed else "bright_black"),
    ]
    if pending:
        parts.append((f"{pending} on offer", "bright_black"))
    return Text(" · ", style="bright_black").join(Text(words, style=style) for words, style in parts)


def _best_text(snapshot: Snapshot) -> Text:
    best = snapshot.search.status.best
    assert best is not None  # the caller has looked
    words = Text.assemble((percent(best.validation_accuracy), "bold green"), f"  {best.trial}")
    trial = next((t for t in snapshot.trials if t.name == best.trial), None)
    if trial is not None:
        words.append(f"  {short(trial.spec.architecture)}", style="bright_black")
    words.no_wrap, words.overflow = True, "ellipsis"
    return words


def _promotion_text(promotion: PromotionStatus) -> Text:
    """How far the trainings to the end are, and what they have come to."""
    words = Text(f"{promotion.ended} of {promotion.trainings} trainings to the end")
    for result in promotion.results[:PROMOTED]:
        if result.test_accuracy is not None:
            words.append(f"\n{result.trial}  test accuracy ")
            words.append(with_seeds(result), style="bold green")
        elif result.failed:
            words.append(f"\n{result.trial}  {result.failed} failed", style="red")
    return words


def _sparks(values: Sequence[float]) -> Text:
    """The last results as small columns, the best so far of each moment in green."""
    shown, best = values[-SPARK_WIDTH:], best_so_far(values)[-SPARK_WIDTH:]
    ordered = sorted(shown)
    low, high = ordered[len(ordered) // 10], ordered[-1]  # a tenth of failures to learn shall not flatten the rest
    out = Text()
    for value, record in zip(shown, best, strict=True):
        height = (value - low) / (high - low) if high > low else 1.0
        level = max(0, min(len(SPARKS) - 1, int(height * len(SPARKS))))
        out.append(SPARKS[level], style="green" if value >= record else "bright_black")
    out.append(f"  {percent(min(values))} to {percent(max(values))}", style="bright_black")
    return out


def _predictor_text(search: Search) -> Text:
    predictor = search.status.predictor
    if predictor is None:
        return Text("has not reported yet", style="bright_black")
    if predictor.message and search.condition(constants.CONDITION_COMPLETE) is None:
        return Text(predictor.message, style="yellow")
    if predictor.rank_correlation is None and predictor.mean_absolute_error is None:
        first = search.spec.strategy.initial_trials
        return Text(f"no forecast has come true yet; the first {first} trials are random", style="bright_black")
    words = Text()
    if predictor.rank_correlation is not None:
        words.append("rank correlation ")
        words.append(f"{predictor.rank_correlation:.2f}", style="bold")
        words.append(" · ")
    if predictor.mean_absolute_error is not None:
        words.append("absolute error ")
        words.append(f"{100 * predictor.mean_absolute_error:.2f}", style="bold")
        words.append(" points")
    words.append(f"\n{predictor.forecasts} forecasts came true", style="bright_black")
    if predictor.no_better_than_chance:
        then = "; evolution proposes" if search.spec.strategy.fallback == "evolution" else ""
        words.append(f", no better than chance{then}", style="yellow")
    if predictor.fit_seconds is not None:
        fit = f" · last fit {predictor.fit_seconds:.1f} s on {predictor.results_seen} results"
        words.append(fit, style="bright_black")
    return words


def _seconds_left(search: Search, now: datetime) -> float | None:
    end = parse_time(search.status.estimated_completion_time)
    if end is None or search.phase in ("Complete", "Failed"):
        return None
    return (end - now).total_seconds()


def _time_words(search: Search, now: datetime) -> str:
    start = parse_time(search.status.start_time)
    end = parse_time(search.status.completion_time)
    if start is None:
        return f"made {duration((now - search.created).total_seconds())} ago, no trial admitted yet"
    paused = search.status.paused_seconds
    if end is not None:
        return f"took {duration((end - start).total_seconds() - paused)}, ended {clock(end, now)}"
    suspended = search.condition(constants.CONDITION_SUSPENDED)
    if suspended is not None:
        since = datetime.fromisoformat(suspended.last_transition_time)
        ran = duration((since - start).total_seconds() - paused)
        return f"ran for {ran}, suspended for {duration((now - since).total_seconds())}"
    running = f"running for {duration((now - start).total_seconds() - paused)}"
    left = _seconds_left(search, now)
    if left is None:
        return f"{running}, time left not known before trials have ended"
    if left <= 0:  # it is estimated anew when a trial ends, and this one takes longer than those before
        return f"{running}, later than estimated"
    return f"{running}, about {duration(left)} left ({clock(now + timedelta(seconds=left), now)})"


def _notices(search: Search) -> list[RenderableType]:
    """The conditions that a person must read, their messages in full."""
    found = [
        (search.condition(constants.CONDITION_FAILED), "red"),
        (search.condition(constants.CONDITION_STALLED), "yellow"),
        (search.condition(constants.CONDITION_SUSPENDED), "magenta"),
        (search.condition(constants.CONDITION_COMPLETE), "green"),
    ]
    if all(condition is None for condition, _ in found):
        found.append((search.lacking(constants.CONDITION_READY), "yellow"))
    found.append((search.condition(constants.CONDITION_OVERSUBSCRIBED), "yellow"))
    out: list[RenderableType] = []
    for condition, style in found:
        if condition is not None:
            words = f" {condition.message}" if condition.message else ""
            out += [Text(), Text.assemble((f"{condition.reason}:", f"bold {style}"), (words, style))]
    return out


def _flight(trials: Sequence[Trial], now: datetime) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bright_black")
    table.add_column(width=16)
    table.add_column(ratio=1)
    running_first = sorted(trials, key=lambda trial: (trial.status.phase != "Running", trial.spec.index))
    for trial in running_first[:ROWS]:
        table.add_row(trial.name, origin(trial), _epoch_bar(trial), _flight_words(trial, now))
    if len(trials) > ROWS:
        table.add_row(f"and {len(trials) - ROWS} more", "", "", "", style="bright_black")
    return table


def _epoch_bar(trial: Trial) -> RenderableType:
    if trial.status.phase != "Running":
        return Text("queued", style="bright_black")
    progress = trial.status.progress
    if progress is None:
        return ProgressBar(total=1, completed=0, width=16)
    return ProgressBar(
        total=progress.epochs, completed=progress.epoch, width=16, complete_style="cyan", finished_style="cyan"
    )


def _flight_words(trial: Trial, now: datetime) -> Text:
    status, words = trial.status, Text()
    if status.phase == "Running":
        progress = status.progress
        words.append("no epoch yet" if progress is None else f"{progress.epoch}/{progress.epochs}")
        if progress is not None and progress.validation_accuracy is not None:
            words.append(f"  {percent(progress.validation_accuracy)}")
    elif status.message:
        words.append(status.message, style="yellow")
    if status.attempts > 1:
        words.append(f"  attempt {status.attempts}", style="bright_black")
    again = parse_time(status.next_attempt_time)
    if again is not None and again > now:
        words.append(f"  next attempt in {duration((again - now).total_seconds())}", style="yellow")
    return words


def _last_failure(snapshot: Snapshot) -> Text | None:
    failed = [t for t in snapshot.trials if t.status.phase == "Failed" and t.status.failure is not None]
    if not failed:
        return None
    last = max(failed, key=lambda trial: (trial.status.completion_time or "", trial.spec.index))
    assert last.status.failure is not None  # filtered above
    failure = last.status.failure
    return Text.assemble((f"{last.name} failed, {failure.reason}: ", "red"), failure.message)
