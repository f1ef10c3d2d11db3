"""What a report asks of the input columns, which only a worker sees: the ranges that rows are in, and how much the
champion relies on each column. Written as ``inputs.npz`` beside the champion.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.core.facts import Task
from hpsearch.core.files import write_atomically
from hpsearch.core.output_metrics import known_metrics
from hpsearch.core.seeds import derive
from hpsearch.data.dataset import Array, Dataset, Features, InOrder, Part, keras_inputs
from hpsearch.portable.cells import MISSING, category_code
from hpsearch.portable.columns import NUMBERS
from hpsearch.training.engines.whole import losses_of, metrics_of
from hpsearch.training.named_outputs import named_outputs, of_targets, own_names, rows_in
from hpsearch.training.problem import Problem

if TYPE_CHECKING:
    import keras

_MOST_COLUMNS = 64
"""Tables and arrays of more columns are not inspected."""

_RANGES, _LARGEST = 5, 8
"""Ranges of numbers, each with as many rows; categories and groups that are on their own."""

_DIGITS = 17
"""Significant digits that tell any two float64 values apart."""

_REPEATS = 5
"""Permutations of each column."""

_MOST_PREDICTED = 2_000_000
"""Rows that are predicted for all columns together; of more test rows, some are drawn."""

_BATCH = 256

Measure = Callable[[Array, Any, Array | None], float]


@dataclass(frozen=True, slots=True)
class _Column:
    """An input column.

    Attributes:
        name: For the user.
        key: Of the input that holds it; None if the input is one array.
        place: Its place within that input; None if it is all of it.
        texts: The texts of a category's codes; empty for numbers.
        is_array: Whether it is an input whose rows are arrays: it can be permuted, and has no ranges.
    """

    name: str
    key: str | None
    place: int | None
    texts: tuple[str, ...] = ()
    is_array: bool = False

    def of(self, x: Features) -> NDArray[np.float64]:
        """Its values."""
        array = self._input(x)
        return np.asarray(array if self.place is None else array[:, self.place], dtype=np.float64)

    def permuted(self, x: Features, order: NDArray[np.intp]) -> Features:
        """The same rows with this column in another order."""
        array = self._input(x)
        changed = array[order] if self.place is None else array.copy()
        if self.place is not None:
            changed[:, self.place] = array[order, self.place]
        if self.key is None or isinstance(x, np.ndarray):
            return changed
        return type(x)({**x, self.key: changed}) if isinstance(x, InOrder) else {**x, self.key: changed}

    def _input(self, x: Features) -> Array:
        return x if isinstance(x, np.ndarray) else x[self.key or ""]


def write_inputs(model: "keras.Model", problem: Problem, folder: Path) -> None:
    """Write ``inputs.npz``, or remove that of another champion if rows have no columns, or too many."""
    path, dataset = folder / "inputs.npz", problem.dataset
    columns = list(_columns(dataset))
    if not columns or len(columns) > _MOST_COLUMNS:
        path.unlink(missing_ok=True)
        return
    parts = [dataset.train, *([] if dataset.test is None else [dataset.test])]
    arrays: dict[str, Array] = {}
    for number, (name, labels, codes) in enumerate(_ranges(columns, parts, dataset)):
        arrays |= {f"labels_{number}": np.array(labels), f"codes_{number}": codes, f"name_{number}": np.array(name)}
    if dataset.test is not None and dataset.task is not Task.NONE:
        with suppress(Exception):  # the user's metric may fail; a champion is not given up for what it is shown by
            arrays |= _importance(model, problem, columns, dataset.test)
    write_atomically(
        path,
        lambda temporary: np.savez_compressed(temporary, allow_pickle=False, **arrays),
        shared=problem.spec.tracking.shared,
    )


def _columns(dataset: Dataset) -> Iterator[_Column]:
    x, schema = dataset.train.x, dataset.schema
    if isinstance(x, np.ndarray):
        if x.ndim == 2 and "words" not in dataset.extra:
            yield from (_Column(f"column {place}", None, place) for place in range(x.shape[1]))
        return
    numbers = 0
    for column in dataset.columns:
        if column.kind == "number" and schema.packed:
            yield _Column(column.name, NUMBERS, numbers)
            numbers += 1
        else:
            texts = tuple(schema.categories.get(column.name, ()))
            yield _Column(column.name, column.name, None, texts, is_array=column.kind in ("array", "text"))


def _ranges(
    columns: list[_Column], parts: list[Part], dataset: Dataset
) -> Iterator[tuple[str, list[str], NDArray[np.uint8]]]:
    """Of each column and of the groups: name, labels of the ranges, and the range of each development and test row."""
    for column in columns:
        if column.is_array:
            continue
        values = np.concatenate([column.of(part.x) for part in parts])
        labels, codes = _by_text(values, column.texts) if column.texts else _by_size(values)
        if len(labels) > 1:
            yield column.name, labels, codes
    names = dataset.group_names
    if names and all(part.groups is not None for part in parts):
        groups = np.concatenate([part.groups for part in parts if part.groups is not None])
        labels, codes = _most_frequent([names[one] for one in range(len(names))], groups.astype(np.intp))
        yield "the group of a row", labels, codes


def _by_text(values: NDArray[np.float64], texts: tuple[str, ...]) -> tuple[list[str], NDArray[np.uint8]]:
    known = {float(category_code(text)): place for place, text in enumerate(texts)} | {float(MISSING): len(texts)}
    places = np.array([known.get(value, len(texts) + 1) for value in values.tolist()])
    return _most_frequent([*texts, "(empty)", "(only in test rows)"], places)


def _most_frequent(texts: list[str], places: NDArray[np.intp]) -> tuple[list[str], NDArray[np.uint8]]:
    counts = np.bincount(places, minlength=len(texts))
    order = [int(one) for one in np.argsort(-counts, kind="stable") if counts[one]]
    shown = order if len(order) <= _LARGEST + 1 else order[:_LARGEST]
    codes = np.full(len(texts), len(shown), dtype=np.uint8)
    codes[shown] = np.arange(len(shown))
    labels = [texts[one][:60] for one in shown]
    return labels if len(shown) == len(order) else [*labels, f"{len(order) - len(shown)} others"], codes[places]


def _by_size(values: NDArray[np.float64]) -> tuple[list[str], NDArray[np.uint8]]:
    finite = values[np.isfinite(values)]
    distinct = np.unique(finite)
    if len(distinct) <= _RANGES:
        labels = _told_apart(distinct.tolist(), [4] * len(distinct))
        codes = np.searchsorted(distinct, values).astype(np.uint8)
    else:
        edges = np.unique(np.quantile(finite, np.arange(1, _RANGES) / _RANGES))
        ends = _told_apart(edges.tolist(), [3 if abs(edge) < 1000 else 5 for edge in edges])
        middle = [f"{low} to {high}" for low, high in pairwise(ends)]
        labels = [f"up to {ends[0]}", *middle, f"above {ends[-1]}"]
        codes = np.searchsorted(edges, values, side="left").astype(np.uint8)
    if len(finite) < len(values):
        codes[~np.isfinite(values)] = len(labels)
        labels.append("(empty)")
    used = np.unique(codes)
    return [labels[one] for one in used], np.searchsorted(used, codes).astype(np.uint8)


def _told_apart(numbers: list[float], digits: list[int]) -> list[str]:
    """Different numbers as different texts: with so many digits each, and more for all as long as two look the same."""
    for more in range(_DIGITS):
        texts = [f"{number:.{few + more}g}" for number, few in zip(numbers, digits, strict=True)]
        if len(set(texts)) == len(texts):
            break
    return texts


def _importance(model: "keras.Model", problem: Problem, columns: list[_Column], test: Part) -> dict[str, Array]:
    """How much worse a metric of the test rows gets if one column is permuted (L. Breiman, "Random Forests", Machine
    Learning 45, 2001; A. Fisher and others, "All Models are Wrong, but Many are Useful", JMLR 20, 2019).
    """
    rng = np.random.default_rng(derive(problem.spec.seed, "permutation-importance"))
    most = max(200, _MOST_PREDICTED // (len(columns) * _REPEATS))
    if len(test) > most:
        test = test.take(np.sort(rng.choice(len(test), most, replace=False)))
    name, sign, measure = _measure(model, problem)
    whole = measure(test.y, _predict(model, test.x), test.weights)
    worse = np.empty((len(columns), _REPEATS))
    for place, column in enumerate(columns):
        orders = [rng.permutation(len(test)) for _ in range(_REPEATS)]
        predicted = _predict(model, _stacked([column.permuted(test.x, order) for order in orders]))
        for repeat in range(_REPEATS):
            part = rows_in(predicted, slice(repeat * len(test), (repeat + 1) * len(test)))
            worse[place, repeat] = sign * (whole - measure(test.y, part, test.weights))
    return {
        "importance": worse,
        "importance_names": np.array([column.name for column in columns]),
        "importance_metric": np.array(name),
        "importance_whole": np.array(whole),
        "importance_rows": np.array(len(test)),
    }


def _measure(model: "keras.Model", problem: Problem) -> tuple[str, int, Measure]:
    """The objective's metric, or the loss where the objective is of training rows: name, sign and function."""
    from hpsearch.keras_internals.compiled import output_losses, placed_metrics

    objective, scorer, names = problem.spec.make_objective(), problem.scorer, own_names(model)
    name = objective.metric.removeprefix("val_")
    sign = 1 if objective.direction == "maximize" else -1
    if objective.metric == name:
        name, sign = "loss", -1
    if name in ("loss", *(one.name for one in output_losses(model))):
        return name, sign, lambda y, predicted, weights: losses_of(model, y, predicted, weights)[name]
    own = {one.metric.name for one in placed_metrics(model)}
    if scorer is not None and not (scorer.yields and name in own):
        return name, sign, lambda y, predicted, weights: scorer(y, named_outputs(predicted, y, names), weights)
    if scorer is None and name in known_metrics(problem.dataset) and name not in own:
        of = of_targets(problem.dataset, model, (name,))
        return name, sign, lambda y, predicted, weights: of(y, predicted, weights).get(name, np.nan)
    return name, sign, lambda y, predicted, weights: metrics_of(model, y, predicted, weights).get(name, np.nan)


def _predict(model: "keras.Model", x: Features) -> Any:
    return model.predict(keras_inputs(x), batch_size=_BATCH, verbose=0)


def _stacked(several: list[Features]) -> Features:
    first = several[0]
    if isinstance(first, np.ndarray):
        return np.concatenate([one for one in several if isinstance(one, np.ndarray)])
    maps = [one for one in several if not isinstance(one, np.ndarray)]
    stacked = {key: np.concatenate([one[key] for one in maps]) for key in first}
    return InOrder(stacked) if isinstance(first, InOrder) else stacked
