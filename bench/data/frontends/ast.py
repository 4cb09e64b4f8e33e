"""Front-end ``ast``: the official code's spectrograms, computed several times faster (SYSTEMS §2.1, D3, D4).

The reference is torchaudio: ``transforms.Resample`` (windowed sinc, Hann, half-width 6, roll-off 0.99),
``transforms.Fade`` (linear) and ``compliance.kaldi.fbank`` (hanning, 128 mels, no dither). The numbers are the same
up to rounding; what differs is where time goes:

* Resampling kernels and mel filters are made once, not once per file and per cycle.
* A resampling kernel is a band (at 44.1 kHz each of its 160 phases has about 34 taps in a row of 475), so neighbouring
  phases form small dense matrix products over the few samples that they share.
* Per frame, mean removal and pre-emphasis are linear: ``(x[j] - m) - 0.97 (x[j-1] - m) = d[j] - 0.03 m``. So the
  differences d are taken once on the waveform and the frames are written once; the first sample of a frame, where
  Kaldi repeats the sample itself, does not count because the symmetric Hann window starts with zero.
* Mel filters are a band too: four products over the bins that four groups of filters see replace one dense product.
  They read squared real and imaginary parts side by side, so the power spectrum is never formed.
* In a repeated cycle of L samples, frames that lie L / gcd(L, 160) apart hold the same samples: each is computed once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bench.data.frontends.options import FRAME_LENGTH, FRAME_SHIFT, MEL_BINS, SAMPLE_RATE, ASTFrontEndOptions
from bench.errors import DataError

FADE = SAMPLE_RATE // 16
"""Samples of a fade (62.5 ms)."""

MEAN, STD = -4.2677393, 4.5689974
"""AudioSet's mean and deviation of the log-mel values, as in the official code."""

PRE_EMPHASIS = 0.97
FFT_SIZE = 512
ENERGY_FLOOR = torch.finfo(torch.float32).eps

SINC_ZEROS = 6
ROLL_OFF = 0.99
# Outputs of one matrix product in resampling: more waste the band's zeros, fewer waste the matrix unit.
PHASES_PER_BAND = 32
MEL_GROUP = 32
HOP_BLOCK = math.gcd(FRAME_LENGTH, FRAME_SHIFT)


@dataclass(frozen=True)
class Band:
    """The filters of neighbouring outputs over the inputs that they share.

    Attributes:
        first: First input that the product reads, counted from the start of its row.
        outputs: Which outputs of a row it makes.
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
    t = (positions.double() / old - (phases / new).double()) * base
    t = t.clamp(-SINC_ZEROS, SINC_ZEROS)
    window = torch.cos(t * math.pi / SINC_ZEROS / 2) ** 2
    return (torch.sinc(t) * window * (base / old)).float()


def _band(start: int, stop: int, old: int, new: int, margin: int) -> Band:
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
    common = math.gcd(rate, SAMPLE_RATE)
    old, new = rate // common, SAMPLE_RATE // common
    margin = math.ceil(SINC_ZEROS * old / (min(old, new) * ROLL_OFF))
    periods = math.ceil(PHASES_PER_BAND / new)
    outputs = periods * new
    bands = tuple(
        _band(start, min(start + PHASES_PER_BAND, outputs), old, new, margin)
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
    length = -(-wave.numel() * SAMPLE_RATE // rate)
    rows = -(-length // filters.outputs)
    padding = rows * filters.inputs + filters.margin - wave.numel()
    padded = functional.pad(wave, (filters.margin, padding))
    result = torch.empty(rows, filters.outputs)
    for band in filters.bands:
        seen = padded.as_strided((rows, len(band.kernel)), (filters.inputs, 1), filters.margin + band.first)
        torch.mm(seen, band.kernel, out=result[:, band.outputs])
    return result.view(-1)[:length]


@functools.lru_cache(maxsize=4)
def _ramps(size: int) -> tuple[Tensor, Tensor]:
    """Factors of a fade in and of a fade out."""
    rising = torch.linspace(0, 1, size)
    return rising, 1 - rising


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
    rising, falling = _ramps(size)
    if begin:
        wave[:size].mul_(rising)
    if end:
        wave[wave.numel() - size :].mul_(falling)
    return wave


def cycle_samples(spans: Sequence[tuple[float, float]], length: int, name: str = "the recording") -> list[slice]:
    """Where the cycles lie in a 16 kHz recording: times are truncated to samples and clamped to the recording.

    Args:
        spans: Start and end of each cycle, seconds.
        length: Samples of the recording.
        name: What messages call the recording.

    Raises:
        DataError: If a cycle holds no sample.
    """
    found = []
    for index, (start, end) in enumerate(spans):
        first, last = (min(int(time * SAMPLE_RATE), length) for time in (start, end))
        if first >= last:
            raise DataError(
                f"Cycle {index} of {name} ({start} s to {end} s) holds no sample of a recording of "
                f"{length / SAMPLE_RATE:.3f} s.",
                "Run 'bench data verify': the annotation or the audio file is not the official one.",
            )
        found.append(slice(first, last))
    return found


def _repeat_(rows: Tensor, given: int) -> None:
    """Repeat the first ``given`` rows until the end, in place, twice as many at a time."""
    while given < len(rows):
        step = min(given, len(rows) - given)
        rows[given : given + step] = rows[:step]
        given += step


def fit_cycle(cycle: Tensor, out: Tensor) -> None:
    """Bring a cycle to a fixed length: cut it (no fade), or repeat it and fade out the end (official code, D3).

    Args:
        cycle: (n,) at 16 kHz, n > 0.
        out: (samples,), written.
    """
    given = min(cycle.numel(), out.numel())
    out[:given] = cycle[:given]
    _repeat_(out, given)
    if cycle.numel() <= out.numel():
        fade_(out, begin=False)


def cut_cycles(
    recording: Tensor,
    spans: Sequence[tuple[float, float]],
    options: ASTFrontEndOptions | None = None,
    name: str = "the recording",
) -> Tensor:
    """Slice a recording into cycles of one length.

    Args:
        recording: (samples,) at 16 kHz, already faded where ``options.fade`` is ``recording``.
        spans: Start and end of each cycle, seconds.
        options: The front-end's options.
        name: What messages call the recording.

    Returns:
        (cycles, samples) float32, 16 kHz.

    Raises:
        DataError: If a cycle holds no sample.
    """
    options = options or ASTFrontEndOptions()
    places = cycle_samples(spans, recording.numel(), name)
    result = torch.empty(len(places), options.samples)
    for place, out in zip(places, result, strict=True):
        _fit_faded(recording[place], options, out)
    return result


def _fit_faded(cycle: Tensor, options: ASTFrontEndOptions, out: Tensor) -> None:
    fit_cycle(fade_(cycle.clone()) if options.fade == "cycle" else cycle, out)


@functools.lru_cache(maxsize=1)
def _mel_bands() -> tuple[Band, ...]:
    """Kaldi's mel filters in groups; ``first`` counts interleaved real and imaginary parts."""
    from torchaudio.compliance.kaldi import get_mel_banks

    filters, _ = get_mel_banks(MEL_BINS, FFT_SIZE, float(SAMPLE_RATE), 20.0, 0.0, 100.0, -500.0, 1.0)
    bands = []
    for start in range(0, MEL_BINS, MEL_GROUP):
        group = filters[start : start + MEL_GROUP]
        bins = group.any(dim=0).nonzero().flatten()
        low, high = int(bins[0]), int(bins[-1]) + 1
        kernel = group[:, low:high].T.repeat_interleave(2, dim=0).contiguous()
        bands.append(Band(2 * low, slice(start, start + MEL_GROUP), kernel))
    return tuple(bands)


@functools.lru_cache(maxsize=1)
def _window() -> Tensor:
    return torch.hann_window(FRAME_LENGTH, periodic=False)


class Workspace:
    """Memory that is filled anew for every cycle; fresh memory for each would cost more than the arithmetic.

    Args:
        samples: Length of a fitted cycle.

    Attributes:
        cycle: (samples,), the fitted cycle.
        differences: (samples,), pre-emphasised; the first is zero and stays so.
        frames: (frames, 512), windowed; the columns from 400 on are zero and stay so.
    """

    def __init__(self, samples: int) -> None:
        self.cycle = torch.empty(samples)
        self.differences = torch.zeros(samples)
        self.frames = torch.zeros(1 + (samples - FRAME_LENGTH) // FRAME_SHIFT, FFT_SIZE)


def _windowed_frames(wave: Tensor, count: int, work: Workspace) -> Tensor:
    """Frames of a waveform without their means, pre-emphasised, windowed and padded: (count, 512) of the workspace."""
    used, window = (count - 1) * FRAME_SHIFT + FRAME_LENGTH, _window()
    wave = wave[:used]
    torch.add(wave[1:], wave[:-1], alpha=-PRE_EMPHASIS, out=work.differences[1:used])
    blocks = wave.view(-1, HOP_BLOCK).sum(dim=1)
    sums = blocks.unfold(0, FRAME_LENGTH // HOP_BLOCK, FRAME_SHIFT // HOP_BLOCK).sum(dim=1, keepdim=True)
    frames = work.frames[:count]
    filled = frames[:, :FRAME_LENGTH]
    torch.mul(work.differences.as_strided((count, FRAME_LENGTH), (FRAME_SHIFT, 1)), window, out=filled)
    filled.addcmul_(sums, window, value=(PRE_EMPHASIS - 1) / FRAME_LENGTH)
    return frames


def _log_mel(wave: Tensor, work: Workspace, out: Tensor) -> None:
    """Kaldi log-mel values of the first frames of a waveform.

    Args:
        wave: (samples,), contiguous; frame t holds samples 160 t to 160 t + 399.
        work: Memory for as many samples at least.
        out: (frames, 128), written.
    """
    spectra = torch.fft.rfft(_windowed_frames(wave, len(out), work))
    squares = torch.view_as_real(spectra).view(len(out), FFT_SIZE + 2).square_()
    for band in _mel_bands():
        seen = squares[:, band.first : band.first + len(band.kernel)]
        torch.mm(seen, band.kernel, out=out[:, band.outputs])
    out.clamp_min_(ENERGY_FLOOR).log_()


def _log_mel_repeated(length: int, work: Workspace, out: Tensor) -> None:
    """As :func:`_log_mel` for the workspace's cycle, of whose samples ``length`` repeat: equal frames once."""
    repeat = length // math.gcd(length, FRAME_SHIFT)
    unfaded = max(0, 1 + (work.cycle.numel() - FADE - FRAME_LENGTH) // FRAME_SHIFT)
    if repeat >= unfaded:
        _log_mel(work.cycle, work, out)
        return
    _log_mel(work.cycle, work, out[:repeat])
    _log_mel(work.cycle[unfaded * FRAME_SHIFT :], work, out[unfaded:])
    _repeat_(out[:unfaded], repeat)


def log_mel(waves: Tensor) -> Tensor:
    """Kaldi log-mel filter bank; equals ``torchaudio.compliance.kaldi.fbank`` with the settings of SYSTEMS §2.1.

    Args:
        waves: (batch, samples) float32, 16 kHz.

    Returns:
        (batch, 1 + (samples - 400) // 160, 128) float32: natural log of the energies, not below log(2^-23).
    """
    work = Workspace(waves.shape[1])
    result = torch.empty(len(waves), len(work.frames), MEL_BINS)
    for wave, out in zip(waves.contiguous(), result, strict=True):
        _log_mel(wave, work, out)
    return result


class ASTFrontEnd:
    """The front-end of AST and Patch-Mix CL.

    Args:
        options: Length, fades and normalisation; the official code's by default.
    """

    def __init__(self, options: ASTFrontEndOptions | None = None) -> None:
        self.options = options or ASTFrontEndOptions()

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle."""
        return self.options.shape

    def recording(self, wave: Tensor, rate: int) -> Tensor:
        """The recording that cycles are cut from: at 16 kHz, faded at both ends where the options say so.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Hz.
        """
        resampled = resample_recording(wave, rate)
        if self.options.fade == "cycle":
            return resampled
        return fade_(resampled.clone() if resampled is wave else resampled)

    def features(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> Tensor:
        """Turn the cycles of one recording into spectrograms.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: What messages call the recording.

        Returns:
            (cycles, frames, mels) float32.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        recording = self.recording(wave, rate)
        places = cycle_samples(spans, recording.numel(), name)
        result = torch.empty(len(places), *self.shape)
        work = Workspace(self.options.samples)
        deviation = STD * (2 if self.options.normalise == "2std" else 1)
        for place, out in zip(places, result, strict=True):
            cycle = recording[place]
            _fit_faded(cycle, self.options, work.cycle)
            _log_mel_repeated(cycle.numel(), work, out)
            out.sub_(MEAN).div_(deviation)
        return result
