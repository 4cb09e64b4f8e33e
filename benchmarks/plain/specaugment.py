"""SpecAugment one clip after the other, its numbers drawn in Python, as the official code does in its loader."""

from __future__ import annotations

import random

import torch
from torch import Tensor


def mask_clip(
    clip: Tensor, rng: random.Random, *, freq_masks: int, freq_width: int, time_masks: int, time_width: int
) -> Tensor:
    """Mask one spectrogram; masked values become the mean of the spectrogram as it is at that moment.

    Args:
        clip: (1, frames, mels), changed.
        rng: Draws widths and places.
        freq_masks: Frequency masks.
        freq_width: Their widths are floor(U(0, freq_width)) bins.
        time_masks: Time masks.
        time_width: Their widths are floor(U(0, time_width)) frames.

    Returns:
        ``clip``.

    Source: Park et al. 2019; official code @ 836b09f, ``util/augmentation.py``, for the means and the order.
    """
    frames, mels = clip.shape[1:]
    value = clip.mean()
    for _ in range(freq_masks):
        width = int(rng.uniform(0, freq_width))
        start = rng.randint(0, mels - width)
        clip[:, :, start : start + width] = value
    value = clip.mean()
    for _ in range(time_masks):
        width = int(rng.uniform(0, time_width))
        start = rng.randint(0, frames - width)
        clip[:, start : start + width, :] = value
    return clip


def mask_clips(clips: Tensor, rng: random.Random, probability: float, **widths: int) -> Tensor:
    """Mask a batch clip by clip and stack it, as a loader does.

    Args:
        clips: (batch, 1, frames, mels), kept.
        rng: Draws everything.
        probability: How likely a clip is masked.
        **widths: As for :func:`mask_clip`.

    Returns:
        (batch, 1, frames, mels), new.
    """
    done = []
    for clip in clips:
        copy = clip.clone()
        done.append(mask_clip(copy, rng, **widths) if rng.random() < probability else copy)
    return torch.stack(done)
