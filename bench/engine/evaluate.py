"""Scores for every cycle of a part exactly once, whatever the number of processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.errors import RunError
from bench.engine.data import RunData
from bench.engine.distributed import sum_over_processes
from bench.engine.global_draws import NoDraws
from bench.engine.inputs import evaluation_inputs
from bench.engine.votes import scores_by_cycle
from leaderboard.metrics import score_cycles
from methods.base import ScoringMethod

if TYPE_CHECKING:
    from accelerate import Accelerator

    from bench.engine.graph import TrainingGraph
    from bench.experiment.spec import RunSpec


def probabilities_of(method: object) -> Callable[[Tensor], Tensor]:
    """How (rows, classes) probabilities follow from logits: softmax, or the method's own scores over their sum."""
    if not isinstance(method, ScoringMethod):
        return _softmax

    def shares(logits: Tensor) -> Tensor:
        scores = method.scores(logits)
        _check_scores(scores, logits)
        return scores / scores.sum(-1, keepdim=True)

    return shares


def _check_scores(scores: Any, logits: Tensor) -> None:
    """Check what a method makes of logits; those that are not finite are told of elsewhere, and not as its fault."""
    if not isinstance(scores, Tensor) or scores.shape != logits.shape:
        found = f"of shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise RunError(
            f"The method's scores are {found}, but must be a tensor of the logits' shape {tuple(logits.shape)}.",
            "Let its `scores` give a score of each class for each row.",
        )
    if not bool(logits.isfinite().all()):
        return
    if not bool(((scores >= 0) & scores.isfinite()).all()):
        raise RunError("The method's scores are negative or not finite.", "Let its `scores` give none below 0.")
    if not bool((scores.sum(-1) > 0).all()):
        raise RunError(
            "The method's scores of a row are 0 for every class, so that none is chosen.",
            "Let its `scores` give at least one above 0.",
        )


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def class_probabilities(
    model: nn.Module,
    data: RunData,
    rows: np.ndarray,
    accelerator: Accelerator,
    batch: int,
    probabilities: Callable[[Tensor], Tensor] = _softmax,
) -> np.ndarray:
    """Evaluate a model on some rows of the feature bank, divided among the processes.

    Args:
        model: The bare model, x (batch, 1, frames, mels), or its named inputs → logits (batch, classes).
        data: The banks, and how batches are normalised where the front-end leaves that to the batch.
        rows: (n,) rows to evaluate.
        accelerator: Gives device, precision and this process's place.
        batch: Cycles per forward pass.
        probabilities: From :func:`probabilities_of`.

    Returns:
        (n, classes) probabilities in float64, in the order of ``rows``; the same in every process.

    Raises:
        RunError: If a probability is not finite, or if the model draws random numbers in one of several processes.
    """
    # A count stands beside each row's probabilities: that every row is evaluated exactly once is checked, not assumed.
    classes = len(data.task.classes)
    # On the device until all is done: a batch's transfer would wait for the batch. In float64, as before the transfer.
    scores = torch.zeros(len(rows), classes + 1, dtype=torch.float64, device=accelerator.device)
    stride = accelerator.num_processes * batch
    model.eval()
    draws = NoDraws() if accelerator.num_processes > 1 else contextlib.nullcontext()
    with torch.inference_mode(), accelerator.autocast(), draws:
        # Whole batches of one process are divided: a model that looks at all rows of a batch gives the same.
        for start in range(accelerator.process_index * batch, len(rows), stride):
            end = min(start + batch, len(rows))
            data.read_ahead(rows[start + stride : start + stride + batch])
            x = evaluation_inputs(data, rows, np.arange(start, end), accelerator.device)
            scores[start:end, :classes] = probabilities(model(x).double())
            scores[start:end, classes] += 1
    # Rows of other processes are zero here, so that the sum is exact and the same everywhere.
    scores = sum_over_processes(scores).cpu()
    if not bool((scores[:, classes] == 1).all()):
        raise RunError("A test cycle was evaluated more than once or not at all.", "Report this: it is a defect.")
    if not bool(scores.isfinite().all()):
        raise RunError("The model's outputs are not finite.", "Use a smaller learning rate or --precision fp32.")
    return scores[:, :classes].numpy()


def judge_cycles(
    graph: TrainingGraph, data: RunData, rows: np.ndarray, accelerator: Accelerator, spec: RunSpec
) -> tuple[np.ndarray, dict[str, Any]]:
    """Scores of the cycles that some rows are pieces of, by the vote of the spec, and their metrics.

    Args:
        graph: Model and method, not wrapped.
        data: The run's data.
        rows: (n,) rows to evaluate.
        accelerator: Gives device, precision and this process's place.
        spec: The spec of the run.

    Returns:
        (cycles, classes) probabilities, and the metrics of the main part by the task's sensitivities.

    Raises:
        RunError: As :func:`class_probabilities` does.
    """
    probabilities = probabilities_of(graph.method)
    pieces = class_probabilities(graph.model, data, rows, accelerator, spec.distribution.eval_batch, probabilities)
    first, cycle_of = data.cycles_of(rows)
    scores = scores_by_cycle(spec.vote, pieces, cycle_of)
    is_main = np.array([part == data.task.main.id for part in data.tested_parts(first)])
    return scores, score_cycles(data.bank.labels[first][is_main], scores[is_main], data.task)
