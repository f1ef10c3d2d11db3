"""Executors: where the workers run. The driver sees only :class:`~hpsearch.executors.base.Executor`."""

from collections.abc import Callable

from hpsearch.core.registries import EXECUTORS
from hpsearch.errors import SpecError
from hpsearch.executors.base import Executor
from hpsearch.executors.devices import plan_slots
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings


def make_executor(
    spec: StudySpec,
    *,
    backend: str,
    cache: str | None,
    predictions: str = "",
    note: Callable[[str], object] | None = None,
) -> Executor:
    """The executor that ``[resources] executor`` names.

    Args:
        spec: The study file.
        backend: Keras backend of the workers.
        cache: Folder of compiled programs.
        predictions: Folder for predictions of validation rows; empty to keep none.
        note: Told what the user should know.

    Raises:
        SpecError: A GPU is asked for that is not there, the executor cannot be imported, or it cannot end what takes
            too long.
    """
    kind = EXECUTORS.load_class(spec.resources.executor, Executor)
    _check_limits(spec, kind)
    if kind.local:
        settings = plan_slots(spec.resources, backend=backend, cache=cache, predictions=predictions)
    else:
        _check_gpus(spec)
        threads = spec.resources.threads if isinstance(spec.resources.threads, int) else None
        settings = [WorkerSettings(backend, None, threads, None, predictions)]
    made = kind(spec, settings)
    if note is not None:
        made.note = note
    return made


def is_local(spec: StudySpec) -> bool:
    """Whether the study's workers run on this machine."""
    return EXECUTORS.load_class(spec.resources.executor, Executor).local


def check_elsewhere(spec: StudySpec) -> None:
    """Check what can be known of a study for workers elsewhere without any.

    Raises:
        HpsearchError: What it asks for is not possible there, or a file that it needs is not here.
    """
    from hpsearch.executors.study_files import StudyFiles

    _check_gpus(spec)
    StudyFiles(spec)


def _check_gpus(spec: StudySpec) -> None:
    """Workers elsewhere have the GPUs that they are started with."""
    gpus, name = spec.resources.gpus, spec.resources.executor
    if gpus == "auto" or not gpus:
        return
    remedies = {"ray": "`[resources.ray] gpus = 1`: Ray chooses them", "slurm": '`[resources.slurm] gres = "gpu:1"`'}
    raise SpecError(
        f"resources.gpus: executor = {name!r} cannot take GPUs of this machine, but got {gpus}",
        code="gpus-elsewhere",
        hint=f"say what each worker has: {remedies.get(name, '`hpsearch worker --gpu 0`')}",
        key="resources.gpus",
        executor=name,
    )


def _check_limits(spec: StudySpec, kind: type[Executor]) -> None:
    name = spec.resources.executor
    for key in ("epoch_timeout", "trial_timeout"):
        if getattr(spec.resources, key) is not None and not kind.ends_workers:
            raise SpecError(
                f"resources.{key}: executor = {name!r} cannot end a worker that hangs",
                code="cannot-end-workers",
                hint=f'use executor = "processes", or leave {key} out',
                key=f"resources.{key}",
                executor=name,
            )
