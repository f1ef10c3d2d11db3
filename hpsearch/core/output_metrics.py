"""The metrics that targets call for, whether they are of one output or of several.

Those of several outputs are called as Keras calls its own: the output's name, an underscore, the metric.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from hpsearch.core.facts import Output, Task
from hpsearch.core.metrics import Array, Metric, metrics_for, names_shown, values_of
from hpsearch.core.records import output_names, output_of
from hpsearch.core.row_values import RowValues, row_values


class Targets(Protocol):
    """What is known of a study's targets."""

    @property
    def task(self) -> Task: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def outputs(self) -> tuple[Output, ...]: ...


def outputs_of(targets: Targets) -> tuple[Output, ...]:
    """The outputs; if there is one only, that, without a name."""
    return targets.outputs or (Output("", targets.task, targets.classes),)


def name_in(output: str, metric: str) -> str:
    """A metric's name as Keras logs it for one of several outputs; as it is for an output without a name."""
    return f"{output}_{metric}" if output else metric


def output_of_metric(outputs: Iterable[Output], name: str) -> tuple[Output, str] | None:
    """Which of several outputs a metric is of, and its name there; None if it is of all or of none.

    Args:
        outputs: All of them.
        name: Such as ``kind_accuracy``, without ``val_``.
    """
    found = [one for one in outputs if name.startswith(f"{one.name}_")]
    if not found:
        return None
    longest = max(found, key=lambda one: len(one.name))
    return longest, name[len(longest.name) + 1 :]


def known_metrics(targets: Targets) -> dict[str, Metric]:
    """The metrics that every study of such targets has, by name; each of them, with ``val_``, can be an objective."""
    return {
        name_in(output.name, name): metric
        for output in outputs_of(targets)
        for name, metric in metrics_for(output.task).items()
    }


def shown_metrics(targets: Targets) -> tuple[str, ...]:
    """The metrics that are computed for every winner, in order."""
    return tuple(
        name_in(output.name, name)
        for output in outputs_of(targets)
        for name in names_shown(output.task, output.n_classes)
    )


def metric_values(
    targets: Targets, y: Array, predicted: Any, names: Collection[str] | None = None, *, weights: Array | None = None
) -> dict[str, float]:
    """Metrics of some predictions by name; NaN where one has no value on these rows.

    Args:
        targets: What is known of them.
        y: Targets, as in :class:`~hpsearch.data.dataset.Part`.
        predicted: The model's output for the same rows; of several outputs, by the names of their targets.
        names: Those wanted; None for all.
        weights: How much each row counts; 1 by default.

    Returns:
        Without the metrics of outputs that have no form that is known for their task.
    """
    found: dict[str, float] = {}
    for output in outputs_of(targets):
        wanted = [one for one in metrics_for(output.task) if names is None or name_in(output.name, one) in names]
        if wanted and (part := output_in(predicted, output.name)) is not None:
            values = values_of(output.task, output_of(y, output.name), part, wanted, weights=weights)
            found |= {name_in(output.name, name): value for name, value in values.items()}
    return found


def output_in(predicted: Any, name: str) -> Any:
    """What an output predicts; None if there is no such output.

    Args:
        predicted: Predictions by the names of their targets, in a mapping or in records; or those of one output.
        name: Of the output; empty if it is the only one.
    """
    if not name:
        return predicted
    if isinstance(predicted, Mapping):
        return predicted.get(name)
    return output_of(predicted, name) if isinstance(predicted, np.ndarray) and name in output_names(predicted) else None


def metric_on_rows(
    outputs: Collection[Output],
    y: Array,
    predicted: Any,
    metric: str,
    value: float,
    weights: Array | None = None,
) -> RowValues | None:
    """A metric's value on every row: see :func:`~hpsearch.core.row_values.row_values`.

    Args:
        outputs: Those of the targets, if they have several.
        y: Targets.
        predicted: Predictions; of several outputs, as records.
        metric: Its name, without ``val_``.
        value: What it is over all rows.
        weights: How much each row counts; None if all count alike.
    """
    if not outputs:
        return row_values(y, np.asarray(predicted, np.float64), metric, value, weights)
    found = output_of_metric(outputs, metric)
    part = None if found is None else output_in(predicted, found[0].name)
    if found is None or part is None:
        return None
    return row_values(output_of(y, found[0].name), np.asarray(part, np.float64), found[1], value, weights)


def best_values(targets: Targets, found: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The best value of each known metric among several predictions."""
    known, best = known_metrics(targets), dict[str, float]()
    for values in found:
        for name, value in values.items():
            if name in known:
                better = max if known[name].direction == "maximize" else min
                best[name] = better(best.get(name, value), value)
    return best
