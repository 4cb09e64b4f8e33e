"""Front-end ``stft-mel``: log-mel spectrograms of a short-time Fourier transform, for CLAP and Whisper checkpoints."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from bench.data.frontends.encoders.fitting import EncoderFrontEnd, fitted_alike, fitted_cycles
from bench.data.frontends.encoders.options import STFTMelOptions
from bench.data.units import UnitWaves

LEAST_ENERGY = 1e-10
"""Smallest energy that a logarithm is taken of, in both feature extractors."""

WHISPER_RANGE = 8.0
"""Powers of ten below the largest value at which Whisper cuts off."""


@functools.lru_cache(maxsize=8)
def _mel_filters(options: STFTMelOptions, device: torch.device) -> Tensor:
    """(frequencies, mels) float64, made once."""
    from torchaudio.functional import melscale_fbanks

    filters: Tensor = melscale_fbanks(
        options.window // 2 + 1,
        options.lowest_hz,
        options.highest_hz,
        options.mels,
        options.rate,
        norm="slaney" if options.filters == "slaney" else None,
        mel_scale=options.filters,
    )
    return filters.double().to(device)


class STFTMelFrontEnd(EncoderFrontEnd[STFTMelOptions]):
    """The front-end of CLAP and Whisper checkpoints.

    Args:
        options: Its options.

    Raises:
        SpecError: If the options exclude one another.
    """

    def __init__(self, options: STFTMelOptions) -> None:
        options.check()
        super().__init__(options)

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle."""
        return self.options.shape

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn cycles into log-mel spectrograms, on their device.

        Args:
            units: Cycles as :meth:`fit` gives them.

        Returns:
            (units, frames, mels) float32.
        """
        return self._log_mels(fitted_cycles(units, self.options.samples, self.options.fit))

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn cycles (units, samples) of one length into what :meth:`picture` gives."""
        return self._log_mels(fitted_alike(waves, self.options.samples, self.options.fit))

    def _log_mels(self, waves: Tensor) -> Tensor:
        """Log-mel spectrograms of fitted cycles (units, samples)."""
        options = self.options
        # In float64, as the feature extractors: decibels of next to nothing are differences of the last bits.
        window = torch.hann_window(options.window, dtype=torch.float64, device=waves.device)
        spectra = torch.stft(waves.double(), options.window, options.hop, window=window, return_complex=True)
        energies = spectra.abs().square().transpose(1, 2) @ _mel_filters(options, waves.device)
        logarithms = energies.clamp_min(LEAST_ENERGY).log10()
        return (10 * logarithms if options.law == "decibel" else _whisper_law(logarithms)).float()


def _whisper_law(logarithms: Tensor) -> Tensor:
    """Whisper's values of (units, frames + 1, mels) logarithms: without the last frame, cut off, about -1..1."""
    kept = logarithms[:, :-1]
    kept = torch.maximum(kept, kept.amax(dim=(1, 2), keepdim=True) - WHISPER_RANGE)
    return (kept + 4) / 4
