"""Operations of a step, and the share of the machine's peak that a timing makes of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bench.core.timing import Timing
from benchmarks.runner import Setting

if TYPE_CHECKING:
    from torch import Tensor


@lru_cache(maxsize=8)
def peak(precision: str, setting: Setting) -> float:
    """Operations a second of large matrix products on this machine, measured once."""
    from bench.engine.matmul_peak import matmul_peak

    return matmul_peak(precision, setting.device, clock=setting.clock())


def peak_facts(flops: float, precision: str, setting: Setting, timing: Timing) -> dict[str, Any]:
    """What a timing makes of the machine.

    Args:
        flops: Operations of a call of the plain reference: what is saved by computing less counts as speed.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        setting: Device, threads and clock.
        timing: Seconds of a call.
    """
    speed = flops / timing.median
    return {"GFLOP/s": speed / 1e9, "of the peak": speed / peak(precision, setting)}


def count_flops(loss: Callable[[], Tensor], *, backward: bool) -> float:
    """Count the operations of a forward pass, and of its backward pass; on meta tensors nothing is computed.

    Args:
        loss: Computes a scalar.
        backward: Whether to go back too.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        found = loss()
        if backward:
            found.backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops())
