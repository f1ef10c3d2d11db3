"""What ``"auto"`` in ``[resources]`` comes to on this machine, and why."""

from collections.abc import Iterator

from hpsearch.core.hardware import usable_cores
from hpsearch.doctor.findings import Finding, broken
from hpsearch.errors import HpsearchError
from hpsearch.executors.devices import plan_slots
from hpsearch.spec import ResourcesSection
from hpsearch.training.environment import WorkerSettings


def slots_of(resources: ResourcesSection) -> tuple[list[WorkerSettings], Finding | None]:
    """The slots of a study; none, and why, if what it asks for is not there."""
    try:
        return plan_slots(resources, backend=backend_of(resources), cache=None), None
    except HpsearchError as error:
        return [], broken("gpus", error)


def backend_of(resources: ResourcesSection) -> str:
    """The Keras backend that workers are tried with first."""
    if resources.backend != "auto":
        return resources.backend
    return "tensorflow" if resources.engine == "fit" else "jax"


def choices(resources: ResourcesSection, slots: list[WorkerSettings]) -> Iterator[Finding]:
    """Each key with its value, and why it is so."""
    gpus = list(dict.fromkeys(slot.gpu for slot in slots if slot.gpu is not None))
    asked = "the study file says so"
    why = asked if resources.gpus != "auto" else "all that this process may use" if gpus else "there is none"
    yield Finding("gpus", detail=", ".join(gpus) or "none: workers train on the CPU", reason=why, values={"gpus": gpus})
    yield Finding(
        "workers", detail=str(len(slots)), reason=_why_workers(resources, gpus), values={"workers": len(slots)}
    )
    threads = slots[0].threads if slots else None
    said = f"{threads} for each worker" if threads is not None else f"all {usable_cores()} cores"
    why = asked if resources.threads != "auto" else "cores / workers" if len(slots) > 1 else "one worker has them all"
    yield Finding("threads", detail=said, reason=why, values={"threads": threads})
    yield _engine(resources)
    yield _backend(resources)


def _why_workers(resources: ResourcesSection, gpus: list[str]) -> str:
    if resources.workers != "auto":
        return "the study file says so"
    if gpus:
        return f"{resources.gpu_share} for each GPU"
    return "one worker spreads a bundle's lanes over all cores; several would each import and compile"


def _engine(resources: ResourcesSection) -> Finding:
    values = {"asked": resources.engine}
    if resources.engine != "auto":
        return Finding("engine", detail=resources.engine, reason="the study file says so", values=values)
    if resources.backend == "tensorflow":
        return Finding("engine", detail="fit", reason="the fused engine needs Keras on JAX", values=values)
    why = "that depends on the model: `hpsearch check FILE` tells for a study"
    return Finding("engine", detail="fused if the model allows it, else fit", reason=why, values=values)


def _backend(resources: ResourcesSection) -> Finding:
    values = {"asked": resources.backend, "first": backend_of(resources)}
    if resources.backend != "auto":
        return Finding("backend", detail=resources.backend, reason="the study file says so", values=values)
    if resources.engine == "fit":
        return Finding("backend", detail="tensorflow", reason="it is the faster one for single models", values=values)
    why = "the fused engine needs JAX; fit is faster on TensorFlow"
    return Finding("backend", detail="jax if fused, else tensorflow", reason=why, values=values)
