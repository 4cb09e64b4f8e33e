"""Copies of tensors in host memory: what a thread can write while the tensors themselves are trained on."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor


class HostCopies:
    """Copies nested states into host memory, into the same memory each time.

    Fresh memory fills several times slower than memory that is used again, and pinned memory is slow to get.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[Any, ...], Tensor] = {}

    def copy(self, state: Any) -> Any:
        """Copy a state; the copy is overwritten by the next one.

        Args:
            state: Tensors in dictionaries, lists and tuples, among other values.

        Returns:
            The same with tensors in host memory. Names of one tensor (tied weights) stay names of one tensor.
        """
        known: dict[tuple[Any, ...], Tensor] = {}
        copied = self._copied(state, (), known)
        if any(key[0].type == "cuda" for key in known):
            # The copies were queued behind the steps that are under way.
            torch.cuda.synchronize()
        return copied

    def _copied(self, value: Any, place: tuple[Any, ...], known: dict[tuple[Any, ...], Tensor]) -> Any:
        if isinstance(value, Tensor):
            key = (value.device, value.data_ptr(), value.dtype, value.shape, value.stride())
            # All tensors without elements have the same address.
            if value.numel() == 0 or key not in known:
                known[key] = self._copied_tensor(value, place)
            return known[key]
        if isinstance(value, dict):
            return type(value)((name, self._copied(one, (*place, name), known)) for name, one in value.items())
        if isinstance(value, list | tuple):
            return type(value)(self._copied(one, (*place, number), known) for number, one in enumerate(value))
        return copy.deepcopy(value)

    def _copied_tensor(self, value: Tensor, place: tuple[Any, ...]) -> Tensor:
        key = (place, value.dtype, value.shape, value.stride())
        if key not in self._buffers:
            # Strides are kept: an optimiser's state is laid out as its parameter.
            self._buffers[key] = torch.empty_like(value.detach(), device="cpu", pin_memory=value.is_cuda)
        return self._buffers[key].copy_(value.detach(), non_blocking=True)
