"""The board's database: where it is, how it is opened, which version it has, what its errors mean.

Set-up of SQLite (measured with eight writing processes): write-ahead log, 30 s timeout, ``synchronous=NORMAL``,
``BEGIN IMMEDIATE`` for every writing transaction. A reader opens the file so that it can neither make nor change it.
A database is made under a temporary name, schema included, and renamed: nobody ever sees half of one.

PostgreSQL behaves the same: writers take turns by a lock that belongs to their transaction, readers see one moment
and can change nothing, the schema comes into being in one transaction.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool, StaticPool

from leaderboard import schema
from leaderboard.errors import StoreError
from leaderboard.files import atomic_path, exclusive_lock

DATABASE_FILE = "leaderboard.sqlite"
TIMEOUT = 30.0
"""Seconds that a transaction waits for another process's."""

WRITERS_LOCK = 0x6C756E67
"""Key of the lock that PostgreSQL's writing transactions take in turn."""

_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
"""What the short names of PostgreSQL in a URL stand for."""

_WAIT = "Wait for it to end, or stop it, and try again."
_REBUILD = "Run `bench board rebuild` to make it anew from the run folders."
_URL_FORM = "Write it as postgresql://user@host/name, or sqlite:///folder/leaderboard.sqlite."
_FAULTS = (
    ("SQLITE_BUSY", "is locked by another process", _WAIT),
    ("SQLITE_LOCKED", "is locked by another process", _WAIT),
    ("SQLITE_FULL", "cannot be written: the disk is full", "Free space there and try again."),
    ("SQLITE_READONLY", "cannot be written: it is read-only", "Choose a folder that can be written with --home."),
    ("SQLITE_CANTOPEN", "cannot be opened", "Check that its folder and the file can be read and written."),
    ("SQLITE_CORRUPT", "is damaged", _REBUILD),
    ("SQLITE_NOTADB", "is damaged, or is no database", _REBUILD),
    ("SQLITE_IOERR", "cannot be used: the disk reports an error", "Check the disk; SQLite needs a local one."),
    ("55P03", "is locked by another process", _WAIT),
    ("53100", "cannot be written: the disk is full", "Free space on its server and try again."),
    ("25006", "cannot be written: it is read-only", "Use a server or a transaction that can be written."),
    ("42501", "lets this user do less than is needed", "Grant the user all rights on the database's schema."),
)
"""Error names of SQLite and codes of PostgreSQL, by their beginning; what they mean, and what to do."""


class DamagedBoardError(StoreError):
    """A database file that SQLite cannot make sense of."""


class Database:
    """A database by its place. Nothing is opened before it is used.

    Args:
        url: Its SQLAlchemy URL.
        path: Its file, where it is SQLite.
    """

    def __init__(self, url: sa.URL, path: Path | None) -> None:
        self._url = url
        self.path = path
        self._engines: dict[tuple[bool, bool], sa.Engine] = {}

    @classmethod
    def at(cls, location: Path | str) -> Database:
        """Name a database.

        Args:
            location: The results folder, or a URL (``postgresql+psycopg://user:password@host/name``).

        Raises:
            StoreError: If the URL cannot be read.
        """
        if not (isinstance(location, str) and "://" in location):
            path = Path(location) / DATABASE_FILE
            return cls(sa.URL.create("sqlite", database=str(path)), path)
        try:
            url = sa.make_url(location)
        except (ArgumentError, ValueError):
            raise StoreError("The store's URL cannot be read.", _URL_FORM) from None
        url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
        if url.get_backend_name() == "postgresql":
            return cls(url, None)
        if url.get_backend_name() != "sqlite":
            raise StoreError(f"The store's URL names '{url.drivername}', which is no known database.", _URL_FORM)
        if not url.database or url.database == ":memory:":
            raise StoreError("The store's URL names no file.", "Write it as sqlite:///folder/leaderboard.sqlite.")
        return cls(url, Path(url.database))

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        return self._url.difference_update_query(self._secret_options()).render_as_string(hide_password=True)

    def _secret_options(self) -> list[str]:
        return [name for name in self._url.query if "password" in name.lower()]

    @contextlib.contextmanager
    def engine(self, *, write: bool) -> Iterator[sa.Engine]:
        """An engine on a board of this code's version; an absent one is made for writing, and empty for reading.

        Raises:
            StoreError: If the database is of another version, locked, damaged, read-only or out of space.
        """
        version = self.version()
        if version is None and write:
            self.create()
            version = self.version()
        self.check(version)
        with self.translated():
            yield _empty_board() if version is None else self._connect(write)

    def _connect(self, write: bool) -> sa.Engine:
        """The engine for reading or for writing, kept for the statements that it has compiled."""
        frozen = self.path is not None and not write and not os.access(self.path.parent, os.W_OK)
        if (write, frozen) not in self._engines:
            self._engines[write, frozen] = self._make_engine(write, frozen)
        return self._engines[write, frozen]

    def _make_engine(self, write: bool, frozen: bool) -> sa.Engine:
        if self.path is not None:
            return _sqlite_engine(self.path, write=write, frozen=frozen)
        try:
            return _postgresql_engine(self._url, write=write)
        except (NoSuchModuleError, ImportError) as error:
            raise StoreError(
                f"The board {self} needs a driver that is not installed: {error}.",
                "Install it: pip install 'lungbench[postgres]'",
            ) from error

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the database's errors into :class:`StoreError`; passwords never get into one."""
        try:
            yield
        except DBAPIError as error:
            self._fail(error.orig or error)
        except sqlite3.Error as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> NoReturn:
        name = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""
        kind = DamagedBoardError if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) else StoreError
        for prefix, what, hint in _FAULTS:
            if name.startswith(prefix):
                raise kind(f"The board {self} {what}.", hint) from error
        text = self._without_secrets(" ".join(str(error).split()).rstrip("."))
        hint = _REBUILD if self.path else "Check the URL in BENCH_STORE, and that its server runs and lets you in."
        raise StoreError(f"The board {self} cannot be used: {text}.", hint) from error

    def _without_secrets(self, text: str) -> str:
        """A driver's words with every password of the URL masked, plain or as the URL writes it."""
        values = [self._url.password, *(self._url.query[name] for name in self._secret_options())]
        secrets = [str(value) for value in values if value]
        for secret in (form for plain in secrets for form in (plain, quote(plain, safe=""), quote_plus(plain))):
            text = text.replace(secret, "***")
        return text

    # --- versions -----------------------------------------------------------------------------------------------

    def version(self) -> str | None:
        """The version of the schema; None where there is no board yet.

        Raises:
            StoreError: If the database cannot be read or holds something else.
        """
        if self.path is not None and absent(self.path):
            return None
        with self.translated(), self._connect(write=False).connect() as connection:
            return self._version_in(connection)

    def _version_in(self, connection: sa.Connection) -> str | None:
        tables = set(sa.inspect(connection).get_table_names())
        if {"alembic_version", "cycle_sets"} <= tables:
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            if found is not None:
                return str(found)
        if self.path is not None or tables & {"alembic_version", "runs"}:
            advice = "Move it away, or choose --home." if self.path else "Name a database of its own in BENCH_STORE."
            raise StoreError(f"{self} is a database, but not a LungBench board.", advice)
        return None

    def check(self, found: str | None) -> None:
        """Refuse a version that this code does not have.

        Raises:
            StoreError: With both versions and what to do.
        """
        if found is None or found == schema.VERSION:
            return
        both = f"The board {self} has the schema version {found}, this lungbench has {schema.VERSION}"
        if found < schema.VERSION:
            raise StoreError(f"{both}.", "Run `bench board upgrade`.")
        raise StoreError(f"{both}: a newer lungbench wrote it.", "Update this one: pip install --upgrade lungbench")

    def create(self) -> None:
        """Make an empty board where there is none; two processes may do so at once."""
        if self.path is None:
            self._migrate(self._migration_engine())
            return
        with self.creation_lock():
            if absent(self.path):
                with atomic_path(self.path) as temporary:
                    self._migrate(_sqlite_engine(temporary, write=True, foreign_keys=False))

    @contextlib.contextmanager
    def creation_lock(self) -> Iterator[None]:
        """Held while the database's file comes into being or is exchanged."""
        assert self.path is not None
        with exclusive_lock(self.path.with_name(f".{self.path.name}.lock")):
            yield

    def upgrade(self) -> tuple[str | None, str]:
        """Bring the schema to this code's version, in one transaction.

        Returns:
            The version before (None where there is no board, which stays so), and this code's.

        Raises:
            StoreError: If the database is newer than this code, or cannot be written.
        """
        found = self.version()
        if found is not None and found < schema.VERSION:
            self._migrate(self._migration_engine())
        else:
            self.check(found)
        return found, schema.VERSION

    def _migration_engine(self) -> sa.Engine:
        """SQLite changes a table by making it anew; the rows that refer to it must not go with the old one."""
        return (
            self._connect(write=True)
            if self.path is None
            else _sqlite_engine(self.path, write=True, foreign_keys=False)
        )

    def _migrate(self, engine: sa.Engine) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
        try:
            with self.translated(), engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(f"The board {self} cannot be upgraded: {error}.", _REBUILD) from error


def absent(path: Path) -> bool:
    """Whether there is no file, or one without a byte.

    Raises:
        StoreError: If its folder cannot be read.
    """
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StoreError(
            f"Cannot read {path}: {error.strerror or error}.", "Name a results folder with --home."
        ) from error


def _sqlite_engine(path: Path, *, write: bool, frozen: bool = False, foreign_keys: bool = True) -> sa.Engine:
    """An engine that never makes a file and keeps no connection; a reader's cannot change a file.

    Args:
        path: The file.
        write: Whether it may write.
        frozen: Whether nobody can write there: SQLite then does without the files that it puts beside a database.
        foreign_keys: Whether a writer's rows must refer to rows that are there.
    """
    query = {"mode": "ro", "immutable": "1", "uri": "true"} if frozen else {"mode": "rw", "uri": "true"}
    url = sa.URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query=query)
    engine = sa.create_engine(url, connect_args={"timeout": TIMEOUT}, poolclass=NullPool)
    guard = f"foreign_keys={'ON' if foreign_keys else 'OFF'}"
    pragmas = ("journal_mode=WAL", "synchronous=NORMAL", guard) if write else ("query_only=ON",)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgresql_engine(url: sa.URL, *, write: bool) -> sa.Engine:
    """An engine that keeps no connection: a training of hours does not hold one of the server's few.

    Args:
        url: The database.
        write: Whether it may write; writers then take turns, as SQLite's do.
    """
    engine = sa.create_engine(
        url,
        poolclass=NullPool,
        isolation_level="READ COMMITTED" if write else "REPEATABLE READ",
        connect_args={} if "connect_timeout" in url.query else {"connect_timeout": 10},
    )

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if write:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{TIMEOUT:g}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
        else:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    return engine


def _empty_board() -> sa.Engine:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    schema.Base.metadata.create_all(engine)
    return engine


def migrations_folder() -> Path:
    """Where Alembic finds the versions of the schema."""
    from leaderboard import migrations

    return Path(str(migrations.__file__)).parent
