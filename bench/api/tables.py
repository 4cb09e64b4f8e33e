"""Tables as values: the JSON of the commands, and writers to Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leaderboard.render.formats import render
from leaderboard.statistics import comparison
from leaderboard.tables.board_tables import Table as BoardTable
from leaderboard.tables.comparison_table import comparison_table
from leaderboard.tables.paper_tables import PaperTable


@dataclass(frozen=True)
class ReportTable:
    """A table of the board, of the paper or of published results.

    Attributes:
        values: Its values before a form is chosen.
    """

    values: BoardTable | PaperTable

    @property
    def name(self) -> str:
        """``leaderboard``, ``runs``, ``published``, or a table of the paper: ``table1``."""
        return self.values.name

    @property
    def protocol(self) -> str:
        """The selection rule of its numbers."""
        return self.values.protocol

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its rows in the order shown, those of all sections; names and values are those of its JSON."""
        if isinstance(self.values, PaperTable):
            return list(self.values.rows)
        return [row for section in self.values.sections for row in section.rows]

    @property
    def notes(self) -> list[str]:
        """Sentences that belong below it."""
        return list(self.values.notes)

    @property
    def holds_runs(self) -> bool:
        """Whether a run of this board stands in it, or a note speaks of one."""
        if isinstance(self.values, PaperTable):
            return any(row["reproduced"] for row in self.values.rows)
        return bool(self.values.sections or self.values.notes)

    def to_json(self) -> dict[str, Any]:
        """The document that ``--format json`` prints."""
        return self.values.to_json()

    def to_text(self, *, width: int | None = None, colour: bool = False) -> str:
        """The table for a terminal.

        Args:
            width: Columns of the terminal; its own by default.
            colour: Whether to write colour codes.
        """
        return self.written("table", width=width, colour=colour)

    def to_markdown(self) -> str:
        """The table in Markdown."""
        return self.written("markdown")

    def to_latex(self) -> str:
        """The table for a paper; it needs booktabs alone, and fits A4."""
        return self.written("latex")

    def to_csv(self) -> str:
        """One line for each row, numbers in full precision."""
        return self.written("csv")

    def to_html(self) -> str:
        """The table as a page of its own."""
        return self.written("html")

    def written(self, form: str = "table", *, width: int | None = None, colour: bool = False) -> str:
        """The table in a format by its name.

        Args:
            form: ``table``, ``markdown``, ``latex``, ``csv``, ``json`` or ``html``.
            width: Columns of the terminal (``table`` only); its own by default.
            colour: Whether to write colour codes (``table`` only).

        Raises:
            ResultError: If the format is unknown.
        """
        return render(self.values, form, width=width, colour=colour)

    def __str__(self) -> str:
        return self.to_text()


@dataclass(frozen=True, kw_only=True)
class SystemComparison:
    """Two systems on the same cycles.

    Attributes:
        protocol: The selection rule of the numbers.
        data: What the systems were judged on, in the board's words.
        task: Id of the task; None for the four classes of respiratory cycles, as is the part.
        part: Id of the tested part.
        a: The first: its identity, seeds and runs; ``views`` hold its rates with deviation and interval.
        b: The second.
        difference: A minus B by view (``official``, ``patient-disjoint``), then by ``4class`` and ``2class``: each
            rate's ``value`` and ``ci95``, and ``favours_a``. None for a view that is not known.
        tied: Whether the interval of the difference of the official 4-class Scores holds 0.
        sentence: The answer in plain words.
        covers: What the intervals cover and what not.
        notes: What else a reader must know.
        table: The same as a table, for the writers.
    """

    protocol: str
    data: str
    task: str | None = None
    part: str | None = None
    a: Mapping[str, Any]
    b: Mapping[str, Any]
    difference: Mapping[str, Any]
    tied: bool
    sentence: str
    covers: str
    notes: Sequence[str]
    table: ReportTable = field(repr=False)

    @classmethod
    def of(cls, found: comparison.Comparison) -> SystemComparison:
        """A comparison of the board's statistics with the names of its JSON document."""
        return cls(**found.to_json(), table=ReportTable(comparison_table(found)))

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench board compare --format json`` prints."""
        left_out = {"table", *(name for name in ("task", "part") if vars(self)[name] is None)}
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def __str__(self) -> str:
        return self.sentence
