"""Small arrays that the host has drawn or counted, sent to a device in a copy that nobody waits for.

A copy from ordinary memory to a GPU makes the host wait for all that the GPU has still to do. One from page-locked
("pinned") memory is put into the GPU's queue, and the host goes on. torch keeps such memory for later copies, and gives
it out again only when the copy from it is done.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 16
"""Bytes whose multiple each array begins at in a common buffer: no number of any type lies askew."""


def arrays_on(device: torch.device, *arrays: np.ndarray) -> tuple[Tensor, ...]:
    """Copy arrays to a device, all of them together; on the CPU they are taken as they are.

    Args:
        device: Where they go.
        arrays: (...) each, of any numeric type; nobody writes to them afterwards.

    Returns:
        A tensor of the same shape, type and values for each.
    """
    if device.type == "cpu":
        return tuple(torch.from_numpy(np.asarray(array, order="C")) for array in arrays)
    places, size = _layout(arrays)
    buffer = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
    _fill(buffer, arrays, places)
    return _views(buffer.to(device, non_blocking=True), arrays, places)


def array_on(device: torch.device, array: np.ndarray) -> Tensor:
    """Copy one array to a device, as :func:`arrays_on` does."""
    [tensor] = arrays_on(device, array)
    return tensor


def _layout(arrays: Sequence[np.ndarray]) -> tuple[list[int], int]:
    """Where each array begins in a buffer of all of them, and the bytes of the buffer."""
    places, size = [], 0
    for array in arrays:
        places.append(size)
        size += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return places, size


def _fill(buffer: Tensor, arrays: Sequence[np.ndarray], places: Sequence[int]) -> None:
    for array, view in zip(arrays, _views(buffer, arrays, places), strict=True):
        view.copy_(torch.from_numpy(np.asarray(array, order="C")))


def _views(buffer: Tensor, arrays: Sequence[np.ndarray], places: Sequence[int]) -> tuple[Tensor, ...]:
    """The parts of a buffer (bytes,) that the arrays take, with their types and shapes."""
    return tuple(
        buffer[place : place + array.nbytes].view(torch.from_numpy(np.empty(0, array.dtype)).dtype).view(array.shape)
        for array, place in zip(arrays, places, strict=True)
    )
