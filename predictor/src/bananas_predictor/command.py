"""The `bananas` command: searches on a laptop, without a cluster. It parses what a person gives and shows what came out."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bananas_core.api.search import Strategy
from bananas_core.spaces import Space
from bananas_predictor import loop
from bananas_predictor.errors import InputError, PredictorError
from bananas_predictor.evaluation.table import Evaluated, TableEvaluation
from bananas_predictor.lines import proposal_line, read_records
from bananas_predictor.report import Run, SearchReport, versions
from bananas_predictor.search import Search
from bananas_predictor.spaces import SPACES
from bananas_predictor.strategies import STRATEGIES
from bananas_tables import Table, load_table
from bananas_tables.errors import TableError

app = typer.Typer(help="Neural architecture search with BANANAS (arXiv 1910.11858).", no_args_is_help=True)

SpaceOption = Annotated[str, typer.Option("--space", help=f"Search space: {', '.join(SPACES)}.")]
StrategyOption = Annotated[str, typer.Option("--strategy", help=f"{', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of every random choice.")]


@app.command()
def search(
    space: SpaceOption,
    table: Annotated[
        Path | None, typer.Option(help="Benchmark table. Unset: the toy table that comes with Bananas.")
    ] = None,
    strategy: StrategyOption = "bananas",
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="Architectures to look up in a run.")] = 150,
    seeds: Annotated[int, typer.Option(min=1, max=100_000, help="Runs, with seeds SEED, SEED + 1, ...")] = 1,
    seed: SeedOption = 0,
    json: Annotated[Path | None, typer.Option("--json", help="File for all trials of all runs, as JSON.")] = None,
) -> None:
    """Searches a space against a benchmark table, in this process."""
    settings = _strategy(strategy)
    if json is not None and not json.absolute().parent.is_dir():
        raise typer.BadParameter(f"{json.parent} is no folder; want a file in one that is there", param_hint="--json")
    tabulated = _table(_space(space), table)
    runs: list[Run] = []
    console = Console(stderr=True)
    with _progress(console) as progress:
        bar = progress.add_task("", total=trials * seeds, best="")
        for number in range(seed, seed + seeds):
            best = 0.0

            def advance(evaluated: Evaluated, number: int = number) -> None:
                nonlocal best
                best = max(best, evaluated.entry.validation_accuracy)
                progress.update(bar, advance=1, description=f"seed {number}", best=f"best {100 * best:.2f} %")

            evaluation = TableEvaluation(tabulated, settings, number, trials, advance)
            try:
                asyncio.run(loop.run(evaluation))
            except TableError as error:
                raise _fail(str(error)) from error
            if evaluation.exhausted:
                progress.console.print(
                    f"seed {number}: no architecture of {space} is left that was not tried; "
                    f"ended after {len(evaluation.evaluated)} of {trials} trials"
                )
            runs.append(Run.of(number, evaluation.evaluated))
    report = SearchReport(
        space=tabulated.space,
        strategy=settings.name,
        settings={**settings.to_kubernetes(), "trials": trials},
        versions=versions(),
        table=tabulated.source,
        runs=tuple(runs),
    )
    if json is not None:
        try:
            json.write_text(report.to_json())
        except OSError as error:
            raise _fail(f"--json {json}: {error.strerror}") from error
    Console().print(report.summary())


@app.command()
def propose(
    space: SpaceOption,
    trials: Annotated[
        Path | None, typer.Option(help="What was tried, as JSON lines; - is standard input. Unset: nothing yet.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Proposals wanted.")] = 1,
    strategy: StrategyOption = "bananas",
    seed: SeedOption = 0,
) -> None:
    """Proposes architectures: what was tried goes in as JSON lines, what to try next comes out.

    A line in has index, architecture (one line of text, or the object) and, once there is a result, validation_accuracy (a
    fraction); failed: true marks a trial without one. A line out is a line in once its accuracy is put into it.
    """
    settings = _strategy(strategy)
    name = _space(space)
    try:
        records = () if trials is None else read_records(name, _read(trials), str(trials))
        asked = Search(name, settings, seed, records)
        proposals = asked.ask(count)
    except PredictorError as error:
        raise _fail(str(error)) from error
    for proposal in proposals:
        print(proposal_line(proposal))
    if asked.exhausted:
        raise _fail(f"no architecture of {space} is left that was not proposed; {len(proposals)} of {count} given")
    if len(proposals) < count:
        _say(
            f"{len(proposals)} of {count} given: the predictor waits for results of the {settings.initial_trials} "
            "initial trials, which are random"
        )


def _space(text: str) -> Space:
    for space in SPACES:
        if space == text:
            return space
    raise typer.BadParameter(f"{text!r} is no search space; one of {', '.join(SPACES)}", param_hint="--space")


def _strategy(text: str) -> Strategy:
    for name in STRATEGIES:
        if name == text:
            return Strategy(name=name)
    raise typer.BadParameter(f"{text!r} is no strategy; one of {', '.join(STRATEGIES)}", param_hint="--strategy")


def _table(space: Space, path: Path | None) -> Table:
    try:
        return load_table(space, path)
    except TableError as error:
        raise _fail(str(error)) from error


def _read(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--trials {path}: {error}; want a file of JSON lines, or - for standard input") from error


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[best]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _fail(text: str) -> typer.Exit:
    _say(f"error: {text}")
    return typer.Exit(1)
