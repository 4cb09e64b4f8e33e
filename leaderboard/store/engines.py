"""Connections to the board's database: how SQLite and PostgreSQL are set up for reading, for writing, and for making.

Set-up of SQLite (measured with eight writing processes): write-ahead log, 30 s timeout, ``synchronous=NORMAL``,
``BEGIN IMMEDIATE`` for every writing transaction. A reader opens the file so that it can neither make nor change it.

PostgreSQL behaves the same: writers take turns by a lock that belongs to their transaction, readers see one moment
and can change nothing. Its texts travel as UTF-8, whatever encoding the database says that it has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, StaticPool

from leaderboard.store import schema

WRITERS_LOCK = 0x6C756E67
"""Key of the lock that PostgreSQL's writing transactions take in turn."""


def sqlite_reader(path: Path, timeout: float, *, frozen: bool = False) -> sa.Engine:
    """Make an engine that reads an SQLite file and can change nothing.

    Args:
        path: The file of the database.
        timeout: Seconds to wait for another process's transaction.
        frozen: Whether nobody can write there: SQLite then does without the files that it puts beside a database.
    """
    query = {"mode": "ro", "immutable": "1"} if frozen else {"mode": "rw"}
    return _sqlite(path, timeout, query, ["query_only=ON"], "BEGIN")


def sqlite_writer(path: Path, timeout: float, *, foreign_keys: bool = True) -> sa.Engine:
    """Make an engine that writes to an SQLite file which is there.

    Args:
        path: The file of the database.
        timeout: Seconds to wait for another process's transaction.
        foreign_keys: Whether rows must refer to rows that are there.
    """
    guard = f"foreign_keys={'ON' if foreign_keys else 'OFF'}"
    return _sqlite(path, timeout, {"mode": "rw"}, ["journal_mode=WAL", "synchronous=NORMAL", guard], "BEGIN IMMEDIATE")


def sqlite_maker(path: Path, timeout: float) -> sa.Engine:
    """Make an engine for an SQLite file that nobody else knows yet: all content comes to lie in that one file.

    A write-ahead log would hold the schema until SQLite copies it into the file as the connection closes, which a full
    disk prevents without an error.
    """
    return _sqlite(path, timeout, {"mode": "rw"}, ["journal_mode=MEMORY", "foreign_keys=OFF"], "BEGIN IMMEDIATE")


def _sqlite(path: Path, timeout: float, query: dict[str, str], pragmas: Sequence[str], start: str) -> sa.Engine:
    """An engine that never makes a file and keeps no connection.

    Transactions are begun by ``start`` and not by Python's driver, which would begin them late, at the first change:
    two processes could then both read, and one would fail when both write.
    """
    url = sa.URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query={**query, "uri": "true"})
    engine = sa.create_engine(url, connect_args={"timeout": timeout}, poolclass=NullPool)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(start)

    return engine


def postgresql_engine(url: sa.URL, timeout: float, *, write: bool) -> sa.Engine:
    """Make an engine on PostgreSQL that keeps no connection: a training of hours must not hold one of the server's few.

    Args:
        url: URL of the database.
        timeout: Seconds to wait for another process's transaction.
        write: Whether it may write; writers then take turns, as SQLite's do.
    """
    # A database in SQL_ASCII names no encoding, and the driver would then give bytes for texts.
    defaults = {"connect_timeout": "10", "client_encoding": "utf8"}
    engine = sa.create_engine(
        url,
        poolclass=NullPool,
        isolation_level="READ COMMITTED" if write else "REPEATABLE READ",
        connect_args={name: value for name, value in defaults.items() if name not in url.query},
    )

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if write:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{timeout:g}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
        else:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    return engine


def empty_board() -> sa.Engine:
    """Make an engine on a board in memory that holds nothing, as which an absent board is read."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    schema.Base.metadata.create_all(engine)
    return engine
