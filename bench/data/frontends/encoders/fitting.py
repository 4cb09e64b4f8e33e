"""From a recording to cycles at an encoder's rate, and from cycles of any length to one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from bench.data.frontends.options import SAMPLE_RATE
from bench.data.frontends.waveform import (
    cycle_samples,
    number_of_samples,
    repeat_,
    repeated_alike,
    resample_recording,
)
from bench.data.units import UnitWaves


class RatedOptions(Protocol):
    """Options with a rate of the cycles."""

    @property
    def rate(self) -> int:
        """Hz."""
        ...


Options = TypeVar("Options", bound=RatedOptions)


class EncoderFrontEnd(Generic[Options]):
    """The first half that front-ends of encoders share: cycles at the rate of their options.

    Args:
        options: The front-end's options.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def sample_rate(self) -> int:
        """Rate of the cycles, Hz."""
        return self.options.rate

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Bring a whole recording to the encoder's rate and cut it into its cycles.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (samples,) float32 of each cycle, which share the memory of the recording.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        recording = _resampled(wave, rate, self.options.rate)
        places = cycle_samples(spans, recording.numel(), name, rate=self.options.rate)
        return [recording[place] for place in places]


def _resampled(wave: Tensor, rate: int, wanted: int) -> Tensor:
    if wanted == SAMPLE_RATE:
        return resample_recording(wave, rate)
    if wanted == rate:
        return wave
    from torchaudio.functional import resample

    resampled: Tensor = resample(wave, rate, wanted)
    return resampled


def fitted_cycle(cycle: Tensor, samples: int, fit: str) -> Tensor:
    """Bring a cycle to a length: a longer one is cut, a shorter one repeated or filled up.

    Args:
        cycle: (n,), n > 0.
        samples: The length.
        fit: One of :data:`bench.data.frontends.encoders.options.FITS`.

    Returns:
        (samples,), in memory of its own.
    """
    out = cycle.new_zeros(samples)
    given = min(cycle.numel(), samples)
    out[:given] = cycle[:given]
    if fit == "repeat":
        repeat_(out, given)
    elif fit == "repeatpad":
        repeat_(out[: samples // given * given], given)
    return out


def fitted_cycles(units: UnitWaves, samples: int, fit: str) -> Tensor:
    """Bring a batch of waveforms to a length, each by :func:`fitted_cycle`, on the device of the batch.

    Args:
        units: The batch.
        samples: The length.
        fit: One of :data:`bench.data.frontends.encoders.options.FITS`.

    Returns:
        (units, samples).
    """
    return torch.stack([fitted_cycle(wave, samples, fit) for wave in units.waves()])


def given_samples(waves: Tensor, samples: int) -> Tensor:
    """How many samples of a fitted cycle are those of waveforms (units, n) themselves; a trace leaves the number open.

    Args:
        waves: The waveforms, of one length.
        samples: Of a fitted cycle.
    """
    return number_of_samples(waves).clamp(max=samples)


def fitted_alike(waves: Tensor, samples: int, fit: str) -> Tensor:
    """Bring waveforms of one length to another, as :func:`fitted_cycle` does; a trace leaves their length open.

    Args:
        waves: (units, n), n > 0.
        samples: The length that they get.
        fit: One of :data:`bench.data.frontends.encoders.options.FITS`.

    Returns:
        (units, samples).
    """
    repeated = repeated_alike(waves, samples)
    if fit == "repeat":
        return repeated
    given = given_samples(waves, samples)
    whole = torch.full_like(given, samples)
    filled = given if fit == "pad" else whole - whole % given
    return torch.where(torch.arange(samples, device=waves.device) < filled, repeated, 0.0)
