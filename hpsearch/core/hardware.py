"""What a machine has, as far as the system tells without help."""

import os
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path


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
