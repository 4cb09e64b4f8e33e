"""What a person sees of tasks under way: a table that lives on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.core.errors import BenchError
from bench.core.log import is_quiet
from bench.core.progress import clock_words
from bench.core.terminal import PlainConsole, can_redraw
from bench.launch.jobs import Executor, JobState
from bench.launch.log_lines import LogLines, Tally
from bench.launch.tasks import Task, TaskEnd, Watcher
from leaderboard.results.run_progress import read_progress

REFRESH_SECONDS = 0.5
LINES_AROUND = 8
"""Lines of a terminal that are left to what stands around the rows."""

COLUMNS = ("run", "where", "epoch", "loss", "Score", "left")


@contextlib.contextmanager
def watching() -> Iterator[Watcher]:
    """The watcher that fits stderr: a live table on a terminal, plain lines in a log, which ``-q`` silences."""
    console = PlainConsole(sys.stderr)
    if is_quiet() or not can_redraw(sys.stderr):
        with LogLines() as lines:
            yield lines
        return
    with LiveTable(console) as table:
        yield table


class LiveTable:
    """Shows running tasks in a table that is drawn anew, and says above it how tasks ended; for a ``with`` block.

    Args:
        console: The terminal.
    """

    def __init__(self, console: PlainConsole) -> None:
        self.console, self.lines = console, LogLines(brief=True)
        self._states: Mapping[str, tuple[JobState, str]] = {}
        self._drawn = 0.0
        # Without a thread of its own: it is drawn between two looks at the jobs.
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, get_renderable=self._table
        )

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.lines.__exit__()
        self._live.stop()

    def on_queue(self, tasks: Sequence[Task]) -> None:
        """Count the tasks."""
        self.lines.on_queue(tasks)

    def on_start(self, task: Task, attempt: int) -> None:
        """Give the task a row."""
        self.lines.on_start(task, attempt)

    def on_retry(self, task: Task, error: BenchError, seconds: float) -> None:
        """Take the row away, and say why."""
        self.lines.on_retry(task, error, seconds)

    def on_end(self, end: TaskEnd) -> None:
        """Take the row away, and say how the task ended."""
        self.lines.on_end(end)
        if end.status == "finished":
            # The line has drawn the table as it was.
            self._drawn = 0.0

    def on_look(self, executor: Executor) -> None:
        """Draw the table anew, if that is some time ago."""
        now = time.monotonic()
        if now - self._drawn >= REFRESH_SECONDS:
            self._drawn = now
            self._states = executor.states()
            self._live.refresh()

    def _table(self) -> RenderableType:
        return live_table(self.lines.tally, self._states, max(1, self.console.height - LINES_AROUND))


def live_table(tally: Tally, states: Mapping[str, tuple[JobState, str]], rows: int) -> RenderableType:
    """The table of running tasks, and the numbers of all.

    Args:
        tally: The tasks.
        states: What the engine says of the jobs that it has.
        rows: How many tasks are shown at most.
    """
    running = [it for it in tally.running.values() if states.get(it[0].key, ("running", ""))[0] == "running"]
    numbers = Text(tally.said(waiting=len(tally.running) - len(running)))
    if not running:
        return numbers
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for task, attempt in running[:rows]:
        where = states[task.key][1] if task.key in states else ""
        table.add_row(task.said + (f" (attempt {attempt})" if attempt > 1 else ""), where, *_cells(task))
    more = [Text(f"and {len(running) - rows} more")] if len(running) > rows else []
    return Group(table, *more, numbers)


def _cells(task: Task) -> tuple[str, str, str, str]:
    """Epoch, loss, Score and time left of a running task, as far as it tells them."""
    progress = read_progress(task.progress) if task.progress is not None else None
    if progress is None:
        return "", "", "", ""
    left = progress.remaining()
    return (
        f"{progress.epoch}/{progress.epochs}",
        "" if progress.loss is None else f"{progress.loss:.4f}",
        "" if progress.score is None else f"{progress.score:.2f}",
        "" if left is None else clock_words(left),
    )
