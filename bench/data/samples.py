"""The samples of a WAV file as float32, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import DataError
from bench.data.wav import FLOAT, WavHeader, problems_of, read_header

HINT = "Run `bench data verify` to see everything that is wrong with the data."
SHORTER = "became shorter while it was read"
# Pieces that stay in the processor's cache while they are converted.
PIECE = 1 << 16


def read_samples(path: Path) -> tuple[NDArray[np.float32], int]:
    """Read a recording as the official code does: int16 / 2^15, int24 / 2^23; 8 and 32 bits likewise, floats as such.

    Samples are decoded here, to the bit as soundfile does but several times faster at 24 bits. Files of more than one
    channel are refused: the official code would use the first alone without saying so.

    Args:
        path: A WAV file of one channel, PCM or 32-bit float.

    Returns:
        Samples (samples,) float32 in −1..1, and the rate in Hz.

    Raises:
        DataError: If the file cannot be read, is no WAV file, ends too early, is of another
            format, has several channels, or holds floats that are not finite.
    """
    try:
        header = read_header(path)
        problems = problems_of(header)
        if problems:
            raise DataError(f"The recording {path} {problems[0].message}.", HINT)
        return _decode(path, header), header.rate
    except OSError as error:
        raise DataError(f"The recording {path} cannot be read: {error.strerror or error}.", HINT) from error
    except ValueError as error:
        raise DataError(f"The recording {path} {error}.", HINT) from error


def _decode(path: Path, header: WavHeader) -> NDArray[np.float32]:
    if header.bits == 24:
        return _decode_24_bits(path, header)
    if header.code == FLOAT:
        return _read_floats(path, header)
    whole = np.fromfile(path, {8: "u1", 16: "<i2", 32: "<i4"}[header.bits], header.frames, offset=header.offset)
    if len(whole) < header.frames:
        raise ValueError(SHORTER)
    if header.bits == 8:  # the only size without a sign: silence is 128
        whole = (whole ^ 0x80).view(np.int8)
    return whole.astype(np.float32) * np.float32(0.5 ** (header.bits - 1))


def _read_floats(path: Path, header: WavHeader) -> NDArray[np.float32]:
    wave = np.fromfile(path, "<f4", header.frames, offset=header.offset)
    if len(wave) < header.frames:
        raise ValueError(SHORTER)
    if not np.isfinite(wave).all():
        raise ValueError("holds samples that are not finite numbers")
    return wave.astype(np.float32, copy=False)


def _decode_24_bits(path: Path, header: WavHeader) -> NDArray[np.float32]:
    """Read each sample as the upper three bytes of a four-byte integer that starts one byte before it.

    So one strided view converts whole pieces, without a loop over samples and without widening the bytes first.
    """
    wave = np.empty(header.frames, np.float32)
    raw = np.empty(1 + 3 * PIECE, np.uint8)
    wide: NDArray[np.int32] = np.ndarray((PIECE,), "<i4", raw.data, strides=(3,))
    with path.open("rb") as stream:
        stream.seek(header.offset)
        for piece in np.split(wave, range(PIECE, len(wave), PIECE)):
            if stream.readinto(raw[1 : 1 + 3 * len(piece)].data) < 3 * len(piece):
                raise ValueError(SHORTER)
            np.multiply(wide[: len(piece)] >> 8, np.float32(2**-23), out=piece, dtype=np.float32, casting="unsafe")
    return wave
