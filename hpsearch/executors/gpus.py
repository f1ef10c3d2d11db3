"""The NVIDIA GPUs of this machine, as ``nvidia-smi`` lists them. Imports no framework."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ASK_S = 20
"""How long ``nvidia-smi`` may take. A machine whose GPUs sleep needs some seconds."""

_GPU = re.compile(r"^GPU (\d+): (.+?)(?: \(UUID: (GPU-[^)]+)\))?\s*$")
_MIG = re.compile(r"^\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)")
_GIGABYTES = re.compile(r"\.(\d+)gb")
_NAMED = re.compile(r"\d+|(GPU|MIG)-.+")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, or a MIG device: a part of one that acts as a GPU of its own.

    Attributes:
        name: For ``CUDA_VISIBLE_DEVICES``. A UUID if it is known: it stays when other GPUs come or go, and CUDA may
            count GPUs otherwise than ``nvidia-smi`` does.
        number: Of the GPU that it is, or is a part of, as ``nvidia-smi`` counts; empty if unknown.
        model: Such as ``NVIDIA H200``, or ``NVIDIA A100 MIG 3g.20gb``; empty if unknown.
        memory_bytes: Its memory; None if unknown. Of a MIG device what its profile's name says.
        whole: UUID of the GPU that a MIG device is a part of; of a GPU its own.
    """

    name: str
    number: str = ""
    model: str = ""
    memory_bytes: int | None = None
    whole: str = ""

    def __str__(self) -> str:
        return self.name if not self.number or self.name.startswith("MIG-") else self.number

    def answers_to(self, name: str) -> bool:
        """Whether `name` means this one: its number, or the beginning of its UUID or of its GPU's."""
        if name.isdecimal():
            return name == self.number
        return self.name.startswith(name) or self.whole.startswith(name)


def list_gpus() -> list[Gpu]:
    """The GPUs that this process may use, in the order of ``CUDA_VISIBLE_DEVICES``, else of ``nvidia-smi``.

    A GPU that is divided (MIG) is listed as its MIG devices. Empty on machines without NVIDIA GPUs.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not _NAMED.match(visible.strip()):
        return []  # such as "" or "-1"
    all_of_them = gpus_in(_ask("-L") or "", _memory())
    if visible is None:
        return all_of_them
    return _visible(visible, all_of_them)


def _visible(names: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    """What ``CUDA_VISIBLE_DEVICES`` lets through. As in CUDA, all from the first on that is none counts as hidden."""
    # CUDA's own count can differ from nvidia-smi's. Workers get PCI_BUS_ID, with which they agree, unless the user
    # has said otherwise: then a number stands for itself.
    counted = os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID") == "PCI_BUS_ID"
    found: list[Gpu] = []
    for name in (one.strip() for one in names.split(",")):
        if not _NAMED.fullmatch(name):
            break
        known = bool(gpus) and (counted or not name.isdecimal())
        meant = find(name, gpus) if known else [Gpu(name, name if name.isdecimal() else "")]
        if not meant:
            break
        found += [one for one in meant if one not in found]
    return found


def find(name: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    """The GPU that a number or the beginning of a UUID means; of a divided one its parts.

    Returns:
        Nothing if there is none, or if the beginning fits several GPUs.
    """
    found = [one for one in gpus if one.answers_to(name)]
    exact = [one for one in found if name == one.name]
    one_device = name.startswith("MIG-") and len(found) > 1
    several = len({one.whole or one.name for one in found}) > 1
    return exact or ([] if one_device or several else found)


def gpus_in(listing: str, memory: Mapping[str, int]) -> list[Gpu]:
    """The GPUs in what ``nvidia-smi -L`` says. MIG devices are indented under their GPU, and stand in its place.

    Args:
        listing: What it says.
        memory: UUID → bytes.
    """
    found: list[Gpu] = []
    whole: Gpu | None = None
    for line in listing.splitlines():
        if at := _GPU.match(line):
            number, model, uuid = at[1], at[2], at[3] or ""
            whole = Gpu(uuid or number, number, model, memory.get(uuid), uuid)
            found.append(whole)
        elif whole is not None and (at := _MIG.match(line)):
            profile, uuid = at[1], at[3]
            if found and found[-1] is whole:
                found.pop()
            size = _GIGABYTES.search(profile)
            amount = int(size[1]) << 30 if size else None
            found.append(Gpu(uuid, whole.number, f"{whole.model} MIG {profile}", amount, whole.whole))
    return found


def is_gone(name: str) -> bool:
    """Whether a GPU that was there has left this machine, as one that "has fallen off the bus" does.

    Args:
        name: As in :attr:`Gpu.name`.

    Returns:
        False, too, if ``nvidia-smi`` is absent or does not answer in time: nothing is known then.
    """
    if name.startswith("MIG-"):
        said = _ask("-L")
        return said is not None and name not in said
    said = _ask(f"--id={name}", "--query-gpu=uuid", "--format=csv,noheader")
    return said is not None and not said.strip().startswith(name if name.startswith("GPU-") else "GPU-")


def _memory() -> dict[str, int]:
    found = {}
    for line in (_ask("--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits") or "").splitlines():
        uuid, _, mebibytes = (part.strip() for part in line.partition(","))
        if mebibytes.isdecimal():
            found[uuid] = int(mebibytes) << 20
    return found


def _ask(*arguments: str) -> str | None:
    """What ``nvidia-smi`` says, even if it ends with an error: it does when one of several GPUs is lost.

    Returns:
        None if it is not there, or does not answer in time.
    """
    try:
        done = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
