"""SpecAugment one clip after the other, its numbers drawn in Python, as the official code does in its loader."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


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


class MaskedClips(Dataset[Tensor]):
    """A data set as the official code has it: a clip is masked when it is asked for.

    Args:
        clips: (n, 1, frames, mels), taken in turn.
        length: Clips of an epoch.
        probability: How likely a clip is masked.
        widths: As for :func:`mask_clip`.
    """

    def __init__(self, clips: Tensor, length: int, probability: float, widths: Mapping[str, int]) -> None:
        self.clips, self.length, self.probability, self.widths = clips, length, probability, widths
        self.rng = random.Random(0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Tensor:
        copy = self.clips[index % len(self.clips)].clone()
        return mask_clip(copy, self.rng, **self.widths) if self.rng.random() < self.probability else copy


def loaded_batches(dataset: MaskedClips, batch: int, workers: int) -> Iterable[Tensor]:
    """The batches of an epoch from a loader whose workers are started for it, shuffled, as the official code does."""
    return DataLoader(dataset, batch_size=batch, shuffle=True, num_workers=workers, drop_last=True)
