"""What a machine has, as far as the system tells without help."""

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
"""Where a container sees the limits of its control group."""


def processor() -> str:
    """The processor's name, such as ``Intel(R) Xeon(R) Platinum 8488C``; else its architecture."""
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1].strip()
    if platform.system() == "Darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        with suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
            if said:
                return said
    return platform.processor() or platform.machine()


def memory_bytes() -> int | None:
    """Bytes of memory; None if the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def usable_cores() -> int:
    """Cores that this process may use: all, less what its affinity or its control group (a container's) withholds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = group_cores()
    return cores if limit is None else max(1, min(cores, int(limit)))


def group_cores(root: Path = _GROUPS) -> float | None:
    """Cores' worth of time that the control group allows (Linux); None without a limit."""
    for quota, period in _limits(root, "cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"):
        if quota > 0 and period > 0:
            return quota / period
    return None


def group_memory_bytes(root: Path = _GROUPS) -> int | None:
    """Bytes of memory that the control group allows (Linux); None without a limit."""
    whole = memory_bytes()
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            found = int((root / name).read_text(encoding="ascii"))
            return None if whole is not None and found >= whole else found
    return None


def _limits(root: Path, both: str, quota: str, period: str) -> Iterator[tuple[int, int]]:
    """Quota and period, from one file (version 2) or two (version 1)."""
    with suppress(OSError, ValueError):
        first, second = (root / both).read_text(encoding="ascii").split()
        yield int(first), int(second)
    with suppress(OSError, ValueError):
        yield tuple(int((root / name).read_text(encoding="ascii")) for name in (quota, period))  # type: ignore[misc]
