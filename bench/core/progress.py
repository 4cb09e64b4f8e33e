"""Progress of things that are counted, on stderr: a bar on a terminal or in a notebook, plain lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.core.log import is_quiet
from bench.core.terminal import PlainConsole, shows_bars
from bench.core.text import plain

Update = Callable[[str, int, int | None], None]
"""Called with a name, how much is done, and how much there is (None where nobody knows)."""

PLAIN_SECONDS = 5.0
"""A line at most this often where there is no terminal."""


@contextlib.contextmanager
def counted(unit: str) -> Iterator[Update]:
    """Report progress while the block runs.

    Args:
        unit: What is counted; ``bytes`` are shown as sizes.
    """
    if is_quiet():
        yield _not_shown
        return
    console = PlainConsole(sys.stderr, soft_wrap=not sys.stderr.isatty())
    if not shows_bars(console):
        yield _plain_updates(unit, console)
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(plain(name), total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield update


def _not_shown(name: str, done: int, total: int | None) -> None:
    """Leave a report of progress out: not even plain messages are shown."""


def _plain_updates(unit: str, console: PlainConsole) -> Update:
    last: dict[str, float] = {}

    def update(name: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done == total or now - last.get(name, 0.0) >= PLAIN_SECONDS:
            last[name] = now
            whole = "" if total is None else f" of {total:,}"
            console.print(f"{plain(name)}: {done:,}{whole} {unit}")

    return update
