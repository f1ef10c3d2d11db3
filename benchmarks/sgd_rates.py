"""How often SGD diverges with the documented learning rates, by the size of what it has to predict.

    python -m benchmarks.sgd_rates [--trials 12]

scikit-learn's diabetes data, targets scaled to a mean and a standard deviation; the family ``mlp``, mean squared error,
learning rates 0.01 to 0.04, momentum 0 to 0.9, drawn at random. `hpsearch init` leaves SGD out where this says that it
diverges (``hpsearch/proposal/space.py``). Other data and deeper models may diverge earlier.
"""

import argparse
import os
import tempfile

from sklearn.datasets import load_diabetes

import hpsearch
from hpsearch.core.trial import TrialState

SIZES = ((0.0, 1.0), (0.0, 3.0), (9.0, 3.0), (0.0, 10.0), (30.0, 10.0), (0.0, 30.0))
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
    print("| mean | standard deviation | diverged |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for mean, spread in SIZES:
            target = (y - y.mean()) / y.std() * spread + mean
            try:
                study = hpsearch.run(
                    STUDY, x=x, y=target, name=f"at {mean:g} by {spread:g}", space=SPACE, trials=options.trials,
                    search={"algorithm": "random"}, verbose=0,
                )  # fmt: skip
                record = study.record
            except hpsearch.HpsearchError:  # no trial is complete
                record = hpsearch.load(f"at {mean:g} by {spread:g}").record
            diverged = record.counts.get(TrialState.DIVERGED, 0)
            print(f"| {mean:g} | {spread:g} | {diverged} of {len(record.trials)} |", flush=True)


if __name__ == "__main__":
    main()
