"""The `bananas` command: searches on a laptop, without a cluster. It parses what a person gives and shows what came out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bananas_core.api.search import Strategy
from bananas_predictor import options, plots
from bananas_predictor.asking import Question, accuracies_of, network_shape
from bananas_predictor.conversion import convert_nasbench101, convert_nasbench201
from bananas_predictor.errors import InputError, PredictorError
from bananas_predictor.evaluation.table import Evaluated
from bananas_predictor.lines import proposal_line, read_records
from bananas_predictor.options import (
    EntryPointOption,
    EpochsOption,
    EvaluatorOption,
    JsonOption,
    MaxMultiplyAddsOption,
    MaxParametersOption,
    OneRunOption,
    ResumeOption,
    SeedOption,
    SeedsOption,
    SetOption,
    SpaceOption,
    StrategyOption,
    TableOption,
    TrialsOption,
)
from bananas_predictor.report import AssessReport, CompareReport, SearchReport, read_report, write_whole
from bananas_predictor.runs import Finished, empty_report, run_seeds
from bananas_predictor.search import Search
from bananas_predictor.spaces import SearchSpace
from bananas_predictor.spaces.custom import told
from bananas_predictor.strategies import STRATEGIES
from bananas_tables import Table
from bananas_tables.errors import TableError

R = TypeVar("R", bound=BaseModel)

app = typer.Typer(help="Neural architecture search with BANANAS (arXiv 1910.11858).", no_args_is_help=True)


@app.command()
def search(
    space: SpaceOption,
    table: TableOption = None,
    strategy: StrategyOption = "bananas",
    set_: SetOption = None,
    trials: TrialsOption = 150,
    seeds: SeedsOption = 1,
    seed: SeedOption = 0,
    json: JsonOption = None,
    resume: ResumeOption = False,
    epochs: EpochsOption = None,
    one_run: OneRunOption = False,
    space_entry_point: EntryPointOption = None,
    evaluator: EvaluatorOption = None,
    max_parameters: MaxParametersOption = None,
    max_multiply_adds: MaxMultiplyAddsOption = None,
) -> None:
    """Searches a space against a benchmark table, in this process. Ctrl-C keeps what was done."""
    (settings,) = options.strategies_named([strategy], set_ or [])
    options.check_json(json)
    asked = _asked(
        Question(options.space_named(space), space_entry_point, max_parameters, max_multiply_adds),
        table,
        evaluator,
        epochs,
    )
    known = _known(json, resume, SearchReport)
    with _progress() as progress:
        done = _run(progress, asked, settings, trials, range(seed, seed + seeds), known, one_run)
    if json is not None:
        _write(json, done.report.to_json())
    _show([done])
    _end(done, json, kept=bool(done.report.runs))


@app.command()
def compare(
    space: SpaceOption,
    table: TableOption = None,
    strategies: Annotated[str, typer.Option(help=f"Of {', '.join(STRATEGIES)}; commas between.")] = ",".join(
        STRATEGIES
    ),
    set_: SetOption = None,
    trials: TrialsOption = 150,
    seeds: SeedsOption = 10,
    seed: SeedOption = 0,
    json: JsonOption = None,
    plot: Annotated[Path | None, typer.Option(help="File for the trajectories: .svg, .png or .pdf.")] = None,
    resume: ResumeOption = False,
    epochs: EpochsOption = None,
    one_run: OneRunOption = False,
    space_entry_point: EntryPointOption = None,
    evaluator: EvaluatorOption = None,
    max_parameters: MaxParametersOption = None,
    max_multiply_adds: MaxMultiplyAddsOption = None,
) -> None:
    """Runs several strategies with the same seeds and shows the best validation error over the trials."""
    chosen = options.strategies_named([name.strip() for name in strategies.split(",")], set_ or [])
    options.check_json(json)
    asked = _asked(
        Question(options.space_named(space), space_entry_point, max_parameters, max_multiply_adds),
        table,
        evaluator,
        epochs,
    )
    known = _known(json, resume, CompareReport)
    options.check_plot(plot)
    before = {report.strategy: report for report in known.reports} if known is not None else {}
    _check_same(
        asked, [(settings, before[settings.name]) for settings in chosen if settings.name in before], trials, one_run
    )
    finished: list[Finished] = []
    with _progress() as progress:
        for settings in chosen:
            known_of = before.pop(settings.name, None)
            done = _run(progress, asked, settings, trials, range(seed, seed + seeds), known_of, one_run)
            finished.append(done)
            if done.interrupted or done.failure:
                break
    if json is not None:  # what is known of strategies that were not reached, or not asked for, stays
        _write(json, CompareReport(reports=(*(one.report for one in finished), *before.values())).to_json())
    _show(finished)
    curves = CompareReport(reports=tuple(one.whole for one in finished)).curves()
    if plot is not None and curves:
        plots.trajectories(plot, f"{space}, {asked.table.source}", "best validation error so far, %", curves)
    _end(done, json, kept=any(one.report.runs for one in finished))


@app.command()
def assess(
    space: SpaceOption,
    table: TableOption = None,
    train_sizes: Annotated[str, typer.Option(help="Numbers of training architectures; commas between.")] = "20,100,500",
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Draws of training and test architectures.")] = 5,
    seed: SeedOption = 0,
    json: Annotated[Path | None, typer.Option("--json", help="File for the figures, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="File for predicted against measured: .svg, .png or .pdf.")] = None,
    epochs: EpochsOption = None,
    space_entry_point: EntryPointOption = None,
) -> None:
    """How well the predictors foretell architectures that they have not seen: errors and rank correlations."""
    from bananas_predictor import assessment  # noqa: PLC0415 - torch, which the other commands need later or not at all

    sizes = options.sizes(train_sizes)
    options.check_json(json)
    asked = _asked(Question(options.space_named(space), space_entry_point), table, None, epochs)
    tabulated = asked.table
    options.check_plot(plot)
    if len(tabulated) < max(sizes) + assessment.TEST_ROWS:
        raise options.fail(
            f"--train-sizes: {max(sizes)} and {assessment.TEST_ROWS} to test; the table has {len(tabulated)} rows"
        )
    with _progress() as progress:
        bar = progress.add_task("fits", total=len(assessment.PREDICTORS) * len(sizes) * repeats, best="")
        with _errors_told(space):
            done = assessment.assess(
                asked.space, tabulated, sizes, repeats, seed, lambda: progress.update(bar, advance=1)
            )
    settings = asked.question.settings | assessment.settings(sizes, repeats)
    report = AssessReport.of(tabulated, seed, settings, done.found)
    if json is not None:
        _write(json, report.to_json())
    Console().print(report.summary())
    if plot is not None and done.found:
        panels = [(f"{one.predictor}, {one.train_size}", *one.example) for one in done.found]
        plots.scatter(plot, f"{space}, {tabulated.source}", panels)
    if done.interrupted:
        options.say("interrupted" + (f"; what was done is in {json}" if json else ""))
        raise typer.Exit(130)


@app.command()
def propose(
    space: SpaceOption,
    trials: Annotated[
        Path | None, typer.Option(help="What was tried, as JSON lines; - is standard input. Unset: nothing yet.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Proposals wanted.")] = 1,
    strategy: StrategyOption = "bananas",
    set_: SetOption = None,
    seed: SeedOption = 0,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Trainings of every architecture.")] = 1,
    space_entry_point: EntryPointOption = None,
    max_parameters: MaxParametersOption = None,
    max_multiply_adds: MaxMultiplyAddsOption = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Of the networks that are bounded. Unset: as published.")
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Cells of them. Unset: as published.")] = None,
    classes: Annotated[int, typer.Option(min=2, help="Classes that they tell apart.")] = 10,
    image_size: Annotated[int, typer.Option(min=1, help="Side of their images, in pixels.")] = 32,
) -> None:
    """Proposes architectures: what was tried goes in as JSON lines, what to try next comes out.

    A line in has index, architecture (one line of text, or the object) and, once there is a result, validation_accuracy (a
    fraction); failed: true marks a trial without one. A line out is a line in once its accuracy is put into it.
    """
    (settings,) = options.strategies_named([strategy], set_ or [])
    question = Question(options.space_named(space), space_entry_point, max_parameters, max_multiply_adds)
    with _errors_told(space):
        records = () if trials is None else read_records(question.name, _read(trials), str(trials))
        given = question.bounded(
            question.unbounded(), network_shape(question.name, channels, layers, classes, image_size)
        )
        asked = Search(given, settings, seed, records, repeats=repeats)
        proposals = asked.ask(count)
    for proposal in proposals:
        print(proposal_line(proposal))
    if asked.exhausted:
        raise options.fail(f"{asked.why_exhausted}; {len(proposals)} of {count} given")
    if len(proposals) < count:
        options.say(
            f"{len(proposals)} of {count} given: the predictor waits for results of the {settings.initial_trials} "
            "initial trials, which are random"
        )


app.command()(convert_nasbench101)
app.command()(convert_nasbench201)


@dataclass(frozen=True)
class _Asked:
    """What is searched, and who knows the accuracies."""

    question: Question
    space: SearchSpace
    table: Table


def _asked(question: Question, table: Path | None, evaluator: str | None, epochs: int | None) -> _Asked:
    with _errors_told(question.name):
        space = question.unbounded()
        return _Asked(question, question.bounded(space), accuracies_of(space, table, evaluator, epochs))


@contextmanager
def _errors_told(space: str) -> Iterator[None]:
    """Ends the command with what is wrong; a space of a person's may raise anything, and not end it as if all were well."""
    try:
        yield
    except (TableError, PredictorError) as error:
        raise options.fail(str(error)) from error
    except (Exception, SystemExit) as error:
        if space != "custom":  # a defect of ours
            raise
        raise options.fail(f"--space custom: {told(error)}") from error


def _run(
    progress: Progress,
    asked: _Asked,
    strategy: Strategy,
    trials: int,
    seeds: range,
    known: SearchReport | None,
    one_run: bool,
) -> Finished:
    """All seeds of a strategy, with a bar."""
    bar = progress.add_task(strategy.name, total=trials * len(seeds), best="")
    best: dict[int, float] = {}

    def advance(seed: int, evaluated: Evaluated) -> None:
        best[seed] = max(best.get(seed, 0.0), evaluated.entry.validation_accuracy)
        text = f"{strategy.name}, seed {seed}"
        progress.update(bar, advance=1, description=text, best=f"best {100 * best[seed]:.2f} %")

    if known is not None:
        progress.update(bar, advance=trials * sum(known.complete(seed) is not None for seed in seeds))
    try:
        done = run_seeds(
            *(asked.table, strategy, trials, seeds, advance, known),
            one_run=one_run,
            space=asked.space,
            settings=asked.question.settings,
        )
    except PredictorError as error:
        raise options.fail(str(error)) from error
    ended = {run.seed: len(run.trials) for run in done.report.runs}
    for seed in done.exhausted:
        progress.console.print(
            f"seed {seed}: {done.why_exhausted}; ended after {ended.get(seed, 0)} of {trials} trials"
        )
    return done


def _check_same(asked: _Asked, known: list[tuple[Strategy, SearchReport]], trials: int, one_run: bool) -> None:
    """Before the first strategy: what it finds would be lost if the file turned out to be of another search at the second."""
    try:
        for strategy, report in known:
            report.check_same(
                empty_report(asked.table, strategy, trials, one_run=one_run, settings=asked.question.settings)
            )
    except PredictorError as error:
        raise options.fail(str(error)) from error


def _known(path: Path | None, resume: bool, kind: type[R]) -> R | None:
    """What an earlier call has written."""
    if not resume:
        return None
    if path is None:
        raise typer.BadParameter("needs --json, the file to go on from", param_hint="--resume")
    if not path.exists():
        return None
    try:
        return read_report(path, kind)
    except InputError as error:
        raise options.fail(str(error)) from error


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise options.fail(f"--json {path}: {error.strerror}") from error


def _show(finished: list[Finished]) -> None:
    for done in finished:
        if done.shown.runs:
            Console().print(done.shown.summary())


def _end(done: Finished, path: Path | None, *, kept: bool) -> None:
    """Says what cut it off, if anything did; `kept`: whether there is something to go on from."""
    how = f"; what was done is in {path}, and --resume goes on from it" if path and kept else ""
    if done.exhausted and not done.report.runs:
        raise options.fail(f"nothing to try: {done.why_exhausted}")
    if done.failure:
        raise options.fail(done.failure + how)
    if done.interrupted:
        options.say("interrupted" + how)
        raise typer.Exit(130)


def _read(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--trials {path}: {error}; want a file of JSON lines, or - for standard input") from error


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[best]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
