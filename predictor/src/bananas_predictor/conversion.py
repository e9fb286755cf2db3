"""`bananas convert-nasbench101` and `convert-nasbench201`: published benchmark files become tables that a search reads at once.

Called by `command`, which adds them to its own. They only show; what is right and what is not is known to the tables.
"""

from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from bananas_tables import nasbench101_conversion, nasbench201_conversion
from bananas_tables.errors import TableError
from bananas_tables.nasbench101_runs import CELLS
from bananas_tables.nasbench201_conversion import ARCHITECTURES, DATASETS


def convert_nasbench101(
    published: Annotated[
        Path, typer.Argument(metavar="FILE", help="nasbench_only108.tfrecord or nasbench_full.tfrecord.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The table to write.")],
) -> None:
    """Makes a table of a published NASBench-101 file: every cell, run and budget, half way and final.

    Needs tensorflow, once: pip install ./core './tables[nasbench]' in the checkout. The table needs it no more.
    """
    start = monotonic()
    with _progress(DownloadColumn()) as progress:
        bar = progress.add_task(published.name, total=None)
        try:
            done = nasbench101_conversion.convert(
                published, out, lambda read, total: progress.update(bar, completed=read, total=total)
            )
        except TableError as error:
            raise typer.Exit(_fail(error)) from error
    budgets = ", ".join(map(str, done.epochs))
    print(
        f"{out}: {done.cells:,} cells, 3 runs each, {budgets} epochs, {out.stat().st_size / 1e6:.1f} MB; "
        f"{done.records:,} records read in {monotonic() - start:.0f} s"
    )
    if not done.whole:
        print(f"That is a part of the space ({CELLS:,} cells): a search will ask for cells that are not there.")
    print(f"Search it: bananas search --space nasbench101 --table {out}")


def convert_nasbench201(
    published: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="NAS-Bench-201-v1_1-096897.pth, NATS-tss-v1_0-3ffb9.pickle.pbz2, or the folder NATS-tss-v1_0-3ffb9-simple.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.csv", help="The table to write.")],
    dataset: Annotated[str, typer.Option(help=f"{', '.join(DATASETS)}.")] = "cifar10",
    epochs: Annotated[int, typer.Option(help="Budget: 12 or 200.")] = 200,
) -> None:
    """Makes a table of a published NAS-Bench-201 file, without executing what is in it: means over the seeds, as fractions."""
    start = monotonic()
    with _progress(MofNCompleteColumn()) as progress:
        bar = progress.add_task(published.name, total=None)
        try:
            architectures = nasbench201_conversion.convert(
                published, out, dataset, epochs, lambda done, total: progress.update(bar, completed=done, total=total)
            )
        except TableError as error:
            raise typer.Exit(_fail(error)) from error
    print(f"{out}: {architectures:,} architectures, {dataset}, {epochs} epochs; in {monotonic() - start:.0f} s")
    if architectures != ARCHITECTURES:
        print(
            f"That is a part of the space ({ARCHITECTURES:,}): a search will ask for architectures that are not there."
        )
    print(f"Search it: bananas search --space nasbench201 --table {out}")


def _progress(counter: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        counter,
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _fail(error: TableError) -> int:
    Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
    return 1
