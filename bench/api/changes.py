"""What people change on a board: each change is an entry of its log, signed with the user's key where there is one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api.boards import Board
from bench.api.runs import replayed_spec
from bench.api.words import selection_rule
from bench.experiment.spec import RunSpec
from bench.launch.confirmation import TOLERANCE, run_again
from leaderboard.history import changes
from leaderboard.history.keys import load_key
from leaderboard.history.log import History, LogEntry
from leaderboard.tables.board_tables import leaderboard_table

__all__ = [
    "TOLERANCE",
    "ConfirmedRun",
    "LogEntry",
    "confirm",
    "entry_document",
    "history",
    "history_document",
    "marks",
    "rename",
    "rerun",
    "retract",
    "review",
]


def entry_document(entry: LogEntry) -> dict[str, Any]:
    """An entry of the log as JSON."""
    return {"id": entry.id, **entry.document}


def retract(board: Board, run: str, reason: str, *, undo: bool = False) -> LogEntry:
    """Take a run back: it leaves the board, and neither import nor rebuild brings it back. Its folder stays.

    Args:
        board: The board.
        run: The run's id, or the beginning of it.
        reason: Why; it stays in the log.
        undo: Take a retraction back instead; a rebuild brings the run again.

    Raises:
        ResultError: If there is no such run, or no reason.
        StoreError: If the board cannot be written.
    """
    change = changes.restore if undo else changes.retract
    return change(board.home, board.store, run, reason, load_key())


def rename(board: Board, old: str, new: str) -> LogEntry:
    """Give a submitted system another name; ids, runs and files stay, and the old name leads to it.

    Raises:
        ResultError: If there is no such system, the name is taken, or it belongs to another key.
        StoreError: If the board cannot be written.
    """
    return changes.rename(board.home, board.store, old, new, load_key())


def confirm(board: Board, run: str, reason: str = "confirmed by its author") -> LogEntry:
    """Confirm with the user's key that a run is a system as its author meant it.

    Raises:
        ResultError: If there is no such run, no key, or the submission belongs to another one.
        StoreError: If the board cannot be written.
    """
    return changes.confirm(board.home, board.store, run, reason, load_key())


@dataclass(frozen=True)
class ConfirmedRun:
    """A run that was run again.

    Attributes:
        entry: The entry of the log.
        equal: Whether it gave the same numbers, as far as was allowed.
        largest: The largest difference, percent points; None where other cycles were judged.
    """

    entry: LogEntry
    equal: bool
    largest: float | None


def rerun(
    board: Board,
    run: str,
    *,
    data: str | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    tolerance: float = TOLERANCE,
    cache: Path | None = None,
) -> ConfirmedRun:
    """Run a run's spec again here, in a folder of its own, and write into the log whether it gives the same numbers.

    Args:
        board: The board.
        run: The run's id, or the beginning of it.
        data: Folder of the data, or ``demo``.
        device: ``auto``, ``cpu`` or ``cuda``.
        plugins: Files with the code that the run needs.
        tolerance: Percent points by which Sp, Se and Score may differ.
        cache: The cache folder.

    Raises:
        ResultError: If there is no such run.
        SpecError: If it is a submission, or has not finished.
        BenchError: What kept it from being run again.
    """
    key = load_key()
    document = board.store.run(run)

    def replay(path: Path) -> RunSpec:
        """As this machine runs it; nobody is asked about code that the run names and ``plugins`` do not."""
        where: dict[str, Any] = {"data": data, "device": device, "home": board.home, "cache": cache}
        return replayed_spec(path, lambda _version, _file: False, plugins=list(plugins), **where)

    found = run_again(document, replay, tolerance)
    entry = changes.record(board.home, board.store, "rerun", document["run_id"], dataclasses.asdict(found), key)
    return ConfirmedRun(entry, found.equal, found.largest)


def review(board: Board, run: str, mark: str, *, accept: bool, reason: str) -> LogEntry:
    """Say of a mark of a run whether it is right; the mark stays, with what was said beside it.

    Args:
        board: The board.
        run: The run's id, or the beginning of it.
        mark: The mark's word.
        accept: Whether it is right.
        reason: Why.

    Raises:
        ResultError: If there is no such run or mark, or no reason.
        StoreError: If the board cannot be written.
    """
    verdict = "accepted" if accept else "rejected"
    return changes.review(board.home, board.store, run, mark, verdict, reason, load_key())


def marks(board: Board, protocol: str = "last") -> list[dict[str, Any]]:
    """The marks of all rows of a board: ``system``, ``mark``, ``sentence``, ``run_ids``, and ``review`` where one is.

    Args:
        board: The board.
        protocol: Selection rule whose rows are looked at.

    Raises:
        SpecError: If there is no such rule.
    """
    table = leaderboard_table(board.store, selection_rule(protocol), failed=False)
    rows = [row for section in table.sections for row in section.rows]
    return [
        {"system": row["name"] or f"{row['model']} + {row['method']}", **mark} for row in rows for mark in row["marks"]
    ]


def history(board: Board) -> History:
    """Every change of a board, the oldest first, of its database and its results folder together."""
    return changes.joint_history(board.home, board.store)


def history_document(found: History) -> dict[str, Any]:
    """The document that ``bench board log --format json`` prints."""
    entries = [{"id": one.id, "obeyed": one.obeyed, **one.document} for one in found.entries]
    return {"entries": entries, "missing": found.missing}
