"""The board: its runs, its systems, its tables, two systems compared, and all that is stored of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.board_rows import RunRow, SystemRow, columns_of
from bench.api.calls import api_call
from bench.api.frames import data_frame
from bench.api.requests import FilePath
from bench.api.tables import ReportTable, SystemComparison
from bench.api.words import known_word, selection_rule
from bench.core import paper
from bench.core.datasets import DATASETS
from bench.core.errors import SpecError
from bench.core.paths import board_location, expanded, home_folder
from bench.core.progress import waiting
from bench.experiment.paper_rows import table_of_board
from bench.experiment.plugins import load_plugins
from leaderboard.results.schema import ResultDocument
from leaderboard.statistics.comparison import compare, runs_of
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table, runs_table
from leaderboard.tables.dataset_table import dataset_table
from leaderboard.tables.published_table import published_table
from leaderboard.tables.run_parts import parts_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from leaderboard.results.predictions import CycleSet

TABLES = ("leaderboard", "runs", "published", *paper.TABLES)


def _check_sections(name: str, dataset: str | None, task: str | None) -> None:
    """Refuse a data set or a task that does not exist, or that a table has no sections of."""
    if dataset is not None and name != "leaderboard":
        raise SpecError(f"--dataset chooses sections of the leaderboard, not of {name}.", "Leave it out.")
    if task is None:
        if dataset is not None:
            DATASETS.card(dataset)
        return
    if name != "leaderboard" and name not in DATASETS:
        raise SpecError(f"--task chooses sections of the leaderboard or of a data set, not of {name}.", "Leave it out.")
    shown = name if dataset is None else dataset
    cards = [DATASETS.card(shown)] if shown in DATASETS else [entry.card for entry in DATASETS]
    known_word("task", task, tuple(known.id for card in cards for known in card.tasks))


@api_call
def open_board(
    location: str | Path | None = None, *, home: Path | None = None, plugins: FilePath | Sequence[FilePath] = ()
) -> Board:
    """Name a board; nothing is read or made yet.

    Args:
        location: A results folder, or the URL of a database (``postgresql://user@host/name``). By default the database
            that ``BENCH_STORE`` names, otherwise the one in the results folder.
        home: The results folder, with the run folders (default: ``BENCH_HOME`` or ./results).
        plugins: Files with data sets of your own that tables are asked for; sections of all of them need none.

    Raises:
        StoreError: If a URL cannot be read.
        SpecError: If a file cannot be imported.

    Example:
        >>> board = bench.open_board("results")
        >>> print(board.table("leaderboard"))
        >>> print(board.compare("ast/patchmix-cl", "ast/ce"))
    """
    load_plugins([plugins] if isinstance(plugins, str | Path) else plugins)
    if location is None:
        folder = home_folder(home)
        return Board(folder, Store.open(board_location(folder)))
    if isinstance(location, str) and "://" in location:
        return Board(home_folder(home), Store.open(location))
    return Board(home or expanded(location), Store.open(expanded(location)))


@dataclass(frozen=True)
class Board:
    """A board, as :func:`open_board` gives it; what is read of it is as new as the call.

    Attributes:
        home: The results folder, with run folders, submissions and the files of the log.
        store: The database.
    """

    home: Path
    store: Store

    def __str__(self) -> str:
        return str(self.store)

    def runs(self) -> list[RunRow]:
        """Every run, the newest first, with its numbers of the last epoch.

        Raises:
            StoreError: If the database cannot be read.
        """
        return [RunRow.of(row) for row in self.table("runs").rows]

    def systems(self, protocol: str = "last") -> list[SystemRow]:
        """The rows of the board: runs that differ in the seed alone, taken together.

        Args:
            protocol: Selection rule of the numbers: ``last``, ``best-test`` or ``best-val``.

        Raises:
            SpecError: If there is no such rule.
            StoreError: If the database cannot be read.
        """
        table = leaderboard_table(self.store, selection_rule(protocol), failed=False)
        return [SystemRow.of(row, section) for section in table.sections for row in section.rows]

    def run(self, run: str) -> StoredRun:
        """All that is stored of one run.

        Args:
            run: Its id, or the beginning of it.

        Raises:
            ResultError: If no run or several begin with it.
        """
        return StoredRun(self, self.store.run(run))

    def table(
        self,
        name: str = "leaderboard",
        protocol: str | None = None,
        *,
        dataset: str | None = None,
        task: str | None = None,
    ) -> ReportTable:
        """A table as ``bench report`` and ``bench board list`` print it.

        Args:
            name: ``leaderboard``, ``runs``, ``published``, ``table1``, ``table2`` or ``table3``; or the id of a data
                set, for its printed results beside what was run on it.
            protocol: Selection rule of the numbers (default: ``last``; ``best-test``, the paper's, for its tables).
            dataset: Of the leaderboard: the data set whose sections are wanted; all by default.
            task: Of the leaderboard and of a data set: the task whose sections are wanted; all by default.

        Raises:
            SpecError: If there is no such table, rule, data set or task, or the table has no sections of tasks.
            StoreError: If the database cannot be read.
        """
        known_word("table", name, (*TABLES, *(entry.id for entry in DATASETS)))
        rule = selection_rule(protocol or (paper.RULE if name in paper.TABLES else "last"))
        _check_sections(name, dataset, task)
        if name == "published":
            return ReportTable(published_table())
        with waiting("computing the table"):
            if name in paper.TABLES:
                return ReportTable(table_of_board(name, self.store, rule))
            if name == "runs":
                return ReportTable(runs_table(self.store))
            if name == "leaderboard":
                return ReportTable(leaderboard_table(self.store, rule, dataset=dataset, task=task))
            board = leaderboard_table(self.store, rule, dataset=name, task=task)
            return ReportTable(dataset_table(DATASETS.card(name), board, task))

    def compare(
        self, a: str, b: str, protocol: str = "last", *, single: bool = False, part: str | None = None
    ) -> SystemComparison:
        """Compare two systems on the same cycles: the difference of their Scores with an interval over patients.

        Args:
            a: A run's id or the beginning of it, ``model/method``, or the name of a submitted system.
            b: What to compare it with.
            protocol: Selection rule of the numbers.
            single: Compare the two runs alone, not all seeds of their systems.
            part: The tested part; the main one by default.

        Raises:
            SpecError: If there is no such rule or part.
            ResultError: If there is no such system, or the two cannot be compared.
        """
        rule = selection_rule(protocol)
        with waiting("comparing on the same cycles"):
            runs = self.store.runs()
            of_a, of_b = (runs_of(self.store, runs, text, rule, single=single) for text in (a, b))
            return SystemComparison.of(compare(self.store, of_a, of_b, rule, part))

    def to_dataframe(self) -> Any:
        """Every run as a line of a data frame, with the columns of :class:`bench.api.board_rows.RunRow`.

        Those of tasks are there where a run is of another task than the four classes of respiratory cycles.

        Returns:
            A ``pandas.DataFrame`` where pandas is installed, otherwise a ``polars.DataFrame``.

        Raises:
            SpecError: If neither is installed.
        """
        runs = self.runs()
        return data_frame(columns_of(runs))


@dataclass(frozen=True)
class StoredRun:
    """One run of the board.

    Attributes:
        board: The board.
        document: Its result document; metrics are recomputed from its stored predictions.
    """

    board: Board
    document: ResultDocument

    @property
    def run_id(self) -> str:
        """Id of the run, a hash of what changes its result."""
        return self.document["run_id"]

    @property
    def status(self) -> str:
        """How the run ended: ``finished`` or ``failed``."""
        return self.document["status"]

    @property
    def spec(self) -> Mapping[str, Any]:
        """The identity fields of the run's spec, by name."""
        return self.document["spec"]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The run's rates by selection rule, then by what a hit is (``4class``, ``2class``); percent."""
        return self.document["metrics"]

    def predictions(self, protocol: str = "last") -> tuple[CycleSet, NDArray[np.float64]]:
        """The judged cycles of all tested parts and the scores of the classes, (cycles, classes), in their order.

        Args:
            protocol: The selection rule that chose the epoch.

        Raises:
            ResultError: If the run has no predictions under the rule.
        """
        return self.board.store.predictions(self.run_id, selection_rule(protocol))

    def parts(self) -> ReportTable:
        """Its last epoch in parts: official and patient-disjoint, by device, by class."""
        return ReportTable(parts_table(self.board.store, self.document))

    def to_json(self) -> ResultDocument:
        """The document that ``bench board show --format json`` prints."""
        return self.document
