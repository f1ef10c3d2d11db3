"""Frozen values with a JSON form: what crosses processes and enters the ledger."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A JSON value as Python reads it. Floats may be NaN or infinite, which Python's ``json`` writes and reads."""

JsonObject = dict[str, Json]

_VERSION_KEY = "version"
_W = TypeVar("_W", bound="Wire")


class Wire:
    """Base of frozen dataclasses that are stored or sent as JSON.

    The JSON form has a version of its own, independent of the study file's schema. A field that is added needs a
    default; a field that is renamed or removed needs a new ``VERSION`` and a step in :meth:`upgrade`. Unknown keys are
    ignored when reading.

    Attributes:
        VERSION: Version of the JSON form that :meth:`to_json` writes.
    """

    __slots__ = ()
    VERSION: ClassVar[int] = 1

    def to_json(self) -> JsonObject:
        """This value as a JSON object, with its version."""
        fields: JsonObject = _adapter(type(self)).dump_python(self, mode="json")
        return {_VERSION_KEY: self.VERSION, **fields}

    @classmethod
    def from_json(cls, raw: Mapping[str, Json]) -> Self:
        """Read what :meth:`to_json` of this or an earlier version wrote.

        Raises:
            ValueError: A field is missing, has the wrong type, or a newer version wrote it.
        """
        version = raw.get(_VERSION_KEY, 0)
        if not isinstance(version, int) or version > cls.VERSION:
            raise ValueError(f"{cls.__name__} of version {version!r}: this hpsearch reads up to {cls.VERSION}")
        fields = {name: value for name, value in raw.items() if name != _VERSION_KEY}
        if version < cls.VERSION:
            fields = cls.upgrade(fields, version)
        value: Self = _adapter(cls).validate_python(fields)
        return value

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """The fields of an older version as the current version has them.

        Args:
            fields: As read, without the version. May be changed.
            version: The version that wrote them; 0 for hpsearch 0.1, which wrote none.
        """
        return fields


_adapters: dict[type["Wire"], "TypeAdapter[Wire]"] = {}


def _adapter(kind: "type[_W]") -> "TypeAdapter[_W]":
    from pydantic import TypeAdapter  # costs 0.1 s, which `hpsearch --help` need not pay

    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return cast("TypeAdapter[_W]", _adapters[kind])
