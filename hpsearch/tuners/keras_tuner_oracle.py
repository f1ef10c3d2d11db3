"""The child process that runs KerasTuner's oracles: ``python -m hpsearch.tuners.keras_tuner_oracle``.

It reads a :data:`~hpsearch.tuners.oracle_messages.Request` per line from standard input and writes a
:data:`~hpsearch.tuners.oracle_messages.Reply` per line to standard output. It keeps no state between requests, and
ends when its input ends.

A fresh oracle is filled with trials, then asked through ``populate_space``, the method that KerasTuner's own
``create_trial`` calls. ``create_trial`` and ``end_trial`` would write files for every trial, keep a lock forever after
an exception, and stop the study after three failed trials.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hpsearch.core.foreign import errors_as
from hpsearch.errors import ExecutorError
from hpsearch.tuners.oracle_messages import DimensionMessage, Numbers, Reply, Request, TrialMessage

if TYPE_CHECKING:
    import numpy as np
    from keras_tuner import HyperParameters, Oracle
    from keras_tuner.engine.hyperparameters import HyperParameter
    from keras_tuner.engine.trial import Trial
    from keras_tuner.oracles import BayesianOptimizationOracle, GridSearchOracle
    from numpy.typing import NDArray
    from sklearn.gaussian_process import GaussianProcessRegressor


def main() -> None:
    """Answer requests until standard input ends."""
    replies = _private_stdout()
    for line in sys.stdin:
        replies.write(json.dumps(_reply(line)) + "\n")
        replies.flush()


def _reply(line: str) -> Reply:
    try:
        with errors_as(_explain):
            return {"answer": answer(json.loads(line))}
    except ExecutorError as error:
        return {"error": error.what, "hint": error.hint}


def _explain(error: Exception) -> ExecutorError:
    if isinstance(error, ImportError):
        return ExecutorError(
            f"it cannot be imported: {error}",
            code="missing-package",
            hint="pip install keras-tuner scikit-learn",
            package="keras-tuner",
        )
    where = traceback.extract_tb(error.__traceback__)[-1]
    return ExecutorError(
        f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})",
        code="tuner-failed",
        hint="use tuner = 'optuna', and report this with the study file",
        type=type(error).__name__,
    )


def _private_stdout() -> IO[str]:
    """The real standard output, for replies only. What libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def answer(request: Request) -> Numbers | None:
    """The combination that an oracle suggests; None at the end of a grid."""
    import keras_tuner

    common = {
        "objective": keras_tuner.Objective("score", "max" if request["direction"] == "maximize" else "min"),
        "hyperparameters": _space(request["space"]),
        "allow_new_entries": False,
        "tune_new_entries": False,
        "max_trials": None,
    }
    if request["algorithm"] == "grid":
        oracle = keras_tuner.oracles.GridSearchOracle(**common, seed=1)
        _continue_grid(oracle, request["after"])
    elif request["algorithm"] == "random":
        oracle = keras_tuner.oracles.RandomSearchOracle(**common, seed=request["seed"])
    else:
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(
            **common, seed=request["seed"], num_initial_points=request["startup"]
        )
        oracle.gpr = _QuickRegressor(oracle.gpr)
        _fill(oracle, request["trials"])
    values = oracle.populate_space("new")["values"]
    if values is None:
        return None
    # NumPy numbers have no JSON form.
    return {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}


def _space(dimensions: list[DimensionMessage]) -> "HyperParameters":
    from keras_tuner import HyperParameters

    space = HyperParameters()
    space.merge([_hyperparameter(dimension) for dimension in dimensions])
    return space


def _hyperparameter(dimension: DimensionMessage) -> "HyperParameter":
    from keras_tuner.engine import hyperparameters as kinds

    # Not conditional_scope: it cannot nest two scopes whose parents are independent of each other.
    from keras_tuner.src.engine.conditions import Parent

    name, low, high = dimension["name"], dimension["low"], dimension["high"]
    conditions = [Parent(other, numbers) for other, numbers in dimension["when"].items()]
    if dimension["kind"] == "fixed":
        return kinds.Fixed(name, 0, conditions=conditions)
    if dimension["kind"] == "choice":
        return kinds.Choice(name, list(range(int(high) + 1)), ordered=False, conditions=conditions)
    sampling = "log" if dimension["log"] else "linear"
    if dimension["kind"] == "float":
        return kinds.Float(name, low, high, sampling=sampling, conditions=conditions)
    # On a logarithmic scale a step would be a factor.
    step = None if dimension["log"] else dimension["step"]
    return kinds.Int(name, low, high, step=step, sampling=sampling, conditions=conditions)


def _trial(oracle: "Oracle", trial_id: str, values: Numbers, status: str) -> "Trial":
    from keras_tuner.engine.trial import Trial

    hyperparameters = oracle.get_space()
    hyperparameters.values = dict(values)
    return Trial(hyperparameters, trial_id, status)


def _fill(oracle: "BayesianOptimizationOracle", trials: list[TrialMessage]) -> None:
    """Put a history into the oracle: finished trials first, then running ones, each with a worker."""
    finished = [trial for trial in trials if trial["score"] is not None]
    for one in finished:
        trial = _trial(oracle, str(one["number"]), one["values"], "COMPLETED")
        trial.score = one["score"]
        oracle.trials[trial.trial_id] = trial
    running = [trial for trial in trials if trial["score"] is None]
    if running and len(finished) >= oracle.num_initial_points:
        # KerasTuner scores running trials by the model's prediction. A model that was never fitted predicts 0 ± 1,
        # whatever the scale of the scores, so fit it to the finished trials first.
        oracle.gpr.fit(*oracle._vectorize_trials())
    for one in running:
        trial = _trial(oracle, str(one["number"]), one["values"], "RUNNING")
        oracle.trials[trial.trial_id] = trial
        oracle.ongoing_trials[f"worker-{one['number']}"] = trial


class _QuickRegressor:
    """scikit-learn's Gaussian process with a ``predict`` that is fast for single rows.

    KerasTuner climbs the model from 50 points with numeric gradients, so one suggestion takes tens of thousands of
    predictions of one row. scikit-learn's ``predict`` spends nine tenths of its time on input checks. The results are
    the same (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 2.1).
    """

    def __init__(self, regressor: "GaussianProcessRegressor") -> None:
        self._regressor = regressor

    def fit(self, x: "NDArray[np.float64]", y: "NDArray[np.float64]") -> None:
        """Fit to rows `x`, shape ``(n, d)``, and scores `y`, shape ``(n,)``."""
        self._regressor.fit(x, y)
        # What scikit-learn does with normalize_y=True, which KerasTuner sets.
        self._mean, self._std = y.mean(), y.std() or 1.0

    def predict(self, x: "NDArray[np.float64]", return_std: bool) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
        """Mean and standard deviation at rows `x`, shape ``(m, d)``; both have shape ``(m,)``."""
        from numpy import sqrt
        from scipy.linalg.lapack import dtrtrs

        model = self._regressor
        assert return_std, "KerasTuner always asks for both"
        covariance = model.kernel_(x, model.X_train_)
        mean = covariance @ model.alpha_
        explained, _ = dtrtrs(model.L_, covariance.T, lower=1)
        variance = (model.kernel_.diag(x) - (explained**2).sum(axis=0)).clip(min=0.0)
        return self._mean + self._std * mean, self._std * sqrt(variance)


def _continue_grid(oracle: "GridSearchOracle", after: Numbers | None) -> None:
    """Continue a grid after a combination, as if that had been the oracle's first and only trial."""
    if after is not None:
        oracle.trials["old"] = _trial(oracle, "old", after, "COMPLETED")
        oracle.start_order.append("old")
        oracle._ordered_ids.insert("old")
        oracle._populate_next.append("old")


if __name__ == "__main__":
    main()
