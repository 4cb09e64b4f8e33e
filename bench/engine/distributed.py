"""What the processes of one run share: the group, exact gathering with gradients, statistics of the global batch.

Every process computes the same global loss from gathered tensors. With ``gather`` as the exact adjoint (its backward
pass sums over processes) and the mean over processes that DistributedDataParallel takes, the gradient equals that of
one process with the global batch: sum over N processes of the same loss, divided by N.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import TCPStore
from torch.distributed.distributed_c10d import PrefixStore, Store

from baselines.timm.stochastic_norm import BATCH_NORM, StochNorm
from bench.core.errors import SpecError
from methods.views import ROWS_EVERYWHERE

STORE_VARIABLE = "BENCH_PROCESS_STORE"
"""Where the processes of a run meet: a file, or ``tcp://HOST:PORT/NAME`` of a store. Only a process that bench started
for a rank has it: what is said of groups otherwise (``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``) is believed beside it.
"""

TCP = "tcp://"
LOCAL = "LOCAL_WORLD_SIZE"


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
    backend = "nccl" if device == "cuda" else "gloo"
    if store.startswith(TCP):
        dist.init_process_group(backend, store=_store_at(store), rank=rank, world_size=size)
    else:
        # On one machine through a file: a store behind a port would listen on all interfaces of it.
        dist.init_process_group(backend, init_method=f"file://{store}", rank=rank, world_size=size)
    return rank, size


def _store_at(address: str) -> Store:
    """A part of a store that answers somewhere, by its address ``tcp://HOST:PORT/NAME``."""
    place = urlsplit(address)
    assert place.hostname is not None
    assert place.port is not None
    store = TCPStore(place.hostname, place.port, is_master=False, wait_for_workers=False)
    return PrefixStore(place.path, store)


def leave_group() -> None:
    """Leave the process group, if there is one.

    All processes leave it together: one that has failed must end without this, for the others may never come.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


def own_group() -> dict[str, int | str]:
    """Describe this process's group by the variables of torch's launchers; empty without a group.

    ``LOCAL_RANK``, by which Accelerate chooses the GPU, counts the GPUs that this process sees: a scheduler may show
    each process one of its own.
    """
    if not dist.is_initialized():
        return {}
    rank, size = dist.get_rank(), dist.get_world_size()
    local_rank, local_size = (int(os.environ.get(name, here)) for name, here in (("LOCAL_RANK", rank), (LOCAL, size)))
    if dist.get_backend() == "nccl":
        local_rank %= max(torch.cuda.device_count(), 1)
    # Accelerate asks for it where the group is on several machines, although the group is there already.
    place = urlsplit(os.environ.get(STORE_VARIABLE, "")).hostname
    address = {} if place is None else {"MASTER_ADDR": place}
    return {"RANK": rank, "LOCAL_RANK": local_rank, "WORLD_SIZE": size, LOCAL: local_size, **address}


def rows_per_process(rows: int, processes: int) -> list[int]:
    """Divide the rows of a global batch: how many each process holds, as equal as can be, the first ones one more."""
    each, more = divmod(rows, processes)
    return [each + (rank < more) for rank in range(processes)]


def own_rows(rows: int, rank: int, processes: int) -> slice:
    """The rows of a global batch that a process holds, by :func:`rows_per_process`."""
    sizes = rows_per_process(rows, processes)
    return slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))


class _Gather(torch.autograd.Function):
    """All rows of the global batch; the backward pass sums the gradients of all processes and keeps the own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: Sequence[int]) -> Tensor:
        rank = dist.get_rank()
        ctx.own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        # Every process sends equally many rows; those that fill up are cut off again.
        sent = rows.new_zeros(max(sizes), *rows.shape[1:])
        sent[: len(rows)] = rows
        parts = [torch.empty_like(sent) for _ in sizes]
        dist.all_gather(parts, sent)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # Each process holds the gradient of its own copy of the loss with respect to all rows.
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.own], None


def gather_rows(rows: Tensor, batch: int | None = None) -> Tensor:
    """Gather the global batch with its exact gradient.

    Args:
        rows: (local, …), this process's rows.
        batch: Number of rows of the global batch, which are divided as :func:`rows_per_process` says; None where every
            process has as many as this one. Several values of a row (two views) may stand in rows of their own.

    Returns:
        (global, …), in the order of the processes; ``rows`` itself in a single process.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    processes = dist.get_world_size()
    sizes = [len(rows)] * processes
    if batch is not None:
        each = rows_per_process(batch, processes)
        sizes = [size * len(rows) // each[dist.get_rank()] for size in each]
    gathered: Tensor = _Gather.apply(rows, sizes)
    return gathered


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum a tensor over the processes (no gradient)."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def largest_of_processes(value: int, device: torch.device) -> int:
    """The largest of a number that each process has; called by all of them, and all get the same answer."""
    if not dist.is_initialized():
        return value
    # Reduced, not asked of one process: all must decide alike, or those that go on wait for ever in their next gather.
    values = torch.tensor([float(value)], device=device)
    dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return int(values.item())


def any_process(flag: bool, device: torch.device) -> bool:
    """Tell whether the flag is set in any process; called by all of them, and all get the same answer."""
    return bool(largest_of_processes(int(flag), device))


def global_statistics(x: Tensor, gather: Callable[[Tensor], Tensor] | None = None) -> tuple[Tensor, Tensor, int]:
    """Mean and biased variance of each channel of the global batch, with their exact gradients.

    Args:
        x: (local, channels, …), this process's rows.
        gather: (1, …) → (processes, …): the sums of all processes. By default those of every process, or this one's
            own while each of them computes all rows.

    Returns:
        (channels,), (channels,), and the number of values of a channel.
    """
    gather = gather or (_alone if ROWS_EVERYWHERE.get() else gather_rows)
    axes = (0, *range(2, x.ndim))
    dtype = torch.promote_types(x.dtype, torch.float32)
    # The global mean first and the squares of the deviations after it: E[x²] − E[x]² loses digits.
    # Sums are float64, as torch accumulates them on a CPU. Each process's count stands beside its sums: those of
    # an epoch's last batch may differ.
    sums = x.sum(axes, dtype=torch.float64)
    sums = gather(torch.cat([sums, sums.new_tensor([x.numel() // x.shape[1]])])[None]).sum(0)
    count = int(sums[-1])
    mean = (sums[:-1] / count).to(dtype)
    deviation = x.to(dtype) - _along_channels(mean, x)
    squares = gather(deviation.square().sum(axes, dtype=torch.float64)[None])
    return mean, (squares.sum(0) / count).to(dtype), count


class GlobalBatchNorm(nn.Module):
    """Batch normalisation with the statistics of the global batch, for processes on CPUs.

    torch's SyncBatchNorm refuses CPU tensors; this one gathers sums instead. It takes over the parameters and buffers
    of the layer it stands for, under the same names. Running statistics take the unbiased variance of the global
    batch, as one process would. A layer without running statistics normalises each evaluation batch by itself, as torch
    does: batches of an evaluation are not divided among processes.

    Args:
        norm: The layer to stand for, of any number of dimensions; what timm's BatchNormAct2d does after normalising is
            kept.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) -> None:
        super().__init__()
        self.eps, self.momentum, self.track_running_stats = norm.eps, norm.momentum, norm.track_running_stats
        self.weight, self.bias = norm.weight, norm.bias
        self.register_buffer("running_mean", norm.running_mean)
        self.register_buffer("running_var", norm.running_var)
        self.register_buffer("num_batches_tracked", norm.num_batches_tracked)
        self.drop, self.act = (getattr(norm, name, nn.Identity()) for name in ("drop", "act"))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x: (local, channels, …), with the global batch's statistics while training."""
        mean, variance = self._statistics(x)
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = self.weight * scale
        normalised = (x.to(mean.dtype) - _along_channels(mean, x)) * _along_channels(scale, x)
        if self.bias is not None:
            normalised = normalised + _along_channels(self.bias, x)
        result: Tensor = self.act(self.drop(normalised.to(x.dtype)))
        return result

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance that x (local, channels, …) is normalised by, each (channels,)."""
        if self.training:
            mean, variance, count = global_statistics(x)
            self._track(mean, variance, count)
            return mean, variance
        if self.running_mean is not None and self.running_var is not None:
            return self.running_mean, self.running_var
        return global_statistics(x, _alone)[:2]

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, where there are any and the layer is to keep them."""
        if self.running_mean is None or self.running_var is None or not self.track_running_stats:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        # Without a momentum torch takes the mean over all batches so far.
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        # Normalised by the biased variance, remembered as the unbiased one: so does torch.
        self.running_var.lerp_((variance * (count / max(count - 1, 1))).to(self.running_var.dtype), share)


def _alone(rows: Tensor) -> Tensor:
    return rows


def _along_channels(values: Tensor, x: Tensor) -> Tensor:
    """(channels,) → (channels, 1, …), to stand beside x: (local, channels, …)."""
    return values.view(-1, *[1] * (x.ndim - 2))


def share_batch_statistics(model: nn.Module, device: str) -> nn.Module:
    """Make every batch normalisation of a model use the statistics of the global batch.

    Args:
        model: The model, before it is wrapped; parameters, buffers and their names are kept.
        device: ``cuda`` takes torch's SyncBatchNorm, ``cpu`` :class:`GlobalBatchNorm`.

    Returns:
        The model with its normalisation layers replaced.

    Raises:
        SpecError: If a layer of the model cannot be replaced by one that gives the same.
    """
    from timm.layers.norm_act import BatchNormAct2d

    known = (BATCH_NORM.forward, BatchNormAct2d.forward)
    # Every name of a layer that stands in several places, so that it is replaced in all of them.
    named = model.named_modules(remove_duplicate=False)
    norms = {name: part for name, part in named if isinstance(part, BATCH_NORM)}
    for name, norm in norms.items():
        if type(norm).forward not in known and not isinstance(norm, StochNorm):
            raise SpecError(
                f"The batch normalisation {name} ({type(norm).__name__}) cannot be shared by several processes: "
                "it has a forward pass of its own.",
                "Use --processes 1.",
            )
    shared = {norm: _shared(norm, device) for norm in norms.values()}
    for name, norm in norms.items():
        model.set_submodule(name, shared[norm])
    return model


def _shared(norm: Any, device: str) -> nn.Module:
    """A layer that normalises as ``norm`` does, by the statistics of the global batch."""
    from timm.layers.norm_act import convert_sync_batchnorm

    if isinstance(norm, StochNorm):
        norm.statistics = global_statistics
        return norm
    if device == "cuda":
        converted: nn.Module = convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return converted
    return GlobalBatchNorm(norm)
