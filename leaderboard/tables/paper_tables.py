"""The paper's tables as plain values: each printed row beside the runs of its system on this board.

Which runs are of a row's system is said in :mod:`leaderboard.tables.row_systems`. Where several systems stand for one
printed row, the first is in the row, and the others are its variants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Any

from bench.core.text import setting_words
from leaderboard.metrics import Sensitivity
from leaderboard.published import PrintedRow, PrintedTable
from leaderboard.results.schema import Rule
from leaderboard.statistics.breakdown import system_counts
from leaderboard.statistics.intervals import system_estimate
from leaderboard.statistics.row_statistics import PredictedClasses
from leaderboard.statistics.seed_spread import PAPER_SPREAD
from leaderboard.store.board_rows import BoardScore
from leaderboard.store.store import Store
from leaderboard.tables.row_systems import Complete, MatchingSystem, RowSystem, RowSystems, SystemFinder
from leaderboard.tables.sections import SIMULATED

Row = dict[str, Any]

NO_SYSTEM = "No system stands for it."
"""Why a row cannot be run."""

SHARED = ("id", "section", "judged", "system", "architecture", "pretrain", "method", "venue", "authors_run")
PRINTED = ("sp", "sp_std", "se", "se_std", "score", "score_std", "protocol", "split", "consistent", "previous_best")


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper beside what was run here; renderers choose the form.

    Attributes:
        name: ``table1``, ``table2`` or ``table3``.
        protocol: The selection rule of the numbers run here.
        other: The selection rule whose Score stands beside those numbers.
        title: What the table shows, and where it is printed.
        columns: The left-hand columns: heading, and the field of a row that stands there.
        rows: Plain values by name, in the paper's order; ``variants`` of a row are such rows too, one for each further
            system that stands for it.
        data: What the data set of the printed rows is called.
        notes: Sentences that belong below the table.
    """

    name: str
    protocol: str
    other: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[Row]
    data: str
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def lines(self) -> list[Row]:
        """The rows, each with those of its variants after it that the board has a run of."""
        return [line for row in self.rows for line in (row, *(one for one in row["variants"] if one["reproduced"]))]

    def to_json(self) -> dict[str, Any]:
        """The table as a JSON document."""
        return {
            "table": self.name,
            "protocol": self.protocol,
            "title": self.title,
            "rows": list(self.rows),
            "notes": list(self.notes),
        }


def paper_table(
    printed: PrintedTable, store: Store, protocol: Rule, systems: RowSystems, complete: Complete = dict
) -> PaperTable:
    """Put the board's runs beside the printed rows.

    Args:
        printed: The printed table.
        store: The board.
        protocol: The selection rule of the numbers run here.
        systems: The systems that stand for each row, by its id; a row without one is only printed.
        complete: Writes out in a run's spec what it leaves out because it has its default.
    """
    other: Rule = "last" if protocol != "last" else "best-test"
    finder = SystemFinder(store, systems, printed.dataset, protocol, complete)
    chosen = {one.id: finder.find(one) for found in systems.values() for one in found}
    shown = {found.system.system for found in chosen.values() if found}
    scores = store.scores(shown, (protocol, other)) if shown else []
    run_ids = sorted({score.run_id for score in scores if score.rule == protocol})
    choices = store.predicted_classes(run_ids, protocol)
    board = _BoardNumbers(protocol, other, _scores_by_system(scores), choices, chosen)
    rows = [_whole_row(printed, row, systems.get(row.id, ()), board) for row in printed.rows]
    title = f"{printed.title} ({printed.source})"
    table = PaperTable(printed.name, protocol, other, title, printed.columns, rows, printed.data)
    return replace(table, notes=_notes(table.lines))


# --- what a row says --------------------------------------------------------------------------------------------


def _score_interval(
    choices: PredictedClasses, run_ids: Sequence[str], judged: Sensitivity, *, is_whole: bool
) -> list[float] | None:
    """The 95 % interval of the mean Score over some runs, over patients and seeds.

    None where their predictions are missing or differ in cycles, too few patients are there, or nothing varies. A
    single seed on the whole of the paper's data set is given the paper's spread.
    """
    found = [choices[run_id] for run_id in run_ids if run_id in choices]
    if len(found) < len(run_ids) or len({cycles.hash for cycles, _ in found}) != 1:
        return None
    counts = system_counts(found[0][0], [chosen for _, chosen in found])
    if not counts.has_interval:
        return None
    pooled = PAPER_SPREAD if is_whole and judged == counts.task.strict else None
    score = system_estimate(counts.by_patient, judged=judged, pooled=pooled).score
    return None if score.is_degenerate else [score.lo, score.hi]


@dataclass(frozen=True)
class _BoardNumbers:
    """What the rows are filled from: the two rules, scores by system, rule and judged, and what the runs chose.

    ``chosen`` are the board's systems that are shown, by the id of the system that they are of.
    """

    protocol: Rule
    other: Rule
    scores: Mapping[tuple[str, str, str], Sequence[BoardScore]]
    choices: PredictedClasses
    chosen: Mapping[str, MatchingSystem | None]


def _scores_by_system(scores: Sequence[BoardScore]) -> dict[tuple[str, str, str], list[BoardScore]]:
    found: dict[tuple[str, str, str], list[BoardScore]] = {}
    for score in scores:
        found.setdefault((score.system, score.rule, score.judged), []).append(score)
    return found


def _whole_row(table: PrintedTable, row: PrintedRow, systems: Sequence[RowSystem], board: _BoardNumbers) -> Row:
    """A printed row with its variants, which are named after their systems."""
    first, *others = systems or (None,)
    place = next(iter(table.columns.values()))
    # In a table whose rows are options the first column says no name.
    name = place if place in ("system", "architecture") else "system"
    variants = [
        {**_table_row(table, row, other, board), "id": other.id, name: other.title, "variant_of": row.id}
        for other in others
        if other is not None
    ]
    return {**_table_row(table, row, first, board), "variants": variants}


def _table_row(table: PrintedTable, row: PrintedRow, wanted: RowSystem | None, board: _BoardNumbers) -> Row:
    chosen = None if wanted is None else board.chosen[wanted.id]
    reproduced = _reproduced(row, chosen, board) if chosen else None
    compared = reproduced is not None and chosen is not None and chosen.is_whole
    return {
        **{name: getattr(row, name) for name in SHARED},
        "options": dict(row.options),
        "published": {**{name: getattr(row, name) for name in PRINTED}, "source": _source(table, row)},
        "reproduced": reproduced,
        "delta": reproduced["score"] - row.score if reproduced and compared else None,
        "run_as": wanted.id if wanted else None,
        "fidelity": wanted.fidelity if wanted else None,
        "data": chosen.data if chosen else None,
        "differs": dict(chosen.differs) if chosen else {},
        "reduced": dict(chosen.reduced) if chosen else {},
        "not_runnable": None if wanted else NO_SYSTEM,
        "note": row.note,
    }


def _source(table: PrintedTable, row: PrintedRow) -> str:
    place = f"{table.source}, row {table.rows.index(row) + 1}"
    return f"{place}, after its reference {row.ref}" if row.ref else place


def _reproduced(row: PrintedRow, chosen: MatchingSystem, board: _BoardNumbers) -> Row:
    system = chosen.system.system
    runs = board.scores[system, board.protocol, row.judged]
    beside = board.scores.get((system, board.other, row.judged), ())
    run_ids = [run.run_id for run in runs]
    return {
        "seeds": [run.seed for run in runs],
        **_mean_and_std("sp", [run.sp for run in runs]),
        **_mean_and_std("se", [run.se for run in runs]),
        **_mean_and_std("score", [run.score for run in runs]),
        "ci95": _score_interval(board.choices, run_ids, row.judged, is_whole=chosen.is_whole),
        "run_ids": run_ids,
        "pretrain": chosen.system.pretrain,
        "other": {"protocol": board.other, **_mean_and_std("score", [run.score for run in beside])} if beside else None,
    }


def _mean_and_std(name: str, values: Sequence[float]) -> Row:
    return {name: fmean(values), f"{name}_std": stdev(values) if len(values) > 1 else None}


# --- what stands below the table --------------------------------------------------------------------------------


def _notes(rows: Sequence[Row]) -> list[str]:
    wrong = [row["id"] for row in rows if not row["published"]["consistent"]]
    simulated = [row for row in rows if (row["data"] or "").startswith(SIMULATED)]
    scratch = any(row["pretrain"] != "-" for row in simulated)
    notes = [f"{_listed(wrong)}: the printed Score is not (Sp + Se)/2."] if wrong else []
    if simulated:
        start = "start from scratch, whatever the row's pretraining, and " if scratch else ""
        notes.append(f"Simulated runs prove the pipeline, never a method; they {start}are not compared with print.")
    notes += _grouped_notes(rows, lambda row: _deviation_words("simulated in reduced size", row["reduced"]))
    notes += _grouped_notes(rows, lambda row: _deviation_words("not the row's recipe", row["differs"]))
    notes += _grouped_notes(rows, lambda row: row["note"])
    notes += _grouped_notes(rows, lambda row: row["not_runnable"] and f"not run here. {row['not_runnable']}")
    return notes


def _grouped_notes(rows: Sequence[Row], text: Callable[[Row], str | None]) -> list[str]:
    """One note for all the rows that it holds for."""
    found: dict[str, list[str]] = {}
    for row in rows:
        said = text(row)
        if said:
            found.setdefault(said, []).append(row["id"])
    return [f"{_listed(ids)}: {said}" for said, ids in found.items()]


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids)


def _deviation_words(what: str, differs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Where the runs shown deviate from the row's recipe, in words."""
    said = [
        f"{name.rpartition('.')[2]} {setting_words(values['here'])} instead of {setting_words(values['recipe'])}"
        for name, values in differs.items()
    ]
    return f"{what}: {', '.join(said)}." if said else None
