"""The GPUs of this machine, shared by whole ones: no two processes of a run or of a search's workers have the same."""

from __future__ import annotations

import os

from bench.errors import SpecError


def visible_gpus() -> list[str]:
    """The GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    # The driver takes the names up to the first one that it does not know.
    return named[:count] if named else [str(number) for number in range(count)]


def check_enough_gpus(processes: int, gpus: int, workers: int = 1) -> None:
    """Check that every process can have a GPU of its own.

    Args:
        processes: Processes of a run.
        gpus: GPUs that may be used.
        workers: Workers that each have such a run at a time.

    Raises:
        SpecError: If there are fewer GPUs than processes of all workers.
    """
    if workers * processes <= gpus:
        return
    shared = f"{processes} process(es)" if workers == 1 else f"{workers} workers with {processes} process(es) each"
    fewer = f"--workers {gpus // processes}" if gpus // processes else f"--processes {max(1, gpus // workers)}"
    raise SpecError(
        f"{shared} need {workers * processes} GPUs, but {gpus} may be used.", f"Use {fewer}, or --device cpu."
    )


def devices_for(worker: int, workers: int, processes: int, gpus: list[str]) -> list[str]:
    """The GPUs of one worker.

    Args:
        worker: Its number, from 1.
        workers: How many workers there are.
        processes: Processes of each worker's runs.
        gpus: The GPUs that may be used, from :func:`visible_gpus`.

    Returns:
        As many GPUs as processes, none of them another worker's.

    Raises:
        SpecError: If there are fewer GPUs than processes of all workers.
    """
    check_enough_gpus(processes, len(gpus), workers)
    first = (worker - 1) * processes
    return gpus[first : first + processes]
