"""What every API model has in common, and the one extra that pydantic does not know: CEL rules.

A model states its cross-field rules as (rule, message) pairs in `kubernetes_validations`; a field states its own in
`json_schema_extra=cel(...)`. `bananas_core.crd` writes both into the CRD as `x-kubernetes-validations`.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Frozen, camelCase outside and snake_case inside, unknown keys refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    kubernetes_validations: ClassVar[tuple[tuple[str, str], ...]] = ()

    def to_kubernetes(self) -> dict[str, Any]:
        """The object as the API server takes it: camelCase, JSON types, fields that are None left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusModel(Model):
    """A status part: fields that a newer release wrote are passed over, so that an older one can still read it."""

    model_config = ConfigDict(extra="ignore")


def cel(*rules: tuple[str, str], **schema: Any) -> dict[str, Any]:
    """`json_schema_extra` of a field with CEL rules (rule, message) and other schema keys."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules], **schema}


def immutable(name: str, why: str) -> dict[str, Any]:
    """`json_schema_extra` of a field that must not change."""
    return cel(("self == oldSelf", f"{name} cannot change: {why}. Make a new NASSearch instead"))


PRESERVE_UNKNOWN: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
"""`json_schema_extra` of an object whose inside is Kubernetes' own type, checked by a dry run with strict validation."""
