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
        self._process: psutil.Process | None = None
        self._on_gpu = self._knows_load = device == "cuda"
        # The first look only begins to count.
        self.measured()

    def measured(self) -> dict[str, float]:
        """Load in percent (of one core; several make more than 100) and memory in MiB, by name.

        Nothing where the system does not say, as in some containers: a run does not end for that.
        """
        try:
            return self._looked_at()
        except (psutil.Error, OSError, RuntimeError) as error:
            logger.debug("the load of the machine is not known: %s", error)
            return {}

    def _looked_at(self) -> dict[str, float]:
        if self._process is None:
            self._process = psutil.Process()
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
