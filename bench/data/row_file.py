"""Rows of a file, of one shape or of different lengths, read by position and compared with their checksums.

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


class CheckedBytes:
    """A file of rows, each some bytes of it, that are read when they are asked for.

    A row is compared with its checksum when it is first read, and again after the file was written to. The file stays
    the one that was opened, whatever takes its name.

    Args:
        path: The file.
        header: Bytes that it begins with.
        sizes: (rows,) bytes of each row; rows follow one another to the end of the file.
        description: A file that says that the rows are whole; it is removed when one of them is not.
        what: Words for the file, for messages.

    Attributes:
        checksums: (rows,) uint32, the :func:`row_checksum` of each row; None until somebody sets them, and until then
            no row is compared.

    Raises:
        ValueError: If the file does not begin with the header, or is not as long as its rows.
        OSError: If it cannot be read.
    """

    def __init__(self, path: Path, header: bytes, sizes: NDArray[np.int64], description: Path, what: str) -> None:
        self.path, self.description, self.what = path, description, what
        self.checksums: NDArray[np.uint32] | None = None
        # Opened once and for all: a file that takes its name later, such as a bank made anew, is another one.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._begins = len(header) + np.concatenate([[0], np.cumsum(sizes)])
        # Compared byte by byte, not parsed: there is one header that such rows can have.
        is_whole = os.fstat(self._descriptor).st_size == self._begins[-1]
        if not is_whole or os.pread(self._descriptor, len(header), 0) != header:
            raise ValueError(f"{path} does not hold {len(sizes)} rows of {self._begins[-1]} bytes")
        self._compared = np.zeros(len(sizes), dtype=bool)
        self._changed = self._time_of_change()

    def read_into(self, rows: Sequence[NDArray[np.float32]], numbers: Sequence[int]) -> None:
        """Read rows into arrays of their size.

        Args:
            rows: The arrays, written.
            numbers: The number of each row.

        Raises:
            RunError: If the file cannot be read, was cut short, or a row is not what was written.
        """
        try:
            self._forget_comparisons_if_changed()
            for number, row in zip(numbers, rows, strict=True):
                self._read_row(row, number)
                self._compare_checksum(row, number)
        except OSError as error:
            raise RunError(
                f"The {self.what} {self.path} cannot be read: {error.strerror or error}.",
                "Look after its disk or choose another cache folder, then run the command again.",
            ) from error

    def _time_of_change(self) -> int:
        return os.fstat(self._descriptor).st_mtime_ns

    def _forget_comparisons_if_changed(self) -> None:
        # Whoever writes to the file moves its time of change; only then are rows compared anew.
        changed = self._time_of_change()
        if changed != self._changed:
            self._changed = changed
            self._compared[:] = False

    def _read_row(self, row: NDArray[np.float32], number: int) -> None:
        place, left = int(self._begins[number]), row.data.cast("B")
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

    def _damage_error(self, problem: str) -> RunError:
        """Have the rows made anew the next time, and say so."""
        with contextlib.suppress(OSError):
            self.description.unlink()
        way = f"Delete the folder {self.path.parent} and run" if self.description.exists() else "Run"
        return RunError(f"The {self.what} {self.path} {problem}.", f"{way} the command again: the bank is made anew.")


class RowFile:
    """An array in a ``.npy`` file whose rows are read when they are asked for, each compared with its checksum.

    Args:
        path: A file that holds :func:`npy_header` and the rows.
        shape: Shape of the whole array, (rows, …).
        description: A file that says that the rows are whole; it is removed when one of them is not.

    Raises:
        ValueError: If the file does not hold exactly such rows.
        OSError: If it cannot be read.
    """

    dtype = np.dtype("<f4")

    def __init__(self, path: Path, shape: tuple[int, ...], description: Path) -> None:
        self.shape, self.description = shape, description
        sizes = np.full(shape[0], math.prod(shape[1:]) * self.dtype.itemsize, np.int64)
        self._bytes = CheckedBytes(path, npy_header(shape), sizes, description, "feature bank")

    @property
    def checksums(self) -> NDArray[np.uint32] | None:
        """(rows,) uint32, the :func:`row_checksum` of each row; None until somebody sets them."""
        return self._bytes.checksums

    @checksums.setter
    def checksums(self, found: NDArray[np.uint32]) -> None:
        self._bytes.checksums = found

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
        chosen = np.atleast_1d(numbers)
        found = np.empty((len(chosen), *self.shape[1:]), np.float32)
        self._bytes.read_into(list(found), chosen.tolist())
        return found if np.ndim(numbers) else cast("NDArray[np.float32]", found[0])

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self), BLOCK_ROWS):
            yield from self[start : start + BLOCK_ROWS]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)


class RaggedFile:
    """Rows of float32 of different lengths, one after the other in a file without a header.

    Args:
        path: The file.
        lengths: (rows,) numbers in each row.
        checksums: (rows,) uint32, the :func:`row_checksum` of each row.
        description: A file that says that the rows are whole; it is removed when one of them is not.

    Raises:
        ValueError: If the file does not hold exactly such rows.
        OSError: If it cannot be read.
    """

    dtype = np.dtype("<f4")

    def __init__(
        self, path: Path, lengths: NDArray[np.int64], checksums: NDArray[np.uint32], description: Path
    ) -> None:
        self.lengths = lengths
        self._bytes = CheckedBytes(path, b"", lengths * self.dtype.itemsize, description, "waveform bank")
        self._bytes.checksums = checksums

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, numbers: Sequence[int] | NDArray[Any]) -> list[NDArray[np.float32]]:
        """Read rows into memory of their own.

        Args:
            numbers: The number of each row that is wanted.

        Returns:
            (length,) of each.

        Raises:
            RunError: If the file cannot be read, was cut short, or a row is not what was written.
        """
        chosen = np.asarray(numbers, dtype=np.int64)
        found = [np.empty(length, np.float32) for length in self.lengths[chosen].tolist()]
        self._bytes.read_into(found, chosen.tolist())
        return found
