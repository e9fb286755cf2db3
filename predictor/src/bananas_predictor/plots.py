"""Figures of `bananas compare` and `bananas assess`, as SVG, PNG or whatever else the name of the file asks for.

Called by `command`. matplotlib is imported when a plot is asked for and not before: the pod needs none, and has none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bananas_predictor.errors import InputError

FORMATS: Final = (".svg", ".png", ".pdf")
Floats = NDArray[np.float64]


def check(path: Path, option: str) -> None:
    """Before anything is computed.

    Raises:
        InputError: the file could not be written, or matplotlib is missing.
    """
    if path.suffix not in FORMATS:
        raise InputError(f"{option} {path}: want a name that ends in {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{option} {path}: {path.parent} is no folder; want a file in one that is there")
    _pyplot()


def trajectories(path: Path, title: str, label: str, curves: Mapping[str, Floats]) -> None:
    """Means with standard errors over the trials; curves are (seeds, trials)."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, values in curves.items():
        trials = np.arange(1, values.shape[1] + 1)
        mean = values.mean(axis=0)
        error = values.std(axis=0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.zeros_like(mean)
        (line,) = axes.plot(trials, mean, label=f"{name} ({len(values)} seeds)")
        axes.fill_between(trials, mean - error, mean + error, alpha=0.25, color=line.get_color(), linewidth=0)
    axes.set(title=title, xlabel="architectures tried", ylabel=label)
    axes.set_ylim(top=float(np.quantile(np.concatenate([v.mean(axis=0) for v in curves.values()]), 0.97)))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def scatter(path: Path, title: str, panels: Sequence[tuple[str, Floats, Floats]]) -> None:
    """Predicted against measured accuracy, in percent; a panel is its title, predicted and measured."""
    pyplot = _pyplot()
    figure, all_axes = pyplot.subplots(
        1, len(panels), figsize=(3.6 * len(panels), 3.9), layout="constrained", squeeze=False
    )
    for axes, (name, predicted, measured) in zip(all_axes[0], panels, strict=True):
        low, high = np.quantile(100 * measured, [0.02, 1.0])
        axes.scatter(100 * measured, 100 * predicted, s=5, alpha=0.5)
        axes.plot([low, high], [low, high], color="black", linewidth=0.8)
        axes.set(title=name, xlabel="measured %", ylabel="predicted %", xlim=(low, high + 0.3), ylim=(low, high + 0.3))
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _pyplot() -> Any:
    try:
        import matplotlib  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - see above
    except ImportError as error:
        raise InputError(
            "plots need matplotlib, which is not installed; pip install ./core ./tables './predictor[plots]' in the checkout of "
            "Bananas, or leave --plot out"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    return pyplot
