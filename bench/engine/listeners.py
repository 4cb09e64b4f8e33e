"""Listeners: what hears of a run while it trains, such as the progress bar, a search's pruner, or a tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Any

from bench.engine.position import Position


class Wish(IntEnum):
    """What a listener asks of the run after some steps; the highest of all listeners and processes is done."""

    GO_ON = 0
    SAVE = 1
    """Save the state, and go on."""
    STOP = 2
    """Save the state, and end the run here; it can be resumed."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A run as it begins or goes on.

    Attributes:
        label: Words for the run: model, method and seed.
        epochs: Number of epochs.
        steps: Number of steps of an epoch; the last epoch of a stage may have fewer.
        remarks: Sentences for the user on the state that it goes on from; none for a run that begins.
        rate: Gives the learning rate of a step: number of the epoch, from 1, and of the step in it, from 0.
    """

    label: str
    epochs: int
    steps: int
    remarks: Sequence[str] = ()
    rate: Callable[[int, int], float] | None = None


class Listener:
    """Hears of a run in each of its processes, and does nothing unless a subclass says what.

    Calls that exchange something with other processes must do so in all of them.
    """

    def on_start(self, start: Start) -> None:
        """Hear that the run begins or goes on."""

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Hear of the steps since the last call.

        Args:
            epoch: Number of the epoch, from 1.
            step: Number of steps of the epoch that are done.
            losses: The named losses of each step, the last of them that of ``step``; ``loss`` is the one trained for.

        Returns:
            What the listener asks for.
        """
        return Wish.GO_ON

    def on_epoch(self, entry: Mapping[str, Any]) -> None:
        """Hear that an epoch is done and evaluated; the entry is the epoch's row in the result."""

    def on_stage(self, number: int, stages: int, name: str) -> None:
        """Hear that another stage than the first begins: its number, from 1, how many there are, and its name."""

    def on_checkpoint(self, position: Position) -> None:
        """Hear that the state is taken: it is written while training goes on."""

    def on_epoch_end(self, position: Position) -> None:
        """Hear where the run stands between two epochs; a listener may end it here by raising a ``BenchError``."""

    def on_end(self) -> None:
        """Hear that the run ends, well or with an error; called after every :meth:`on_start`."""


class Listeners:
    """The listeners of a run as one, which are told of its start and its end by a ``with`` block.

    Args:
        listeners: Told in this order, of the end in the other.
        start: What the run is.
    """

    def __init__(self, listeners: Sequence[Listener], start: Start) -> None:
        self.listeners, self.start = listeners, start
        self._ends = ExitStack()

    def __enter__(self) -> Listeners:
        with self._ends:
            for listener in self.listeners:
                # One that fails as it hears of the start or the end keeps none of the others from hearing of the end.
                self._ends.callback(listener.on_end)
                listener.on_start(self.start)
            self._ends = self._ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Tell of steps; the highest of the listeners' wishes is returned."""
        return max((listener.on_losses(epoch, step, losses) for listener in self.listeners), default=Wish.GO_ON)

    def on_epoch(self, entry: Mapping[str, Any]) -> None:
        """Tell of an epoch."""
        for listener in self.listeners:
            listener.on_epoch(entry)

    def on_stage(self, number: int, stages: int, name: str) -> None:
        """Tell of a stage."""
        for listener in self.listeners:
            listener.on_stage(number, stages, name)

    def on_checkpoint(self, position: Position) -> None:
        """Tell of a saved state."""
        for listener in self.listeners:
            listener.on_checkpoint(position)

    def on_epoch_end(self, position: Position) -> None:
        """Tell where the run stands between two epochs."""
        for listener in self.listeners:
            listener.on_epoch_end(position)
