"""Rows of the feature bank on the device of a run: from a copy of the bank there, or read ahead of their step.

Which of the two a run has is decided here, once, when it begins. Both give what reading the file gives, to the bit: the
bank is in single precision, in the file and on the device.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import MemoryRunError
from bench.core.inputs import by_name
from bench.data.bank import Rows
from bench.data.row_file import BLOCK_ROWS
from bench.engine.host_arrays import array_on

logger = logging.getLogger(__name__)

SHARE_OF_FREE_MEMORY = 4
"""A bank goes to a GPU by itself where it takes at most one part in so many of the memory that is free there.

Training needs the rest: weights, gradients and the optimiser's state (1.4 GB for AST base), and activations, which grow
with the batch and are known only when they are there. ICBHI's bank (6,898 cycles of 798 × 128, 2.8 GB) goes to a GPU
with 11 GB free.
"""

READ_AHEAD = 2
"""Batches that may wait in pinned memory: the one of the next step, and one whose copy is under way."""

Bank = Mapping[str, Rows]


class DeviceRows(Protocol):
    """Gives rows of the bank on one device."""

    device: torch.device

    def take(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Rows (n,) of each input by name, (n, ...) float32 in memory of their own on the device."""
        ...

    def read_ahead(self, rows: np.ndarray) -> None:
        """Say which rows will be taken next."""
        ...


class ResidentRows:
    """The whole bank on the device: a step's rows are picked out there.

    Args:
        bank: The rows by name.
        device: Where the copy lies.

    Raises:
        MemoryRunError: If the device has no memory for it.
    """

    def __init__(self, bank: Bank, device: torch.device) -> None:
        self.device = device
        try:
            self._rows = {name: _copied(rows, device) for name, rows in bank.items()}
        except torch.OutOfMemoryError as error:
            raise MemoryRunError(
                f"The feature bank ({bank_bytes(bank) / 2**30:.1f} GiB) does not fit into the memory of {device}.",
                "Use --set bank_on_device=no.",
            ) from error

    def take(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Rows (n,) of each input by name."""
        index = array_on(self.device, np.asarray(rows, dtype=np.int64))
        return {name: bank.index_select(0, index) for name, bank in self._rows.items()}

    def read_ahead(self, rows: np.ndarray) -> None:
        """All rows are there already."""


def _copied(rows: Rows, device: torch.device) -> Tensor:
    """The whole bank, block by block: the host never holds more than a block of it."""
    found = torch.empty(rows.shape, dtype=torch.float32, device=device)
    for start in range(0, len(rows), BLOCK_ROWS):
        found[start : start + BLOCK_ROWS] = torch.from_numpy(np.ascontiguousarray(rows[start : start + BLOCK_ROWS]))
    return found


@dataclass
class ReadAheadRows:
    """Rows read from the file by a thread into pinned memory, ahead of the step that takes them.

    The copy to the device is put into its queue and not waited for. Rows that nobody announced are read when they are
    taken.

    Attributes:
        bank: The rows by name.
        device: Where they go.
    """

    bank: Bank
    device: torch.device
    _waiting: dict[bytes, Future[dict[str, Tensor]]] = field(default_factory=dict)
    # Its thread ends with the object: an executor that nothing holds any more lets it go.
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=1, thread_name_prefix="bench-read-ahead")
    )

    def __post_init__(self) -> None:
        if self.device.type == "cuda" and self.device.index is None:
            # A thread begins on the first GPU, and would make a context there for the memory that it pins.
            self.device = torch.device("cuda", torch.cuda.current_device())

    def take(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Rows (n,) of each input by name."""
        waiting = self._waiting.pop(_key(rows), None)
        found = self._read(rows) if waiting is None else waiting.result()
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in found.items()}

    def read_ahead(self, rows: np.ndarray) -> None:
        """Have rows read that will be taken soon."""
        key = _key(rows)
        if len(rows) and key not in self._waiting:
            # What was announced and never taken, as at the end of a stage, makes room.
            while len(self._waiting) >= READ_AHEAD:
                del self._waiting[next(iter(self._waiting))]
            self._waiting[key] = self._thread.submit(self._read, rows.copy())

    def _read(self, rows: np.ndarray) -> dict[str, Tensor]:
        found = {name: torch.from_numpy(np.ascontiguousarray(bank[rows])) for name, bank in self.bank.items()}
        if self.device.type != "cuda":
            return found
        with torch.cuda.device(self.device):
            return {name: tensor.pin_memory() for name, tensor in found.items()}


def _key(rows: np.ndarray) -> bytes:
    return np.asarray(rows, dtype=np.int64).tobytes()


def bank_bytes(bank: Bank) -> int:
    """Bytes of all rows of a bank in single precision."""
    return sum(int(np.prod(rows.shape, dtype=np.int64)) * 4 for rows in bank.values())


def rows_on_device(features: Rows | Mapping[str, Rows], wanted: str, device: torch.device) -> DeviceRows | None:
    """Decide how the rows of a bank come to the device of a run, and prepare it.

    Args:
        features: The bank's features; they have no rows where the front-end learns.
        wanted: The field ``bank_on_device``: ``auto``, ``yes`` or ``no``.
        device: The device of the run.

    Returns:
        The way; None where rows are read when they are asked for, as on a CPU, whose memory they pass through anyway.

    Raises:
        MemoryRunError: If ``yes`` was asked for and the device has no memory for the bank.
    """
    bank: Bank = by_name(features)
    size = bank_bytes(bank)
    if not size or (device.type != "cuda" and wanted != "yes"):
        return None
    if wanted == "yes" or (wanted == "auto" and fits_beside_training(size, _free_bytes(device))):
        logger.debug("the feature bank (%.2f GiB) lies in the memory of %s", size / 2**30, device)
        return ResidentRows(bank, device)
    logger.debug("the feature bank (%.2f GiB) is read from its file, a batch ahead of its step", size / 2**30)
    return ReadAheadRows(bank, device)


def fits_beside_training(size: int, free: int) -> bool:
    """Whether a bank of so many bytes leaves room for training in so many free ones."""
    return size * SHARE_OF_FREE_MEMORY <= free


def _free_bytes(device: torch.device) -> int:
    """Free bytes of a GPU, with those that torch holds in this process and does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
