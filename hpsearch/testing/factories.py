"""Synthetic studies that look like real ones: digits-like curves, every fate a trial can have, no training."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpsearch.core.facts import DataFacts, EnginePlan, FoldSize, HostFacts, MachineFacts, StudyFacts, Task
from hpsearch.core.objective import Objective, score
from hpsearch.core.trial import Champion, Failure, FailureKind, FoldResult, Trial, TrialState
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.spec import make_space, parse_spec

CREATED = 1_767_225_600.25
"""2026-01-01 00:00:00.25 UTC."""

METRICS = ("accuracy", "loss", "val_accuracy", "val_loss")

STUDY_FILE = """\
name = "{name}"
seed = 7

[data]
source = "sklearn:digits"

[validation]
folds = {folds}

[model]
family = "mlp"

[objective]
metric = "val_accuracy"
direction = "maximize"

[search]
trials = {trials}
"""

OBJECTIVE = Objective("val_accuracy", "maximize", "best")


def make_fold(trial: int, fold: int, *, epochs: int = 20, metrics: Sequence[str] = METRICS) -> FoldResult:
    """Curves that rise and fall as curves do, decided by trial and fold."""
    rng = random.Random(1000 * trial + fold)
    top, speed = rng.uniform(0.85, 0.99), rng.uniform(0.2, 0.8)
    curves: dict[str, tuple[float, ...]] = {}
    for metric in metrics:
        rising = [top * (1 - 0.9 * math.exp(-speed * (e + 1))) + rng.gauss(0, 0.005) for e in range(epochs)]
        curves[metric] = tuple(2.3 * (1 - value) + 0.01 if "loss" in metric else value for value in rising)
    started = CREATED + 10 * trial + 1.5 * fold + 0.125
    return FoldResult(fold, curves, started=started, seconds=1.0 + rng.random() / 3)


def make_trial(
    number: int,
    state: TrialState = TrialState.COMPLETE,
    *,
    folds: int = 5,
    epochs: int = 20,
    metrics: Sequence[str] = METRICS,
    config: dict[str, Any] | None = None,
) -> Trial:
    """A trial of that fate: pruned ones stop early on all folds, diverged and failed ones miss folds."""
    rng = random.Random(number)
    config = config or {
        "learning_rate": rng.uniform(0.01, 0.04),
        "batch_size": rng.choice([16, 32, 64, 100, 128]),
        "epochs": epochs,
        "optimizer": rng.choice(["sgd", "adam", "rmsprop"]),
        "units": rng.randint(32, 512),
        "dropout": round(0.05 * rng.randint(0, 10), 12),
        "batch_norm": rng.random() < 0.5,
    }
    started = CREATED + 10 * number
    trial = Trial(number, config, state, started=started, parameters=None)
    if state is TrialState.RUNNING:
        return trial
    finished, parameters = started + 9.5, 1000 + 10 * number
    if state in (TrialState.DIVERGED, TrialState.FAILED):
        done = tuple(make_fold(number, fold, epochs=epochs, metrics=metrics) for fold in range(folds // 2))
        failure = Failure(FailureKind.DIVERGED, "loss is nan", fold=folds // 2, epoch=4)
        if state is TrialState.FAILED:
            failure = Failure(
                FailureKind.ERROR, "ValueError: units must be positive", traceback="Traceback …\nValueError: units"
            )
        return replace(trial, folds=done, failure=failure, finished=finished, parameters=parameters)
    length = max(1, epochs // 4) if state is TrialState.PRUNED else epochs
    done = tuple(make_fold(number, fold, epochs=length, metrics=metrics) for fold in range(folds))
    result = score(Objective(metrics[-2], "maximize"), done) if metrics is not METRICS else score(OBJECTIVE, done)
    reason = Failure(FailureKind.PRUNED, "in the worse half at epoch 5") if state is TrialState.PRUNED else None
    return replace(
        trial,
        score=result.value,
        std=result.std,
        epoch=result.epoch,
        fold_scores=result.fold_scores,
        folds=done,
        failure=reason,
        finished=finished,
        parameters=parameters,
    )


def make_trials(count: int, *, folds: int = 5, epochs: int = 20) -> tuple[Trial, ...]:
    """Mostly complete trials; of every ten, number 4 is pruned, 6 diverged and 8 failed."""
    fates = {4: TrialState.PRUNED, 6: TrialState.DIVERGED, 8: TrialState.FAILED}
    return tuple(
        make_trial(n, fates.get(n % 10, TrialState.COMPLETE), folds=folds, epochs=epochs) for n in range(count)
    )


def make_champion(trial: Trial) -> Champion:
    """The refit of a trial, without a file behind it."""
    epochs = trial.epoch or 1
    curves = {name: make_fold(trial.number, 99, epochs=epochs).curves[name] for name in ("accuracy", "loss")}
    return Champion(
        trial=trial.number,
        config=trial.config,
        epochs=epochs,
        curves=curves,
        test={"loss": 0.1234567890123, "accuracy": 0.9777777777777777},
        path="mlruns/champions/digits/champion.keras",
        sha256=f"{trial.number:064x}",
        parameters=trial.parameters or 0,
        size_bytes=123_456,
        seconds=4.2,
    )


def make_facts(n_folds: int) -> StudyFacts:
    """Facts of a digits study on this machine's stand-in."""
    return StudyFacts(
        data=DataFacts(
            source="sklearn:digits",
            rows=1438,
            test_rows=359,
            fingerprint="0123456789abcdef",
            task=Task.MULTICLASS,
            classes=tuple(str(digit) for digit in range(10)),
            columns=(),
            input_shape=(8, 8),
            folds=(FoldSize(1150, 288),) * n_folds,
        ),
        plan=EnginePlan("fused", "the model can be fused"),
        machine=MachineFacts({"python": "3.11.7", "keras": "3.15.1", "hpsearch": "0.1.0"}, "jax", "cpu"),
        backend="jax",
        host=HostFacts("host", 2),
        git_commit="deadbeef" * 5,
    )


def make_record(
    trials: Sequence[Trial] = (),
    *,
    name: str = "digits",
    folder: Path | None = None,
    tracking: dict[str, Any] | None = None,
    state: StudyState = StudyState.RUNNING,
    champion: Champion | None = None,
    **changes: Any,
) -> StudyRecord:
    """A digits study of these trials.

    Args:
        trials: In order of their number.
        name: The study's name.
        folder: Where its databases are; sets ``[tracking]``.
        tracking: Values of ``[tracking]``, in place of those that `folder` sets.
        state: Where the study stands.
        champion: Its refitted winner.
        changes: Further fields of the record.
    """
    n_folds = max((len(trial.folds) for trial in trials), default=5) or 5
    text = STUDY_FILE.format(name=name, folds=max(2, n_folds), trials=max(1, len(trials)))
    section = dict(tracking or {})
    if folder is not None and tracking is None:
        section = {
            "uri": f"sqlite:///{folder}/mlflow.db",
            "ledger": f"sqlite:///{folder}/ledger.db",
            "artifacts": str(folder / "artifacts"),
        }
    if section:
        text += "\n[tracking]\n" + "".join(f'{key} = "{value}"\n' for key, value in section.items())
    spec = parse_spec(text)
    return StudyRecord(
        name=name,
        spec=spec,
        study_file=text,
        space=make_space(spec),
        facts=make_facts(n_folds),
        trials=tuple(trials),
        state=state,
        created=CREATED,
        champion=champion,
        **changes,
    )
