"""A named data source."""

from collections.abc import Callable
from dataclasses import dataclass

from hpsearch.data.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Source:
    """A named data set.

    Attributes:
        name: As study files write it in ``[data] source``.
        description: One line.
        read: Called with ``[data] options`` as keyword arguments.
        options: Legal names in ``[data] options``.
    """

    name: str
    description: str
    read: Callable[..., Loaded]
    options: tuple[str, ...] = ()
