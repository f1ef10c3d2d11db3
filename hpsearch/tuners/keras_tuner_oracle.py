"""The child process that runs KerasTuner's oracles: ``python -m hpsearch.tuners.keras_tuner_oracle``.

One JSON object per line comes in on standard input (see :func:`answer`), one goes out on standard output:
``{"answer": …}`` or ``{"error": …, "hint": …}``. It keeps nothing between requests, and ends with its input.

Oracles are filled with trials and asked by ``populate_space``, the method that KerasTuner's own ``create_trial`` calls.
``create_trial`` and ``end_trial`` themselves would write files for every trial, keep a lock for good after an
exception, and stop the study after three failed trials.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import IO, Any


def main() -> None:
    """Answer requests until standard input ends."""
    replies = _private_stdout()
    for line in sys.stdin:
        replies.write(json.dumps(_reply(line)) + "\n")
        replies.flush()


def _reply(line: str) -> dict[str, Any]:
    try:
        return {"answer": answer(json.loads(line))}
    except ImportError as error:
        return {"error": f"cannot import it: {error}", "hint": "pip install keras-tuner scikit-learn"}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        return {"error": what, "hint": "search with tuner = 'optuna', and report this with the study file"}


def _private_stdout() -> IO[str]:
    """The real standard output, for replies only; whatever libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def answer(request: dict[str, Any]) -> dict[str, int | float] | None:
    """The values that an oracle suggests, by name; None where a grid ends.

    Args:
        request: ``algorithm`` (``"bayesian"``, ``"random"`` or ``"grid"``), ``direction``, ``space`` (dimensions, with
            ``when``: name → numbers), and

            - for ``bayesian`` and ``random``: ``seed``;
            - for ``bayesian``: ``startup``, the number of scores before the model is used, and ``trials``: number,
              ``values`` and ``score``, which is None while running;
            - for ``grid``: ``after``, the combination before the wanted one, or None for the first.
    """
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


def _space(dimensions: list[dict[str, Any]]) -> Any:
    from keras_tuner import HyperParameters

    space = HyperParameters()
    space.merge([_hyperparameter(dimension) for dimension in dimensions])
    return space


def _hyperparameter(dimension: dict[str, Any]) -> Any:
    from keras_tuner.engine import hyperparameters as kinds

    # conditional_scope cannot nest two scopes whose parents do not depend on each other; conditions given directly can.
    from keras_tuner.src.engine.conditions import Parent

    name, low, high = dimension["name"], dimension["low"], dimension["high"]
    conditions = [Parent(other, numbers) for other, numbers in dimension["when"].items()]
    if dimension["kind"] == "fixed":
        return kinds.Fixed(name, 0, conditions=conditions)
    if dimension["kind"] == "choice":
        return kinds.Choice(name, list(range(high + 1)), ordered=False, conditions=conditions)
    sampling = "log" if dimension["log"] else "linear"
    if dimension["kind"] == "float":
        return kinds.Float(name, low, high, sampling=sampling, conditions=conditions)
    # On a logarithmic scale a step would be a factor.
    step = None if dimension["log"] else dimension["step"]
    return kinds.Int(name, low, high, step=step, sampling=sampling, conditions=conditions)


def _trial(oracle: Any, trial_id: str, values: dict[str, int | float], status: str) -> Any:
    from keras_tuner.engine.trial import Trial

    hyperparameters = oracle.get_space()
    hyperparameters.values = dict(values)
    return Trial(hyperparameters, trial_id, status)


def _fill(oracle: Any, trials: list[dict[str, Any]]) -> None:
    """Put a history into a Bayesian oracle: finished trials first, then the running ones, each with a worker."""
    finished = [trial for trial in trials if trial["score"] is not None]
    for told in finished:
        trial = _trial(oracle, str(told["number"]), told["values"], "COMPLETED")
        trial.score = told["score"]
        oracle.trials[trial.trial_id] = trial
    running = [trial for trial in trials if trial["score"] is None]
    if running and len(finished) >= oracle.num_initial_points:
        # Running trials are given the model's own prediction. A model that was never fitted predicts 0 ± 1, whatever
        # the scale of the scores, so it is fitted to the finished trials first.
        oracle.gpr.fit(*oracle._vectorize_trials())
    for told in running:
        trial = _trial(oracle, str(told["number"]), told["values"], "RUNNING")
        oracle.trials[trial.trial_id] = trial
        oracle.ongoing_trials[f"worker-{told['number']}"] = trial


class _QuickRegressor:
    """scikit-learn's Gaussian process with a ``predict`` for one small question after the other.

    KerasTuner climbs the model from 50 places with numeric gradients: tens of thousands of predictions of one row for
    one suggestion. scikit-learn's own ``predict`` spends nine tenths of its time on checking that row. The numbers
    are the same (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 2.1).
    """

    def __init__(self, regressor: Any) -> None:
        self._regressor = regressor

    def fit(self, x: Any, y: Any) -> None:
        """Fit to rows `x` (n, d) and scores `y` (n,)."""
        self._regressor.fit(x, y)
        # As scikit-learn normalizes with normalize_y=True, which KerasTuner sets.
        self._mean, self._std = y.mean(), y.std() or 1.0

    def predict(self, x: Any, return_std: bool) -> Any:
        """Mean and standard deviation at rows `x` (m, d), both (m,)."""
        from numpy import sqrt
        from scipy.linalg.lapack import dtrtrs

        model = self._regressor
        assert return_std, "KerasTuner always asks for both"
        covariance = model.kernel_(x, model.X_train_)
        mean = covariance @ model.alpha_
        explained, _ = dtrtrs(model.L_, covariance.T, lower=1)
        variance = (model.kernel_.diag(x) - (explained**2).sum(axis=0)).clip(min=0.0)
        return self._mean + self._std * mean, self._std * sqrt(variance)


def _continue_grid(oracle: Any, after: dict[str, int | float] | None) -> None:
    """Let a grid oracle go on after a combination, as if that had been its first and only trial, just ended."""
    if after is not None:
        oracle.trials["old"] = _trial(oracle, "old", after, "COMPLETED")
        oracle.start_order.append("old")
        oracle._ordered_ids.insert("old")
        oracle._populate_next.append("old")


if __name__ == "__main__":
    main()
