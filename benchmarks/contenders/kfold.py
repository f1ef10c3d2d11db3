"""The code that users of a peer write themselves: K folds of Keras `fit`, with every epoch in MLflow."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import SEED, Workload


class Recorder:
    """Logs to MLflow as a careful user would: one run per trial, one `log_batch` per thousand metrics."""

    def __init__(self, folder: Path, name: str) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        self.experiment = self.client.create_experiment(name, artifact_location=str(folder / "artifacts"))

    def log(self, values: Mapping[str, Any], folds: list[dict[str, list[float]]], score: float) -> None:
        from mlflow.entities import Metric, Param

        run = self.client.create_run(self.experiment).info.run_id
        now = int(time.time() * 1000)
        metrics = [Metric("score", score, now, 0)]
        for name in folds[0]:
            curves = np.array([fold[name] for fold in folds])
            for epoch, column in enumerate(curves.T):
                metrics.append(Metric(name, float(column.mean()), now, epoch))
                metrics += [Metric(f"fold_{k}/{name}", float(v), now, epoch) for k, v in enumerate(column)]
        params = [Param(name, str(value)) for name, value in values.items()]
        self.client.log_batch(run, params=params)
        for first in range(0, len(metrics), 1000):
            self.client.log_batch(run, metrics=metrics[first : first + 1000])
        self.client.set_terminated(run)


class KFold:
    """Trains a config on all folds and logs it."""

    def __init__(self, workload: Workload, folder: Path, name: str) -> None:
        self.workload = workload
        self.x, self.y = workload.load()
        self.splits = workload.splits(self.y)
        self.recorder = Recorder(folder, name)
        self.seconds: list[float] = []

    def evaluate(self, searched: Mapping[str, Any]) -> float:
        """The score of a config: the best epoch of the mean validation accuracy over folds."""
        import keras

        started = time.perf_counter()
        values = {**self.workload.fixed, **searched}
        folds = []
        for k, (train, valid) in enumerate(self.splits):
            keras.utils.set_random_seed(SEED + k)
            model = self.workload.build(values)
            history = model.fit(
                self.x[train],
                self.y[train],
                validation_data=(self.x[valid], self.y[valid]),
                batch_size=values["batch_size"],
                epochs=self.workload.epochs,
                verbose=0,
            )
            folds.append(history.history)
            # Without it every model stays in memory until the process ends.
            keras.utils.clear_session()
        score = float(np.mean([fold["val_accuracy"] for fold in folds], axis=0).max())
        self.recorder.log(values, folds, score)
        self.seconds.append(time.perf_counter() - started)
        print(f"  trial {len(self.seconds)}: {score:.4f} in {self.seconds[-1]:.1f} s", file=sys.stderr, flush=True)
        return score


def report(best: float, seconds: list[float]) -> None:
    """Print the last line of a contender, which the comparison reads."""
    print(json.dumps({"best": best, "seconds": seconds}))
