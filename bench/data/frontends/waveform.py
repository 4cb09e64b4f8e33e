"""Waveforms before any spectrogram: resampling to 16 kHz, fades, cycles of one length; shared by the front-ends.

The reference is torchaudio: ``transforms.Resample`` (windowed sinc, Hann, half-width 6, roll-off 0.99) and
``transforms.Fade`` (linear). Resampling kernels are made once, not once per file; a kernel is a band (at 44.1 kHz each
of its 160 phases has about 34 taps in a row of 475), so neighbouring phases form small dense matrix products over the
few samples that they share.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.errors import DataError
from bench.data.frontends.options import SAMPLE_RATE
from bench.data.spans import resampled_length, samples_between
from bench.data.units import UnitWaves

CPU = torch.device("cpu")

FADE = SAMPLE_RATE // 16
"""Samples of a fade (62.5 ms)."""

# Half-width of the filter in zero crossings, and its cut-off as a share of the lower Nyquist frequency: torchaudio's
# defaults, which the official code uses.
SINC_ZEROS = 6
ROLL_OFF = 0.99
# Outputs of one matrix product in resampling: more waste the band's zeros, fewer waste the matrix unit.
PHASES_PER_BAND = 32


@dataclass(frozen=True)
class Band:
    """The filters of neighbouring outputs over the inputs that they share.

    Attributes:
        first: Number of the first input that the product reads, counted from the start of its row.
        outputs: Numbers of the outputs that the product makes in a row.
        kernel: (inputs, outputs) float32.
    """

    first: int
    outputs: slice
    kernel: Tensor


@dataclass(frozen=True)
class Resampler:
    """Bands that turn every ``inputs`` samples into ``outputs`` samples.

    Attributes:
        inputs: Samples from one row to the next.
        outputs: Samples that a row makes.
        margin: Samples that a row reads beyond both of its ends, at most.
        bands: The filters.
    """

    inputs: int
    outputs: int
    margin: int
    bands: tuple[Band, ...]


def _sinc_kernel(positions: Tensor, phases: Tensor, old: int, new: int) -> Tensor:
    """Weights of inputs (inputs, 1) for output phases (1, outputs); phases in float32, as torchaudio has them."""
    base = min(old, new) * ROLL_OFF
    # In float64, as torchaudio computes its kernels.
    t = (positions.double() / old - (phases / new).double()) * base
    t = t.clamp(-SINC_ZEROS, SINC_ZEROS)
    window = torch.cos(t * math.pi / SINC_ZEROS / 2) ** 2
    return (torch.sinc(t) * window * (base / old)).float()


def _make_band(start: int, stop: int, old: int, new: int, margin: int) -> Band:
    outputs = torch.arange(start, stop)
    first = start * old // new - margin
    last = (stop - 1) * old // new + margin + 1
    period, phase = outputs // new, outputs % new
    positions = torch.arange(first, last + 1)[:, None] - period * old
    return Band(first, slice(start, stop), _sinc_kernel(positions, phase[None], old, new))


@functools.lru_cache(maxsize=16)
def resampler(rate: int) -> Resampler:
    """The filters from ``rate`` to 16 kHz, made once per process and rate.

    Args:
        rate: Hz.
    """
    # 44.1 kHz to 16 kHz is 441 to 160: after 160 outputs the filters repeat.
    common = math.gcd(rate, SAMPLE_RATE)
    old, new = rate // common, SAMPLE_RATE // common
    margin = math.ceil(SINC_ZEROS * old / (min(old, new) * ROLL_OFF))
    periods = math.ceil(PHASES_PER_BAND / new)
    outputs = periods * new
    bands = tuple(
        _make_band(start, min(start + PHASES_PER_BAND, outputs), old, new, margin)
        for start in range(0, outputs, PHASES_PER_BAND)
    )
    return Resampler(periods * old, outputs, margin + 1, bands)


def resample_recording(wave: Tensor, rate: int) -> Tensor:
    """Resample a whole recording to 16 kHz; equals ``torchaudio.transforms.Resample(rate, 16000)``.

    Args:
        wave: (samples,) float32 at ``rate``.
        rate: Hz.

    Returns:
        (ceil(samples * 16000 / rate),) float32. The length is exact, as in the torchaudio that the authors used
        (torchaudio 2.11 computes it in float32, which differs for recordings of many hours only).
    """
    if rate == SAMPLE_RATE:
        return wave
    filters = resampler(rate)
    length = resampled_length(wave.numel(), rate)
    rows = -(-length // filters.outputs)
    result = torch.empty(rows, filters.outputs)
    # Rows that read beyond an end see a padded copy of that end; the others see the recording itself.
    first = min(rows, -(-filters.margin // filters.inputs))
    last = max(first, min(rows, (wave.numel() - filters.margin) // filters.inputs))
    beyond = rows * filters.inputs + filters.margin - wave.numel()
    begin = functional.pad(wave[: first * filters.inputs + filters.margin], (filters.margin, beyond))
    end = functional.pad(wave[max(0, last * filters.inputs - filters.margin) :], (0, beyond))
    _filter_rows(filters, begin, filters.margin, result[:first])
    _filter_rows(filters, wave, first * filters.inputs, result[first:last])
    _filter_rows(filters, end, filters.margin, result[last:])
    return result.view(-1)[:length]


def _filter_rows(filters: Resampler, wave: Tensor, origin: int, out: Tensor) -> None:
    """Make some rows of outputs; the first of them begins at the sample ``origin`` of a waveform."""
    if not len(out):  # a short recording is all ends
        return
    start = wave.storage_offset() + origin
    for band in filters.bands:
        seen = wave.as_strided((len(out), len(band.kernel)), (filters.inputs, 1), start + band.first)
        torch.mm(seen, band.kernel, out=out[:, band.outputs])


@functools.lru_cache(maxsize=8)
def _ramps(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Make the factors of a linear fade in and of a fade out, as torchaudio's ``Fade`` has them."""
    rising = torch.linspace(0, 1, size)
    return rising.to(device), (1 - rising).to(device)


def fade_(wave: Tensor, *, begin: bool = True, end: bool = True) -> Tensor:
    """Fade a waveform in and out in place, linearly over 62.5 ms (``torchaudio.transforms.Fade``).

    A waveform shorter than a fade is faded over its whole length; torchaudio refuses it.

    Args:
        wave: (samples,) at 16 kHz.
        begin: Whether to fade in.
        end: Whether to fade out.

    Returns:
        ``wave`` itself.
    """
    size = min(FADE, wave.numel())
    rising, falling = _ramps(size, wave.device)
    if begin:
        wave[:size].mul_(rising)
    if end:
        wave[wave.numel() - size :].mul_(falling)
    return wave


def cycle_samples(
    spans: Sequence[tuple[float, float]], length: int, name: str = "the recording", *, rate: int = SAMPLE_RATE
) -> list[slice]:
    """Find where the cycles lie in a recording: times are truncated to samples and clamped to the recording.

    Args:
        spans: Start and end of each cycle, seconds.
        length: Samples of the recording.
        name: Name by which messages call the recording.
        rate: Sampling rate of the recording, Hz.

    Returns:
        The samples of each cycle.

    Raises:
        DataError: If a cycle holds no sample.
    """
    found = []
    for index, (start, end) in enumerate(spans):
        span = samples_between(start, end, rate, length)
        if span.start >= span.stop:
            raise DataError(
                f"Cycle {index} of {name} ({start} s to {end} s) holds no sample of a recording of "
                f"{length / rate:.3f} s.",
                "Run 'bench data verify': the annotation or the audio file is not the official one.",
            )
        found.append(span)
    return found


def cycles_of(
    wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], name: str = "the recording"
) -> list[Tensor]:
    """Bring a whole recording to 16 kHz and cut it into its cycles.

    Args:
        wave: (samples,) float32 at ``rate``.
        rate: Hz.
        spans: Start and end of each cycle, seconds.
        name: Name by which messages call the recording.

    Returns:
        (samples,) of each cycle, which share the memory of the recording.

    Raises:
        DataError: If a cycle holds no sample.
    """
    recording = resample_recording(wave, rate)
    return [recording[place] for place in cycle_samples(spans, recording.numel(), name)]


def repeat_(rows: Tensor, given: int) -> None:
    """Repeat the first ``given`` rows until the end, in place, twice as many at a time."""
    while given < len(rows):
        step = min(given, len(rows) - given)
        rows[given : given + step] = rows[:step]
        given += step


def number_of_samples(waves: Tensor) -> Tensor:
    """How many samples waveforms (units, samples) have, as a number that a trace leaves open: () int64."""
    return torch.scalar_tensor(waves.shape[1], dtype=torch.int64, device=waves.device)


def repeated_alike(waves: Tensor, samples: int) -> Tensor:
    """Repeat waveforms of one length from their start, or cut them; nothing is faded. A trace leaves the length open.

    Args:
        waves: (units, n), n > 0.
        samples: The length that they get.

    Returns:
        (units, samples).
    """
    return waves[:, torch.arange(samples, device=waves.device) % number_of_samples(waves)]


def fit_alike(waves: Tensor, samples: int) -> Tensor:
    """Bring waveforms of one length to another as :func:`fit_cycle` does; arguments as for :func:`repeated_alike`."""
    whole, size = repeated_alike(waves, samples), min(FADE, samples)
    fade = torch.cat([torch.ones(samples - size), _ramps(size, CPU)[1]]).to(waves.device)
    return torch.where(number_of_samples(waves) <= samples, whole * fade, whole)


def fit_cycle(cycle: Tensor, out: Tensor) -> None:
    """Bring a cycle to a fixed length: cut it (no fade), or repeat it and fade out the end (official code, D3).

    Args:
        cycle: (n,) at 16 kHz, n > 0.
        out: (samples,), written.
    """
    given = min(cycle.numel(), out.numel())
    out[:given] = cycle[:given]
    repeat_(out, given)
    # The official code fades a cycle of exactly this length too, and never one that was cut.
    if cycle.numel() <= out.numel():
        fade_(out, begin=False)


def fit_units(units: UnitWaves, samples: int) -> Tensor:
    """Bring a batch of waveforms to a fixed length, each by :func:`fit_cycle`, on the device of the batch.

    Args:
        units: The batch, at 16 kHz.
        samples: The length.

    Returns:
        (units, samples).
    """
    fitted = units.samples.new_empty(len(units), samples)
    for wave, out in zip(units.waves(), fitted, strict=True):
        fit_cycle(wave, out)
    return fitted
