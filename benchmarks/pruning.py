"""Compares hpsearch's pruning rules with Optuna's: epochs until a study reaches the best score without pruning.

All rules replay the same real curves (see `curve_bank`) in the same random order, so only the rules differ. If a rule
stops the best trial, the replay continues with further trials until one is as good.

    python -m benchmarks.pruning [--seeds 30] [--trials 40] [--bundle 1] [--configs 300] [--min-epochs 3]
"""

import argparse
from statistics import fmean, median

import numpy as np

from benchmarks.curve_bank import EPOCHS, Bank, load_bank
from benchmarks.kept import keep
from benchmarks.replay import OBJECTIVE, MakeRule, NoRule, OptunaRule, OurRule, Replay, replay
from hpsearch.pruning import make_pruner
from hpsearch.spec import PruningSection


def rules(min_epochs: int, n_folds: int) -> dict[str, MakeRule]:
    """All rules with their documented defaults. Each may stop a trial from the same epoch on."""
    import optuna.pruners as peers

    def ours(**settings: object) -> MakeRule:
        spec = PruningSection.model_validate({"min_epochs": min_epochs, **settings})
        return lambda _: OurRule(make_pruner(spec, OBJECTIVE, validation_ratio=1 / (n_folds - 1)), EPOCHS)  # type: ignore[arg-type]

    def median_peer(seed: int) -> OptunaRule:
        # Steps count from 1 here, and a trial may be stopped at step == n_warmup_steps.
        return OptunaRule(peers.MedianPruner(n_startup_trials=5, n_warmup_steps=min_epochs), name=f"median-{seed}")

    def hyperband_peer(seed: int) -> OptunaRule:
        settings = {"min_resource": min_epochs, "max_resource": EPOCHS, "reduction_factor": 3}
        return OptunaRule(peers.HyperbandPruner(**settings), name=f"hyperband-{seed}")

    def halving_peer(seed: int) -> OptunaRule:
        return OptunaRule(peers.SuccessiveHalvingPruner(min_resource=min_epochs, reduction_factor=3), name=f"sh-{seed}")

    return {
        "no pruning": lambda _: NoRule(),
        "hpsearch median": ours(method="median"),
        "hpsearch successive-halving": ours(method="successive-halving"),
        "hpsearch hyperband": ours(method="hyperband"),
        "hpsearch racing": ours(method="racing"),
        "Optuna MedianPruner": median_peer,
        "Optuna HyperbandPruner": hyperband_peer,
        "Optuna SuccessiveHalvingPruner": halving_peer,
    }


def study(make: MakeRule, bank: Bank, *, seed: int, trials: int, bundle: int) -> Replay:
    """Replay one seed: a random order of the bank. The best of its first `trials` is the target."""
    order = np.random.default_rng(seed).permutation(len(bank.accuracy)).tolist()
    target = bank.accuracy[order[:trials]].mean(1).max()
    return replay(make(seed), bank.accuracy, order=order, trials=trials, target=target, bundle=bundle)


def summary(replays: list[Replay], unpruned: list[Replay]) -> dict[str, float]:
    """Medians over seeds. A target that is never reached counts as infinitely late."""
    ratios = [
        (b.epochs_to_target or np.inf) / (r.epochs_to_target or np.inf) for r, b in zip(replays, unpruned, strict=True)
    ]
    return {
        "epochs_to_target": median(r.epochs_to_target or np.inf for r in replays),
        "speedup": median(ratios),
        "epochs": median(r.epochs for r in replays),
        "stopped": fmean(r.stopped for r in replays),
        "best_kept": fmean(r.best >= b.best for r, b in zip(replays, unpruned, strict=True)),
        "loss_of_best": fmean(b.best - r.best for r, b in zip(replays, unpruned, strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--bundle", type=int, default=1, help="trials that train side by side")
    parser.add_argument("--configs", type=int, default=300)
    parser.add_argument("--bank-seed", type=int, default=1)
    parser.add_argument("--min-epochs", type=int, default=3)
    args = parser.parse_args()
    bank = load_bank(configs=args.configs, seed=args.bank_seed)
    replays = {
        name: [study(make, bank, seed=s, trials=args.trials, bundle=args.bundle) for s in range(args.seeds)]
        for name, make in rules(args.min_epochs, bank.accuracy.shape[1]).items()
    }
    table = {name: summary(some, replays["no pruning"]) for name, some in replays.items()}
    print(
        f"{args.trials} trials x {bank.accuracy.shape[1]} folds x {EPOCHS} epochs, bundles of {args.bundle}, "
        f"median over {args.seeds} seeds"
    )
    print(f"{'rule':32}{'to best':>9}{'speed-up':>9}{'all epochs':>11}{'stopped':>9}{'best kept':>10}{'loss':>9}")
    for name, row in table.items():
        print(
            f"{name:32}{row['epochs_to_target']:9.0f}{row['speedup']:8.2f}x{row['epochs']:11.0f}"
            f"{row['stopped']:9.1f}{row['best_kept']:10.0%}{row['loss_of_best']:9.5f}"
        )
    settings = {"folds": bank.accuracy.shape[1], "epochs": EPOCHS, **vars(args)}
    keep("pruning", key=f"bundle {args.bundle}", value={"settings": settings, "rules": table})


if __name__ == "__main__":
    main()
