"""Which GPUs this machine has, without importing a framework, and how slots share the machine."""

import os
import subprocess

from hpsearch.errors import SpecError
from hpsearch.spec import ResourcesSection
from hpsearch.training.environment import WorkerSettings


def list_gpus() -> list[str]:
    """Names for ``CUDA_VISIBLE_DEVICES``, one per NVIDIA GPU that this process may use; empty on CPU machines."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listing.splitlines()))]


def plan_slots(
    resources: ResourcesSection, *, backend: str, cache: str | None, predictions: str = ""
) -> list[WorkerSettings]:
    """One entry per slot: a slot per GPU, or on a CPU machine one slot with all cores.

    On a CPU one worker uses all cores: XLA and TensorFlow spread a bundle's lanes over them, while several workers
    would each pay for imports, data and compilation.

    Raises:
        SpecError: A GPU is asked for that is not there.
    """
    found = list_gpus()
    if resources.gpus == "auto":
        gpus = found
    else:
        gpus = [str(number) for number in resources.gpus]
        if missing := [name for name in gpus if name not in found]:
            raise SpecError(
                f"resources.gpus: there is no GPU {missing[0]}; this machine has {', '.join(found) or 'none'}",
                code="no-such-gpu",
                hint='use gpus = "auto", or [] for the CPU',
                gpu=missing[0],
                found=tuple(found),
            )
    count = resources.workers if isinstance(resources.workers, int) else max(len(gpus), 1)
    threads = resources.threads if isinstance(resources.threads, int) else None
    if threads is None and count > 1:
        threads = max(1, (os.cpu_count() or 1) // count)
    return [
        WorkerSettings(backend, gpus[i % len(gpus)] if gpus else None, threads, cache, predictions)
        for i in range(count)
    ]
