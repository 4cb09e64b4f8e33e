"""How fast this machine multiplies large matrices: the limit that training steps are measured against."""

from __future__ import annotations

import torch

from bench.core.timing import Clock, Timing, clock_of_gpu, cpu_seconds, time_in_turn

SIZES = {"cpu": 2048, "cuda": 8192}
"""Rows and columns: large enough that memory does not matter, small enough for a fraction of a second."""

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def matmul_peak(
    precision: str, device: str = "cpu", *, passes: int = 3, clock: Clock | None = None, size: int | None = None
) -> float:
    """Measure the operations per second of a large matrix product, the best of a few passes.

    A multiplication and an addition count as two. On a CPU it is a second of processor time that counts by default, so
    that other programs do not: with several threads it is the rate of one of them.

    Args:
        precision: ``fp32``, ``bf16`` or ``fp16``; on a GPU fp32 is without TF32 where torch is set so.
        device: ``cpu`` or ``cuda``.
        passes: Timed products.
        clock: What is read before and after.
        size: Rows and columns; :data:`SIZES` by default.
    """
    size = size or SIZES[device]
    # Random numbers: on a GPU zeros need less power, and multiply faster than anything real.
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator).to(device, PRECISIONS[precision]) for _ in range(2))
    result = torch.empty_like(a)

    def multiply() -> None:
        torch.mm(a, b, out=result)

    clock = clock or (clock_of_gpu if device == "cuda" else cpu_seconds)
    timing: Timing = time_in_turn({"": multiply}, passes, clock)[""]
    return 2.0 * size**3 / min(timing.seconds)
