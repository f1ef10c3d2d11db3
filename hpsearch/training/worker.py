"""A worker: sets up its process, then describes the problem, trains bundles and refits the winner.

The only module that sets environment variables and devices, and it does so before Keras is imported. Every failure of
a lane comes back as an event, every failure of a request as an :class:`~hpsearch.errors.HpsearchError`.
"""

import ctypes
import hashlib
import importlib
import json
import os
import platform
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.core.seeds import derive
from hpsearch.core.space import Config, Parameter, Space
from hpsearch.core.trial import Bundle, BundleFinished, Champion, Event, Failure, LaneFailed
from hpsearch.data.dataset import Features, Part, Task
from hpsearch.errors import HpsearchError, LedgerError, ModelError
from hpsearch.spec.loading import StudySpec
from hpsearch.training.engines import make_engine
from hpsearch.training.engines.base import Engine, EnginePlan, Stopped
from hpsearch.training.problem import Problem

if TYPE_CHECKING:
    import keras

PACKAGES = ("hpsearch", "keras", "tensorflow", "jax", "optuna", "keras-tuner", "mlflow", "numpy", "scikit-learn")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker's process is to look like.

    Attributes:
        backend: Keras backend, ``"tensorflow"`` or ``"jax"``.
        gpu: The one GPU to see, as in ``CUDA_VISIBLE_DEVICES``; None for CPU only.
        threads: CPU threads to use; None for all cores.
        cache: Folder of compiled programs, kept between studies.
    """

    backend: str
    gpu: str | None = None
    threads: int | None = None
    cache: str | None = None


def prepare(settings: WorkerSettings) -> None:
    """Set up this process. Must come before the first import of Keras, TensorFlow or JAX."""
    env = os.environ
    env["KERAS_BACKEND"] = settings.backend
    env["CUDA_VISIBLE_DEVICES"] = settings.gpu if settings.gpu is not None else "-1"
    env["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    env.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    env.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    env.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its rounding depends on the thread count
    if settings.gpu is None:
        env.setdefault("JAX_PLATFORMS", "cpu")
    if settings.cache is not None:
        env.setdefault("JAX_COMPILATION_CACHE_DIR", settings.cache)
    if settings.threads is not None:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
            env[name] = str(settings.threads)
        env["TF_NUM_INTEROP_THREADS"] = "1"
        if hasattr(os, "sched_setaffinity") and settings.threads < (os.cpu_count() or 1):
            # XLA's CPU client sizes its pool by the CPUs it may use, and takes no other hint.
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, _share(allowed, settings.threads))


def _share(allowed: list[int], threads: int) -> list[int]:
    start = os.getpid() * threads % max(len(allowed), 1)
    return [allowed[(start + i) % len(allowed)] for i in range(min(threads, len(allowed)))]


class Worker:
    """Does the work of one process for one study.

    Args:
        spec: The study file; ``resources.engine`` says which engine.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self._model: keras.Model | None = None

    @cached_property
    def problem(self) -> Problem:
        """Data, folds and model, loaded once per worker."""
        return Problem.load(self.spec)

    @cached_property
    def engine(self) -> Engine:
        """The engine of the study."""
        return make_engine(self.problem)

    def data_facts(self) -> dict[str, Any]:
        """The data as plain values; see ``StudyRecord.facts["data"]``. Imports no Keras unless the source needs it.

        Raises:
            DataError: The data are missing or unusable.
        """
        problem = self.problem
        dataset = problem.dataset
        return {
            "source": dataset.name,
            "rows": len(dataset.train),
            "test_rows": 0 if dataset.test is None else len(dataset.test),
            "fingerprint": dataset.fingerprint(),
            "task": dataset.task.value,
            "classes": list(dataset.classes),
            "columns": [{"name": column.name, "kind": column.kind} for column in dataset.columns],
            "input": _shape_of(dataset.train.x),
            "folds": [[len(fold.train), len(fold.validation)] for fold in problem.folds],
            "extra": {
                key: value for key, value in dataset.extra.items() if isinstance(value, bool | int | float | str)
            },
        }

    def discover(self) -> dict[str, Parameter]:
        """Hyperparameters that the user's KerasTuner model declares; empty for families and plain functions."""
        return self.problem.discover_space()

    def rehearse(self, config: Config) -> dict[str, Any]:
        """Build the model once and evaluate it on a few rows, so that mistakes show before anything is written.

        Returns:
            ``{"parameters": number of weights, "metrics": names of the curves that training will record}``.

        Raises:
            ModelError: The model cannot be built or evaluated on the data, is tied to the next one, or cannot be saved
                and loaded.
        """
        from hpsearch.models.saving import check_saving
        from hpsearch.models.sharing import check_apart

        problem = self.problem
        train, validation = problem.fold_parts(0)
        model, again = (problem.build(config, train, seed=derive(self.spec.seed, "rehearsal")) for _ in range(2))
        check_apart(problem.builder.address, model, again)
        rows = np.arange(min(len(validation), 8))
        few = validation.take(rows)
        try:
            values = model.evaluate(few.x, few.y, batch_size=len(rows), verbose=0, return_dict=True)
        except HpsearchError:
            raise
        except Exception as error:
            raise ModelError(
                f"the model cannot be evaluated on the data: {type(error).__name__}: {_first_line(error)}\n"
                f"{traceback.format_exc()}",
                hint=f"inputs have shape {_shape_of(few.x)}, targets {list(few.y.shape[1:])}; check the output layer",
            ) from None
        check_saving(model, self.spec, few.x)
        names = list(values)
        return {"parameters": model.count_params(), "metrics": [*names, *(f"val_{name}" for name in names)]}

    def plan(self) -> EnginePlan:
        """How the engine wants its bundles."""
        return self.engine.plan()

    def machine_facts(self) -> dict[str, Any]:
        """Versions and device, as plain values."""
        import keras

        versions = {name: found for name in PACKAGES if (found := _version(name))}
        return {
            "versions": {"python": platform.python_version(), **versions},
            "backend": keras.backend.backend(),
            "device": _device(keras.backend.backend()),
        }

    def train(self, bundle: Bundle, stopped: Stopped) -> Iterator[Event]:
        """Train a bundle; a lane's failure is an event, and so is whatever else goes wrong."""
        ended: set[tuple[int, int]] = set()
        try:
            for event in self.engine.train(bundle, stopped):
                if (address := _lane_of(event)) is not None:
                    ended.add(address)
                yield event
        except Exception as error:
            failure = Failure(
                "error", f"{type(error).__name__}: {_first_line(error)}", traceback=traceback.format_exc()
            )
            for lane in bundle.lanes:
                if (lane.trial, lane.fold) not in ended:
                    yield LaneFailed(lane.trial, lane.fold, failure)
        notes = tuple(getattr(self.engine, "take_notes", tuple)())
        compile_seconds = float(getattr(self.engine, "take_compile_seconds", float)())
        _trim()
        yield BundleFinished(bundle.id, _rss_bytes(), compile_seconds, notes)

    def refit(self, trial: int, config: Config, epochs: int, folder: str, meanwhile: Sequence[str] = ()) -> Champion:
        """Train the winner on all development rows, test it once, and save it.

        Writes ``champion.keras``, ``champion.json`` (what it is and which inputs it takes) and ``predictions.npz``
        (of the test rows) into `folder`, each at once or not at all. The modules named in `meanwhile` are imported in
        the background, for a call that follows.

        Raises:
            ModelError: Training fails or diverges, or the model cannot be saved.
            LedgerError: The folder cannot be written.
        """
        # The winner's refit is plain Keras whatever engine searched: one model, no folds.
        from hpsearch.models.saving import save_model
        from hpsearch.training.engines.fit import refit

        threading.Thread(target=_import_all, args=(meanwhile,), name="import").start()
        begun = time.perf_counter()
        try:
            model, curves = refit(self.problem, config, epochs=epochs, seed=derive(self.spec.seed, "refit"))
        except HpsearchError:
            raise
        except Exception as error:
            raise ModelError(
                f"the refit of trial {trial} failed: {type(error).__name__}: {_first_line(error)}\n"
                f"{traceback.format_exc()}",
                hint="it trains on all development rows at once; mend the cause, then resume",
            ) from None
        seconds = time.perf_counter() - begun
        self._model = model
        target = Path(folder)
        with _saving_in(target):
            target.mkdir(parents=True, exist_ok=True)
            path = target / "champion.keras"
            _replace(path, lambda temporary: save_model(model, temporary))
            test = self.problem.dataset.test
            scores: dict[str, float] = {}
            if test is not None:
                raw = model.evaluate(test.x, test.y, batch_size=256, verbose=0, return_dict=True)
                scores = {name: float(value) for name, value in raw.items()}
                self._save_predictions(model, test, target)
            champion = Champion(
                trial=trial,
                config=config,
                epochs=epochs,
                curves=curves,
                test=scores,
                path=str(path),
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                parameters=model.count_params(),
                size_bytes=path.stat().st_size,
                seconds=seconds,
            )
            self._save_card(model, champion, target)
        return champion

    def call(self, target: str, path: str, kwargs: Mapping[str, Any]) -> Any:
        """Call ``module:function`` with a model and an input example beside `kwargs`.

        The layers above name what they want done where Keras is, such as logging the champion to MLflow.

        Args:
            target: The function.
            path: The model's file; the model itself is passed where this worker has just refitted it.
            kwargs: Further arguments.
        """
        module, _, name = target.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        example = _head(self.problem.dataset.train.x, 5)
        return function(model=self._model or path, example=example, **kwargs)

    def export_saved_model(self, path: str, target: str, data: Mapping[str, Any]) -> dict[str, str]:
        """Write a ``.keras`` file as a TensorFlow SavedModel; needs the TensorFlow backend.

        For `data` and what comes back see :func:`~hpsearch.models.serving.write_saved_model`.

        Raises:
            ModelError: The file needs code that the build module no longer has.
        """
        from hpsearch.models.saving import load_model
        from hpsearch.models.serving import write_saved_model

        return write_saved_model(load_model(path, self.spec), target, data)

    def _save_predictions(self, model: "keras.Model", test: Part, folder: Path) -> None:
        predicted = np.asarray(model.predict(test.x, batch_size=256, verbose=0))
        if predicted.ndim == 2 and predicted.shape[1] == 1:
            predicted = predicted[:, 0]
        arrays: dict[str, Any] = {"y_true": test.y, "y_pred": predicted, "rows": np.arange(len(test))}
        arrays |= _worst_images(test, predicted, self.problem.dataset.task)
        _replace(folder / "predictions.npz", lambda temporary: np.savez_compressed(temporary, **arrays))

    def _save_card(self, model: "keras.Model", champion: Champion, folder: Path) -> None:
        dataset = self.problem.dataset
        layers = [
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "output_shape": str(getattr(layer.output, "shape", "")) if hasattr(layer, "output") else "",
                "params": layer.count_params() if layer.built else 0,
            }
            for layer in model.layers
        ]
        card = {
            "study": self.spec.name,
            "trial": champion.trial,
            "sha256": champion.sha256,
            "task": dataset.task.value,
            "classes": list(dataset.classes),
            "columns": [{"name": column.name, "kind": column.kind} for column in dataset.columns],
            "input": _shape_of(dataset.train.x),
            "layers": layers,
        }
        text = json.dumps(card, indent=2)
        _replace(folder / "champion.json", lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


def _import_all(modules: Sequence[str]) -> None:
    with suppress(Exception):  # what is broken shows where it is used
        for name in modules:
            importlib.import_module(name)


def smallest_config(space: Space) -> dict[str, Any]:
    """A config to rehearse with: the first value of everything, so the cheapest one in most spaces."""
    return next(iter(space.grid(2)))


def _worst_images(test: Part, predicted: np.ndarray, task: Task) -> dict[str, np.ndarray]:
    """Raw inputs of the up to 64 test rows that the model gets most wrong, where rows are small images."""
    x = test.x
    if isinstance(x, Mapping) or task is not Task.MULTICLASS or x.ndim not in (3, 4) or max(x.shape[1:3]) > 64:
        return {}
    labels = test.y.argmax(axis=1) if test.y.ndim == 2 else test.y
    confidence = predicted.max(axis=1) - predicted[np.arange(len(labels)), labels]
    worst = np.argsort(-confidence, kind="stable")[:64]
    return {"samples": x[worst], "sample_rows": worst}


@contextmanager
def _saving_in(folder: Path) -> Iterator[None]:
    """Say which folder it was that could not be written."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"the champion cannot be saved in {folder}: {error.strerror or error}",
            hint="free some disk space, or make the folder writable, then resume",
        ) from None


def _replace(path: Path, write: Callable[[str], object]) -> None:
    """Write beside the target, then move: a killed process leaves the old file or the new one."""
    # One name for all: what a killed process leaves is overwritten by the next. The driver's lock keeps others out.
    temporary = path.with_name(f".{path.name}")
    try:
        write(str(temporary))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _lane_of(event: Event) -> tuple[int, int] | None:
    if isinstance(event, LaneFailed):
        return event.trial, event.fold
    result = getattr(event, "result", None)
    return None if result is None else (event.trial, result.fold)  # type: ignore[union-attr]


def _head(x: Features, rows: int) -> Features:
    if isinstance(x, Mapping):
        return {name: column[:rows] for name, column in x.items()}
    return x[:rows]


def _shape_of(x: Features) -> list[int]:
    return [len(x)] if isinstance(x, Mapping) else list(x.shape[1:])


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device(backend: str) -> str:
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return f"{device.platform}: {device.device_kind}"
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            return f"gpu: {tf.config.experimental.get_device_details(gpus[0]).get('device_name', gpus[0].name)}"
    return f"cpu: {platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _trim() -> None:
    """Give freed memory back to the system. The C library (glibc) would keep it: 170 MB after 24 compiled programs."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _rss_bytes() -> int:
    """Resident memory now (Linux) or at its peak (elsewhere)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


__all__ = ["Worker", "WorkerSettings", "prepare", "smallest_config"]
