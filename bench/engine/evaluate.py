"""Scores for every cycle of a part exactly once, whatever the number of processes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from bench.core.errors import RunError
from bench.engine.data import CLASSES, RunData
from bench.engine.distributed import sum_over_processes
from bench.engine.inputs import evaluation_inputs
from bench.engine.random_layers import NoDraws

if TYPE_CHECKING:
    from accelerate import Accelerator


def class_probabilities(
    model: nn.Module, data: RunData, rows: np.ndarray, accelerator: Accelerator, batch: int
) -> np.ndarray:
    """Evaluate a model on some rows of the feature bank, divided among the processes.

    Args:
        model: The bare model, x (batch, 1, frames, mels), or its named inputs → logits (batch, 4).
        data: The banks, and how batches are normalised where the front-end leaves that to the batch.
        rows: (n,) rows to evaluate.
        accelerator: Gives device, precision and this process's place.
        batch: Cycles per forward pass.

    Returns:
        (n, 4) probabilities in float64, in the order of ``rows``; the same in every process.

    Raises:
        RunError: If a probability is not finite, or if the model draws random numbers in one of several processes.
    """
    # A count stands beside each row's probabilities: that every row is evaluated exactly once is checked, not assumed.
    scores = torch.zeros(len(rows), CLASSES + 1, dtype=torch.float64)
    mine = np.array_split(np.arange(len(rows)), accelerator.num_processes)[accelerator.process_index]
    model.eval()
    draws = NoDraws() if accelerator.num_processes > 1 else contextlib.nullcontext()
    with torch.inference_mode(), accelerator.autocast(), draws:
        for start in range(0, len(mine), batch):
            part = mine[start : start + batch]
            x = evaluation_inputs(data, rows, part, accelerator.device)
            scores[part, :CLASSES] = model(x).double().softmax(-1).cpu()
            scores[part, CLASSES] += 1
    # Rows of other processes are zero here, so that the sum is exact and the same everywhere.
    scores = sum_over_processes(scores.to(_exchange_device(accelerator))).cpu()
    if not bool((scores[:, CLASSES] == 1).all()):
        raise RunError("A test cycle was evaluated more than once or not at all.", "Report this: it is a defect.")
    if not bool(scores.isfinite().all()):
        raise RunError("The model's outputs are not finite.", "Use a smaller learning rate or --precision fp32.")
    return scores[:, :CLASSES].numpy()


def _exchange_device(accelerator: Accelerator) -> torch.device:
    # NCCL exchanges tensors on GPUs alone, Gloo those on the CPU.
    return accelerator.device if accelerator.device.type == "cuda" else torch.device("cpu")
