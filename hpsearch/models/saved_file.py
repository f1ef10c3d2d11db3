"""What a saved ``.keras`` file has in it, read without Keras."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

_TENSORFLOW_LAYERS = frozenset({"HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"})
"""Layers of Keras that run on TensorFlow only, whatever the backend."""


def needs_tensorflow(path: str | Path) -> bool:
    """Whether a ``.keras`` file has layers that run on TensorFlow only."""
    return any(str(one.get("class_name")) in _TENSORFLOW_LAYERS for one in _objects(_config(path)))


LAMBDA = "__lambda__"
"""What Keras calls a Python lambda in a file, which has its code there."""

_UNSAFE = frozenset({"TFSMLayer", "TorchModuleWrapper"})
"""Layers of Keras that hold, or find, code of others."""


def holds_code(path: str | Path) -> bool:
    """Whether a ``.keras`` file has what Keras loads only outside of its safe mode: code, or paths to other files."""
    return any(_is_unsafe(one) for one in _objects(_config(path)))


def _is_unsafe(one: Mapping[str, object]) -> bool:
    config = one.get("config")
    elsewhere = isinstance(config, dict) and isinstance(config.get("vocabulary"), str)
    return one.get("class_name") == LAMBDA or one.get("class_name") in _UNSAFE or elsewhere


def custom_names(path: str | Path) -> set[str]:
    """Registered names of the classes and functions in a ``.keras`` file that are not Keras' own."""
    return set(names_in(_config(path)))


def names_in(config: object) -> Iterator[str]:
    """Registered names of the classes and functions in a model's config that are not Keras' own."""
    for one in _objects(config):
        kind = one.get("class_name")
        if kind == LAMBDA:
            yield kind
        elif "registered_name" in one and str(one.get("module")).partition(".")[0] != "keras":
            yield str(one["config"] if kind == "function" else one["registered_name"] or kind)


def _config(path: str | Path) -> object:
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))


def _objects(config: object) -> Iterator[dict[str, object]]:
    if isinstance(config, dict):
        yield config
    if isinstance(config, dict | list | tuple):
        for one in config.values() if isinstance(config, dict) else config:
            yield from _objects(one)
