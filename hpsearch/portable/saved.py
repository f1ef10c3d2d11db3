"""What a saved ``.keras`` file needs, read without Keras."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

_TENSORFLOW_LAYERS = frozenset({"HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"})
"""Layers of Keras that run on TensorFlow only, whatever the backend."""


def needs_tensorflow(path: str | Path) -> bool:
    """Whether a ``.keras`` file has layers that run on TensorFlow only."""
    return any(str(one.get("class_name")) in _TENSORFLOW_LAYERS for one in _objects(_config(path)))


def has_own_code(path: str | Path) -> bool:
    """Whether a ``.keras`` file has classes or functions that are not Keras' own."""
    named = [
        one for one in _objects(_config(path)) if "registered_name" in one or one.get("class_name") == "__lambda__"
    ]
    return any(str(one.get("module")).partition(".")[0] != "keras" for one in named)


def _config(path: str | Path) -> object:
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))


def _objects(config: object) -> Iterator[dict[str, object]]:
    if isinstance(config, dict):
        yield config
    if isinstance(config, dict | list):
        for one in config.values() if isinstance(config, dict) else config:
            yield from _objects(one)
