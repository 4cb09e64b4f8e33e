"""Runs the systems of a table's rows: a plain matrix of rows and seeds, one run after the other.

A run is done if its result exists and is finished, so that the same command goes on where it stopped; whatever one run
fails with is told, and the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from bench.core.cards import SystemCard
from bench.core.errors import BenchError, InterruptedRunError, RegistryError, SpecError, WeightsError
from bench.core.paths import board_location
from bench.core.registry import suggestion
from bench.experiment.composites import Composite, part_named, resolve_composite
from bench.experiment.paper_rows import row_system, systems_of
from bench.experiment.recipes import DataSource, Request, resolve
from bench.experiment.spec import RunSpec, with_defaults
from bench.experiment.systems import composite_of, request_of_system
from bench.launch.child import Children
from bench.launch.composite import check_parts, launch_composite, part_state, with_start
from bench.launch.isolated import run_isolated
from bench.launch.once import finished_result
from leaderboard.published import PrintedTable
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import RunResult
from leaderboard.store.database import DamagedBoardError, SpoiltBoardError
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.paper_tables import NO_SYSTEM
from leaderboard.tables.row_systems import ALONE, SystemRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedRun:
    """One run or composite, and the ids of the rows that it is for and of the systems that it is of."""

    spec: RunSpec | Composite
    rows: tuple[str, ...]
    systems: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, str, str]:
        """Model, pretraining and method; of a composite its name, the parts' pretraining, and how they are combined."""
        if isinstance(self.spec, RunSpec):
            return self.spec.model, self.spec.pretrain, self.spec.method
        starts = dict.fromkeys(part.spec.pretrain for part in self.spec.parts)
        return self.spec.name, " + ".join(starts), self.spec.combine


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


def choose_systems(table: PrintedTable, only: str | None) -> dict[str, list[SystemCard]]:
    """The systems of the rows whose id matches a pattern (``cl-*``), and those whose own id does; all without one.

    Args:
        table: The printed table.
        only: The pattern.

    Returns:
        By row id, in the table's order; none for a row that no system stands for.

    Raises:
        SpecError: If nothing matches.
    """
    found = {}
    for row in table.rows:
        systems = systems_of(table.name, row.id)
        whole = only is None or fnmatchcase(row.id, only)
        chosen = systems if whole else [card for card in systems if fnmatchcase(card.id, str(only))]
        if whole or chosen:
            found[row.id] = chosen
    if not found:
        known = [row.id for row in table.rows]
        raise SpecError(f"--only '{only}' matches no row of {table.name}: {suggestion(str(only), known)}")
    return found


def make_plan(
    table: PrintedTable,
    chosen: Mapping[str, Sequence[SystemCard]],
    request: Request,
    source: DataSource,
    seeds: Sequence[int],
) -> TablePlan:
    """Resolve every run before one starts, so that a wrong setting stops before anything trains.

    Args:
        table: The printed table.
        chosen: The systems that are run, by row id.
        request: What the user asked for; model, method, front-end and pretraining are the system's.
        source: Data and profile.
        seeds: One run each.

    Raises:
        SpecError: For a setting that a system does not have, or that contradicts what it is.
        DataError: If the data are missing or broken.
    """
    runs: dict[str, PlannedRun] = {}
    refused: dict[str, BenchError] = {}
    resolved: dict[str, list[RunSpec] | list[Composite] | BenchError] = {}
    for row, systems in chosen.items():
        for place, card in enumerate(systems):
            if card.id not in resolved:
                resolved[card.id] = _specs_or_error(card, request, source, seeds, table.dataset)
            found = resolved[card.id]
            if isinstance(found, BenchError):
                refused[row if place == 0 else card.id] = found
                continue
            for spec in found:
                known = runs.get(spec.run_id, PlannedRun(spec, ()))
                runs[spec.run_id] = PlannedRun(spec, (*known.rows, row), _with(known.systems, card.id))
    skipped = {row: NO_SYSTEM for row, systems in chosen.items() if not systems}
    return TablePlan(table, source.profile, list(runs.values()), skipped, refused)


def _with(ids: tuple[str, ...], name: str) -> tuple[str, ...]:
    return ids if name in ids else (*ids, name)


def _specs_or_error(
    card: SystemCard, request: Request, source: DataSource, seeds: Sequence[int], dataset: str
) -> list[RunSpec] | list[Composite] | BenchError:
    """The runs of a system, one for each seed, or why it cannot start here and now."""
    try:
        return _resolved(card, request, source, seeds, dataset)
    except (WeightsError, RegistryError) as error:
        return error


def _resolved(
    card: SystemCard, request: Request, source: DataSource, seeds: Sequence[int], dataset: str
) -> list[RunSpec] | list[Composite]:
    from bench.engine.preflight import check_model

    said = ("model", "method", "frontend", "pretrain", "recipes", "published_pretrain")
    asked = {name: value for name, value in vars(request).items() if name not in said}
    wanted = row_system(card, dataset)
    graph = composite_of(card, source.profile)
    if graph is None:
        specs = resolve(request_of_system(card, **asked), source, seeds)
        check_model(specs[0])
        _check_system(card, wanted.runs[ALONE], specs[0])
        return specs
    composites = resolve_composite(graph, asked, source, seeds)
    check_parts(composites[0], composites[0].parts)
    for part in composites[0].parts:
        run = wanted.run_of(part.name)
        assert run is not None
        _check_system(card, run, part.spec)
    return composites


def _check_system(card: SystemCard, wanted: SystemRun, spec: RunSpec) -> None:
    """A setting may not turn a system into another one."""
    here = flattened(with_defaults(spec.identity()))
    for name, value in wanted.settings.items():
        if here.get(name) != value:
            short = name.rpartition(".")[2]
            raise SpecError(
                f"--set {short}={here.get(name)} contradicts the system '{card.id}', whose {short} is {value}.",
                "Leave it out: the system says what it is.",
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
        if isinstance(run.spec, RunSpec):
            run_isolated(run.spec, home, rerun=rerun, children=children)
        else:
            _run_parts(run.spec, home, rerun=rerun, children=children)
    except (InterruptedRunError, DamagedBoardError, SpoiltBoardError):
        # Such a board would take no other run's result either.
        raise
    except BenchError as error:
        logger.warning(f"run {run.spec.run_id} failed: {error.message} {error.hint or ''}".rstrip())
        return EndedRun(run, "failed", error)
    return EndedRun(run, "finished")


def _run_parts(composite: Composite, home: Path, *, rerun: bool, children: Children) -> None:
    """Run the parts of a composite that are not finished, each in a process of its own, and combine them."""
    for part in composite.parts:
        if rerun or part_state(part, home) != "finished":
            logger.info(f"part {part.name}: run {part.spec.run_id}")
            with part_named(part.name):
                run_isolated(with_start(composite, part, home), home, rerun=rerun, children=children)
    launch_composite(composite, home, rerun=False)


def headline(run: PlannedRun) -> str:
    """A run in one line."""
    model, _, method = run.names
    return f"{', '.join(run.rows)}: run {run.spec.run_id}, {model} + {method}, seed {run.spec.seed}"
