"""Patches of gammatone or mel spectrograms of a cycle, each a piece that is judged by itself (Pham et al. 2021)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bench.data.frontends.gammatone.card import GammatoneOptions
from bench.data.frontends.gammatone.filters import erb_spaced_centres, gammatone_responses
from bench.data.frontends.options import SAMPLE_RATE
from bench.data.frontends.waveform import cycles_of, repeat_, repeated_alike
from bench.data.units import UnitWaves


def repeated(wave: Tensor, samples: int) -> Tensor:
    """Bring a waveform to a length: repeated from its start or cut, without a fade.

    Args:
        wave: (n,), n > 0.
        samples: The length.

    Returns:
        (samples,), of its own memory where it was repeated.
    """
    if wave.numel() >= samples:
        return wave[:samples]
    result = wave.new_empty(samples)
    result[: wave.numel()] = wave
    repeat_(result, wave.numel())
    return result


@functools.lru_cache(maxsize=8)
def filter_weights(options: GammatoneOptions, device: torch.device) -> Tensor:
    """Weights of the filters over the bins of a power spectrum: (bins, bands) float32."""
    bins = options.WINDOW // 2 + 1
    if options.bank == "mel":
        from torchaudio.functional import melscale_fbanks

        weights: Tensor = melscale_fbanks(bins, options.lowest_hz, options.highest_hz, options.bands, SAMPLE_RATE)
        return weights.to(device)
    centres = erb_spaced_centres(options.lowest_hz, options.highest_hz, options.bands)
    responses = gammatone_responses(np.linspace(0, SAMPLE_RATE / 2, bins), centres)
    return torch.from_numpy(responses).float().to(device)


class GammatoneFrontEnd:
    """The front-end of C-DNN and CNN-MoE.

    Args:
        options: Length, filters and patches.
    """

    def __init__(self, options: GammatoneOptions) -> None:
        self.options = options

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, bands) of one patch."""
        return self.options.shape

    sample_rate = SAMPLE_RATE

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Cut a recording into the patches of its cycles, at 16 kHz; a patch overlaps the next by a window less a hop.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (patch samples,) float32 of each patch, those of the first cycle first.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        cycles = cycles_of(wave, rate, spans, name)
        counts = self.options.pieces([end - start for start, end in spans])
        return [patch for cycle, count in zip(cycles, counts, strict=True) for patch in self._patches(cycle, count)]

    def _patches(self, cycle: Tensor, count: int) -> list[Tensor]:
        size, shift = self.options.patch_samples, self.options.patch_shift
        # To the samples that all patches cover: an annotated end may lie beyond that of the recording.
        cycle = repeated(cycle, (count - 1) * shift + size)
        return [cycle[i * shift : i * shift + size] for i in range(count)]

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn patches of sound into pictures: power of each filter in each frame, in decibels.

        Args:
            units: Patches as :meth:`fit` gives them; what is longer is cut, what is shorter repeated.

        Returns:
            (units, frames, bands) float32, dB.
        """
        return self._decibels(torch.stack([repeated(wave, self.options.patch_samples) for wave in units.waves()]))

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn patches of sound (units, samples) of one length into pictures (units, frames, bands), dB."""
        return self._decibels(repeated_alike(waves, self.options.patch_samples))

    def _decibels(self, waves: Tensor) -> Tensor:
        options = self.options
        frames = waves.unfold(1, options.WINDOW, options.hop) * torch.hann_window(options.WINDOW, device=waves.device)
        power = torch.fft.rfft(frames).abs().square()
        filtered = power @ filter_weights(options, waves.device)
        decibels: Tensor = 10 * filtered.clamp_min(options.SILENCE).log10()
        return decibels
