"""What the program says while it works: the standard library's logging, on stderr.

Every module has a logger of its own name, ``logging.getLogger(__name__)``. A command, a child process or the Python API
calls :func:`show_log` once; a program that has set up logging for these loggers itself is left alone.
"""

from __future__ import annotations

import logging
import os
import sys

from rich.text import Text

from bench.core.errors import SpecError
from bench.core.messages import message_text
from bench.core.terminal import PlainConsole
from bench.core.text import echoed

PACKAGES = ("bench", "baselines", "methods", "leaderboard")
"""The packages of this project: their loggers are shown, and their errors cross the borders of processes."""

LEVEL_VARIABLE = "BENCH_LOG"
"""The environment's variable for what is shown; child processes inherit it."""

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
SHORT_ID = 8
"""Characters of a run's id in front of its lines: enough to tell the runs of one table apart."""

_STYLES = {logging.WARNING: "yellow", logging.ERROR: "bold red"}


class StderrHandler(logging.Handler):
    """Writes records to stderr: what is said as it is, warnings and errors with their level before them.

    The stream is looked up for each record, since tests, notebooks and progress bars replace it.

    Args:
        label: What stands before each line, where several processes write side by side; empty for nothing.
    """

    def __init__(self, label: str = "") -> None:
        super().__init__()
        self.label = label

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = message_text(record.getMessage())
        if record.levelno == logging.DEBUG:
            text = f"{record.name}: {text}"
        if record.exc_info:
            text += "\n" + message_text(logging.Formatter().formatException(record.exc_info))
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        console = PlainConsole(sys.stderr, soft_wrap=not sys.stderr.isatty())
        before = f"[{self.label}] " if self.label else ""
        with console.capture() as line:
            console.print(Text.assemble(before, (level, _STYLES.get(record.levelno, "dim")), text))
        # Through the stream itself: a console would write past a progress bar that has taken stderr over.
        sys.stderr.write(line.get())


def level_of(verbosity: int = 0) -> int:
    """The level that is shown: ``-v`` and ``-q`` count from ``info``, and come before ``BENCH_LOG``.

    Args:
        verbosity: How often ``-v`` was given, less how often ``-q``.

    Raises:
        SpecError: If ``BENCH_LOG`` names no level.
    """
    order = list(LEVELS.values())
    if verbosity:
        return order[min(max(order.index(logging.INFO) - verbosity, 0), len(order) - 1)]
    word = os.environ.get(LEVEL_VARIABLE) or "info"
    if word.lower() not in LEVELS:
        raise SpecError(f"{LEVEL_VARIABLE} is '{echoed(word)}', but must be one of {', '.join(LEVELS)}.")
    return LEVELS[word.lower()]


def show_log(verbosity: int = 0, label: str = "") -> None:
    """Show what the packages of this project log, in this process and in those that it starts.

    Args:
        verbosity: As for :func:`level_of`.
        label: What stands before each line; a run's short id where several runs are under way.

    Raises:
        SpecError: If ``BENCH_LOG`` names no level.
    """
    level = level_of(verbosity)
    os.environ[LEVEL_VARIABLE] = logging.getLevelName(level).lower()
    for package in PACKAGES:
        logger = logging.getLogger(package)
        # Anew at each call, so that a second command of one process does not say everything twice.
        for handler in [handler for handler in logger.handlers if isinstance(handler, StderrHandler)]:
            logger.removeHandler(handler)
        logger.addHandler(StderrHandler(label))
        logger.setLevel(level)
        # What is shown here must not be shown once more by a handler of the root logger.
        logger.propagate = False


def show_log_by_default() -> None:
    """Show the log where nobody has decided on it: for calls of the Python API."""
    if not logging.getLogger("bench").handlers and not logging.getLogger().handlers:
        show_log()


def is_quiet() -> bool:
    """Whether progress is not to be shown, since even plain messages are not."""
    return logging.getLogger("bench").level > logging.INFO
