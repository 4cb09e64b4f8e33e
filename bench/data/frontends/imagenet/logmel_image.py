"""Front-end ``logmel-image``: log-mel spectrograms as pictures for ImageNet's networks, devices corrected or not.

A reconstruction after Nguyen and Pernkopf 2022. Spectrum correction (Kosmider 2019; Nguyen et al. 2020): with s_d(f)
the mean magnitude of device d at frequency f, frames of the device are multiplied by c_d(f), the mean of s over devices
divided by s_d; here within a limit, because devices that hold nothing above 2 kHz would be raised by 70 dB.

Shapes: B units, K frequencies, T frames of the transform, M mels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.functional import melscale_fbanks

from bench.core.errors import SpecError
from bench.data.frontends.imagenet.card import LogMelImageOptions
from bench.data.frontends.options import SAMPLE_RATE
from bench.data.frontends.waveform import cycles_of, repeated_alike
from bench.data.units import UnitWaves

FFT_SIZE = 4096
"""Frames of 1,024 samples are filled up with zeros: their own frequencies lie 16 Hz apart, and miss low mel filters."""

FLOOR = 1e-10
RANGE = 80.0
"""Decibels below the loudest value of a picture that are kept, librosa's default."""

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

GAIN = "gain."
"""Beginning of the names of what is learnt; the device follows."""


def repeated(units: UnitWaves, samples: int) -> Tensor:
    """Repeat or cut each waveform to a length.

    Args:
        units: The waveforms.
        samples: The length.

    Returns:
        (B, samples) on their device.
    """
    lengths = units.lengths.to(units.samples.device, non_blocking=True)
    places = torch.arange(samples, device=units.samples.device) % lengths[:, None]
    return units.samples.gather(1, places)


@functools.lru_cache(maxsize=4)
def _window(device: torch.device) -> Tensor:
    return torch.hann_window(LogMelImageOptions.WINDOW).to(device)


@functools.lru_cache(maxsize=4)
def _mel_filters(device: torch.device) -> Tensor:
    """(K, M) triangles on the HTK mel scale."""
    options = LogMelImageOptions
    frequencies = FFT_SIZE // 2 + 1
    filters: Tensor = melscale_fbanks(frequencies, options.LOWEST_HZ, options.HIGHEST_HZ, options.MELS, SAMPLE_RATE)
    return filters.to(device)


def power_spectra(waves: Tensor) -> Tensor:
    """Power spectra of frames centred on every 512th sample, edges reflected.

    Args:
        waves: (B, samples) at 16 kHz.

    Returns:
        (B, K, T).
    """
    options = LogMelImageOptions
    spectra = torch.stft(
        waves, FFT_SIZE, options.HOP, options.WINDOW, _window(waves.device), pad_mode="reflect", return_complex=True
    )
    return torch.view_as_real(spectra).square_().sum(-1)


def image_of(power: Tensor, size: int) -> Tensor:
    """Make pictures of power spectra: mels, decibels, 0..1, resized, standardised for ImageNet's networks.

    Args:
        power: (B, K, T).
        size: Rows and columns.

    Returns:
        (B, 3, size, size); rows are frames, columns mels.
    """
    mels = power.transpose(1, 2) @ _mel_filters(power.device)
    decibels = 10 * mels.clamp_min(FLOOR).log10()
    high = decibels.amax(dim=(1, 2), keepdim=True)
    decibels = torch.maximum(decibels, high - RANGE)
    low = decibels.amin(dim=(1, 2), keepdim=True)
    # The smallest normal number in place of zero: silence has no range.
    unit = (decibels - low) / (high - low).clamp_min(torch.finfo(decibels.dtype).tiny)
    grey = functional.interpolate(unit[:, None], (size, size), mode="bilinear", antialias=True)
    mean, deviation = (grey.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return (grey - mean) / deviation


class LogMelImage:
    """The front-end without correction of devices.

    Args:
        options: Length, size and correction.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, options: LogMelImageOptions) -> None:
        self.options = options

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, frames, mels) of one cycle."""
        return self.options.shape

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Bring a recording to 16 kHz and cut it into its cycles.

        Args:
            wave: (samples,) float32, −1..1.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (samples,) float32 of each cycle.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        return cycles_of(wave, rate, spans, name)

    def power(self, units: UnitWaves) -> Tensor:
        """Power spectra (B, K, T) of cycles that were repeated or cut to one length."""
        return power_spectra(repeated(units, self.options.samples))

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn cycles into pictures.

        Args:
            units: Cycles as :meth:`fit` gives them, perhaps augmented.

        Returns:
            (B, 3, size, size) float32.
        """
        return image_of(self.power(units), self.options.size)

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn cycles (B, samples) of one length into pictures (B, 3, size, size)."""
        return image_of(power_spectra(repeated_alike(waves, self.options.samples)), self.options.size)


class CorrectedLogMelImage(LogMelImage):
    """The front-end with devices brought to one mean spectrum, which is learnt from the training rows."""

    def __init__(self, options: LogMelImageOptions) -> None:
        super().__init__(options)
        self.gains: dict[str, Tensor] = {}

    def learn(self, units: Iterable[UnitWaves]) -> dict[str, Tensor]:
        """Learn the gains of each device.

        Args:
            units: The training rows in batches.

        Returns:
            (K,) factors of the magnitude for each device, named ``gain.DEVICE``.
        """
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for batch in units:
            means = super().power(batch).sqrt().mean(dim=2, dtype=torch.float64)
            for device, mean in zip(batch.devices, means, strict=True):
                sums[device] = sums.get(device, 0) + mean
                counts[device] = counts.get(device, 0) + 1
        spectra = {device: total / counts[device] for device, total in sums.items()}
        return {f"{GAIN}{name}": gain for name, gain in gains_of(spectra, self.options.correction_limit).items()}

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Refuse: what a device's spectra are multiplied by depends on the device.

        Raises:
            SpecError: Always.
        """
        raise SpecError("its pictures are corrected for the recording device, which a waveform does not say")

    def use(self, learnt: Mapping[str, Tensor]) -> None:
        """Correct devices by these gains from now on."""
        self.gains = {name.removeprefix(GAIN): gain for name, gain in learnt.items()}

    def power(self, units: UnitWaves) -> Tensor:
        """Power spectra (B, K, T) of the fitted cycles, each corrected for its device."""
        power = super().power(units)
        # A device that no training row is from has no mean spectrum: it stays as it is.
        unknown = torch.ones(power.shape[1])
        gains = torch.stack([self.gains.get(device, unknown) for device in units.devices])
        return power * gains.to(power.device).square()[:, :, None]


def gains_of(spectra: Mapping[str, Tensor], limit: float) -> dict[str, Tensor]:
    """Factors that bring each device's mean magnitude spectrum to the mean of all devices'.

    Args:
        spectra: (K,) mean magnitude of each device.
        limit: Largest change, dB, either way.

    Returns:
        (K,) float32 of each device.
    """
    reference = torch.stack(list(spectra.values())).mean(0)
    most = 10 ** (limit / 20)
    tiny = torch.finfo(torch.float64).tiny
    return {
        # Where nothing is anywhere there is nothing to correct.
        device: torch.where(reference > 0, (reference / own.clamp_min(tiny)).clamp(1 / most, most), 1.0).float()
        for device, own in spectra.items()
    }


def build(options: LogMelImageOptions) -> LogMelImage:
    """Build the front-end that the options describe."""
    return CorrectedLogMelImage(options) if options.spectrum_correction else LogMelImage(options)
