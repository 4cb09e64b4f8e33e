"""Checks of what computes: devices, bf16, TF32, and whether two processes can share a run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from bench.api.checks import Check, Places
from bench.core.machine import cpu_flags
from bench.core.text import counted_noun
from bench.engine.hardware import hardware
from bench.experiment.cpu_precision import INSTRUCTIONS, VARIABLE
from bench.launch.smoke import try_group

DRIVER = Path("/proc/driver/nvidia/version")
LEAST_MEMORY_GIB = 4.0
"""What AST with a batch of 8 takes on a CPU, roughly."""


def check_devices(places: Places) -> Check:
    """Compute something on each GPU; without one, see whether there should be one."""
    import torch

    machine = hardware()
    words = f"{machine['cpu']}, {counted_noun(machine['cores'], 'core')}, {machine['memory_gib']:.1f} GiB"
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            torch.ones(8, 8, device=f"cuda:{number}").matmul(torch.ones(8, 8, device=f"cuda:{number}")).sum().item()
        return Check("devices", "ok", f"{words}; {_gpu_words(torch)}, each computes")
    if DRIVER.is_file():
        built = "has no CUDA" if torch.version.cuda is None else f"is built for CUDA {torch.version.cuda}"
        return Check(
            "devices",
            "warning",
            f"{words}; there is an NVIDIA driver, but torch, which {built}, sees no GPU",
            "Install the torch build for the driver's CUDA version, and see that CUDA_VISIBLE_DEVICES names a GPU.",
        )
    if machine["memory_gib"] < LEAST_MEMORY_GIB:
        return Check("devices", "warning", f"{words}; no GPU", "Use --set micro_batch=2, or a smaller model.")
    return Check("devices", "ok", f"{words}; no GPU")


def _gpu_words(torch: Any) -> str:
    told = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return ", ".join(f"{one.name} ({one.total_memory / 2**30:.0f} GiB)" for one in told)


def check_bf16(places: Places) -> Check:
    """See whether the processor or the GPU computes in bf16 itself: what is emulated is slower than fp32."""
    import torch

    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Check("bf16", "ok", "the GPU has it" if native else "the GPU would emulate it: auto takes fp16")
    there = [name for name in INSTRUCTIONS if name in cpu_flags()]
    if there:
        return Check("bf16", "ok", f"the CPU has it ({', '.join(there)})")
    if os.environ.get(VARIABLE) == "bf16":
        return Check("bf16", "warning", f"the CPU would emulate it, but {VARIABLE} asks for it", f"Unset {VARIABLE}.")
    return Check("bf16", "ok", "the CPU would emulate it: auto takes fp32")


def check_tf32(places: Places) -> Check:
    """Say what torch rounds to TF32 in this process, and what a run sets."""
    import torch

    if not torch.cuda.is_available():
        return Check("tf32", "ok", "without a GPU nothing is rounded to it")
    parts = {"products": torch.backends.cuda.matmul.allow_tf32, "convolutions": torch.backends.cudnn.allow_tf32}
    on = [name for name, is_on in parts.items() if is_on]
    return Check("tf32", "ok", f"torch rounds {' and '.join(on) or 'nothing'} to it; each run sets it by --set tf32=…")


def check_processes(places: Places) -> Check:
    """Have two processes meet and add up numbers."""
    began = time.monotonic()
    try_group()
    return Check("processes", "ok", f"two shared a sum over gloo, in {time.monotonic() - began:.1f} s with their start")
