"""How fast this machine trains: a small real training in a real worker, for some seconds."""

import tempfile
import time
from collections.abc import Sequence

from hpsearch.core.events import Bundle, BundleFinished, EpochFinished, Lane, LaneFailed, WorkerDied
from hpsearch.core.facts import EnginePlan, MachineFacts
from hpsearch.core.space import Config
from hpsearch.doctor.findings import Finding, Health, broken
from hpsearch.errors import ExecutorError, HpsearchError
from hpsearch.executors.processes import ProcessesExecutor
from hpsearch.spec import ResourcesSection, StudySpec, parse_spec
from hpsearch.training.environment import WorkerSettings
from hpsearch.training.protocol import WorkerProtocol

SECONDS = 5.0
"""For which is trained. Starting the worker and compiling take about as long again, and do not count."""

_LONGEST_S = 180.0
"""After which a worker that has not begun is given up."""

_TRIALS, _FOLDS = 8, 5

_STUDY = """
name = "doctor"
[data]
source = "sklearn:digits"
[validation]
folds = {folds}
[model]
family = "mlp"
layers = 2
[space]
learning_rate = {{ low = 0.001, high = 0.01, log = true }}
units = 64
optimizer = "adam"
batch_size = 64
epochs = 100_000
[objective]
metric = "val_accuracy"
[resources]
engine = "{engine}"
"""
_CONFIG: Config = {
    "batch_size": 64,
    "epochs": 100_000,
    "layers": 2,
    "units": 64,
    "dropout": 0.2,
    "optimizer": "adam",
    "activation": "relu",
    "batch_norm": False,
}


def throughput(resources: ResourcesSection, settings: WorkerSettings) -> Finding:
    """Train digits for :data:`SECONDS` on the first slot's device.

    Args:
        resources: Which engine; one that is a plug-in's is not tried.
        settings: Of the slot.
    """
    engine = resources.engine if resources.engine in ("fused", "fit") else "auto"
    spec = parse_spec(_STUDY.format(folds=_FOLDS, engine=engine))
    try:
        with tempfile.TemporaryDirectory() as cache:
            plan, machine, rate = _measured(spec, _with_cache(settings, cache))
    except HpsearchError as error:
        return broken("training", error)
    shown = f"{rate:,.0f} lanes × epochs per second, {plan.engine} on {machine.backend}, {machine.device}"
    values = {
        "lane_epochs_per_second": round(rate, 1),
        "engine": plan.engine,
        "backend": machine.backend,
        "device": machine.device,
        "seconds": SECONDS,
        "lanes": _TRIALS * _FOLDS,
    }
    if settings.gpu is not None and machine.device.startswith("cpu"):
        reason = f"the machine has GPU {settings.gpu}, but {machine.backend} sees none and trains on the CPU"
        hint = "install JAX for CUDA: pip install 'jax[cuda12]'; of TensorFlow, 'tensorflow[and-cuda]'"
        return Finding("training", Health.REDUCED, shown, reason, "doctor.gpu-unused", hint, values)
    return Finding("training", detail=shown, values=values)


def _with_cache(settings: WorkerSettings, cache: str) -> WorkerSettings:
    return WorkerSettings(
        settings.backend, settings.gpu, settings.threads, cache, gpu_workers=settings.gpu_workers, place=settings.place
    )


def _measured(spec: StudySpec, settings: WorkerSettings) -> tuple[EnginePlan, MachineFacts, float]:
    """Plan, machine, and finished epochs of lanes per second.

    Raises:
        HpsearchError: The worker died, or cannot train.
    """
    executor = ProcessesExecutor(spec, [settings])
    executor.patience_s = _LONGEST_S
    try:
        plan, machine = executor.call(WorkerProtocol.plan), executor.call(WorkerProtocol.describe_machine)
        configs: list[Config] = [{**_CONFIG, "learning_rate": 0.001 * (1 + trial)} for trial in range(_TRIALS)]
        lanes = [Lane(trial, fold, config) for trial, config in enumerate(configs) for fold in range(_FOLDS)]
        executor.submit(Bundle(0, tuple(lanes)))
        return plan, machine, _rate(executor)
    finally:
        executor.close()


def _rate(executor: ProcessesExecutor) -> float:
    """Epochs per second after the first one, which includes compiling."""
    begun: float | None = None
    count, given_up = 0, time.monotonic() + _LONGEST_S
    while (now := time.monotonic()) < given_up:
        events = executor.events(0.1)
        _check(events)
        epochs = sum(isinstance(event, EpochFinished) for event in events)
        if begun is None:
            begun = time.monotonic() if epochs else None
            continue
        count += epochs
        if (now := time.monotonic()) - begun >= SECONDS and count:
            return count / (now - begun)
    raise ExecutorError(
        f"a worker has not finished two epochs of the digits within {_LONGEST_S:g} s",
        code="too-slow",
        hint="see what else the machine is doing (top, nvidia-smi)",
        seconds=_LONGEST_S,
    )


def _check(events: Sequence[object]) -> None:
    for event in events:
        why = ""
        if isinstance(event, LaneFailed):
            why = event.failure.message
        elif isinstance(event, WorkerDied):
            why = event.reason
        elif isinstance(event, BundleFinished):
            why = "it ended before its time"
        if why:
            raise ExecutorError(
                f"the test training failed: {why}", code="test-failed", hint="see `hpsearch doctor --keras`"
            )
