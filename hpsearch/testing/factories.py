"""Synthetic studies that look like real ones: digits-like curves, every fate a trial can have, no training."""

import json
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
        failure = Failure(FailureKind.DIVERGED, "loss is nan", fold=folds // 2, epoch=3)
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
    epochs = (trial.epoch or 0) + 1
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
    facts = StudyFacts(
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
        window=1,
        host=HostFacts("host", 2),
        git_commit="deadbeef" * 5,
    )
    return StudyRecord(
        name=name,
        spec=spec,
        study_file=text,
        space=make_space(spec),
        facts=facts,
        trials=tuple(trials),
        state=state,
        created=CREATED,
        champion=champion,
        **changes,
    )


SEARCHED_FILE = """\
name = {name}
seed = 7

[data]
source = "{source}"

[validation]
folds = {folds}

[model]
family = "mlp"

[space]
learning_rate = {{ low = 0.001, high = 0.04, log = true }}
units = {{ low = 32, high = 512, log = true }}
dropout = {{ low = 0.0, high = 0.5, step = 0.05 }}
optimizer = ["sgd", "adam", "rmsprop"]
momentum = {{ low = 0.0, high = 0.9, when = {{ optimizer = ["sgd"] }} }}

[objective]
metric = "{metric}"
direction = "{direction}"

[search]
trials = {trials}
"""


def make_searched(
    count: int = 40,
    *,
    name: str = "digits-dnn",
    folds: int = 5,
    epochs: int = 20,
    regression: bool = False,
    noise: float = 1.0,
    seed: int = 0,
) -> StudyRecord:
    """A finished study whose scores depend on the hyperparameters as those of a small network do.

    The learning rate matters most (best at 0.012 on a log scale), then the units, then the optimizer; batch size and
    dropout hardly. Folds differ for all trials together (hard rows) and each trial adds its own `noise`.
    """
    rng = random.Random(seed)
    metric, direction = ("val_mae", "minimize") if regression else ("val_accuracy", "maximize")
    text = SEARCHED_FILE.format(
        name=json.dumps(name, ensure_ascii=False),
        source="keras:california_housing" if regression else "sklearn:digits",
        folds=folds,
        trials=count,
        metric=metric,
        direction=direction,
    )
    base = make_record(name="digits")
    spec = parse_spec(text)
    hard = [rng.gauss(0, 0.006) for _ in range(folds)]
    objective = spec.make_objective()
    trials, clock = [], CREATED
    for number in range(count):
        trial = _searched_trial(number, rng, hard, epochs=epochs, noise=noise, objective=objective, clock=clock)
        clock += trial.seconds / 2 + 0.3
        trials.append(replace(trial, finished=clock))
    data = replace(base.facts.data, folds=(FoldSize(1437 * (folds - 1) // folds, 1437 // folds),) * folds)
    if regression:
        data = replace(data, task=Task.REGRESSION, classes=(), source="keras:california_housing")
    record = replace(
        base,
        name=name,
        spec=spec,
        study_file=text,
        space=make_space(spec),
        facts=replace(base.facts, data=data),
        trials=tuple(trials),
        state=StudyState.FINISHED,
    )
    if record.best is None:
        return record
    champion = replace(make_champion(record.best), parameters=record.best.parameters or 0)
    return replace(
        record, champion=replace(champion, test={"loss": 31.2, "mae": 29.9} if regression else champion.test)
    )


def _searched_trial(
    number: int,
    rng: random.Random,
    hard: list[float],
    *,
    epochs: int,
    noise: float,
    objective: Objective,
    clock: float,
) -> Trial:
    optimizer = rng.choice(["sgd", "adam", "rmsprop"])
    config: dict[str, Any] = {
        "learning_rate": math.exp(rng.uniform(math.log(0.001), math.log(0.04))),
        "batch_size": rng.choice([16, 32, 64, 100, 128]),
        "epochs": epochs,
        "optimizer": optimizer,
        "layers": 2,
        "units": round(math.exp(rng.uniform(math.log(32), math.log(512)))),
        "dropout": round(0.05 * rng.randint(0, 10), 12),
        "activation": "relu",
        "batch_norm": False,
    }
    if optimizer == "sgd":
        config["momentum"] = rng.uniform(0, 0.9)
    away = math.log10(config["learning_rate"] / 0.012)
    top = 0.978 - 0.06 * away**2 - 0.02 * (1 - math.log(config["units"] / 32) / math.log(16))
    top -= 0.008 * (optimizer == "sgd")
    speed = 0.25 + 0.2 * (away + 1)
    late = max(0.0, away) * 0.12
    seconds = 0.2 + config["units"] / 200 + 16 / config["batch_size"]
    trial = Trial(number, config, started=clock, parameters=(64 + 1 + config["units"] + 11) * config["units"] + 10)
    fate = rng.random()
    if fate < 0.05:
        reason = Failure(FailureKind.DIVERGED, "loss is nan at epoch 3", fold=1, epoch=2)
        return replace(trial, state=TrialState.DIVERGED, failure=reason)
    if fate < 0.08:
        trace = 'Traceback (most recent call last):\n  File "model.py", line 3, in build\nValueError: units <= 500'
        return replace(
            trial,
            state=TrialState.FAILED,
            failure=Failure(FailureKind.ERROR, "ValueError: units <= 500", traceback=trace),
        )
    pruned = fate < 0.2 and top < 0.95
    done = []
    for fold, harder in enumerate(hard):
        length = max(2, epochs // 4) if pruned else epochs
        shift = harder + noise * rng.gauss(0, 0.004)
        ends = [(1 - math.exp(-speed * (e + 1))) for e in range(length)]
        val = [min(1.0, 0.1 + (top + shift - 0.1) * end + noise * rng.gauss(0, 0.0015)) for end in ends]
        train = [min(1.0, 0.1 + 0.895 * (1 - math.exp(-1.2 * speed * (e + 1)))) for e in range(length)]
        curves = {
            "accuracy": tuple(train),
            "loss": tuple(2.6 * (1 - value) + 0.02 for value in train),
            "val_accuracy": tuple(val),
            "val_loss": tuple(2.6 * (1 - value) + 0.05 + late * e / epochs for e, value in enumerate(val)),
        }
        if objective.metric == "val_mae":
            curves = {
                name.replace("accuracy", "mae"): tuple(30 + 300 * (1 - value) for value in curve)
                if "accuracy" in name
                else curve
                for name, curve in curves.items()
            }
        done.append(FoldResult(fold, curves, started=clock, seconds=seconds * length / epochs * rng.uniform(0.95, 1.1)))
    result = score(objective, done)
    return replace(
        trial,
        state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
        score=result.value,
        std=result.std,
        epoch=result.epoch,
        fold_scores=result.fold_scores,
        folds=tuple(done),
        failure=Failure(FailureKind.PRUNED, f"in the worse half at epoch {epochs // 4}") if pruned else None,
    )
