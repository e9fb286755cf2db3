"""Numbers, times and architectures as short words, for terminal and report alike."""

from collections import Counter
from datetime import datetime
from typing import Final

from bananas_cli.snapshot import Trial
from bananas_core.api.promotion import PromotedResult
from bananas_core.spaces import Architecture
from bananas_core.spaces.custom import CustomArchitecture
from bananas_core.spaces.darts import DartsArchitecture, Edge
from bananas_core.spaces.nasbench101 import Nasbench101Architecture
from bananas_core.spaces.nasbench201 import Nasbench201Architecture

SHORT_TEXT: Final = 40
"""Characters of an architecture of a space that is not ours."""
SHORT: Final = {
    "none": "none",
    "skip_connect": "skip",
    "max_pool_3x3": "pool",
    "avg_pool_3x3": "pool",
    "sep_conv_3x3": "sep3",
    "sep_conv_5x5": "sep5",
    "dil_conv_3x3": "dil3",
    "dil_conv_5x5": "dil5",
    "nor_conv_1x1": "1x1",
    "nor_conv_3x3": "3x3",
    "conv3x3-bn-relu": "3x3",
    "conv1x1-bn-relu": "1x1",
    "maxpool3x3": "pool",
}


def percent(fraction: float | None) -> str:
    """An accuracy, as `93.21 %`."""
    return "–" if fraction is None else f"{100 * fraction:.2f} %"


def with_seeds(result: PromotedResult) -> str:
    """Mean and deviation of the trainings to the end, as `97.40 % ± 0.08 (3 seeds)`."""
    spread = result.test_accuracy_standard_deviation
    words = percent(result.test_accuracy) + ("" if spread is None else f" ± {100 * spread:.2f}")
    return f"{words} ({result.succeeded} seed{'s' if result.succeeded != 1 else ''})"


def duration(seconds: float) -> str:
    """`8 s`, `4 min 3 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole, 60, "min", 1, "s")
    if whole < 172_800:
        return _two(whole, 3600, "h", 60, "min")
    return _two(whole, 86_400, "d", 3600, "h")


def _two(whole: int, large: int, unit: str, small: int, rest: str) -> str:
    below = whole % large // small
    return f"{whole // large} {unit} {below} {rest}" if below else f"{whole // large} {unit}"


def stopwatch(seconds: float) -> str:
    """`0:08`, `4:03`, `2:05:00`: narrow, for a column."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def clock(time: datetime, now: datetime) -> str:
    """The time of day, in the zone of `now`; with the date where it is another day."""
    local = time.astimezone(now.tzinfo)
    return local.strftime("%H:%M" if local.date() == now.date() else "%d %b %H:%M")


def origin(trial: Trial) -> str:
    """`random`, or `mutation of 7`."""
    came = trial.spec.origin
    return came.method if came.parent is None else f"{came.method} of {came.parent}"


def predicted(trial: Trial) -> str:
    """What the predictor expected, as `92.1 ± 0.8`."""
    came = trial.spec.origin
    if came.predicted_mean is None:
        return "–"
    spread = came.predicted_standard_deviation
    return f"{100 * came.predicted_mean:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")


def short(architecture: Architecture) -> str:
    """What is in a cell, on a third of a terminal's line. Two cells may read the same; `to_text` tells them apart."""
    match architecture.cell:
        case DartsArchitecture(normal=normal, reduce=reduce):
            return f"{_counts(normal)} | {_counts(reduce)}"
        case Nasbench101Architecture() as cell:
            return " ".join([*(SHORT[op] for op in cell.ops), f"({cell.adjacency.count('1')} edges)"])
        case Nasbench201Architecture(ops=ops):
            return " ".join(SHORT[op] for op in ops)
        case CustomArchitecture(text=text):
            return text if len(text) <= SHORT_TEXT else f"{text[: SHORT_TEXT - 1]}…"


def _counts(cell: tuple[Edge, ...]) -> str:
    found = Counter(SHORT[edge.op] for edge in cell)
    order = list(dict.fromkeys(SHORT.values()))
    return " ".join(f"{found[op]}{op}" for op in sorted(found, key=lambda op: (-found[op], order.index(op))))
