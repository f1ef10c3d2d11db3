"""Finished studies whose results look like those of a real search."""

import json
import math
import random
from dataclasses import dataclass, replace

from hpsearch.core.facts import FoldSize, Task
from hpsearch.core.objective import Objective, score
from hpsearch.core.space import Config, Value
from hpsearch.core.trial import Failure, FailureKind, FoldResult, Trial, TrialState
from hpsearch.ledger.record import StudyRecord, StudyState
from hpsearch.spec import make_space, parse_spec
from hpsearch.testing.factories import CREATED, make_champion, make_facts, make_record

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
    source = "keras:california_housing" if regression else "sklearn:digits"
    shown = json.dumps(name, ensure_ascii=False)
    text = SEARCHED_FILE.format(
        name=shown, source=source, folds=folds, trials=count, metric=metric, direction=direction
    )
    spec = parse_spec(text)
    network = _Network(rng, [rng.gauss(0, 0.006) for _ in range(folds)], epochs, noise, spec.make_objective())
    trials, clock = [], CREATED
    for number in range(count):
        trial = network.trial(number, clock)
        clock += trial.seconds / 2 + 0.3
        trials.append(replace(trial, finished=clock))
    facts = make_facts(folds)
    data = replace(facts.data, folds=(FoldSize(1437 * (folds - 1) // folds, 1437 // folds),) * folds)
    if regression:
        data = replace(data, task=Task.REGRESSION, classes=(), source=source)
    record = replace(
        make_record(trials, state=StudyState.FINISHED),
        name=name,
        spec=spec,
        study_file=text,
        space=make_space(spec),
        facts=replace(facts, data=data),
    )
    if record.best is None:
        return record
    champion = replace(make_champion(record.best), parameters=record.best.parameters or 0)
    return replace(
        record, champion=replace(champion, test={"loss": 31.2, "mae": 29.9} if regression else champion.test)
    )


@dataclass(frozen=True)
class _Shape:
    """How a config learns: its best accuracy, how fast it gets there, and how much its loss rises again."""

    top: float
    speed: float
    late: float


@dataclass(frozen=True)
class _Network:
    """Draws trials of a small network.

    Attributes:
        rng: All that is drawn comes from it, in a fixed order.
        hard: What each fold's rows add to accuracy.
        epochs: Epochs of a trial that is not pruned.
        noise: Factor on the noise of scores.
        objective: What the study optimises.
    """

    rng: random.Random
    hard: list[float]
    epochs: int
    noise: float
    objective: Objective

    def trial(self, number: int, clock: float) -> Trial:
        """A trial that begins at `clock`, Unix time in seconds."""
        config = self._config()
        units, batch_size = int(config["units"]), int(config["batch_size"])
        shape = _shape_of(config)
        trial = Trial(number, config, started=clock, parameters=(64 + 1 + units + 11) * units + 10)
        fate = self.rng.random()
        if fate < 0.05:
            reason = Failure(FailureKind.DIVERGED, "loss is nan at epoch 3", fold=1, epoch=3)
            return replace(trial, state=TrialState.DIVERGED, failure=reason)
        if fate < 0.08:
            trace = 'Traceback (most recent call last):\n  File "model.py", line 3, in build\nValueError: units <= 500'
            failure = Failure(FailureKind.ERROR, "ValueError: units <= 500", traceback=trace)
            return replace(trial, state=TrialState.FAILED, failure=failure)
        pruned = fate < 0.2 and shape.top < 0.95
        length = max(2, self.epochs // 4) if pruned else self.epochs
        seconds = (0.2 + units / 200 + 16 / batch_size) * length / self.epochs
        done = []
        for fold, harder in enumerate(self.hard):
            curves = self._curves(shape, harder, length)
            done.append(FoldResult(fold, curves, started=clock, seconds=seconds * self.rng.uniform(0.95, 1.1)))
        result = score(self.objective, done)
        return replace(
            trial,
            state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
            score=result.value,
            std=result.std,
            epoch=result.epoch,
            fold_scores=result.fold_scores,
            folds=tuple(done),
            failure=Failure(FailureKind.PRUNED, f"in the worse half at epoch {self.epochs // 4}") if pruned else None,
        )

    def _config(self) -> dict[str, Value]:
        rng = self.rng
        optimizer = rng.choice(["sgd", "adam", "rmsprop"])
        config: dict[str, Value] = {
            "learning_rate": math.exp(rng.uniform(math.log(0.001), math.log(0.04))),
            "batch_size": rng.choice([16, 32, 64, 100, 128]),
            "epochs": self.epochs,
            "optimizer": optimizer,
            "layers": 2,
            "units": round(math.exp(rng.uniform(math.log(32), math.log(512)))),
            "dropout": round(0.05 * rng.randint(0, 10), 12),
            "activation": "relu",
            "batch_norm": False,
        }
        if optimizer == "sgd":
            config["momentum"] = rng.uniform(0, 0.9)
        return config

    def _curves(self, shape: _Shape, harder: float, length: int) -> dict[str, tuple[float, ...]]:
        rng, noise = self.rng, self.noise
        shift = harder + noise * rng.gauss(0, 0.004)
        ends = [(1 - math.exp(-shape.speed * (e + 1))) for e in range(length)]
        val = [min(1.0, 0.1 + (shape.top + shift - 0.1) * end + noise * rng.gauss(0, 0.0015)) for end in ends]
        train = [min(1.0, 0.1 + 0.895 * (1 - math.exp(-1.2 * shape.speed * (e + 1)))) for e in range(length)]
        curves = {
            "accuracy": tuple(train),
            "loss": tuple(2.6 * (1 - value) + 0.02 for value in train),
            "val_accuracy": tuple(val),
            "val_loss": tuple(2.6 * (1 - value) + 0.05 + shape.late * e / self.epochs for e, value in enumerate(val)),
        }
        if self.objective.metric != "val_mae":
            return curves
        return {
            name.replace("accuracy", "mae"): tuple(30 + 300 * (1 - value) for value in curve)
            if "accuracy" in name
            else curve
            for name, curve in curves.items()
        }


def _shape_of(config: Config) -> _Shape:
    away = math.log10(float(config["learning_rate"]) / 0.012)
    top = 0.978 - 0.06 * away**2 - 0.02 * (1 - math.log(int(config["units"]) / 32) / math.log(16))
    top -= 0.008 * (config["optimizer"] == "sgd")
    return _Shape(top, speed=0.25 + 0.2 * (away + 1), late=max(0.0, away) * 0.12)
