"""Front-end ``kaldi-fbank``: torchaudio's Kaldi filter bank with the numbers of a checkpoint's feature extractor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.compliance import kaldi

from bench.data.frontends.encoders.fitting import EncoderFrontEnd, fitted_cycle
from bench.data.frontends.encoders.options import KaldiFbankOptions
from bench.data.units import UnitWaves


class KaldiFbankFrontEnd(EncoderFrontEnd[KaldiFbankOptions]):
    """The front-end of AST and BEATs checkpoints.

    With ``fit=pad`` it is the feature extractor: frames beyond the end of a cycle are zero before the normalisation.

    Args:
        options: Its options.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle."""
        return self.options.shape

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn cycles into filter banks, on their device.

        Args:
            units: Cycles as :meth:`fit` gives them.

        Returns:
            (units, frames, mels) float32.
        """
        values = torch.stack([self._log_mels(wave) for wave in units.waves()])
        return (values - self.options.mean) / (2 * self.options.std) if self.options.normalise else values

    def _log_mels(self, wave: Tensor) -> Tensor:
        """The filter bank (frames, mels) of a cycle (samples,); zero where it has no frames."""
        options = self.options
        if options.fit == "pad":
            # A frame at least: Kaldi makes none of less.
            wave = functional.pad(wave[: options.samples], (0, max(0, options.frame - wave.numel())))
        else:
            wave = fitted_cycle(wave, options.samples, options.fit)
        found: Tensor = kaldi.fbank(
            wave[None] * options.scale,
            sample_frequency=float(options.rate),
            window_type=options.window,
            num_mel_bins=options.mels,
        )
        return functional.pad(found, (0, 0, 0, options.frames - len(found)))
