"""The rows of the paper's tables as planned runs: the systems of each row, once for each seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from bench.core.cards import SystemCard
from bench.core.errors import BenchError, RegistryError, SpecError, WeightsError
from bench.core.registry import suggestion
from bench.experiment.composites import Composite, resolve_composite
from bench.experiment.paper_rows import row_system, systems_of
from bench.experiment.recipes import DataSource, Request, resolve
from bench.experiment.spec import RunSpec, with_defaults
from bench.experiment.systems import composite_of, request_of_system
from bench.launch.composite import check_parts
from bench.launch.matrix.plans import MatrixPlan, PlannedRun, joined_runs
from leaderboard.published import PrintedTable
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.paper_tables import NO_SYSTEM
from leaderboard.tables.row_systems import ALONE, SystemRun

_NOT_OF_A_NAME = re.compile(r"[^\w.,-]+")


@dataclass(frozen=True)
class TablePlan:
    """The runs that make a table of the paper, and the rows for which there are none.

    Attributes:
        table: The printed table.
        profile: paper or demo.
        runs: In the table's order; a run that several rows share is there once.
        skipped: Why rows cannot be run in this version, by row id.
        refused: Why rows that can be run cannot start here and now (weights that cannot be had), by row id.
        part: Words for the part of the table that was asked for; none for the whole of it.
    """

    table: PrintedTable
    profile: str
    runs: Sequence[PlannedRun]
    skipped: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, BenchError] = field(default_factory=dict)
    part: Sequence[str] = ()

    @property
    def matrix(self) -> MatrixPlan:
        """The runs as a matrix: of the table's name, or of a name of their own where they are a part of it.

        So that several processes may be at parts of one table, each with a GPU of its own.
        """
        table = self.table.name
        name = "-".join([table, *(_NOT_OF_A_NAME.sub("_", word) for word in self.part)])
        return MatrixPlan(name=name, source=table, profile=self.profile, runs=self.runs, refused=self.refused)


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
    runs: list[PlannedRun] = []
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
            runs += [PlannedRun.of(spec, row, card.id) for spec in found]
    skipped = {row: NO_SYSTEM for row, systems in chosen.items() if not systems}
    return TablePlan(table, source.profile, joined_runs(runs), skipped, refused)


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
