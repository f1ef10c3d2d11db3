"""How often SGD diverges with the documented learning rates, by the size of what it has to predict.

    python -m benchmarks.sgd_rates [--trials 12]

scikit-learn's diabetes data, targets scaled to a mean and a standard deviation; the family ``mlp``, mean squared error,
learning rates 0.01 to 0.04, momentum 0 to 0.9, drawn at random; with ``[data] standardize_targets`` and without. This
is why `hpsearch init` sets it. Other data and deeper models may diverge earlier.
"""

import argparse
import os
import tempfile
from contextlib import suppress

from sklearn.datasets import load_diabetes

import hpsearch
from hpsearch.core.trial import TrialState

SIZES = ((0.0, 1.0), (0.0, 3.0), (9.0, 3.0), (0.0, 10.0), (30.0, 10.0), (0.0, 30.0), (200_000.0, 80_000.0))
"""Mean and standard deviation of the targets."""

STUDY = {
    "model": {"family": "mlp"},
    "validation": {"folds": 3},
    "objective": {"metric": "val_mae"},
    "tracking": {"system_metrics": False},
}
SPACE = {
    "optimizer": "sgd",
    "learning_rate": (0.01, 0.04),
    "momentum": (0.0, 0.9),
    "units": 32,
    "epochs": 20,
    "batch_size": 32,
    "dropout": 0.1,
}


def main() -> None:
    """Print a line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    options = parser.parse_args()
    x, y = load_diabetes(return_X_y=True)
    print("| mean | standard deviation | diverged | with standardize_targets |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for mean, spread in SIZES:
            target = (y - y.mean()) / y.std() * spread + mean
            cells = [_diverged(x, target, f"{mean:g} {spread:g} {one}", one, options.trials) for one in (False, True)]
            print(f"| {mean:,g} | {spread:,g} | {' | '.join(cells)} |", flush=True)


def _diverged(x: object, y: object, name: str, standardize: bool, trials: int) -> str:
    """How many of a search's trials have diverged, for people."""
    with suppress(hpsearch.HpsearchError):  # no trial is complete
        hpsearch.run(
            {**STUDY, "data": {"standardize_targets": standardize}}, x=x, y=y, name=name, space=SPACE, trials=trials,
            search={"algorithm": "random"}, verbose=0,
        )  # fmt: skip
    record = hpsearch.load(name).record
    return f"{record.counts.get(TrialState.DIVERGED, 0)} of {len(record.trials)}"


if __name__ == "__main__":
    main()
