"""How runs that are watched are drawn: one row each, in as many columns as the terminal has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.cli.matrix_output import duration_words
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.api.watching import MatrixLook, Snapshot, StudyLook, WatchedRun

SHORT_ID = 8
NARROWEST_NAME = 12
"""Columns that the names of model and method get at least."""
LINES_AROUND = 6
"""Lines of a terminal that are left to what stands around the rows."""
GAP = 2

STYLES = {
    "running": "green",
    "stale": "yellow",
    "waiting": "dim",
    "interrupted": "yellow",
    "failed": "bold red",
    "pruned": "dim",
    "finished": "",
}


@dataclass(frozen=True)
class _Column:
    """A column: its head, what stands in it, and how soon it goes where room is short (0: never)."""

    head: str
    cell: Callable[[WatchedRun], str]
    goes: int = 0
    number: bool = False


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _of(done: int | None, whole: int | None) -> str:
    return "" if done is None else f"{done}/{'?' if whole is None else whole}"


def _state(run: WatchedRun) -> str:
    if run.state == "interrupted" and run.saved:
        return "stopped, saved"
    if run.state == "stale" and run.age is not None:
        return f"stale {duration_words(run.age)}"
    return "stopped" if run.state == "interrupted" else run.state


def _what(run: WatchedRun) -> str:
    seed = "" if run.seed is None else f" s{run.seed}"
    return f"{run.model} {run.method}{seed}".strip()


NAME = _Column("what", _what, 6)
COLUMNS = (
    _Column("run", lambda run: run.run_id[:SHORT_ID]),
    NAME,
    _Column("host", lambda run: run.host, 1),
    _Column("state", _state),
    _Column("epoch", lambda run: _of(run.epoch, run.epochs), number=True),
    _Column("step", lambda run: _of(run.step, run.steps), 3, number=True),
    _Column("loss", lambda run: _number(run.loss, ".4f"), 4, number=True),
    _Column("Score", lambda run: _number(run.score, ".2f"), number=True),
    _Column("cycles/s", lambda run: _number(run.cycles_per_second, ".0f"), 2, number=True),
    _Column("left", lambda run: "" if run.seconds_left is None else duration_words(run.seconds_left), 5, number=True),
)
"""Where the terminal is narrow, the host goes first, then the pace, the step, the loss, the time left and the names."""


def show_live(snapshots: Iterable[Snapshot], console: Console) -> Snapshot:
    """Draw each snapshot in the place of the one before; gives the last one, which stays on the terminal.

    Args:
        snapshots: At least one.
        console: The terminal.
    """
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        for seen in snapshots:
            live.update(view(seen, console.width, max(3, console.height - LINES_AROUND)), refresh=True)
    return seen


def view(seen: Snapshot, width: int, most: int | None = None) -> RenderableType:
    """A snapshot as it is drawn.

    Args:
        seen: The snapshot.
        width: Columns of the terminal.
        most: How many runs are shown at most; None for all.
    """
    parts: list[RenderableType] = [_matrix_line(one) for one in seen.matrices]
    parts += [_study_line(one) for one in seen.studies]
    shown = seen.runs[:most]
    if shown:
        parts.append(_table(shown, width))
        parts += [Text(f"and {len(seen.runs) - len(shown)} more")] if len(shown) < len(seen.runs) else []
        parts += [_error_line(run) for run in shown if run.error]
    elif not parts:
        parts.append(Text(f"nothing goes on in {seen.home}, and nothing ended there within the last hour"))
    return Group(*parts)


def _table(runs: Sequence[WatchedRun], width: int) -> Table:
    columns = _fitting([column for column in COLUMNS if any(map(column.cell, runs))], runs, width)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    spare = max(0, width - _needed(columns, runs))
    for column in columns:
        least = _least(column, runs)
        table.add_column(
            column.head,
            justify="right" if column.number else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=min(least + spare, _widest(column, runs)) if column is NAME else least,
        )
    for run in runs:
        table.add_row(*(Text(column.cell(run), style=_style(column, run)) for column in columns))
    return table


def _style(column: _Column, run: WatchedRun) -> str:
    return STYLES[run.state] if column.head == "state" else ""


def _fitting(columns: list[_Column], runs: Sequence[WatchedRun], width: int) -> list[_Column]:
    """The columns for which there is room, if names are cut."""
    hosts = {run.host for run in runs if run.host}
    if len(hosts) <= 1 and width < 100:
        columns = [column for column in columns if column.head != "host"]
    optional = sorted((column for column in columns if column.goes), key=lambda column: column.goes)
    while optional and _needed(columns, runs) > width:
        columns.remove(optional.pop(0))
    return columns


def _needed(columns: Sequence[_Column], runs: Sequence[WatchedRun]) -> int:
    """The width of a table whose names are cut as far as can be."""
    return sum(_least(column, runs) + GAP for column in columns) - GAP


def _least(column: _Column, runs: Sequence[WatchedRun]) -> int:
    """The width without which a column says nothing; names may be cut."""
    widest = _widest(column, runs)
    return min(widest, NARROWEST_NAME) if column is NAME else widest


def _widest(column: _Column, runs: Sequence[WatchedRun]) -> int:
    return max(len(column.head), *(cell_len(column.cell(run)) for run in runs))


def _matrix_line(one: MatrixLook) -> Text:
    counts = ", ".join(f"{count} {state}" for state, count in one.counts.items())
    driver = "a process is at it" if one.driven else "no process is at it"
    return Text.assemble(("matrix ", "bold"), f"{one.name}: {counts}; {driver}")


def _study_line(one: StudyLook) -> Text:
    trials = f"{one.trials} of {counted_noun(one.target, 'trial')}" if one.target else counted_noun(one.trials, "trial")
    failed = f", {one.failed} failed" if one.failed else ""
    best = "" if one.best is None else f", best Score {one.best:.2f}"
    return Text.assemble(("study ", "bold"), f"{one.name}: {trials}, {one.running} running{failed}{best}")


def _error_line(run: WatchedRun) -> Text:
    return Text(f"{run.run_id[:SHORT_ID]}: {run.error}", style="red", no_wrap=True, overflow="ellipsis")
