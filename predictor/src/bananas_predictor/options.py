"""The options that the `bananas` commands share, and what a person gives as one, parsed. Called by `command`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError

from bananas_core.api.search import Strategy, StrategyName
from bananas_core.spaces import Space
from bananas_predictor import plots
from bananas_predictor.errors import InputError
from bananas_predictor.strategies import STRATEGIES
from bananas_predictor.strategies.effective import HEEDED

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
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="A setting of the strategy, again and again: --set acquisition=ei --set candidates=200."
    ),
]
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


def space_named(text: str) -> Space:
    """The space of --space."""
    spaces: tuple[Space, ...] = get_args(Space)
    for space in spaces:
        if space == text:
            return space
    raise typer.BadParameter(f"{text!r} is no search space; one of {', '.join(spaces)}", param_hint="--space")


def strategies_named(names: Sequence[str], settings: Sequence[str]) -> list[Strategy]:
    """The strategies of some names, each with those of the settings of --set that it has; a setting that none has is refused."""
    chosen = [_strategy_name(name) for name in names]
    fields = dict(map(_setting, settings))
    for field in fields:
        if not any(field in HEEDED[name] for name in chosen):
            known = {name: ", ".join(HEEDED[name]) or "no settings" for name in chosen}
            has = "; ".join(f"{name} has {fields}" for name, fields in known.items())
            raise typer.BadParameter(f"{field}: no such setting; {has}", param_hint="--set")
    return [_strategy(name, {field: fields[field] for field in HEEDED[name] if field in fields}) for name in chosen]


def sizes(text: str) -> list[int]:
    """The numbers of --train-sizes."""
    read = [int(part) for part in text.split(",") if part.strip().isdecimal() and 2 <= int(part) <= 10_000]
    if not read or len(read) != len(text.split(",")):
        raise typer.BadParameter(
            f"{text!r}; want numbers from 2 to 10000 with commas between", param_hint="--train-sizes"
        )
    return read


def check_json(path: Path | None) -> None:
    """Before anything is computed."""
    if path is not None and not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"{path.parent} is no folder; want a file in one that is there", param_hint="--json")


def check_plot(path: Path | None) -> None:
    """Before anything is computed."""
    if path is None:
        return
    try:
        plots.check(path, "--plot")
    except InputError as error:
        raise fail(str(error)) from error


def say(text: str) -> None:
    """For a person, beside what goes to standard output."""
    print(text, file=sys.stderr)


def fail(text: str) -> typer.Exit:
    """To be raised; the error is shown."""
    say(f"error: {text}")
    return typer.Exit(1)


def _strategy_name(text: str) -> StrategyName:
    for name in STRATEGIES:
        if name == text:
            return name
    raise typer.BadParameter(f"{text!r} is no strategy; one of {', '.join(STRATEGIES)}", param_hint="--strategy")


def _strategy(name: StrategyName, fields: dict[str, Any]) -> Strategy:
    try:
        return Strategy.model_validate({"name": name, **fields})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise typer.BadParameter(f"{field}: {first['input']!r}: {first['msg']}", param_hint="--set") from error


def _setting(text: str) -> tuple[str, Any]:
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise typer.BadParameter(f"{text!r}; want FIELD=VALUE, as acquisition=ei", param_hint="--set")
    field = next((str(info.alias) for own, info in Strategy.model_fields.items() if own == field), field)
    try:
        return field, json.loads(value)
    except ValueError:
        return field, value
