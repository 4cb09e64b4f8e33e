"""Progress of what takes longer than a moment: a bar on a terminal or in a notebook, a line now and then in a log."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from bench.core.log import is_quiet
from bench.core.terminal import PlainConsole, shows_bars
from bench.core.text import plain

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

Update = Callable[[str, int, int | None], None]
"""Called with a name, how much is done, and how much there is (None where nobody knows)."""

PLAIN_SECONDS = 10.0
"""A line at most this often where there is no terminal, the first after as long."""

SPINNER_SECONDS = 1.0
"""After as long a wait without a count is shown on a terminal: most are over by then."""


def clock_words(seconds: float) -> str:
    """A time as clocks show it: ``1:05:30``."""
    return str(timedelta(seconds=round(seconds)))


@contextlib.contextmanager
def counted(unit: str, *, least: float = 0.0) -> Iterator[Update]:
    """Report progress while the block runs, with the time that is left.

    Bars are drawn while something is counted and not complete: the block may go on with something that has a bar of its
    own.

    Args:
        unit: What is counted; ``bytes`` are shown as sizes.
        least: Seconds that something must have taken for its end to have a line in a log.
    """
    if is_quiet():
        yield _not_shown
        return
    console = PlainConsole(sys.stderr, soft_wrap=not sys.stderr.isatty())
    if not shows_bars(console):
        yield _plain_updates(unit, least)
        return
    bars = _bars(unit, console)
    tasks: dict[str, Any] = {}

    def update(name: str, done: int, total: int | None) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(plain(name), total=total)
        bars.update(tasks[name], completed=done, total=total)
        if bars.finished:
            bars.stop()
        else:
            bars.start()

    try:
        yield update
    finally:
        bars.stop()


def tracked(items: Sequence[Item], name: str, unit: str) -> Iterator[Item]:
    """The items one after the other, with a report of how many are done; a log hears of it only where that takes long.

    Args:
        items: What is gone through.
        name: What is done with them, as a phrase.
        unit: What is counted.
    """
    with counted(unit, least=PLAIN_SECONDS) as update:
        for number, item in enumerate(items, 1):
            yield item
            update(name, number, len(items))


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something is under way that nobody can count, if it takes longer than a moment.

    Args:
        what: What is done, as a phrase: ``computing intervals``.
    """
    console = PlainConsole(sys.stderr, soft_wrap=not sys.stderr.isatty())
    if is_quiet():
        yield
        return
    redraws = shows_bars(console)
    shown = _Spinner(what, console) if redraws else _Line(what)
    shown.start()
    try:
        yield
    finally:
        shown.stop()


def _bars(unit: str, console: PlainConsole) -> Progress:
    """Bars that are not drawn yet."""
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), amount, TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def _not_shown(name: str, done: int, total: int | None) -> None:
    """Leave a report of progress out: not even plain messages are shown."""


def _plain_updates(unit: str, least: float) -> Update:
    began: dict[str, tuple[float, int]] = {}
    last: dict[str, float] = {}

    def update(name: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        start, before = began.setdefault(name, (now, done))
        if (done == total and now - start >= least) or now - last.setdefault(name, now) >= PLAIN_SECONDS:
            last[name] = now
            whole = "" if total is None else f" of {total:,}"
            logger.info(f"{plain(name)}: {done:,}{whole} {unit}{_left(now - start, done - before, done, total)}")

    return update


def _left(seconds: float, counted_since: int, done: int, total: int | None) -> str:
    """The time that is left at the pace so far, in words; nothing where it is not known."""
    if total is None or counted_since <= 0 or done >= total:
        return ""
    return f", {clock_words(seconds / counted_since * (total - done))} left"


class _Spinner:
    """A line with a spinner and the time since the start, drawn after some time and taken away at the end."""

    def __init__(self, what: str, console: PlainConsole) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._line = Progress(*columns, console=console, transient=True)
        self._line.add_task(plain(what), total=None)
        self._timer = threading.Timer(SPINNER_SECONDS, self._draw)
        self._timer.daemon = True
        self._lock, self._ended = threading.Lock(), False

    def start(self) -> None:
        """Begin to wait."""
        self._timer.start()

    def stop(self) -> None:
        """Take the line away, if it was drawn."""
        self._timer.cancel()
        with self._lock:
            self._ended = True
            self._line.stop()

    def _draw(self) -> None:
        with self._lock:
            if not self._ended:
                self._line.start()


class _Line:
    """One line in a log, if the wait is long."""

    def __init__(self, what: str) -> None:
        self._timer = threading.Timer(PLAIN_SECONDS, lambda: logger.info(f"{plain(what)} …"))
        self._timer.daemon = True

    def start(self) -> None:
        """Begin to wait."""
        self._timer.start()

    def stop(self) -> None:
        """Say nothing any more."""
        self._timer.cancel()
