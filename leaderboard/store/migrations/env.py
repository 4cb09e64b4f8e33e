"""Run by Alembic: applies the migrations on the connection, and in the transaction, that the store gives it."""

from __future__ import annotations

from alembic import context

from leaderboard.store.schema import Base
from leaderboard.store.versions import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
