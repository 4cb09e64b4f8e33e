"""Front-end ``log-mel-segments``: mel spectrograms in decibels of equal segments of a cycle, each a row of its own.

The spectrogram is that of PANNs at 16 kHz (qiuqiangkong/audioset_tagging_cnn @ d2f4b8c): Hann window, frames centred
with reflected edges, power, Slaney's mel filters of equal area, and ten times the decimal logarithm above 1e-10.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

from bench.data.frontends.ast import ASTFrontEnd
from bench.data.frontends.options import SAMPLE_RATE, ASTFrontEndOptions
from bench.data.frontends.segments.card import SegmentOptions
from bench.data.frontends.waveform import fit_cycle, repeat_, repeated_alike
from bench.data.units import UnitWaves

SMALLEST_POWER = 1e-10
# Of silence, whose decibels are all alike.
SMALLEST_DEVIATION = 1e-3


@functools.lru_cache(maxsize=8)
def _mel_transform(mels: int, window: int, device: torch.device) -> torch.nn.Module:
    transform: torch.nn.Module = MelSpectrogram(
        SAMPLE_RATE,
        n_fft=window,
        hop_length=SegmentOptions.HOP,
        n_mels=mels,
        f_min=SegmentOptions.LOWEST_HZ,
        f_max=SegmentOptions.HIGHEST_HZ,
        norm="slaney",
        mel_scale="slaney",
    ).to(device)
    return transform


def repeated_units(units: UnitWaves, samples: int) -> Tensor:
    """Bring waveforms to one length: cut, or repeated from their beginning; nothing is faded.

    Args:
        units: The batch.
        samples: The length.

    Returns:
        (units, samples).
    """
    fitted = units.samples.new_empty(len(units), samples)
    for wave, out in zip(units.waves(), fitted, strict=True):
        given = min(wave.numel(), samples)
        out[:given] = wave[:given]
        repeat_(out, given)
    return fitted


class SegmentFrontEnd:
    """Log-mel spectrograms of the segments of a cycle.

    Args:
        options: Lengths, spectrogram and normalisation.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, options: SegmentOptions) -> None:
        self.options = options
        self._cycles = ASTFrontEnd(ASTFrontEndOptions(seconds=options.seconds))

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one segment."""
        return self.options.shape

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Cut a recording into its cycles as front-end ``ast`` does, bring each to its length, and cut it again.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (samples,) float32 of each segment, those of the first cycle first, at 16 kHz.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        segments, samples = self.options.segments, self.options.samples
        found: list[Tensor] = []
        for cycle in self._cycles.fit(wave, rate, spans, name=name):
            fitted = torch.empty(segments * samples)
            fit_cycle(cycle, fitted)
            found += fitted.view(segments, samples).unbind()
        return found

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn segments into spectrograms, on their device.

        Args:
            units: Segments as :meth:`fit` gives them.

        Returns:
            (units, frames, mels) float32, decibels, or those standardised by the segment.
        """
        return self._spectrograms(repeated_units(units, self.options.samples))

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn segments (units, samples) of one length into spectrograms (units, frames, mels)."""
        return self._spectrograms(repeated_alike(waves, self.options.samples))

    def _spectrograms(self, waves: Tensor) -> Tensor:
        power: Tensor = _mel_transform(self.options.mels, self.options.window, waves.device)(waves)
        decibels = 10 * power.clamp_min(SMALLEST_POWER).log10().mT.contiguous()
        return decibels if self.options.normalise == "none" else _standardised(decibels)


def _standardised(decibels: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(decibels, dim=(1, 2), keepdim=True, correction=0)
    return (decibels - mean) / deviation.clamp_min(SMALLEST_DEVIATION)
