"""Executors: where the workers run. The driver sees only :class:`~hpsearch.executors.base.Executor`."""

from hpsearch.core.registries import EXECUTORS
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
        SpecError: A GPU is asked for that is not there, or the executor cannot be imported.
    """
    slots = plan_slots(spec.resources, backend=backend, cache=cache, predictions=predictions)
    return EXECUTORS.load_class(spec.resources.executor, Executor)(spec, slots)
