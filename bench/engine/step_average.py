"""The paper's average of each step's state with the state before it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from bench.core.errors import SpecError


def average_state(before: Mapping[str, Tensor], after: Mapping[str, Tensor], beta: float) -> dict[str, Tensor]:
    """Average the states before and after a step, entry by entry: beta * before + (1 - beta) * after.

    Counters (``num_batches_tracked``) are averaged as the authors do, rounded towards zero.

    Args:
        before: State of a module before the step.
        after: Its state after the step.
        beta: Share of the state before, 0..1.

    Source: official code @ 836b09f, ``util/misc.py`` (``update_moving_average``).
    """
    return {name: (beta * before[name] + (1 - beta) * value).to(value.dtype) for name, value in after.items()}


class StepAverage:
    """The paper's average of each step's state with the state before it, without copies of the parameters.

    For parameters the average is the step with a learning rate (1 - beta) times as large, because the optimiser's own
    state is not averaged: :meth:`effective_lr`. Buffers (running statistics, counters; possibly updated more than once
    a step) are averaged literally, by :meth:`before_step` and :meth:`after_step` around each optimiser step's
    forward passes. Together these equal :func:`average_state` on the whole state.

    Args:
        module: The module that is trained: the model together with what the method adds.
        beta: Share of the state before the step, at least 0 and below 1; 0 averages nothing.

    Raises:
        SpecError: If beta lies outside its range.
    """

    def __init__(self, module: nn.Module, beta: float) -> None:
        if not 0 <= beta < 1:
            raise SpecError(f"step_average is {beta}, but must be at least 0 and below 1.")
        self.beta = beta
        # Owners and names, not tensors: moving a module to a device replaces its buffers.
        self._places = _buffer_places(module) if beta > 0 else []
        self._before: list[Tensor] = []

    def effective_lr(self, lr: float) -> float:
        """The learning rate whose plain step is the averaged step with ``lr``."""
        return lr * (1 - self.beta)

    def before_step(self) -> None:
        """Remember the buffers; call it before the first forward pass of an optimiser step."""
        self._before = [buffer.clone() for buffer in self._buffers()]

    def after_step(self) -> None:
        """Average the buffers with what :meth:`before_step` remembered; call it after the optimiser's step."""
        buffers = self._buffers()
        for dtype in {buffer.dtype for buffer in buffers}:
            pairs = [(old, new) for old, new in zip(self._before, buffers, strict=True) if new.dtype == dtype]
            _average_into([old for old, _ in pairs], [new for _, new in pairs], self.beta)

    def _buffers(self) -> list[Tensor]:
        return [part.get_buffer(name) for part, name in self._places]


def _buffer_places(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """Each buffer of a module and its parts, as the part that owns it and its name there."""
    return [
        (part, name)
        for part in module.modules()
        for name, _ in part.named_buffers(recurse=False, remove_duplicate=False)
    ]


@torch.no_grad()
def _average_into(before: list[Tensor], buffers: list[Tensor], beta: float) -> None:
    """Write beta * before + (1 - beta) * buffers into the buffers, which have one type, rounding counters to zero."""
    if buffers[0].is_floating_point():
        # 1 - (1 - beta) is beta to the last bit of a float32: all tensors are averaged in one call.
        average = get_ema_multi_avg_fn(1 - beta)  # type: ignore[no-untyped-call]
        average(buffers, before, 0)
        return
    for old, new in zip(before, buffers, strict=True):
        new.copy_(beta * old + (1 - beta) * new)
