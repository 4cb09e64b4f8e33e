"""The GPUs of this machine and their free memory, as NVIDIA's driver tells them: no CUDA context is made for it.

``nvidia-smi`` comes with every driver. It numbers GPUs by their place on the bus, as CUDA does where
``CUDA_DEVICE_ORDER`` is ``PCI_BUS_ID``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

PROGRAM = "nvidia-smi"
SECONDS = 30.0
"""An answer takes half a second, and some more where the driver is loaded first."""

_GPU = re.compile(r"GPU (?P<index>\d+): .*\(UUID: (?P<uuid>GPU-[^)]+)\)")
_INSTANCE = re.compile(r"\s+MIG .*\(UUID: (?P<uuid>MIG-[^)]+)\)")


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        index: Its number, as a word.
        uuid: Its name that never changes.
        instances: Names of the MIG instances that it is divided into; none for a whole one.
    """

    index: str
    uuid: str
    instances: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What ``CUDA_VISIBLE_DEVICES`` may call it, or its instances."""
        return self.instances or (self.index, self.uuid)

    def is_called(self, name: str) -> bool:
        """Whether a name means this GPU, or one of its instances; a unique beginning of a UUID will do."""
        return name == self.index or any(it.startswith(name) for it in (self.uuid, *self.instances) if "-" in name)


def gpus() -> list[Gpu] | None:
    """The GPUs of this machine; None where nothing can tell."""
    said = _said("-L")
    if said is None:
        return None
    found: list[Gpu] = []
    for line in said.splitlines():
        if gpu := _GPU.match(line):
            found.append(Gpu(gpu["index"], gpu["uuid"]))
        elif instance := _INSTANCE.match(line):
            last = found.pop()
            found.append(Gpu(last.index, last.uuid, (*last.instances, instance["uuid"])))
    return found


def free_memory() -> dict[str, int]:
    """Bytes that are free on each GPU of this machine at this moment, by its number and by its UUID."""
    said = _said("--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits")
    found = {}
    for line in (said or "").splitlines():
        index, uuid, mebibytes = (word.strip() for word in line.split(","))
        # A driver that cannot tell says [N/A].
        if mebibytes.isdigit():
            found[index] = found[uuid] = int(mebibytes) << 20
    return found


def _said(*arguments: str) -> str | None:
    """What the driver's program answers; None where there is none, or it has no driver to ask."""
    if shutil.which(PROGRAM) is None:
        return None
    try:
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
