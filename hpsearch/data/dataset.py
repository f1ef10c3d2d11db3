"""What a data source provides: rows and targets, with the test part separate from the start."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Output, Schema, Task
from hpsearch.core.records import output_names, output_of
from hpsearch.core.words import listed
from hpsearch.portable.columns import NUMBERS, Column
from hpsearch.portable.outputs import in_order

Array = NDArray[np.generic]

Features = Array | Mapping[str, Array]
"""Raw inputs: one array of shape ``(n_rows, …)``, or several by name. A column of a table has shape ``(n_rows,)``, an
input whose rows are arrays more axes. The number columns of a wide table may be one array, called ``NUMBERS``."""


class InOrder(dict[str, Array]):
    """Several inputs that the model takes as a list, in this order. Their names are for messages only."""


Given = Features | tuple[Array, ...]
"""The same for a build function: inputs in order are a tuple."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that belong together.

    Attributes:
        x: See :data:`Features`.
        y: Targets, shape ``(n_rows,)``: float32 for regression, int32 class numbers from 0 otherwise; or shape
            ``(n_rows, n_classes)`` float32 for one-hot labels and ``(n_rows, n_targets)`` for several targets or for
            labels that do not exclude each other. Targets of several outputs are records with a field for each, so that
            ``y["price"]`` are those of one; without targets, the shape is ``(n_rows, 0)``.
        groups: Group of each row: of ``[data] group``, of equal rows that stay together, or of both; None if rows are
            on their own.
        time: Time of each row; None if order does not matter.
        weights: How much each row counts in the loss and in weighted metrics, float32 of shape ``(n_rows,)``: Keras'
            ``sample_weight``. None if all rows count alike.
    """

    x: Features
    y: Array
    groups: Array | None = None
    time: Array | None = None
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[np.intp]) -> "Part":
        """A new part with the given rows, in the given order."""
        return Part(
            x=take(self.x, rows),
            y=self.y[rows],
            groups=None if self.groups is None else self.groups[rows],
            time=None if self.time is None else self.time[rows],
            weights=None if self.weights is None else self.weights[rows],
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """A loaded data source.

    Attributes:
        name: The source as written in the study file.
        train: What the search may see.
        test: The test part, used once, by the refitted winner. None without one.
        task: See :class:`Task`.
        classes: Names of the classes in order of their numbers, or of the labels; empty for regression.
        columns: Columns of a table in order; empty if ``x`` is one array.
        examples: Some rows of a table, unchanged, with their texts; empty if ``x`` is one array.
        extra: What models need to know about the source, such as ``{"words": 10000}``.
        schema: How the data were read.
        warnings: What looks like a mistake, one sentence each.
        group_names: Names of the groups of ``[data] group`` by their numbers; empty if groups are of equal rows, too.
        outputs: The outputs of targets that have several; else empty.
    """

    name: str
    train: Part
    test: Part | None
    task: Task
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    examples: Mapping[str, Array] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    schema: Schema = field(default_factory=Schema)
    warnings: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()

    def of_output(self, output: Output) -> "Dataset":
        """The same rows with the targets of one of several outputs."""
        parts = (
            None if one is None else replace(one, y=output_of(one.y, output.name)) for one in (self.train, self.test)
        )
        train, test = parts
        assert train is not None
        return replace(self, train=train, test=test, task=output.task, classes=output.classes, outputs=())

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row; ``(number of columns,)`` for a table."""
        x = self.train.x
        return (len(self.columns),) if isinstance(x, Mapping) else tuple(x.shape[1:])

    def with_test(self, train: Part, test: Part | None) -> "Dataset":
        """A copy with other parts."""
        return replace(self, train=train, test=test)

    def gaps(self) -> dict[str, int]:
        """Number of empty cells (NaN) in all rows, for each number column that has any."""
        parts = [part.x for part in (self.train, self.test) if part is not None and isinstance(part.x, Mapping)]
        numbers = [column.name for column in self.columns if column.kind == "number"]
        counts = {
            name: sum(int(np.isnan(x[NUMBERS][:, i] if self.schema.packed else x[name]).sum()) for x in parts)
            for i, name in enumerate(numbers)
        }
        return {name: count for name, count in counts.items() if count}

    def class_counts(self) -> tuple[int, ...]:
        """Number of rows of each class or label in all parts, in their order; empty for regression."""
        counts = np.zeros(len(self.classes), dtype=np.int64)
        for part in (self.train, self.test) if self.classes else ():
            if part is not None and self.task is Task.MULTILABEL:
                counts += part.y.sum(axis=0).astype(np.int64)
            elif part is not None:
                numbers = part.y.argmax(axis=1) if part.y.ndim == 2 else part.y
                counts += np.bincount(numbers.astype(np.int64), minlength=len(counts))
        return tuple(int(count) for count in counts)

    def fingerprint(self) -> str:
        """Digest of all rows, targets and weights: equal if and only if the data are equal."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.train, self.test):
            if part is None:
                continue
            columns = self._unpacked(part.x) if isinstance(part.x, Mapping) else {"": part.x}
            weights = {} if part.weights is None else {"weights": part.weights}
            for name, array in (*columns.items(), ("y", part.y), *weights.items()):
                digest.update(f"{name}{array.shape}{array.dtype}".encode())
                if array.dtype == object:
                    digest.update(repr(array.tolist()).encode())
                else:
                    digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def _unpacked(self, x: Mapping[str, Array]) -> Mapping[str, Array]:
        if not self.schema.packed:
            return x
        numbers = iter(x[NUMBERS].T)
        return {one.name: next(numbers) if one.kind == "number" else x[one.name] for one in self.columns}


@dataclass(frozen=True, slots=True)
class TrainingData:
    """All that a build function may know about the data: the training rows of one fold, and no other rows.

    Preprocessing layers adapt on ``x``, so no validation or test row can leak into a model.

    Attributes:
        x: Raw training rows; see :data:`Given`.
        y: Their targets, as in :class:`Part`.
        task: See :class:`Task`.
        classes: Names of the classes or labels; empty for regression.
        columns: Columns of a table; empty if ``x`` is one array.
        extra: See :class:`Dataset`.
        weights: How much each row counts, as in :class:`Part`; None if all rows count alike.
        outputs: Name → one of several outputs; empty for one.
    """

    x: Given
    y: Array
    task: Task
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)
    weights: Array | None = None
    outputs: Mapping[str, Output] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        """Number of classes or labels; 0 for regression and for several outputs."""
        return len(self.classes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row of ``x``.

        Raises:
            TypeError: There are several inputs.
        """
        if not isinstance(self.x, np.ndarray):
            names = listed(column.name for column in self.columns)
            raise TypeError(f"several inputs have no single input shape, use data.columns; they are {names}")
        return tuple(self.x.shape[1:])

    @property
    def one_hot(self) -> bool:
        """Whether the targets are one-hot rows, not class numbers."""
        return self.task is Task.MULTICLASS and self.y.ndim == 2


@overload
def take(x: Features, rows: NDArray[np.intp]) -> Features: ...
@overload
def take(x: Given, rows: NDArray[np.intp]) -> Given: ...
def take(x: Given, rows: NDArray[np.intp]) -> Given:
    """Rows of an array or of every input."""
    if isinstance(x, tuple):
        return tuple(one[rows] for one in x)
    if isinstance(x, Mapping):
        taken = {name: column[rows] for name, column in x.items()}
        return InOrder(taken) if isinstance(x, InOrder) else taken
    return x[rows]


KerasInputs = Array | dict[str, Array] | list[Array]


def keras_inputs(x: Given) -> KerasInputs:
    """Inputs as Keras takes them: an array, a plain dict, or a list."""
    if isinstance(x, InOrder | tuple):
        return list(x.values() if isinstance(x, InOrder) else x)
    return dict(x) if isinstance(x, Mapping) else x


def keras_targets(y: Array) -> Array | dict[str, Array] | list[Array] | None:
    """Targets as Keras takes them: an array, a dict or a list of several, or None without any."""
    if names := output_names(y):
        found = {name: output_of(y, name) for name in names}
        return [*found.values()] if in_order(names) else found
    return None if y.shape[1:] == (0,) else y
