"""The numbers in names that Keras gives to layers and metrics: ``dense``, ``dense_1``, ``auc_2``."""

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar

import keras

_COUNTERS = "object_name_uids"

T = TypeVar("T")

_at_import: dict[str, tuple[ModuleType, Mapping[str, int]]] = {}
"""Module → the names that Keras gave while it was imported."""


def load_with_names(module: str, load: Callable[[], T]) -> tuple[T, Mapping[str, int]]:
    """Load something from a module, and count the names of what the module makes at import, such as shared layers.

    Models that count on from there are named alike everywhere: by a worker, in a notebook, after other studies.

    Args:
        module: Name of the module.
        load: Imports it.
    """
    if module not in sys.modules:
        count_names_from({})
        found = load()
        _at_import[module] = sys.modules[module], names_given()
        return found, _at_import[module][1]
    found, there = load(), sys.modules[module]
    known, names = _at_import.get(module, (None, {}))
    return found, names if known is there else _names_in(there)


def _names_in(module: ModuleType) -> Mapping[str, int]:
    """As many names as the layers and metrics of a module have, for one that others have imported."""
    counts: dict[str, int] = {}
    for one in keras.tree.flatten([value for name, value in vars(module).items() if not name.startswith("__")]):
        if isinstance(one, keras.Layer | keras.Metric) and isinstance(one.name, str):
            base, _, number = one.name.rpartition("_")
            if not base or not number.isdigit():
                base, number = one.name, "0"
            counts[base] = max(counts.get(base, 0), int(number) + 1)
    return counts


def names_given() -> dict[str, int]:
    """How often Keras has given each name in this thread so far; empty if Keras does not say."""
    state = _state()
    return {} if state is None else dict(state.get_global_attribute(_COUNTERS) or {})


def count_names_from(given: Mapping[str, int]) -> None:
    """Number the next names in this thread as if those in `given` were all so far.

    Keras counts per thread and process. Metrics would be named after what was built before, and curves would change
    their names from fold to fold. Without access to the counters, that is what happens.
    """
    state = _state()
    if state is not None:
        state.set_global_attribute(_COUNTERS, defaultdict(int, given))


def _state() -> Any:
    """The module with the counters, which have no public handle; None if it is gone."""
    try:
        state = keras.src.backend.common.global_state
    except AttributeError:
        return None
    return state if hasattr(state, "get_global_attribute") and hasattr(state, "set_global_attribute") else None
