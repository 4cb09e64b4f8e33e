"""The log of a board as rows of its database, and what they keep off it."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from leaderboard.history.log import Action, History, LogEntry
from leaderboard.store import schema


def read_entries_of(session: Session, *actions: Action) -> list[LogEntry]:
    """Read the entries of a board's log: all, or those of the named actions."""
    query = sa.select(schema.LogRow.entry, schema.LogRow.obeyed)
    if actions:
        query = query.where(schema.LogRow.action.in_(actions))
    return [LogEntry(row.entry, row.obeyed) for row in session.execute(query)]


def is_retracted(session: Session, run_id: str) -> bool:
    """Whether a run was retracted and not restored after it."""
    row = schema.LogRow
    query = sa.select(row.entry, row.obeyed).where(row.run_id == run_id, row.action.in_(("retract", "restore")))
    return run_id in History.of(LogEntry(found.entry, found.obeyed) for found in session.execute(query)).retracted


def put_entries(session: Session, entries: Iterable[LogEntry]) -> None:
    """Add entries to the log, and delete the rows of runs that they retract.

    An entry that is there stays. One that was refused before and is obeyed now counts from now on; an entry that was
    obeyed is never refused afterwards.
    """
    taken_back = set[str]()
    for entry in entries:
        known = session.get(schema.LogRow, entry.id)
        if known is None:
            session.add(schema.LogRow(entry.id, entry.action, entry.run, entry.obeyed, dict(entry.document)))
        elif entry.obeyed and not known.obeyed:
            known.obeyed = True
        if entry.action in ("retract", "restore") and entry.run is not None:
            taken_back.add(entry.run)
    session.flush()
    for run_id in taken_back:
        if is_retracted(session, run_id):
            session.execute(sa.delete(schema.Run).where(schema.Run.run_id == run_id))
