"""The board: runs go in by their folders and come out as plain values. One interface, SQLite or PostgreSQL below."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from bench.core.documents import collector_paused
from bench.core.errors import ResultError
from bench.core.text import echoed
from leaderboard.history.log import History, LogEntry
from leaderboard.metrics import Metrics
from leaderboard.results.predictions import CycleSet
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import RunResult, score_parts
from leaderboard.results.schema import ResultDocument
from leaderboard.store import schema
from leaderboard.store.board_rows import (
    BoardRun,
    BoardScore,
    BoardSystem,
    RunRecord,
    read_board_runs,
    read_board_scores,
    read_board_systems,
    read_parts,
    read_run_records,
    read_specs,
)
from leaderboard.store.costs import RunCost, read_costs
from leaderboard.store.database import Database
from leaderboard.store.log_rows import is_retracted, put_entries, read_entries_of
from leaderboard.store.result_rows import (
    Imported,
    document_of,
    put,
    read_choices_of,
    read_predictions_of,
    read_scores_of,
    result_of,
    task_of_run,
)

logger = logging.getLogger(__name__)

_SPOILT = (ValueError, TypeError, LookupError, AttributeError, sa.exc.NoResultFound)
"""What reading rows raises that hold no JSON, refer to nothing, or are of other types."""

_REHEARSED_AT_ONCE = 5
"""Results that are in memory together; one may take a hundred megabytes."""


class Store:
    """The board in one database: every method is one transaction, and gives plain values.

    Args:
        database: The database, which is not opened before it is used; :meth:`open` makes it from a folder or URL.
    """

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
            # Asked within the transaction: a retraction by another process in between would otherwise be undone.
            if is_retracted(session, result.document["run_id"]):
                return "retracted"
            stored = put(session, result, anew=anew)
        logger.debug("run %s on the board %s: %s", result.document["run_id"], self, stored)
        return stored

    def history(self) -> History:
        """Read the log of the board's changes."""
        with self.session() as session:
            return History.of(read_entries_of(session))

    def add_entries(self, entries: Iterable[LogEntry]) -> None:
        """Add entries to the log, and remove the runs that they retract; entries that are there stay.

        Raises:
            StoreError: If the database cannot be written.
        """
        with self.session(write=True) as session:
            put_entries(session, entries)

    def rehearse(self, results: Iterable[RunResult]) -> None:
        """Store results and take them back, to see that the board can hold them before their folders are written.

        Raises:
            ResultError: If the board cannot hold one of the results.
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
        """Read all runs with their metrics, oldest first."""
        with self.session() as session:
            return read_board_runs(session)

    @collector_paused()
    def records(self) -> dict[str, RunRecord]:
        """Read what is stored of all runs beyond identity and numbers, by run id."""
        with self.session() as session:
            return read_run_records(session)

    def systems(self, pairs: Collection[tuple[str, str]], rule: str) -> list[BoardSystem]:
        """Read the systems trained here, of some pairs of model and method, with numbers under a selection rule."""
        with self.session() as session:
            return read_board_systems(session, pairs, rule)

    def parts(self, run_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Read the run ids of the parts of some composites: by id of the composite, then by name of the part."""
        with self.session() as session:
            return read_parts(session, run_ids)

    def specs(self, run_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Read the identity fields of the specs of some runs, by run id."""
        with self.session() as session:
            return read_specs(session, run_ids)

    def scores(self, systems: Collection[str], rules: Collection[str]) -> list[BoardScore]:
        """Read what the finished runs of some systems reached under some selection rules, by seed."""
        with self.session() as session:
            return read_board_scores(session, systems, rules)

    def predicted_classes(self, run_ids: Sequence[str], rule: str) -> dict[str, tuple[CycleSet, NDArray[np.int64]]]:
        """Read the judged cycles and the predicted class of each, for the runs that have predictions under a rule.

        Returns:
            By run id, the n cycles and the (n,) classes in their order; runs on the same cycles share one cycle set.
        """
        with self.session() as session:
            return read_choices_of(session, run_ids, rule)

    def predicted_scores(self, run_ids: Sequence[str], rule: str) -> dict[str, tuple[CycleSet, NDArray[Any]]]:
        """Read the judged cycles and the stored scores of each, for the runs that have predictions under a rule.

        Returns:
            By run id, the n cycles and the (n, classes) scores in their order; runs on the same cycles share one cycle
            set.
        """
        with self.session() as session:
            return {run_id: (cycles, scores) for run_id, cycles, scores in read_scores_of(session, run_ids, rule)}

    def find(self, text: str) -> str:
        """Find the id of the run that a text means: a whole id, or the beginning of just one.

        Raises:
            ResultError: If the ids of no run or of several begin with the text; near or matching ids are named.
        """
        with self.session() as session:
            # Ids are ASCII; a word of a terminal may hold what no database takes.
            exact = sa.select(schema.Run.run_id).where(schema.Run.run_id == text)
            if text.isascii() and text.isprintable() and session.scalar(exact) is not None:
                return text
            newest_first = (schema.Run.created.desc(), schema.Run.run_id.desc())
            ids = list(session.scalars(sa.select(schema.Run.run_id).order_by(*newest_first)))
        word = echoed(text)
        matches = [run_id for run_id in ids if text and run_id.startswith(text.lower())]
        if len(matches) == 1:
            return matches[0]
        if matches:
            shown = ", ".join(sorted(matches)[:5]) + (", ..." if len(matches) > 5 else "")
            raise ResultError(f"'{word}' is the beginning of {len(matches)} runs: {shown}.", "Write more characters.")
        raise ResultError(f"There is no run '{word}' on the board {self}.", _suggested_id(text, ids))

    def run(self, text: str) -> ResultDocument:
        """Read the result document of a run; its metrics are recomputed from its stored predictions.

        Args:
            text: The run's id, or the beginning of it.

        Raises:
            ResultError: As :meth:`find`.
        """
        run_id = self.find(text)
        with self.session() as session:
            return document_of(session, session.get_one(schema.Run, run_id))

    def result(self, text: str) -> RunResult:
        """Read a run with its judged cycles and scores, as its folder holds them.

        Raises:
            ResultError: As :meth:`find`.
        """
        run_id = self.find(text)
        with self.session() as session:
            return result_of(session, session.get_one(schema.Run, run_id))

    def costs(self, system: str | None = None) -> list[RunCost]:
        """Read what every finished run that was trained here took, or those of one system, oldest first."""
        with self.session() as session:
            return read_costs(session, system)

    def statuses(self) -> dict[str, str]:
        """Read, by run id, how each run ended: ``finished``, ``failed`` or ``pruned``."""
        with self.session() as session:
            rows = session.execute(sa.select(schema.Run.run_id, schema.Run.status))
            return {row.run_id: row.status for row in rows}

    def digests(self) -> dict[str, str]:
        """Read, by run id, the hash of everything that the board holds of the run."""
        with self.session() as session:
            return {row.run_id: row.digest for row in session.execute(sa.select(schema.Run.run_id, schema.Run.digest))}

    def predictions(self, text: str, rule: str) -> tuple[CycleSet, NDArray[np.float64]]:
        """Read the n judged cycles of a run, of all tested parts, and its scores (n, classes) in their order.

        Raises:
            ResultError: As :meth:`find`, or if the run has no predictions under the rule.
        """
        run_id = self.find(text)
        with self.session() as session:
            return read_predictions_of(session, run_id, rule)

    def recompute(self, text: str, rule: str) -> dict[str, Metrics]:
        """Compute the metrics of a run on its main part under a rule, by sensitivity, from its stored predictions.

        Raises:
            ResultError: As :meth:`predictions`.
        """
        run_id = self.find(text)
        with self.session() as session:
            task = task_of_run(session.get_one(schema.Run, run_id)).task
            return score_parts(*read_predictions_of(session, run_id, rule), task)[task.main.id]


def _suggested_id(text: str, ids: Sequence[str]) -> str:
    close = difflib.get_close_matches(text, ids, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"The newest is {ids[0]}; `bench board list` shows all." if ids else "The board holds no run yet."
