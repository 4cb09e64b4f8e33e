"""What tables read of the board: runs, systems, scores and records as plain values, each in a few queries.

A board of thousands of runs is read whole for every table. Plain rows are selected therefore, since objects of the ORM
take as long again, and of each run only the columns that tables need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.core.text import folded
from leaderboard.history.log import History
from leaderboard.results.schema import UNRANKED, EpochRow
from leaderboard.store import schema
from leaderboard.store.log_rows import read_entries_of
from leaderboard.store.result_rows import EPOCH_COLUMNS, METRIC_COLUMNS, whole_epoch
from leaderboard.store.schema import MEAN_COLUMNS
from leaderboard.tasks import JudgedTask, judged_task

_NUMBERS = tuple(name for name in METRIC_COLUMNS if name not in ("confusion", *MEAN_COLUMNS)) + tuple(MEAN_COLUMNS)
"""What tables need of the metrics: reading thousands of confusion matrices would take longer than all the rest."""

ByRule = dict[str, dict[str, dict[str, Any]]]
"""Numbers of metrics by selection rule, then by sensitivity, then by name.

These are Sp, Se and Score in percent, number of cycles and epoch; ``as`` and ``hs`` too where the task's Score is made
of them.
"""

_NUMBER_TYPES = frozenset({int, float, type(None)})

_SPEC_NAMES = frozenset({"model", "method", "pretrain", "dataset", "split"})
"""Fields that the spec of every run has, and that tables take for granted."""


@dataclass(frozen=True)
class BoardRun:
    """One run of the board as tables need it.

    Attributes:
        run_id: Id of the run.
        system: Hash of the spec without the seed: runs that differ only in the seed share it.
        status: ``finished`` or ``failed``.
        error: The sentence that says what stopped a failed run; None of a finished one.
        created: When the result was made, UTC, ISO 8601.
        profile: Name of the recipes that the spec began with.
        partial: How much of the data set there was, in words; None where all of it was.
        seconds: Duration in seconds; None for a submission.
        cycles_per_second: Training speed; None where it is not known.
        spec: The identity fields of the spec.
        kind: ``run``, ``trial`` for a run of a search, ``submission`` for a system from outside, ``part`` for a run
            that a composite system is made of, ``composite`` or ``ensemble`` for what is combined of runs.
        extra: Fields of the result that have no column of their own.
        judged_set: Hash of the cycles that the run was judged on (:mod:`leaderboard.results.judged_set`); None without
            predictions.
        metrics: Numbers of the main tested part of the run's task.
        other_parts: Numbers of the other tested parts, by part.
        part: Tested part that the run is looked at on (:mod:`leaderboard.statistics.tested_parts`); None for all of it.
    """

    run_id: str
    system: str
    status: str
    error: str | None
    created: str
    profile: str
    partial: str | None
    seconds: float | None
    cycles_per_second: float | None
    spec: dict[str, Any]
    kind: str = "run"
    extra: dict[str, Any] = field(default_factory=dict)
    judged_set: str | None = None
    metrics: ByRule = field(default_factory=dict)
    other_parts: dict[str, ByRule] = field(default_factory=dict)
    part: str | None = None

    @cached_property
    def judged_task(self) -> JudgedTask:
        """What the run was judged on: data set, classes, tested parts."""
        return judged_task(self.spec, self.extra.get("task"))

    def metrics_of(self, part: str) -> ByRule:
        """Numbers of a tested part, whether it is the main one or another; empty where the run has none."""
        return self.metrics if part == self.judged_task.task.main.id else self.other_parts.get(part, {})


@dataclass(frozen=True)
class BoardSystem:
    """A system: finished runs whose specs differ in nothing but the seed.

    Attributes:
        system: Hash of the runs' spec without the seed.
        model: Id of the model, from the spec.
        method: Id of the method, from the spec.
        pretrain: Name of the pretraining, from the spec.
        dataset: Id of the data set, from the spec.
        task: Id of the task of the data set.
        split: Name of the split, from the spec.
        partial: How much of the data set there was, in words; None where all of it was.
        judged_set: Hash of the cycles that the runs were judged on.
        kind: ``run``, or ``composite``.
        runs: Number of the runs.
        newest: When the last of the runs was made, UTC, ISO 8601.
        first: Id of one of the runs, whose spec stands for all.
    """

    system: str
    model: str
    method: str
    pretrain: str
    dataset: str
    task: str
    split: str
    partial: str | None
    judged_set: str | None
    kind: str
    runs: int
    newest: str
    first: str


@dataclass(frozen=True)
class BoardScore:
    """Sp, Se and Score in percent that one run reached under one selection rule and one sensitivity (``judged``).

    They are of the main tested part.
    """

    system: str
    run_id: str
    seed: int
    rule: str
    judged: str
    sp: float
    se: float
    score: float


@dataclass(frozen=True)
class RunRecord:
    """What is stored of a run beyond its identity and numbers.

    Attributes:
        execution: The execution fields of the spec: how and where it was run.
        provenance: The code, packages and machine that made the result.
        epochs: The epochs of the run as the result document holds them.
    """

    execution: dict[str, Any]
    provenance: dict[str, Any]
    epochs: list[EpochRow] = field(default_factory=list)


_SYSTEM_COLUMNS = (
    *("system", "model", "method", "pretrain", "dataset", "task", "split", "partial", "judged_set", "kind"),
)
_SCORE_COLUMNS = tuple(attribute.name for attribute in fields(BoardScore))


def read_board_runs(session: Session) -> list[BoardRun]:
    """Read all runs with their metrics, oldest first; systems from outside have the names that they have now."""
    no_columns = ("metrics", "other_parts", "part", "spec")
    names = [column.name for column in fields(BoardRun) if column.name not in no_columns]
    columns = [getattr(schema.Run, name) for name in (*names, "seed")]
    connection = session.connection()  # plain rows: the ORM would take as long again
    specs = _specs_of_systems(connection)
    _apply_renames(specs, History.of(read_entries_of(session, "rename")))
    found = {}
    for *values, seed in connection.execute(sa.select(*columns).order_by(schema.Run.created, schema.Run.run_id)).all():
        row = dict(zip(names, values, strict=True))
        found[row["run_id"]] = BoardRun(**row, spec={**specs[row["system"]], "seed": seed})
        _check_types(found[row["run_id"]])
    for run_id, rule, judged, numbers in _numbers_in(connection, schema.MetricRow):
        found[run_id].metrics.setdefault(rule, {})[judged] = numbers
    for run_id, part, rule, judged, numbers in _numbers_in(connection, schema.PartMetricRow, "part"):
        found[run_id].other_parts.setdefault(part, {}).setdefault(rule, {})[judged] = numbers
    return list(found.values())


def _numbers_in(
    connection: sa.Connection, table: type[schema.MetricRow | schema.PartMetricRow], *further: str
) -> Iterator[tuple[Any, ...]]:
    """Run id, further columns, rule, judged and the numbers by name of each metrics in a table."""
    key = ("run_id", *further, "rule", "judged")
    columns = [getattr(table, name) for name in (*key, *(METRIC_COLUMNS[name] for name in _NUMBERS))]
    length = len(key)
    for row in connection.execute(sa.select(*columns)).all():
        _check_numbers(row[0], row[length:])
        numbers = dict(zip(_NUMBERS, row[length:], strict=True))
        for name in MEAN_COLUMNS:
            if numbers[name] is None:
                del numbers[name]
        yield *row[:length], numbers


def read_run_records(session: Session) -> dict[str, RunRecord]:
    """Read what is stored of all runs beyond identity and numbers, by run id."""
    runs, epochs = schema.Run, schema.EpochRow
    columns = [getattr(epochs, name) for name in EPOCH_COLUMNS]
    connection = session.connection()
    rows = connection.execute(sa.select(runs.run_id, runs.execution, runs.provenance, runs.extra)).all()
    found = {row[0]: RunRecord(row[1], row[2]) for row in rows}
    extras = {row[0]: row[3] for row in rows}
    ordered = sa.select(epochs.run_id, *columns).order_by(epochs.run_id, epochs.epoch)
    for run_id, *values in connection.execute(ordered).all():
        found[run_id].epochs.append(whole_epoch(dict(zip(EPOCH_COLUMNS, values, strict=True)), extras[run_id]))
    return found


def read_board_systems(session: Session, pairs: Collection[tuple[str, str]], rule: str) -> list[BoardSystem]:
    """Read the systems trained here, of some pairs of model and method, with numbers under a rule; no spec is read.

    Of a composite the pair are its name and its combination. A submission is none of them, whatever it states.
    """
    runs, metrics = schema.Run, schema.MetricRow
    common = [getattr(runs, name) for name in _SYSTEM_COLUMNS]
    found: list[Any] = [sa.func.count(), sa.func.max(runs.created), sa.func.min(runs.run_id)]
    has_numbers = sa.exists().where(metrics.run_id == runs.run_id, metrics.rule == rule)
    query = (
        sa.select(*common, *found)
        .where(runs.kind.in_(("run", "composite")), runs.status == "finished", has_numbers)
        .where(sa.or_(sa.false(), *[(runs.model == model) & (runs.method == method) for model, method in pairs]))
        .group_by(*common)
    )
    return [BoardSystem(*row) for row in session.execute(query)]


def read_specs(session: Session, run_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Read the identity fields of the specs of some runs, by run id."""
    query = sa.select(schema.Run.run_id, schema.Run.spec).where(schema.Run.run_id.in_(run_ids))
    return {row.run_id: row.spec for row in session.execute(query)}


def read_parts(session: Session, run_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Read the run ids of the parts of some composites: by id of the composite, then by name of the part."""
    query = sa.select(schema.Run.run_id, schema.Run.extra).where(schema.Run.run_id.in_(run_ids))
    return {
        row.run_id: {part["name"]: part["run_id"] for part in row.extra.get("parts", ())}
        for row in session.execute(query)
    }


def read_board_scores(session: Session, systems: Collection[str], rules: Collection[str]) -> list[BoardScore]:
    """Read what the finished runs of some systems, but for trials and parts, reached under some rules, by seed."""
    runs, metrics = schema.Run, schema.MetricRow
    columns = [getattr(runs if name in ("system", "run_id", "seed") else metrics, name) for name in _SCORE_COLUMNS]
    query = (
        sa.select(*columns)
        .join(metrics, metrics.run_id == runs.run_id)
        .where(runs.status == "finished", runs.kind.not_in(UNRANKED))
        .where(runs.system.in_(systems), metrics.rule.in_(rules))
        .order_by(runs.seed, runs.run_id)
    )
    return [BoardScore(*row) for row in session.execute(query)]


def _check_types(run: BoardRun) -> None:
    """Check what tables take for granted of a run: SQLite holds anything in any column."""
    texts = (run.run_id, run.status, run.created, run.profile, run.kind)
    numbers = (run.spec["seed"], run.seconds or 0.0, run.cycles_per_second or 0.0)
    if not (all(isinstance(text, str) for text in texts) and isinstance(run.extra, dict)):
        raise TypeError(f"of the run {run.run_id}")
    if not (run.spec.keys() >= _SPEC_NAMES and all(type(number) in (int, float) for number in numbers)):
        raise TypeError(f"of the run {run.run_id}")


def _check_numbers(run_id: str, numbers: Sequence[Any]) -> None:
    if not _NUMBER_TYPES.issuperset(map(type, numbers)):
        raise TypeError(f"metrics of the run {run_id}")


def _specs_of_systems(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """The spec of one run of each system: the others differ from it in the seed alone, and reading JSON takes time."""
    runs = schema.Run
    firsts = sa.select(sa.func.min(runs.run_id)).group_by(runs.system)
    rows = connection.execute(sa.select(runs.system, runs.spec).where(runs.run_id.in_(firsts)))
    return {row.system: row.spec for row in rows}


def _apply_renames(specs: Mapping[str, dict[str, Any]], history: History) -> None:
    """Give systems from outside the names that they have now."""
    aliases = {folded(old): new for old, new in history.aliases.items()}
    for spec in specs.values():
        if "system" in spec:
            spec["system"] = aliases.get(folded(spec["system"]), spec["system"])
