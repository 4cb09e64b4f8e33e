"""Rows of a NumPy file, read by position and compared with their checksums.

The file is not mapped into memory: a mapping that somebody cuts short kills its reader without a word (SIGBUS), while a
file that is read then holds fewer bytes, which is an error like any other. Read from the system's cache, a row takes as
long as from a mapping.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import weakref
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import RunError

BLOCK_ROWS = 64
"""Rows in memory at once where all rows are looked through."""


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Make the bytes that stand before the rows in a ``.npy`` file of little-endian float32.

    Args:
        shape: Shape of the whole array, (rows, …).
    """
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def row_checksum(row: NDArray[np.float32]) -> int:
    """CRC-32 of a row's bytes: 4 GB/s on one core, and enough against accidents."""
    return zlib.crc32(np.ascontiguousarray(row).data)


class RowFile:
    """An array in a ``.npy`` file whose rows are read when they are asked for.

    A row is compared with its checksum when it is first read, and again after the file was written to. The file stays
    the one that was opened, whatever takes its name.

    Args:
        path: A file that holds :func:`npy_header` and the rows.
        shape: Shape of the whole array, (rows, …).
        description: A file that says that the rows are whole; it is removed when one of them is not.

    Attributes:
        checksums: (rows,) uint32, the :func:`row_checksum` of each row; None until somebody sets them, and until then
            no row is compared.

    Raises:
        ValueError: If the file does not hold exactly such rows.
        OSError: If it cannot be read.
    """

    dtype = np.dtype("<f4")

    def __init__(self, path: Path, shape: tuple[int, ...], description: Path) -> None:
        self.path = path
        self.shape = shape
        self.description = description
        self.checksums: NDArray[np.uint32] | None = None
        # Opened once and for all: a file that takes its name later, such as a bank made anew, is another one.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        # Compared byte by byte, not parsed: there is one header that such rows can have.
        expected = npy_header(shape)
        self._begin = len(expected)
        self._row_bytes = math.prod(shape[1:]) * self.dtype.itemsize
        size = self._begin + shape[0] * self._row_bytes
        if os.pread(self._descriptor, self._begin, 0) != expected or os.fstat(self._descriptor).st_size != size:
            raise ValueError(f"{path} does not hold rows of shape {shape}")
        self._compared = np.zeros(len(self), dtype=bool)
        self._changed = self._time_of_change()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice | Sequence[int] | NDArray[Any]) -> NDArray[np.float32]:
        """Read rows into memory of their own.

        Args:
            key: A row's number, or several as an array or a slice.

        Returns:
            (…) for one row, (n, …) for several.

        Raises:
            RunError: If the file cannot be read, was cut short, or a row is not what was written.
        """
        numbers = np.arange(len(self))[key]
        found = self._read_rows(np.atleast_1d(numbers))
        return found if np.ndim(numbers) else cast("NDArray[np.float32]", found[0])

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self), BLOCK_ROWS):
            yield from self[start : start + BLOCK_ROWS]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _time_of_change(self) -> int:
        return os.fstat(self._descriptor).st_mtime_ns

    def _read_rows(self, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        rows = np.empty((len(numbers), *self.shape[1:]), np.float32)
        try:
            self._forget_comparisons_if_changed()
            for number, row in zip(numbers.tolist(), rows, strict=True):
                self._read_row(row, number)
                self._compare_checksum(row, number)
        except OSError as error:
            raise RunError(
                f"The feature bank {self.path} cannot be read: {error.strerror or error}.",
                "Look after its disk or choose another cache folder, then run the command again.",
            ) from error
        return rows

    def _forget_comparisons_if_changed(self) -> None:
        # Whoever writes to the file moves its time of change; only then are rows compared anew.
        changed = self._time_of_change()
        if changed != self._changed:
            self._changed = changed
            self._compared[:] = False

    def _read_row(self, row: NDArray[np.float32], number: int) -> None:
        place, left = self._begin + number * self._row_bytes, row.data.cast("B")
        # A read may give less than was asked for; nothing at all is the end of the file.
        while left:
            count = os.preadv(self._descriptor, [left], place)
            if count == 0:
                raise self._damage_error("was cut short while it was used")
            place, left = place + count, left[count:]

    def _compare_checksum(self, row: NDArray[np.float32], number: int) -> None:
        if self.checksums is None or self._compared[number]:
            return
        if row_checksum(row) != self.checksums[number]:
            raise self._damage_error(f"is not what was written (row {number})")
        self._compared[number] = True

    def _damage_error(self, what: str) -> RunError:
        """Have the rows made anew the next time, and say so."""
        with contextlib.suppress(OSError):
            self.description.unlink()
        way = f"Delete the folder {self.path.parent} and run" if self.description.exists() else "Run"
        return RunError(f"The feature bank {self.path} {what}.", f"{way} the command again: the bank is made anew.")
