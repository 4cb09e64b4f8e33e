"""Ids and names that a board in SQLite holds, read in milliseconds: SQLAlchemy alone takes longer to import.

This is for the completion of a word that somebody types, and for nothing else: it checks neither the version of a board
nor what its rows hold.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

WAIT_SECONDS = 0.2
"""How long a lock of another process is waited for."""

_RUNS = "SELECT run_id FROM runs"
_SYSTEMS = "SELECT DISTINCT json_extract(spec, '$.system') FROM runs WHERE kind = 'submission'"
_NEW_NAMES = "SELECT json_extract(entry, '$.details.new') FROM board_log WHERE action = 'rename' AND obeyed"


def run_ids(file: Path) -> list[str]:
    """The ids of all runs; raises ``sqlite3.Error`` where the file is no board."""
    return _texts(file, _RUNS)


def system_names(file: Path) -> list[str]:
    """The names of submitted systems, old ones that lead to new ones included; raises as :func:`run_ids`."""
    return [*_texts(file, _SYSTEMS), *_texts(file, _NEW_NAMES)]


def _texts(file: Path, query: str) -> list[str]:
    # A read-only connection would leave the files of the write-ahead log behind.
    address = f"{file.absolute().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS)) as connection:
        connection.execute("PRAGMA query_only = ON")
        return [row[0] for row in connection.execute(query) if isinstance(row[0], str)]
