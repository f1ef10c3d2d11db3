"""A machine with GPUs, as far as ``nvidia-smi`` tells: a small script that says what it says on real ones."""

import os
from pathlib import Path

import pytest

FIRST = "GPU-5c5b0f1e-8a3c-4c0e-9a5e-000000000001"
SECOND = "GPU-9d41aa27-0b7e-4a52-8a66-000000000002"
PARTS = ("MIG-41b3359c-e721-56e5-8009-000000000003", "MIG-fbb89e18-7ff1-5ed0-9ebb-000000000004")

PLAIN = f"""\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: {FIRST})
GPU 1: NVIDIA H200 (UUID: {SECOND})
"""

DIVIDED = f"""\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: {FIRST})
  MIG 3g.20gb     Device  0: (UUID: {PARTS[0]})
  MIG 2g.10gb     Device  1: (UUID: {PARTS[1]})
GPU 1: NVIDIA H200 (UUID: {SECOND})
"""

_SCRIPT = """\
#!/bin/sh
# What the real one says, from files that a test can change.
folder=$(dirname "$0")
case "$1" in
-L) cat "$folder/listing" ;;
--query-gpu=*) cat "$folder/memory" ;;
--id=*)
    id=${1#--id=}
    if grep -q "$id" "$folder/listing"; then echo "$id"; else echo "No devices were found"; exit 6; fi ;;
esac
"""


class FakeGpus:
    """Changes what the script says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = folder / "nvidia-smi"
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        self.show(PLAIN)

    def show(self, listing: str) -> None:
        (self.folder / "listing").write_text(listing)
        both = ((FIRST, 40960), (SECOND, 143771))
        (self.folder / "memory").write_text("".join(f"{uuid}, {mib}\n" for uuid, mib in both if uuid in listing))


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    """Put the script first on the path of this process and its children."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        monkeypatch.delenv(name, raising=False)
    return FakeGpus(folder)
