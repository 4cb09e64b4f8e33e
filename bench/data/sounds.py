"""Sound files of any origin: what can be read of them, channel by channel, and what keeps one from being used.

Recordings of a data set are mono WAV files, and read by :mod:`bench.data.samples`; so is every such file here, so that
a model hears the same numbers. Whatever else soundfile reads is read by it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import DataError
from bench.core.files import advice
from bench.core.text import echoed
from bench.data.regular_files import why_irregular
from bench.data.samples import read_samples
from bench.data.wav import HIGHEST_RATE, LONGEST, LOWEST_RATE, MOST_FRAMES, PCM, WavHeader, inspect_wav, read_header

ENDINGS = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".snd", ".caf", ".w64", ".rf64"}
)
"""Endings by which files of a folder are taken for sound; a file that is named by itself may have any."""

SHORTEST = 0.1
"""Seconds that a recording lasts at least."""

MOST_CHANNELS = 64

PIPED = 0x7FFF0000
"""Sizes of samples from here on mean "not known": programs that write into a pipe declare such."""

MOST_PIPED = 1 << 32
"""Bytes that are read from a pipe at most; a WAV file cannot be longer."""

_OTHER_FORM = ("audio-format", "audio-channels")
"""Problems of a WAV file that soundfile may know how to deal with."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound file that was read.

    Attributes:
        path: The file.
        waves: (channels, samples) float32, −1..1.
        rate: Samples per second.
    """

    path: Path
    waves: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts, s."""
        return float(self.waves.shape[1] / self.rate)

    @property
    def header(self) -> WavHeader:
        """The header that a mono WAV file of 16 bits of this length has: annotations are compared with it."""
        size = 2 * self.waves.shape[1]
        return WavHeader(PCM, 1, self.rate, 16, 2, 44, declared=size, present=size)


def read_sound(path: Path) -> Sound:
    """Read a sound file with all its channels.

    Args:
        path: A WAV, FLAC, Ogg, MP3, AIFF … file.

    Raises:
        DataError: If it cannot be read, is no sound file, was cut short, is empty, too short or too long, has a rate
            that no sound card has, or holds samples that are not finite.
    """
    sound = _read(path)
    if sound.seconds < SHORTEST:
        raise _refusal(path, f"lasts {sound.seconds:.3g} s, but must last {SHORTEST} s at least")
    if not np.isfinite(sound.waves).all():
        raise _refusal(path, "holds samples that are not finite numbers")
    return sound


def _read(path: Path) -> Sound:
    irregular = why_irregular(path)
    if irregular is not None:
        raise _refusal(path, irregular)
    header, problems = inspect_wav(path)
    if header is None:
        if problems[0].kind == "audio-unreadable":
            raise _refusal(path, problems[0].message)
        if path.stat().st_size == 0:
            raise _refusal(path, "is empty (0 bytes)")
        return _read_with_soundfile(path)
    serious = [problem for problem in problems if problem.kind not in _OTHER_FORM]
    if serious:
        raise _refusal(path, serious[0].message)
    if problems:
        return _read_with_soundfile(path)
    wave, rate = read_samples(path)
    return Sound(path, wave[None], rate)


def _read_with_soundfile(path: Path) -> Sound:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            _check_form(path, file)
            waves = file.read(dtype="float32", always_2d=True).T
            declared, rate = file.frames, file.samplerate
    except (soundfile.LibsndfileError, OSError, ValueError, MemoryError) as error:
        raise _refusal(path, f"is no sound file that can be read ({echoed(_words_of(error), 120)})") from error
    if waves.shape[1] < declared:
        raise _refusal(path, f"holds {waves.shape[1]:,} of the {declared:,} samples that it declares")
    return Sound(path, waves, rate)


def _check_form(path: Path, file: Any) -> None:
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        words = f"has a rate of {file.samplerate} Hz, but {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz can be read"
        raise _refusal(path, words)
    if file.frames <= 0:
        raise _refusal(path, "holds no samples")
    if file.frames > min(MOST_FRAMES, LONGEST * file.samplerate) or file.frames * file.channels > MOST_FRAMES:
        raise _refusal(path, f"holds {file.frames:,} samples, but at most {LONGEST:,} s can be read")
    if file.channels > MOST_CHANNELS:
        raise _refusal(path, f"has {file.channels} channels, but at most {MOST_CHANNELS} can be read")


def _words_of(error: BaseException) -> str:
    """What libsndfile says, without the name of the file, which the message has already."""
    return str(getattr(error, "error_string", error)).strip().rstrip(".")


def _refusal(path: Path, what: str) -> DataError:
    return DataError(f"{echoed(path, 300)} {what}.", "Name another file, or write it again as a WAV file.")


def spool_sound(stream: BinaryIO, path: Path) -> Path:
    """Write a sound that comes through a pipe to a file, which then is like any other.

    A program that writes WAV into a pipe does not know how long it will be, and declares the largest size: what came is
    what there is.

    Args:
        stream: Where it comes from.
        path: The file.

    Returns:
        ``path``.

    Raises:
        DataError: If nothing comes, more than a WAV file can hold, or what cannot be read or kept.
    """
    try:
        written = _copied(stream, path)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"The standard input cannot be read, or kept in {path.parent}: {reason}.", advice(error)
        ) from error
    if not written:
        raise DataError("Nothing came through the standard input.", "Does the program before the pipe write a sound?")
    _mend_sizes(path)
    return path


def _copied(stream: BinaryIO, path: Path) -> int:
    """Bytes that came through a stream and are in the file now."""
    written = 0
    with path.open("wb") as file:
        while piece := stream.read(1 << 20):
            written += len(piece)
            if written > MOST_PIPED:
                raise DataError(f"More than {MOST_PIPED:,} bytes came through the standard input, as of no sound file.")
            file.write(piece)
    return written


def _mend_sizes(path: Path) -> None:
    """Have the header of a WAV file that was written into a pipe say how many samples there are."""
    try:
        header = read_header(path)
    except (OSError, ValueError):
        return
    if header.declared < PIPED:
        return
    with path.open("r+b") as file:
        for place, size in ((4, path.stat().st_size - 8), (header.offset - 4, header.frames * header.block)):
            file.seek(place)
            file.write(struct.pack("<I", size))
