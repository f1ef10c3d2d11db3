"""What a study has left behind, without times and ids, and what two of them differ in."""

import contextlib
import json
import math
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hpsearch.ledger import workspace
from hpsearch.ledger.store import Ledger
from hpsearch.tracking.mlflow import study_view, trial_view

_OF_TIME = ("seconds", "duration", "compile", "trial_seconds")
"""Parts of the names of metrics that no two runs have alike."""


@dataclass(frozen=True)
class Outcome:
    """All that must be the same however often a study was killed.

    Attributes:
        trials: Number → state, config, score and the curves of all folds.
        champion: Which trial, config, epochs, test.
        runs: ``study`` or the trial's number → status, params, how often each point is there.
        models: Registered versions, and which one the alias names.
        wrong: What no study may leave: two runs of one trial, a run that ends after the study's, a driver's lock.
    """

    trials: Mapping[int, Any]
    champion: Any
    runs: Mapping[str, Any]
    models: Any
    wrong: tuple[str, ...]


def outcome_of(folder: Path, name: str, mlflow: Path | None = None) -> Outcome:
    """Read a study's ledger and MLflow's tables, which a server may have elsewhere."""
    record = workspace.read(Ledger(f"sqlite:///{folder}/mlruns/ledger.db"), name)
    trials = {
        one.number: (
            one.state.value,
            dict(one.config),
            one.score,
            one.epoch,
            {fold.fold: {key: tuple(curve) for key, curve in fold.curves.items()} for fold in one.folds},
            one.failure.message if one.failure else "",
        )
        for one in record.trials
    }
    champion = record.champion
    told = champion and (champion.trial, dict(champion.config), champion.epochs, sorted(champion.test))
    runs, models, wrong = _of_mlflow(mlflow or folder / "mlruns" / "mlflow.db", name)
    wrong += [f"the study is {record.state.value}"] if record.state.value != "finished" else []
    wrong += [record.lacking] if record.lacking else []
    return Outcome(trials, told, runs, models, tuple(wrong))


def _of_mlflow(file: Path, name: str) -> tuple[dict[str, Any], Any, list[str]]:
    wrong: list[str] = []
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as there:
        said = (
            "SELECT r.run_uuid, r.status, r.end_time FROM runs r JOIN experiments e"
            " ON r.experiment_id = e.experiment_id WHERE e.name = ?"
        )
        runs: dict[str, Any] = {}
        ends: dict[str, int | None] = {}
        for run, status, end in there.execute(said, (name,)).fetchall():
            tags = dict(there.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)).fetchall())
            key = tags.get(trial_view.TRIAL) or tags.get(study_view.KIND, "foreign")
            if key in runs:
                wrong.append(f"two runs of {key}")
            params = dict(there.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall())
            said_of = there.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", (run,)).fetchall()
            timeless = [
                one for one in said_of if not one[0].startswith("system/") and not any(t in one[0] for t in _OF_TIME)
            ]
            if key == "study":  # a study that is stopped shows the curves of the best trial so far, under its name
                timeless = [one for one in timeless if not re.match(r"t\d+/", one[0])]
            points = Counter(f"{metric} at {step}" for metric, step, _ in timeless)
            doubled = [point for point, count in points.items() if count > 1]
            wrong += [f"{key}: {point} is there {points[point]} times" for point in doubled[:3]]
            values = {f"{metric} at {step}": value for metric, step, value in timeless}
            runs[key], ends[key] = (status, params, values), end
        late = [
            key for key, end in ends.items() if end is not None and ends.get("study") and end > ends["study"] + 1000
        ]
        wrong += [f"run {key} ends after the study's" for key in late]
        versions = there.execute("SELECT version, run_id IS NOT NULL FROM model_versions WHERE name = ?", (name,))
        aliases = there.execute("SELECT alias, version FROM registered_model_aliases WHERE name = ?", (name,))
        return runs, (versions.fetchall(), aliases.fetchall()), wrong


def differences(found: Outcome, expected: Outcome, tolerance: float = 0.0) -> list[str]:
    """What `found` has lost, doubled or otherwise, in words; empty if nothing.

    Args:
        found: Of the study that was hurt.
        expected: Of the one that was left alone.
        tolerance: Relative, for real numbers.
    """
    same = partial(_same, tolerance=tolerance)
    said = list(found.wrong)
    for what in ("trials", "runs"):
        ours, theirs = getattr(found, what), getattr(expected, what)
        said += [f"{what}: {key} is lost" for key in theirs.keys() - ours.keys()]
        said += [f"{what}: {key} is too many" for key in ours.keys() - theirs.keys()]
        said += [
            f"{what}: {key} differs: {_first_difference(ours[key], theirs[key], same)}"
            for key in ours.keys() & theirs.keys()
            if not same(ours[key], theirs[key])
        ]
    said += [f"champion: {found.champion} != {expected.champion}"] if found.champion != expected.champion else []
    said += [f"models: {found.models} != {expected.models}"] if found.models != expected.models else []
    return said


def _same(ours: Any, theirs: Any, tolerance: float) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        close = abs(ours - theirs) <= tolerance * max(1.0, abs(theirs))
        return ours == theirs or close or (math.isnan(ours) and math.isnan(theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_same(ours[key], theirs[key], tolerance) for key in ours)
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(partial(_same, tolerance=tolerance), ours, theirs))
    return bool(ours == theirs)


def _first_difference(ours: Any, theirs: Any, same: Callable[[Any, Any], bool]) -> str:
    if isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        for one, other in zip(ours, theirs, strict=True):
            if not same(one, other):
                return _first_difference(one, other, same)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        key = next(key for key in ours.keys() | theirs.keys() if not same(ours.get(key), theirs.get(key)))
        return f"{key}: {_first_difference(ours.get(key), theirs.get(key), same)}"
    return f"{json.dumps(ours, default=str)[:80]} != {json.dumps(theirs, default=str)[:80]}"
