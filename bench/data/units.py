"""Waveforms of units: what is judged by itself (a cycle, or a piece of one), as a padded batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bench.core.inputs import OneOrNamed

Inputs: TypeAlias = OneOrNamed[Tensor]
"""What a model takes of a batch: a tensor (units, ...), or such a tensor for each name."""


@dataclass(frozen=True)
class UnitWaves:
    """A batch of waveforms of different lengths, before they are brought to one.

    Attributes:
        samples: (units, longest) float32, zero beyond each unit's length.
        lengths: (units,) int64, samples of each unit, 1 or more; on the CPU wherever ``samples`` are, because to ask a
            GPU how long a waveform is would be to wait for it.
        devices: Device that recorded each unit; an empty text where nobody said.
        draws: (units,) float64 in [0, 1), on the CPU: a number of each unit for what a front-end chooses at random once
            and for all (:func:`unit_draws`), or of what is heard in its place; None where nobody drew.
    """

    samples: Tensor
    lengths: Tensor
    devices: tuple[str, ...]
    draws: Tensor | None = None

    @classmethod
    def of(
        cls, waves: Sequence[Tensor], devices: Sequence[str] | None = None, draws: Tensor | None = None
    ) -> UnitWaves:
        """Pad waveforms with zeros to the longest of them.

        Args:
            waves: (samples,) each, all on one device.
            devices: Device that recorded each; not known by default.
            draws: (units,) float64, a number of each in [0, 1); none by default.

        Raises:
            ValueError: If there is no waveform, one holds no sample, or not every one has a device.
        """
        if not waves or any(wave.ndim != 1 or wave.numel() == 0 for wave in waves):
            raise ValueError("a batch of waveforms holds at least one, each (samples,) with a sample or more")
        names = tuple(devices) if devices is not None else ("",) * len(waves)
        if len(names) != len(waves):
            raise ValueError(f"there are {len(waves)} waveforms, but {len(names)} devices")
        lengths = torch.tensor([wave.numel() for wave in waves])
        return cls(pad_sequence(list(waves), batch_first=True), lengths, names, draws)

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device | str) -> UnitWaves:
        """The same batch on another device.

        Args:
            device: Where the samples go.
        """
        return replace(self, samples=self.samples.to(device))

    def waves(self) -> list[Tensor]:
        """Each waveform without the zeros that were added: views (samples,) of the batch."""
        return [wave[:length] for wave, length in zip(self.samples, self.lengths.tolist(), strict=True)]


def unit_draws(name: str, first: int, count: int) -> Tensor:
    """Draw a number for each unit of a recording, the same in every run and on every machine.

    Args:
        name: Name of the recording.
        first: Number of the first unit among those that a front-end makes of the recording.
        count: Units.

    Returns:
        (count,) float64 in [0, 1), evenly spread over many recordings.
    """
    hashes = (hashlib.sha256(f"{name}:{place}".encode()).digest() for place in range(first, first + count))
    # 53 bits are what a float holds exactly: none is rounded up to 1.
    numbers = [(int.from_bytes(each[:8], "little") >> 11) / 2**53 for each in hashes]
    return torch.tensor(numbers, dtype=torch.float64)
