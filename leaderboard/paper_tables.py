"""The paper's tables as plain values: each printed row beside the runs of its system on this board.

A run belongs to a row when its model, method, pretraining and the method options that the row names are the row's.
Simulated runs are the exception: the demo trains from scratch, so that their pretraining is not compared. Of the
systems that belong to a row one is shown: on the whole of ICBHI before a part of it before simulated data; then the
one with the row's recipe; then the one with most seeds; then the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, Literal

from leaderboard.published import PrintedRow, PrintedTable, RunAs
from leaderboard.results import Rule
from leaderboard.store import BoardScore, BoardSystem, Store
from leaderboard.tables import SIMULATED, flat

Row = dict[str, Any]

FULL = "ICBHI 2017"

Kind = Literal["icbhi", "demo"]
Expected = Mapping[str, Mapping[Kind, Mapping[str, Any]]]
"""Fields that the recipe of a row sets, by row id and data set, under dotted names (``method_options.alpha``)."""

SHARED = ("id", "section", "judged", "system", "architecture", "pretrain", "method", "venue", "authors_run")
PRINTED = ("sp", "sp_std", "se", "se_std", "score", "score_std", "protocol", "consistent", "previous_best")


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper beside what was run here; renderers choose the form.

    Attributes:
        name: ``table1``, ``table2`` or ``table3``.
        protocol: The selection rule of the numbers run here.
        other: The rule whose Score stands beside them.
        title: What the table shows, and where it is printed.
        columns: Its left-hand columns: heading and field of a row.
        rows: Plain values by name, in the paper's order.
        notes: Sentences that belong below it.
    """

    name: str
    protocol: str
    other: str
    title: str
    columns: Mapping[str, str]
    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """The table as a JSON document."""
        return {
            "table": self.name,
            "protocol": self.protocol,
            "title": self.title,
            "rows": list(self.rows),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Candidate:
    """A system that belongs to a row, and where it deviates from the row's recipe."""

    system: BoardSystem
    data: str
    differs: Mapping[str, Any]

    @property
    def preference(self) -> tuple[int, bool, int, str]:
        place = 0 if self.data == SIMULATED else 2 if self.data == FULL else 1
        return place, not self.differs, self.system.runs, self.system.newest


def paper_table(printed: PrintedTable, store: Store, protocol: Rule, expected: Expected) -> PaperTable:
    """Put the board's runs beside the printed rows.

    Args:
        printed: The printed table.
        store: The board.
        protocol: The selection rule of the numbers run here.
        expected: What each row's recipe sets; a row without an entry is taken to deviate nowhere.
    """
    other: Rule = "last" if protocol != "last" else "best-test"
    systems = store.systems({(row.run.model, row.run.method) for row in printed.rows if row.run}, protocol)
    chosen = {row.id: _choose(row, systems, expected.get(row.id, {})) for row in printed.rows}
    shown = {candidate.system.system for candidate in chosen.values() if candidate}
    board = _Board(store, protocol, other, _by_system(store.scores(shown, (protocol, other)) if shown else []))
    rows = [_row(printed, row, chosen[row.id], board) for row in printed.rows]
    title = f"{printed.title} ({printed.source})"
    return PaperTable(printed.name, protocol, other, title, printed.columns, rows, _notes(rows))


# --- which runs belong to a row ---------------------------------------------------------------------------------


def _choose(
    row: PrintedRow, systems: Sequence[BoardSystem], expected: Mapping[Kind, Mapping[str, Any]]
) -> _Candidate | None:
    candidates = [_candidate(system, expected) for system in systems if row.run and _belongs(system.spec, row.run)]
    return max(candidates, key=lambda candidate: candidate.preference, default=None)


def _belongs(spec: Mapping[str, Any], run: RunAs) -> bool:
    if (spec["model"], spec["method"]) != (run.model, run.method):
        return False
    if not _official(spec) or (spec["dataset"] == "icbhi" and spec["pretrain"] != run.pretrain):
        return False
    options = spec.get("method_options", {})
    return all(options.get(name) == value for name, value in run.method_options.items())


def _official(spec: Mapping[str, Any]) -> bool:
    return spec["dataset"] in ("icbhi", "demo") and spec["split"] == "official"


def _candidate(system: BoardSystem, expected: Mapping[Kind, Mapping[str, Any]]) -> _Candidate:
    spec = system.spec
    data = SIMULATED if spec["dataset"] == "demo" else str(spec.get("partial") or FULL)
    recipe = expected.get(spec["dataset"], {})
    values = flat(spec)
    differs = {
        name: {"here": values[name], "recipe": wanted}
        for name, wanted in recipe.items()
        if name in values and values[name] != wanted
    }
    return _Candidate(system, data, differs)


# --- what a row says --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Board:
    """What the rows are filled from: the store, the two rules, and scores by system, rule and judged."""

    store: Store
    protocol: Rule
    other: Rule
    scores: Mapping[tuple[str, str, str], Sequence[BoardScore]]


def _by_system(scores: Sequence[BoardScore]) -> dict[tuple[str, str, str], list[BoardScore]]:
    found: dict[tuple[str, str, str], list[BoardScore]] = {}
    for score in scores:
        found.setdefault((score.system, score.rule, score.judged), []).append(score)
    return found


def _row(table: PrintedTable, row: PrintedRow, chosen: _Candidate | None, board: _Board) -> Row:
    reproduced = _reproduced(row, chosen, board) if chosen else None
    compared = reproduced is not None and chosen is not None and chosen.data == FULL
    return {
        **{name: getattr(row, name) for name in SHARED},
        "options": dict(row.options),
        "published": {**{name: getattr(row, name) for name in PRINTED}, "source": _source(table, row)},
        "reproduced": reproduced,
        "delta": reproduced["score"] - row.score if reproduced and compared else None,
        "fidelity": row.fidelity,
        "data": chosen.data if chosen else None,
        "differs": dict(chosen.differs) if chosen else {},
        "not_runnable": row.not_runnable,
        "note": row.note,
    }


def _source(table: PrintedTable, row: PrintedRow) -> str:
    place = f"{table.source}, row {table.rows.index(row) + 1}"
    return f"{place}, after its reference {row.ref}" if row.ref else place


def _reproduced(row: PrintedRow, chosen: _Candidate, board: _Board) -> Row:
    system = chosen.system.system
    runs = board.scores[system, board.protocol, row.judged]
    beside = board.scores.get((system, board.other, row.judged), ())
    run_ids = [run.run_id for run in runs]
    return {
        "seeds": [run.seed for run in runs],
        **_means("sp", [run.sp for run in runs]),
        **_means("se", [run.se for run in runs]),
        **_means("score", [run.score for run in runs]),
        "ci95": _interval(board.store, run_ids, board.protocol, row.judged),
        "run_ids": run_ids,
        "pretrain": chosen.system.spec["pretrain"],
        "other": {"protocol": board.other, **_means("score", [run.score for run in beside])} if beside else None,
    }


def _means(name: str, values: Sequence[float]) -> Row:
    return {name: fmean(values), f"{name}_std": stdev(values) if len(values) > 1 else None}


def _interval(store: Store, run_ids: Sequence[str], protocol: Rule, judged: str) -> list[float] | None:
    """The 95 % interval of the mean Score over some runs, by a bootstrap over patients; None: not computed yet."""
    return None


# --- what stands below the table --------------------------------------------------------------------------------


def _notes(rows: Sequence[Row]) -> list[str]:
    wrong = [row["id"] for row in rows if not row["published"]["consistent"]]
    scratch = any(row["data"] == SIMULATED and row["pretrain"] != "-" for row in rows)
    notes = [f"{_listed(wrong)}: the printed Score is not (Sp + Se)/2."] if wrong else []
    if any(row["data"] == SIMULATED for row in rows):
        start = " and start from scratch, whatever the row's pretraining" if scratch else ""
        notes.append(f"Simulated runs prove the pipeline, never a method{start}; they are not compared with print.")
    notes += _grouped(rows, lambda row: _deviations(row["differs"]))
    notes += _grouped(rows, lambda row: row["note"])
    notes += _grouped(rows, lambda row: row["not_runnable"] and f"not run here. {row['not_runnable']}")
    return notes


def _grouped(rows: Sequence[Row], text: Callable[[Row], str | None]) -> list[str]:
    """One note for all the rows that it holds for."""
    found: dict[str, list[str]] = {}
    for row in rows:
        said = text(row)
        if said:
            found.setdefault(said, []).append(row["id"])
    return [f"{_listed(ids)}: {said}" for said, ids in found.items()]


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids)


def _deviations(differs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Where the runs shown deviate from the row's recipe, in words."""
    said = [
        f"{name.rpartition('.')[2]} {values['here']} instead of {values['recipe']}" for name, values in differs.items()
    ]
    return f"not the row's recipe: {', '.join(said)}." if said else None
