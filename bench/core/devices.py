"""The GPUs of this machine, shared by whole ones: no two processes of a run or of a search's workers have the same."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.errors import SpecError
from bench.core.text import echoed

VISIBLE = "CUDA_VISIBLE_DEVICES"
MIG = "MIG-"
"""How the names of instances begin that a GPU was divided into."""


def visible_devices(named: str | None, count: int) -> list[str]:
    """The GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` names them.

    Args:
        named: The variable; None where it is not set.
        count: How many GPUs CUDA sees in this process.
    """
    if named is None:
        return [str(number) for number in range(count)]
    names = list(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    if names and names[0].startswith(MIG):
        # A process is shown one instance alone, however many are named.
        return [name for name in names if name.startswith(MIG)] if count else []
    # CUDA ignores what follows a name that it does not know.
    return names[:count]


def device_shares(devices: Sequence[str], workers: int, processes: int) -> list[list[str]]:
    """The GPUs of each worker, none of them in two hands.

    Args:
        devices: What there is, from :func:`visible_devices`.
        workers: Workers of the search.
        processes: Processes of a run, each with a GPU of its own.

    Raises:
        SpecError: If there are too few, or a run of several processes shall share MIG instances.
    """
    if processes > 1 and any(device.startswith(MIG) for device in devices):
        raise SpecError(
            f"A run of {processes} processes cannot use MIG instances: CUDA shows a process one of them.",
            "Use --processes 1, and a worker for each instance.",
        )
    if workers * processes > len(devices):
        who = f"{processes} process(es)" if workers == 1 else f"{workers} workers with {processes} processes each"
        fewer = f"--processes {max(len(devices), 1)}"
        if workers > 1:
            most = len(devices) // processes
            fewer = f"--workers {most}" if most else f"--workers 1 {fewer}"
        raise SpecError(
            f"{who} need {workers * processes} GPUs, but there are {len(devices)} "
            f"({echoed(', '.join(devices)) or 'none'}).",
            f"Use {fewer}, or --device cpu.",
        )
    return [list(devices[first * processes : (first + 1) * processes]) for first in range(workers)]


def shares_of(execution: Mapping[str, Any], workers: int = 1) -> list[list[str]] | None:
    """The GPUs of each worker on this machine; None where the runs are done on the CPU.

    Args:
        execution: Execution fields of the runs.
        workers: Workers that each have such a run at a time.

    Raises:
        SpecError: As :func:`device_shares`.
    """
    if execution["device"] != "cuda":
        return None
    import torch

    devices = visible_devices(os.environ.get(VISIBLE), torch.cuda.device_count())
    return device_shares(devices, workers, int(execution["processes"]))
