"""How slots share the machine: its GPUs, or its cores."""

from collections import Counter

from hpsearch.core.hardware import usable_cores
from hpsearch.errors import ExecutorError, SpecError
from hpsearch.executors.gpus import Gpu, find, is_gone, list_gpus
from hpsearch.spec import ResourcesSection
from hpsearch.training.environment import WorkerSettings


def plan_slots(
    resources: ResourcesSection, *, backend: str, cache: str | None, predictions: str = ""
) -> list[WorkerSettings]:
    """One entry per slot: `gpu_share` slots per GPU, or on a CPU machine one slot with all cores.

    On a CPU one worker uses all cores: XLA and TensorFlow spread a bundle's lanes over them, while several workers
    would each pay for imports, data and compilation.

    Neighbours in the list are on different GPUs, and the GPU with the most memory comes first: the first worker says
    how many trials a bundle may have. A worker with less memory trains such a bundle in parts.

    Raises:
        SpecError: A GPU is asked for that is not there, or there is none to share.
    """
    gpus = sorted(_chosen(resources), key=lambda gpu: -(gpu.memory_bytes or 0))
    if resources.gpu_share > 1 and not gpus:
        raise SpecError(
            f"resources.gpu_share: {resources.gpu_share} workers are to share a GPU, but there is none to use",
            code="no-gpu-to-share",
            hint="leave gpu_share out: on a CPU one worker uses all cores",
            gpu_share=resources.gpu_share,
        )
    count = resources.workers if isinstance(resources.workers, int) else max(len(gpus) * resources.gpu_share, 1)
    threads = resources.threads if isinstance(resources.threads, int) else None
    if threads is None and count > 1:
        threads = max(1, usable_cores() // count)
    places = [gpus[i % len(gpus)].name if gpus else None for i in range(count)]
    sharing = Counter(places)
    return [
        WorkerSettings(
            backend, name, threads, cache, predictions, gpu_workers=sharing[name] if name is not None else 1, place=i
        )
        for i, name in enumerate(places)
    ]


def _chosen(resources: ResourcesSection) -> list[Gpu]:
    if not resources.gpus:
        return []
    found = list_gpus()
    if resources.gpus == "auto":
        return found
    chosen: list[Gpu] = []
    for name in map(str, resources.gpus):
        meant = find(name, found)
        if not meant:
            raise SpecError(
                f"resources.gpus: there is no GPU {name}; this machine has {', '.join(map(str, found)) or 'none'}",
                code="no-such-gpu",
                hint='use gpus = "auto", or [] for the CPU',
                gpu=name,
                found=tuple(map(str, found)),
            )
        chosen += meant
    return chosen


def why_closed(settings: WorkerSettings) -> str:
    """Why a slot whose worker has died gets no other: its GPU has left the machine.

    Returns:
        In words for the user; empty if the slot goes on.
    """
    if settings.gpu is None or not is_gone(settings.gpu):
        return ""
    return f"GPU {settings.gpu} is gone"


def no_slot_left(reason: str) -> ExecutorError:
    """The error of an executor whose last slot has been closed.

    Args:
        reason: Why, as :func:`why_closed` says it.
    """
    return ExecutorError(
        f"{reason}, and it was the last one of the study",
        code="no-device-left",
        hint="see `nvidia-smi`; most often the machine must be restarted. Then resume the study: finished folds are "
        "kept. Or resume it on another machine or with [resources] gpus = []",
        reason=reason,
    )
