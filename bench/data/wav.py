"""The header of a WAV file, read by itself: libsndfile mends a file that was cut short and does not say so."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.data.faults import Problem

PCM = 1
EXTENSIBLE = 0xFFFE
"""Format codes; for the extensible one the true code stands at the start of the sub-format's identifier."""


@dataclass(frozen=True)
class WavHeader:
    """Where a WAV file's samples are and what they mean.

    Attributes:
        code: Format code, 1 for PCM.
        channels: Number of channels.
        rate: Samples per second.
        bits: Bits per sample.
        offset: Byte at which the samples begin.
        declared: Bytes of samples by the header.
        present: Bytes of samples in the file, at most ``declared``.
    """

    code: int
    channels: int
    rate: int
    bits: int
    offset: int
    declared: int
    present: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * ((self.bits + 7) // 8)

    @property
    def frames(self) -> int:
        """Samples per channel that the file holds."""
        return self.present // self.frame_bytes if self.frame_bytes else 0

    @property
    def seconds(self) -> float:
        """Length of what the file holds, s."""
        return self.frames / self.rate if self.rate else 0.0


def _chunks(stream: IO[bytes], size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and declared size of each chunk."""
    position = 12
    while position + 8 <= size:
        stream.seek(position)
        name, length = struct.unpack("<4sI", stream.read(8))
        yield name, position + 8, length
        # A chunk of odd length is followed by one byte of padding.
        position += 8 + length + length % 2


def _format(stream: IO[bytes], offset: int, length: int) -> tuple[int, int, int, int]:
    stream.seek(offset)
    body = stream.read(min(length, 40))
    code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
    if code == EXTENSIBLE and len(body) >= 26:
        code = struct.unpack("<H", body[24:26])[0]
    return code, channels, rate, bits


def read_header(path: Path) -> WavHeader:
    """Read a WAV file's header.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no RIFF WAVE file with a format and samples; the text says what is missing.
        OSError: If it cannot be read.
    """
    with path.open("rb", buffering=4096) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(12)
        if len(start) < 12 or start[:4] != b"RIFF" or start[8:] != b"WAVE":
            raise ValueError("is no RIFF WAVE file" if size else "is empty (0 bytes)")
        form: tuple[int, int, int, int] | None = None
        for name, offset, length in _chunks(stream, size):
            if name == b"fmt " and length >= 16 and offset + 16 <= size:
                form = _format(stream, offset, length)
            elif name == b"data" and form is not None:
                return WavHeader(*form, offset=offset, declared=length, present=min(length, size - offset))
    raise ValueError("ends before its samples begin" if form else "has no format chunk before its samples")


def problems_of(header: WavHeader, rates: tuple[int, ...] = ()) -> list[Problem]:
    """Say what in a header does not fit the official set.

    Args:
        header: What :func:`read_header` gave.
        rates: Sampling rates that are right, Hz; any where none is given.
    """
    found = []
    if header.code != PCM:
        found.append(Problem("audio-format", f"holds samples of format {header.code}, but PCM (format 1) is needed"))
    if header.channels != 1:
        found.append(Problem("audio-channels", f"has {header.channels} channels, but 1 is needed"))
    if header.rate == 0 or (rates and header.rate not in rates):
        known = ", ".join(map(str, rates))
        found.append(Problem("audio-rate", f"has a rate of {header.rate} Hz, but ICBHI's are {known or 'above 0'} Hz"))
    if header.declared - header.present >= max(header.frame_bytes, 1):
        missing = f"holds {header.present:,} of the {header.declared:,} bytes of samples that its header declares"
        found.append(Problem("audio-truncated", missing))
    if header.frames == 0:
        found.append(Problem("audio-empty", "holds no samples"))
    return found


def inspect(path: Path, rates: tuple[int, ...] = ()) -> tuple[WavHeader | None, list[Problem]]:
    """Read a WAV file's header and say what is wrong with it.

    Args:
        path: The file.
        rates: Sampling rates that are right, Hz; any where none is given.

    Returns:
        The header, or None where there is none, and the problems.
    """
    try:
        header = read_header(path)
    except ValueError as error:
        return None, [Problem("audio-format", str(error))]
    except OSError as error:
        return None, [Problem("audio-unreadable", f"cannot be read: {error.strerror or error}")]
    return header, problems_of(header, rates)
