"""Measures what fold-wise stopping saves, and how often it stops a trial that would have become the best.

Studies replay real cross-validation in random order, fold after fold: support vector machines, nearest neighbours and
trees of scikit-learn with random settings on its data sets; with ``--bank`` also the neural networks of `curve_bank`.
A *would-be best* is a trial that beats all trials before it once all its folds are trained, from the second trial on.
The *error rate* is the share of these that the rule stops. With a window, trials cannot be compared with the last ones
before them, which may still train.

    python -m benchmarks.fold_stopping [--seeds 100] [--trials 40] [--bank] [--write docs/fold-stopping.md]
"""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve_bank import load_bank
from benchmarks.kept import keep
from benchmarks.replay import OBJECTIVE
from hpsearch.core.objective import score
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.pruning import fold_stop_reason
from hpsearch.pruning.folds import FoldRule

RULES: tuple[FoldRule, ...] = ("forgiving", "aggressive")


def cross_validated(name: str, *, configs: int, folds: int) -> NDArray[np.float64]:
    """Scores of random configs on every fold, shape ``(configs, folds, 1)``, larger is better."""
    from sklearn import datasets
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

    rng = np.random.default_rng(1)
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    rows = rng.permutation(len(x))[:400]
    regression = name == "diabetes"
    splits = (KFold if regression else StratifiedKFold)(folds, shuffle=True, random_state=1)
    scoring = "neg_mean_squared_error" if regression else "accuracy"
    models = [_model(rng, regression=regression) for _ in range(configs)]
    return np.array([cross_val_score(one, x[rows], y[rows], cv=splits, scoring=scoring) for one in models])[..., None]


def _model(rng: np.random.Generator, *, regression: bool) -> object:
    from sklearn import neighbors, svm, tree
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind, suffix = rng.integers(3), "Regressor" if regression else "Classifier"
    if kind == 0:
        made = svm.SVR if regression else svm.SVC
        return make_pipeline(StandardScaler(), made(C=10 ** rng.uniform(-2, 3), gamma=10 ** rng.uniform(-4, 0)))
    if kind == 1:
        near = getattr(neighbors, f"KNeighbors{suffix}")(int(rng.integers(1, 40)), p=float(rng.uniform(1, 3)))
        return make_pipeline(StandardScaler(), near)
    leaf = int(rng.integers(1, 30))
    return getattr(tree, f"DecisionTree{suffix}")(max_depth=int(rng.integers(2, 20)), min_samples_leaf=leaf)


def trials_of(curves: NDArray[np.float64]) -> list[Trial]:
    """Every config of the bank as a trial that has all its folds."""
    found = []
    for number, folds in enumerate(curves):
        results = tuple(
            FoldResult(fold, {OBJECTIVE.metric: tuple(curve)}, 0.0, 1.0) for fold, curve in enumerate(folds.tolist())
        )
        got = score(OBJECTIVE, results)
        trial = Trial(number, {}, TrialState.COMPLETE, got.value, got.std, got.epoch, got.fold_scores, results)
        found.append(trial)
    return found


def replay(rule: FoldRule, bank: list[Trial], *, seed: int, trials: int, window: int) -> dict[str, float]:
    """One study under a rule."""
    order = np.random.default_rng(seed).permutation(len(bank))[:trials]
    done: list[Trial] = []
    spent = stopped = winners = wrong = 0
    true_best = -np.inf
    for number, config in enumerate(order):
        whole = replace(bank[config], number=number)
        known = done[: max(0, number - window + 1)]
        n_folds = len(whole.folds)
        used = next(
            (k for k in range(1, n_folds) if fold_stop_reason(rule, OBJECTIVE, whole.folds[:k], n_folds, known)),
            n_folds,
        )
        spent += used
        stopped += used < n_folds
        if whole.score is not None and whole.score > true_best:
            true_best = whole.score
            winners += number > 0
            wrong += used < n_folds
        done.append(whole if used == n_folds else replace(whole, state=TrialState.PRUNED))
    kept = max(float(one.score or 0.0) for one in done if one.state is TrialState.COMPLETE)
    folds = sum(len(bank[config].folds) for config in order)
    return {
        "saved": 1 - spent / folds,
        "stopped": stopped,
        "winners": winners,
        "wrong": wrong,
        "kept": float(kept >= true_best),
        "loss": float(true_best) - kept,
    }


def upper(wrong: float, winners: float) -> float:
    """Wilson's upper 95 % limit of a rate."""
    z, n = 1.645, max(winners, 1.0)
    rate = wrong / n
    return float((rate + z * z / (2 * n) + z * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))) / (1 + z * z / n))


HEAD = """\
# Stopping trials between folds

`python -m benchmarks.fold_stopping --bank --write docs/fold-stopping.md` writes this page.

```toml
[pruning]
folds = "forgiving"   # or "aggressive"; "none" by default
```

The folds of a trial then train one after the other, with any engine. After each, the mean of the folds so far is
compared with the best complete trial. The rules are those of Bergman, Purucker & Hutter 2024 ("Don't Waste Your Time:
Early Stopping Cross-Validation"):

- `forgiving` stops the trial if the mean is worse than that trial's worst fold,
- `aggressive` if it is worse than that trial's score.

A stopped trial is pruned, like one that a `method` stops. Its score is that of the folds it has, for the tuner only: it
is not ranked. A trial is compared only with those that must have ended before it was suggested, so the timing of
workers changes no decision, and a study that is killed goes on with the decisions it would have made. The trials with
which a study begins (docs/search.md) know no others, so none of them is stopped.

It is off by default. It pays with `fit`, which trains folds one after the other anyway. `fused` trains all folds of
several trials in one program; one fold at a time gives up part of that. It cannot be combined with a `method`, which
compares all folds of a trial epoch by epoch.

## Measured

{studies} studies of {trials} trials in each row, in which real cross-validation is replayed. A *would-be best* would
have beaten all trials before it. Window 1 is one worker with `fit`, one after the other.

"""

HEADER = (
    "data",
    "folds",
    "rule",
    "window",
    "folds saved",
    "trials stopped",
    "would-be best stopped",
    "upper 95 % limit",
    "best trial kept",
    "loss of best score, sd",
)

TAIL = """
The last column is the mean loss of the best score, in standard deviations of the scores of all configs.

`forgiving` is the rule to use. `aggressive` saves a little more and stops a large part of the trials that would have
become the best, because a single fold decides against a mean over all folds; it is there for comparison.

Configs come in random order: a search that proposes better and better configs has more would-be winners. With few
validation rows per fold, or folds of unequal difficulty, the first folds say less.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--configs", type=int, default=120)
    parser.add_argument("--bank", action="store_true", help="also replay the bank of neural networks")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to this file, in Markdown")
    args = parser.parse_args()
    banks = {
        (name, folds): cross_validated(name, configs=args.configs, folds=folds)
        for name, folds in (("digits", 5), ("breast_cancer", 5), ("breast_cancer", 10), ("diabetes", 5))
    }
    if args.bank:
        banks["digits MLP", 5] = load_bank(configs=300, seed=1).accuracy
    lines, table = ["| " + " | ".join(HEADER) + " |", "|---|" + "---:|" * (len(HEADER) - 1)], {}
    for ((name, folds), scores), rule, window in itertools.product(banks.items(), RULES, (1, 8)):
        bank = trials_of(scores)
        spread = float(np.std([trial.score or 0.0 for trial in bank]))
        runs = [replay(rule, bank, seed=s, trials=args.trials, window=window) for s in range(args.seeds)]
        wrong, winners = sum(run["wrong"] for run in runs), sum(run["winners"] for run in runs)
        got = {key: fmean(run[key] for run in runs) for key in ("saved", "stopped", "kept", "loss")}
        got |= {"error": wrong / winners, "limit": upper(wrong, winners), "loss": got["loss"] / spread}
        table[f"{name}, {folds} folds, {rule}, window {window}"] = got
        cells = (
            name,
            str(folds),
            f"`{rule}`",
            str(window),
            f"{got['saved']:.0%}",
            f"{got['stopped']:.1f}",
            f"{got['error']:.1%} of {winners:.0f}",
            f"{got['limit']:.1%}",
            f"{got['kept']:.0%}",
            f"{got['loss']:.3f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    keep("fold_stopping", key="rules", value={"settings": {"seeds": args.seeds, "trials": args.trials}, "rules": table})
    if args.write:
        head = HEAD.format(studies=args.seeds, trials=args.trials)
        args.write.write_text(head + "\n".join(lines) + "\n" + TAIL, encoding="utf-8")


if __name__ == "__main__":
    main()
