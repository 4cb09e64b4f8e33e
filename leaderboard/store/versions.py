"""Which version of the schema a database has, and how it gets this code's.

The board's version stands in a table of its own name, so that a board and other programs that use Alembic (Optuna's
studies) can share a PostgreSQL database. Boards made before that have it in Alembic's usual table: they are read and
written as they are, and ``bench board upgrade`` gives them the table of their own.
"""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

from leaderboard.store import schema

VERSION_TABLE = "leaderboard_version"
OLDER_VERSION_TABLE = "alembic_version"
"""Alembic's usual name, where boards had their version first."""

BOARD_TABLES = frozenset(schema.Base.metadata.tables)
OPTUNA_TABLES = frozenset({"studies", "trials", "version_info"})
"""By these tables a database is known to hold Optuna's studies."""

_NUMBER = re.compile(r"[0-9]{4}")
_MOST = 3
"""So many of the board's five tables make a database a board; other programs have a table ``runs`` too."""


class ForeignDatabaseError(Exception):
    """A database of another program, where no board can be made."""


class SpoiltVersionError(Exception):
    """A board whose table of the version is missing, empty or holds something else."""


def tables_of(connection: sa.Connection) -> set[str]:
    """List the names of the tables of a database."""
    return set(sa.inspect(connection).get_table_names())


def version_of(connection: sa.Connection) -> str | None:
    """Read the version of the board's schema in a database; None where there is no board, and one can be made.

    Raises:
        ForeignDatabaseError: If the database is another program's.
        SpoiltVersionError: If the database holds a board that states no version.
    """
    tables = tables_of(connection)
    found = _stated(connection, tables)
    if found is not None:
        return found
    if VERSION_TABLE in tables or len(tables & BOARD_TABLES) >= _MOST:
        raise SpoiltVersionError
    if not tables or (connection.dialect.name == "postgresql" and _leaves_room(tables)):
        return None
    raise ForeignDatabaseError


def _stated(connection: sa.Connection, tables: set[str]) -> str | None:
    """The number in the board's version table, or in Alembic's where most of a board's tables are."""
    if VERSION_TABLE in tables:
        return _number_in(connection, VERSION_TABLE)
    if OLDER_VERSION_TABLE in tables and len(tables & BOARD_TABLES) >= _MOST:
        return _number_in(connection, OLDER_VERSION_TABLE)
    return None


def _number_in(connection: sa.Connection, table: str) -> str | None:
    """The board's number; Alembic's table may hold another program's beside it."""
    rows = connection.execute(sa.text(f"SELECT version_num FROM {table}")).scalars()
    return next((str(row) for row in rows if _NUMBER.fullmatch(str(row))), None)


def _leaves_room(tables: set[str]) -> bool:
    """Whether a board can be made beside a server's tables: none has a board's name, and the studies are Optuna's."""
    return not tables & BOARD_TABLES and (OLDER_VERSION_TABLE not in tables or tables >= OPTUNA_TABLES)


def version_table(connection: sa.Connection) -> str:
    """Find the name of the table in which a board has its version."""
    return VERSION_TABLE if VERSION_TABLE in tables_of(connection) else OLDER_VERSION_TABLE


def migrate(connection: sa.Connection) -> None:
    """Bring a database to this code's schema within the connection's transaction.

    Raises:
        alembic.util.CommandError: If the database's version is not one that this code can upgrade.
    """
    from alembic import command
    from alembic.config import Config

    _adopt(connection)
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def restate(connection: sa.Connection) -> None:
    """Write this code's version into a board that states none."""
    tables = tables_of(connection)
    if _stated(connection, tables) is None:
        if VERSION_TABLE not in tables:
            _make_version_table(connection)
        connection.execute(sa.text(f"DELETE FROM {VERSION_TABLE}"))
        connection.execute(sa.text(f"INSERT INTO {VERSION_TABLE} VALUES (:version)"), {"version": schema.VERSION})


def _make_version_table(connection: sa.Connection) -> None:
    connection.execute(
        sa.text(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )


def _adopt(connection: sa.Connection) -> None:
    """Move a board's version from Alembic's usual table to the board's own."""
    tables = tables_of(connection)
    found = None if VERSION_TABLE in tables else _stated(connection, tables)
    if found is None:
        return
    row = {"version": found}
    _make_version_table(connection)
    connection.execute(sa.text(f"INSERT INTO {VERSION_TABLE} VALUES (:version)"), row)
    connection.execute(sa.text(f"DELETE FROM {OLDER_VERSION_TABLE} WHERE version_num = :version"), row)
    if connection.execute(sa.text(f"SELECT count(*) FROM {OLDER_VERSION_TABLE}")).scalar() == 0:
        connection.execute(sa.text(f"DROP TABLE {OLDER_VERSION_TABLE}"))


def migrations_folder() -> Path:
    """Find the folder in which Alembic finds the migrations of the schema."""
    from leaderboard.store import migrations

    return Path(str(migrations.__file__)).parent
