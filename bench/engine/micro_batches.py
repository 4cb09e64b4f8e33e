"""Micro-batches: a global batch that is computed a few cycles at a time, with the losses and gradients of the whole.

A loss that is a weighted mean over rows (:class:`methods.base.RowwiseMethod`) is computed and differentiated for one
micro-batch after the other. Any other method sees the whole batch, but a model that computes its rows in micro-batches
and keeps what comes out of them; what lies between is computed again in the backward pass. That is the gradient cache
of Gao et al. (2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup") in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from baselines.timm.stochastic_norm import BATCH_NORM
from bench.core.errors import SpecError
from bench.core.inputs import by_name, joined, map_inputs
from bench.engine.distributed import GlobalBatchNorm, sum_over_processes
from bench.engine.global_draws import GlobalDraws, Place, active_draws, drawing
from bench.engine.losses import loss_to_train
from bench.engine.random_states import DrawnFrom
from bench.engine.recomputation import recomputed
from bench.engine.stages import set_training_mode
from methods.base import Batch, Draw, Inputs, RowwiseMethod, Stage
from methods.views import ROWS_EVERYWHERE, VIEWS_IN_A_ROW

if TYPE_CHECKING:
    from accelerate import Accelerator

ROW_WISE = frozenset({"embed_patches", "encode", "features", "forward"})
"""Calls of a model that treat each row by itself."""


RowwiseCall = Callable[[Inputs], Tensor]


class RowwiseModel:
    """A model whose row-wise calls go through a function; everything else is the model's own.

    Args:
        model: The model.
        compute: Computes a row-wise call of the model for rows: maps (call, rows) to results.
    """

    def __init__(self, model: nn.Module, compute: Callable[[RowwiseCall, Inputs], Tensor]) -> None:
        self._model, self._compute = model, compute

    def __call__(self, x: Inputs) -> Tensor:
        """Map rows as the model does."""
        return self._compute(self._model, x)

    def __getattr__(self, name: str) -> Any:
        """An attribute of the model; of a row-wise call, the call through the function."""
        found = getattr(self._model, name)
        return partial(self._compute, found) if name in ROW_WISE else found


class MicroBatchedModel(RowwiseModel):
    """A model whose row-wise calls are computed in micro-batches; everything else is the model's own.

    Args:
        model: The model.
        size: Rows of a micro-batch.
    """

    def __init__(self, model: nn.Module, size: int) -> None:
        super().__init__(model, partial(_in_micro_batches, model, size=size))


class LearningModel(RowwiseModel):
    """A model in the two passes by which it is learnt how the draws of micro-batches are divided.

    Rows that every process computes (:func:`methods.views.rows_everywhere`) have a number of their own, which is the
    same in both passes. Of them as many are computed as the pass has of the batch: what their draws have of rows
    differs then as in the others. Results are repeated, since their values are not looked at.

    Args:
        model: The model.
        rows: Rows of the batch that the pass computes.
    """

    def __init__(self, model: nn.Module, rows: int) -> None:
        super().__init__(model, partial(_of_so_many_rows, rows=rows))


def _of_so_many_rows(call: RowwiseCall, x: Inputs, rows: int) -> Tensor:
    if not ROWS_EVERYWHERE.get():
        return call(x)
    count = _row_count(x)
    few = call(map_inputs(lambda value: value[torch.arange(rows, device=value.device) % count], x))
    return few[torch.arange(count, device=few.device) % rows]


def _in_micro_batches(model: nn.Module, call: RowwiseCall, x: Inputs, size: int) -> Tensor:
    """Call a model with a few rows at a time; activations of one micro-batch are in memory, and all results.

    Args:
        model: The model.
        call: A row-wise call of it.
        x: (views * rows, ...).
        size: Rows of a micro-batch, which holds rows of one view.
    """
    views = VIEWS_IN_A_ROW.get()
    rows = _row_count(x) // views
    draws, states = active_draws(), DrawnFrom.here()
    begun = draws.place if draws is not None else Place(slice(0, 0), 0)
    # Rows that every process computes are not those of the batch, but all of them are known here.
    place = replace(begun, own=slice(0, rows), rows=rows) if ROWS_EVERYWHERE.get() else begun
    if _row_count(x) <= size:
        with _drawn_at(draws, place):
            return call(x)
    pieces = _split(x, _sizes(rows, size) * views)
    if rows != place.own.stop - place.own.start:
        # Not the rows of the batch: none of them can be told, and a draw is refused.
        draws = None
    results = []
    for (view, start, length), piece in zip(_places(rows, size, views), pieces, strict=True):
        own = replace(place, own=_within(place.own, start, length), view=view if views > 1 else None)
        if draws is not None:
            # Every micro-batch makes the draws of the whole call, from the same random state, and takes its rows.
            draws.place = begun
            states.restore()
        with _drawn_at(draws, own):
            results.append(recomputed(model, call, piece))
    return torch.cat(results)


@contextmanager
def _drawn_at(draws: GlobalDraws | None, place: Place) -> Iterator[None]:
    """Let a call draw for some rows; afterwards draws stand where it left them, and for the rows from before."""
    if draws is None:
        yield
        return
    begun, draws.place = draws.place, place
    yield
    draws.place = replace(begun, draws=draws.place.draws)


def _places(rows: int, size: int, views: int) -> Iterator[tuple[int, int, int]]:
    """View, first row and number of rows of each micro-batch."""
    for view in range(views):
        for start in range(0, rows, size):
            yield view, start, min(size, rows - start)


def _within(own: slice, start: int, length: int) -> slice:
    """Some of a pass's rows, counted from its first, as rows of the global batch."""
    return slice(own.start + start, own.start + start + length)


def _sizes(rows: int, size: int) -> list[int]:
    return [min(size, rows - start) for start in range(0, rows, size)]


def _row_count(x: Inputs) -> int:
    return len(next(iter(by_name(x).values())))


def _split(x: Inputs, sizes: list[int]) -> list[Inputs]:
    # One split: its backward pass puts the parts together once, where slices would each make a whole of zeros.
    parts = {name: torch.split(value, sizes) for name, value in by_name(x).items()}
    return [joined({name: part[place] for name, part in parts.items()}) for place in range(len(sizes))]


def rows_alone(batch: Batch, rows: slice) -> Batch:
    """Some rows of a process as a batch of their own, which no other process has a part of.

    Args:
        batch: The global batch as this process sees it.
        rows: Places among this process's rows.
    """
    labels, host_labels = batch.labels[batch.local][rows], batch.host_labels
    return Batch(
        features=map_inputs(lambda x: x[rows], batch.features),
        second=map_inputs(lambda x: x[rows], batch.second) if batch.second is not None else None,
        labels=labels,
        devices=batch.devices[batch.local][rows],
        patients=batch.patients[batch.local][rows],
        local=slice(0, len(labels)),
        stage=batch.stage,
        host_labels=None if host_labels is None else host_labels[batch.local][rows],
    )


def row_weights(method: object, batch: Batch) -> Tensor | None:
    """Weights of the global batch's rows where the method's loss is a weighted mean over rows, else None.

    Raises:
        SpecError: If the method gives something else than a weight for each row.
    """
    weights: Any = method.row_weights(batch.labels, batch.stage) if isinstance(method, RowwiseMethod) else None
    if weights is not None and (not isinstance(weights, Tensor) or weights.shape != batch.labels.shape):
        found = f"of shape {tuple(weights.shape)}" if isinstance(weights, Tensor) else f"a {type(weights).__name__}"
        raise SpecError(
            f"The method's row weights are {found}, but must be a tensor of shape {tuple(batch.labels.shape)}.",
            "Let its `row_weights` give a weight for each label, or None.",
        )
    return weights


def accumulate_gradients(
    graph: Any,
    batch: Batch,
    draw: Draw | None,
    weights: Tensor,
    size: int,
    accelerator: Accelerator,
    draws: GlobalDraws | None,
) -> dict[str, Tensor]:
    """Compute losses and gradients of a global batch whose loss is a weighted mean over rows, a few rows at a time.

    Args:
        graph: Model and method, wrapped for precision and distribution.
        batch: The global batch as this process sees it.
        draw: What the method drew.
        weights: (global,) weight of each row in the loss.
        size: Rows of a micro-batch.
        accelerator: Runs the backward passes; gradients are exchanged in the last one alone.
        draws: Draws for the global batch; None where no layer draws.

    Returns:
        The losses of the global batch, detached; the gradients lie with the parameters.
    """
    states, own, shares = DrawnFrom.here(), weights[batch.local], list[Tensor]()
    places = list(_places(len(own), size, 1))
    for _, start, length in places:
        rows = slice(start, start + length)
        share = own[rows].sum() / weights.sum()
        last = rows.stop == len(own)
        states.restore()
        if draws is not None:
            draws.begin(_within(batch.local, start, length), len(weights))
        with nullcontext() if last else _without_exchange(accelerator, graph):
            with drawing(draws):
                found = graph(rows_alone(batch, rows), draw)
            losses = {name: value for name, value in found.items() if isinstance(value, Tensor) and value.ndim == 0}
            # The mean over processes is taken of the gradients, where their sum is wanted.
            accelerator.backward(loss_to_train(losses) * (share * accelerator.num_processes))
        shares.append(torch.stack([value.detach() * share for value in losses.values()]))
    total = sum_over_processes(torch.stack(shares).sum(0))
    return dict(zip(losses, total.unbind(), strict=True))


def _without_exchange(accelerator: Accelerator, graph: Any) -> AbstractContextManager[object]:
    context: AbstractContextManager[object] = accelerator.no_sync(graph)
    return context


def check_micro_batches(graph: Any, stages: Sequence[Stage]) -> None:
    """Refuse micro-batches for a model that normalises over the batch.

    Args:
        graph: Model and method (``bench.engine.graph.TrainingGraph``); left in the mode of the last stage.
        stages: The stages that it is trained in.

    Raises:
        SpecError: If a stage trains a batch normalisation of the model; layer and stage are named.
    """
    for stage in stages:
        set_training_mode(graph, stage.trains)
        for name in batch_statistics(graph.model):
            raise SpecError(
                f"micro_batch cannot be used in stage '{stage.name}': the model's batch normalisation {name} "
                "needs all rows of the batch at once.",
                "Use --set checkpointing=true, which saves memory with any batch, and leave micro_batch at 0.",
            )


def batch_statistics(model: nn.Module) -> list[str]:
    """Names of the layers that normalise by the statistics of the batch, in the mode that they are in."""
    norms = ((name, part) for name, part in model.named_modules() if isinstance(part, (BATCH_NORM, GlobalBatchNorm)))
    return [name for name, norm in norms if norm.training or norm.running_mean is None]
