"""`bananas-trainer`: training and describing an architecture from a terminal. Data enters here from flags and files.

It trains by the same code as a trial's container (`attempt.py`). torch is loaded by the commands that need it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bananas_core.api.recipe import Recipe
from bananas_core.attempt import Attempt, write_atomically
from bananas_core.contract import ATTEMPT_FILE, Report, TrialFile
from bananas_core.errors import ArchitectureError, AttemptError, ContractError
from bananas_core.spaces import Architecture
from bananas_core.spaces.darts import DartsArchitecture
from bananas_core.spaces.drawing import draw
from bananas_trainer.attempt import train_attempt
from bananas_trainer.epoch import EpochRecord, Tell
from bananas_trainer.errors import CheckpointUnusable, RecipeInvalid
from bananas_trainer.genotypes import NAMED, find_genotype
from bananas_trainer.interruption import Interruption, hold_signals
from bananas_trainer.log import log, log_epoch, log_for_a_person, log_for_machines

app = typer.Typer(help="Trains and describes architectures.", no_args_is_help=True, pretty_exceptions_enable=False)

_USAGE: Final = 2
_INTERRUPTED_BY_KEYBOARD: Final = 130
_TRIAL_FILE: Final = "trial.json"

GenotypeOption = Annotated[str, typer.Option(help=f"{', '.join(NAMED)} or a file that holds one.")]


@app.command()
def train(
    genotype: GenotypeOption,
    out: Annotated[
        Path, typer.Option(help="Directory for checkpoints, weights and report; goes on with what is there.")
    ],
    data: Annotated[str, typer.Option(help="digits, or an npz file with x_train, y_train, x_test, y_test.")] = "digits",
    recipe: Annotated[Path | None, typer.Option(help="YAML or JSON file with fields of spec.trial.recipe.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A field of the recipe: --set epochs=10.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
) -> None:
    """Trains an architecture and reports its validation accuracy."""
    hold_signals()
    with _errors_told():
        architecture = Architecture.of(_genotype(genotype))
        fields = {**_recipe_file(recipe), **_recipe_fields(set_ or [])}
        attempt = _attempt(architecture, _recipe(fields, data), data, out, seed)
        interruption = Interruption(
            lambda: _complain("ended by SIGTERM; the same command goes on after the last epoch")
        )
        with _epochs_shown(attempt.trial) as listener:
            report = attempt.finished_report() or train_attempt(attempt, [listener], interruption.disarm)
        _show_report(report, out)


@app.command()
def describe(
    genotype: GenotypeOption,
    channels: Annotated[int, typer.Option(min=1, max=1024, help="Channels of the first cells.")] = 36,
    layers: Annotated[int, typer.Option(min=1, max=200, help="Cells.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Counts parameters and multiply-adds for 10 classes of 32 x 32 images, and draws the cells."""
    with _errors_told():
        architecture = _genotype(genotype)

    from bananas_trainer.networks.counting import measure  # noqa: PLC0415 - loads torch
    from bananas_trainer.networks.darts import DartsNetwork  # noqa: PLC0415

    network = DartsNetwork(architecture, channels=channels, layers=layers, classes=10, auxiliary=True)
    size = measure(network, (3, 32, 32))
    facts = {
        "genotype": genotype,
        "channels": channels,
        "layers": layers,
        "parameters": size.parameters,
        "auxiliary_parameters": size.auxiliary_parameters,
        "multiply_adds": size.multiply_adds,
    }
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    table = Table(show_header=False, box=None)
    for name, fact in facts.items():
        table.add_row(name.replace("_", " "), f"{fact:,}" if isinstance(fact, int) else str(fact))
    console = Console(highlight=False)
    console.print(table)
    console.print()
    console.print(draw(Architecture.of(architecture)), markup=False, no_wrap=True, overflow="ignore", crop=False)


def _genotype(name_or_file: str) -> DartsArchitecture:
    try:
        return find_genotype(name_or_file)
    except ArchitectureError as error:
        _refuse(str(error))


def _recipe_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        _refuse(f"recipe file {path}: not a readable YAML or JSON file ({error})")
    if not isinstance(fields, dict):
        _refuse(f"recipe file {path}: want fields of a recipe, such as 'epochs: 10'")
    return fields


def _recipe_fields(settings: list[str]) -> dict[str, Any]:
    fields = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            _refuse(f"--set {setting}: want FIELD=VALUE, such as epochs=10")
        fields[name] = yaml.safe_load(value)
    return fields


def _recipe(fields: dict[str, Any], data: str) -> Recipe:
    source = {"dataset": "digits", "file": None} if data == "digits" else {"dataset": "npz", "file": Path(data).name}
    try:
        return Recipe.model_validate({**fields, **source})
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeInvalid(f"recipe.{'.'.join(map(str, first['loc']))}: {first['input']!r}: {first['msg']}") from error


def _attempt(architecture: Architecture, recipe: Recipe, data: str, out: Path, seed: int) -> Attempt:
    """The training as an attempt of a trial, whose file goes to the directory.

    Its UID follows from what is trained, so the same command goes on with the same directory, and another is refused there.
    """
    identity = "\n".join([architecture.canonical_json(), recipe.model_dump_json(), str(seed)])
    trial = TrialFile(
        namespace="local",
        search="local",
        trial="local",
        trial_uid=sha256(identity.encode()).hexdigest()[:32],
        attempt=1,
        architecture=architecture,
        seed=seed,
        recipe=recipe,
        data_dir=str(Path(data).parent),
        checkpoint_dir=str(out),
        termination_file=str(out / "message.json"),
    )
    path = out / _TRIAL_FILE
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.exists():
            earlier = TrialFile.read(path.read_text(encoding="utf-8"))
            if earlier.trial_uid != trial.trial_uid:
                raise CheckpointUnusable(f"--out {out}: holds another training ({path}); want a directory of its own")
            started = out / ATTEMPT_FILE
            trial = trial.model_copy(update={"attempt": int(started.read_text()) + 1 if started.exists() else 1})
        write_atomically(path, trial.model_dump_json(by_alias=True, exclude_none=True) + "\n")
    except OSError as error:
        raise CheckpointUnusable(
            f"--out {out}: {error.strerror}; want a directory that may be written, or none yet"
        ) from error
    except (ContractError, ValueError) as error:
        raise CheckpointUnusable(f"--out {out}: holds files that are no training of this command ({error})") from error
    return Attempt.start(path)


@contextmanager
def _epochs_shown(trial: TrialFile) -> Iterator[Tell]:
    """A progress bar on a terminal, JSON lines otherwise."""
    if not sys.stdout.isatty():
        log_for_machines()
        yield log_epoch
        return
    log_for_a_person()
    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=trial.recipe.epochs if trial.recipe is not None else None)

        def tell(record: EpochRecord) -> None:
            facts = f"loss {record.loss:.4f}  validation accuracy {record.validation_accuracy:.4f}"
            progress.update(bar, completed=record.epoch, description=facts)

        yield tell


def _show_report(report: Report, out: Path) -> None:
    if sys.stdout.isatty():
        Console().print(f"validation accuracy {report.validation_accuracy:.4f}; weights and report are in {out}")
    else:
        log("report", **report.model_dump(by_alias=True, exclude_none=True))


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except AttemptError as error:
        _complain(str(error))
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        _complain("interrupted; the same command goes on after the last epoch")
        raise typer.Exit(_INTERRUPTED_BY_KEYBOARD) from error


def _refuse(message: str) -> NoReturn:
    _complain(message)
    raise typer.Exit(_USAGE)


def _complain(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
