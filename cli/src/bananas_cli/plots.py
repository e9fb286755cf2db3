"""The two plots of the report as SVG text, made by hand: no library, no script, readable in light and dark.

Pure functions of numbers. Colours come from the report's style sheet, by class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import Final

from bananas_cli.statistics import best_so_far

WIDTH: Final = 520
HEIGHT: Final = 320
LEFT: Final = 62
RIGHT: Final = 14
TOP: Final = 14
BOTTOM: Final = 44


@dataclass(frozen=True, slots=True)
class Point:
    """A trial in a plot; accuracies as fractions."""

    name: str
    measured: float
    mutated: bool
    predicted: float | None = None
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values laid over a range of pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value; outside the range, that of the nearer end."""
        inside = min(max(value, self.low), self.high)
        return round(self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Three to eight round values within the range."""
        rough = (self.high - self.low) / 5
        power = 10.0 ** floor(log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = -(-self.low // step)
        count = floor(self.high / step + 1e-9) - first
        return [(first + i) * step for i in range(int(count) + 1)]


def accuracy_plot(points: Sequence[Point]) -> str:
    """Result of each trial in the order in which they ended, and the best so far."""
    values = [point.measured for point in points]
    x = Axis(0, max(len(points), 2) + 0.5, LEFT, WIDTH - RIGHT)
    y = Axis(*robust_range(values), HEIGHT - BOTTOM, TOP)
    ticks = [tick for tick in x.ticks() if tick == round(tick) and tick > 0]
    parts = _frame(x, y, "results, in the order in which they ended", "validation accuracy, %", ticks, "{:.0f}", 1.0)
    path = ""
    for place, best in enumerate(best_so_far(values), start=1):
        path += f"M{x.at(place)},{y.at(best)}" if place == 1 else f"H{x.at(place)}V{y.at(best)}"
    parts.append(f'<path class="best" d="{path}H{x.at(x.high)}"/>')
    for place, point in enumerate(points, start=1):
        parts.append(_mark(x.at(place), y.at(point.measured), point, below=point.measured < y.low))
    return _svg("Accuracy over the search", parts)


def forecast_plot(points: Sequence[Point]) -> str:
    """What the predictor expected against what came true; `points` without a forecast are left out."""
    known = [(point, point.predicted) for point in points if point.predicted is not None]
    values = [value for point, predicted in known for value in (point.measured, predicted)]
    low, high = robust_range(values)
    x, y = Axis(low, high, LEFT, WIDTH - RIGHT), Axis(low, high, HEIGHT - BOTTOM, TOP)
    parts = _frame(x, y, "predicted accuracy, %", "measured accuracy, %", x.ticks(), None, 100.0)
    parts.append(f'<path class="diagonal" d="M{x.start},{y.start}L{x.end},{y.end}"/>')
    for point, predicted in known:
        if point.spread is not None:
            left, right = x.at(predicted - point.spread), x.at(predicted + point.spread)
            parts.append(f'<path class="spread" d="M{left},{y.at(point.measured)}H{right}"/>')
    for point, predicted in known:
        parts.append(_mark(x.at(predicted), y.at(point.measured), point, below=point.measured < low))
    return _svg("Predicted and measured accuracy", parts)


def robust_range(values: Sequence[float]) -> tuple[float, float]:
    """A range that shows the good results apart: a few networks that learnt nothing are drawn at its lower end."""
    ordered = sorted(values)
    high, median = ordered[-1], ordered[len(ordered) // 2]
    low = max(ordered[0], median - 4 * max(high - median, 0.005))
    margin = max((high - low) * 0.08, 0.002)
    return low - margin, high + margin


def _frame(
    x: Axis, y: Axis, x_label: str, y_label: str, x_ticks: Sequence[float], x_format: str | None, x_unit: float
) -> list[str]:
    parts = []
    for tick in y.ticks():
        at = y.at(tick)
        parts.append(f'<path class="grid" d="M{x.start},{at}H{x.end}"/>')
        parts.append(
            f'<text x="{x.start - 8}" y="{at + 4}" text-anchor="end">{_number(100 * tick, 100 * y.high - 100 * y.low)}</text>'
        )
    for tick in x_ticks:
        at = x.at(tick)
        words = x_format.format(tick) if x_format else _number(x_unit * tick, x_unit * (x.high - x.low))
        parts.append(f'<path class="grid" d="M{at},{y.start}V{y.end}"/>')
        parts.append(f'<text x="{at}" y="{y.start + 18}" text-anchor="middle">{words}</text>')
    parts.append(f'<path class="axis" d="M{x.start},{y.end}V{y.start}H{x.end}"/>')
    middle = (x.start + x.end) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    height = (y.start + y.end) / 2
    parts.append(
        f'<text x="14" y="{height}" text-anchor="middle" transform="rotate(-90 14 {height})">{escape(y_label)}</text>'
    )
    return parts


def _number(value: float, span: float) -> str:
    return f"{value:.0f}" if span >= 5 else f"{value:.1f}" if span >= 0.5 else f"{value:.2f}"


def _mark(x: float, y: float, point: Point, *, below: bool) -> str:
    kind = "mutated" if point.mutated else "random"
    title = f"{point.name}: {100 * point.measured:.2f} %"
    if point.predicted is not None:
        title += f", predicted {100 * point.predicted:.2f} %"
    shape = (
        f'<path class="{kind}" d="M{x - 5},{y - 7}h10l-5,8z">'
        if below
        else f'<circle class="{kind}" cx="{x}" cy="{y}" r="4">'
    )
    return f"{shape}<title>{escape(title)}</title></{'path' if below else 'circle'}>"


def _svg(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">\n{body}\n</svg>'
