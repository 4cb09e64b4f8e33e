"""The random draws of a forward pass made for the global batch, of which a pass takes the rows that it computes.

A pass may compute the rows of one of several processes, of a micro-batch, or of one view alone; and it may compute them
again, in a backward pass that recomputes activations. All of these make the draws that a single pass over the whole
batch makes, and take their rows of them. :mod:`bench.engine.random_layers` learns how each draw is divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bench.core.errors import RunError
from bench.engine.random_layers import IN_PLACE, Division, RandomMode

HINT = "Use --processes 1 and --set micro_batch=0."


@dataclass(frozen=True)
class Place:
    """The place of a forward pass in its draws, and the rows of the global batch that it computes.

    Attributes:
        own: Rows of the global batch that the pass computes.
        rows: Number of rows of the global batch.
        view: The one view that the rows are of, counted from 0; None where the pass computes all views.
        draws: Number of draws that the pass has made.
    """

    own: slice
    rows: int
    view: int | None = None
    draws: int = 0


class GlobalDraws(RandomMode):
    """Makes the random draws of a forward pass for the global batch and gives the pass its rows.

    Args:
        plan: How each draw of the pass is divided, in the order of the draws.
        place: Where the pass stands.
    """

    def __init__(self, plan: Sequence[Division], place: Place | None = None) -> None:
        super().__init__()
        self.plan = tuple(plan)
        self.place = place or Place(slice(0, 0), 0)

    def begin(self, own: slice, rows: int) -> None:
        """Begin a forward pass.

        Args:
            own: Rows of the global batch that the pass computes.
            rows: Number of rows of the global batch.
        """
        self.place = Place(own, rows)

    def again(self) -> GlobalDraws:
        """Draws that go on from where these stand now, for a pass that repeats what comes."""
        return GlobalDraws(self.plan, self.place)

    def draw(self, func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Make the draw of the global batch and return the pass's rows of it.

        Raises:
            RunError: If the draw is another one than was learnt at its place in the pass.
        """
        name = func.overloadpacket.__name__
        made = self.place.draws
        division = self.plan[made] if made < len(self.plan) else None
        if division is None or division.name != name:
            raise RunError(f"A forward pass draws random numbers ({name}) that none has drawn before it.", HINT)
        self.place = replace(self.place, draws=made + 1)
        if division.axis is None:
            # No axis of rows: with the same seed every process and every micro-batch draws the same.
            return func(*args, **options)
        return self._draw_divided(division, func, args, options)

    def _draw_divided(self, division: Division, func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        def enlarged(value: Any) -> Any:
            if isinstance(value, Tensor):
                return self._global_tensor(value, division)
            return self._global_sizes(value, division) if isinstance(value, (list, tuple)) else value

        result = func(*map(enlarged, args), **options)
        if division.name in IN_PLACE:
            return args[0].copy_(self._own_part(result, division))
        if isinstance(result, (tuple, list)):
            return tuple(self._own_part(part, division) for part in result)
        return self._own_part(result, division)

    def _global_sizes(self, sizes: Sequence[int], division: Division) -> list[int]:
        """Give the sizes of the whole draw, where ``sizes`` are those of the pass's part of it."""
        assert division.axis is not None
        spans = self._own_spans(division)
        if sizes[division.axis] != sum(length for _, length in spans):
            raise RunError(
                f"A forward pass of {self.place.own.stop - self.place.own.start} rows draws random numbers "
                f"({division.name}) of size {'x'.join(map(str, sizes))}, unlike those before it.",
                HINT,
            )
        whole = list(sizes)
        whole[division.axis] = self.place.rows * division.views * division.each
        return whole

    def _global_tensor(self, own: Tensor, division: Division) -> Tensor:
        """Make a tensor for the whole batch, in the layout of a whole pass and with the rows of ``own`` in place."""
        sizes = self._global_sizes(own.shape, division)
        whole = torch.empty_strided(sizes, _dense_strides(sizes, division.order), dtype=own.dtype, device=own.device)
        if division.name not in IN_PLACE:
            # Results of other rows are thrown away: any finite number will do for them.
            whole.zero_()
            spans, axis = self._own_spans(division), division.axis or 0
            for place, part in zip(spans, own.chunk(len(spans), axis), strict=True):
                whole.narrow(axis, *place).copy_(part)
        return whole

    def _own_part(self, whole: Tensor, division: Division) -> Tensor:
        """The pass's rows, in memory of their own."""
        axis = division.axis or 0
        parts = [whole.narrow(axis, *place) for place in self._own_spans(division)]
        return parts[0].clone() if len(parts) == 1 else torch.cat(parts, axis)

    def _own_spans(self, division: Division) -> list[tuple[int, int]]:
        """Start and length of the pass's rows in each view that it computes."""
        own, each = self.place.own, division.each
        views = range(division.views) if self.place.view is None else (self.place.view,)
        length = (own.stop - own.start) * each
        return [((view * self.place.rows + own.start) * each, length) for view in views]


def _dense_strides(sizes: Sequence[int], order: Sequence[int]) -> list[int]:
    """Strides of a dense tensor whose axes lie in memory in an order, from the innermost to the outermost."""
    strides, step = [0] * len(sizes), 1
    # A generator fills memory in its order: a tensor laid out otherwise would have other numbers in its rows. The order
    # is that of the whole batch: with a single row, layers lay out what they compute in another one.
    for axis in order:
        strides[axis] = step
        step *= sizes[axis]
    return strides


class NoDraws(RandomMode):
    """Refuses random draws: in an evaluation by several processes each would draw for its own cycles."""

    def draw(self, func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Refuse the draw.

        Raises:
            RunError: Always; the operator is named.
        """
        raise RunError(
            f"The model draws random numbers ({func.overloadpacket.__name__}) in an evaluation, which several "
            "processes would draw differently from one.",
            "Draw them in training only, or use --processes 1.",
        )


_ACTIVE: ContextVar[GlobalDraws | None] = ContextVar("_ACTIVE", default=None)


def active_draws() -> GlobalDraws | None:
    """The draws of the forward pass that is under way; None where layers draw as they are."""
    return _ACTIVE.get()


@contextmanager
def drawing(draws: GlobalDraws | None) -> Iterator[None]:
    """Let the layers of a forward pass draw for the global batch.

    Args:
        draws: The draws, begun; with None layers draw as they are.
    """
    if draws is None:
        yield
        return
    before = _ACTIVE.set(draws)
    try:
        with draws:
            yield
    finally:
        _ACTIVE.reset(before)
