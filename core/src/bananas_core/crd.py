"""The CRDs, generated from the API models: `manifests/generate.py` writes them, `make verify` compares.

pydantic's JSON schema is rewritten into a structural schema: references inlined, optional fields nullable-free (absent
means unset), int-or-string marked, defaults of nested models written out, CEL rules of models and fields added. Whatever
this walker does not know raises, so that no field is ever published without a type.
"""

from typing import Any

from pydantic import BaseModel

from bananas_core import constants
from bananas_core.api.search import SEARCH_RULES, NASSearchSpec, NASSearchStatus
from bananas_core.api.trial import NASTrialSpec, NASTrialStatus
from bananas_core.model import Model

Schema = dict[str, Any]

_KEPT = (
    "type",
    "description",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural OpenAPI v3 schema of a model.

    Raises:
        TypeError: if the model holds a type that a structural schema cannot say.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    models = {found.__name__: found for found in _models(model)}
    return _walk(schema, schema.get("$defs", {}), models, model.__name__)


def _models(model: type[BaseModel]) -> set[type[Model]]:
    """Every model below a model, itself included, found through the annotations of its fields."""
    found: set[type[Model]] = set()
    waiting: list[Any] = [model]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and issubclass(annotation, Model):
            if annotation not in found:
                found.add(annotation)
                waiting += [field.annotation for field in annotation.model_fields.values()]
        else:
            waiting += getattr(annotation, "__args__", ())
    return found


def _walk(node: Schema, defs: dict[str, Schema], models: dict[str, type[Model]], name: str) -> Schema:
    node = dict(node)
    if "$ref" in node:
        name = node.pop("$ref").rpartition("/")[2]
        node = {**defs[name], **node}  # a field's own description and rules go before its type's
        rules = [*_rules_of(models[name]), *node.get("x-kubernetes-validations", [])]
        out = _rewrite(node, defs, models, name)
    elif "anyOf" in node or "allOf" in node:
        return _optional(node, defs, models, name)
    else:
        rules = [*(_rules_of(models[name]) if "properties" in node else []), *node.get("x-kubernetes-validations", [])]
        out = _rewrite(node, defs, models, name)
    if rules:
        out["x-kubernetes-validations"] = rules
    return out


def _rules_of(model: type[Model]) -> list[Schema]:
    return [{"rule": rule, "message": message} for rule, message in model.kubernetes_validations]


def _optional(node: Schema, defs: dict[str, Schema], models: dict[str, type[Model]], name: str) -> Schema:
    """`X | None` is X that may be absent; `int | str` is Kubernetes' int-or-string. Other unions cannot be said."""
    branches = [branch for branch in node.pop("anyOf", node.pop("allOf", [])) if branch.get("type") != "null"]
    if {branch.get("type") for branch in branches} == {"integer", "string"}:
        return {**_rewrite(node, defs, models, name), "x-kubernetes-int-or-string": True, "maxLength": 64}
    if len(branches) != 1:
        raise TypeError(f"{name}: a union of {len(branches)} types has no structural schema")
    return _walk({**branches[0], **node}, defs, models, name)


def _rewrite(node: Schema, defs: dict[str, Schema], models: dict[str, type[Model]], name: str) -> Schema:
    out = {key: node[key] for key in _KEPT if key in node}
    if "const" in node:
        out["enum"] = [node["const"]]
    for key, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if key in node:
            out[bound], out[key] = node[key], True
    if node.get("default") is not None:
        out["default"] = _filled(node["default"])
        if not isinstance(node["default"], dict | list):
            out["description"] = f"{out.get('description', '')} Default: {_shown(node['default'])}.".strip()
    if "properties" in node:
        out["properties"] = {
            key: _walk(value, defs, models, f"{name}.{key}") for key, value in node["properties"].items()
        }
        if node.get("required"):
            out["required"] = node["required"]
    elif isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _walk(node["additionalProperties"], defs, models, name)
    if "items" in node:
        out["items"] = _walk(node["items"], defs, models, name)
    if "prefixItems" in node:
        raise TypeError(f"{name}: a tuple of given types has no structural schema; use one item type with bounds")
    return out


def _filled(default: Any) -> Any:
    """A default without what is unset: the API server checks the rules of an object on its default as it is written."""
    if isinstance(default, dict):
        return {key: _filled(value) for key, value in default.items() if value not in (None, {}, [])}
    return default


def _shown(value: Any) -> str:
    if value == "":
        return "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)


def search_crd() -> Schema:
    """The CustomResourceDefinition of NASSearch."""
    columns = [
        _column("Phase", "string", ".status.phase", "Pending, Running, Stalled, Suspended, Complete or Failed."),
        _column("Trials", "integer", ".spec.budget.trials", "Budget."),
        _column("Done", "integer", ".status.trials.succeeded", "Trials with a result."),
        _column("Running", "integer", ".status.trials.running", "Trials that train now."),
        _column("Failed", "integer", ".status.trials.failed", "Trials that failed for good."),
        _column("Best", "number", ".status.best.validationAccuracy", "Best validation accuracy."),
        _column("Strategy", "string", ".spec.strategy.name", "How architectures are chosen.", priority=1),
        _column("Rank", "number", ".status.predictor.rankCorrelation", "Of the predictor's forecasts.", priority=1),
        _column("GPU-Seconds", "number", ".status.gpuSeconds.used", "GPU time used.", priority=1),
        _column("Why", "string", '.status.conditions[?(@.type=="Stalled")].reason', "What holds it up.", priority=1),
        _column("Age", "date", ".metadata.creationTimestamp", "Since it was made."),
    ]
    schema = _object(NASSearchSpec, NASSearchStatus, "A neural architecture search on this cluster.")
    schema["properties"]["metadata"] = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 253}},
    }
    schema["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in SEARCH_RULES]
    scale = {
        "specReplicasPath": ".spec.parallelism",
        "statusReplicasPath": ".status.inFlight",
        "labelSelectorPath": ".status.selector",
    }
    return _crd(constants.SEARCH_KIND, constants.SEARCH_PLURAL, "nas", schema, columns, {"status": {}, "scale": scale})


def trial_crd() -> Schema:
    """The CustomResourceDefinition of NASTrial."""
    columns = [
        _column("Phase", "string", ".status.phase", "Pending, Queued, Running, Succeeded, Failed or Cancelled."),
        _column("Accuracy", "number", ".status.validationAccuracy", "Validation accuracy; none in a promotion."),
        _column("Epoch", "integer", ".status.progress.epoch", "Epochs done by the current attempt."),
        _column("Of", "integer", ".status.progress.epochs", "Epochs to do."),
        _column("Attempts", "integer", ".status.attempts", "Attempts started."),
        _column("GPU-Seconds", "number", ".status.gpuSeconds", "GPU time."),
        _column("Origin", "string", ".spec.origin.method", "How it was chosen."),
        _column("Interrupted", "integer", ".status.interruptions", "Attempts ended from outside.", priority=1),
        _column("Wasted", "number", ".status.gpuSecondsWasted", "GPU seconds without a result.", priority=1),
        _column("Reason", "string", ".status.failure.reason", "Why it or its last attempt failed.", priority=1),
        _column("Node", "string", ".status.node", "Node of the last attempt.", priority=1),
        _column("Test", "number", ".status.testAccuracy", "Test accuracy, of a training to the end.", priority=1),
        _column("Parameters", "integer", ".status.parameters", "Trainable parameters.", priority=1),
        _column("Started", "date", ".status.startTime", "When it ran first."),
        _column("Ended", "date", ".status.completionTime", "When it ended."),
    ]
    schema = _object(NASTrialSpec, NASTrialStatus, "One architecture of a search, from proposal to result.")
    return _crd(constants.TRIAL_KIND, constants.TRIAL_PLURAL, "nastrial", schema, columns, {"status": {}})


def _object(spec: type[BaseModel], status: type[BaseModel], description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural_schema(spec),
            "status": structural_schema(status),
        },
    }


def _column(name: str, kind: str, path: str, description: str, *, priority: int = 0) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": priority} if priority else column


def _crd(kind: str, plural: str, short: str, schema: Schema, columns: list[Schema], subresources: Schema) -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{constants.GROUP}",
            "labels": {constants.LABEL_NAME: constants.APP_NAME},
        },
        "spec": {
            "group": constants.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["nas-all"],
            },
            "versions": [
                {
                    "name": constants.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": subresources,
                    "additionalPrinterColumns": columns,
                }
            ],
        },
    }
