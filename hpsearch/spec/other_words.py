"""The words of KerasTuner, Keras and Optuna that people write into a study file, and what stands for them here."""

from collections.abc import Mapping

_FOLDS = (
    'hpsearch validates every trial on folds: [validation] folds = 5, or method = "holdout" with fraction = 0.2 for '
    "one split"
)
_EPOCHS = "[space] epochs sets the epochs of a trial; [pruning] stops poor trials early"
_CALLBACKS = '[[training.callbacks]] with kind = "EarlyStopping" and the like, or callbacks(config) in the build module'
_PLATEAU = '[[training.callbacks]] with kind = "ReduceLROnPlateau"'
_RANGE = "a range is { low = …, high = … }, both ends included"
_NOISE = "nothing stands for it: hpsearch's own search fits its noise to the data, and KerasTuner's has its defaults"
_ALL_ROWS = "nothing stands for it: an epoch meets all training rows of a fold, and a validation all of its rows"
_NAME = "`name` is the name of the study"
_FOLDER = "[tracking] ledger and uri say where results are stored"

EVERYWHERE: Mapping[str, str] = {
    "executions_per_trial": "[validation] seeds: trainings of each fold; repeats trains on other splits instead",
    "max_retries_per_trial": "[resources] max_retries, for workers that die; code that raises would raise again",
    "max_consecutive_failed_trials": "[search] max_failures",
    "max_trials": "[search] trials",
    "n_trials": "[search] trials",
    "num_trials": "[search] trials",
    "num_initial_points": "[search] startup_trials",
    "n_startup_trials": "[search] startup_trials",
    "max_epochs": _EPOCHS,
    "max_model_size": "[objective] at_most = { parameters = … }",
    "constraints_func": "[objective] at_most and at_least",
    "hyperband_iterations": '[pruning] method = "hyperband"',
    "factor": "[pruning] reduction_factor",
    "validation_split": _FOLDS,
    "validation_data": _FOLDS,
    "n_splits": "[validation] folds",
    "cv": "[validation] folds",
    "test_size": "[data] test_fraction",
    "overwrite": "`hpsearch run FILE --overwrite`, or hpsearch.run(…, overwrite=True), deletes the study of that name",
    "directory": _FOLDER,
    "project_name": _NAME,
    "study_name": _NAME,
    "storage": "[tracking] ledger is the Optuna storage",
    "logger": _FOLDER,
    "distribution_strategy": "[resources] gpus and workers",
    "n_jobs": "[resources] workers",
    "timeout": "[search] max_hours",
    "sampler": "[search] algorithm",
    "oracle": "[search] tuner and algorithm",
    "pruner": "[pruning] method",
    "hypermodel": '[model] build = "module:HyperModelClass"',
    "hyperparameters": "[space] narrows, widens or fixes what the code declares",
    "tune_new_entries": "hpsearch always tunes what the code asks for; [space] fixes a hyperparameter: name = value",
    "allow_new_entries": "hpsearch always tunes what the code asks for; [space] fixes a hyperparameter: name = value",
    "tuner_id": "workers need no name: [resources] workers says how many there are",
    "steps_per_epoch": _ALL_ROWS,
    "validation_steps": _ALL_ROWS,
    "initial_epoch": _ALL_ROWS,
    "callbacks": _CALLBACKS,
    "early_stopping": _CALLBACKS,
    "patience": _CALLBACKS,
    "reduce_lr_on_plateau": _PLATEAU,
    "batch_size": "[space] batch_size",
    "epochs": "[space] epochs",
    "shuffle": "[space] shuffle",
    "learning_rate": "[space] learning_rate",
    "optimizer": "[space] optimizer",
    "loss": "the build function compiles the model with it; a family takes the loss of its task",
    "metrics": "the build function compiles the model with them; [objective] metric names the one to optimise",
    "monitor": "[objective] metric",
    "mode": "[objective] direction",
    "objective": "[objective] metric and direction",
    "direction": "[objective] direction",
    "metric": "[objective] metric",
    "verbose": "standard error shows the progress; `2>/dev/null` hides it",
    "random_state": "`seed`, at the top of the file",
    "seed": "`seed`, at the top of the file",
}
"""Key → what to write instead, in any section but ``[space]``."""

OF_SEARCH: Mapping[str, str] = {"alpha": _NOISE, "beta": _NOISE}
"""The same, in ``[search]`` only."""

RANGES: Mapping[str, str] = {
    "min_value": _RANGE,
    "max_value": _RANGE,
    "min": _RANGE,
    "max": _RANGE,
    "sampling": "log = true searches on a logarithmic scale; linear is the default",
    "default": "[[search.try]] name = value tries a value first; name = value in [space] fixes a hyperparameter",
    "ordered": '{ low = …, high = …, step = … } is ordered with every algorithm, a list of numbers with "bayesian"',
    "choices": "a list is a choice: name = [16, 32], or { values = [16, 32], when = … }",
    "options": "a list is a choice: name = [16, 32], or { values = [16, 32], when = … }",
    "type": "whole numbers make a range of whole numbers, 1.0 one of real numbers",
    "name": "the key is the name: units = { low = 8, high = 64 }",
    "parent_name": 'when = { optimizer = ["sgd"] }',
    "parent_values": 'when = { optimizer = ["sgd"] }',
    "conditions": 'when = { optimizer = ["sgd"] }',
    "q": "step",
}
"""Key of a range in ``[space]`` → what to write instead."""

_HYPERBAND = '[pruning] method = "hyperband" ends poor trials early, with any algorithm'
_ORACLE = 'algorithm = {}, or KerasTuner\'s own with tuner = "keras-tuner"'

VALUES: Mapping[str, Mapping[str, str]] = {
    "search.tuner": {
        "hyperband": _HYPERBAND,
        "random": 'algorithm = "random"',
        "randomsearch": 'algorithm = "random"',
        "random_search": 'algorithm = "random"',
        "grid": 'algorithm = "grid"',
        "gridsearch": 'algorithm = "grid"',
        "grid_search": 'algorithm = "grid"',
        "bayesian": _ORACLE.format('"bayesian"'),
        "bayesianoptimization": _ORACLE.format('"bayesian"'),
        "bayesian_optimization": _ORACLE.format('"bayesian"'),
        "tpe": 'tuner = "optuna", algorithm = "tpe"',
        "kerastuner": 'tuner = "keras-tuner"',
        "keras_tuner": 'tuner = "keras-tuner"',
    },
    "search.algorithm": {
        "hyperband": _HYPERBAND,
        "randomsearch": 'algorithm = "random"',
        "gridsearch": 'algorithm = "grid"',
        "bayesianoptimization": _ORACLE.format('"bayesian"'),
        "tpesampler": 'algorithm = "tpe"',
        "gaussian process": 'algorithm = "gp"',
    },
    "pruning.method": {
        "hyperbandpruner": '"hyperband"',
        "asha": '"successive-halving"',
        "sha": '"successive-halving"',
        "successivehalving": '"successive-halving"',
        "medianpruner": '"median"',
    },
}
"""Key → value in lower case → what to write instead."""


def equivalent_of(section: str, key: object, value: object = None) -> str | None:
    """What to write in place of an unknown key; None if it is nobody's word.

    Args:
        section: The section that has it; empty at the top of the file.
        key: The key.
        value: Its value.
    """
    if section != "space":
        return _instead(EVERYWHERE.get(str(key)) or (OF_SEARCH.get(str(key)) if section == "search" else None))
    if key == "sampling" and value == "log":
        return _instead("log = true")
    return _instead(RANGES.get(str(key)))


def equivalent_value(key: str, value: object) -> str | None:
    """What to write in place of a value that is not legal; None if it is nobody's word."""
    if key == "objective" and isinstance(value, str):
        direction = "minimize" if value.endswith(("loss", "error", "mae", "mse", "rmse")) else "maximize"
        return _instead(f'[objective] metric = "{value[:80]}" and direction = "{direction}"')
    known = VALUES.get(key, {})
    return _instead(known.get(str(value).lower().removeprefix("keras_tuner.").removeprefix("kt.")))


def _instead(text: str | None) -> str | None:
    return None if text is None else f"in hpsearch: {text}"
