"""Tasks of any data set: which one a run was judged on, its tested parts, and the means that a Score is made of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MEANS = ("average_score", "harmonic_score")


def upgrade() -> None:
    """Name the task of each run (all had four classes of respiratory cycles so far), and hold tested parts."""
    op.add_column("runs", sa.Column("task", sa.String(40), nullable=False, server_default="cycle-4"))
    op.add_column("cycle_sets", sa.Column("parts", sa.JSON()))
    for name in _MEANS:
        op.add_column("metrics", sa.Column(name, sa.Double()))
    op.create_table(
        "part_metrics",
        sa.Column(
            "run_id", sa.String(16), sa.ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True, nullable=False
        ),
        sa.Column("part", sa.String(40), primary_key=True, nullable=False),
        sa.Column("rule", sa.String(16), primary_key=True, nullable=False),
        sa.Column("judged", sa.String(8), primary_key=True, nullable=False),
        sa.Column("epoch", sa.Integer()),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("sp", sa.Double(), nullable=False),
        sa.Column("se", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("confusion", sa.JSON(), nullable=False),
        *[sa.Column(name, sa.Double()) for name in _MEANS],
    )


def downgrade() -> None:
    """Remove the runs of other tasks, and what they needed."""
    op.drop_table("part_metrics")
    for table in ("predictions", "epochs", "metrics", "runs"):
        op.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT run_id FROM runs WHERE task <> 'cycle-4')")
    op.execute("DELETE FROM cycle_sets WHERE hash NOT IN (SELECT cycle_set FROM predictions)")
    with op.batch_alter_table("metrics") as metrics:
        for name in _MEANS:
            metrics.drop_column(name)
    with op.batch_alter_table("cycle_sets") as cycle_sets:
        cycle_sets.drop_column("parts")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("task")
