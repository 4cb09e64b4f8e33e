"""Front-end ``waveform``: cycles themselves at one length, for encoders that listen to waveforms."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.frontends.encoders.fitting import (
    EncoderFrontEnd,
    fitted_alike,
    fitted_cycles,
    given_samples,
)
from bench.data.frontends.encoders.options import LENGTH, WAVE, WaveformOptions
from bench.data.units import Inputs, UnitWaves

LEAST_VARIANCE = 1e-7
"""What is added to the variance before it is divided by, as wav2vec2's feature extractor does."""


class WaveformFrontEnd(EncoderFrontEnd[WaveformOptions]):
    """The front-end of wav2vec2, HuBERT, WavLM and data2vec-audio checkpoints.

    Args:
        options: Its options.
    """

    @property
    def shape(self) -> tuple[int] | dict[str, tuple[int]]:
        """(samples,) of one cycle, or such a shape for each name."""
        return self.options.shape

    def picture(self, units: UnitWaves) -> Inputs:
        """Bring cycles to one length and scale, on their device.

        Args:
            units: Cycles as :meth:`fit` gives them.

        Returns:
            (units, samples) float32, with their lengths (units, 1) where the options ask for them.
        """
        options = self.options
        waves = fitted_cycles(units, options.samples, options.fit)
        lengths = units.lengths.clamp(max=options.samples)
        has_lengths = isinstance(options.shape, dict)
        if options.normalise:
            for wave, length in zip(waves, lengths.tolist(), strict=True):
                # As the feature extractor: the zeros are left out where the model is told of them.
                _standardise_(wave[:length] if has_lengths else wave)
        return {WAVE: waves, LENGTH: lengths.to(waves)[:, None]} if has_lengths else waves

    def traced_picture(self, waves: Tensor) -> Inputs:
        """Bring cycles (units, n) of one length to what :meth:`picture` gives."""
        options, has_lengths = self.options, isinstance(self.options.shape, dict)
        fitted, given = fitted_alike(waves, options.samples, options.fit), given_samples(waves, options.samples)
        if options.normalise:
            fitted = _standardised_beginnings(fitted, given) if has_lengths else _standardised(fitted)
        # The same for each row, of which a trace knows not how many there are.
        lengths = torch.zeros_like(fitted[:, :1]) + given
        return {WAVE: fitted, LENGTH: lengths} if has_lengths else fitted


def _standardised(waves: Tensor) -> Tensor:
    """Waveforms (units, samples), each brought to zero mean and unit variance."""
    centred = waves - waves.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + LEAST_VARIANCE).sqrt()


def _standardised_beginnings(waves: Tensor, given: Tensor) -> Tensor:
    """The same by, and of, the first samples alone; zeros follow them.

    Args:
        waves: (units, samples), zero from the sample ``given`` on.
        given: Number of the first samples: () int64.
    """
    is_given = torch.arange(waves.shape[1], device=waves.device) < given
    centred = torch.where(is_given, waves - waves.sum(1, keepdim=True) / given, 0.0)
    return centred / (centred.square().sum(1, keepdim=True) / given + LEAST_VARIANCE).sqrt()


def _standardise_(wave: Tensor) -> None:
    """Bring a waveform (samples,) to zero mean and unit variance, in place."""
    wave.sub_(wave.mean()).div_((wave.var(correction=0) + LEAST_VARIANCE).sqrt())
