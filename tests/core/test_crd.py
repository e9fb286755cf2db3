"""The published schema: every field explained, every list and string bounded, defaults and rules where they belong."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import Field

from bananas_core.crd import search_crd, structural_schema, trial_crd
from bananas_core.model import Model

Schema = dict[str, Any]


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}[*]")


def fields(crd: Schema) -> list[tuple[str, Schema]]:
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return [*nodes(root["spec"], "spec"), *nodes(root["status"], "status")]


CRDS = [pytest.param(search_crd(), id="NASSearch"), pytest.param(trial_crd(), id="NASTrial")]


@pytest.mark.parametrize("crd", CRDS)
def test_every_field_has_a_type_and_every_named_field_a_sentence(crd: Schema) -> None:
    for path, schema in fields(crd):
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        if not path.endswith(("]", "*]")):
            assert schema.get("description", "").rstrip().endswith("."), path


@pytest.mark.parametrize("crd", CRDS)
def test_every_list_map_and_string_is_bounded(crd: Schema) -> None:
    for path, schema in fields(crd):
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path
        if schema.get("type") == "string":
            assert "maxLength" in schema or "enum" in schema, path


@pytest.mark.parametrize("crd", CRDS)
def test_every_default_is_shown_in_the_field_s_sentence(crd: Schema) -> None:
    for path, schema in fields(crd):
        if "default" in schema and not isinstance(schema["default"], dict | list):
            assert "Default: " in schema["description"], path


def test_the_scale_and_status_subresources_and_names_are_published() -> None:
    spec = search_crd()["spec"]
    assert spec["names"]["shortNames"] == ["nas"]
    assert spec["names"]["categories"] == ["nas-all"]
    assert spec["versions"][0]["subresources"]["scale"]["specReplicasPath"] == ".spec.parallelism"
    assert trial_crd()["spec"]["names"]["shortNames"] == ["nastrial"]


def test_a_union_that_a_structural_schema_cannot_say_is_an_error() -> None:
    class Odd(Model):
        value: bool | list[str] = Field(description="Odd.")

    with pytest.raises(TypeError, match=r"Odd.value: a union of 2 types"):
        structural_schema(Odd)


def test_of_the_strategy_everything_but_the_fallback_is_kept_as_it_is() -> None:
    root = search_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    strategy = root["spec"]["properties"]["strategy"]
    (rule,) = [rule for rule in strategy["x-kubernetes-validations"] if "oldSelf" in rule["rule"]]
    kept = {name for name in strategy["properties"] if f"self.{name} == oldSelf.{name}" in rule["rule"]}
    assert set(strategy["properties"]) - kept == {"fallback"}
    assert rule["message"].startswith("spec.strategy cannot change")
