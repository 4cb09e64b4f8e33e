"""The board: runs go in by their folders and come out as plain values. One interface, SQLite or PostgreSQL below."""

from __future__ import annotations

import contextlib
import difflib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from bench.core.documents import collector_paused
from bench.core.errors import ResultError
from bench.core.text import echoed, folded
from leaderboard.history.log import Entry, History
from leaderboard.metrics import Metrics, score_cycles
from leaderboard.results.predictions import CycleSet
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import EpochRow, ResultDocument
from leaderboard.store import schema
from leaderboard.store.database import Database
from leaderboard.store.log_rows import is_retracted, put_entries, read_entries_of
from leaderboard.store.result_rows import (
    EPOCH_COLUMNS,
    METRIC_COLUMNS,
    Imported,
    document_of,
    put,
    read_choices_of,
    read_predictions_of,
    read_scores_of,
    result_of,
)

_SPOILT = (ValueError, TypeError, LookupError, AttributeError, sa.exc.NoResultFound)
"""What reading rows raises that hold no JSON, refer to nothing, or are of other types."""

_NUMBERS = tuple(name for name in METRIC_COLUMNS if name != "confusion")
"""What tables need of the metrics: reading thousands of confusion matrices would take longer than all the rest."""


_REHEARSED_AT_ONCE = 5
"""Results that are in memory together; one may take a hundred megabytes."""

_SPEC_NAMES = frozenset({"model", "method", "pretrain", "dataset", "split"})


@dataclass(frozen=True)
class BoardRun:
    """One run as tables need it.

    Attributes:
        run_id: Its id.
        system: Hash of its spec without the seed: runs that differ only in the seed share it.
        status: ``finished`` or ``failed``.
        error: What stopped a failed one.
        created: When, UTC, ISO 8601.
        profile: Which recipes its spec began with.
        partial: How much of the data set there was, where not all of it.
        seconds: Duration; None for a submission.
        cycles_per_second: Training speed.
        spec: The identity fields of its spec.
        kind: ``run``, or ``submission`` for a system from outside.
        extra: Fields of its result without a column of their own.
        judged_set: Hash of the cycles that it was judged on (:mod:`leaderboard.results.judged_set`); None without
            predictions.
        metrics: By selection rule, then by judged: Sp, Se, Score, number of cycles and epoch.
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
    metrics: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class BoardSystem:
    """Finished runs whose specs differ in nothing but the seed.

    Attributes:
        system: Hash of their spec without the seed.
        model: Field of their spec, as the following ones.
        method: See above.
        pretrain: See above.
        dataset: See above.
        split: See above.
        partial: How much of the data set there was, where not all of it.
        judged_set: Hash of the cycles that they were judged on.
        runs: How many.
        newest: When the last of them was made, UTC, ISO 8601.
        first: Id of one of them, whose spec stands for all.
    """

    system: str
    model: str
    method: str
    pretrain: str
    dataset: str
    split: str
    partial: str | None
    judged_set: str | None
    runs: int
    newest: str
    first: str


@dataclass(frozen=True)
class BoardScore:
    """What one run reached under one rule, judged in one way; percent."""

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
        execution: How and where its spec was run.
        provenance: Code, packages, machine.
        epochs: Its epochs as the result document holds them.
    """

    execution: dict[str, Any]
    provenance: dict[str, Any]
    epochs: list[EpochRow] = field(default_factory=list)


_SYSTEM_COLUMNS = ("system", "model", "method", "pretrain", "dataset", "split", "partial", "judged_set")
_SCORE_COLUMNS = tuple(attribute.name for attribute in fields(BoardScore))


class Store:
    """The board in one database; see :meth:`open`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, location: Path | str) -> Store:
        """Name a board; nothing is read or made yet.

        Args:
            location: The results folder, or a URL (``postgresql+psycopg://user:password@host/name``).

        Raises:
            StoreError: If the URL cannot be read.
        """
        return cls(Database.at(location))

    def __str__(self) -> str:
        return str(self.database)

    @contextlib.contextmanager
    def session(self, *, write: bool = False) -> Iterator[Session]:
        """One transaction: committed when the block ends well, rolled back otherwise.

        A board that is not there reads as an empty one; the first writing session makes it.

        Args:
            write: Whether the block writes.

        Raises:
            StoreError: If the database is of another version, locked, damaged, read-only or out of space, or a
                reading block meets rows that no board writes.
        """
        with self.database.engine(write=write) as engine, Session(engine) as session, session.begin():
            session.connection()  # a lock that cannot be had is worth knowing of before the block, not after it
            try:
                yield session
            except _SPOILT as error:
                if write:
                    raise
                raise self.database.spoilt(f"it holds what no board writes ({echoed(error)})") from error

    def check_writable(self) -> None:
        """Try to write, by really writing: whoever needs the board at the end of a training asks before it.

        Raises:
            StoreError: If the board cannot be made or written.
        """
        self.database.check_writable()

    def import_run(self, folder: Path, *, anew: bool = False) -> Imported:
        """Store a run folder's result in one transaction; doing it twice changes nothing.

        Args:
            folder: A run's folder, or a submission's.
            anew: Make its rows anew even if they are the same.

        Returns:
            ``new``, ``same``, ``changed`` where the run had another result, which is replaced, or ``retracted`` where
            it was taken back: then nothing is stored.

        Raises:
            ResultError: If the folder is broken or its metrics do not follow from its predictions.
            StoreError: If the database cannot be written.
        """
        return self.import_result(RunFolder(folder).read(), anew=anew)

    def import_result(self, result: RunResult, *, anew: bool = False) -> Imported:
        """Store a result that was read and judged, as :meth:`import_run` does."""
        with self.session(write=True) as session:
            if is_retracted(session, result.document["run_id"]):
                return "retracted"
            return put(session, result, anew=anew)

    def history(self) -> History:
        """The log of the board's changes."""
        with self.session() as session:
            return History.of(read_entries_of(session))

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """Add entries to the log, and remove the runs that they take back; those that are there stay.

        Raises:
            StoreError: If the database cannot be written.
        """
        with self.session(write=True) as session:
            put_entries(session, entries)

    def rehearse(self, results: Iterable[RunResult]) -> None:
        """Store results and take them back, to see that the board can hold them before their folders are written.

        Raises:
            ResultError: If it cannot hold one of them.
            StoreError: If the database cannot be written.
        """
        left = iter(results)
        # A few at a time, read before the transaction: other writers wait for thirty seconds at most.
        while part := list(itertools.islice(left, _REHEARSED_AT_ONCE)):
            with self.database.engine(write=True) as engine, Session(engine) as session:
                session.connection()
                for result in part:
                    put(session, result)
                    session.flush()
                session.rollback()

    @collector_paused()
    def runs(self) -> list[BoardRun]:
        """All runs with their metrics, oldest first."""
        names = [attribute.name for attribute in fields(BoardRun) if attribute.name not in ("metrics", "spec")]
        columns = [getattr(schema.Run, name) for name in (*names, "seed")]
        with self.session() as session:
            connection = session.connection()  # plain rows: the ORM would take as long again
            specs = _specs_of_systems(connection)
            _rename(specs, History.of(read_entries_of(session, "rename")))
            found = {}
            for *values, seed in connection.execute(
                sa.select(*columns).order_by(schema.Run.created, schema.Run.run_id)
            ).all():
                row = dict(zip(names, values, strict=True))
                found[row["run_id"]] = BoardRun(**row, spec={**specs[row["system"]], "seed": seed})
                _check_run(found[row["run_id"]])
            place = [getattr(schema.MetricRow, name) for name in ("run_id", "rule", "judged", *_NUMBERS)]
            for run_id, rule, judged, *numbers in connection.execute(sa.select(*place)).all():
                _check_numbers(run_id, numbers)
                found[run_id].metrics.setdefault(rule, {})[judged] = dict(zip(_NUMBERS, numbers, strict=True))
        return list(found.values())

    @collector_paused()
    def records(self) -> dict[str, RunRecord]:
        """What is stored of all runs beyond identity and numbers, by run id."""
        runs, epochs = schema.Run, schema.EpochRow
        columns = [getattr(epochs, name) for name in EPOCH_COLUMNS]
        with self.session() as session:
            connection = session.connection()
            rows = connection.execute(sa.select(runs.run_id, runs.execution, runs.provenance)).all()
            found = {row[0]: RunRecord(row[1], row[2]) for row in rows}
            for run_id, *values in connection.execute(
                sa.select(epochs.run_id, *columns).order_by(epochs.run_id, epochs.epoch)
            ).all():
                found[run_id].epochs.append(cast(EpochRow, dict(zip(EPOCH_COLUMNS, values, strict=True))))
        return found

    def systems(self, pairs: Collection[tuple[str, str]], rule: str) -> list[BoardSystem]:
        """Systems trained here, of some pairs of model and method, with numbers under a rule; no spec is read.

        A submission is none of them, whatever model and method it states.
        """
        runs, metrics = schema.Run, schema.MetricRow
        common = [getattr(runs, name) for name in _SYSTEM_COLUMNS]
        found: list[Any] = [sa.func.count(), sa.func.max(runs.created), sa.func.min(runs.run_id)]
        query = (
            sa.select(*common, *found)
            .join(metrics, metrics.run_id == runs.run_id)
            .where(runs.kind == "run", runs.status == "finished", metrics.rule == rule, metrics.judged == "4class")
            .where(sa.or_(sa.false(), *[(runs.model == model) & (runs.method == method) for model, method in pairs]))
            .group_by(*common)
        )
        with self.session() as session:
            return [BoardSystem(*row) for row in session.execute(query)]

    def specs(self, run_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """The identity fields of the specs of some runs, by run id."""
        query = sa.select(schema.Run.run_id, schema.Run.spec).where(schema.Run.run_id.in_(run_ids))
        with self.session() as session:
            return {row.run_id: row.spec for row in session.execute(query)}

    def scores(self, systems: Collection[str], rules: Collection[str]) -> list[BoardScore]:
        """What the finished runs of some systems reached under some rules, by seed."""
        runs, metrics = schema.Run, schema.MetricRow
        columns = [getattr(runs if name in ("system", "run_id", "seed") else metrics, name) for name in _SCORE_COLUMNS]
        query = (
            sa.select(*columns)
            .join(metrics, metrics.run_id == runs.run_id)
            .where(runs.status == "finished", runs.kind != "trial")
            .where(runs.system.in_(systems), metrics.rule.in_(rules))
            .order_by(runs.seed, runs.run_id)
        )
        with self.session() as session:
            return [BoardScore(*row) for row in session.execute(query)]

    def chosen(self, run_ids: Sequence[str], rule: str) -> dict[str, tuple[CycleSet, NDArray[np.int64]]]:
        """The judged cycles and the chosen class of each, of those of the runs that have predictions under the rule.

        Returns:
            By run id; runs on the same cycles share one cycle set.
        """
        with self.session() as session:
            return read_choices_of(session, run_ids, rule)

    def answers(self, run_ids: Sequence[str], rule: str) -> dict[str, tuple[CycleSet, NDArray[Any]]]:
        """As :meth:`chosen`, with the scores (n, 4) of each, as they are stored."""
        with self.session() as session:
            return {run_id: (cycles, scores) for run_id, cycles, scores in read_scores_of(session, run_ids, rule)}

    def find(self, text: str) -> str:
        """The id of the run that a text means: its id, or the beginning of just one.

        Raises:
            ResultError: If no run or several begin with it; near or matching ids are named.
        """
        with self.session() as session:
            # Ids are ASCII; a word of a terminal may hold what no database takes.
            exact = sa.select(schema.Run.run_id).where(schema.Run.run_id == text)
            if text.isascii() and session.scalar(exact) is not None:
                return text
            ids = list(session.scalars(sa.select(schema.Run.run_id).order_by(schema.Run.created.desc())))
        word = echoed(text)
        matches = [run_id for run_id in ids if text and run_id.startswith(text.lower())]
        if len(matches) == 1:
            return matches[0]
        if matches:
            shown = ", ".join(sorted(matches)[:5]) + (", ..." if len(matches) > 5 else "")
            raise ResultError(f"'{word}' is the beginning of {len(matches)} runs: {shown}.", "Write more characters.")
        raise ResultError(f"There is no run '{word}' on the board {self}.", _suggest(text, ids))

    def run(self, text: str) -> ResultDocument:
        """The result document of a run, its metrics recomputed from its stored predictions.

        Args:
            text: Its id, or the beginning of it.

        Raises:
            ResultError: As :meth:`find`.
        """
        run_id = self.find(text)
        with self.session() as session:
            return document_of(session, session.get_one(schema.Run, run_id))

    def result(self, text: str) -> RunResult:
        """A run with its judged cycles and scores, as its folder holds them; raises ResultError as :meth:`find`."""
        run_id = self.find(text)
        with self.session() as session:
            return result_of(session, session.get_one(schema.Run, run_id))

    def digests(self) -> dict[str, str]:
        """By run id, the hash of everything that the board holds of the run."""
        with self.session() as session:
            return {row.run_id: row.digest for row in session.execute(sa.select(schema.Run.run_id, schema.Run.digest))}

    def predictions(self, text: str, rule: str) -> tuple[CycleSet, NDArray[np.float64]]:
        """The judged cycles of a run and its scores (n, 4) in their order.

        Raises:
            ResultError: As :meth:`find`, or if the run has no predictions under the rule.
        """
        run_id = self.find(text)
        with self.session() as session:
            return read_predictions_of(session, run_id, rule)

    def recompute(self, text: str, rule: str) -> dict[str, Metrics]:
        """Metrics of a run under a rule, by judged, computed from its stored predictions; raises as those do."""
        cycles, scores = self.predictions(text, rule)
        return score_cycles(cycles.labels, scores)


def _check_run(run: BoardRun) -> None:
    """Check what tables take for granted of a run: SQLite holds anything in any column."""
    texts = (run.run_id, run.status, run.created, run.profile, run.kind)
    numbers = (run.spec["seed"], run.seconds or 0.0, run.cycles_per_second or 0.0)
    if not (all(isinstance(text, str) for text in texts) and isinstance(run.extra, dict)):
        raise TypeError(f"of the run {run.run_id}")
    if not (run.spec.keys() >= _SPEC_NAMES and all(type(number) in (int, float) for number in numbers)):
        raise TypeError(f"of the run {run.run_id}")


def _check_numbers(run_id: str, numbers: Sequence[Any]) -> None:
    if not all(number is None or type(number) in (int, float) for number in numbers):
        raise TypeError(f"metrics of the run {run_id}")


def _specs_of_systems(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """The spec of one run of each system: the others differ from it in the seed alone, and reading JSON takes time."""
    runs = schema.Run
    firsts = sa.select(sa.func.min(runs.run_id)).group_by(runs.system)
    rows = connection.execute(sa.select(runs.system, runs.spec).where(runs.run_id.in_(firsts)))
    return {row.system: row.spec for row in rows}


def _rename(specs: Mapping[str, dict[str, Any]], history: History) -> None:
    """Give systems from outside the names that they have now."""
    aliases = {folded(old): new for old, new in history.aliases.items()}
    for spec in specs.values():
        if "system" in spec:
            spec["system"] = aliases.get(folded(spec["system"]), spec["system"])


def _suggest(text: str, ids: Sequence[str]) -> str:
    close = difflib.get_close_matches(text, ids, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"The newest is {ids[0]}; `bench board list` shows all." if ids else "The board holds no run yet."
