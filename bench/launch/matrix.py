"""Runs the rows of a table of the paper: a plain matrix of rows and seeds, one run after the other.

A run is done if its result exists and is finished, so that the same command goes on where it stopped; whatever one run
fails with is told, and the others go on.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from bench.core.errors import BenchError, InterruptedRunError, RegistryError, SpecError, WeightsError
from bench.core.paths import board_location
from bench.core.registry import suggestion
from bench.experiment.paper_rows import request_of
from bench.experiment.recipes import DataSource, Request, resolve
from bench.experiment.spec import RunSpec
from bench.launch.child import Children
from bench.launch.isolated import run_isolated
from bench.launch.once import finished_result
from leaderboard.published import PrintedRow, PrintedTable
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import RunResult
from leaderboard.store.database import DamagedBoardError, SpoiltBoardError
from leaderboard.store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedRun:
    """One run, and the ids of the rows that it is for."""

    spec: RunSpec
    rows: tuple[str, ...]


@dataclass(frozen=True)
class TablePlan:
    """The runs that make a table of the paper, and the rows for which there are none.

    Attributes:
        table: The printed table.
        profile: paper or demo.
        runs: In the table's order; a run that several rows share is there once.
        skipped: Why rows cannot be run in this version, by row id.
        refused: Why rows that can be run cannot start here and now (weights that cannot be had), by row id.
    """

    table: PrintedTable
    profile: str
    runs: Sequence[PlannedRun]
    skipped: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, BenchError] = field(default_factory=dict)


@dataclass(frozen=True)
class EndedRun:
    """How a planned run ended.

    Attributes:
        run: The planned run.
        status: ``done before`` where its result existed already, ``finished`` or ``failed``.
        error: What the run failed with; None for one that did not fail.
    """

    run: PlannedRun
    status: str
    error: BenchError | None = None


def choose_rows(table: PrintedTable, only: str | None) -> list[PrintedRow]:
    """The rows whose id matches a pattern (``cl-*``); all without one.

    Raises:
        SpecError: If none does.
    """
    rows = [row for row in table.rows if only is None or fnmatchcase(row.id, only)]
    if not rows:
        known = [row.id for row in table.rows]
        raise SpecError(f"--only '{only}' matches no row of {table.name}: {suggestion(str(only), known)}")
    return rows


def make_plan(
    table: PrintedTable,
    rows: Sequence[PrintedRow],
    request: Request,
    source: DataSource,
    seeds: Sequence[int],
) -> TablePlan:
    """Resolve every run before one starts, so that a wrong setting stops before anything trains.

    Args:
        table: The printed table.
        rows: Which of its rows.
        request: What the user asked for; model, method and pretraining are the row's.
        source: Data and profile.
        seeds: One run each.

    Raises:
        SpecError: For a setting that a row does not have, or that contradicts what the row is.
        DataError: If the data are missing or broken.
    """
    from bench.engine.preflight import check_model

    runs: dict[str, PlannedRun] = {}
    refused: dict[str, BenchError] = {}
    for row in rows:
        if row.run is None:
            continue
        try:
            specs = resolve(_request_of(row, request, source.profile), source, seeds)
            check_model(specs[0])
        except (WeightsError, RegistryError) as error:
            refused[row.id] = error
            continue
        for spec in specs:
            _check_row(row, spec)
            known = runs.get(spec.run_id)
            runs[spec.run_id] = PlannedRun(spec, (*(known.rows if known else ()), row.id))
    skipped = {row.id: row.not_runnable for row in rows if row.not_runnable is not None}
    return TablePlan(table, source.profile, list(runs.values()), skipped, refused)


def _request_of(row: PrintedRow, request: Request, profile: str) -> Request:
    assert row.run is not None
    asked = request_of(row.run, profile, cache=request.cache, fields=request.fields)
    kept = {name: getattr(asked, name) for name in ("model", "method", "pretrain", "fields")}
    return dataclasses.replace(request, **kept)


def _check_row(row: PrintedRow, spec: RunSpec) -> None:
    """A setting may not turn a row into another one."""
    assert row.run is not None
    for name, value in row.run.method_options.items():
        if spec.method_options[name] != value:
            raise SpecError(
                f"--set {name}={spec.method_options[name]} contradicts the row '{row.id}', whose {name} is {value}.",
                "Leave it out: the row says what it is.",
            )


def is_done(run: PlannedRun, home: Path) -> bool:
    """Whether a run's result exists and is finished; raises ResultError for one that cannot be read."""
    return _done_before(run, home) is not None


def _done_before(run: PlannedRun, home: Path) -> RunResult | None:
    return finished_result(RunFolder.of_run(home, run.spec.run_id))


def carry_out(plan: TablePlan, home: Path, *, rerun: bool) -> list[EndedRun]:
    """Do the runs that are missing, one after the other.

    Args:
        plan: What to run.
        home: The results folder.
        rerun: Run finished ones again.

    Raises:
        InterruptedRunError: If Ctrl-C, SIGTERM or SIGHUP stopped it; the run under way has saved its state.
        StoreError: If the board cannot take results, or is found damaged by a run.
    """
    store = Store.open(board_location(home))
    store.check_writable()
    ended = []
    with Children() as children:
        for place, run in enumerate(plan.runs, start=1):
            if children.asked:
                raise InterruptedRunError("Stopped between two runs.")
            said = f"[{place}/{len(plan.runs)}] {headline(run)}"
            ended.append(_run_unless_done(run, said, home, store, rerun=rerun, children=children))
    return ended


def _run_unless_done(
    run: PlannedRun, said: str, home: Path, store: Store, *, rerun: bool, children: Children
) -> EndedRun:
    """Run a planned run whose result does not exist yet; an error of the run itself is told and kept.

    Args:
        run: The planned run.
        said: The line that says which run it is.
        home: The results folder.
        store: The board that a result done before is stored on.
        rerun: Whether to run it although its result exists.
        children: The processes of this program.
    """
    try:
        done = None if rerun else _done_before(run, home)
        if done is not None:
            store.import_result(done)
            logger.info(f"{said}: done before")
            return EndedRun(run, "done before")
        logger.info(said)
        run_isolated(run.spec, home, rerun=rerun, children=children)
    except (InterruptedRunError, DamagedBoardError, SpoiltBoardError):
        # Such a board would take no other run's result either.
        raise
    except BenchError as error:
        logger.warning(f"run {run.spec.run_id} failed: {error.message} {error.hint or ''}".rstrip())
        return EndedRun(run, "failed", error)
    return EndedRun(run, "finished")


def headline(run: PlannedRun) -> str:
    """A run in one line."""
    spec = run.spec
    return f"{', '.join(run.rows)}: run {spec.run_id}, {spec.model} + {spec.method}, seed {spec.seed}"
