"""The board's database: where it is, how it is opened and made, what its errors mean.

A database in a file is made under a temporary name, whole and in that one file, opened once to see that it is, and
renamed: nobody ever sees half of one. On a server the schema comes into being in one transaction.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from bench.core.errors import ResultError, StoreError
from bench.core.files import atomic_path, exclusive_lock, sweep
from bench.core.locks import lacks_record_locks
from bench.core.text import echoed, plain
from leaderboard.store import engines, schema, versions
from leaderboard.store.network_disks import warn_of_network_disk

DATABASE_FILE = "leaderboard.sqlite"
TIMEOUT = 30.0
"""Seconds that a transaction waits for another process's."""

_STEPS_BETWEEN_LOOKS = 1_000
"""Instructions of SQLite between two looks at the clock."""

_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
"""What the short names of PostgreSQL in a URL stand for."""

LOG_ENDINGS = ("-wal", "-shm", "-journal")
"""Endings of the files that SQLite keeps beside a database."""

_WAIT = "Wait for it to end, or stop it, and try again."
_REBUILD = "Run `bench board rebuild` to make it anew from the run folders."
_MOVE = (
    "Name a results folder on a local disk with --home or BENCH_HOME, or a PostgreSQL database in BENCH_STORE "
    "(postgresql://user@host/name); or have it mounted with locks (Lustre: -o flock)."
)
_LOCKING = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_CANTOPEN")
"""What SQLite says where a file cannot be locked, among other things that it says so of."""

_URL_FORM = "Write it as postgresql://user@host/name, or sqlite:///folder/leaderboard.sqlite."


class DamagedBoardError(StoreError):
    """A database file that SQLite cannot make sense of."""


class SpoiltBoardError(StoreError):
    """A board that lacks a table, a column or its version, or whose rows hold what no board writes."""


_FAULTS: tuple[tuple[str, type[StoreError], str, str], ...] = (
    ("SQLITE_BUSY", StoreError, "is locked by another process", _WAIT),
    ("SQLITE_LOCKED", StoreError, "is locked by another process", _WAIT),
    ("SQLITE_FULL", StoreError, "cannot be written: the disk is full", "Free space there and try again."),
    (
        "SQLITE_READONLY",
        StoreError,
        "cannot be written: it is read-only",
        "Choose a folder that can be written with --home.",
    ),
    (
        "SQLITE_CANTOPEN",
        StoreError,
        "cannot be opened",
        "Check that its folder and the file can be read and written.",
    ),
    ("SQLITE_CORRUPT", DamagedBoardError, "is damaged", _REBUILD),
    ("SQLITE_NOTADB", DamagedBoardError, "is damaged, or is no database", _REBUILD),
    (
        "SQLITE_IOERR",
        StoreError,
        "cannot be used: the disk reports an error",
        "Check the disk; SQLite needs a local one.",
    ),
    ("55P03", StoreError, "is locked by another process", _WAIT),
    ("53100", StoreError, "cannot be written: the disk is full", "Free space on its server and try again."),
    ("25006", StoreError, "cannot be written: it is read-only", "Use a server or a transaction that can be written."),
    (
        "42501",
        StoreError,
        "lets this user do less than is needed",
        "Grant the user all rights on the database's schema.",
    ),
)
"""Error names of SQLite and codes of PostgreSQL, by their beginning; their kind, what they mean, and what to do."""

_MISSING = ("no such table", "no such column", "has no column named")
_MISSING_CODES = ("42P01", "42703")
"""How SQLite (which has no error name for it) and PostgreSQL say that a table or a column is missing."""

_UNFIT = "22"
"""Beginning of PostgreSQL's codes for values that a column, or the database's encoding, cannot hold."""


class Database:
    """The database of a board, named by its place; nothing is opened before it is used.

    Args:
        url: SQLAlchemy URL of the database.
        path: File of the database where it is SQLite; None for a server.
        secrets: Passwords in the URL as somebody wrote them, which must never be shown.
    """

    def __init__(self, url: sa.URL, path: Path | None, secrets: tuple[str, ...] = ()) -> None:
        self._url = url
        self._secrets = secrets
        self.path = path
        self._engines: dict[tuple[bool, bool], sa.Engine] = {}

    @classmethod
    def at(cls, location: Path | str) -> Database:
        """Name a database.

        Args:
            location: The results folder, or a URL (``postgresql+psycopg://user:password@host/name``).

        Raises:
            StoreError: If the URL cannot be read. It is not repeated, since it may hold a password.
        """
        if not isinstance(location, str):
            path = location / DATABASE_FILE
            return cls(sa.URL.create("sqlite", database=str(path)), path)
        try:
            url = sa.make_url(location)
        except (ArgumentError, ValueError):
            raise StoreError("The store's URL cannot be read.", _URL_FORM) from None
        url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
        if url.get_backend_name() == "postgresql":
            return cls(url, None, _written_secrets(location))
        if url.get_backend_name() != "sqlite":
            raise StoreError(
                f"The store's URL names '{echoed(url.drivername)}', which is no known database.", _URL_FORM
            )
        if not url.database or url.database == ":memory:":
            raise StoreError("The store's URL names no file.", "Write it as sqlite:///folder/leaderboard.sqlite.")
        return cls(url, Path(url.database))

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        return self._url.difference_update_query(self._secret_options()).render_as_string(hide_password=True)

    def _secret_options(self) -> list[str]:
        return [name for name in self._url.query if _is_secret(name)]

    @contextlib.contextmanager
    def engine(self, *, write: bool) -> Iterator[sa.Engine]:
        """Give an engine on a board of this code's version; an absent board is made for writing, and read as empty.

        Raises:
            StoreError: If the database is of another version, locked, damaged, read-only or out of space.
            ResultError: If the block writes a value that the database cannot hold.
        """
        version = self.version()
        if version is None and write:
            self.create()
            version = self.version()
        self.check(version)
        with self.translated():
            yield engines.empty_board() if version is None else self._connect(write)

    def _connect(self, write: bool) -> sa.Engine:
        """The engine for reading or for writing, kept for the statements that it has compiled."""
        frozen = self.path is not None and not write and not os.access(self.path.parent, os.W_OK)
        if (write, frozen) not in self._engines:
            self._engines[write, frozen] = self._make_engine(write, frozen)
        return self._engines[write, frozen]

    def _make_engine(self, write: bool, frozen: bool) -> sa.Engine:
        if self.path is not None:
            if write:
                warn_of_network_disk(self.path)
                return engines.sqlite_writer(self.path, TIMEOUT)
            return engines.sqlite_reader(self.path, TIMEOUT, frozen=frozen)
        try:
            return engines.postgresql_engine(self._url, TIMEOUT, write=write)
        except (NoSuchModuleError, ImportError) as error:
            raise StoreError(
                f"The board {self} needs a driver that is not installed: {self._without_secrets(str(error))}.",
                "Install it: pip install 'lungbench[postgres]'",
            ) from None
        except (ArgumentError, TypeError, ValueError) as error:
            self._fail(error)

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the database's errors into :class:`StoreError`; passwords never get into one.

        A value that the database cannot hold is a :class:`ResultError`: what was to be stored is at fault.
        """
        try:
            yield
        except DBAPIError as error:
            self._fail(error.orig or error)
        except sqlite3.Error as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> NoReturn:
        # What the driver said may hold a secret, in a traceback too: it is no cause of the error then.
        cause = None if self._without_secrets(str(error)) != str(error) else error
        raise self._translation(error) from cause

    def _translation(self, error: BaseException) -> StoreError | ResultError:
        name = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""
        if self.path is not None and name.startswith(_LOCKING) and lacks_record_locks(self.path.parent):
            return self._unlockable()
        for prefix, kind, what, hint in _FAULTS:
            if name.startswith(prefix):
                return kind(f"The board {self} {what}.", hint)
        text = plain(self._without_secrets(" ".join(str(error).split()).rstrip(".")))
        if name.startswith(_UNFIT):
            return ResultError(f"The board {self} cannot hold this: {text}.", "Make its database with encoding UTF8.")
        if name in _MISSING_CODES or any(words in text for words in _MISSING):
            return SpoiltBoardError(f"The board {self} cannot be used: {text}.", _REBUILD)
        hint = _REBUILD if self.path else "Check the URL in BENCH_STORE, and that its server runs and lets you in."
        return StoreError(f"The board {self} cannot be used: {text}.", hint)

    def _unlockable(self) -> StoreError:
        return StoreError(f"The board {self} cannot be used: its file system has no locks, which SQLite needs.", _MOVE)

    def spoilt(self, what: str) -> SpoiltBoardError:
        """Make the error for a board whose rows hold what no board writes; ``what`` says what it is."""
        return SpoiltBoardError(f"The board {self} is spoilt: {plain(self._without_secrets(what))}.", _REBUILD)

    def _without_secrets(self, text: str) -> str:
        """A driver's words with every password of the URL masked: plain, as the URL writes it, as it was written."""
        options = [self._url.query[name] for name in self._secret_options()]
        values = [
            self._url.password,
            *(value for each in options for value in ([each] if isinstance(each, str) else each)),
        ]
        secrets = [*self._secrets, *(str(value) for value in values if value)]
        forms = {form for secret in secrets for form in (secret, quote(secret, safe=""), quote_plus(secret))}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "***")
        return text

    # --- versions -----------------------------------------------------------------------------------------------

    def version(self) -> str | None:
        """Read the version of the board's schema; None where there is no board yet.

        Raises:
            StoreError: If the database cannot be read or holds something other than a board.
        """
        if self.path is not None and is_absent(self.path):
            return None
        try:
            with self.translated(), self._connect(write=False).connect() as connection:
                return versions.version_of(connection)
        except versions.ForeignDatabaseError:
            advice = "Move it away, or choose --home." if self.path else "Name a database of its own in BENCH_STORE."
            raise StoreError(f"{self} is a database, but not a LungBench board.", advice) from None
        except versions.SpoiltVersionError:
            raise self.spoilt("it does not say which version of the schema it has") from None

    def check(self, found: str | None) -> None:
        """Refuse a board whose schema is of another version than this code's; None, for no board, is accepted.

        Raises:
            StoreError: If the versions differ; it names both and says what to do.
        """
        if found is None or found == schema.VERSION:
            return
        both = f"The board {self} has the schema version {found}, this lungbench has {schema.VERSION}"
        # Versions are numbers of four digits, so that texts compare as the numbers do.
        if found < schema.VERSION:
            raise StoreError(f"{both}.", "Run `bench board upgrade`.")
        raise StoreError(f"{both}: a newer lungbench wrote it.", "Update this one: pip install --upgrade lungbench")

    def create(self) -> None:
        """Make an empty board where there is none; two processes may do so at once.

        Raises:
            StoreError: If its place cannot be written, or has no locks.
        """
        if self.path is None:
            self._migrate(self._migration_engine())
            return
        with self.creation_lock():
            # Before SQLite waits half a minute for a lock that nobody holds.
            if lacks_record_locks(self.path.parent):
                raise self._unlockable()
            sweep(self.path.parent)
            if self.version() is None:
                with atomic_path(self.path) as temporary:
                    self._make(temporary)
                    self.remove_logs()

    def remove_logs(self) -> None:
        """Remove what SQLite kept beside a file that holds nothing, before another takes its place.

        A log must never be applied to another file than its own.
        """
        assert self.path is not None
        for ending in LOG_ENDINGS:
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def _make(self, path: Path) -> None:
        """Make an empty board in one file, and see that it can be opened and is whole."""
        self._migrate(engines.sqlite_maker(path, TIMEOUT))
        with self.translated(), engines.sqlite_reader(path, TIMEOUT, frozen=True).connect() as connection:
            if not versions.tables_of(connection) >= versions.BOARD_TABLES:
                raise StoreError(f"The board {self} was not made: the disk did not keep it.", "Check the disk.")

    @contextlib.contextmanager
    def creation_lock(self) -> Iterator[None]:
        """Hold the lock under which the database's file comes into being or is exchanged."""
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
        if found is not None and found <= schema.VERSION:
            self._migrate(self._migration_engine())
        else:
            self.check(found)
        return found, schema.VERSION

    def check_writable(self) -> None:
        """Try to write, by really writing: the version, as it is, onto itself; an absent board is made.

        A transaction that is begun and left is no such test: SQLite notices only then that a file is read-only, or a
        disk full, when something is written.

        Raises:
            StoreError: If it cannot be written.
        """
        with self.engine(write=True) as engine, engine.begin() as connection:
            table = versions.version_table(connection)
            connection.execute(sa.text(f"UPDATE {table} SET version_num = version_num"))

    def faults(self, seconds: float) -> list[str] | None:
        """Have SQLite look through the file for damage, without comparing indexes; nothing is written.

        Args:
            seconds: How long that may take.

        Returns:
            What it finds, a line each; None where it was not done in time, and for a server, which looks after itself.

        Raises:
            StoreError: If the file cannot be read.
        """
        if self.path is None:
            return None
        deadline = time.monotonic() + seconds
        address = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        with self.translated(), contextlib.closing(sqlite3.connect(address, uri=True, timeout=TIMEOUT)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
            try:
                found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname == "SQLITE_INTERRUPT":
                    return None
                raise
        return [] if found == ["ok"] else found

    def mend(self) -> None:
        """Make the tables that a board lacks, empty, and write its version where that is missing; all others stay."""
        engine = self._migration_engine()
        with self.translated(), engine.begin() as connection:
            schema.Base.metadata.create_all(connection)
            versions.restate(connection)

    def settle(self) -> None:
        """Have all of a database in its one file, before that is moved: its log must not be needed any more.

        Raises:
            StoreError: If it cannot be written.
        """
        assert self.path is not None
        with self.translated(), contextlib.closing(sqlite3.connect(self.path, timeout=TIMEOUT)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")

    def holds_other_tables(self) -> bool:
        """Whether there are tables of other programs in the database, which must be there."""
        if self.path is not None and is_absent(self.path):
            return False
        with self.translated(), self._connect(write=False).connect() as connection:
            known = {*versions.BOARD_TABLES, versions.VERSION_TABLE, versions.OLDER_VERSION_TABLE}
            return bool(versions.tables_of(connection) - known)

    def _migration_engine(self) -> sa.Engine:
        """SQLite changes a table by making it anew; the rows that refer to it must not go with the old one."""
        if self.path is None:
            return self._connect(write=True)
        return engines.sqlite_writer(self.path, TIMEOUT, foreign_keys=False)

    def _migrate(self, engine: sa.Engine) -> None:
        from alembic.util import CommandError

        try:
            with self.translated(), engine.begin() as connection:
                versions.migrate(connection)
        except CommandError as error:
            raise StoreError(f"The board {self} cannot be upgraded: {error}.", _REBUILD) from error


def _is_secret(option: str) -> bool:
    return "password" in option.lower()


def _written_secrets(location: str) -> tuple[str, ...]:
    """The passwords of a URL as somebody wrote them: other writings of the same characters are possible."""
    user = location.partition("://")[2].rpartition("@")[0]
    options = [word.partition("=") for word in re.split("[?&]", location)[1:]]
    found = [user.partition(":")[2], *(value for name, _, value in options if _is_secret(name))]
    return tuple(secret for secret in found if secret)


def is_absent(path: Path) -> bool:
    """Whether there is no file at a path, or one without a byte, as SQLite leaves where it only opened one.

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
