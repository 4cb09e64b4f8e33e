"""Systems published since Bae et al. 2023, re-runs by others, and the rows of the paper's Table 3, as data.

The numbers are the sources' own, also where they do not add up; nothing here was run. What each one is worth is said
in fixed words, so that a table can keep apart what may be compared.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from leaderboard.metrics import Sensitivity
from leaderboard.published import MAIN_TABLE, ROUNDING, PrintedRow, PrintedTable, printed_table

KINDS = ("published", "reproduction", "independent", "reference")
"""A system's own numbers, a re-run of one by others, a study of its own without a system, people."""

PRINTED_RULES = ("last", "best-val", "best-test", "best-test-accuracy", "unknown", "none")
"""How the epoch was chosen, as far as code or text shows; none where there is nothing to choose."""

SPLITS = ("official", "official-stated", "other", "unknown")
"""The official split, seen in the code; the same, as the authors or others say; known to be another one; not known."""

PRINTED_SENSITIVITIES = ("4class", "2class", "macro", "unknown")
"""What counts as a hit in Se: the right one of the abnormal classes, any of them, each class against the rest (Se is
then a mean over classes, another number altogether), or not known."""

EVIDENCE = ("read", "partly", "second-hand")
"""Whether the numbers were read at their source, some of them there, or in other people's tables alone."""

PAPER = "arXiv 2305.14032"
"""Where the paper whose Table 3 is part of this can be read."""


@dataclass(frozen=True, kw_only=True)
class PublishedSystem:
    """One published result of a system.

    Attributes:
        id: Short name, unique among all published systems.
        dataset: Id of the data set that the result is of.
        system: Name of the system, as published.
        architecture: The network that is trained.
        pretrain: The weights that training starts from.
        venue: Where and when it was published.
        year: Year of publication.
        kind: One of :data:`KINDS`.
        table: The kind of table that the result stands in, ``4class`` or ``2class``.
        sp: Specificity, percent.
        se: Sensitivity, percent.
        score: Score, percent.
        sp_std: Deviation of the specificity over runs, points, where given.
        se_std: Deviation of the sensitivity over runs, points, where given.
        score_std: Deviation of the Score over runs, points, where given.
        protocol: One of :data:`PRINTED_RULES`.
        split: One of :data:`SPLITS`.
        sensitivity: One of :data:`PRINTED_SENSITIVITIES`.
        evidence: One of :data:`EVIDENCE`.
        source: Where the numbers, or the system, are published.
        code: Address of the system's code, where it is published.
        note: What else must be known to compare the result.
    """

    id: str
    dataset: str
    system: str
    architecture: str
    pretrain: str
    venue: str
    year: int
    kind: str
    table: Sensitivity
    sp: float | None = None
    se: float | None = None
    score: float
    sp_std: float | None = None
    se_std: float | None = None
    score_std: float | None = None
    protocol: str
    split: str
    sensitivity: str
    evidence: str
    source: str
    code: str | None = None
    note: str | None = None

    @property
    def consistent(self) -> bool | None:
        """Whether (Sp + Se)/2 is the printed Score, up to rounding; None where Sp or Se is not given."""
        if self.sp is None or self.se is None:
            return None
        return abs((self.sp + self.se) / 2 - self.score) <= ROUNDING

    @property
    def comparable(self) -> bool:
        """Whether it is said to have been judged as its table is: on the official split, with the same sensitivity."""
        return self.split in ("official", "official-stated") and self.sensitivity == self.table

    @property
    def verified(self) -> bool:
        """Whether split, sensitivity and selection rule were seen in code or at the source.

        Only then does a rank mean something.
        """
        known = self.protocol not in ("unknown", "none") and self.evidence != "second-hand"
        return self.comparable and self.split == "official" and known and self.consistent is not False


@cache
def published_systems() -> tuple[PublishedSystem, ...]:
    """Read all published systems: the rows of the paper's Table 3 in its order, then those published since."""
    text = resources.files("leaderboard.published").joinpath("since_2023.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    since = tuple(PublishedSystem(dataset=document["dataset"], **values) for values in document["systems"])
    table = printed_table(MAIN_TABLE)
    return (*(_system_of_row(table, row) for row in table.rows), *since)


def _system_of_row(table: PrintedTable, row: PrintedRow) -> PublishedSystem:
    copied: Mapping[str, Any] = {
        name: getattr(row, name)
        for name in ("architecture", "pretrain", "sp", "sp_std", "se", "se_std", "score", "score_std", "note")
    }
    year = int("20" + row.venue.rpartition("'")[2]) if row.venue and "'" in row.venue else 2023
    return PublishedSystem(
        id=f"table3-{row.id}",
        dataset=table.dataset,
        system=row.system,
        venue=row.venue or "INTERSPEECH'23",
        year=year,
        kind="published",
        table=row.judged,
        protocol=row.protocol,
        split=row.split,
        sensitivity=row.judged,
        evidence="read" if row.authors_run else "second-hand",
        source=f"{table.source} ({PAPER})",
        **copied,
    )
