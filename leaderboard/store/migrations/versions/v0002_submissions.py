"""Submissions: results whose duration and epoch nobody here knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say of each run where it comes from, and let a duration and an epoch be unknown."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("kind", sa.String(16), nullable=False, server_default="run"))
        runs.alter_column("seconds", existing_type=sa.Double(), nullable=True)
    with op.batch_alter_table("metrics") as metrics:
        metrics.alter_column("epoch", existing_type=sa.Integer(), nullable=True)


def downgrade() -> None:
    """Remove the submissions, and what they needed."""
    for table in ("predictions", "epochs", "metrics", "runs"):
        op.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT run_id FROM runs WHERE kind <> 'run')")
    with op.batch_alter_table("metrics") as metrics:
        metrics.alter_column("epoch", existing_type=sa.Integer(), nullable=False)
    with op.batch_alter_table("runs") as runs:
        runs.alter_column("seconds", existing_type=sa.Double(), nullable=False)
        runs.drop_column("kind")
