"""A column of a table: what training has learnt about it, so that later rows are read alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "category", "text", "array"]

CellType = Literal["number", "boolean", "text", "any"]


NUMBERS = "numbers"
"""Name of the one input for all number columns of a wide table."""


@dataclass(frozen=True, slots=True)
class Column:
    """One input column of a table, or one of several inputs.

    Attributes:
        name: As in the table's header.
        kind: How the model treats it.
        cells: What its cells are, whatever later rows look like. If all cells of a text column happen to be digits,
            they are still texts. ``any`` is a mixture: each category is known by its text.
        offset: Subtracted from numbers in float64 before they become float32, which keeps 7 digits only. 0 for most.
        shape: Of an array's row; empty for numbers and categories.
        dtype: Of an array, as the model takes it; empty for numbers and categories.
    """

    name: str
    kind: Kind
    cells: CellType = "any"
    offset: float = 0.0
    shape: tuple[int, ...] = ()
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class OutputCard:
    """One of several outputs of a model.

    Attributes:
        name: Of its targets.
        classes: Names of its classes or labels; empty for values.
        labels: Whether `classes` are labels, of which a row may have any number.
    """

    name: str
    classes: Sequence[str] = ()
    labels: bool = False
