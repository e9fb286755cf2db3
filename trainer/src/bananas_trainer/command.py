"""`bananas-trainer`: training, testing and describing an architecture from a terminal.

It trains by the same code as a trial's container (`attempt.py`). torch is loaded by the commands that need it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from bananas_core.errors import AttemptError, Interrupted
from bananas_core.spaces.drawing import draw
from bananas_trainer import recipes
from bananas_trainer.arguments import DIGITS, Usage, architecture_of, attempt_of, recipe_of, source_of
from bananas_trainer.attempt import train_attempt
from bananas_trainer.genotypes import NAMED
from bananas_trainer.interruption import Interruption, hold_signals
from bananas_trainer.log import log_for_a_person
from bananas_trainer.settings import Settings, share_processors
from bananas_trainer.showing import epochs_shown, show_report

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_USAGE: Final = 2
INTERRUPTED_BY_KEYBOARD: Final = 130
_ENDED_BY_KEYBOARD: Final = "interrupted; the same command goes on from the last checkpoint"
_ENDED_BY_SIGTERM: Final = "ended by SIGTERM; the same command goes on from the last checkpoint"
_MEMORY_BATCH: Final = 96  # images; the batch of the search recipe

GenotypeOption = Annotated[
    str, typer.Option(help=f"{', '.join(NAMED)}, an architecture on one line, or a file that holds one.")
]
DataOption = Annotated[
    str,
    typer.Option(
        help="digits, an npz file, a folder cifar-10-batches-py or cifar-100-python, or a folder of images as "
        "train/CLASS/NAME.png and test/CLASS/NAME.png."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
CheckpointOption = Annotated[
    Path, typer.Option(help="A state_dict of torch.save, weights.safetensors, or a directory of train.")
]


@app.callback()
def prepare() -> None:
    """Trains, tests and describes architectures."""
    share_processors()


class StemChoice(Enum):
    """First layers of a network."""

    CIFAR = "cifar"
    IMAGENET = "imagenet"


@app.command()
def train(
    genotype: GenotypeOption,
    out: Annotated[
        Path, typer.Option(help="Directory for checkpoints, weights, curve and report; goes on with what is there.")
    ],
    data: DataOption = DIGITS,
    recipe: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(recipes.NAMED)}, or a YAML or JSON file with fields of spec.trial.recipe."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A field of the recipe: --set epochs=10.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the training.")] = 0,
) -> None:
    """Trains an architecture and reports its accuracy."""
    hold_signals()
    with _errors_told(_ENDED_BY_KEYBOARD):
        architecture = architecture_of(genotype)
        source = source_of(data)
        attempt = attempt_of(architecture, recipe_of(recipe, set_ or [], source), source[1].parent, out, seed)
        interruption = Interruption(attempt.stop, lambda: _complain(_ENDED_BY_SIGTERM))
        settings = Settings.from_environment()
        with epochs_shown(attempt.trial) as listener:
            report = attempt.finished_report() or train_attempt(attempt, [listener], interruption, settings)
        show_report(report, out)


@app.command()
def evaluate(
    checkpoint: CheckpointOption,
    genotype: GenotypeOption,
    data: DataOption,
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Images at once.")] = 256,
    as_json: JsonOption = False,
) -> None:
    """Tests a trained network on the test images; published checkpoints load as they are."""
    log_for_a_person()
    with _errors_told():
        architecture = architecture_of(genotype)
        source = source_of(data)

        from bananas_trainer.examining import score_checkpoint  # noqa: PLC0415 - loads torch

        facts = score_checkpoint(checkpoint, genotype, architecture, source, batch)
    _show({"checkpoint": str(checkpoint), "genotype": genotype, **facts}, as_json)


@app.command()
def export(
    checkpoint: CheckpointOption,
    genotype: GenotypeOption,
    out: Annotated[Path, typer.Option(help="The file to write, such as bananas.pt.")],
) -> None:
    """Writes a trained network in the form of the published checkpoints: torch.save of its state_dict."""
    with _errors_told():
        architecture = architecture_of(genotype)

        from bananas_trainer.examining import export_checkpoint  # noqa: PLC0415 - loads torch

        tensors = export_checkpoint(checkpoint, genotype, architecture, out)
    Console(highlight=False).print(f"{tensors} tensors in {out}", soft_wrap=True)


@app.command()
def describe(
    genotype: GenotypeOption,
    channels: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Channels of the first cells; unset: as published.")
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, max=200, help="Cells; unset: as published.")] = None,
    stem: Annotated[
        StemChoice, typer.Option(help="imagenet: for 1,000 classes of 224 x 224 images, space darts only.")
    ] = StemChoice.CIFAR,
    as_json: JsonOption = False,
) -> None:
    """Counts parameters, multiply-adds and memory for 10 classes of 32 x 32 images, and draws the cells."""
    with _errors_told():
        architecture = architecture_of(genotype)

        from bananas_trainer.examining import size_of  # noqa: PLC0415 - loads torch

        facts = size_of(architecture, channels, layers, stem.value, _MEMORY_BATCH)
    if as_json:
        del facts["training_memory_bytes"]  # an estimate for people; the JSON has the documented keys and no others
    _show({"genotype": genotype, **facts}, as_json)
    if not as_json:
        console = Console(highlight=False)
        console.print()
        console.print(draw(architecture), markup=False, no_wrap=True, overflow="ignore", crop=False)


@app.command("recipes")
def show_recipes(
    name: Annotated[str | None, typer.Argument(help=f"{', '.join(recipes.NAMED)}; unset: all of them.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Shows the recipes: every number with its unit and source."""
    if name is not None and name not in recipes.NAMED:
        _complain(f"recipe {name!r}: want one of {', '.join(recipes.NAMED)}")
        raise typer.Exit(_USAGE)
    chosen = recipes.NAMED if name is None else {name: recipes.NAMED[name]}
    if as_json:
        sys.stdout.write(json.dumps({n: {f: s._asdict() for f, s in fields.items()} for n, fields in chosen.items()}))
        sys.stdout.write("\n")
        return
    for title, fields in chosen.items():
        table = Table("field", "value", "unit", "source", title=title, box=None, title_justify="left")
        for field, setting in fields.items():
            table.add_row(field, str(setting.value), setting.unit, setting.source)
        Console(highlight=False).print(table)


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    table = Table(show_header=False, box=None)
    for name, fact in facts.items():
        table.add_row(name.replace("_", " "), f"{fact:,}" if isinstance(fact, int) else str(fact))
    Console(highlight=False).print(table)


@contextmanager
def _errors_told(interrupted: str = "interrupted") -> Iterator[None]:
    try:
        yield
    except Usage as error:
        _complain(error.message)
        raise typer.Exit(_USAGE) from error
    except Interrupted as error:
        _complain(_ENDED_BY_SIGTERM)
        raise typer.Exit(error.exit_code) from error
    except AttemptError as error:
        _complain(str(error))
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        _complain(interrupted)
        raise typer.Exit(INTERRUPTED_BY_KEYBOARD) from error


def _complain(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
