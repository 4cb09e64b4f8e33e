"""Spectrograms as the official code makes them: one cycle after the other, every filter made anew, kept in a list.

Source of the steps: Bae et al. 2023, section 3.2; torchaudio's functions as the official code calls them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
from torch import Tensor

RATE = 16_000
SECONDS = 8.0
FADE = RATE // 16
"""Samples over which a waveform is faded, 62.5 ms."""

MEAN, DEVIATION = -4.2677393, 4.5689974
"""Of AudioSet, by which AST normalises."""


def prepare_recording(audio: Path, spans: Sequence[tuple[float, float]]) -> list[Tensor]:
    """The spectrogram of each cycle of a recording.

    Args:
        audio: A WAV file.
        spans: Start and end of each cycle, seconds.

    Returns:
        (frames, 128) of each.
    """
    samples, rate = soundfile.read(audio, dtype="float32")
    return recording_spectrograms(torch.from_numpy(samples), rate, spans)


def recording_spectrograms(samples: Tensor, rate: int, spans: Sequence[tuple[float, float]]) -> list[Tensor]:
    """The spectrogram of each cycle of a recording in memory.

    Args:
        samples: (samples,), −1..1.
        rate: Its sampling rate, Hz.
        spans: Start and end of each cycle, seconds.

    Returns:
        (frames, 128) of each.
    """
    from torchaudio.transforms import Fade, Resample

    wave = Fade(FADE, FADE, "linear")(Resample(rate, RATE)(samples[None]))
    found = []
    for start, end in spans:
        length = wave.shape[1]
        cycle = wave[:, min(int(start * RATE), length) : min(int(end * RATE), length)]
        found.append(_spectrogram(_of_one_length(cycle)))
    return found


def _of_one_length(cycle: Tensor) -> Tensor:
    """A cycle cut, or repeated and faded at its end, to eight seconds: (1, samples)."""
    from torchaudio.transforms import Fade

    target = int(SECONDS * RATE)
    if cycle.shape[1] > target:
        return cycle[:, :target]
    times = -(-target // cycle.shape[1])
    return Fade(0, FADE, "linear")(cycle.repeat(1, times)[:, :target])  # type: ignore[no-any-return]


def _spectrogram(wave: Tensor) -> Tensor:
    from torchaudio.compliance.kaldi import fbank

    bank: Tensor = fbank(
        wave,
        htk_compat=True,
        sample_frequency=RATE,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=128,
        dither=0.0,
        frame_shift=10,
    )
    return (bank - MEAN) / (2 * DEVIATION)
