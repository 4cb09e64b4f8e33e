"""Activation checkpointing that gives the same numbers: part of a forward pass runs again in the backward pass.

torch's checkpointing runs a function a second time with the random state of the first. Three things it leaves to
others, and all are seen to here: a second run would move running statistics a second time, it would not make the draws
of the global batch (:mod:`bench.engine.global_draws`), and it would not know of rows that every process computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.engine.global_draws import GlobalDraws, active_draws, drawing
from methods.views import ROWS_EVERYWHERE, rows_everywhere

Buffers = Sequence[tuple[nn.Module, str, Tensor]]
"""Buffers by the module that owns them and their name there, each with its value."""


def recomputed(owner: nn.Module, function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """Call a function without keeping its activations; the backward pass computes them again.

    Args:
        owner: The module whose parts the function runs: what their buffers hold now, the second run begins with.
        function: The function; called with ``inputs`` and ``options``.
        *inputs: Tensors, kept until the backward pass.
        **options: Other arguments.
    """
    if not torch.is_grad_enabled():
        return function(*inputs, **options)
    contexts = partial(_contexts, owner)
    return checkpoint(function, *inputs, use_reentrant=False, context_fn=contexts, **options)


def _contexts(owner: nn.Module) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
    """The contexts of the first and of the second run; called just before the first."""
    draws = active_draws()
    again = draws.again() if draws is not None else None
    return nullcontext(), _second_run(moving_buffers(owner), again, everywhere=ROWS_EVERYWHERE.get())


def moving_buffers(owner: nn.Module) -> Buffers:
    """Copies of the buffers of all parts in training mode, which a forward pass may change."""
    parts = (part for part in owner.modules() if part.training)
    return [(part, name, buffer.clone()) for part in parts for name, buffer in part.named_buffers(recurse=False)]


@contextmanager
def _second_run(before: Buffers, draws: GlobalDraws | None, *, everywhere: bool) -> Iterator[None]:
    """Begin with the buffers and draws of the first run, for such rows, and leave the buffers as they are now."""
    now = [getattr(part, name) for part, name, _ in before]
    for part, name, value in before:
        setattr(part, name, value.clone())
    try:
        # Of their own: a graph may be run backward twice, and each time from the same place.
        with rows_everywhere() if everywhere else nullcontext(), drawing(draws.again() if draws is not None else None):
            yield
    finally:
        for (part, name, _), buffer in zip(before, now, strict=True):
            setattr(part, name, buffer)
