"""Front-end ``waveform``: cycles themselves at one length, for encoders that listen to waveforms."""

from __future__ import annotations

from torch import Tensor

from bench.data.frontends.encoders.fitting import EncoderFrontEnd, fitted_cycles
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


def _standardise_(wave: Tensor) -> None:
    """Bring a waveform (samples,) to zero mean and unit variance, in place."""
    wave.sub_(wave.mean()).div_((wave.var(correction=0) + LEAST_VARIANCE).sqrt())
