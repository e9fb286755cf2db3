"""A file with a NASSearch, as a person writes it for `kubectl apply -f`. Called by the plan; it changes and sends nothing."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bananas_cli.errors import NotPossible
from bananas_cli.snapshot import RawObject
from bananas_core import constants
from bananas_core.api import NASSearchSpec


@dataclass(frozen=True, slots=True)
class Manifest:
    """The NASSearch of a file, and what else the file makes."""

    raw: RawObject
    name: str
    namespace: str | None
    """None where the file names none."""
    spec: NASSearchSpec | None
    problem: str = ""
    """Why this release cannot read the spec, if it cannot: field and reason."""
    others: frozenset[tuple[str, str]] = frozenset()
    """(kind, name) of the other objects of the file."""


def read_manifest(path: Path) -> Manifest:
    """Reads YAML or JSON; `-` is standard input.

    Raises:
        NotPossible: naming what is wrong with the file.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except OSError as error:
        raise NotPossible(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise NotPossible(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    objects = [one for document in documents for one in _objects(path, document)]
    searches = [one for one in objects if one["kind"] == constants.SEARCH_KIND]
    if len(searches) != 1:
        names = (
            ", ".join(_name(path, one) for one in searches)
            or ", ".join(sorted({one["kind"] for one in objects}))
            or "nothing"
        )
        raise NotPossible(f"{path}: want one NASSearch; found: {names}")
    raw = searches[0]
    if raw["apiVersion"] != constants.API_VERSION:
        raise NotPossible(f"{path}: apiVersion is {raw['apiVersion']}; want {constants.API_VERSION}")
    others = frozenset((str(one["kind"]), _name(path, one)) for one in objects if one is not raw)
    spec, problem = _spec(raw)
    namespace = raw["metadata"].get("namespace")
    return Manifest(raw, _name(path, raw), namespace, spec, problem, others)


def _objects(path: Path, document: Any) -> list[RawObject]:
    """A document, or what is in it if it is a List."""
    if isinstance(document, dict) and document.get("kind") == "List":
        return [one for item in document.get("items") or () for one in _objects(path, item)]
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        raise NotPossible(
            f"{path}: {str(document)[:60]!r} is no object of Kubernetes; want apiVersion, kind and metadata"
        )
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise NotPossible(
                f"{path}: an object without {field}; want {constants.API_VERSION}, {constants.SEARCH_KIND}"
            )
    return [document]


def _name(path: Path, raw: RawObject) -> str:
    name = raw["metadata"].get("name")
    if not isinstance(name, str) or not name:
        raise NotPossible(f"{path}: metadata.name of the {raw['kind']} is {name!r}; want a name")
    return name


def _spec(raw: RawObject) -> tuple[NASSearchSpec | None, str]:
    try:
        return NASSearchSpec.model_validate(raw.get("spec") or {}), ""
    except ValidationError as error:
        first = error.errors()[0]
        return None, f"{'.'.join(['spec', *map(str, first['loc'])])}: {first['msg']}"
