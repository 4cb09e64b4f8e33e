"""Front-end ``kaldi-fbank``: torchaudio's Kaldi filter bank with the numbers of a checkpoint's feature extractor."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.compliance import kaldi

from bench.data.frontends.ast import traced_filter_bank
from bench.data.frontends.encoders.fitting import EncoderFrontEnd, fitted_alike, fitted_cycle, given_samples
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
        return self._normalised(values)

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn cycles (units, samples) of one length into what :meth:`picture` gives."""
        options = self.options
        fitted = options.scale * fitted_alike(waves, options.samples, options.fit)
        values = traced_filter_bank(fitted, options.shift, _window(options), _mel_filters(options))
        if options.fit == "pad":
            # Those that reach beyond the end are zero, but for the first.
            last = torch.div(
                given_samples(waves, options.samples) - options.frame, options.shift, rounding_mode="floor"
            )
            is_there = torch.arange(options.frames, device=waves.device) <= last.clamp(min=0)
            values = torch.where(is_there[:, None], values, 0.0)
        return self._normalised(values)

    def _normalised(self, values: Tensor) -> Tensor:
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


POVEY = 0.85
"""Power of a Hann window that Kaldi's own window is."""


@functools.lru_cache(maxsize=8)
def _window(options: KaldiFbankOptions) -> Tensor:
    """(frame,): as Kaldi's, zero at both ends."""
    hann = torch.hann_window(options.frame, periodic=False)
    return hann.pow(POVEY) if options.window == "povey" else hann


@functools.lru_cache(maxsize=8)
def _mel_filters(options: KaldiFbankOptions) -> Tensor:
    """(frequencies, mels) of a frame that is filled up to the next power of two."""
    size = 1 << (options.frame - 1).bit_length()
    # From 20 Hz to half the rate (0.0 says so); a warp factor of 1.0 leaves the other cut-offs without effect.
    filters, _ = kaldi.get_mel_banks(options.mels, size, float(options.rate), 20.0, 0.0, 100.0, -500.0, 1.0)
    return functional.pad(filters, (0, 1)).T.contiguous()
