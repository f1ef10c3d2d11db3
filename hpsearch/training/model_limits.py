"""Measures a model before it is trained, where the study limits it."""

import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.events import Bundle, Event, LaneFailed, ModelMeasured
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import not_trained
from hpsearch.data.dataset import KerasInputs, keras_inputs
from hpsearch.training.engines.failures import failed
from hpsearch.training.problem import Problem

if TYPE_CHECKING:
    import keras

_WARM_UP, _CALLS = 5, 50
"""Predictions before the latency is measured, which compile and fill caches, and those that are measured."""


def measure_models(problem: Problem, bundle: Bundle) -> tuple[list[Event], Bundle]:
    """Measure the models of a bundle's trials that have not been measured.

    Returns:
        What is to be reported, and the bundle without the trials that break a limit, or cannot be built.
    """
    told: list[Event] = []
    lost: set[int] = set()
    constraints = problem.spec.make_objective().constraints.of_model
    for trial in bundle.measure:
        lanes = [lane for lane in bundle.lanes if lane.trial == trial]
        try:
            found = measure_model(problem, lanes[0].config, trial)
        except Exception as error:  # the user's code may raise anything; it must not end the worker
            told += [failed(lane, error) for lane in lanes]
            lost.add(trial)
            continue
        told.append(found)
        if broken := constraints.broken(found.measured):
            told += [LaneFailed(trial, lane.fold, not_trained(broken)) for lane in lanes]
            lost.add(trial)
    return told, Bundle(bundle.id, tuple(lane for lane in bundle.lanes if lane.trial not in lost))


def measure_model(problem: Problem, config: Config, trial: int) -> ModelMeasured:
    """Build a trial's model as for its first fold, and measure what the study limits.

    ``model_mb`` is what all weights take with their types, in 1,000,000 bytes: that of a file of weights alone, without
    what it says of the layers. It has neither the optimizer's state nor vocabularies.

    ``latency_ms`` is the median time of ``predict_on_batch`` with one row: the compiled prediction, without what
    ``predict`` does around it, on this machine and while other workers may be busy.
    """
    import keras

    train, _ = problem.fold_parts(0)
    model = problem.build(config, train, seed=derive(problem.spec.seed, "weights", trial, 0))
    wanted = problem.spec.make_objective().constraints.of_model.quantities
    row = keras_inputs(problem.dataset.train.take(np.arange(1)).x)
    if not model.built:
        model.predict_on_batch(row)
    measured: dict[str, float] = {}
    if "parameters" in wanted:
        measured["parameters"] = float(model.count_params())
    if "model_mb" in wanted:
        measured["model_mb"] = sum(keras.ops.convert_to_numpy(one).nbytes for one in model.weights) / 1e6
    if "latency_ms" in wanted:
        measured["latency_ms"] = _latency_ms(model, row)
    return ModelMeasured(trial, model.count_params(), measured)


def _latency_ms(model: "keras.Model", row: KerasInputs) -> float:
    for _ in range(_WARM_UP):
        model.predict_on_batch(row)
    seconds = []
    for _ in range(_CALLS):
        begun = time.perf_counter()
        model.predict_on_batch(row)
        seconds.append(time.perf_counter() - begun)
    return 1000 * median(seconds)
