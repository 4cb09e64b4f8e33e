"""How torch computes in this process: TF32, deterministic operations, and which kernel attention takes.

All of it is set for each run anew: it changes with variables and with what ran in this process before, and with it the
numbers on a GPU.
"""

from __future__ import annotations

import logging
import os

import torch

from bench.core.errors import RunError
from bench.experiment.spec import RunSpec

logger = logging.getLogger(__name__)

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""The variable by which cuBLAS is told to use workspaces of its own for each stream; torch asks for it."""

FIXED_WORKSPACE = ":4096:8"
"""Eight of 4 MiB: the larger of the two values with which cuBLAS gives the same numbers each time."""

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
HEAD = 64
"""Width of an attention head of AST and DeiT."""


def set_arithmetic(spec: RunSpec) -> None:
    """Set what of torch's arithmetic a spec says.

    Args:
        spec: The spec of the run: TF32 and whether operations are deterministic.
    """
    torch.backends.cuda.matmul.allow_tf32 = spec.tf32 == "all"
    torch.backends.cudnn.allow_tf32 = spec.tf32 != "none"
    deterministic = spec.distribution.deterministic
    if deterministic:
        # cuBLAS reads it when it first computes; in a process that has computed on a GPU before, it must have been set.
        os.environ.setdefault(WORKSPACE, FIXED_WORKSPACE)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = False


def is_not_deterministic(error: BaseException) -> bool:
    """Whether torch refuses an operation because it has no deterministic form of it."""
    return isinstance(error, RuntimeError) and "torch.use_deterministic_algorithms(True)" in str(error)


def no_deterministic_form(error: BaseException) -> RunError:
    """The error for an operation that deterministic runs cannot have."""
    return RunError(
        f"An operation of the run has no deterministic form here: {str(error).splitlines()[0]}",
        "Leave --set deterministic=false, or use another model or device.",
    )


def flash_attention_fits(device: torch.device, precision: str, tokens: int = 950) -> bool:
    """Whether torch can compute attention with its flash kernel, which never holds all weights of a head at once.

    Args:
        device: The device of the run.
        precision: ``fp32``, ``bf16`` or ``fp16``; there is no such kernel for fp32.
        tokens: Tokens of a row.
    """
    if device.type != "cuda" or precision not in HALF:
        return False
    from torch.backends.cuda import SDPAParams, can_use_flash_attention, flash_sdp_enabled

    q = torch.empty(1, 1, tokens, HEAD, dtype=HALF[precision], device=device, requires_grad=True)
    enabled: bool = flash_sdp_enabled()  # type: ignore[no-untyped-call]
    return enabled and can_use_flash_attention(SDPAParams(q, q, q, None, 0.0, False, False))


def log_attention(device: torch.device, precision: str) -> None:
    """Say in the log whether a GPU has flash attention; an old one has none, and computes all the same."""
    if device.type == "cuda" and precision in HALF:
        word = "has" if flash_attention_fits(device, precision) else "has no"
        logger.debug("%s %s flash attention in %s", torch.cuda.get_device_name(device), word, precision)
