"""Targets beyond one per row: of several outputs, the inputs themselves, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.facts import Output, Task
from hpsearch.core.metrics import metrics_for
from hpsearch.core.output_metrics import name_in
from hpsearch.core.records import output_names, output_of, records
from hpsearch.core.words import listed, quoted
from hpsearch.data.dataset import Array, Features
from hpsearch.data.loaded import Loaded
from hpsearch.data.targets import CodedTargets, code_targets
from hpsearch.errors import DataError
from hpsearch.spec.rows import INPUTS, NONE

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec


def without_targets(rows: int) -> Array:
    """Stands for targets that there are not."""
    return np.zeros((rows, 0), np.float32)


def with_own_targets(loaded: Loaded, spec: "StudySpec") -> Loaded:
    """What ``[data] target = "inputs"`` and ``"none"`` make of the rows; anything else as it is.

    Raises:
        DataError: The inputs are several, or no numbers.
    """
    target = spec.data.target
    if target not in (INPUTS, NONE) or loaded.target_is_column:
        return loaded
    parts = [(loaded.x, loaded.x_test)] if target == NONE else []
    if parts:
        y, y_test = (None if x is None else without_targets(_count(x)) for x in parts[0])
    else:
        y, y_test = (None if x is None else _as_targets(x, loaded, spec) for x in (loaded.x, loaded.x_test))
    assert y is not None
    unused = () if loaded.y.shape[1:] == (0,) else (f'target = "{target}": the targets of the source are not used',)
    return replace(loaded, y=y, y_test=y_test, classes=(), warnings=(*loaded.warnings, *unused))


def _count(x: Features) -> int:
    return len(next(iter(x.values()))) if isinstance(x, Mapping) else len(x)


def _as_targets(x: Features, loaded: Loaded, spec: "StudySpec") -> Array:
    """Rows as what a model is to give back: pixels from 0 to 1, other numbers as they are."""
    if isinstance(x, Mapping):
        source = spec.data.source
        others = [one.name for one in loaded.columns if one.kind != "number"]
        if others or loaded.in_order:
            raise DataError(
                f'{source}: target = "inputs" needs one array or columns of numbers, but {listed(others[:3])} '
                f"{'are' if len(others) > 1 else 'is'} something else",
                code="inputs-are-no-target",
                hint="return the targets beside the inputs, as a dict of outputs",
                source=spec.data.source,
                columns=tuple(others),
            )
        y = np.stack([x[one.name] for one in loaded.columns], axis=1)
        if (gaps := np.isnan(y.astype(np.float64)).any(axis=1)).any():
            raise DataError(
                f'{source}: target = "inputs" needs a number in every cell, but {int(gaps.sum())} of {len(y)} rows '
                f"have empty ones, first row {int(gaps.argmax())}",
                code="inputs-are-no-target",
                hint="fill or drop these rows: an empty cell is nothing to learn",
                source=source,
                count=int(gaps.sum()),
            )
        return y
    if "words" in loaded.extra:
        raise DataError(
            f'{spec.data.source}: target = "inputs" needs numbers, but rows are word numbers',
            code="inputs-are-no-target",
            hint="return the targets beside the inputs",
            source=spec.data.source,
        )
    pixels = x.dtype == np.uint8 and x.ndim >= 3
    return x.astype(np.float32) / np.float32(255) if pixels else x.astype(np.float32)


def code_every_target(loaded: Loaded, spec: "StudySpec") -> tuple[CodedTargets, tuple[Output, ...]]:
    """Code the targets of both parts, and say which outputs they are for; none are named for one.

    Raises:
        DataError: See :func:`~hpsearch.data.targets.code_targets`; or a family is to have several outputs or none.
    """
    if loaded.y.shape[1:] == (0,):
        _check_build(spec, "there are no targets")
        _check_one_output(spec, ("standardize_targets",), "there are none")
        return CodedTargets(loaded.y, loaded.y_test, Task.NONE, ()), ()
    names = output_names(loaded.y)
    if not names:
        if spec.data.target == INPUTS:  # whole numbers among them are no classes
            spec = spec.model_copy(update={"data": spec.data.model_copy(update={"task": Task.REGRESSION.value})})
        return code_targets(loaded, spec), ()
    _check_build(spec, f"the targets are for {len(names)} outputs, {listed(map(quoted, names), most=5)}")
    _check_one_output(spec, ("task", "unit", "standardize_targets"), f"there are {len(names)}")
    if loaded.y_test is not None and output_names(loaded.y_test) != names:
        raise DataError(
            f"{spec.data.source}: the targets are for {listed(map(quoted, names))}, but those of the test rows for "
            f"{listed(map(quoted, output_names(loaded.y_test))) or 'one output'}",
            code="shape-mismatch",
            hint="both parts need the same outputs",
            source=spec.data.source,
        )
    coded = {name: _coded(name, loaded, spec) for name in names}
    y = records({name: one.y for name, one in coded.items()})
    y_test = None
    if loaded.y_test is not None:
        y_test = records({name: one.y_test for name, one in coded.items() if one.y_test is not None})
    warnings = tuple(f"output {quoted(name)}: {text}" for name, one in coded.items() for text in one.warnings)
    outputs = tuple(Output(name, one.task, one.classes) for name, one in coded.items())
    _check_names(outputs, spec)
    return CodedTargets(y, y_test, Task.SEVERAL, (), warnings), outputs


def _check_names(outputs: Sequence[Output], spec: "StudySpec") -> None:
    """Refuse names under which two outputs would have a metric of the same name."""
    owners: dict[str, str] = {}
    for output in outputs:
        for metric in ("loss", *metrics_for(output.task)):
            name = name_in(output.name, metric)
            if (other := owners.setdefault(name, output.name)) != output.name:
                raise DataError(
                    f"{spec.data.source}: outputs {quoted(other)} and {quoted(output.name)} both have a metric "
                    f"{quoted(name)}",
                    code="ambiguous-outputs",
                    hint="give one of them another name",
                    outputs=(other, output.name),
                    metric=name,
                )


def _coded(name: str, loaded: Loaded, spec: "StudySpec") -> CodedTargets:
    """The targets of one output; messages name it."""
    source = f"{spec.data.source}, output {quoted(name)}"
    own = spec.model_copy(update={"data": spec.data.model_copy(update={"source": source})})
    y_test = None if loaded.y_test is None else output_of(loaded.y_test, name)
    return code_targets(replace(loaded, y=output_of(loaded.y, name), y_test=y_test, classes=()), own)


def _check_one_output(spec: "StudySpec", keys: tuple[str, ...], found: str) -> None:
    for key in keys:
        if value := getattr(spec.data, key):
            raise DataError(
                f"{spec.data.source}: {key} = {quoted(value)} is for targets of one output, but {found}",
                code="several-outputs",
                hint=f"remove [data] {key}: each output's targets say what they are",
                source=spec.data.source,
                key=f"data.{key}",
            )


def _check_build(spec: "StudySpec", what: str) -> None:
    if spec.model.family is not None:
        raise DataError(
            f"{spec.data.source}: {what}, but the models of family {quoted(spec.model.family)} have one output and "
            "learn from targets",
            code="needs-build",
            hint="write a build function: [model] build",
            source=spec.data.source,
            family=spec.model.family,
        )
