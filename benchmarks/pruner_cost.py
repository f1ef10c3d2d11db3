"""How long each pruning rule takes to decide between two epochs, with a thousand other trials. The aim: 1 ms.

Run: ``python -m benchmarks.pruner_cost``
"""

import time
from statistics import median

import numpy as np

from hpsearch.core.objective import Objective
from hpsearch.pruning import FoldCurves, make_pruner
from hpsearch.spec import PruningSection

FOLDS, EPOCHS, OTHERS = 5, 20, 1000


def rising(trial: int, top: float, epochs: int, rng: np.random.Generator) -> FoldCurves:
    """Noisy curves on their way to `top`."""
    curves = top - 0.3 * np.exp(-np.arange(1, epochs + 1) / 1.5) + rng.normal(0, 0.002, (FOLDS, epochs))
    return FoldCurves(trial, tuple(map(tuple, curves.tolist())), complete=epochs == EPOCHS, epochs=EPOCHS)


def main() -> None:
    rng = np.random.default_rng(0)
    others = [rising(i, 0.9, EPOCHS, rng) for i in range(OTHERS)]
    trials = [rising(OTHERS, 0.95, epochs, rng) for epochs in range(1, EPOCHS)]
    for method in ("median", "successive-halving", "racing"):
        spec = PruningSection.model_validate({"method": method})
        rule = make_pruner(spec, Objective("val_accuracy", "maximize"), validation_ratio=1 / (FOLDS - 1))
        assert rule is not None
        spent = []
        for trial in trials:
            rule.stop_reason(trial, others)
            started = time.perf_counter()
            rule.stop_reason(trial, others)
            spent.append(time.perf_counter() - started)
        print(f"{method:20}median {1000 * median(spent):6.2f} ms, most {1000 * max(spent):6.2f} ms")


if __name__ == "__main__":
    main()
