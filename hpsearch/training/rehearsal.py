"""Try a study's model once, before anything is written."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.core.foreign import errors_as, said
from hpsearch.core.records import output_names, output_of
from hpsearch.core.rehearsed import Rehearsal
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.words import listed
from hpsearch.data.dataset import Array, Part, keras_inputs, keras_targets
from hpsearch.errors import ModelError
from hpsearch.keras_internals.compiled import metrics_over_batches
from hpsearch.models.sharing import check_apart
from hpsearch.training.baselines import baselines, doubts_about_baseline
from hpsearch.training.callbacks import check_callbacks
from hpsearch.training.keeping import check_keeping, check_keeping_means
from hpsearch.training.named_outputs import named_outputs, own_names
from hpsearch.training.problem import Problem
from hpsearch.training.scorers import Scorer, doubts_about_scorer
from hpsearch.training.untrained import Stand, doubts_about_targets, undefined_metrics
from hpsearch.training.weighting import doubts_about_weights

if TYPE_CHECKING:
    import keras

_SCORED = 1000
"""Rows that the study's scorer is tried on at most."""


def rehearse(problem: Problem, config: Config) -> Rehearsal:
    """See :meth:`~hpsearch.training.protocol.WorkerProtocol.rehearse`."""
    train, validation = problem.fold_parts(0)
    seed = derive(problem.spec.seed, "rehearsal")
    model, again = (problem.build(config, train, seed=seed) for _ in range(2))
    check_apart(problem.builder.address, model, again)
    rows = np.arange(min(len(validation), 8))
    few = validation.take(rows)

    names = _recorded(problem, model, few)
    check_keeping(model, problem, config, few.x, seed=seed)
    stand = Stand(problem, model, model.predict(keras_inputs(few.x), batch_size=len(rows), verbose=0))
    curves = (
        *names,
        *(f"val_{name}" for name in names),
        *(curve for one in problem.scorers for curve in _scored(one, problem, model, names)),
    )
    added, told_of_callbacks = check_callbacks(problem, config, model, curves)
    curves = (*curves, *added)
    objective = problem.spec.make_objective()
    undefined = undefined_metrics(stand)
    left_out = next((one.folds for one in undefined if one.metric == objective.metric), ())
    found = baselines(stand, objective, left_out)
    told = Rehearsal(
        model.count_params(),
        curves,
        undefined,
        found,
        (
            *doubts_about_targets(stand),
            *doubts_about_baseline(stand, objective, left_out, found),
            *(
                doubt
                for one in problem.scorers
                for doubt in doubts_about_scorer(one, problem.dataset.task, problem.dataset.train.y)
            ),
            *doubts_about_weights(model, problem, objective),
            *_averaged(model),
            *told_of_callbacks,
        ),
    )
    if problem.spec.champion.kind != "refit":
        check_keeping_means((model, again), problem, config, few.x)
    return told


def _recorded(problem: Problem, model: "keras.Model", few: Part) -> tuple[str, ...]:
    """The metrics that a model records.

    Raises:
        ModelError: It cannot be evaluated.
    """

    def cannot_evaluate(error: Exception) -> ModelError:
        inputs, targets = list(problem.dataset.input_shape), _shape_of(few.y)
        return ModelError(
            f"the model cannot be evaluated on the data: {said(error)}",
            code="cannot-evaluate",
            hint=f"inputs have shape {inputs}, targets {targets}; check the output layer",
            error=type(error).__name__,
            inputs=inputs,
            targets=targets,
        )

    with errors_as(cannot_evaluate):
        values = model.evaluate(
            keras_inputs(few.x),
            keras_targets(few.y),
            batch_size=len(few),
            sample_weight=few.weights,
            verbose=0,
            return_dict=True,
        )
    return tuple(values)


def _shape_of(y: Array) -> object:
    """Shape of a row's targets, for people."""
    names = output_names(y)
    return {name: list(output_of(y, name).shape[1:]) for name in names} if names else list(y.shape[1:])


def _scored(scorer: Scorer, problem: Problem, model: "keras.Model", recorded: Collection[str]) -> tuple[str, ...]:
    """The curve of a scorer, which must be able to score what the model predicts."""
    if scorer.name in recorded and scorer.yields:
        return ()
    if scorer.name in recorded:
        raise ModelError(
            f"{scorer.where} has the name of one of the model's own metrics, {scorer.name!r}",
            code="name-taken",
            hint=f'use "val_{scorer.name}" for the model\'s; or rename that one',
            name=scorer.name,
        )
    part = problem.dataset.train
    every = part.take(np.arange(min(len(part), _SCORED)))
    output = model.predict(keras_inputs(every.x), batch_size=256, verbose=0)
    scorer(every.y, named_outputs(output, every.y, own_names(model)), every.weights)
    return (f"val_{scorer.name}",)


def _averaged(model: "keras.Model") -> tuple[str, ...]:
    """A sentence if curves of the training rows are of another kind than those of the validation rows."""
    names = [one.name for one in metrics_over_batches(model)]
    if not names:
        return ()
    return (
        f"{listed(names)}: not known to be a mean over rows, so val_{names[0]} is computed over all validation rows of "
        f"a fold at once; {names[0]}, of the training rows, is Keras' average over batches and depends on batch_size",
    )
