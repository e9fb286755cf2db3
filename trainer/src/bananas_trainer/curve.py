"""The curve of a training as `curve.csv` and `curve.svg`: loss, accuracy, learning rate, images per second by epoch.

Called by `checkpoint.py`. Pure text, no plotting library.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bananas_core.attempt import write_atomically
from bananas_trainer.epoch import EpochRecord

CSV_FILE: Final = "curve.csv"
SVG_FILE: Final = "curve.svg"
_COLUMNS: Final = ("epoch", "loss", "validation_accuracy", "learning_rate", "images_per_second", "seconds", "attempt")
_PANELS: Final = (
    ("loss", "loss"),
    ("validation_accuracy", "validation accuracy"),
    ("learning_rate", "learning rate"),
    ("images_per_second", "images per second"),
)
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 150, 70, 24  # pixels of a panel


def write_curve(folder: Path, history: Sequence[EpochRecord], may_replace: Callable[[], object]) -> None:
    """Writes both files; `may_replace` is that of `write_atomically`."""
    write_atomically(folder / CSV_FILE, to_csv(history), may_replace)
    write_atomically(folder / SVG_FILE, to_svg(history), may_replace)


def to_csv(history: Sequence[EpochRecord]) -> str:
    """One line an epoch; an accuracy that there is not is empty."""
    lines = [",".join(_COLUMNS)]
    for record in history:
        values = (getattr(record, column) for column in _COLUMNS)
        lines.append(",".join("" if value is None else f"{value:.10g}" for value in values))
    return "\n".join(lines) + "\n"


def to_svg(history: Sequence[EpochRecord]) -> str:
    """Panels under one another, each with a line from the first epoch to the last."""
    last = max((record.epoch for record in history), default=1)
    height = len(_PANELS) * (_HEIGHT + _TOP) + _TOP
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + _LEFT + 20}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (field, title) in enumerate(_PANELS):
        points = [(r.epoch, getattr(r, field)) for r in history if getattr(r, field) is not None]
        out += _panel(title, points, last, number * (_HEIGHT + _TOP) + _TOP)
    return "\n".join([*out, "</svg>"]) + "\n"


def _panel(title: str, points: list[tuple[int, float]], last: int, top: int) -> list[str]:
    """An axis of epochs from 1 to last, one of values from their least to their greatest."""
    values = [value for _, value in points] or [0.0]
    low, high = min(values), max(values)
    span = high - low or 1.0

    def place(epoch: int, value: float) -> str:
        x = _LEFT + _WIDTH * (epoch - 1) / max(last - 1, 1)
        return f"{x:.1f},{top + _HEIGHT * (1 - (value - low) / span):.1f}"

    line = " ".join(place(*point) for point in points)
    marks = [f'<circle cx="{x}" cy="{y}" r="2" fill="#1f5fa8"/>' for x, y in (p.split(",") for p in line.split())]
    return [
        f'<text x="{_LEFT}" y="{top - 6}" font-weight="bold">{title}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999"/>',
        f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{high:.4g}</text>',
        f'<text x="{_LEFT - 6}" y="{top + _HEIGHT}" text-anchor="end">{low:.4g}</text>',
        f'<text x="{_LEFT + _WIDTH}" y="{top + _HEIGHT + 12}" text-anchor="end">epoch {last}</text>',
        f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>',
        *(marks if len(points) < 2 else []),
    ]
