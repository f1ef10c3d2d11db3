"""What all sections of a study file have in common."""

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from hpsearch.core.registry import Registry

READ_BACK = "read back"
"""Validation context for a study file from the ledger. Looking at results does not need what its addresses and names
stand for, and its folds stay those of its trials."""


def named(registry: Registry, *others: str) -> tuple[AfterValidator, FieldInfo]:
    """A string: a name in a registry, or one of `others`."""

    def check(name: str, info: ValidationInfo) -> str:
        return name if info.context == READ_BACK else registry.check(name, *others)

    def offer(schema: JsonDict) -> None:
        schema["enum"] = [*others, *registry.names()]

    return AfterValidator(check), Field(json_schema_extra=offer)


class Section(BaseModel):
    """Frozen and strict: no key is ignored, and no text becomes a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())
