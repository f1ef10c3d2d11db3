"""What a reader returns, before rows are checked and targets are coded."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpsearch.data.dataset import Array, Features
from hpsearch.portable.columns import Column


@dataclass(frozen=True, slots=True)
class Loaded:
    """Rows and targets as they are in the source.

    Attributes:
        x: See :data:`~hpsearch.data.dataset.Features`.
        y: Raw targets: numbers, texts or booleans; shape ``(n_rows,)`` or ``(n_rows, n_targets)``.
        x_test: Rows of the source's own test split, if it has one.
        y_test: Their targets.
        groups: Group of each row of `x`.
        time: Time of each row of `x`.
        weights: How much each row of `x` counts; None if all count alike.
        weights_test: The same of the rows of `x_test`.
        classes: Names of classes 0, 1, … if the source knows them.
        columns: Columns of a table.
        categories: Category column → its texts.
        examples: The first rows of a table, unchanged.
        target_is_column: Whether the targets are columns of the table.
        in_order: Whether the inputs came without names, as a tuple.
        extra: What models need to know about the source, such as ``{"words": 10000}``.
        warnings: What looks like a mistake, one sentence each.
    """

    x: Features
    y: Array
    x_test: Features | None = None
    y_test: Array | None = None
    groups: Array | None = None
    time: Array | None = None
    weights: Array | None = None
    weights_test: Array | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    examples: Mapping[str, Array] = field(default_factory=dict)
    target_is_column: bool = False
    in_order: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
