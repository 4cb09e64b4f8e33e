"""What a model takes of a batch: from the banks or from augmented waveforms, on the device, with batches normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor

from bench.data.units import Inputs, UnitWaves
from bench.engine.data import RunData


def training_inputs(
    data: RunData,
    rows: np.ndarray,
    local: slice,
    device: torch.device,
    *,
    units: UnitWaves | None = None,
    gather: Callable[[Tensor], Tensor],
) -> Inputs:
    """What a model takes of this process's part of a global batch, before spectrograms are augmented.

    Args:
        data: The run's data.
        rows: (global,) rows of the bank, of the whole batch.
        local: Places in ``rows`` of those that this process holds.
        device: Where the inputs go.
        units: The augmented waveforms of this process's part, on ``device``; None where no waveform was augmented.
        gather: Maps a tensor (local, ...) of this process's rows to (global, ...) of all rows.

    Returns:
        (local, channels, frames, mels), or such a tensor for each name.
    """
    if units is None:
        x = data.inputs(rows[local], device)
        return x if data.extremes is None else data.extremes.in_training(_one(x), rows)
    x = data.picture(units)
    return x if data.extremes is None else data.extremes.in_augmented_training(_one(x), gather)


def evaluation_inputs(data: RunData, rows: np.ndarray, part: np.ndarray, device: torch.device) -> Inputs:
    """What a model takes of some of the rows that are evaluated; it does not depend on processes or batches.

    Args:
        data: The run's data.
        rows: (n,) all rows that are evaluated, in the data set's order.
        part: (batch,) positions in ``rows``.
        device: Where the inputs go.

    Returns:
        (batch, channels, frames, mels), or such a tensor for each name.
    """
    x = data.inputs(rows[part], device)
    return x if data.extremes is None else data.extremes.in_evaluation(_one(x), rows, part)


def _one(inputs: Inputs) -> Tensor:
    # Extremes are refused for several inputs when the data are opened.
    return cast(Tensor, inputs)
