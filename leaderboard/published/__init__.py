"""Tables 1-3 of Bae et al. 2023 (INTERSPEECH, arXiv 2305.14032) as data: one entry per printed line, as printed.

The numbers are the paper's own, also where they do not add up; nothing here was run. What a row is run as, the cards
of systems say: each names the rows that it stands for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from bench.core.cards import SELECTIONS
from bench.core.paper import TABLES as TABLES
from leaderboard.metrics import Sensitivity

MAIN_TABLE = "table3"
"""The table that compares all systems."""

PROTOCOLS = tuple(SELECTIONS)
"""How the printed row's epoch was chosen, as far as its authors' code or text shows."""

ROUNDING = 0.015
"""Points by which a printed Score may miss (Sp + Se)/2: three numbers rounded to two decimals."""


@dataclass(frozen=True, kw_only=True)
class PrintedRow:
    """One printed line.

    Attributes:
        id: Short name, unique within the table (``--only``).
        section: Block of the table.
        judged: How its Se counts: ``4class`` or ``2class``.
        system: Name of the system, as printed; the paper's ``[ours]`` and † are ``authors_run``.
        architecture: Network of the system, as printed.
        pretrain: Pretraining, as printed: ``-``, ``IN`` (ImageNet), ``AS`` (AudioSet) or ``IN + AS``.
        method: Training method, as printed, or the table's caption.
        venue: Where the system was published, as printed; None where the table has no such column.
        options: Further cells by name, as printed (Table 2).
        ref: The citation as printed, whose numbers the line repeats.
        authors_run: Whether the paper's authors ran it themselves.
        previous_best: Whether the paper marks it as the best Score before it (*).
        sp: Specificity, percent.
        se: Sensitivity, percent.
        score: Score, percent.
        sp_std: Deviation of the specificity over five runs, points, where printed.
        se_std: Deviation of the sensitivity over five runs, points, where printed.
        score_std: Deviation of the Score over five runs, points, where printed.
        protocol: One of :data:`PROTOCOLS`.
        note: What else must be known to compare it with a run.
    """

    id: str
    section: str
    judged: Sensitivity
    system: str
    architecture: str
    pretrain: str
    method: str
    venue: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    ref: str | None = None
    authors_run: bool
    previous_best: bool = False
    sp: float
    se: float
    score: float
    sp_std: float | None = None
    se_std: float | None = None
    score_std: float | None = None
    protocol: str
    note: str | None = None

    @property
    def split(self) -> str:
        """The split that the row was judged on, in the words of :data:`leaderboard.published.systems.SPLITS`.

        Every row claims the official one; it was seen in code for the rows that the paper's authors ran.
        """
        return "official" if self.authors_run else "official-stated"

    @property
    def consistent(self) -> bool:
        """Whether (Sp + Se)/2 is the printed Score, up to rounding."""
        return abs((self.sp + self.se) / 2 - self.score) <= ROUNDING


@dataclass(frozen=True, kw_only=True)
class PrintedTable:
    """A table of the paper as it is printed.

    Attributes:
        name: One of :data:`TABLES`.
        title: What the table shows.
        source: Where the table is printed.
        dataset: Id of the data set that its rows are of.
        data: What that is called for short.
        columns: Left-hand columns in the paper's order: heading, and the row's field (``options.x`` is an option).
        rows: The rows in the paper's order.
    """

    name: str
    title: str
    source: str
    dataset: str
    data: str
    columns: Mapping[str, str]
    rows: Sequence[PrintedRow]


@cache
def printed_table(name: str) -> PrintedTable:
    """Read a table that belongs to the package.

    Args:
        name: One of :data:`TABLES`.
    """
    text = resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    defaults = document.get("defaults", {})
    rows = tuple(PrintedRow(**{**defaults, **values}) for values in document["rows"])
    return PrintedTable(
        name=name,
        title=document["title"],
        source=document["source"],
        dataset=document["dataset"],
        data=document["data"],
        columns=document["columns"],
        rows=rows,
    )
