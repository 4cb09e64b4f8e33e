"""From sound files to recordings that can be classified: the channels that are heard, the cycles, and what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import torch

from bench.core.errors import BenchError, DataError, SpecError
from bench.core.text import counted_noun, echoed
from bench.data.dataset import Recording
from bench.data.heard_cycles import CycleFinder, HeardCycles
from bench.data.sound_files import NotFound, SoundFile
from bench.data.sounds import Sound, read_sound, spool_sound
from bench.engine.prediction import Heard, Scored

ALL_CHANNELS = "all"

Note = Callable[[str, str], None]
"""Told of something to be known of a file: its name as it is shown, and a sentence."""


@dataclass(frozen=True)
class Origin:
    """Where a recording that is being classified is from.

    Attributes:
        file: The file.
        channel: Number of the channel, from 1; 0 of a file that cannot be read.
        sound_channels: How many channels the file has.
        rate: Samples per second of the file.
        seconds: Length in seconds.
        path: Where the sound lies; of the standard input a temporary file.
        found: Its cycles; None of a file that cannot be read.
    """

    file: SoundFile
    channel: int
    sound_channels: int
    rate: int
    seconds: float
    path: Path
    found: HeardCycles | None


class RecordingReader:
    """Reads the recordings of sound files: each channel that is heard is one.

    Args:
        finder: Finds the cycles.
        channel: Number of the channel of files with several, ``all``, or None to refuse these.
        device: What recorded the files; None for what names and annotations say.
        note: Told of what is to be known of a file.
    """

    def __init__(self, finder: CycleFinder, channel: str | None, device: str | None, note: Note) -> None:
        self._finder, self._channel, self._device, self._note = finder, channel, device, note

    def read(self, file: SoundFile | NotFound, folder: Path) -> Iterator[Heard[Origin] | Scored[Origin]]:
        """The channels of a file that are heard, or what is wrong with it.

        Args:
            file: The file.
            folder: Where a sound of the standard input is kept meanwhile.
        """
        if isinstance(file, NotFound):
            yield Scored(_nowhere(file.shown), error=file.error)
            return
        kept = folder / "stdin.wav"
        try:
            sound = read_sound(file.path or spool_sound(_standard_input(), kept))
            channels = self._channels(sound, file)
            found = self._finder.find(sound, _name(file), beside=file.path is not None)
        except BenchError as error:
            # Where a sound from the standard input lay for the moment tells nobody anything.
            words = error.detached().message.replace(str(kept), file.shown)
            yield Scored(_nowhere(file.shown), error=type(error)(words, error.hint))
            return
        for sentence in found.notes:
            self._note(file.shown, sentence)
        for channel in channels:
            yield self._of_channel(sound, channel, found, file)

    def device_of(self, found: HeardCycles) -> str:
        """What recorded a file; empty where nothing says it."""
        return self._device if self._device is not None else found.device

    def _channels(self, sound: Sound, file: SoundFile) -> list[int]:
        """Numbers of the channels that are heard; several are never mixed."""
        number = len(sound.waves)
        if self._channel == ALL_CHANNELS:
            return list(range(1, number + 1))
        if self._channel is None:
            if number == 1:
                return [1]
            raise DataError(
                f"{echoed(file.shown, 300)} has {number} channels, and they are not mixed.",
                f"Say which is heard with --channel N (1 to {number}), or hear each by itself with --channel all.",
            )
        if int(self._channel) > number:
            raise DataError(
                f"{echoed(file.shown, 300)} has {counted_noun(number, 'channel')}, but --channel is {self._channel}.",
                "Name a channel that it has, or --channel all.",
            )
        return [int(self._channel)]

    def _of_channel(
        self, sound: Sound, channel: int, found: HeardCycles, file: SoundFile
    ) -> Heard[Origin] | Scored[Origin]:
        wave = sound.waves[channel - 1]
        origin = Origin(file, channel, len(sound.waves), sound.rate, sound.seconds, sound.path, found)
        if not (wave != wave[0]).any():
            where = f", channel {channel}," if len(sound.waves) > 1 else ""
            words = f"{echoed(file.shown, 300)}{where} is silent: all of its samples are {float(wave[0]):g}."
            return Scored(origin, error=DataError(words, "Was the stethoscope switched on?"))
        recording = Recording(
            _name(file),
            "",
            "",
            "",
            "",
            self.device_of(found),
            "",
            None,
            found.annotation or sound.path,
            found.cycles,
            sound.header,
        )
        # Of several channels a copy: the others need not stay in memory.
        return Heard(recording, torch.from_numpy(wave if len(sound.waves) == 1 else wave.copy()), sound.rate, origin)


def _standard_input() -> BinaryIO:
    """The standard input, where something comes through it."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        hint = "Pipe a sound into the command: … | bench predict RUN -"
        raise DataError("Nothing comes through the standard input, which is a terminal.", hint)
    return cast(BinaryIO, stream)


def _name(file: SoundFile) -> str:
    return Path(file.shown).stem


def _nowhere(shown: str) -> Origin:
    return Origin(SoundFile(shown, None), 0, 0, 0, 0.0, Path(shown), None)


def checked_channel(channel: int | str | None) -> str | None:
    """A channel as a caller names it, as :class:`RecordingReader` takes it.

    Raises:
        SpecError: If it is neither a number from 1 nor ``all``.
    """
    if channel is None or channel == ALL_CHANNELS:
        return channel
    word = str(channel)
    if not (word.isascii() and word.isdigit() and len(word) <= 4 and 1 <= int(word) <= 1000):
        raise SpecError(f"channel is '{echoed(word)}', but must be a number from 1, or {ALL_CHANNELS}.")
    return word
