"""What the flags of `bananas-trainer` mean: architectures, recipes, data sets and the directory of a training.

Called by `command.py` only. torch is not loaded here.
"""

from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, Final

import typer
import yaml
from pydantic import ValidationError

from bananas_core.api.recipe import Dataset as Kind
from bananas_core.api.recipe import Recipe
from bananas_core.attempt import Attempt, write_atomically
from bananas_core.contract import ATTEMPT_FILE, TrialFile
from bananas_core.errors import ArchitectureError, ContractError
from bananas_core.spaces import Architecture
from bananas_trainer.errors import CheckpointUnusable, RecipeInvalid
from bananas_trainer.genotypes import find_architecture
from bananas_trainer.recipes import NAMED, fields_of

TRIAL_FILE: Final = "trial.json"
DIGITS: Final = "digits"


class Usage(typer.BadParameter):
    """A flag that is wrong; the message names it."""


def architecture_of(name_or_file: str) -> Architecture:
    """The architecture of --genotype."""
    try:
        return find_architecture(name_or_file)
    except ArchitectureError as error:
        raise Usage(str(error)) from error


def source_of(data: str) -> tuple[Kind, Path]:
    """Kind and path of --data."""
    if data == DIGITS:
        return "digits", Path()
    from bananas_trainer.data import kind_of  # noqa: PLC0415 - loads torch

    path = Path(data).resolve()
    return kind_of(path), path


def recipe_of(name_or_file: str | None, settings: list[str], source: tuple[Kind, Path]) -> Recipe:
    """The recipe of --recipe with the fields of --set, on the data of --data.

    Raises:
        RecipeInvalid: naming the field.
    """
    kind, path = source
    fields = {**_named_or_file(name_or_file), **_fields(settings)}
    _check_data(fields, kind, path)
    try:
        return Recipe.model_validate({**fields, "dataset": kind, "file": None if kind == "digits" else path.name})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        if field == "file":
            raise Usage(
                f"--data {path}: want a name of at most 253 letters, digits, '.', '_' and '-' with no spaces, as a recipe "
                f"takes it; rename it, or make a link of such a name"
            ) from error
        if first["type"] == "extra_forbidden":
            known = ", ".join(str(info.alias) for info in Recipe.model_fields.values())
            raise RecipeInvalid(f"recipe.{field}: no such field; there are {known}") from error
        raise RecipeInvalid(f"recipe.{field}: {first['input']!r}: {first['msg']}") from error


def attempt_of(architecture: Architecture, recipe: Recipe, data_dir: Path, out: Path, seed: int) -> Attempt:
    """The training as an attempt of a trial, whose file goes to the directory.

    Its UID follows from what is trained, so the same command goes on with the same directory, and another is refused there.

    Raises:
        CheckpointUnusable
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
        data_dir=str(data_dir),
        checkpoint_dir=str(out),
        termination_file=str(out / "message.json"),
    )
    path = out / TRIAL_FILE
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


def _named_or_file(name_or_file: str | None) -> dict[str, Any]:
    if name_or_file is None:
        return {}
    if name_or_file in NAMED:
        return fields_of(name_or_file)
    path = Path(name_or_file)
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Usage(
            f"recipe file {path}: neither one of {', '.join(NAMED)} nor a readable YAML or JSON file ({error})"
        ) from error
    if not isinstance(fields, dict):
        raise Usage(f"recipe file {path}: want fields of a recipe, such as 'epochs: 10'")
    return {_snake(str(name)): value for name, value in fields.items()}


def _check_data(fields: dict[str, Any], kind: Kind, path: Path) -> None:
    """The data of a training is that of --data; a recipe that came out of a search names its own, which must be the same."""
    wanted, file = fields.get("dataset", kind), fields.get("file")
    given = DIGITS if kind == "digits" else str(path)
    if wanted != kind:
        of = f" (file: {file})" if file is not None else ""
        raise Usage(
            f"--data {given}: is {kind}, but the recipe says dataset: {wanted}{of}; want --data with the path of that data, "
            f"or a recipe without dataset and file"
        )
    if file is not None and (kind == "digits" or PurePosixPath(str(file)).name != path.name):
        raise Usage(
            f"--data {given}: the recipe says file: {file}; want --data with the path of that file, or a recipe without file"
        )


def _fields(settings: list[str]) -> dict[str, Any]:
    fields = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise Usage(f"--set {setting}: want FIELD=VALUE, such as epochs=10")
        try:
            fields[_snake(name)] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise Usage(f"--set {setting}: {value!r} is no YAML value; want FIELD=VALUE, such as epochs=10") from error
    return fields


def _snake(name: str) -> str:
    """Both spellings of a field are taken, and one of them replaces the other."""
    aliases = {field.alias: own for own, field in Recipe.model_fields.items()}
    return aliases.get(name, name)
