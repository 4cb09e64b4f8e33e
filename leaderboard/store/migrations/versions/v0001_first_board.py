"""The first board: runs, metrics, epochs, cycle sets, predictions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the first board."""
    _make_runs()
    _make_metrics()
    _make_epochs()
    _make_predictions()


def downgrade() -> None:
    """Drop all tables of the board."""
    for table in ("predictions", "cycle_sets", "epochs", "metrics", "runs"):
        op.drop_table(table)


def _run_key() -> sa.Column[str]:
    reference = sa.ForeignKey("runs.run_id", ondelete="CASCADE")
    return sa.Column("run_id", sa.String(16), reference, primary_key=True, nullable=False)


def _make_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(16), primary_key=True, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("system", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("method", sa.String(200), nullable=False),
        sa.Column("pretrain", sa.String(200), nullable=False),
        sa.Column("dataset", sa.String(40), nullable=False),
        sa.Column("profile", sa.String(40), nullable=False),
        sa.Column("partial", sa.String(80)),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("split", sa.String(80), nullable=False),
        sa.Column("data_fingerprint", sa.String(64), nullable=False),
        sa.Column("precision", sa.String(8), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("cycles_per_second", sa.Double()),
        sa.Column("code_version", sa.String(80)),
        sa.Column("code_commit", sa.String(64)),
        sa.Column("code_dirty", sa.Boolean()),
        sa.Column("processes", sa.Integer()),
        sa.Column("device", sa.String(80)),
        sa.Column("cpu", sa.String(200)),
        sa.Column("gpu", sa.String(400)),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("execution", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=False),
    )
    op.create_index("ix_runs_system", "runs", ["system"])
    op.create_index("ix_runs_created", "runs", ["created"])


def _make_metrics() -> None:
    op.create_table(
        "metrics",
        _run_key(),
        sa.Column("rule", sa.String(16), primary_key=True, nullable=False),
        sa.Column("judged", sa.String(8), primary_key=True, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("sp", sa.Double(), nullable=False),
        sa.Column("se", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("confusion", sa.JSON(), nullable=False),
    )


def _make_epochs() -> None:
    op.create_table(
        "epochs",
        _run_key(),
        sa.Column("epoch", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("loss", sa.Double()),
        sa.Column("lr", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("cycles_per_second", sa.Double(), nullable=False),
        sa.Column("test", sa.JSON()),
        sa.Column("val", sa.JSON()),
    )


def _make_predictions() -> None:
    op.create_table(
        "cycle_sets",
        sa.Column("hash", sa.String(64), primary_key=True, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("recordings", sa.JSON(), nullable=False),
        sa.Column("cycles", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("patients", sa.JSON(), nullable=False),
        sa.Column("devices", sa.JSON(), nullable=False),
    )
    op.create_table(
        "predictions",
        _run_key(),
        sa.Column("rule", sa.String(16), primary_key=True, nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("cycle_set", sa.String(64), sa.ForeignKey("cycle_sets.hash"), nullable=False),
        sa.Column("dtype", sa.String(4), nullable=False),
        sa.Column("scores", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_predictions_cycle_set", "predictions", ["cycle_set"])
