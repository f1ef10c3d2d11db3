"""KerasTuner's Bayesian optimisation with K folds in `run_trial`, as users write them, because it has no K folds.

python -m benchmarks.contenders.keras_tuner_kfold WORKLOAD TRIALS FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import keras_tuner

from benchmarks.contenders.kfold import KFold, report
from benchmarks.workloads import SEED, WORKLOADS, Workload


class KFoldTuner(keras_tuner.BayesianOptimization):  # type: ignore[misc]
    """The tuner's own search loop; each trial trains on all folds."""

    def __init__(self, folds: KFold, **settings: Any) -> None:
        self.folds = folds
        super().__init__(**settings)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        return {"val_accuracy": self.folds.evaluate(suggest(self.folds.workload, trial.hyperparameters))}


def suggest(workload: Workload, hp: Any) -> dict[str, Any]:
    return {
        key: hp.Float(key, *one) if isinstance(one, tuple) else hp.Choice(key, one)
        for key, one in workload.searched.items()
    }


def main(name: str, trials: int, folder: Path) -> None:
    workload = WORKLOADS[name]
    tuner = KFoldTuner(
        KFold(workload, folder, f"keras-tuner-{name}"),
        hypermodel=lambda hp: workload.build({**workload.fixed, **suggest(workload, hp)}),
        objective=keras_tuner.Objective("val_accuracy", "max"),
        max_trials=trials,
        seed=SEED,
        directory=folder,
        project_name=name,
    )
    tuner.search(verbose=0)
    report(tuner.oracle.get_best_trials(1)[0].score, tuner.folds.seconds)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
