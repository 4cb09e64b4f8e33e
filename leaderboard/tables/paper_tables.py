"""The paper's tables as plain values: each printed row beside the runs of its system on this board.

A run belongs to a row when its model, method, pretraining and the method options that the row names are the row's.
Simulated runs are the exception: the demo trains from scratch, so that their pretraining is not compared. Of the
systems that belong to a row one is shown: on the whole of the paper's data set before a part of it before simulated
data; then the one with the row's recipe; then the one with most seeds; then the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from leaderboard.metrics import Sensitivity
from leaderboard.published import PrintedRow, PrintedTable, RunAs
from leaderboard.results.schema import Rule
from leaderboard.statistics.breakdown import system_counts
from leaderboard.statistics.intervals import system_estimate
from leaderboard.statistics.row_statistics import PredictedClasses
from leaderboard.statistics.seed_spread import PAPER_SPREAD
from leaderboard.store.board_rows import BoardScore, BoardSystem
from leaderboard.store.store import Store
from leaderboard.tables.sections import SIMULATED
from leaderboard.tasks import OFFICIAL_SPLIT, JudgedTask, is_first_task, judged_task

Row = dict[str, Any]

SIZES = ("model_options.", "frontend_options.")
"""Options that say how large model and spectrogram are."""

DatasetId = str
"""Id of a data set that rows of the paper can be run on: the paper's own, and the simulated one."""

ExpectedFields = Mapping[str, Mapping[DatasetId, Mapping[str, Any]]]
"""Fields that the recipe of a row sets, by row id and data set, under dotted names (``method_options.alpha``)."""

Complete = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Writes out in the identity fields of a spec what it leaves out because it has its default."""

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
        rows: Plain values by name, in the paper's order.
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
class _MatchingSystem:
    """A system that belongs to a row, where its spec deviates from the row's recipe, and where a demo is smaller."""

    system: BoardSystem
    differs: Mapping[str, Any]
    reduced: Mapping[str, Any]

    @property
    def judged(self) -> JudgedTask:
        return _judged(self.system)

    @property
    def data(self) -> str:
        return SIMULATED if self.judged.simulated else self.system.partial or self.judged.title

    @property
    def is_whole(self) -> bool:
        """Whether it was run on the whole of the paper's data set."""
        return not self.judged.simulated and not self.system.partial


def paper_table(
    printed: PrintedTable, store: Store, protocol: Rule, expected: ExpectedFields, complete: Complete = dict
) -> PaperTable:
    """Put the board's runs beside the printed rows.

    Args:
        printed: The printed table.
        store: The board.
        protocol: The selection rule of the numbers run here.
        expected: What each row's recipe sets; a row without an entry is taken to deviate nowhere.
        complete: Writes out in a run's spec what it leaves out because it has its default.
    """
    other: Rule = "last" if protocol != "last" else "best-test"
    systems = store.systems({(row.run.model, row.run.method) for row in printed.rows if row.run}, protocol)
    specs = _SpecReader(store, complete)
    mine = [system for system in systems if _is_of_table(system, printed)]
    finder = _SystemFinder(mine, specs, printed.dataset)
    chosen = {row.id: finder.choose(row, expected.get(row.id, {})) for row in printed.rows}
    shown = {candidate.system.system for candidate in chosen.values() if candidate}
    scores = store.scores(shown, (protocol, other)) if shown else []
    run_ids = sorted({score.run_id for score in scores if score.rule == protocol})
    board = _BoardNumbers(protocol, other, _scores_by_system(scores), store.predicted_classes(run_ids, protocol))
    rows = [_table_row(printed, row, chosen[row.id], board) for row in printed.rows]
    title = f"{printed.title} ({printed.source})"
    return PaperTable(printed.name, protocol, other, title, printed.columns, rows, printed.data, _notes(rows))


# --- which runs belong to a row ---------------------------------------------------------------------------------


class _SpecReader:
    """Specs of systems, read in portions and only as far as they are asked for."""

    PORTION = 100

    def __init__(self, store: Store, complete: Complete) -> None:
        self._store, self._complete = store, complete
        self._known: dict[str, dict[str, Any]] = {}

    def of(self, systems: Sequence[BoardSystem]) -> Iterator[tuple[BoardSystem, dict[str, Any]]]:
        for start in range(0, len(systems), self.PORTION):
            portion = systems[start : start + self.PORTION]
            unread = [system.first for system in portion if system.first not in self._known]
            if unread:
                read = self._store.specs(unread)
                self._known.update({run_id: self._complete(spec) for run_id, spec in read.items()})
            for system in portion:
                yield system, self._known[system.first]


@dataclass(frozen=True)
class _SystemFinder:
    """Chooses the system that is shown beside a row, among those that were judged as the printed table was."""

    systems: Sequence[BoardSystem]
    specs: _SpecReader
    dataset: DatasetId

    def choose(self, row: PrintedRow, recipes: Mapping[DatasetId, Mapping[str, Any]]) -> _MatchingSystem | None:
        if row.run is None:
            return None
        run = row.run
        mine = [system for system in self.systems if _may_belong(system, run)]
        for place in sorted({_data_preference(system) for system in mine}):
            equal = [system for system in mine if _data_preference(system) == place]
            equal.sort(key=lambda system: (system.runs, system.newest), reverse=True)
            found = self._best_match(equal, run, recipes)
            if found:
                return found
        return None

    def _best_match(
        self, systems: Sequence[BoardSystem], run: RunAs, recipes: Mapping[DatasetId, Mapping[str, Any]]
    ) -> _MatchingSystem | None:
        """The first system with the row's options and recipe; without any, the first one with the row's options."""
        first = None
        for system, spec in self.specs.of(systems):
            options = spec.get("method_options", {})
            if any(options.get(name) != value for name, value in run.method_options.items()):
                continue
            deviations = dict(_deviations(spec, recipes.get(spec["dataset"], {})))
            found = _MatchingSystem(system, deviations, _reduced(system, spec, recipes.get(self.dataset, {})))
            if not deviations:
                return found
            first = first or found
        return first


def _judged(system: BoardSystem) -> JudgedTask:
    return judged_task({"dataset": system.dataset, "task": system.task, "split": system.split})


def _is_of_table(system: BoardSystem, printed: PrintedTable) -> bool:
    """Whether a system was judged as the printed rows were, or is a simulation of that."""
    judged = _judged(system)
    if system.split != OFFICIAL_SPLIT or not is_first_task(judged.task):
        return False
    if judged.simulated:
        return True
    # On other cycles or labels than those of the printed numbers nothing can be compared with them.
    return system.dataset == printed.dataset and (bool(system.partial) or judged.is_official(system.judged_set))


def _may_belong(system: BoardSystem, run: RunAs) -> bool:
    """Whether all but the method's options is the row's."""
    same = (system.model, system.method) == (run.model, run.method)
    return same and (_judged(system).simulated or system.pretrain == run.pretrain)


def _data_preference(system: BoardSystem) -> int:
    """The whole of the paper's data set first, then a part of it, then simulated data."""
    return 2 if _judged(system).simulated else 1 if system.partial else 0


def _reduced(system: BoardSystem, spec: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Where a simulated run is smaller than the row's recipe for real data: geometry, length of cycles and training."""
    if not _judged(system).simulated:
        return {}
    sizes = {name: value for name, value in recipe.items() if name in ("epochs", "batch") or name.startswith(SIZES)}
    return dict(_deviations(spec, sizes))


def _deviations(spec: Mapping[str, Any], recipe: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Fields of a spec that the recipe sets otherwise; one that the spec does not know deviates nowhere."""
    for name, wanted in recipe.items():
        owner, dot, option = name.partition(".")
        here = spec.get(owner, {}).get(option, wanted) if dot else spec.get(name, wanted)
        if here != wanted:
            yield name, {"here": here, "recipe": wanted}


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
    """What the rows are filled from: the two rules, scores by system, rule and judged, and what the runs chose."""

    protocol: Rule
    other: Rule
    scores: Mapping[tuple[str, str, str], Sequence[BoardScore]]
    choices: PredictedClasses


def _scores_by_system(scores: Sequence[BoardScore]) -> dict[tuple[str, str, str], list[BoardScore]]:
    found: dict[tuple[str, str, str], list[BoardScore]] = {}
    for score in scores:
        found.setdefault((score.system, score.rule, score.judged), []).append(score)
    return found


def _table_row(table: PrintedTable, row: PrintedRow, chosen: _MatchingSystem | None, board: _BoardNumbers) -> Row:
    reproduced = _reproduced(row, chosen, board) if chosen else None
    compared = reproduced is not None and chosen is not None and chosen.is_whole
    return {
        **{name: getattr(row, name) for name in SHARED},
        "options": dict(row.options),
        "published": {**{name: getattr(row, name) for name in PRINTED}, "source": _source(table, row)},
        "reproduced": reproduced,
        "delta": reproduced["score"] - row.score if reproduced and compared else None,
        "fidelity": row.fidelity,
        "data": chosen.data if chosen else None,
        "differs": dict(chosen.differs) if chosen else {},
        "reduced": dict(chosen.reduced) if chosen else {},
        "not_runnable": row.not_runnable,
        "note": row.note,
    }


def _source(table: PrintedTable, row: PrintedRow) -> str:
    place = f"{table.source}, row {table.rows.index(row) + 1}"
    return f"{place}, after its reference {row.ref}" if row.ref else place


def _reproduced(row: PrintedRow, chosen: _MatchingSystem, board: _BoardNumbers) -> Row:
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
    scratch = any(row["data"] == SIMULATED and row["pretrain"] != "-" for row in rows)
    notes = [f"{_listed(wrong)}: the printed Score is not (Sp + Se)/2."] if wrong else []
    if any(row["data"] == SIMULATED for row in rows):
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
        f"{name.rpartition('.')[2]} {values['here']} instead of {values['recipe']}" for name, values in differs.items()
    ]
    return f"{what}: {', '.join(said)}." if said else None
