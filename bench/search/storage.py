"""Where studies are kept: a journal file (by default one for each study), or a database that Optuna knows.

A journal file serves many workers, on several machines where they share a disk; PostgreSQL serves machines that do not.
Optuna's SQLite storage loses trials under parallel writers: one worker at a time may use it, and a lock sees to that.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.documents import collector_paused
from bench.core.errors import SpecError, StoreError
from bench.core.files import exclusive_lock
from bench.core.locks import lacks_record_locks
from bench.core.paths import expanded, listed
from bench.core.secrets import masked, public_url
from bench.core.text import echoed
from bench.search.files import check_journal, check_kind

if TYPE_CHECKING:
    import optuna
    import sqlalchemy as sa

ENDING = ".journal"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,99}")
KEEPALIVE = {"tcp_keepalives_idle": 60, "tcp_keepalives_interval": 15, "tcp_keepalives_count": 4}
"""Settings (seconds, and a number of times) by which PostgreSQL frees the lock of a machine that lost its power after
two minutes; it would wait for two hours by itself."""

_URL_HINT = "Write it as postgresql://user@host/name, or name a journal file."
_LIKE_A_URL = re.compile(r"(postgres\w*|sqlite|mysql|mariadb|oracle|mssql|redis)[\w+]*:|[^/]*:[^@]*@", re.IGNORECASE)
"""A URL without its ``://``; a file of such a name is written with ``./``."""


def check_name(name: str) -> str:
    """Refuse a study name that cannot be the name of a file; raises SpecError."""
    if not NAME.fullmatch(name):
        raise SpecError(f"'{echoed(name)}' cannot name a study.", "Use letters, digits and . _ + = - (100 at most).")
    return name


@dataclass(frozen=True)
class Place:
    """Where studies are kept; exactly one of the two is given.

    Attributes:
        journal: The journal file.
        url: The database's URL, password included.
    """

    journal: Path | None = None
    url: str | None = None

    @classmethod
    def of(cls, storage: str | None, home: Path, study: str) -> Place:
        """What ``--storage`` means: a URL, a journal file, or by default a file of the study's own.

        Raises:
            StoreError: If the URL cannot be read, or the text is neither a URL nor the name of a file.
        """
        if storage is None:
            return cls(journal=home / "studies" / f"{study}{ENDING}")
        if "://" not in storage:
            return cls(journal=_file(storage))
        place = cls(url=storage)
        _ = place._parsed
        return place

    @classmethod
    def from_json(cls, document: dict[str, str | None]) -> Place:
        """Read what :meth:`to_json` wrote."""
        journal = document["journal"]
        return cls(None if journal is None else Path(journal), document["url"])

    def to_json(self) -> dict[str, str | None]:
        """The place for a process of this machine; holds the password."""
        return {"journal": None if self.journal is None else str(self.journal.absolute()), "url": self.url}

    @cached_property
    def _parsed(self) -> sa.URL:
        import sqlalchemy as sa
        from sqlalchemy.exc import ArgumentError

        try:
            url = sa.make_url(str(self.url))
        except (ArgumentError, ValueError):
            raise StoreError("The URL of --storage cannot be read.", _URL_HINT) from None
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() not in ("postgresql", "sqlite"):
            raise StoreError(f"--storage names '{url.drivername}', which studies cannot be kept in.", _URL_HINT)
        if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
            raise StoreError("The URL of --storage names no file.", "Write it as sqlite:///folder/studies.sqlite.")
        return url

    def __str__(self) -> str:
        return str(self.journal) if self.url is None else public_url(self.url)

    @property
    def one_writer(self) -> bool:
        """Whether one worker alone may use it."""
        return self.journal is None and self._parsed.get_backend_name() == "sqlite"

    @property
    def has_password(self) -> bool:
        """Whether its URL holds a secret."""
        return self.url is not None and public_url(self.url) != self.url

    @property
    def _path(self) -> Path | None:
        """The file that it is; None for a server."""
        if self.journal is not None:
            return self.journal
        return Path(str(self._parsed.database)) if self.one_writer else None

    def check(self) -> bool:
        """Look whether studies are, or can be, kept here; nothing is made or changed.

        Returns:
            Whether there is something to open.

        Raises:
            StoreError: If it is something else, or cannot be reached, read or written.
        """
        if self.journal is not None:
            check_journal(self.journal)
            return self.journal.exists()
        path = self._path
        if path is not None and not check_kind(path):
            return False
        from bench.search.database import holds_studies

        with self.translated():
            return holds_studies(self._parsed, str(self))

    def open(self) -> optuna.storages.BaseStorage:
        """Open the storage; a journal file or the tables are made where there are none.

        Raises:
            StoreError: If it is something else, or cannot be reached or written.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self.translated():
            if self.journal is not None:
                from bench.search.journal import open_journal

                with collector_paused():
                    return open_journal(self.journal)
            self.check()
            text = self._parsed.render_as_string(hide_password=False)
            options = {"connect_args": {"timeout": 30}} if self.one_writer else {"pool_pre_ping": True}
            return optuna.storages.RDBStorage(text, engine_kwargs=options)

    def masked(self, text: str) -> str:
        """Text without the secrets of the URL."""
        return text if self.url is None else masked(text, self.url, self._parsed.render_as_string(hide_password=False))

    def _beside(self, ending: str) -> Path:
        """A file beside the journal or the database file."""
        path = self._path
        assert path is not None
        return path.with_name(f".{path.name}{ending}")

    @contextlib.contextmanager
    def lock(self, study: str) -> Iterator[None]:
        """Held while somebody decides on the trials of a study; it dies with its process."""
        if self.journal is not None or self.one_writer:
            with exclusive_lock(self._beside(".lock")):
                yield
            return
        import sqlalchemy as sa
        from sqlalchemy.pool import NullPool

        with self.translated():
            key = zlib.crc32(f"lungbench study {study}".encode())
            with sa.create_engine(self._parsed, poolclass=NullPool).connect() as connection:
                for setting, value in KEEPALIVE.items():
                    connection.execute(sa.text(f"SET {setting} = {value}"))
                connection.execute(sa.text(f"SELECT pg_advisory_lock({key})"))
                yield

    @contextlib.contextmanager
    def only_user(self) -> Iterator[None]:
        """Held by the search that uses an SQLite file, so that there is no second one.

        Raises:
            StoreError: If another search holds it.
        """
        if not self.one_writer:
            yield
            return

        def refuse(holder: str) -> None:
            raise StoreError(
                f"{self} is in use by {holder or 'another search'}, and SQLite takes one at a time.",
                "Wait for it, or leave --storage out: the default file serves many workers.",
            )

        with exclusive_lock(self._beside(".search.lock"), refuse):
            yield

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn a storage's errors into :class:`StoreError`, without the secrets of its URL.

        Raises:
            StoreError: In the place of an error of the database, of Optuna's storage or of the journal's disk.
        """
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, StorageInternalError, ImportError) as error:
            if self.one_writer and self._path is not None and lacks_record_locks(self._path.parent):
                raise self._unlockable() from None
            hint = "Check the URL, and that its server runs and lets you in."
            if isinstance(error, ImportError):
                hint = "Install the driver: pip install 'lungbench[postgres]'"
            # Without its cause: what a driver says of a connection may hold the password, also in a traceback.
            raise StoreError(f"The studies in {self} cannot be used: {self._said(error)}", hint) from None
        except OSError as error:
            if self.journal is None:
                raise
            raise StoreError(
                f"The studies in {self} cannot be used: {error.strerror or error}.", "Check the file and its disk."
            ) from error

    def _unlockable(self) -> StoreError:
        return StoreError(
            f"The studies in {self} cannot be used: their file system has no locks, which SQLite needs.",
            "Leave --storage out (a journal file does without them), name a file on a local disk, or use "
            "postgresql://user@host/name.",
        )

    def _said(self, error: BaseException) -> str:
        """What a database said of an error, on one line."""
        cause = getattr(error, "orig", None) or error.__cause__ or error
        return self.masked(" ".join(str(getattr(cause, "orig", None) or cause).split()))


def _file(text: str) -> Path:
    """The journal file that ``--storage`` names; a URL that is written wrongly is not taken for one."""
    if _LIKE_A_URL.match(text):
        # It may hold a password, so that the message repeats nothing of it.
        raise StoreError("--storage is neither a URL nor the name of a file.", _URL_HINT)
    return expanded(text)


def places_in(storage: str | None, home: Path) -> list[Place]:
    """Where studies may be: the storage that is named, otherwise every journal file of the results folder."""
    if storage is not None:
        place = Place.of(storage, home, "")
        return [place] if place.check() else []
    return [Place(journal=path) for path in listed(home / "studies", f"*{ENDING}")]
