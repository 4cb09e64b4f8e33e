"""From a recording to cycles at an encoder's rate, and from cycles of any length to one length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.data.frontends.options import SAMPLE_RATE
from bench.data.frontends.waveform import cycle_samples, repeat_, resample_recording
from bench.data.units import UnitWaves


def cycles_at_rate(
    wave: Tensor, rate: int, wanted: int, spans: Sequence[tuple[float, float]], name: str
) -> list[Tensor]:
    """Bring a whole recording to a rate and cut it into its cycles.

    Args:
        wave: (samples,) float32 at ``rate``; not changed.
        rate: Hz.
        wanted: The rate of the cycles, Hz.
        spans: Start and end of each cycle, seconds.
        name: Name by which messages call the recording.

    Returns:
        (samples,) of each cycle, which share the memory of the recording.

    Raises:
        DataError: If a cycle holds no sample.
    """
    recording = _resampled(wave, rate, wanted)
    return [recording[place] for place in cycle_samples(spans, recording.numel(), name, rate=wanted)]


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
