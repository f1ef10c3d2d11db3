"""Optuna (TPE) with a K-fold objective of Keras `fit`, as its documentation suggests.

python -m benchmarks.contenders.optuna_kfold WORKLOAD TRIALS FOLDER
"""

import sys
from pathlib import Path

import optuna

from benchmarks.contenders.kfold import KFold, report
from benchmarks.workloads import SEED, WORKLOADS


def main(name: str, trials: int, folder: Path) -> None:
    workload = WORKLOADS[name]
    folds = KFold(workload, folder, f"optuna-{name}")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        values = {
            key: trial.suggest_float(key, *one) if isinstance(one, tuple) else trial.suggest_categorical(key, one)
            for key, one in workload.searched.items()
        }
        return folds.evaluate(values)

    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'optuna.db'}",
        study_name=name,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=SEED),
    )
    study.optimize(objective, n_trials=trials)
    report(study.best_value, folds.seconds)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
