"""What a database holds before a study is kept in it: Optuna's studies, nothing of theirs, or another program's tables.

Optuna makes its tables in whatever database it is given, and believes that a table ``alembic_version`` is its own.
Other programs keep theirs under that name too: so this is looked at before anything is made.
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from bench.core.errors import StoreError

VERSIONS = "alembic_version"
OWN = frozenset({"studies", "trials", "version_info"})
"""Tables of Optuna without which a database holds no studies."""

TABLES = OWN | {
    "study_directions",
    "study_system_attributes",
    "study_user_attributes",
    "trial_heartbeats",
    "trial_intermediate_values",
    "trial_params",
    "trial_system_attributes",
    "trial_user_attributes",
    "trial_values",
}
"""All tables that Optuna makes, but for the one of its versions."""

_OPTUNA_REVISION = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+\.[a-z]+")
_WAY_OUT = (
    "Give the studies a database of their own, or a schema of their own that exists: add "
    "?options=-csearch_path%3DSCHEMA to the URL."
)


def holds_studies(url: sa.URL, shown: str) -> bool:
    """Look into a database that is there.

    Args:
        url: The database.
        shown: Its name for messages, without secrets.

    Returns:
        Whether it has Optuna's tables; False where Optuna could make them.

    Raises:
        StoreError: If another program's tables stand in the way of Optuna's.
        SQLAlchemyError: If it cannot be read.
    """
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        foreign = _foreign_versions(connection) if VERSIONS in tables else []
    if foreign:
        raise StoreError(
            f"{shown} is the database of another program, such as a leaderboard: its table {VERSIONS} is not that of "
            "studies, which were not put there.",
            _way_out(url),
        )
    if tables >= OWN:
        return True
    taken = sorted(tables & TABLES)
    if taken:
        raise StoreError(
            f"{shown} has a table '{taken[0]}' that is not that of studies, which were not put there.", _way_out(url)
        )
    return False


def _foreign_versions(connection: sa.Connection) -> list[str]:
    asked = sa.select(sa.column("version_num", sa.String)).select_from(sa.table(VERSIONS))
    versions = [str(version) for version in connection.execute(asked).scalars()]
    return [version for version in versions if not _OPTUNA_REVISION.fullmatch(version)]


def _way_out(url: sa.URL) -> str:
    return _WAY_OUT if url.get_backend_name() == "postgresql" else "Give the studies a file of their own."
