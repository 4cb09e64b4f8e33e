"""The root of the project's one error tree, kept here because every other package may import this one.

Each error is one sentence that says what is wrong and where, with an optional hint that says what to do.
The CLI prints both and exits with the class's ``exit_code``; only ``--debug`` shows a traceback.
"""

from __future__ import annotations

from typing import Self

from leaderboard.text import plain


class BenchError(Exception):
    """An expected failure, shown to the user without a traceback.

    Args:
        message: What is wrong and where, one sentence.
        hint: What to do about it, one sentence.
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

        A traceback holds the frames that the error passed through, and so whatever they hold: a model, a batch.
        """
        return type(self)(plain(" ".join(self.message.split())), self.hint)


class StoreError(BenchError):
    """The results folder or the leaderboard's database cannot be read or written."""

    exit_code = 4


class ResultError(BenchError):
    """A result or a predictions file does not have the form that the board needs."""

    exit_code = 2
