"""Figures of the benchmarks. Called by the benchmark programs; the format follows from the name of the file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
from matplotlib import pyplot as plt

Floats = NDArray[np.float64]
Bar = tuple[str, float, float, bool]
"""Name, difference, its standard error, whether it is more than luck."""


def forest(path: Path, panels: Sequence[tuple[str, Sequence[Bar]]], label: str) -> None:
    """Differences with two standard errors; right of the line is worse than what is shipped."""
    tallest = max(len(bars) for _, bars in panels)
    figure, all_axes = plt.subplots(
        1, len(panels), figsize=(3.2 + 3.6 * len(panels), 1.2 + 0.27 * tallest), layout="constrained", squeeze=False
    )
    for place, (axes, (title, bars)) in enumerate(zip(all_axes[0], panels, strict=True)):
        heights = np.arange(len(bars))[::-1]
        for height, (_, gap, error, sure) in zip(heights, bars, strict=True):
            color = "tab:gray" if not sure else "tab:red" if gap > 0 else "tab:green"
            axes.errorbar(gap, height, xerr=2 * error, fmt="o", markersize=4, color=color, capsize=2)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(heights, [bar[0] for bar in bars] if place == 0 else [""] * len(bars))
        axes.set(title=title, xlabel=label)
        axes.grid(alpha=0.3, axis="x")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def curves(path: Path, panels: Sequence[tuple[str, Floats, Mapping[str, Floats]]], x_label: str, y_label: str) -> None:
    """Means with standard errors; a panel is its title, the (places,) x and (seeds, places) values by name."""
    figure, all_axes = plt.subplots(1, len(panels), figsize=(5.2 * len(panels), 4), layout="constrained", squeeze=False)
    for axes, (title, x, lines) in zip(all_axes[0], panels, strict=True):
        for name, values in lines.items():
            mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / len(values) ** 0.5
            (line,) = axes.plot(x, mean, label=name)
            axes.fill_between(x, mean - error, mean + error, alpha=0.25, color=line.get_color(), linewidth=0)
        axes.set(title=title, xlabel=x_label, ylabel=y_label, yscale="log")
        axes.set_ylim(bottom=0.005)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)
