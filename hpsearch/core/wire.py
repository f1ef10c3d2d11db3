"""Frozen values with a JSON form, to send to other processes and to store in the ledger."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar, cast

from hpsearch.core.words import quoted

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A JSON value in Python. Floats may be NaN or infinite; Python's ``json`` can write and read them."""

JsonObject = dict[str, Json]

_VERSION_KEY = "version"
_W = TypeVar("_W", bound="Wire")


class Wire:
    """Base of frozen dataclasses that are stored or sent as JSON.

    The JSON form has its own version, independent of the study file's schema. A new field needs a default. Renaming or
    removing a field needs a new ``VERSION`` and a step in :meth:`upgrade`. Readers ignore unknown keys.

    Attributes:
        VERSION: Version of the JSON form that :meth:`to_json` writes.
    """

    __slots__ = ()
    VERSION: ClassVar[int] = 1

    def to_json(self) -> JsonObject:
        """A JSON object with all fields and the version."""
        fields: JsonObject = _adapter(type(self)).dump_python(self, mode="json")
        return {_VERSION_KEY: self.VERSION, **fields}

    @classmethod
    def from_json(cls, raw: Mapping[str, Json]) -> Self:
        """The value that :meth:`to_json` of this or an earlier version has written.

        Raises:
            ValueError: A field is missing or has the wrong type, or a newer version has written it.
        """
        version = raw.get(_VERSION_KEY, 0)
        if not isinstance(version, int) or version > cls.VERSION:
            raise ValueError(f"{cls.__name__} of version {quoted(version)}: this hpsearch reads up to {cls.VERSION}")
        fields = {name: value for name, value in raw.items() if name != _VERSION_KEY}
        if version < cls.VERSION:
            fields = cls.upgrade(fields, version)
        value: Self = _adapter(cls).validate_python(fields)
        return value

    @classmethod
    def upgrade(cls, fields: JsonObject, version: int) -> JsonObject:
        """Convert the fields of an older version to those of the current version.

        Args:
            fields: The fields that were read, without the version. May be changed in place.
            version: The version that has written them; 0 for hpsearch 0.1, which wrote no version.
        """
        return fields


_adapters: dict[type["Wire"], "TypeAdapter[Wire]"] = {}


def _adapter(kind: "type[_W]") -> "TypeAdapter[_W]":
    from pydantic import TypeAdapter  # takes 0.1 s: not for `hpsearch --help`

    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return cast("TypeAdapter[_W]", _adapters[kind])
