"""Identity and history: which cycles each run was judged on, and the log of every change of the board."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say of each run which cycles it was judged on, and make the table of the log."""
    op.add_column("runs", sa.Column("judged_set", sa.String(64)))
    op.execute(
        "UPDATE runs SET judged_set = (SELECT min(cycle_set) FROM predictions WHERE predictions.run_id = runs.run_id)"
    )
    op.create_table(
        "board_log",
        sa.Column("id", sa.String(64), primary_key=True, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("run_id", sa.String(16)),
        sa.Column("obeyed", sa.Boolean(), nullable=False),
        sa.Column("entry", sa.JSON(), nullable=False),
    )
    op.create_index("ix_board_log_action", "board_log", ["action"])
    op.create_index("ix_board_log_run_id", "board_log", ["run_id"])


def downgrade() -> None:
    """Remove the log, and the column of the judged set."""
    op.drop_table("board_log")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("judged_set")
