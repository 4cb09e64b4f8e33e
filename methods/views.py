"""Pairs of a batch that one model encodes: clean and mixed clips, or two augmented views of the same clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from bench.core.errors import SpecError
from bench.core.inputs import by_name, joined
from methods.base import Batch, Inputs

Pair = tuple[Tensor, Tensor]

VIEWS_IN_A_ROW: ContextVar[int] = ContextVar("VIEWS_IN_A_ROW", default=1)
"""Number of views of a batch that stand one after the other in a model's rows; :func:`views_in_a_row` sets it."""


ROWS_EVERYWHERE: ContextVar[bool] = ContextVar("ROWS_EVERYWHERE", default=False)
"""Whether every process computes the same rows; :func:`rows_everywhere` sets it."""


class Encoder(Protocol):
    """The part of a model that contrastive methods use; every model has it."""

    classifier: nn.Module

    def features(self, x: Inputs) -> Tensor:
        """(batch, channels, frames, mels), or such a tensor for each name -> (batch, dim)."""
        ...


@contextmanager
def views_in_a_row(views: int) -> Iterator[None]:
    """Say that the rows of a pass are several views of a batch, one after the other.

    Random layers of several processes need it, to take their rows of each view; see ``bench.engine.random_layers``.

    Args:
        views: Number of views.
    """
    before = VIEWS_IN_A_ROW.set(views)
    try:
        yield
    finally:
        VIEWS_IN_A_ROW.reset(before)


@contextmanager
def rows_everywhere() -> Iterator[None]:
    """Say that a pass computes the same rows in every process, whose batch statistics are those of any one of them."""
    before = ROWS_EVERYWHERE.set(True)
    try:
        yield
    finally:
        ROWS_EVERYWHERE.reset(before)


def encode_both(model: nn.Module, encode: Callable[[Any], Tensor], first: Inputs, second: Inputs) -> Pair:
    """Encode two inputs, in one pass where that gives the same.

    Args:
        model: Whose parameters ``encode`` uses.
        encode: A call of the model that maps (local, ...) to (local, dim).
        first: (local, ...), or such a tensor for each name.
        second: (local, ...), likewise.

    Returns:
        Features of both, each (local, dim).
    """
    # Batch statistics of both halves together would differ from those of each.
    if any(name.endswith("running_mean") for name, _ in model.named_buffers()):
        return encode(first), encode(second)
    # One pass of twice the size: fewer, larger operations.
    with views_in_a_row(2):
        one, two = encode(_in_a_row(first, second)).chunk(2)
    return one, two


def _in_a_row(first: Inputs, second: Inputs) -> Inputs:
    """The rows of two inputs one after the other, for each name where they have names."""
    second_by_name = by_name(second)
    return joined({name: torch.cat([x, second_by_name[name]]) for name, x in by_name(first).items()})


def gather_both(batch: Batch, pair: Pair) -> Pair:
    """Gather a pair over the global batch in one call: (local, dim) each -> (global, dim) each."""
    # One exchange between processes in place of two.
    first, second = batch.gather(torch.stack(pair, dim=1)).unbind(1)
    return first, second


def view_features(model: nn.Module, batch: Batch, method: str) -> Pair:
    """Features of both views of the global batch.

    The views go through a model with batch statistics one after the other, as in the code of Moummad & Farrugia
    (ilyassmoummad/scl_icbhi2017 @ 76c4c99, ``scl.py``, ``hybrid.py``).

    Args:
        model: Any model.
        batch: The global batch as this process sees it, with its second view.
        method: Id of the method that asks, for the message.

    Returns:
        Features of the first and of the second views, each (global, dim).

    Raises:
        SpecError: If the batch has no second view.
    """
    if batch.second is None:
        raise SpecError(
            f"Method {method} compares two views of each clip, but the batch has one.",
            "Its card must say views=2; in code, pass Batch(second=…).",
        )
    encoder = cast(Encoder, model)
    return gather_both(batch, encode_both(model, encoder.features, batch.features, batch.second))


def plain_projector(feature_dim: int, out_dim: int) -> nn.Sequential:
    """Projector without batch norm: linear, ReLU, linear (scl_icbhi2017 @ 76c4c99, ``models.py``).

    Args:
        feature_dim: Width of its input and of its hidden layer.
        out_dim: Width of its output.
    """
    return nn.Sequential(nn.Linear(feature_dim, feature_dim), nn.ReLU(), nn.Linear(feature_dim, out_dim))
