"""What earlier releases stored in users' clusters is still accepted: tests/fixtures, which `make fixture` wrote.

A schema may grow; what it once accepted it must accept for ever. On a real API server the upgrade tests do the same.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from bananas_cli.snapshot import parse_snapshot
from bananas_core.api import NASSearchSpec, NASSearchStatus, NASTrialSpec, NASTrialStatus
from bananas_core.api.trial import TrialPhase
from bananas_core.crd import search_crd, trial_crd
from bananas_core.model import Model
from bananas_operator.parse import search_view, trial_view

Json = dict[str, Any]
RELEASES = sorted((Path(__file__).parents[1] / "fixtures").glob("release-*"))
MODELS: dict[str, tuple[type[Model], type[Model]]] = {
    "NASSearch": (NASSearchSpec, NASSearchStatus),
    "NASTrial": (NASTrialSpec, NASTrialStatus),
}
TODAY = {crd["spec"]["names"]["kind"]: crd for crd in (search_crd(), trial_crd())}
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
LOWER = ("minimum", "minLength", "minItems")
UPPER = ("maximum", "maxLength", "maxItems", "maxProperties")


def stored(release: Path) -> dict[str, Json]:
    """The CRDs of a release by kind."""
    crds = [yaml.safe_load(path.read_text()) for path in sorted((release / "crds").glob("*.yaml"))]
    return {crd["spec"]["names"]["kind"]: crd for crd in crds}


def objects(release: Path) -> list[Json]:
    return [item for path in sorted(release.glob("*.json")) for item in json.loads(path.read_text())]


def schema(crd: Json) -> Json:
    [version] = [v for v in crd["spec"]["versions"] if v["name"] == "v1alpha1"]
    found: Json = version["schema"]["openAPIV3Schema"]
    return found


def children(node: Json) -> Iterator[tuple[str, Json]]:
    yield from node.get("properties", {}).items()
    if "items" in node:
        yield "[]", node["items"]
    if isinstance(node.get("additionalProperties"), dict):
        yield "*", node["additionalProperties"]


def narrower(old: Json, new: Json, path: str) -> Iterator[str]:
    """Where a schema accepts less than an older one did."""
    if new.get("type") != old.get("type"):
        yield f"{path}: was {old.get('type')}, is {new.get('type')}"
    if "enum" in new and not set(new["enum"]) >= set(old.get("enum", ())):
        yield f"{path}: {set(old['enum']) - set(new['enum'])} taken away"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{path}: another pattern"
    yield from (f"{path}.{name}: required now" for name in set(new.get("required", ())) - set(old.get("required", ())))
    for keys, sign in ((LOWER, 1), (UPPER, -1)):
        for key in keys:
            if key in new and (key not in old or sign * new[key] > sign * old[key]):
                yield f"{path}: {key} was {old.get(key)}, is {new[key]}"
    grown = dict(children(new))
    for name, child in children(old):
        if name not in grown:
            yield f"{path}.{name}: gone"
        else:
            yield from narrower(child, grown[name], f"{path}.{name}")


def misfits(value: Any, node: Json, path: str) -> Iterator[str]:
    """Where a value has a field that a schema does not know, or another type."""
    if "type" not in node:
        return  # int-or-string
    if not isinstance(value, TYPES[node["type"]]):
        yield f"{path}: {value!r} is no {node['type']}"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from misfits(item, node["items"], f"{path}[{number}]")
    elif isinstance(value, dict) and ("properties" in node or isinstance(node.get("additionalProperties"), dict)):
        for name, item in value.items():
            known = node.get("properties", {}).get(name) or node.get("additionalProperties")
            yield from misfits(item, known, f"{path}.{name}") if known else (f"{path}.{name}: unknown",)


def fields(node: Json, path: str = "") -> Iterator[str]:
    """Paths of all fields that an object may have."""
    if node.get("description", "").startswith("Refused: "):
        return
    yield path
    for name, child in children(node):
        yield from fields(child, f"{path}.{name}")


def used(value: Any, path: str = "") -> Iterator[str]:
    """Paths of all fields that an object has; keys of a map as they are."""
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from used(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from used(item, f"{path}.[]")


releases = pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)


def test_there_is_a_fixture() -> None:
    assert "release-0.1.0" in [path.name for path in RELEASES]


@releases
@pytest.mark.parametrize("kind", MODELS)
def test_the_schema_accepts_all_that_it_accepted_in_an_earlier_release(release: Path, kind: str) -> None:
    assert list(narrower(schema(stored(release)[kind]), schema(TODAY[kind]), kind)) == []


@releases
@pytest.mark.parametrize("kind", MODELS)
def test_names_and_subresources_of_an_earlier_release_are_kept(release: Path, kind: str) -> None:
    old, new = stored(release)[kind]["spec"], TODAY[kind]["spec"]
    assert (new["group"], new["scope"], new["names"]) == (old["group"], old["scope"], old["names"])
    assert old["versions"][0]["subresources"].items() <= new["versions"][0]["subresources"].items()
    assert new["versions"][0]["served"]


@releases
def test_stored_objects_fit_the_schema_of_their_release_and_of_today(release: Path) -> None:
    for item in objects(release):
        for crd in (stored(release)[item["kind"]], TODAY[item["kind"]]):
            for part in ("spec", "status"):
                assert list(misfits(item[part], schema(crd)["properties"][part], item["metadata"]["name"])) == []


@releases
def test_the_models_read_stored_objects_and_lose_nothing(release: Path) -> None:
    for item in objects(release):
        for part, model in zip(("spec", "status"), MODELS[item["kind"]], strict=True):
            read = model.model_validate(item[part]).to_kubernetes()
            assert set(used(item[part])) <= set(used(read)), f"{item['metadata']['name']}.{part}"


@releases
def test_operator_and_plugin_read_stored_objects(release: Path) -> None:
    everything = objects(release)
    for raw in (item for item in everything if item["kind"] == "NASSearch"):
        search = search_view(raw)
        trials = [t for t in everything if t["kind"] == "NASTrial" and t["spec"]["search"] == search.name]
        assert search.problem is None
        assert [trial_view(trial, search).problem for trial in trials] == [None] * len(trials)
        assert parse_snapshot(raw, trials).unreadable == ()


@releases
def test_the_samples_hold_every_phase_and_every_field_of_their_release(release: Path) -> None:
    everything = objects(release)
    phases = {item["status"].get("phase") for item in everything if item["kind"] == "NASTrial"}
    assert phases == set(get_args(TrialPhase))
    assert {"Running", "Stalled", "Complete", "Failed"} <= {
        item["status"].get("phase") for item in everything if item["kind"] == "NASSearch"
    }
    for kind, crd in stored(release).items():
        for part in ("spec", "status"):
            node = schema(crd)["properties"][part]
            want = {path for path in fields(node) if "*" not in path}
            assert want - {path for item in everything if item["kind"] == kind for path in used(item[part])} == set()


def test_a_narrower_schema_is_seen() -> None:
    old = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}, "b": {"type": "integer"}}}
    new = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "maxLength": 8}}}
    want = ["k.a: required now", "k.a: maxLength was 9, is 8", "k.b: gone"]
    assert list(narrower(old, new, "k")) == want
