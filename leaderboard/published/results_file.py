"""Printed results of a data set from a JSON file beside its card: the sources' own numbers, with their doubts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.datasets import DatasetCard


@dataclass(frozen=True, kw_only=True)
class PrintedResult:
    """One printed result of a system on one task.

    Attributes:
        system: Name of the system, as published.
        architecture: The network that is trained.
        venue: Where it was published.
        year: Year of publication.
        task: Id of the task.
        part: Id of the tested part; None where the source does not say.
        sp: Specificity, percent, where printed.
        se: Sensitivity, percent, where printed.
        average: Mean of the two (AS), percent, where printed.
        harmonic: Harmonic mean of the two (HS), percent, where printed.
        score: Score, percent, where printed.
        source: Where the numbers were read.
        doubts: What must be known before they are compared, in a sentence; empty for nothing.
    """

    system: str
    architecture: str
    venue: str
    year: int
    task: str
    part: str | None
    sp: float | None
    se: float | None
    average: float | None
    harmonic: float | None
    score: float | None
    source: str
    doubts: str = ""

    @property
    def consistent(self) -> bool | None:
        """Whether AS, HS and Score follow from the other numbers, to their decimals; None where nothing follows.

        The Score is the mean of AS and HS, as in the BioCAS 2022 challenge.
        """
        pairs = [(printed, derived) for printed, derived in self._derived() if None not in (printed, derived)]
        if not pairs:
            return None
        return all(abs(printed - derived) <= self._rounding() for printed, derived in pairs)

    def _derived(self) -> list[tuple[Any, Any]]:
        """AS, HS and Score as printed, each beside what follows from the numbers before it."""
        average = harmonic = score = None
        if self.sp is not None and self.se is not None:
            average = (self.sp + self.se) / 2
            harmonic = 2 * self.sp * self.se / (self.sp + self.se) if self.sp + self.se else 0.0
        known = (
            average if self.average is None else self.average,
            harmonic if self.harmonic is None else self.harmonic,
        )
        if known[0] is not None and known[1] is not None:
            score = (known[0] + known[1]) / 2
        return [(self.average, average), (self.harmonic, harmonic), (self.score, score)]

    def _rounding(self) -> float:
        """A unit of the last decimal that the least exact number was printed with."""
        numbers = (self.sp, self.se, self.average, self.harmonic, self.score)
        places = min(_decimals(number) for number in numbers if number is not None)
        return 10.0**-places * (1 + 1e-9)


def _decimals(number: float) -> int:
    return len(f"{number:g}".partition(".")[2])


def printed_results(path: Path) -> tuple[PrintedResult, ...]:
    """Read the printed results of a data set.

    Args:
        path: A JSON list of objects with the fields of :class:`PrintedResult`, where AS and HS are named ``as`` and
            ``hs`` (:attr:`bench.core.datasets.DatasetCard.published`).

    Raises:
        TypeError: If a result lacks a field, or has another one.
    """
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(PrintedResult(**_renamed(row)) for row in rows)


def printed_of(card: DatasetCard) -> tuple[PrintedResult, ...]:
    """The printed results that a data set brings; none where it brings no file."""
    return () if card.published is None else _read_once(card.published)


@cache
def _read_once(path: Path) -> tuple[PrintedResult, ...]:
    return printed_results(path)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    names = {"as": "average", "hs": "harmonic"}
    return {names.get(name, name): value for name, value in row.items()}
