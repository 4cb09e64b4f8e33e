"""What the processes of one run share: the group, exact gathering with gradients, statistics of the global batch.

Every process computes the same global loss from gathered tensors. With ``gather`` as the exact adjoint (its backward
pass sums over processes) and the mean over processes that DistributedDataParallel takes, the gradient equals that of
one process with the global batch: sum over N processes of the same loss, divided by N.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

STORE_VARIABLE = "BENCH_PROCESS_STORE"
"""Names the file through which the processes of a run meet. Only a process that bench started for a group has it: what
other launchers say of groups (``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``) is believed only beside it."""


def join_group(device: str) -> tuple[int, int]:
    """Join the process group of the run that bench started this process for.

    Args:
        device: ``cpu`` (gloo) or ``cuda`` (nccl).

    Returns:
        This process's rank and the number of processes; (0, 1) where bench started no group.
    """
    store = os.environ.get(STORE_VARIABLE)
    if store is None:
        return 0, 1
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group(
        backend="nccl" if device == "cuda" else "gloo", init_method=f"file://{store}", rank=rank, world_size=size
    )
    return rank, size


def leave_group() -> None:
    """Leave the process group, if there is one.

    All processes leave it together: one that has failed must end without this, for the others may never come.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


def own_group() -> dict[str, int]:
    """This process's group as torch's launchers describe one, on one machine; nothing where it has none."""
    if not dist.is_initialized():
        return {}
    rank, size = dist.get_rank(), dist.get_world_size()
    return {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}


class _Gather(torch.autograd.Function):
    """All rows of the global batch; the backward pass sums the gradients of all processes and keeps the own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        ctx.rows = rows.shape[0]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]


def gather_rows(rows: Tensor) -> Tensor:
    """Gather the global batch with its exact gradient.

    Args:
        rows: (local, …), this process's rows; every process holds equally many.

    Returns:
        (global, …), in the order of the processes; ``rows`` itself in a single process.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum a tensor over the processes (no gradient)."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process; every process gets the same answer."""
    if not dist.is_initialized():
        return flag
    votes = torch.tensor([float(flag)], device=device)
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return bool(votes.item())


class GlobalBatchNorm(nn.Module):
    """Batch normalisation with the statistics of the global batch, for processes on CPUs.

    torch's SyncBatchNorm refuses CPU tensors; this one gathers sums instead. It takes over the parameters and buffers
    of the layer it stands for, under the same names. Running statistics take the unbiased variance of the global
    batch, as one process would.

    Args:
        norm: The layer to stand for; what timm's BatchNormAct2d does after normalising is kept.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps, self.momentum = norm.eps, 0.1 if norm.momentum is None else norm.momentum
        self.weight, self.bias = norm.weight, norm.bias
        self.register_buffer("running_mean", norm.running_mean)
        self.register_buffer("running_var", norm.running_var)
        self.register_buffer("num_batches_tracked", norm.num_batches_tracked)
        self.after = nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x: (local, channels, height, width), with the global batch's statistics while training."""
        mean, variance = self._batch_statistics(x) if self.training else (self.running_mean, self.running_var)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normalised = (x.to(mean.dtype) - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]
        result: Tensor = self.after(normalised.to(x.dtype))
        return result

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        axes = (0, 2, 3)
        # The global mean first and the squares of the deviations after it: E[x²] − E[x]² loses digits.
        # Sums are float64, as torch accumulates them on a CPU.
        sums = gather_rows(x.sum(axes, dtype=torch.float64)[None])
        count = x.numel() // x.shape[1] * sums.shape[0]
        mean = (sums.sum(0) / count).to(self.running_mean.dtype)
        deviation = x.to(mean.dtype) - mean[:, None, None]
        squares = gather_rows(deviation.square().sum(axes, dtype=torch.float64)[None])
        variance = (squares.sum(0) / count).to(mean.dtype)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
        return mean, variance


def share_batch_statistics(model: nn.Module, device: str) -> nn.Module:
    """Make every 2-d batch normalisation of a model use the statistics of the global batch.

    Args:
        model: The model, before it is wrapped; parameters, buffers and their names are kept.
        device: ``cuda`` takes torch's SyncBatchNorm, ``cpu`` :class:`GlobalBatchNorm`.

    Returns:
        The model with its normalisation layers replaced.
    """
    if device == "cuda":
        from timm.layers.norm_act import convert_sync_batchnorm

        converted: nn.Module = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(model, name, GlobalBatchNorm(child))
        else:
            share_batch_statistics(child, device)
    return model
