"""The root of the project's one error tree, kept here because every other package may import this one.

Each error is one sentence that says what is wrong and where, with an optional hint that says what to do.
The CLI prints both and exits with the class's ``exit_code``; only ``--debug`` shows a traceback.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Self

from bench.core.text import plain


class BenchError(Exception):
    """An expected failure, shown to the user without a traceback.

    Args:
        message: Sentence that says what is wrong and where.
        hint: Sentence that says what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the hint when the error crosses a process border."""
        return (type(self), (self.message, self.hint))

    def detached(self) -> Self:
        """The same error for those who keep it: its words on one line, and neither traceback, cause nor context.

        A traceback holds the frames that the error passed through, and so whatever they hold: a model, a batch. This
        one lets go of them too.
        """
        forget(self)
        return type(self)(plain(" ".join(self.message.split())), self.hint)


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, and what it came in the middle of, each once."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        part = left.pop()
        if part is not None and id(part) not in seen:
            seen.add(id(part))
            left += [part.__cause__, part.__context__]
            yield part


def forget(error: BaseException) -> None:
    """Let go of what an error holds: the variables of the code that it came through, and with them a model's memory."""
    for part in list(chain_of(error)):
        traceback.clear_frames(part.__traceback__)
        part.__traceback__ = part.__cause__ = part.__context__ = None


class StoreError(BenchError):
    """The results folder or the leaderboard's database cannot be read or written."""

    exit_code = 4


class ResultError(BenchError):
    """A result or a predictions file does not have the form that the board needs."""

    exit_code = 2


class RunError(BenchError):
    """A run started and failed: a loss that is not finite, a lost process, memory that ran out."""

    exit_code = 1


class MemoryRunError(RunError):
    """The memory of a device or of the machine ran out for a run; alone on it, or made smaller, it may fit."""


class CancelledJobError(RunError):
    """A job that somebody took from the engine that carried it out: it is not started again by itself."""


class LostProcessError(RunError):
    """A process of a run was killed or lost: nothing is stored, and the same command goes on."""


class UnexpectedError(RunError):
    """An exception that nobody has thought of, in a process of its own, whose log holds the traceback."""


class PrunedRunError(RunError):
    """A run that a search gave up after an epoch, because others are better by then."""


class SpecError(BenchError):
    """A value, an option or a combination that cannot be run."""

    exit_code = 2


class RegistryError(SpecError):
    """An id that no registry knows, or one that two origins claim."""


class WeightsError(BenchError):
    """Pretrained weights that cannot be fetched, read, or matched with the model, tensor by tensor."""

    exit_code = 2


class RunWeightsError(WeightsError):
    """The file of a run's weights is gone, or no longer has the hash that the run's spec names."""


class DataError(BenchError):
    """Data that is missing or broken."""

    exit_code = 3


class InterruptedRunError(BenchError):
    """A run stopped by Ctrl-C, SIGTERM or SIGHUP after its state was saved."""

    exit_code = 130
