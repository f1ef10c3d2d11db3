"""Where the predictions of trials for their validation rows are: ``predictions/<trial>/<fold>.npz``."""

import shutil
from collections.abc import Iterable
from pathlib import Path

BEST = 20
"""Trials whose predictions are kept at least with ``predictions = "top"``."""


def predictions_folder(study_folder: Path) -> Path:
    """The folder of all trials' predictions."""
    return study_folder / "predictions"


def lane_file(folder: Path, trial: int, fold: int) -> Path:
    """The file of one trial on one fold."""
    return folder / str(trial) / f"{fold}.npz"


def size_of(folder: Path, trial: int) -> int:
    """The bytes that a trial's predictions take."""
    return sum(path.stat().st_size for path in (folder / str(trial)).glob("*.npz"))


def drop(folder: Path, trials: Iterable[int]) -> None:
    """Delete the predictions of trials, as far as there are any."""
    for trial in trials:
        shutil.rmtree(folder / str(trial), ignore_errors=True)


def drop_all(folder: Path) -> None:
    """Delete the predictions of another study that had this one's name: its ledger is gone, and its folder is not."""
    shutil.rmtree(folder, ignore_errors=True)
