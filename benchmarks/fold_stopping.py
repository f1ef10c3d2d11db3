"""Measures what fold-wise stopping saves, and how often it stops a trial that would have become the best.

Studies replay real curves (see `curve_bank`) in random order, fold after fold. A *would-be best* is a trial that beats
all trials before it once all its folds are trained, from the second trial on. The *error rate* is the share of these
that the rule stops. With a window, trials cannot be compared with the last ones before them, which may still train.

    python -m benchmarks.fold_stopping [--seeds 200] [--trials 40] [--configs 300] [--write docs/fold-stopping.md]
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve_bank import EPOCHS, load_bank
from benchmarks.kept import keep
from benchmarks.replay import OBJECTIVE
from hpsearch.core.objective import score
from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.pruning import fold_stop_reason
from hpsearch.pruning.folds import FoldRule

RULES: tuple[FoldRule, ...] = ("forgiving", "aggressive")


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

`python -m benchmarks.fold_stopping --write docs/fold-stopping.md` writes this page.

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
is not ranked. A trial is compared with those that have ended whatever the timing (numbers below its own minus the
window), so the same study stops the same trials on any machine, and after a kill.

It is off by default. It pays with `fit`, which trains folds one after the other anyway. `fused` trains all folds of
several trials in one program; one fold at a time gives up part of that. It cannot be combined with a `method`, which
compares all folds of a trial epoch by epoch.

## Measured

{studies} studies of {trials} trials × 5 folds × {epochs} epochs on real curves (digits MLP,
`benchmarks/curve_bank.py`). A *would-be best* would have beaten all trials before it. Window 1 is one worker with `fit`.

"""

HEADER = (
    "rule",
    "window",
    "folds saved",
    "trials stopped",
    "would-be best stopped",
    "upper 95 % limit",
    "best trial kept",
    "mean loss of best score",
)

TAIL = """
One data set with folds of 360 rows, and random search: with few validation rows per fold, or folds of unequal
difficulty, the first folds say less, and more would-be winners are stopped. The first fold alone decides for many
trials, so `forgiving` is the safer rule.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--configs", type=int, default=300)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to this file, in Markdown")
    args = parser.parse_args()
    bank = trials_of(load_bank(configs=args.configs, seed=1).accuracy)
    lines, table = ["| " + " | ".join(HEADER) + " |", "|---|" + "---:|" * (len(HEADER) - 1)], {}
    for rule in RULES:
        for window in (1, 8):
            runs = [replay(rule, bank, seed=s, trials=args.trials, window=window) for s in range(args.seeds)]
            wrong, winners = sum(run["wrong"] for run in runs), sum(run["winners"] for run in runs)
            got = {name: fmean(run[name] for run in runs) for name in ("saved", "stopped", "kept", "loss")}
            table[f"{rule}, window {window}"] = got = {**got, "error": wrong / winners, "limit": upper(wrong, winners)}
            cells = (
                f"`{rule}`",
                str(window),
                f"{got['saved']:.0%}",
                f"{got['stopped']:.1f}",
                f"{got['error']:.1%} of {winners:.0f}",
                f"{got['limit']:.1%}",
                f"{got['kept']:.0%}",
                f"{got['loss']:.5f}",
            )
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    keep("fold_stopping", key="rules", value={"settings": {"seeds": args.seeds, "trials": args.trials}, "rules": table})
    if args.write:
        head = HEAD.format(studies=args.seeds, trials=args.trials, epochs=EPOCHS)
        args.write.write_text(head + "\n".join(lines) + "\n" + TAIL, encoding="utf-8")


if __name__ == "__main__":
    main()
