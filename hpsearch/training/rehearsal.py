"""Try a study's model once, before anything is written."""

import numpy as np

from hpsearch.core.facts import Rehearsal
from hpsearch.core.foreign import errors_as, said
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.errors import ModelError
from hpsearch.models.sharing import check_apart
from hpsearch.training.keeping import check_keeping
from hpsearch.training.problem import Problem


def rehearse(problem: Problem, config: Config) -> Rehearsal:
    """See :meth:`~hpsearch.training.protocol.WorkerProtocol.rehearse`."""
    train, validation = problem.fold_parts(0)
    seed = derive(problem.spec.seed, "rehearsal")
    model, again = (problem.build(config, train, seed=seed) for _ in range(2))
    check_apart(problem.builder.address, model, again)
    rows = np.arange(min(len(validation), 8))
    few = validation.take(rows)

    def cannot_evaluate(error: Exception) -> ModelError:
        inputs, targets = list(problem.dataset.input_shape), list(few.y.shape[1:])
        return ModelError(
            f"the model cannot be evaluated on the data: {said(error)}",
            code="cannot-evaluate",
            hint=f"inputs have shape {inputs}, targets {targets}; check the output layer",
            error=type(error).__name__,
            inputs=inputs,
            targets=targets,
        )

    with errors_as(cannot_evaluate):
        values = model.evaluate(few.x, few.y, batch_size=len(rows), verbose=0, return_dict=True)
    check_keeping(model, problem, config, few.x, seed=seed)
    names = tuple(values)
    return Rehearsal(model.count_params(), (*names, *(f"val_{name}" for name in names)))
