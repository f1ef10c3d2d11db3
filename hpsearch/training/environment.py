"""The process that a worker runs in: environment variables and devices, and what it says about itself.

The only module that sets environment variables, and it does so before Keras is imported.
"""

import ctypes
import os
import platform
import resource
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hpsearch.core.facts import MachineFacts
from hpsearch.core.hardware import processor

PACKAGES = ("hpsearch", "keras", "tensorflow", "jax", "optuna", "keras-tuner", "mlflow", "numpy", "scikit-learn")
"""Packages whose versions are part of a study's record."""


_KERAS_SETTINGS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
"""Keras' own defaults. ``~/.keras/keras.json`` may say otherwise, and differs from machine to machine."""

_XLA_FRACTION = 0.75
"""What XLA takes of a GPU's memory at most if nobody says otherwise."""

_keras_pending = False
"""Whether this process was set up for Keras, which has not been given its defaults yet."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker's process is to look like.

    Attributes:
        backend: Keras backend, ``"tensorflow"`` or ``"jax"``.
        gpu: The one GPU to see, as in ``CUDA_VISIBLE_DEVICES``: a number, a UUID or a MIG device; None for CPU only.
        threads: CPU threads to use; None for all cores.
        cache: Folder of compiled programs, kept between studies.
        predictions: Folder for every trial's predictions of its validation rows; empty to keep none.
        gpu_workers: How many workers share the GPU, this one included.
        place: The slot's number among its driver's, which decides which of the cores are its own.
    """

    backend: str
    gpu: str | None = None
    threads: int | None = None
    cache: str | None = None
    predictions: str = ""
    gpu_workers: int = 1
    place: int = 0


def set_up(settings: WorkerSettings) -> None:
    """Set up this process. Call it before the first import of Keras, TensorFlow or JAX."""
    global _keras_pending
    _keras_pending = True
    env = os.environ
    env["KERAS_BACKEND"] = settings.backend
    env["CUDA_VISIBLE_DEVICES"] = settings.gpu if settings.gpu is not None else "-1"
    env.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # a GPU's number is the one that nvidia-smi shows
    env["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    if settings.gpu_workers > 1:  # TensorFlow takes what it needs as it grows; XLA is told its part
        whole = _as_fraction(env.get("XLA_PYTHON_CLIENT_MEM_FRACTION"))
        env["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{whole / settings.gpu_workers:.4f}"
    env.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    env.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    env.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its rounding depends on the thread count
    if settings.gpu is None:
        env.setdefault("JAX_PLATFORMS", "cpu")
    if settings.cache is not None:
        env.setdefault("JAX_COMPILATION_CACHE_DIR", settings.cache)
        # JAX keeps programs that took a second or more to compile. A lane of `fit` has some 20 smaller ones: kept, too,
        # a lane of a shape seen before takes 1.1 s instead of 4.7 (3 epochs of digits on one core).
        env.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    if settings.threads is not None:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
            env[name] = str(settings.threads)
        env["TF_NUM_INTEROP_THREADS"] = "1"
        if hasattr(os, "sched_setaffinity") and settings.threads < (os.cpu_count() or 1):
            # XLA's CPU client sizes its pool by the CPUs it may use, and takes no other hint.
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, _share(allowed, settings.threads, settings.place))


def _as_fraction(said: str | None) -> float:
    """The part of a GPU's memory that XLA may take, if all of it were one worker's."""
    try:
        return float(said or _XLA_FRACTION)
    except ValueError:
        return _XLA_FRACTION


def _share(allowed: list[int], threads: int, place: int) -> list[int]:
    """The worker's own cores. Workers of one driver get different ones, as far as there are; so do other drivers'."""
    start = (os.getppid() + place * threads) % max(len(allowed), 1)
    return [allowed[(start + i) % len(allowed)] for i in range(min(threads, len(allowed)))]


def set_up_keras() -> None:
    """Give Keras its own defaults, whatever its settings file says. Call it before the user's code is imported.

    Once, so that what the user's code sets counts. In a process that had imported Keras before, the settings are the
    user's, and stay.
    """
    global _keras_pending
    if not _keras_pending:
        return
    _keras_pending = False
    import keras

    for name, value in _KERAS_SETTINGS.items():
        getattr(keras.config, f"set_{name}")(value)


def keras_settings() -> dict[str, str]:
    """Keras' settings that results depend on, as they are now."""
    import keras

    found = {name: str(getattr(keras.config, name)()) for name in _KERAS_SETTINGS}
    return {**found, "dtype_policy": keras.config.dtype_policy().name}


def describe_machine() -> MachineFacts:
    """Versions, backend, device and Keras' settings of this process (imports Keras)."""
    import keras

    backend = keras.backend.backend()
    return MachineFacts(package_versions(), backend, _device(backend), keras_settings())


def package_versions() -> dict[str, str]:
    """Python's version, and those of :data:`PACKAGES` that are installed. Imports none of them."""
    found = {name: version for name in PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **found}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device(backend: str) -> str:
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        if device.platform != "cpu":
            return f"{device.platform}: {device.device_kind}"
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            return f"gpu: {tf.config.experimental.get_device_details(gpus[0]).get('device_name', gpus[0].name)}"
    return f"cpu: {processor()}, {os.cpu_count()} cores"


def free_memory() -> None:
    """Give freed memory back to the system. The C library (glibc) would keep it: 170 MB after 24 compiled programs."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def resident_bytes() -> int:
    """Resident memory now (Linux) or at its peak (elsewhere)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
