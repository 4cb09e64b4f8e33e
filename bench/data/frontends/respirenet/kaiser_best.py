"""Resampling by the filter ``kaiser_best`` of resampy 0.2, which librosa before 0.10 loads recordings with.

The filter is a sinc under a Kaiser window, read from a table with 512 entries for each zero crossing. Two habits of the
original change its numbers and are kept: the step through the table is a whole number of entries (46 instead of 46.44
from 44.1 kHz, which makes the result 1 % louder), and the time of an output is a running sum, which may end a hair
before the whole sample that it should meet.

Between two outputs whose time is the same share of a sample, the weights are the same: a row of outputs is one matrix
product with the samples that it reads.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ZEROS, ENTRIES = 64, 512
"""Zero crossings on each side, and entries of the table for each of them."""

ROLL_OFF, BETA = 0.9475937167399596, 14.769656459379492
"""Cut-off as a share of the lower Nyquist frequency, and the shape of the Kaiser window."""

Array = NDArray[np.float64]


@functools.cache
def filter_table() -> Array:
    """The right half of the filter: (64 * 512 + 1,) weights from its middle to its end."""
    crossings = np.linspace(0, ZEROS, ZEROS * ENTRIES + 1)
    window = np.i0(BETA * np.sqrt(1 - (crossings / ZEROS) ** 2)) / np.i0(BETA)
    table: Array = ROLL_OFF * np.sinc(ROLL_OFF * crossings) * window
    return table


@dataclass(frozen=True)
class Kernel:
    """Weights by which samples become outputs, a row of outputs at a time.

    Attributes:
        inputs: Samples from one row to the next.
        outputs: Outputs that a row makes.
        reach: Samples that a row reads before its first, and about as many behind its last.
        weights: (samples read, outputs) float32.
        early: (samples read,) float32, weights of a row's first output where its time ends a hair too early.
    """

    inputs: int
    outputs: int
    reach: int
    weights: Tensor
    early: Tensor


def _wing(fraction: float, scale: float) -> Array:
    """Weights of the samples on one side of an output, the nearest first."""
    table = filter_table() * min(1.0, scale)
    step = int(scale * ENTRIES)
    place = fraction * ENTRIES
    first = int(place)
    at = np.arange(first, len(table) - 1, step)[: (len(table) - first) // step]
    found: Array = table[at] + (place - first) * (table[at + 1] - table[at])
    return found


def _weights(before: int, fraction: float, scale: float, reach: int, width: int) -> Array:
    """Weights of all samples of a row for an output that lies ``fraction`` behind its sample ``before``."""
    found, nearest = np.zeros(width), reach + before
    left, right = _wing(scale * fraction, scale), _wing(scale - scale * fraction, scale)
    found[nearest - len(left) + 1 : nearest + 1] = left[::-1]
    found[nearest + 1 : nearest + 1 + len(right)] = right
    return found


@functools.lru_cache(maxsize=16)
def kernel(rate: int, target: int) -> Kernel:
    """The weights from one rate to another, made once per process.

    Args:
        rate: Hz, of what is read.
        target: Hz, of what is made.
    """
    common = math.gcd(rate, target)
    inputs, outputs = rate // common, target // common
    scale = min(1.0, target / rate)
    reach = ZEROS * ENTRIES // int(scale * ENTRIES) + 2
    width = inputs + 2 * reach + 1
    times = [output * inputs / outputs for output in range(outputs)]
    columns = [_weights(int(time), time % 1, scale, reach, width) for time in times]
    early = _weights(-1, 1.0, scale, reach, width)
    weights = torch.from_numpy(np.stack(columns, axis=1)).float()
    return Kernel(inputs, outputs, reach, weights, torch.from_numpy(early).float())


def resample_kaiser_best(wave: Tensor, rate: int, target: int) -> Tensor:
    """Resample a recording as librosa 0.8 loads it.

    Args:
        wave: (samples,) float32.
        rate: Rate of it, Hz.
        target: Rate that is wanted, Hz.

    Returns:
        (ceil(samples * target / rate),) float32; where that is no whole number, the last sample is 0, as there.
    """
    if rate == target:
        return wave
    used = kernel(rate, target)
    length = wave.numel() * target // rate
    rows = -(-length // used.outputs)
    margin = rows * used.inputs + len(used.weights) - used.inputs - used.reach - wave.numel()
    padded = torch.nn.functional.pad(wave, (used.reach, max(0, margin)))
    windows = padded.unfold(0, len(used.weights), used.inputs)[:rows]
    found = windows @ used.weights
    early = _early_rows(rows, rate, target, used)
    found[early, 0] = windows[early] @ used.early
    missing = -(-wave.numel() * target // rate) - length
    return torch.nn.functional.pad(found.reshape(-1)[:length], (0, missing))


def _early_rows(rows: int, rate: int, target: int, used: Kernel) -> Tensor:
    """Rows whose first output, summed step by step, falls a hair before the sample that it should fall on."""
    times = np.zeros(rows * used.outputs)
    np.cumsum(np.full(len(times) - 1, 1 / (target / rate)), out=times[1:])
    firsts = np.floor(times[:: used.outputs])
    return torch.from_numpy(np.flatnonzero(firsts < np.arange(rows) * used.inputs))
