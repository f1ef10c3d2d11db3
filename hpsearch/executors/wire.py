"""How messages become bytes between machines: JSON that names its types, and raw buffers. Nothing in it is executed.

Only the types of :data:`TYPES` can be made from bytes: those that the worker protocol's signatures, the events and the
messages name. Pickle, which the processes of one machine use, would run whatever the other side sends.
"""

import dataclasses
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import hpsearch.errors
from hpsearch.core.addresses import DEFAULT_LEDGER, DEFAULT_TRACKING, Uri
from hpsearch.core.wire import Json
from hpsearch.core.words import quoted
from hpsearch.errors import ExecutorError, HpsearchError
from hpsearch.executors import far_messages
from hpsearch.ledger.codec import spec_from_json, spec_to_json
from hpsearch.spec import StudySpec
from hpsearch.training.protocol import WorkerProtocol

MOST_BYTES = 1 << 28
"""Of a message's JSON, and of a buffer."""

_ERRORS = {one.__name__: one for one in vars(hpsearch.errors).values() if isinstance(one, type)}


def to_bytes(message: object) -> bytes:
    """A message as bytes: the length of its JSON, the JSON, and its buffers, each after its length."""
    buffers: list[bytes] = []
    text = json.dumps(_encoded(message, buffers), ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    parts = [len(text).to_bytes(4, "big"), text]
    for one in buffers:
        parts += [len(one).to_bytes(4, "big"), one]
    return b"".join(parts)


def from_bytes(raw: bytes) -> Any:
    """The message in `raw`.

    Raises:
        ExecutorError: It is no message of this version.
    """
    try:
        size = int.from_bytes(raw[:4], "big")
        buffers, at = [], 4 + size
        while at < len(raw):
            length = int.from_bytes(raw[at : at + 4], "big")
            buffers.append(raw[at + 4 : at + 4 + length])
            at += 4 + length
        return _decoded(json.loads(raw[4 : 4 + size].decode("utf-8", "surrogatepass")), buffers)
    except (ValueError, LookupError, TypeError, RecursionError, AttributeError, StopIteration) as error:
        raise ExecutorError(
            f"a message from another machine cannot be read: {type(error).__name__}: {error}",
            code="bad-message",
            hint="the driver and its workers need the same version of hpsearch",
        ) from error


def _encoded(value: object, buffers: list[bytes]) -> Json:
    """JSON of a value. Whatever is no plain JSON is an object with one key, which names its kind."""

    def each(values: typing.Iterable[object]) -> list[Json]:
        return [_encoded(one, buffers) for one in values]

    match value:
        case Enum():
            return {"enum": type(value).__name__, "value": _encoded(value.value, buffers)}
        case None | bool() | int() | float() | str():
            return value if type(value) in _PLAIN else _plain(value)
        case list():
            return each(value)
        case tuple():
            return {"tuple": each(value)}
        case set() | frozenset():
            return {"set": each(value)}
        case Mapping():
            return {"map": [[_encoded(key, buffers), _encoded(one, buffers)] for key, one in value.items()]}
        case bytes() | memoryview():
            buffers.append(bytes(value))
            return {"buffer": len(buffers) - 1}
        case PurePath():
            return {"path": str(value)}
        case StudySpec():
            return {"spec": spec_to_json(without_addresses(value))}
        case HpsearchError():
            values = {name: _sendable(one) for name, one in value.values.items()}
            arguments = [value.what, value.code.partition(".")[2], value.hint, values]
            return {"error": type(value).__name__, "of": each(arguments)}
        case _ if dataclasses.is_dataclass(value) and type(value).__name__ in types_of_messages():
            fields = {one.name: _encoded(getattr(value, one.name), buffers) for one in dataclasses.fields(value)}
            return {"type": type(value).__name__, "fields": fields}
    if hasattr(value, "item"):  # a number of NumPy's
        return _encoded(value.item(), buffers)
    raise TypeError(f"{type(value).__name__} cannot travel to another machine")


_PLAIN = (type(None), bool, int, float, str)


def _plain(value: object) -> Json:
    """A number or text of a subclass, such as NumPy's float64, as what it is."""
    match value:
        case int():
            return int(value)
        case float():
            return float(value)
    return str(value)


def _sendable(value: object) -> object:
    """A value behind an error's words, or its text if it is the user's or a plug-in's own."""
    try:
        _encoded(value, [])
    except TypeError:
        return repr(value)
    return value


def _decoded(value: Any, buffers: list[bytes]) -> Any:
    if isinstance(value, list):
        return [_decoded(one, buffers) for one in value]
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items()))
    match kind:
        case "tuple":
            return tuple(_decoded(one, buffers) for one in content)
        case "set":
            return frozenset(_decoded(one, buffers) for one in content)
        case "map":
            return {_decoded(key, buffers): _decoded(one, buffers) for key, one in content}
        case "buffer":
            return buffers[content]
        case "path":
            return Path(content)
        case "spec":
            return spec_from_json(content).model_copy(update={"folder": content["folder"]})
        case "enum":
            return types_of_messages()[content](_decoded(value["value"], buffers))
        case "error":
            what, code, hint, values = (_decoded(one, buffers) for one in value["of"])
            return _ERRORS[content](what, code=code, hint=hint, **values)
        case "type":
            fields = {name: _decoded(one, buffers) for name, one in value["fields"].items()}
            return types_of_messages()[content](**fields)
    raise ValueError(f"no value is marked {quoted(kind)}")


def without_addresses(spec: StudySpec) -> StudySpec:
    """A study file for other machines: without the addresses of ledger and MLflow, which only the driver writes."""
    blank = {"uri": Uri(DEFAULT_TRACKING), "ledger": Uri(DEFAULT_LEDGER), "artifacts": None}
    return spec.model_copy(update={"tracking": spec.tracking.model_copy(update=blank)})


def relocated(value: Any, old: Path, new: Path) -> Any:
    """A message with another folder: all paths in it, and all texts that are paths, below `old` are below `new`."""

    def moved(text: str) -> str:
        inside = text == str(old) or text.startswith(f"{old}/")
        return f"{new}{text[len(str(old)) :]}" if inside else text

    def walk(one: Any) -> Any:
        match one:
            case str() if type(one) is str:
                return moved(one)
            case Path():
                return Path(moved(str(one)))
            case list() | tuple():
                return type(one)(map(walk, one))
            case Mapping():
                return {key: walk(held) for key, held in one.items()}
            case HpsearchError():
                copy = type(one)(one.what.replace(str(old), str(new)), hint=one.hint, **walk(one.values))
                copy._code = one._code
                return copy
        if dataclasses.is_dataclass(one) and not isinstance(one, type):
            return dataclasses.replace(one, **{field.name: walk(getattr(one, field.name)) for field in _inits(one)})
        return one

    return walk(value)


def _inits(value: Any) -> Iterator[Any]:
    return (field for field in dataclasses.fields(value) if field.init)


@cache
def types_of_messages() -> Mapping[str, Callable[..., Any]]:
    """Name → dataclass or enumeration, of all that can be in a message."""
    found: dict[str, Callable[..., Any]] = {}

    def add(hint: Any) -> None:
        for argument in typing.get_args(hint):
            add(argument)
        if not isinstance(hint, type) or hint.__name__ in found:
            return
        if issubclass(hint, Enum):
            found[hint.__name__] = hint
        elif dataclasses.is_dataclass(hint):
            found[hint.__name__] = hint
            for one in typing.get_type_hints(hint).values():
                add(one)

    for name, method in vars(WorkerProtocol).items():
        if not name.startswith("_") and callable(method):
            for one in typing.get_type_hints(method).values():
                add(one)
    add(far_messages.FarMessage)
    return found
