"""Executors: who runs the workers. The driver sees :class:`~hpsearch.executors.base.Executor` only."""

from hpsearch.executors.base import Executor
from hpsearch.spec import StudySpec


def make_executor(spec: StudySpec, *, backend: str, cache: str | None) -> Executor:
    """The executor that ``[resources] executor`` names.

    Args:
        spec: The study file.
        backend: Keras backend of the workers.
        cache: Folder of compiled programs.
    """
    from hpsearch.executors.devices import plan_slots

    slots = plan_slots(spec.resources, backend=backend, cache=cache)
    if spec.resources.executor == "inline":
        from hpsearch.executors.inline import InlineExecutor

        return InlineExecutor(spec, slots)
    from hpsearch.executors.processes import ProcessesExecutor

    return ProcessesExecutor(spec, slots)
