"""Front-end ``ast``: the official code's spectrograms, computed several times faster (SYSTEMS §2.1, D3, D4).

The reference is torchaudio's ``compliance.kaldi.fbank`` (hanning, 128 mels, no dither). The numbers are the same up
to rounding; what differs is where time goes:

* Mel filters are made once, not once per cycle.
* Per frame, mean removal and pre-emphasis are linear: ``(x[j] - m) - 0.97 (x[j-1] - m) = d[j] - 0.03 m``. So the
  differences d are taken once on the waveform and the frames are written once; the first sample of a frame, where
  Kaldi repeats the sample itself, does not count because the symmetric Hann window starts with zero.
* Mel filters are a band too: five products over the bins that five groups of filters see replace one dense product.
  They read squared real and imaginary parts side by side, so the power spectrum is never formed.
* In a repeated cycle of L samples, frames that lie L / gcd(L, 160) apart hold the same samples: each is computed once.

The bank of pictures is made so, one cycle after the other. A batch whose waveforms were augmented takes the same
arithmetic for all of its cycles at once, on its own device, without the last of these savings.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bench.data.frontends.options import (
    AUDIOSET_MEAN,
    AUDIOSET_STD,
    ENERGY_FLOOR,
    FRAME_LENGTH,
    FRAME_SHIFT,
    MEL_BINS,
    SAMPLE_RATE,
    ASTFrontEndOptions,
)
from bench.data.frontends.waveform import (
    CPU,
    FADE,
    Band,
    cycle_samples,
    fade_,
    fit_alike,
    fit_cycle,
    fit_units,
    repeat_,
    resample_recording,
)
from bench.data.units import UnitWaves

# Kaldi's default, which the official code keeps.
PRE_EMPHASIS = 0.97
# Kaldi pads a frame of 400 samples to the next power of two.
FFT_SIZE = 512
# High filters see many bins, low ones few: the fewer filters a product has, the fewer zeros it multiplies.
MEL_GROUPS = (48, 32, 16, 16, 16)
# Frames and shifts are whole blocks of this many samples: sums of blocks, each taken once, give the sums of frames.
HOP_BLOCK = math.gcd(FRAME_LENGTH, FRAME_SHIFT)


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
        options: Options of the front-end; the official code's by default.
        name: Name by which messages call the recording.

    Returns:
        (cycles, samples) float32, 16 kHz.

    Raises:
        DataError: If a cycle holds no sample.
    """
    options = options or ASTFrontEndOptions()
    return fit_units(UnitWaves.of(_raw_cycles(recording, spans, options, name)), options.samples)


def _raw_cycles(
    recording: Tensor, spans: Sequence[tuple[float, float]], options: ASTFrontEndOptions, name: str
) -> list[Tensor]:
    cycles = [recording[place] for place in cycle_samples(spans, recording.numel(), name)]
    # Cycles may overlap or be asked for again: a fade of one must not show in the recording.
    return [fade_(cycle.clone()) for cycle in cycles] if options.fade == "cycle" else cycles


@functools.lru_cache(maxsize=4)
def _mel_bands(device: torch.device = CPU) -> tuple[Band, ...]:
    """Make Kaldi's mel filters in groups of neighbours, as bands over the spectrum.

    ``first`` of a band counts interleaved real and imaginary parts, not bins.
    """
    from torchaudio.compliance.kaldi import get_mel_banks

    # From 20 Hz to the Nyquist frequency (0.0 says so); a warp factor of 1.0 leaves the other cut-offs without effect.
    filters, _ = get_mel_banks(MEL_BINS, FFT_SIZE, float(SAMPLE_RATE), 20.0, 0.0, 100.0, -500.0, 1.0)
    bands, start = [], 0
    for group in filters.split(MEL_GROUPS):
        bins = group.any(dim=0).nonzero().flatten()
        low, high = int(bins[0]), int(bins[-1]) + 1
        # Each weight twice: squared real and squared imaginary part of a bin add up to its power.
        kernel = group[:, low:high].T.repeat_interleave(2, dim=0).contiguous().to(device)
        bands.append(Band(2 * low, slice(start, start + len(group)), kernel))
        start += len(group)
    return tuple(bands)


@functools.lru_cache(maxsize=4)
def _mel_filters(device: torch.device) -> Tensor:
    """All of Kaldi's mel filters as one matrix (257, 128)."""
    whole = torch.zeros(FFT_SIZE // 2 + 1, MEL_BINS)
    for band in _mel_bands(CPU):
        # Each weight of a band stands there twice, for real and imaginary part.
        first = band.first // 2
        whole[first : first + len(band.kernel) // 2, band.outputs] = band.kernel[::2]
    return whole.to(device)


@functools.lru_cache(maxsize=4)
def _hann_window(device: torch.device = CPU) -> Tensor:
    # Kaldi's is symmetric and zero at both ends; torch's default is periodic.
    return torch.hann_window(FRAME_LENGTH, periodic=False).to(device)


class Workspace:
    """Memory that is filled anew for every cycle; fresh memory for each would cost more than the arithmetic.

    Args:
        samples: Length of a fitted cycle.

    Attributes:
        cycle: (samples,), the cycle brought to its fixed length.
        differences: (samples,), the pre-emphasised waveform; the first value is zero and stays so.
        frames: (frames, 512), the windowed frames; the columns from 400 on are zero and stay so.
    """

    def __init__(self, samples: int) -> None:
        self.cycle = torch.empty(samples)
        self.differences = torch.empty(samples)
        self.differences[0] = 0
        self.frames = torch.empty(1 + (samples - FRAME_LENGTH) // FRAME_SHIFT, FFT_SIZE)
        self.frames[:, FRAME_LENGTH:] = 0


def _windowed_frames(wave: Tensor, count: int, work: Workspace) -> Tensor:
    """Frames of a waveform without their means, pre-emphasised, windowed and padded: (count, 512) of the workspace."""
    used, window = (count - 1) * FRAME_SHIFT + FRAME_LENGTH, _hann_window()
    wave = wave[:used]
    torch.add(wave[1:], wave[:-1], alpha=-PRE_EMPHASIS, out=work.differences[1:used])
    # Sums of the frames, from which their means follow; frames overlap, blocks do not.
    blocks = wave.view(-1, HOP_BLOCK).sum(dim=1)
    sums = blocks.unfold(0, FRAME_LENGTH // HOP_BLOCK, FRAME_SHIFT // HOP_BLOCK).sum(dim=1, keepdim=True)
    frames = work.frames[:count]
    filled = frames[:, :FRAME_LENGTH]
    torch.mul(work.differences.as_strided((count, FRAME_LENGTH), (FRAME_SHIFT, 1)), window, out=filled)
    # The rest of a frame's mean, which pre-emphasis leaves: (0.97 - 1) m, under the window like everything else.
    filled.addcmul_(sums, window, value=(PRE_EMPHASIS - 1) / FRAME_LENGTH)
    return frames


def _log_mel(wave: Tensor, work: Workspace, out: Tensor) -> None:
    """Kaldi log-mel values of the first frames of a waveform.

    Args:
        wave: (samples,), contiguous; frame t holds samples 160 t to 160 t + 399.
        work: Memory for as many samples at least.
        out: (frames, 128), written.
    """
    _log_energies(_windowed_frames(wave, len(out), work), out)


def _log_energies(frames: Tensor, out: Tensor) -> None:
    """Write the log-mel values of windowed frames (frames, 512) into ``out`` (frames, 128)."""
    spectra = torch.fft.rfft(frames)
    squares = torch.view_as_real(spectra).view(out.shape[0], FFT_SIZE + 2).square_()
    for band in _mel_bands(frames.device):
        seen = squares[:, band.first : band.first + len(band.kernel)]
        torch.mm(seen, band.kernel, out=out[:, band.outputs])
    out.clamp_min_(ENERGY_FLOOR).log_()


def _log_mel_repeated(length: int, work: Workspace, out: Tensor) -> None:
    """Write the log-mel values of the workspace's cycle, of whose samples ``length`` repeat; equal frames once.

    Args:
        length: Samples after which the cycle repeats.
        work: Memory whose ``cycle`` is read.
        out: (frames, 128), written.
    """
    repeat = length // math.gcd(length, FRAME_SHIFT)
    # Frames that reach into the fade-out at the end have no equal.
    unfaded = max(0, 1 + (work.cycle.numel() - FADE - FRAME_LENGTH) // FRAME_SHIFT)
    if repeat >= unfaded:
        _log_mel(work.cycle, work, out)
        return
    _log_mel(work.cycle, work, out[:repeat])
    _log_mel(work.cycle[unfaded * FRAME_SHIFT :], work, out[unfaded:])
    repeat_(out[:unfaded], repeat)


def log_mel(waves: Tensor) -> Tensor:
    """Kaldi log-mel filter bank; equals ``torchaudio.compliance.kaldi.fbank`` with the settings of SYSTEMS §2.1.

    Args:
        waves: (batch, samples) float32, 16 kHz.

    Returns:
        (batch, 1 + (samples - 400) // 160, 128) float32: natural log of the energies, not below log(2^-23).
    """
    window, count = _hann_window(waves.device), 1 + (waves.shape[1] - FRAME_LENGTH) // FRAME_SHIFT
    waves = waves[:, : (count - 1) * FRAME_SHIFT + FRAME_LENGTH]
    differences = functional.pad(torch.add(waves[:, 1:], waves[:, :-1], alpha=-PRE_EMPHASIS), (1, 0))
    blocks = waves.reshape(waves.shape[0], -1, HOP_BLOCK).sum(dim=2)
    sums = blocks.unfold(1, FRAME_LENGTH // HOP_BLOCK, FRAME_SHIFT // HOP_BLOCK).sum(dim=2, keepdim=True)
    frames = differences.new_zeros(waves.shape[0], count, FFT_SIZE)
    filled = frames[..., :FRAME_LENGTH]
    torch.mul(differences.unfold(1, FRAME_LENGTH, FRAME_SHIFT), window, out=filled)
    filled.addcmul_(sums, window, value=(PRE_EMPHASIS - 1) / FRAME_LENGTH)
    result = frames.new_empty(waves.shape[0], count, MEL_BINS)
    _log_energies(frames.view(-1, FFT_SIZE), result.view(-1, MEL_BINS))
    return result


def traced_log_mel(waves: Tensor) -> Tensor:
    """What :func:`log_mel` gives, up to rounding, by few operations that write into no memory of their own.

    They make a small program of a trace, in which the savings of the other would be copies.
    """
    return traced_filter_bank(waves, FRAME_SHIFT, _hann_window(waves.device), _mel_filters(waves.device))


def traced_filter_bank(waves: Tensor, shift: int, window: Tensor, filters: Tensor) -> Tensor:
    """Kaldi's log-mel filter bank, by operations that can be traced.

    Args:
        waves: (batch, samples), a frame at least.
        shift: Samples from one frame to the next.
        window: (frame,), which begins with zero.
        filters: (K, mels), for the frequencies of frames that are filled up with zeros to 2 (K - 1) samples.

    Returns:
        (batch, frames, mels): natural log of the energies, not below log(2^-23).
    """
    frame, size = len(window), 2 * (len(filters) - 1)
    frames = waves.unfold(1, frame, shift)
    frames = frames - frames.mean(dim=2, keepdim=True)
    # The first sample of a frame has none before it, and a window of zero.
    frames = functional.pad(frames[..., 1:] - PRE_EMPHASIS * frames[..., :-1], (1, 0)) * window
    spectra = torch.view_as_real(torch.fft.rfft(functional.pad(frames, (0, size - frame))))
    return (spectra.square().sum(dim=3) @ filters).clamp_min(ENERGY_FLOOR).log()


class ASTFrontEnd:
    """The front-end of AST and Patch-Mix CL.

    Args:
        options: Length, fades and normalisation; the official code's by default.
    """

    def __init__(self, options: ASTFrontEndOptions | None = None) -> None:
        self.options = options or ASTFrontEndOptions()
        _mel_bands()  # made once, before processes that share the work part

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle."""
        return self.options.shape

    sample_rate = SAMPLE_RATE

    def recording(self, wave: Tensor, rate: int) -> Tensor:
        """The recording that cycles are cut from: at 16 kHz, faded at both ends where the options say so.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Hz.
        """
        resampled = resample_recording(wave, rate)
        if self.options.fade == "cycle":
            return resampled
        # A copy where nothing was resampled: fading would change the caller's waveform.
        return fade_(resampled.clone() if resampled is wave else resampled)

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Cut a recording into its cycles, at 16 kHz and faded as the options say.

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
        return _raw_cycles(self.recording(wave, rate), spans, self.options, name)

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn cycles into spectrograms, all at once and on their device.

        Args:
            units: Cycles as :meth:`fit` gives them.

        Returns:
            (units, frames, mels) float32.
        """
        return self._normalise_(log_mel(fit_units(units, self.options.samples)))

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn cycles (units, samples) of one length into spectrograms (units, frames, mels)."""
        return self._normalise_(traced_log_mel(fit_alike(waves, self.options.samples)))

    def features(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> Tensor:
        """Turn the cycles of one recording into spectrograms, each frame that repeats computed once.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (cycles, frames, mels) float32.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        cycles = self.fit(wave, rate, spans, name=name)
        result, work = torch.empty(len(cycles), *self.shape), Workspace(self.options.samples)
        for cycle, out in zip(cycles, result, strict=True):
            fit_cycle(cycle, work.cycle)
            _log_mel_repeated(cycle.numel(), work, out)
            # While it lies in the processor's cache.
            self._normalise_(out)
        return result

    def _normalise_(self, values: Tensor) -> Tensor:
        """Standardise log-mel values in place."""
        scale = 1 / (AUDIOSET_STD * (2 if self.options.normalise == "2std" else 1))
        # (x - mean) / deviation as one pass over the spectrogram: x * scale + shift.
        shift = torch.tensor(-AUDIOSET_MEAN * scale, device=values.device)
        return torch.add(shift, values, alpha=scale, out=values)
