"""The header of a WAV file, read by itself: libsndfile mends a file that was cut short and does not say so."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.core.text import counted_noun
from bench.data.faults import FileProblem
from bench.data.regular_files import open_regular

PCM = 1
FLOAT = 3
EXTENSIBLE = 0xFFFE
"""Format codes; for the extensible one the true code stands at the start of the sub-format's identifier."""

BITS = (8, 16, 24, 32)
"""Bits of a PCM sample that are read."""

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Sampling rates that sound cards have, Hz."""

LONGEST = 3_600
MOST_FRAMES = 1 << 28
"""Seconds and samples of one recording at most: what is more would not fit into memory."""

UNKNOWN_SIZE = 0xFFFFFFFF
"""Size that programs declare when they write to a pipe and do not know how much will come."""

MOST_CHUNKS = 1_000
"""Chunks that are looked through for the samples; files of the wild have a dozen."""

CHUNKS = frozenset(
    {
        b"fmt ",
        b"data",
        b"LIST",
        b"fact",
        b"bext",
        b"JUNK",
        b"junk",
        b"PAD ",
        b"FLLR",
        b"cue ",
        b"smpl",
        b"inst",
        b"PEAK",
    }
    | {b"id3 ", b"ID3 ", b"iXML", b"_PMX", b"cart", b"acid", b"plst", b"DISP", b"umid", b"axml", b"chna", b"wavl"}
)
"""Names of chunks that are in use: by them a chunk is found whose padding byte was left out."""

OTHER_CONTAINERS = {b"RF64": "RF64", b"BW64": "BW64", b"riff": "Wave64", b"RIFX": "big-endian RIFF", b"fLaC": "FLAC"}
"""Formats whose files are also named ``.wav``, by their first four bytes."""


@dataclass(frozen=True)
class WavHeader:
    """The header of a WAV file: place and form of its samples.

    Attributes:
        code: Format code, 1 for PCM.
        channels: Number of channels.
        rate: Samples per second.
        bits: Bits per sample.
        block: Bytes of one sample of all channels by the header.
        offset: Byte at which the samples begin.
        declared: Bytes of samples by the header.
        present: Bytes of samples in the file, at most ``declared``.
    """

    code: int
    channels: int
    rate: int
    bits: int
    block: int
    offset: int
    declared: int
    present: int

    @property
    def frames(self) -> int:
        """Samples per channel that the file holds."""
        return self.present // self.block if self.block else 0

    @property
    def seconds(self) -> float:
        """Length of what the file holds, s."""
        return self.frames / self.rate if self.rate else 0.0


def _iterate_chunks(stream: IO[bytes], size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and declared size of each chunk."""
    position = 12
    for _ in range(MOST_CHUNKS):
        if position + 8 > size:
            return
        stream.seek(position)
        name, length = struct.unpack("<4sI", stream.read(8))
        yield name, position + 8, length
        position = _next_chunk(stream, position + 8 + length, padded=length % 2 == 1)
    raise ValueError(f"has more than {MOST_CHUNKS:,} chunks before its samples")


def _next_chunk(stream: IO[bytes], end: int, *, padded: bool) -> int:
    """Where the next chunk begins: a chunk of odd length is followed by a byte of padding, which some programs omit."""
    if not padded:
        return end
    stream.seek(end)
    bare, shifted = stream.read(4), stream.read(1)
    return end if bare in CHUNKS and bare[1:] + shifted not in CHUNKS else end + 1


def _read_format(stream: IO[bytes], offset: int, length: int) -> tuple[int, int, int, int, int]:
    """Format code, channels, rate, bits per sample and bytes per sample of all channels."""
    stream.seek(offset)
    body = stream.read(min(length, 40))
    code, channels, rate, _, block, bits = struct.unpack("<HHIIHH", body[:16])
    if code == EXTENSIBLE and len(body) >= 26:
        code = struct.unpack("<H", body[24:26])[0]
    return code, channels, rate, bits, block


def read_header(path: Path) -> WavHeader:
    """Read a WAV file's header.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no RIFF WAVE file with a format and samples; the text says what is missing.
        OSError: If it cannot be read.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(12)
        if len(start) < 12 or start[:4] != b"RIFF" or start[8:] != b"WAVE":
            raise ValueError(_why_not_wave(start))
        form: tuple[int, int, int, int, int] | None = None
        for name, offset, length in _iterate_chunks(stream, size):
            if name == b"fmt " and length >= 16 and offset + 16 <= size:
                form = _read_format(stream, offset, length)
            elif name == b"data" and form is not None:
                return WavHeader(*form, offset=offset, declared=length, present=min(length, size - offset))
    raise ValueError("ends before its samples begin" if form else "has no format chunk before its samples")


def _why_not_wave(start: bytes) -> str:
    if not start:
        return "is empty (0 bytes)"
    other = OTHER_CONTAINERS.get(start[:4])
    return "is no RIFF WAVE file" + (f", but {other}: write it again as WAV" if other else "")


def _form_problems(header: WavHeader) -> list[FileProblem]:
    found = []
    if header.code not in (PCM, FLOAT):
        words = f"holds samples of format {header.code}, but PCM (format 1) or 32-bit float (format 3) is needed"
        found.append(FileProblem("audio-format", words))
    elif header.bits not in BITS or (header.code == FLOAT and header.bits != 32):
        needed = "32" if header.code == FLOAT else ", ".join(map(str, BITS))
        found.append(FileProblem("audio-format", f"has {header.bits} bits per sample, but one of {needed} is needed"))
    elif header.block != header.channels * header.bits // 8:
        words = f"{header.block} bytes for {counted_noun(header.channels, 'channel')} of {header.bits} bits"
        found.append(FileProblem("audio-format", f"has a header that contradicts itself: {words}"))
    if header.channels != 1:
        found.append(FileProblem("audio-channels", f"has {header.channels} channels, but 1 is needed"))
    return found


def _rate_problems(header: WavHeader) -> list[FileProblem]:
    if LOWEST_RATE <= header.rate <= HIGHEST_RATE:
        return []
    words = f"has a rate of {header.rate} Hz, but {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz can be read"
    return [FileProblem("audio-rate", words)]


def _length_problems(header: WavHeader) -> list[FileProblem]:
    if header.declared == UNKNOWN_SIZE:
        words = "was written to a pipe: its header does not say how many samples it holds; write it again as a file"
        return [FileProblem("audio-streamed", words)]
    found = []
    if header.declared - header.present >= max(header.block, 1):
        missing = f"holds {header.present:,} of the {header.declared:,} bytes of samples that its header declares"
        found.append(FileProblem("audio-truncated", missing))
    if header.frames == 0:
        found.append(FileProblem("audio-empty", "holds no samples"))
    if header.seconds > LONGEST or header.frames > MOST_FRAMES:
        words = f"lasts {header.seconds:,.0f} s ({header.frames:,} samples)"
        found.append(FileProblem("audio-long", f"{words}, but at most {LONGEST:,} s ({MOST_FRAMES:,}) can be read"))
    return found


def problems_of(header: WavHeader) -> list[FileProblem]:
    """Say why the samples of a file cannot be read, or not as one channel of sound.

    Args:
        header: What :func:`read_header` gave.
    """
    return [*_form_problems(header), *_rate_problems(header), *_length_problems(header)]


def inspect_wav(path: Path) -> tuple[WavHeader | None, list[FileProblem]]:
    """Read a WAV file's header and say what is wrong with it.

    Args:
        path: The file.

    Returns:
        The header, or None where there is none, and the problems.
    """
    try:
        header = read_header(path)
    except ValueError as error:
        return None, [FileProblem("audio-format", str(error))]
    except OSError as error:
        return None, [FileProblem("audio-unreadable", f"cannot be read: {error.strerror or error}")]
    return header, problems_of(header)
