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
        read: Its reader; takes ``[data] options``.
        options: Names that ``[data] options`` may have.
    """

    name: str
    description: str
    read: Callable[..., Loaded]
    options: tuple[str, ...] = ()
