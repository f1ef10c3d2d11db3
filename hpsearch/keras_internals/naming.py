"""The numbers in names that Keras gives to layers and metrics: ``dense``, ``dense_1``, ``auc_2``."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import keras

_COUNTERS = "object_name_uids"


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
