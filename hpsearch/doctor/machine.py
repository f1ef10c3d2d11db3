"""What this machine has: GPUs, cores, memory and disk."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hpsearch.core import hardware
from hpsearch.doctor.findings import Finding, Health
from hpsearch.executors.gpus import Gpu, list_gpus

_LITTLE_MEMORY = 2 << 30
"""A worker with Keras, JAX and TensorFlow takes about 1 GiB, before data and models."""

_LITTLE_DISK = 1 << 30


def devices() -> Iterator[Finding]:
    """The GPUs that this process may use, all in one line and then one by one; and Keras' backend."""
    gpus = list_gpus()
    hidden = " (CUDA_VISIBLE_DEVICES)" * ("CUDA_VISIBLE_DEVICES" in os.environ)
    detail = (", ".join(map(str, gpus)) or "none") + hidden
    yield Finding("GPUs", Health.OK if gpus else Health.ABSENT, detail, values={"count": len(gpus)})
    for gpu in gpus:
        yield _gpu(gpu)
    chosen = os.environ.get("KERAS_BACKEND")
    said = f"{chosen} (KERAS_BACKEND)" if chosen else "KERAS_BACKEND is not set"
    yield Finding("Keras backend", detail=f"{said}; workers follow [resources] backend", values={"environment": chosen})


def _gpu(gpu: Gpu) -> Finding:
    said = [gpu.model or "model unknown", amount(gpu.memory_bytes) or "memory unknown"]
    if str(gpu) != gpu.name:
        said.append(gpu.name)
    values = {"name": gpu.name, "number": gpu.number, "model": gpu.model, "memory_bytes": gpu.memory_bytes}
    return Finding(f"GPU {gpu}", detail=", ".join(said), values=values)


def cores() -> Finding:
    """The cores that this process may use, and who withholds the others."""
    there, usable, group = os.cpu_count() or 1, hardware.usable_cores(), hardware.group_cores()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    limits = []
    if allowed < there:
        limits.append(f"the affinity allows {allowed} of {there}")
    if group is not None:
        limits.append(f"the control group allows the time of {group:g}")
    detail = "; ".join([f"{usable} of {there}: {hardware.processor()}", *limits])
    values = {"usable": usable, "machine": there, "affinity": allowed, "control_group": group}
    return Finding("cores", detail=detail, values=values)


def memory() -> Finding:
    """Memory that is there, and that is free now."""
    import psutil

    found = psutil.virtual_memory()
    limit = hardware.group_memory_bytes()
    values = {"total_bytes": found.total, "available_bytes": found.available, "control_group_bytes": limit}
    detail = f"{amount(found.available)} of {amount(found.total)} available"
    if limit is not None:
        detail += f"; the control group allows {amount(limit)}"
    if min(found.available, limit or found.available) >= _LITTLE_MEMORY:
        return Finding("memory", detail=detail, values=values)
    reason = f"a worker takes about 1 GiB before data and models, so there is little left ({amount(_LITTLE_MEMORY)})"
    return Finding("memory", Health.REDUCED, detail, reason, hint="close other programs", values=values)


def workspace(root: Path) -> Finding:
    """Whether studies can be written in a folder, and how much room it has. Leaves nothing behind.

    Args:
        root: The folder; if it is not there, the first one above it that is.
    """
    name, root = "workspace", root.resolve()
    here = next(one for one in (root, *root.parents) if one.exists())
    values: dict[str, object] = {"folder": str(root), "exists": here == root}
    try:
        free = shutil.disk_usage(here).free
        values["free_bytes"] = free
        with tempfile.NamedTemporaryFile(dir=here, prefix=".hpsearch-doctor-") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        why = f"nothing can be written in {here}: {error.strerror or error}"
        hint = "make the folder writable, free some disk space, or name another ledger in [tracking]"
        return Finding(name, Health.BROKEN, str(root), why, "doctor.not-writable", hint, {**values, "writable": False})
    values["writable"] = True
    made = "" if here == root else "; `hpsearch run` creates it"
    detail = f"{root}: {amount(free)} free{made}"
    if free < _LITTLE_DISK:
        reason = f"a study needs some hundred MB for models and compiled programs; {amount(free)} are free"
        return Finding(name, Health.REDUCED, detail, reason, hint="free some disk space", values=values)
    return Finding(name, detail=detail, values=values)


def amount(count: int | None) -> str:
    """Bytes in words; empty if unknown."""
    if count is None:
        return ""
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"
