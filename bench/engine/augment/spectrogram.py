"""SpecAugment and time shift: drawn on the host for the global batch, applied to all of its clips at once.

Drawing and applying are apart so that every process draws the same for the global batch and applies its own rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SpecError
from bench.engine.augment.options import AugmentOptions
from bench.engine.host_arrays import array_on, arrays_on


@dataclass(frozen=True)
class Masks:
    """Frequency and time masks of a batch; width 0 masks nothing.

    Attributes:
        freq: (batch, masks, 2) int64, first bin and width in bins.
        time: (batch, masks, 2) int64, first frame and width in frames.
    """

    freq: np.ndarray
    time: np.ndarray

    def __len__(self) -> int:
        return len(self.freq)

    def __getitem__(self, rows: slice) -> Masks:
        return Masks(self.freq[rows], self.time[rows])


def _draw_axis(
    batch: int, size: int, count: int, width: int, axis: str, place: str, rng: np.random.Generator
) -> np.ndarray:
    """(batch, count, 2): first positions, by the law that ``place`` names, and widths floor(U(0, width))."""
    if width - 1 > size:
        raise SpecError(
            f"SpecAugment masks up to {width - 1} {axis}, but the spectrogram has {size}.",
            "Make the masks narrower or the spectrogram larger.",
        )
    drawn = rng.uniform(0, width, (batch, count))
    if place == "torchaudio":
        return torchaudio_spans(drawn, rng.random((batch, count)), size)
    # As the official code draws them: cut to a whole number, so that ``width`` itself never comes out.
    widths = np.floor(drawn).astype(np.int64)
    return np.stack([rng.integers(0, size - widths + 1), widths], axis=-1)


def torchaudio_spans(widths: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    """First positions and widths of masks as ``torchaudio.functional.mask_along_axis_iid`` has them.

    Since both numbers are cut, no mask reaches the last position.

    Args:
        widths: Widths before they are cut to whole numbers, at least 0.
        places: As shares of the room that the uncut widths leave, at least 0 and below 1.
        size: Positions of the axis.

    Returns:
        (..., 2) int64: first positions floor(places (size - widths)), and widths cut.

    Source: ilyassmoummad/scl_icbhi2017 @ 76c4c99, ``augmentations.py``.
    """
    # Of widths that are longer than the axis by a fraction there is no room; they are its whole length.
    starts = np.floor(places * np.maximum(size - widths, 0)).astype(np.int64)
    return np.stack([starts, np.floor(widths).astype(np.int64)], axis=-1)


def draw_masks(
    batch: int,
    frames: int,
    mels: int,
    *,
    probability: float,
    freq_masks: int,
    freq_width: int,
    time_masks: int,
    time_width: int,
    together: bool = False,
    place: str = "whole",
    rng: np.random.Generator,
) -> Masks:
    """Draw the masks of a global batch, each clip for itself.

    The paper's values: probability :data:`bench.engine.augment.options.SPECAUG_PROBABILITY`, 2 masks of
    ``freq_width`` 48 and 2 of ``time_width`` 160, so at most 47 bins and 159 frames each.

    Args:
        batch: Rows of the global batch.
        frames: Time frames of a spectrogram.
        mels: Mel bins of a spectrogram.
        probability: How likely a clip is masked at all, 0..1.
        freq_masks: Frequency masks per clip.
        freq_width: Their widths are floor(U(0, freq_width)) bins.
        time_masks: Time masks per clip.
        time_width: Their widths are floor(U(0, time_width)) frames.
        together: Whether all clips of the batch are masked, each by masks of its own, or none is (the SCL authors').
        place: Law of the masks' first positions: ``whole`` or ``torchaudio``.
        rng: Generator; draws as many numbers whatever comes out.

    Raises:
        SpecError: If a mask can be wider than the spectrogram.
    """
    # Masks are drawn also for clips that stay whole: what is drawn later does not depend on what came out here.
    applied = np.broadcast_to(rng.random(1 if together else batch) < probability, batch)
    freq = _draw_axis(batch, mels, freq_masks, freq_width, "mel bins", place, rng)
    time = _draw_axis(batch, frames, time_masks, time_width, "frames", place, rng)
    freq[~applied] = 0
    time[~applied] = 0
    return Masks(freq, time)


def _covered_positions(masks: np.ndarray, size: int) -> np.ndarray:
    """(batch, size) bool: which positions some mask of the clip covers."""
    start, width = masks[..., :1], masks[..., 1:]
    position = np.arange(size)
    covered: np.ndarray = ((position >= start) & (position < start + width)).any(axis=1)
    return covered


def apply_masks(x: Tensor, masks: Masks, value: float | None = None) -> Tensor:
    """Mask spectrograms, out of place: ``x`` may be a view of cached features.

    Without a value, frequency masks take the mean of the spectrogram as it came in, time masks the mean after the
    frequency masks
    (official code @ 836b09f, ``util/augmentation.py``, which writes into its input). The second mean follows from
    the bins' means of the first, so that no masked copy has to be read for it.

    Args:
        x: (batch, channels, frames, mels), finite, any device; the channels of a picture share its masks.
        masks: The masks of these rows.
        value: Number that is written where a mask lies; None for the means, each channel's own.

    Returns:
        (batch, channels, frames, mels), new.
    """
    if value is not None:
        return _fill_masks(x, masks, value)
    if x.shape[1] > 1:
        every = Masks(*(np.repeat(spans, x.shape[1], axis=0) for spans in (masks.freq, masks.time)))
        return apply_masks(x.flatten(0, 1)[:, None], every).view(x.shape)
    frames, mels = x.shape[2:]
    hidden, rows = arrays_on(
        x.device, _covered_positions(masks.freq, mels), np.flatnonzero(_covered_positions(masks.time, frames))
    )
    hidden = hidden[:, None, None, :]
    # In float32 at least: half precision would round the sum of hundreds of values to a few digits.
    bins = x.mean(dim=2, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    before = bins.mean(dim=3, keepdim=True)
    after = torch.where(hidden, before, bins).mean(dim=3).to(x.dtype)
    # x * 1 + 0 or x * 0 + mean, exact either way and twice as fast as torch.where on a CPU.
    masked = torch.addcmul((hidden * before).to(x.dtype), x, (~hidden).to(x.dtype)).contiguous()
    masked.view(-1, mels)[rows] = after.view(-1, 1)[rows // frames]
    return masked


def _fill_masks(x: Tensor, masks: Masks, value: float) -> Tensor:
    frames, mels = x.shape[2:]
    covered = (
        _covered_positions(masks.time, frames)[:, None, :, None]
        | _covered_positions(masks.freq, mels)[:, None, None, :]
    )
    return x.masked_fill(array_on(x.device, covered), value)


def draw_shift(batch: int, frames: int, rng: np.random.Generator, probability: float = 1.0) -> np.ndarray:
    """Draw a circular shift in time for each clip of a global batch.

    Args:
        batch: Rows of the global batch.
        frames: Time frames of a spectrogram.
        rng: Generator; at probability 1 it draws the shifts alone.
        probability: How likely a clip is shifted at all, 0..1.

    Returns:
        (batch,) int64, uniform in 0..frames - 1; 0 for a clip that stays.
    """
    shifts = rng.integers(0, frames, batch)
    return shifts if probability >= 1 else np.where(rng.random(batch) < probability, shifts, 0)


def apply_shift(x: Tensor, shift: np.ndarray) -> Tensor:
    """Shift spectrograms circularly in time, out of place: frame t moves to frame (t + shift) mod frames.

    Args:
        x: (batch, channels, frames, mels), any device.
        shift: (batch,) of these rows, frames.

    Returns:
        (batch, channels, frames, mels), new.
    """
    batch, channels, frames, _ = x.shape
    # One gather over all frames of the batch, in place of a roll for each clip.
    each = np.repeat(shift, channels)
    source = (np.arange(frames)[None, :] - each[:, None]) % frames + np.arange(batch * channels)[:, None] * frames
    return x.flatten(0, 2).index_select(0, array_on(x.device, source.reshape(-1))).view(x.shape)


@dataclass(frozen=True)
class SpectrogramDraw:
    """What happens to each clip of a batch; None for what the run does not do.

    Attributes:
        shift: (batch,) int64, frames.
        masks: SpecAugment's masks.
    """

    shift: np.ndarray | None = None
    masks: Masks | None = None

    def __getitem__(self, rows: slice) -> SpectrogramDraw:
        return SpectrogramDraw(
            None if self.shift is None else self.shift[rows], None if self.masks is None else self.masks[rows]
        )


def draw_spectrogram(
    batch: int, frames: int, mels: int, options: AugmentOptions, rng: np.random.Generator
) -> SpectrogramDraw:
    """Draw what happens to the spectrograms of a global batch.

    Args:
        batch: Rows of the global batch.
        frames: Time frames of a spectrogram.
        mels: Mel bins of a spectrogram.
        options: What the run asks for.
        rng: Generator of the step.

    Raises:
        SpecError: If a mask can be wider than the spectrogram.
    """
    shift = masks = None
    if options.shifts_pictures:
        shift = draw_shift(batch, frames, rng, options.time_shift_probability)
    if options.specaug_probability > 0:
        masks = draw_masks(
            batch,
            frames,
            mels,
            probability=options.specaug_probability,
            freq_masks=options.specaug_freq_masks,
            freq_width=options.specaug_freq_width,
            time_masks=options.specaug_time_masks,
            time_width=options.specaug_time_width,
            together=options.specaug_together,
            place=options.specaug_place,
            rng=rng,
        )
    return SpectrogramDraw(shift, masks)


def apply_spectrogram(x: Tensor, draw: SpectrogramDraw, fill: float | None = None) -> Tensor:
    """Shift spectrograms and then mask them, out of place.

    Args:
        x: (batch, channels, frames, mels), any device.
        draw: What was drawn for these rows.
        fill: What :func:`mask_value` found.
    """
    if draw.shift is not None:
        x = apply_shift(x, draw.shift)
    return x if draw.masks is None else apply_masks(x, draw.masks, fill)
