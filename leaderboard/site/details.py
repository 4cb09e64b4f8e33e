"""The values behind the page's views of patients, cycles, scores and printed systems, as compact as they can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.core.datasets import DatasetCard, TaskCard
from bench.core.text import plain
from leaderboard.published.results_file import PrintedResult, printed_of
from leaderboard.published.systems import PublishedSystem, published_systems
from leaderboard.render.bibtex import published_entry, result_entry
from leaderboard.results.schema import RULES
from leaderboard.site.data import SiteData
from leaderboard.site.system_predictions import MissedCycle
from leaderboard.site.systems import HITS, Row, System, SystemPredictions, sensitivity_of
from leaderboard.statistics.breakdown import SystemCounts
from leaderboard.statistics.operating_points import FOLDS, OperatingPoints
from leaderboard.statistics.patient_hits import count_hits
from leaderboard.statistics.reliability import Reliability
from leaderboard.tables.dataset_table import printed_doubts
from leaderboard.tables.published_table import doubts

MOST_COUNTED = 200
"""Systems whose correct cycles of each patient stand in the page, which any two of them are compared by."""


def detail_values(board: SiteData) -> dict[str, Any]:
    """Make the part of the page's document that its views need; systems are named by their places in ``systems``."""
    sets = _CycleSets()
    counted = {rule: [_hit_values(system, rule, sets) for system in board.systems[:MOST_COUNTED]] for rule in RULES}
    return {
        "hits": counted,
        "sets": sets.known,
        "counted": MOST_COUNTED,
        "folds": FOLDS,
        "spreads": {
            rule: [
                {judged: None if spread is None else asdict(spread) for judged, spread in by_section[title].items()}
                for title in board.sections
            ]
            for rule, by_section in board.spreads.items()
        },
        "answers": {
            rule: {
                str(place): _prediction_values(system.predictions[rule], system.task)
                for place, system in enumerate(board.systems)
                if rule in system.predictions
            }
            for rule in RULES
        },
        "missed": {
            rule: {
                str(list(board.sections).index(title)): list(map(_missed_values, cycles))
                for title, cycles in found.items()
            }
            for rule, found in board.missed.items()
        },
        "printed": [*map(_printed_system_values, printed_systems()), *_printed_of_other_sets(board)],
    }


class _CycleSets:
    """The patients of judged cycles, each set kept once."""

    def __init__(self) -> None:
        self.known: list[Row] = []
        self._places: dict[Any, int] = {}

    def place(self, counts: SystemCounts, shared: frozenset[str] | None) -> int:
        key = (counts.cycles.hash, counts.groups, shared, counts.task.abnormal)
        if key not in self._places:
            self._places[key] = len(self.known)
            cycles = counts.by_patient[0].sum(axis=-1)
            self.known.append(
                {
                    "patients": list(map(plain, counts.patients)),
                    "normal": cycles[:, 0].tolist(),
                    "abnormal": cycles[:, counts.task.abnormal].sum(axis=-1).tolist(),
                    "shared": [place for place, name in enumerate(counts.patients) if name in (shared or ())],
                }
            )
        return self._places[key]


def _hit_values(system: System, rule: str, sets: _CycleSets) -> Row | None:
    """Correct normal, exactly classed and any abnormal cycles: of each patient over all seeds, and of each seed.

    The sums of each seed are given with and without the patients who were trained on too.
    """
    counts = system.counts.get(rule)
    if counts is None or not counts.has_interval:
        return None
    task = counts.task
    hits = [count_hits(counts.by_patient, sensitivity_of(task, hit), task) for hit in HITS]
    right = np.stack([hits[0][0], *(abnormal for _, abnormal in hits)], axis=1)  # (S, 3, P)
    kept = np.asarray([name not in (system.shared or ()) for name in counts.patients])
    return {
        "set": sets.place(counts, system.shared),
        "of": right.sum(axis=0).tolist(),
        "seeds": [right.sum(axis=-1).tolist(), right[:, :, kept].sum(axis=-1).tolist()],
    }


def _prediction_values(found: SystemPredictions, task: TaskCard) -> Row:
    return {
        "points": None if found.points is None else _operating_values(found.points, task),
        "reliability": None if found.reliability is None else _reliability_values(found.reliability),
    }


def _operating_values(runs: Sequence[OperatingPoints], task: TaskCard) -> Row:
    """Means over runs, as they are drawn and printed."""
    curve = np.mean([run.curve for run in runs], axis=0)
    tuned = {hit: np.mean([run.tuned[sensitivity_of(task, hit)] for run in runs], axis=0) for hit in HITS}
    return {
        "curve": _rounded(curve.tolist(), 1),
        "tuned": {judged: [round(value, 2) for value in rates.tolist()] for judged, rates in tuned.items()},
    }


def _reliability_values(found: Reliability) -> Row:
    return {"bins": _rounded(found.bins, 1), "error": round(found.error, 2), "softmax": found.softmax}


def _rounded(rows: Iterable[Sequence[float]], digits: int) -> list[list[float]]:
    return [[round(value, digits) for value in row] for row in rows]


def _missed_values(cycle: MissedCycle) -> list[Any]:
    """What is a hit, recording, cycle, patient, class, whether trained on too, percent missed, systems asked."""
    recording, number = cycle.key
    return [
        HITS.index(cycle.judged),
        plain(recording),
        number,
        plain(cycle.patient),
        cycle.label,
        int(cycle.shared),
        round(cycle.share, 1),
        cycle.systems,
    ]


# --- printed systems --------------------------------------------------------------------------------------------


def printed_systems() -> list[PublishedSystem]:
    """List the published systems that have a place on the Sp/Se plane: comparable ones, with Sp and Se given."""
    return [
        system
        for system in published_systems()
        if system.kind != "reference" and system.comparable and system.sp is not None and system.se is not None
    ]


def _printed_system_values(system: PublishedSystem) -> Row:
    sources = [system.source, *([system.code] if system.code else [])]
    return {
        "name": plain(system.system + (" (re-run by others)" if system.kind == "reproduction" else "")),
        "what": plain(f"{system.architecture} from {system.pretrain}, {system.venue}, epoch: {system.protocol}"),
        "judged": system.table,
        **{name: getattr(system, name) for name in ("sp", "se", "score")},
        "doubts": [plain(doubt) for doubt in [*doubts(system), *filter(None, [system.note])]],
        "sources": [plain(source) for source in sources],
        "bibtex": published_entry(system),
    }


def _printed_of_other_sets(board: SiteData) -> list[Row]:
    """What stands in print of the data sets that the page names beside the first one, with Sp and Se given."""
    cards = {
        s.judged.dataset: s.judged.card for s in board.described.values() if s.judged and s.judged.card and s.names
    }
    return [
        _printed_result_values(result, card)
        for card in cards.values()
        for result in printed_of(card)
        if result.sp is not None and result.se is not None and result.score is not None
    ]


def _printed_result_values(result: PrintedResult, card: DatasetCard) -> Row:
    """A printed result; it is of the exact class, and names the data set, task and part that it may stand beside."""
    return {
        "name": plain(result.system),
        "what": plain(f"{result.architecture}, {result.venue} {result.year}"),
        "judged": HITS[0],
        **{name: getattr(result, name) for name in ("sp", "se", "score")},
        "doubts": [plain(doubt) for doubt in printed_doubts(result)],
        "sources": [plain(result.source)],
        "bibtex": result_entry(result),
        "dataset": plain(card.id),
        "task": plain(result.task),
        "part": None if result.part is None else plain(result.part),
    }
