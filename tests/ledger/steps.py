"""The steps of one synthetic trial, entered into a ledger one by one."""

from dataclasses import replace
from typing import Literal

from hpsearch.core.trial import FoldResult, Trial, TrialState
from hpsearch.ledger import Ledger
from hpsearch.testing.synthetic import curve

Step = Literal["start", "fold", "end"]
BEFORE: dict[Step, tuple[Step, ...]] = {"start": (), "fold": ("start",), "end": ("start", "fold")}

CONFIG = {
    "learning_rate": 0.0123456789,
    "batch_size": 32,
    "epochs": 4,
    "optimizer": "adam",
    "units": 16,
    "dropout": 0.25,
}


def config_of(ledger: Ledger) -> dict:
    space = ledger.load("synthetic").space
    return {name: CONFIG[name] if name in CONFIG else space[name].values()[0] for name in space}


def add_trial(ledger: Ledger) -> Trial:
    trial = Trial(0, config_of(ledger), started=1_700_000_000.25)
    ledger.start_trial("synthetic", trial, ledger.load("synthetic").space)
    return trial


def fold(index: int, epochs: int = 4) -> FoldResult:
    return FoldResult(index, curve(CONFIG, index, epochs), started=5.0, seconds=1.5)


def enter(ledger: Ledger, step: Step) -> None:
    """One step of trial 0: its start, its first fold, or its end (pruned, with a fold stopped early)."""
    if step == "start":
        add_trial(ledger)
        return
    trial = ledger.load("synthetic").trials[0]
    if step == "fold":
        ledger.add_fold("synthetic", 0, fold(0), 4321 if trial.parameters is None else None)
    else:
        ended = replace(trial, state=TrialState.PRUNED, finished=9.0, score=0.5, epoch=1)
        ledger.finish_trial("synthetic", replace(ended, folds=(fold(0), fold(1, 2))), "val_accuracy")
