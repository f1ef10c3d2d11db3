"""Make the champion of the best trial, test it once, and save what there is to know about it."""

import json
import math
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.core.facts import Task
from hpsearch.core.files import make_folder, sha256_of, write_atomically
from hpsearch.core.foreign import errors_as, said
from hpsearch.core.output_metrics import metric_on_rows, metric_values, shown_metrics
from hpsearch.core.seeds import derive
from hpsearch.core.trial import Champion
from hpsearch.core.words import utc_minute
from hpsearch.data.dataset import Array, Part, keras_inputs, keras_targets
from hpsearch.errors import LedgerError, ModelError, TrackingError
from hpsearch.portable.outputs import are_logits
from hpsearch.training.baselines import baseline_of_test
from hpsearch.training.champions import Contender, Contenders
from hpsearch.training.engines.whole import over_all_rows
from hpsearch.training.inspection import write_inputs
from hpsearch.training.keeping import load_champion, save_champion
from hpsearch.training.left_out import left_out, parts_of
from hpsearch.training.mlflow_model import write_mlflow_model
from hpsearch.training.named_outputs import flat, named_outputs, numbers_in, own_names, rows_in, storable
from hpsearch.training.problem import Problem
from hpsearch.training.protocol import RefitOrder
from hpsearch.training.untrained import Stand, without_value

if TYPE_CHECKING:
    import keras

_BATCH = 256
"""Rows per step of evaluation and prediction: it has no influence on results, only on speed."""


def refit(problem: Problem, order: RefitOrder) -> Champion:
    """See :meth:`~hpsearch.training.protocol.WorkerProtocol.refit`."""
    spec, contenders = problem.spec, Contenders(problem, order.trials)
    compares = problem.dataset.test is not None
    compared: dict[str, dict[str, float]] = {}
    champion: Champion | None = None
    # A mean freezes its models: the refitted one comes before.
    for kind in sorted(spec.champion_kinds, key=lambda kind: kind != "refit"):
        if kind == spec.champion.kind:
            champion = _champion(problem, contenders, order)
            compared[kind] = dict(champion.test)
        elif compares:
            try:
                compared[kind] = _scores(_train(contenders, kind, order).model, problem)
            except ModelError:
                compared[kind] = {}  # a champion is not given up for what it is compared with
    assert champion is not None
    return replace(champion, compared=compared) if len(compared) > 1 else champion


def refit_model(problem: Problem, order: RefitOrder) -> Path:
    """See :meth:`~hpsearch.training.protocol.WorkerProtocol.refit_model`."""
    model = _train(Contenders(problem, order.trials), "refit", order).model
    few = problem.dataset.train.take(np.arange(min(len(problem.dataset.train), 8)))
    with _saving_in(order.folder):
        make_folder(order.folder, shared=problem.spec.tracking.shared)
        return save_champion(model, problem, order.trials[0].config, order.folder, few.x)


def _champion(problem: Problem, contenders: Contenders, order: RefitOrder) -> Champion:
    """Train, save and test the kind that the study asks for."""
    begun = time.perf_counter()
    kind, best = problem.spec.champion.kind, order.trials[0]
    made = _train(contenders, kind, order)
    model, seconds = made.model, time.perf_counter() - begun
    with _saving_in(order.folder):
        make_folder(order.folder, shared=problem.spec.tracking.shared)
        few = problem.dataset.train.take(np.arange(min(len(problem.dataset.train), 8)))
        path = save_champion(model, problem, best.config, order.folder, few.x)
        test, baseline = _test(model, problem, order.folder)
        champion = Champion(
            trial=best.trial,
            config=best.config,
            epochs=best.epochs,
            curves=made.curves,
            test=test,
            baseline=baseline,
            path=str(path),
            sha256=sha256_of(path),
            parameters=model.count_params(),
            size_bytes=path.stat().st_size,
            seconds=seconds,
            kind=kind,
            trials=made.trials,
            models=made.models,
            logits=_returns_logits(model, problem),
            crowned=order.crowned,
        )
        _save_card(model, problem, champion, order.folder / "champion.json")
        write_inputs(model, problem, order.folder)
        try:
            return _with_mlflow_model(problem, model, champion, order.folder)
        except (TrackingError, OSError):
            return champion  # the Keras file is complete; the session asks again for the rest, and notes the reason


def _returns_logits(model: "keras.Model", problem: Problem) -> bool | None:
    """Whether the model's outputs are logits of classes or labels; None for values.

    A loss that takes logits says so, unless an activation comes before it: some models have one too many. Losses of the
    user's own and means of models say nothing. For them, the outputs of all development rows tell.
    """
    import keras

    if not (problem.dataset.task.has_classes or problem.dataset.task is Task.MULTILABEL):
        return None
    activation = getattr(model.layers[-1], "activation", None)
    if getattr(model.loss, "from_logits", False) and activation is keras.activations.linear:
        return True
    output = model.predict(keras_inputs(problem.dataset.train.x), batch_size=_BATCH, verbose=0)
    return are_logits(named_outputs(output, problem.dataset.train.y, own_names(model)))


def add_mlflow_model(problem: Problem, champion: Champion, folder: Path) -> Champion:
    """See :meth:`~hpsearch.training.protocol.WorkerProtocol.write_mlflow_model`."""
    model = load_champion(champion.path, problem.spec, champion.config)
    with _saving_in(folder):
        return _with_mlflow_model(problem, model, champion, folder)


def _with_mlflow_model(problem: Problem, model: "keras.Model", champion: Champion, folder: Path) -> Champion:
    written = write_mlflow_model(problem, model, champion, folder / "mlflow_model")
    return replace(champion, mlflow_model=str(written))


def _train(contenders: Contenders, kind: str, order: RefitOrder) -> Contender:
    # Plain Keras, whichever engine searched.
    trial = order.trials[0].trial

    def refit_failed(error: Exception) -> ModelError:
        return ModelError(
            f"the refit of trial {trial} failed: {said(error)}",
            code="refit-failed",
            hint="fix the cause, then resume",
            trial=trial,
            error=type(error).__name__,
        )

    with errors_as(refit_failed):
        return contenders.make(kind)


def _test(model: "keras.Model", problem: Problem, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Test metrics by plain name, and their baseline; the predictions behind them go into ``predictions.npz``."""
    dataset, test = problem.dataset, problem.dataset.test
    if test is None:
        return {}, {}
    scores = _evaluated(model, problem, test)
    output = model.predict(keras_inputs(test.x), batch_size=_BATCH, verbose=0)
    predicted = storable(named_outputs(output, test.y, own_names(model)), test.y)
    if dataset.task is Task.NONE or predicted is None:
        (folder / "predictions.npz").unlink(missing_ok=True)  # of another champion
        return scores, {}
    predicted = flat(predicted)
    arrays: dict[str, Array] = {"y_true": test.y, "y_pred": predicted, "rows": np.arange(len(test))}
    arrays |= _worst_images(test, predicted, dataset.task)
    arrays |= _for_intervals(model, problem, test, output, predicted, scores)
    write_atomically(
        folder / "predictions.npz",
        lambda temporary: np.savez_compressed(temporary, allow_pickle=False, **arrays),
        shared=problem.spec.tracking.shared,
    )
    stand = Stand(problem, model, rows_in(output, slice(8)))
    found = _with_value(scores, stand, test)
    known = baseline_of_test(stand, test, problem.spec.make_objective())
    return found, {name: value for name, value in known.items() if name in found}


def _scores(model: "keras.Model", problem: Problem) -> dict[str, float]:
    """Test metrics by plain name of a model that is only compared."""
    test = problem.dataset.test
    assert test is not None
    scores = _evaluated(model, problem, test)
    few = model.predict(keras_inputs(test.take(np.arange(min(len(test), 8))).x), batch_size=_BATCH, verbose=0)
    return _with_value(scores, Stand(problem, model, few), test)


def _evaluated(model: "keras.Model", problem: Problem, test: Part) -> dict[str, float]:
    inputs, targets = keras_inputs(test.x), keras_targets(test.y)
    scores = model.evaluate(inputs, targets, batch_size=_BATCH, sample_weight=test.weights, verbose=0, return_dict=True)
    return over_all_rows(model, test, scores, batch=_BATCH, watch=partial(_scored, model, problem, test))


def _with_value(scores: Mapping[str, float], stand: Stand, test: Part) -> dict[str, float]:
    """Without the metrics that have no value on these rows, such as the AUC of one class."""
    nothing = without_value(stand, test.y)
    return {name: float(value) for name, value in scores.items() if name not in nothing}


def _scored(
    model: "keras.Model", problem: Problem, test: Part, output: Any, recorded: Collection[str]
) -> dict[str, float]:
    """What the study's scorers and the targets' own metrics add to those of the model."""
    dataset = problem.dataset
    predicted = named_outputs(output, test.y, own_names(model))
    of_task = metric_values(dataset, test.y, predicted, shown_metrics(dataset), weights=test.weights)
    found = {name: value for name, value in of_task.items() if name not in recorded and math.isfinite(value)}
    scored = {one.name: one(test.y, predicted, test.weights) for one in problem.scorers if one.name not in recorded}
    return found | scored


def _for_intervals(
    model: "keras.Model", problem: Problem, test: Part, output: Any, predicted: Array, scores: Mapping[str, float]
) -> dict[str, Array]:
    """How the test rows depend on each other, and what the intervals of their metrics need besides predictions."""
    time = test.time
    if time is None and problem.spec.validation.method == "time-series":
        time = np.arange(len(test))  # as the rows come
    arrays: dict[str, Array] = {} if test.weights is None else {"weights": test.weights}
    for name, traits in (("groups", test.groups), ("time", time)):
        if traits is not None:
            arrays[name] = np.unique(traits, return_inverse=True)[1].astype(np.int32)
    others = {
        name: value
        for name, value in scores.items()
        if metric_on_rows(problem.dataset.outputs, test.y, predicted, name, value, test.weights) is None
    }
    if not others:
        return arrays
    parts = parts_of(test, time, numbers_in(output), seed=derive(problem.spec.seed, "left-out"))
    return arrays | left_out(model, problem, test, output, parts, others)


def _worst_images(test: Part, predicted: Any, task: Task) -> dict[str, Array]:
    """Raw inputs of the 64 test rows, or fewer, that the model gets most wrong, if rows are small images."""
    x = test.x
    if isinstance(x, Mapping) or task is not Task.MULTICLASS or x.ndim not in (3, 4) or max(x.shape[1:3]) > 64:
        return {}
    labels = test.y.argmax(axis=1) if test.y.ndim == 2 else test.y
    confidence = predicted.max(axis=1) - predicted[np.arange(len(labels)), labels]
    worst = np.argsort(-confidence, kind="stable")[:64]
    return {"samples": x[worst], "sample_rows": worst}


def _save_card(model: "keras.Model", problem: Problem, champion: Champion, path: Path) -> None:
    dataset = problem.dataset
    layers = [
        {
            "name": layer.name,
            "type": type(layer).__name__,
            "output_shape": str(getattr(layer.output, "shape", "")) if hasattr(layer, "output") else "",
            "params": layer.count_params() if layer.built else 0,
        }
        for layer in model.layers
    ]
    card = {
        "study": problem.spec.name,
        "trial": champion.trial,
        "chosen_by_hand": None if champion.crowned is None else utc_minute(champion.crowned),
        "sha256": champion.sha256,
        "task": dataset.task.value,
        "classes": list(dataset.classes),
        "columns": [{"name": column.name, "kind": column.kind} for column in dataset.columns],
        "input": list(dataset.input_shape),
        "layers": layers,
    }
    text = json.dumps(card, indent=2)
    shared = problem.spec.tracking.shared
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), shared=shared)


@contextmanager
def _saving_in(folder: Path) -> Iterator[None]:
    """Say which folder could not be written."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"the champion cannot be saved in {folder}: {error.strerror or error}",
            code="cannot-save-champion",
            hint="free some disk space, or make the folder writable, then resume",
            folder=str(folder),
        ) from None
