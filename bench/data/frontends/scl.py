"""Front-end ``scl``: log-mel spectrograms of Moummad & Farrugia 2023 (ilyassmoummad/scl_icbhi2017 @ 76c4c99).

Each cycle is cut from the recording at its own rate, resampled to 16 kHz, faded in and out, repeated to 8 s with a
fade-out, and turned into 64 mels of 50-2000 Hz every 32 ms in decibels, by torchaudio's own transforms. Decibels are
brought to 0..1 by their smallest and largest value and standardised with the authors' constants.

The authors take these two values over the whole batch, so that a cycle's features depend on the clips beside it, in
training and in the test. That is the named quirk ``normalise=batch``, which the recipes of the paper profile ask for;
the default takes them over the cycle.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from bench.data.frontends.options import SAMPLE_RATE, SCL_MEAN, SCL_STD, SCLFrontEndOptions
from bench.data.frontends.waveform import cycle_samples, fade_, fit_alike, fit_units, resample_recording
from bench.data.units import UnitWaves


@functools.lru_cache(maxsize=4)
def _decibel_transform(device: torch.device) -> torch.nn.Module:
    options = SCLFrontEndOptions
    # Everything else as torchaudio has it: Hann window of n_fft samples, frames centred with reflected edges, power,
    # and no floor below the loudest value.
    mel = MelSpectrogram(
        SAMPLE_RATE,
        n_fft=options.WINDOW,
        hop_length=options.HOP,
        n_mels=options.MELS,
        f_min=options.LOWEST_HZ,
        f_max=options.HIGHEST_HZ,
    )
    return torch.nn.Sequential(mel, AmplitudeToDB()).to(device)


def normalise(decibels: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Bring decibels to 0..1 and standardise them with the authors' mean and deviation.

    Args:
        decibels: (batch, ..., frames, mels).
        low: (batch,) what becomes 0; the smallest value of each row's group.
        high: (batch,) what becomes 1. A group without any difference becomes 0 throughout.

    Returns:
        The same shape as ``decibels``.

    Source: ilyassmoummad/scl_icbhi2017 @ 76c4c99, ``utils.py`` lines 9-11 and ``augmentations.py``.
    """
    shape = (-1, *[1] * (decibels.ndim - 1))
    # The smallest normal number in place of zero: silence has no range, and 0 / 0 is not a number.
    span = (high - low).clamp_min(torch.finfo(decibels.dtype).tiny).view(shape)
    return ((decibels - low.view(shape)) / span - SCL_MEAN) / SCL_STD


def _normalised_by_itself(decibels: Tensor) -> Tensor:
    return normalise(decibels, decibels.amin(dim=(1, 2)), decibels.amax(dim=(1, 2)))


def _decibels(fitted: Tensor) -> Tensor:
    """Spectrograms (units, frames, mels) in decibels of cycles (units, samples) of the length of a clip."""
    decibels: Tensor = _decibel_transform(fitted.device)(fitted)
    return decibels.transpose(1, 2).contiguous()


class DecibelFrontEnd:
    """Mel spectrograms in decibels, not yet normalised: what both kinds of normalisation begin with.

    Args:
        options: Length and normalisation.
    """

    def __init__(self, options: SCLFrontEndOptions) -> None:
        self.options = options

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle."""
        return self.options.shape

    sample_rate = SAMPLE_RATE

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Cut a recording into its cycles, each at 16 kHz and faded in and out.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (samples,) float32 of each cycle.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        places = cycle_samples(spans, wave.numel(), name, rate=rate)
        # Cut first, then resampled, as the authors do; the copy keeps the fade out of the caller's recording.
        return [fade_(resample_recording(wave[place], rate).clone()) for place in places]

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn cycles into spectrograms: repeated or cut to one length, mels, decibels.

        Args:
            units: Cycles as :meth:`fit` gives them.

        Returns:
            (units, frames, mels) float32, decibels.
        """
        return _decibels(fit_units(units, self.options.samples))

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn cycles (units, samples) of one length into spectrograms (units, frames, mels), decibels."""
        return _decibels(fit_alike(waves, self.options.samples))


class SCLFrontEnd(DecibelFrontEnd):
    """The front-end with each cycle normalised by its own smallest and largest value."""

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn cycles into spectrograms, each normalised by its own extremes.

        Args:
            units: Cycles as :meth:`fit` gives them.

        Returns:
            (units, frames, mels) float32.
        """
        return _normalised_by_itself(super().picture(units))

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn cycles (units, samples) of one length into spectrograms (units, frames, mels)."""
        return _normalised_by_itself(super().traced_picture(waves))


class BatchSCLFrontEnd(DecibelFrontEnd):
    """The front-end with the authors' quirk: normalised by the extremes of the batch that a cycle comes in."""

    @property
    def evaluation_batch(self) -> int:
        """Cycles that share their extremes in an evaluation, in the data set's order."""
        return self.options.evaluation_batch

    def normalise(self, features: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Bring decibels to 0..1 by the extremes of each row's group and standardise them, by :func:`normalise`.

        Args:
            features: (batch, 1, frames, mels), decibels.
            low: (batch,) smallest value of each row's group.
            high: (batch,) largest value of each row's group.

        Returns:
            (batch, 1, frames, mels).
        """
        return normalise(features, low, high)


def build(options: SCLFrontEndOptions) -> DecibelFrontEnd:
    """Build the front-end that the options describe: normalised by the cycle, or by the batch."""
    return BatchSCLFrontEnd(options) if options.normalise == "batch" else SCLFrontEnd(options)
