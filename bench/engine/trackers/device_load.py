"""How busy the machine is while a run trains: this process's share of it, and its GPU."""

from __future__ import annotations

import logging

import psutil
import torch

logger = logging.getLogger(__name__)

MIB = 2**20


class DeviceLoad:
    """Measures load and memory since the last look.

    Args:
        device: The device that the run trains on, ``cpu`` or ``cuda``.
    """

    def __init__(self, device: str) -> None:
        self._process, self._on_gpu = psutil.Process(), device == "cuda"
        self._knows_load = self._on_gpu
        # The first look only begins to count.
        self._process.cpu_percent(None)

    def measured(self) -> dict[str, float]:
        """Load in percent (of one core; several make more than 100) and memory in MiB, by name."""
        found = {
            "system/cpu_percent": self._process.cpu_percent(None),
            "system/memory_mib": self._process.memory_info().rss / MIB,
            "system/machine_memory_percent": psutil.virtual_memory().percent,
        }
        if self._on_gpu:
            found["system/gpu_memory_mib"] = torch.cuda.memory_allocated() / MIB
            found["system/gpu_reserved_mib"] = torch.cuda.memory_reserved() / MIB
            found |= self._gpu_load()
        return found

    def _gpu_load(self) -> dict[str, float]:
        """The load of the GPU, which the driver's library tells where its Python package is installed."""
        if not self._knows_load:
            return {}
        try:
            return {"system/gpu_percent": float(torch.cuda.utilization())}
        except (ImportError, RuntimeError, AttributeError) as error:
            logger.debug("the load of the GPU is not known: %s", error)
            self._knows_load = False
            return {}
