"""The tables of the board's database, as SQLAlchemy classes.

The schema is made and changed by the migrations in ``leaderboard.store.migrations`` alone; a test compares the two.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from bench.core.datasets import FOUR_CLASSES

VERSION = "0004"
"""Revision of the newest migration: what this code reads and writes."""

_RUN = "runs.run_id"

MEAN_COLUMNS = {"as": "average_score", "hs": "harmonic_score"}
"""Columns of metrics that are named otherwise than in documents, where the names are words of SQL or mean little."""


class Base(MappedAsDataclass, DeclarativeBase):
    """Base class of all tables of the board."""

    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, float: Double}  # noqa: RUF012 - SQLAlchemy reads it by this name


class _Rates(MappedAsDataclass, kw_only=True):
    """What metrics hold; percent, full precision.

    ``average_score`` and ``harmonic_score`` are the arithmetic and the harmonic mean of Sp and Se, where the task's
    Score is made of them, otherwise None.
    """

    epoch: Mapped[int | None]
    n: Mapped[int]
    sp: Mapped[float]
    se: Mapped[float]
    score: Mapped[float]
    confusion: Mapped[list[Any]]
    average_score: Mapped[float | None] = mapped_column(default=None)
    harmonic_score: Mapped[float | None] = mapped_column(default=None)


class MetricRow(_Rates, Base, kw_only=True):
    """Metrics of one run on the main tested part under one selection rule, judged in one way."""

    __tablename__ = "metrics"

    run_id: Mapped[str] = mapped_column(ForeignKey(_RUN, ondelete="CASCADE"), primary_key=True, init=False)
    rule: Mapped[str] = mapped_column(String(16), primary_key=True)
    judged: Mapped[str] = mapped_column(String(8), primary_key=True)


class PartMetricRow(_Rates, Base, kw_only=True):
    """Metrics of one run on one of the tested parts beside the main one; otherwise as :class:`MetricRow`."""

    __tablename__ = "part_metrics"

    run_id: Mapped[str] = mapped_column(ForeignKey(_RUN, ondelete="CASCADE"), primary_key=True, init=False)
    part: Mapped[str] = mapped_column(String(40), primary_key=True)
    rule: Mapped[str] = mapped_column(String(16), primary_key=True)
    judged: Mapped[str] = mapped_column(String(8), primary_key=True)


class EpochRow(Base):
    """One epoch of one run; ``test`` and ``val`` hold metrics by judged."""

    __tablename__ = "epochs"

    run_id: Mapped[str] = mapped_column(ForeignKey(_RUN, ondelete="CASCADE"), primary_key=True, init=False)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    loss: Mapped[float | None]
    lr: Mapped[float]
    seconds: Mapped[float]
    cycles_per_second: Mapped[float]
    test: Mapped[dict[str, Any] | None]
    val: Mapped[dict[str, Any] | None]


class CycleSetRow(Base):
    """The cycles that runs were judged on: one row for all the runs that share them.

    ``parts`` holds the tested part of each, None where the task has one part.
    """

    __tablename__ = "cycle_sets"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    n: Mapped[int]
    recordings: Mapped[list[Any]]
    cycles: Mapped[list[Any]]
    labels: Mapped[list[Any]]
    patients: Mapped[list[Any]]
    devices: Mapped[list[Any]]
    parts: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))


class LogRow(Base):
    """One entry of the board's history (:mod:`leaderboard.history.log`): ``id`` is the hash of its content."""

    __tablename__ = "board_log"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    action: Mapped[str] = mapped_column(String(16), index=True)
    run_id: Mapped[str | None] = mapped_column(String(16), index=True)
    obeyed: Mapped[bool]
    entry: Mapped[dict[str, Any]]


class PredictionRow(Base):
    """Scores of one run under one rule, in the order of the cycle set.

    They are (n, classes of the run's task) numbers in C order, of the NumPy type ``dtype``.
    """

    __tablename__ = "predictions"

    run_id: Mapped[str] = mapped_column(ForeignKey(_RUN, ondelete="CASCADE"), primary_key=True, init=False)
    rule: Mapped[str] = mapped_column(String(16), primary_key=True)
    file: Mapped[str] = mapped_column(Text)
    cycle_set: Mapped[str] = mapped_column(ForeignKey("cycle_sets.hash"), index=True)
    dtype: Mapped[str] = mapped_column(String(4))
    scores: Mapped[bytes] = mapped_column(LargeBinary, repr=False)


class Run(Base):
    """One run: what it was, how it ended and where it was run.

    ``kind`` is ``run``, ``trial`` for a run of a search, which is never ranked, ``submission`` for the predictions
    of a system from outside, whose duration is not known, ``part`` for a run that a composite is made of, which is not
    ranked either, ``composite`` or ``ensemble`` for the combined predictions of runs;
    ``digest`` covers everything stored of it; ``system`` is a hash of the spec without its seed, so that runs which
    differ only in the seed share it; ``task`` is what was judged on the data set; ``judged_set`` is the hash of the
    cycles that it was judged on, None without predictions; ``extra`` holds the fields of the result, and of its epochs,
    that have no column.
    """

    __tablename__ = "runs"

    run_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), server_default="run")
    digest: Mapped[str] = mapped_column(String(64))
    system: Mapped[str] = mapped_column(String(64), index=True)
    status: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    created: Mapped[str] = mapped_column(String(40), index=True)
    model: Mapped[str] = mapped_column(String(200))
    method: Mapped[str] = mapped_column(String(200))
    pretrain: Mapped[str] = mapped_column(String(200))
    dataset: Mapped[str] = mapped_column(String(40))
    task: Mapped[str] = mapped_column(String(40), server_default=FOUR_CLASSES.id)
    judged_set: Mapped[str | None] = mapped_column(String(64))
    profile: Mapped[str] = mapped_column(String(40))
    partial: Mapped[str | None] = mapped_column(String(80))
    seed: Mapped[int] = mapped_column(BigInteger)
    split: Mapped[str] = mapped_column(String(80))
    data_fingerprint: Mapped[str] = mapped_column(String(64))
    precision: Mapped[str] = mapped_column(String(8))
    seconds: Mapped[float | None]
    cycles_per_second: Mapped[float | None]
    code_version: Mapped[str | None] = mapped_column(String(80))
    code_commit: Mapped[str | None] = mapped_column(String(64))
    code_dirty: Mapped[bool | None]
    processes: Mapped[int | None]
    device: Mapped[str | None] = mapped_column(String(80))
    cpu: Mapped[str | None] = mapped_column(String(200))
    gpu: Mapped[str | None] = mapped_column(String(400))
    spec: Mapped[dict[str, Any]] = mapped_column(repr=False)
    execution: Mapped[dict[str, Any]] = mapped_column(repr=False)
    provenance: Mapped[dict[str, Any]] = mapped_column(repr=False)
    extra: Mapped[dict[str, Any]] = mapped_column(repr=False)
    metrics: Mapped[list[MetricRow]] = relationship(cascade="all, delete-orphan", passive_deletes=True, repr=False)
    other_parts: Mapped[list[PartMetricRow]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, repr=False
    )
    epochs: Mapped[list[EpochRow]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by=EpochRow.epoch, repr=False
    )
    predictions: Mapped[list[PredictionRow]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, repr=False
    )
