"""The `bananas` command: searches on a laptop, without a cluster. It parses what a person gives and shows what came out."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bananas_core.api.search import Strategy
from bananas_core.spaces import Space
from bananas_predictor import plots
from bananas_predictor.asking import Question, accuracies_of, network_shape
from bananas_predictor.conversion import convert_nasbench101, convert_nasbench201
from bananas_predictor.errors import InputError, PredictorError
from bananas_predictor.evaluation.table import Evaluated
from bananas_predictor.lines import proposal_line, read_records
from bananas_predictor.report import AssessReport, CompareReport, SearchReport, read_report, write_whole
from bananas_predictor.runs import Finished, run_seeds
from bananas_predictor.search import Search
from bananas_predictor.spaces import SearchSpace
from bananas_predictor.strategies import STRATEGIES
from bananas_tables import Table
from bananas_tables.errors import TableError

R = TypeVar("R", bound=BaseModel)

app = typer.Typer(help="Neural architecture search with BANANAS (arXiv 1910.11858).", no_args_is_help=True)

SpaceOption = Annotated[str, typer.Option("--space", help=f"Search space: {', '.join(get_args(Space))}.")]
EntryPointOption = Annotated[
    str | None,
    typer.Option("--space-entry-point", help="For --space custom: your space, as package.module:Name."),
]
EvaluatorOption = Annotated[
    str | None,
    typer.Option(
        "--evaluator",
        help="Instead of a table: your function of an architecture, as package.module:name, that returns its validation "
        "accuracy from 0 to 1.",
    ),
]
MaxParametersOption = Annotated[
    int | None, typer.Option("--max-parameters", min=1, help="Propose no network with more parameters.")
]
MaxMultiplyAddsOption = Annotated[
    int | None, typer.Option("--max-multiply-adds", min=1, help="Propose no network with more multiply-adds an image.")
]
StrategyOption = Annotated[str, typer.Option("--strategy", help=f"{', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of every random choice.")]
TableOption = Annotated[
    Path | None, typer.Option("--table", help="Benchmark table. Unset: the toy table that comes with Bananas.")
]
EpochsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Budget, of a converted NASBench-101 table that has several. Unset: the largest."),
]
OneRunOption = Annotated[
    bool,
    typer.Option("--one-run", help="Each look-up sees one training, drawn with the seed; not the mean of them."),
]
TrialsOption = Annotated[int, typer.Option("--trials", min=1, max=100_000, help="Architectures to look up in a run.")]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, max=100_000, help="Runs, with seeds SEED, SEED + 1, ...")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="File for all trials of all runs, as JSON.")]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on from the file of --json: runs that are whole in it are not done again.")
]


@app.command()
def search(
    space: SpaceOption,
    table: TableOption = None,
    strategy: StrategyOption = "bananas",
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
    settings = _strategy(strategy)
    _check_json(json)
    asked = _asked(
        Question(_space(space), space_entry_point, max_parameters, max_multiply_adds), table, evaluator, epochs
    )
    known = _known(json, resume, SearchReport)
    with _progress() as progress:
        done = _run(progress, asked, settings, trials, range(seed, seed + seeds), known, one_run)
    if json is not None:
        _write(json, done.report.to_json())
    _show([done.report])
    _end(done, json)


@app.command()
def compare(
    space: SpaceOption,
    table: TableOption = None,
    strategies: Annotated[str, typer.Option(help=f"Of {', '.join(STRATEGIES)}; commas between.")] = ",".join(
        STRATEGIES
    ),
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
    chosen = [_strategy(name.strip()) for name in strategies.split(",")]
    _check_json(json)
    asked = _asked(
        Question(_space(space), space_entry_point, max_parameters, max_multiply_adds), table, evaluator, epochs
    )
    known = _known(json, resume, CompareReport)
    if plot is not None:
        _checked_plot(plot)
    reports: list[SearchReport] = []
    with _progress() as progress:
        for settings in chosen:
            before = next((r for r in known.reports if r.strategy == settings.name), None) if known else None
            done = _run(progress, asked, settings, trials, range(seed, seed + seeds), before, one_run)
            reports.append(done.report)
            if done.interrupted or done.failure:
                break
    report = CompareReport(reports=tuple(reports))
    if json is not None:
        _write(json, report.to_json())
    _show(reports)
    if plot is not None and report.curves():
        plots.trajectories(plot, f"{space}, {asked.table.source}", "best validation error so far, %", report.curves())
    _end(done, json)


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

    sizes = _sizes(train_sizes)
    _check_json(json)
    asked = _asked(Question(_space(space), space_entry_point), table, None, epochs)
    tabulated = asked.table
    if plot is not None:
        _checked_plot(plot)
    if len(tabulated) < max(sizes) + assessment.TEST_ROWS:
        raise _fail(
            f"--train-sizes: {max(sizes)} and {assessment.TEST_ROWS} to test; the table has {len(tabulated)} rows"
        )
    with _progress() as progress:
        bar = progress.add_task("fits", total=len(assessment.PREDICTORS) * len(sizes), best="")
        try:
            found = assessment.assess(
                asked.space, tabulated, sizes, repeats, seed, lambda: progress.update(bar, advance=1)
            )
        except TableError as error:
            raise _fail(str(error)) from error
    report = AssessReport.of(tabulated, seed, found)
    if json is not None:
        _write(json, report.to_json())
    Console().print(report.summary())
    if plot is not None:
        panels = [(f"{one.predictor}, {one.train_size}", *one.example) for one in found]
        plots.scatter(plot, f"{space}, {tabulated.source}", panels)


@app.command()
def propose(
    space: SpaceOption,
    trials: Annotated[
        Path | None, typer.Option(help="What was tried, as JSON lines; - is standard input. Unset: nothing yet.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Proposals wanted.")] = 1,
    strategy: StrategyOption = "bananas",
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
    settings = _strategy(strategy)
    question = Question(_space(space), space_entry_point, max_parameters, max_multiply_adds)
    try:
        records = () if trials is None else read_records(question.name, _read(trials), str(trials))
        given = question.bounded(
            question.unbounded(), network_shape(question.name, channels, layers, classes, image_size)
        )
        asked = Search(given, settings, seed, records, repeats=repeats)
        proposals = asked.ask(count)
    except PredictorError as error:
        raise _fail(str(error)) from error
    for proposal in proposals:
        print(proposal_line(proposal))
    if asked.exhausted:
        raise _fail(f"{asked.why_exhausted}; {len(proposals)} of {count} given")
    if len(proposals) < count:
        _say(
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
    try:
        space = question.unbounded()
        return _Asked(question, question.bounded(space), accuracies_of(space, table, evaluator, epochs))
    except (TableError, PredictorError) as error:
        raise _fail(str(error)) from error


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
        raise _fail(str(error)) from error
    ended = {run.seed: len(run.trials) for run in done.report.runs}
    for seed in done.exhausted:
        progress.console.print(
            f"seed {seed}: {done.why_exhausted}; ended after {ended.get(seed, 0)} of {trials} trials"
        )
    return done


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
        raise _fail(str(error)) from error


def _sizes(text: str) -> list[int]:
    sizes = [int(part) for part in text.split(",") if part.strip().isdecimal() and 2 <= int(part) <= 10_000]
    if not sizes or len(sizes) != len(text.split(",")):
        raise typer.BadParameter(
            f"{text!r}; want numbers from 2 to 10000 with commas between", param_hint="--train-sizes"
        )
    return sizes


def _check_json(path: Path | None) -> None:
    if path is not None and not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"{path.parent} is no folder; want a file in one that is there", param_hint="--json")


def _checked_plot(path: Path) -> None:
    try:
        plots.check(path, "--plot")
    except InputError as error:
        raise _fail(str(error)) from error


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise _fail(f"--json {path}: {error.strerror}") from error


def _show(reports: list[SearchReport]) -> None:
    for report in reports:
        if report.runs:
            Console().print(report.summary())


def _end(done: Finished, path: Path | None) -> None:
    """Says what cut it off, if anything did."""
    kept = f"; what was done is in {path}, and --resume goes on from it" if path else ""
    if done.exhausted and not done.report.runs:
        raise _fail(f"nothing to try: {done.why_exhausted}")
    if done.failure:
        raise _fail(done.failure + (kept if done.report.runs else ""))
    if done.interrupted:
        _say("interrupted" + kept)
        raise typer.Exit(130)


def _space(text: str) -> Space:
    spaces: tuple[Space, ...] = get_args(Space)
    for space in spaces:
        if space == text:
            return space
    raise typer.BadParameter(f"{text!r} is no search space; one of {', '.join(spaces)}", param_hint="--space")


def _strategy(text: str) -> Strategy:
    for name in STRATEGIES:
        if name == text:
            return Strategy(name=name)
    raise typer.BadParameter(f"{text!r} is no strategy; one of {', '.join(STRATEGIES)}", param_hint="--strategy")


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


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _fail(text: str) -> typer.Exit:
    _say(f"error: {text}")
    return typer.Exit(1)
