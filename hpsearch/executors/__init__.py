"""Executors: where the workers run. The driver sees only :class:`~hpsearch.executors.base.Executor`."""

from hpsearch.core.registries import EXECUTORS
from hpsearch.errors import SpecError
from hpsearch.executors.base import Executor
from hpsearch.executors.devices import plan_slots
from hpsearch.spec import StudySpec


def make_executor(spec: StudySpec, *, backend: str, cache: str | None, predictions: str = "") -> Executor:
    """The executor that ``[resources] executor`` names.

    Args:
        spec: The study file.
        backend: Keras backend of the workers.
        cache: Folder of compiled programs.
        predictions: Folder for predictions of validation rows; empty to keep none.

    Raises:
        SpecError: A GPU is asked for that is not there, the executor cannot be imported, or it cannot end what takes
            too long.
    """
    kind = EXECUTORS.load_class(spec.resources.executor, Executor)
    _check_limits(spec, kind)
    slots = plan_slots(spec.resources, backend=backend, cache=cache, predictions=predictions)
    return kind(spec, slots)


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
