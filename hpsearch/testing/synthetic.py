"""An executor without Keras, to test what stands above it: curves are a plain function of config, fold and epoch."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from hpsearch.core.constraints import NO_CONSTRAINTS, Constraints
from hpsearch.core.events import (
    Bundle,
    BundleFinished,
    EpochFinished,
    Event,
    LaneFailed,
    LaneFinished,
    LaneStopped,
    ModelMeasured,
    WorkerDied,
)
from hpsearch.core.facts import DataFacts, EnginePlan, FoldSize, MachineFacts, StudyFacts, Task
from hpsearch.core.schedule import Schedule
from hpsearch.core.seeds import derive
from hpsearch.core.space import Config
from hpsearch.core.trial import Failure, FoldResult, not_trained
from hpsearch.executors.base import Executor, P, T, WorkerCall
from hpsearch.ledger.record import StudyRecord
from hpsearch.spec import AnyUri, StudySpec, Uri, make_space, parse_spec

STUDY = """
name = "{name}"
seed = {seed}
[data]
source = "sklearn:digits"
[validation]
folds = {folds}
[model]
family = "mlp"
[space]
learning_rate = {{ low = 0.001, high = 0.1, log = true }}
batch_size = 32
epochs = {epochs}
units = {{ low = 8, high = 64, step = 8 }}
dropout = {{ low = 0.0, high = 0.5 }}
optimizer = ["sgd", "adam"]
[objective]
metric = "val_accuracy"
direction = "maximize"
{objective}
[search]
tuner = "{tuner}"
algorithm = "{algorithm}"
trials = {trials}
{search}
[pruning]
method = "{pruning}"
[tracking]
ledger = "{ledger}"
uri = "{uri}"
"""


def make_spec(ledger: AnyUri, **changes: Any) -> StudySpec:
    """A small study over a space with a choice, a whole-number range and two real ranges."""
    values = {
        "name": "synthetic",
        "seed": 3,
        "folds": 3,
        "epochs": 4,
        "tuner": "optuna",
        "algorithm": "tpe",
        "trials": 12,
        "search": "",
        "objective": "",
        "pruning": "none",
        "uri": "sqlite:///mlruns/mlflow.db",
        "ledger": Uri(ledger).reveal(),
    }
    rule = changes.pop("fold_rule", "none")
    spec = parse_spec(STUDY.format(**{**values, **changes}))
    return spec.model_copy(update={"pruning": spec.pruning.model_copy(update={"folds": rule})})


def make_record(spec: StudySpec, *, schedule: Schedule | None = None, trials_per_bundle: int = 1) -> StudyRecord:
    """A fresh study of `spec`, as the synthetic executor would describe it."""
    folds = spec.validation.folds
    facts = StudyFacts(
        data=DataFacts(
            source=spec.data.source,
            rows=100,
            test_rows=20,
            fingerprint="0" * 16,
            task=Task.MULTICLASS,
            classes=("a", "b"),
            columns=(),
            input_shape=(64,),
            folds=(FoldSize(100 - 100 // folds, 100 // folds),) * folds,
        ),
        plan=EnginePlan("fit", "synthetic", trials_per_bundle=trials_per_bundle),
        machine=MachineFacts({}, "jax", "none"),
        backend="jax",
        schedule=schedule or Schedule(),
    )
    return StudyRecord(
        name=spec.name, spec=spec, study_file="", space=make_space(spec), facts=facts, created=time.time()
    )


def curve(config: Config, fold: int, epochs: int) -> dict[str, tuple[float, ...]]:
    """Accuracy that rises towards an optimum near learning_rate 0.01, units 40, dropout 0.2, adam."""
    rate = math.log10(float(config["learning_rate"])) + 2
    top = 0.95 - 0.1 * rate**2 - 0.3 * (float(config["dropout"]) - 0.2) ** 2
    top -= abs(int(config["units"]) - 40) / 400 + (0.03 if config["optimizer"] == "sgd" else 0.0)
    noise = derive(1, "noise", fold, int(config["units"])) / 2**31 * 0.01
    accuracy = tuple(top * (1 - 0.5 ** (epoch + 1)) + noise for epoch in range(epochs))
    return {
        "loss": tuple(1 - value for value in accuracy),
        "accuracy": accuracy,
        "val_loss": tuple(1.1 - value for value in accuracy),
        "val_accuracy": accuracy,
    }


Fate = Callable[[int, int], Failure | None]


class SyntheticExecutor(Executor):
    """Trains at once, epoch by epoch over all lanes of a bundle, `slots` bundles at a time.

    Args:
        slots: Bundles at a time.
        fate: Called with (trial, fold); a failure makes that lane fail in its second epoch.
        on_epoch: Called before every epoch of a bundle; tests kill the process in it.
        dies: Called with each bundle before its third epoch; True is the death of its worker.
        order: Which of the waiting events comes next, to try other timings.
        limits: Of a study whose bundles ask for models to be measured: they have 100 weights per unit.
    """

    def __init__(
        self,
        slots: int = 1,
        *,
        fate: Fate = lambda _trial, _fold: None,
        on_epoch: Callable[[], None] = lambda: None,
        dies: Callable[[Bundle], bool] = lambda _bundle: False,
        order: Callable[[int], int] = lambda _waiting: 0,
        limits: Constraints = NO_CONSTRAINTS,
    ) -> None:
        self._limits = limits
        self._slots = slots
        self._queues: list[deque[_Step] | None] = [None] * slots
        self._fate, self._on_epoch, self._dies, self._order = fate, on_epoch, dies, order
        self._stopped: set[int] = set()
        self.trained: list[tuple[int, int]] = []
        self.bundles: list[Bundle] = []

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def idle(self) -> int:
        return sum(queue is None for queue in self._queues)

    def call(self, method: WorkerCall[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        raise AssertionError(f"no call is expected here, but got {method.__name__}")

    def submit(self, bundle: Bundle) -> None:
        slot = self._queues.index(None)
        self.bundles.append(bundle)
        self._queues[slot] = deque(self._train(bundle))

    def _train(self, bundle: Bundle) -> list["_Step"]:
        # A step becomes events only when it is fetched, so that stop() acts between epochs.
        epochs = max(int(lane.config["epochs"]) for lane in bundle.lanes)
        return [_Step(bundle, epoch) for epoch in range(epochs)]

    def stop(self, trials: frozenset[int]) -> None:
        self._stopped |= trials

    def events(self, timeout_s: float) -> Sequence[Event]:
        busy = [i for i, queue in enumerate(self._queues) if queue is not None]
        if not busy:
            return ()
        slot = busy[self._order(len(busy)) % len(busy)]
        queue = self._queues[slot]
        assert queue is not None
        step = queue.popleft()
        self._on_epoch()
        if step.epoch == 2 and self._dies(step.bundle):
            self._queues[slot] = None
            return [WorkerDied(step.bundle, "worker process ended with signal 9")]
        events = list(self._events_of(step))
        if not queue:
            self._queues[slot] = None
            self._stopped -= set(step.bundle.trials)
            events.append(BundleFinished(step.bundle.id))
        return events

    def _events_of(self, step: "_Step") -> Sequence[Event]:
        events = self._measured(step) if step.epoch == 0 else []
        for lane in step.bundle.lanes:
            epochs = int(lane.config["epochs"])
            failure = self._fate(lane.trial, lane.fold)
            ended = (lane.trial, lane.fold) in step.bundle_ended
            if step.epoch >= epochs or ended:
                continue
            curves = curve(lane.config, lane.fold, step.epoch + 1)
            result = FoldResult(lane.fold, curves, started=1000.0 + lane.trial, seconds=0.5)
            if failure is not None and step.epoch == 1:
                events.append(LaneFailed(lane.trial, lane.fold, failure))
                step.bundle_ended.add((lane.trial, lane.fold))
                continue
            metrics = {name: values[-1] for name, values in curves.items()}
            events.append(EpochFinished(lane.trial, lane.fold, step.epoch, metrics))
            if step.epoch + 1 == epochs:
                self.trained.append((lane.trial, lane.fold))
                events.append(LaneFinished(lane.trial, result, parameters=100 * int(lane.config["units"])))
            elif lane.trial in self._stopped:
                events.append(LaneStopped(lane.trial, result, parameters=100 * int(lane.config["units"])))
                step.bundle_ended.add((lane.trial, lane.fold))
        return events

    def _measured(self, step: "_Step") -> list[Event]:
        events: list[Event] = []
        for trial in step.bundle.measure:
            lanes = [lane for lane in step.bundle.lanes if lane.trial == trial]
            parameters = 100 * int(lanes[0].config["units"])
            measured = {"parameters": float(parameters)}
            events.append(ModelMeasured(trial, parameters, measured))
            if broken := self._limits.of_model.broken(measured):
                events += [LaneFailed(trial, lane.fold, not_trained(broken)) for lane in lanes]
                step.bundle_ended.update((trial, lane.fold) for lane in lanes)
        return events

    def close(self) -> None:
        pass


class _Step:
    """One epoch of a bundle, and which of its lanes have ended early (shared by all steps of the bundle)."""

    _ended: ClassVar[dict[int, set[tuple[int, int]]]] = {}

    def __init__(self, bundle: Bundle, epoch: int) -> None:
        self.bundle, self.epoch = bundle, epoch
        if epoch == 0:
            self._ended[id(bundle)] = set()

    @property
    def bundle_ended(self) -> set[tuple[int, int]]:
        return self._ended[id(self.bundle)]
