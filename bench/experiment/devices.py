"""What of this machine runs use: device, precision, and GPUs shared by whole ones.

No two processes of a run or of a search's workers have the same GPU.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from bench.core.errors import SpecError
from bench.core.kept import once
from bench.core.process_group import adopted_group
from bench.core.progress import waiting
from bench.core.registry import suggestion
from bench.core.text import counted_noun, echoed
from bench.experiment.cpu_precision import PrecisionChoice, choose_cpu_precision
from bench.experiment.spec import DEVICES, PRECISIONS

logger = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
MIG = "MIG-"
"""How the names of instances begin that a GPU was divided into."""

ELSEWHERE_IN_FP32 = (
    "precision fp32: whether bf16 is faster on the CPUs of other machines cannot be told here; "
    "--precision bf16 asks for it"
)

_elsewhere = ContextVar("runs_elsewhere", default=False)


@contextlib.contextmanager
def runs_elsewhere(elsewhere: bool = True) -> Iterator[None]:
    """Plan runs in the block that other machines carry out: what GPUs there are is checked there, and not here.

    Args:
        elsewhere: False for a block like any other.
    """
    token = _elsewhere.set(elsewhere)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def is_planned_elsewhere() -> bool:
    """Whether what is planned now will run on other machines: what is installed here says nothing about them."""
    return _elsewhere.get()


def warn_of_cpu_elsewhere(launcher: str, wanted: str, chosen: Iterable[str]) -> None:
    """Warn where runs of other machines were planned for the CPU only since this machine has no GPU.

    Args:
        launcher: Where the runs are carried out.
        wanted: The device that was asked for.
        chosen: The devices of the runs.
    """
    if launcher != "local" and wanted == "auto" and "cpu" in chosen:
        logger.warning(
            f"this machine has no GPU, so that the runs on {launcher} will be done on the CPU; "
            "--device cuda has them done on GPUs"
        )


def visible_devices(named: str | None, count: int) -> list[str]:
    """The GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` names them.

    Args:
        named: Value of the variable; None where it is not set.
        count: Number of GPUs that CUDA sees in this process.
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
        devices: Names of the GPUs that there are, from :func:`visible_devices`.
        workers: Number of workers of the search.
        processes: Number of processes of a run, each with a GPU of its own.

    Raises:
        SpecError: If there are too few, or a run of several processes shall share MIG instances.
    """
    if processes > 1 and any(device.startswith(MIG) for device in devices):
        raise SpecError(
            f"A run of {processes} processes cannot use MIG instances: CUDA shows a process one of them.",
            "Use --processes 1, and a worker for each instance.",
        )
    if workers * processes > len(devices):
        each = f" with {counted_noun(processes, 'process')} each need"
        who = counted_noun(processes, "process needs", "processes need") if workers == 1 else f"{workers} workers{each}"
        fewer = f"--processes {max(len(devices), 1)}"
        if workers > 1:
            most = len(devices) // processes
            fewer = f"--workers {most}" if most else f"--workers 1 {fewer}"
        raise SpecError(
            f"{who} {counted_noun(workers * processes, 'GPU')}, but there {'is' if len(devices) == 1 else 'are'} "
            f"{len(devices)} "
            f"({echoed(', '.join(devices)) or 'none'}).",
            f"Use {fewer}, or --device cpu.",
        )
    return [list(devices[first * processes : (first + 1) * processes]) for first in range(workers)]


def device_shares_for(
    execution: Mapping[str, Any], workers: int = 1, named: Sequence[str] | None = None
) -> list[list[str]] | None:
    """The GPUs of each worker on this machine; None where the runs are done on the CPU.

    Args:
        execution: Execution fields of the runs.
        workers: Workers that each have such a run at a time.
        named: The GPUs or MIG instances that are taken; None for all that this process sees.

    Raises:
        SpecError: If one that is named is not there, there are too few GPUs, or a run of several processes shall
            share MIG instances.
    """
    if execution["device"] != "cuda" or _elsewhere.get():
        return None
    import torch

    devices = _named_devices(visible_devices(os.environ.get(VISIBLE), torch.cuda.device_count()), named)
    return device_shares(devices, workers, _processes_that_see(devices, int(execution["processes"])))


def _named_devices(seen: list[str], named: Sequence[str] | None) -> list[str]:
    """Those of the GPUs that this process sees that are named; raises SpecError for one that is not there."""
    for name in named or ():
        if name not in seen:
            raise SpecError(
                f"--devices names '{echoed(name)}', but the GPUs here are {echoed(', '.join(seen)) or 'none'}.",
                "Name some of these; --device cpu does without.",
            )
    return seen if named is None else list(named)


def _processes_that_see(devices: Sequence[str], processes: int) -> int:
    """How many processes of a run share the GPUs that this one sees: those of its machine, if another started them."""
    group = adopted_group()
    if group is None:
        return processes
    # Schedulers may show each task a GPU of its own.
    return 1 if group.launcher in ("srun", "mpirun") and len(devices) == 1 else group.local_size


def choose_device(wanted: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes a GPU where torch sees one.

    Raises:
        SpecError: If a GPU is asked for and there is none, and the run is not one of another machine.
    """
    if wanted not in DEVICES:
        raise SpecError(f"Unknown device '{echoed(wanted)}': {suggestion(wanted, DEVICES)}")
    if wanted == "cpu" or (wanted == "cuda" and _elsewhere.get()):
        return wanted
    # The first import of a command: seconds, and on a cold disk half a minute.
    with waiting("loading PyTorch"):
        import torch

        has_gpu = torch.cuda.is_available()
    if has_gpu:
        return "cuda"
    if wanted == "cuda":
        raise SpecError("The device cuda was asked for, but torch sees no GPU.", "Use --device cpu or auto.")
    return "cpu"


def choose_precision(wanted: str, device: str, cache: Path) -> str:
    """The precision of a run, as :func:`precision_choice` gives and explains it; the log says why.

    Raises:
        SpecError: As :func:`precision_choice` does.
    """
    choice = precision_choice(wanted, device, cache)
    if choice.reason:
        # Of the many runs of a matrix it is said once.
        once(("precision", choice.reason), lambda: logger.info(choice.reason))
    return choice.precision


def precision_choice(wanted: str, device: str, cache: Path) -> PrecisionChoice:
    """What is computed in on a device, and why.

    ``auto`` is bf16 on a GPU that has it, otherwise fp16 (the authors' choice). On a CPU it is bf16 where a measurement
    of this machine says that it pays, otherwise fp32.

    Args:
        wanted: auto, fp32, bf16 or fp16.
        device: cpu or cuda.
        cache: The cache folder, where the measurement of a CPU is kept.

    Raises:
        SpecError: For fp16 on a CPU, which would silently be fp32, and for bf16 on a GPU that only emulates it.
    """
    check_precision(wanted)
    if device == "cuda":
        return PrecisionChoice(_gpu_precision(wanted))
    if wanted == "fp16":
        raise SpecError("The precision fp16 has no arithmetic on a CPU.", "Use fp32 or bf16.")
    if wanted != "auto":
        return PrecisionChoice(wanted)
    if _elsewhere.get():
        return PrecisionChoice("fp32", ELSEWHERE_IN_FP32)
    return choose_cpu_precision(cache)


def check_precision(wanted: str) -> None:
    """Check that a precision is one that can be asked for.

    Raises:
        SpecError: If it is none.
    """
    if wanted not in PRECISIONS:
        raise SpecError(f"Unknown precision '{echoed(wanted)}': {suggestion(wanted, PRECISIONS)}")


def _gpu_precision(wanted: str) -> str:
    if wanted in ("fp32", "fp16"):
        return wanted
    import torch

    if _elsewhere.get() and not torch.cuda.is_available():
        if wanted == "bf16":
            return "bf16"
        raise SpecError(
            "Which precision suits the GPUs of other machines cannot be told here, where there is none.",
            "Give --precision bf16 (A100 and later), fp16 or fp32.",
        )
    # Emulated bf16 is slower than fp32 and no more exact.
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    if wanted == "bf16":
        raise SpecError("This GPU has no arithmetic in bf16, and only emulates it.", "Use --precision fp16 or fp32.")
    return "fp16"
