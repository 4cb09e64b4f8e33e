"""Tempo, pitch and vocal tract length, by Fourier frames whose phases are carried on at their own frequencies.

torchaudio's phase vocoder has one factor for a batch of equal lengths; here each unit has its own factor and length.
For one unit the numbers are those of ``torchaudio.functional.phase_vocoder`` and of librosa's ``time_stretch`` (0.8,
whose frames reflect the signal at its ends).

Shapes: U units, B frequency bins (window / 2 + 1), T frames; neighbouring frames are a quarter of a window apart.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from bench.engine.augment.resampling import change_speed
from bench.engine.augment.waves import Waves, blanked, column, positions


class Frames(NamedTuple):
    """Fourier frames of units.

    Attributes:
        spectrum: (U, B, T) complex64, zero beyond each unit's frames; phases are those about a frame's first sample.
        counts: (U,) int64 on the CPU, frames of each unit.
        window: Samples of a frame.
    """

    spectrum: Tensor
    counts: Tensor
    window: int

    @property
    def hop(self) -> int:
        """Samples from a frame to the next."""
        return self.window // 4


def stretch_tempo(waves: Waves, factors: Tensor, window: int) -> Waves:
    """Make each unit faster or slower; its frequencies stay.

    Args:
        waves: The units.
        factors: (units,) float64, above 0: 2 makes half as long.
        window: Samples of a Fourier frame, a multiple of 4.

    Returns:
        Units of round(length / factor) samples, at least 1.
    """
    lengths = torch.round(waves.lengths / factors).long().clamp(min=1)
    return _signal(_stretched(_frames(waves, window), factors), lengths)


def shift_pitch(waves: Waves, semitones: Tensor, window: int, kind: str = "hann") -> Waves:
    """Raise or lower the pitch of each unit; its length stays.

    The unit is stretched to the length that resampling brings back, as librosa does.

    Args:
        waves: The units.
        semitones: (units,) float64; 12 are an octave up.
        window: Samples of a Fourier frame, a multiple of 4.
        kind: Filter of the resampling, a name of :data:`bench.engine.augment.resampling.FILTERS`.
    """
    factors = 2 ** (semitones / 12)
    shifted = change_speed(stretch_tempo(waves, 1 / factors, window), factors, kind)
    missing = waves.samples.shape[1] - shifted.samples.shape[1]
    return blanked(torch.nn.functional.pad(shifted.samples, (0, max(0, missing))), waves.lengths)


def perturb_vocal_tract(waves: Waves, factors: Tensor, window: int, corner: float) -> Waves:
    """Warp the frequencies of each unit as another length of the vocal tract would (Jaitly & Hinton 2013).

    They warp the centres of a filter bank; here the Fourier frames are warped, so that any front-end can follow.

    Args:
        waves: The units.
        factors: (units,) float64, α: what frequencies up to the corner are multiplied by.
        window: Samples of a Fourier frame, a multiple of 4.
        corner: Share of the Nyquist frequency up to which the warp is linear.
    """
    return _signal(_warped(_frames(waves, window), factors, corner), waves.lengths)


def warp_frequency(frequency: Tensor, factor: Tensor, corner: float) -> Tensor:
    """Warp frequencies by VTLP's law: linear up to the corner, and on to the Nyquist frequency, which stays.

    Jaitly & Hinton 2013, section 3: f' = f α up to F min(α, 1) / α; above it a line to (S/2, S/2).

    Args:
        frequency: Shares of the Nyquist frequency, 0..1.
        factor: α, broadcast over them.
        corner: F, a share of the Nyquist frequency below 1.
    """
    top = corner * factor.clamp(max=1.0)
    boundary = top / factor
    above = 1 - (1 - top) / (1 - boundary) * (1 - frequency)
    return torch.where(frequency <= boundary, frequency * factor, above)


def unwarp_frequency(frequency: Tensor, factor: Tensor, corner: float) -> Tensor:
    """Find the frequencies that :func:`warp_frequency` brings to these."""
    top = corner * factor.clamp(max=1.0)
    boundary = top / factor
    above = 1 - (1 - boundary) / (1 - top) * (1 - frequency)
    return torch.where(frequency <= top, frequency / factor, above)


def _frames(waves: Waves, window: int) -> Frames:
    """Frames that are centred on every quarter of a window; each unit is reflected at its own ends."""
    hop, lengths = window // 4, waves.lengths
    period = column(2 * lengths - 2, waves.samples).clamp(min=1)
    place = (positions(waves.samples, waves.samples.shape[1] + window) - window // 2).remainder(period)
    padded = waves.samples.gather(1, torch.minimum(place, period - place).clamp(max=waves.samples.shape[1] - 1))
    spectrum = torch.stft(padded, window, hop, window=_hann(window, padded), center=False, return_complex=True)
    counts = 1 + lengths // hop
    return Frames(torch.where(_own(spectrum, counts), spectrum, 0.0), counts, window)


def _hann(window: int, like: Tensor) -> Tensor:
    return torch.hann_window(window, dtype=like.dtype, device=like.device)


def _own(spectrum: Tensor, counts: Tensor) -> Tensor:
    """(U, 1, T) bool: which frames are a unit's own."""
    return (positions(spectrum, spectrum.shape[2]) < column(counts, spectrum))[:, None]


def _advance(frames: Frames) -> Tensor:
    """(B, 1) float64: how far the phase of a bin's own frequency goes from a frame to the next, radians."""
    bins = torch.arange(frames.window // 2 + 1, dtype=torch.float64, device=frames.spectrum.device)
    return (2 * math.pi * frames.hop / frames.window * bins)[:, None]


def _phase_steps(phases: Tensor, advance: Tensor) -> Tensor:
    """How far phases go from a frame to the next: (U, B, T - 1), nearest to the bin's own frequency."""
    over = phases.diff(dim=2) - advance
    return advance + over - 2 * math.pi * torch.round(over / (2 * math.pi))


def _carried(start: Tensor, steps: Tensor) -> Tensor:
    """Phases that begin at ``start`` (U, B, 1) and go on by ``steps`` (U, B, T - 1): (U, B, T)."""
    return torch.cat([start, start + steps.cumsum(dim=2)], dim=2)


def _polar(magnitudes: Tensor, phases: Tensor) -> Tensor:
    # In 64 bits up to here: phases grow by hundreds of turns in a frame.
    return torch.polar(magnitudes, phases.remainder(2 * math.pi).to(magnitudes.dtype))


def _stretched(frames: Frames, factors: Tensor) -> Frames:
    """Frames at every ``factor``-th place between frames: magnitudes in between, phases carried on."""
    # Two frames of silence after the last: a place behind it lies between frames too.
    spectrum = torch.nn.functional.pad(frames.spectrum, (0, 2))
    counts = torch.ceil(frames.counts / factors).long()
    place = positions(spectrum, int(counts.max())) * column(factors, spectrum)
    before = place.floor().long().clamp(max=spectrum.shape[2] - 2)
    share = (place - place.floor()).to(spectrum.real.dtype)[:, None]
    at = before[:, None].expand(-1, spectrum.shape[1], -1)
    magnitudes, phases = spectrum.abs(), spectrum.angle().double()
    mixed = torch.lerp(magnitudes.gather(2, at), magnitudes.gather(2, at + 1), share)
    steps = _phase_steps(phases, _advance(frames)).gather(2, at)
    carried = _carried(phases[..., :1], steps[..., :-1])
    found = torch.where(_own(mixed, counts), _polar(mixed, carried), 0.0)
    return Frames(found, counts, frames.window)


def _warped(frames: Frames, factors: Tensor, corner: float) -> Frames:
    """Frames whose frequencies are warped: each bin takes magnitude and phase steps from where its sound was."""
    bins = frames.spectrum.shape[1]
    factor = column(factors, frames.spectrum)
    bin_ = positions(frames.spectrum, bins)
    source = unwarp_frequency(bin_ / (bins - 1), factor, corner) * (bins - 1)
    magnitudes = _between(frames.spectrum.abs(), source)
    # Phases about the middle of a frame: those of one tone are then equal in neighbouring bins, and stay so.
    phases = frames.spectrum.angle().double() + math.pi * (bin_ % 2)[..., None]
    advance = _advance(frames)
    steps = _phase_steps(phases, advance)
    turn = frames.hop * math.pi
    # In the weakest bins a step may mean a frequency outside of 0..1; the warp leaves both ends where they are.
    frequency = (steps / turn).clamp(0, 1)
    warped = steps + (warp_frequency(frequency, factor[..., None], corner) - frequency) * turn
    nearest = source.round().long().clamp(0, bins - 1)[..., None]
    start = phases[..., :1].gather(1, nearest)
    carried = _carried(start, warped.gather(1, nearest.expand(-1, -1, warped.shape[2])))
    found = _polar(magnitudes, carried - math.pi * (bin_ % 2)[..., None])
    return Frames(found, frames.counts, frames.window)


def _between(magnitudes: Tensor, source: Tensor) -> Tensor:
    """Magnitudes (U, B, T) at places between bins, ``source`` (U, B)."""
    below = source.floor().clamp(0, magnitudes.shape[1] - 2)
    share = (source - below).to(magnitudes.dtype)[..., None]
    at = below.long()[..., None].expand_as(magnitudes)
    return torch.lerp(magnitudes.gather(1, at), magnitudes.gather(1, at + 1), share)


def _signal(frames: Frames, lengths: Tensor) -> Waves:
    """Overlap and add: the signal whose frames are nearest to these, of the given lengths."""
    window, hop = frames.window, frames.hop
    shape = torch.fft.irfft(frames.spectrum, n=window, dim=1)
    hann = _hann(window, shape)[:, None]
    total = window + hop * (shape.shape[2] - 1)
    cover = hann.square() * _own(shape, frames.counts)

    def added(pieces: Tensor) -> Tensor:
        folded = torch.nn.functional.fold(pieces, (1, total), (1, window), stride=(1, hop))
        return folded[:, 0, 0, window // 2 :]

    weight = added(cover.to(shape.dtype))
    summed = added(shape * hann)
    tiny = torch.finfo(shape.dtype).tiny
    samples = torch.where(weight > tiny, summed / weight.clamp(min=tiny), summed)
    missing = int(lengths.max()) - samples.shape[1]
    return blanked(torch.nn.functional.pad(samples, (0, max(0, missing))), lengths)
