"""The paper's tables: their rows run, and the printed numbers beside those that were run; the searches of Figure 2."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call, resumable
from bench.api.launching import launch_options
from bench.api.matrices import PlannedMatrix, outcome_of, run_planned, say_device, say_ends
from bench.api.requests import FilePath, build_request, choose_source, joined_settings, seeds_text
from bench.api.searches import start_search
from bench.api.study import Study
from bench.core import paper
from bench.core.errors import SpecError
from bench.core.paths import board_location, home_folder
from bench.core.registry import suggestion
from bench.core.text import echoed

if TYPE_CHECKING:
    from bench.api.launching import LaunchOptions
    from bench.experiment.recipes import Request
    from bench.launch.matrix.plans import EndedRun, PlannedRun
    from bench.launch.matrix.tables import TablePlan
    from bench.search.planning import PlannedSearch
    from leaderboard.tables.paper_tables import PaperTable

logger = logging.getLogger(__name__)

HELD_OUT = "held-out"


@api_call
@resumable
def reproduce(
    table: str,
    *,
    only: str | None = None,
    seeds: str | Sequence[int] | None = None,
    data: FilePath | None = None,
    settings: Mapping[str, Any] | None = None,
    profile: str = "auto",
    workers: int = 1,
    objective: str = HELD_OUT,
    processes: int = 1,
    device: str = "auto",
    precision: str = "auto",
    allow_partial: bool = False,
    launcher: str = "local",
    jobs: int | None = None,
    devices: str | Sequence[str] | None = None,
    retries: int = 2,
    timeout: str | float | None = None,
    scheduler: str | None = None,
    slurm: Mapping[str, Any] | None = None,
    rerun: bool = False,
    home: FilePath | None = None,
    cache: FilePath | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Run the rows of a table of the paper, and give the table with what was run beside what was printed.

    Finished runs are not run twice. A run that fails does not keep the others from running.

    Args:
        table: ``table1``, ``table2``, ``table3``, or ``figure2`` for its searches.
        only: Rows whose id matches this pattern, as ``ast*``; of figure2, parameters.
        seeds: Seeds of each row, as ``1-5`` or a list (default: 1-5; 1 in the demo profile).
        data: As for :func:`bench.run`, and so are the arguments that follow, but for workers and objective.
        settings: Settings of every row, by name.
        profile: Recipes that the runs begin with.
        workers: Of figure2: processes that work side by side, each with its own device.
        objective: Of figure2: ``held-out``, or ``test`` as the paper's own figure.
        processes: Processes (GPUs) that share a run.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        allow_partial: Run although recordings are missing.
        launcher: ``local``, ``slurm`` or ``dask``: where the runs are carried out.
        jobs: Runs at a time (default: one per GPU, one on a CPU; of a cluster: all).
        devices: Of ``local``: GPUs or MIG instances, or ``cpu`` (default: all).
        retries: How often a run whose process was lost is started again.
        timeout: After which time a run is ended: seconds, or a text with a unit (``2h``).
        scheduler: Of ``dask``: the address of the scheduler.
        slurm: Of ``slurm``: options by name, as docs/slurm.md has them.
        rerun: Run again although results exist.
        home: Results folder.
        cache: Cache folder.
        **options: More settings by name, as ``epochs=2``.

    Returns:
        What ``bench reproduce TABLE --format json`` prints: ``table``, ``protocol``, ``rows`` (each with ``published``
        and ``reproduced``), ``runs`` (each with its ``status`` and ``error``), ``not_runnable``, ``cannot_start``. Of
        figure2, its ``studies``.

    Raises:
        InterruptedRunError: After Ctrl-C; the same call goes on.
        BenchError: Whatever kept it from starting.
    """
    where = launch_options(
        launcher=launcher,
        jobs=jobs,
        devices=devices,
        retries=retries,
        timeout=timeout,
        scheduler=scheduler,
        slurm=slurm,
    )
    check_use(table, where, rerun=rerun, workers=workers, objective=objective)
    request = rows_request(
        data=data,
        fields=joined_settings(settings, options),
        profile=profile,
        processes=processes,
        device=device,
        precision=precision,
        allow_partial=allow_partial,
        cache=cache,
    )
    words = None if seeds is None else seeds_text(seeds)
    if table == paper.FIGURE:
        planned = plan_figure2(
            request, only=only, seeds=words, objective=objective, home=home, workers=workers, launch=where
        )
        return {"figure": paper.FIGURE, "studies": [start_search(one).to_json() for one in planned]}
    planned_table = plan_table(table, request, only=only, seeds=words, home=home, options=where)
    return reproduce_table(planned_table, rerun=rerun).to_json()


def check_use(table: str, where: LaunchOptions, *, rerun: bool, workers: int, objective: str) -> None:
    """Refuse options that what is reproduced has no use for, rather than pass over them.

    Args:
        table: A table, or the figure.
        where: Where and how the runs are carried out.
        rerun: Whether finished runs are to be run again.
        workers: Workers of a search.
        objective: What a search judges its trials by.

    Raises:
        SpecError: If one is asked for; the hint says what serves in its place.
    """
    if table == paper.FIGURE:
        usual = launch_options()
        useless = {
            "--rerun": rerun and "`bench search delete NAME` lets a study begin anew.",
            "--timeout": where.timeout is not None and "`bench search show NAME` says how far a trial is.",
            "--retries": where.retries != usual.retries and "A trial whose worker was lost is tried again by itself.",
        }
    else:
        useless = {
            "--workers": workers != 1 and "--jobs says how many runs of a table there are at a time.",
            "--objective": objective != HELD_OUT and "The tables of the paper search for nothing.",
        }
    for option, hint in useless.items():
        if hint:
            raise SpecError(f"{echoed(table)} has no use for {option}.", hint)


def rows_request(**asked: Any) -> Request:
    """What is asked of all rows: a request whose model and method are each row's own; raises SpecError."""
    return build_request("", "", **asked)


@dataclass(frozen=True)
class PlannedTable:
    """The runs that a table comes down to.

    Attributes:
        plan: The runs, and the rows without one.
        home: The results folder.
        options: Where and how they are carried out.
    """

    plan: TablePlan
    home: Path
    options: LaunchOptions

    @property
    def matrix(self) -> PlannedMatrix:
        """The runs as a matrix of the table's name."""
        return PlannedMatrix(self.plan.matrix, self.home)

    def to_json(self) -> dict[str, Any]:
        """The runs, how each stands and what it will take, as ``--dry-run`` prints them."""
        planned = self.matrix
        described = zip(self.plan.runs, planned.statuses, planned.estimates, strict=True)
        return {
            "table": self.plan.table.name,
            "profile": self.plan.profile,
            "runs": [
                {**_described(run), "status": status, "estimate": estimate.to_json()}
                for run, status, estimate in described
            ],
            "total": planned.total(self.options.jobs),
            "script": planned.script(self.options),
            **_left_out(self.plan),
        }


@dataclass(frozen=True)
class ReproducedTable:
    """A table whose runs have ended.

    Attributes:
        plan: What was planned.
        ended: How each run ended.
        table: The printed numbers beside those that were run.
    """

    plan: TablePlan
    ended: Sequence[EndedRun]
    table: PaperTable

    @property
    def well(self) -> bool:
        """Whether every row that this version can run was run."""
        return not self.plan.refused and not any(item.error for item in self.ended)

    def to_json(self) -> dict[str, Any]:
        """The table as ``bench reproduce TABLE --format json`` prints it."""
        runs = [{**_described(item.run), **outcome_of(item)} for item in self.ended]
        return {**self.table.to_json(), "profile": self.plan.profile, "runs": runs, **_left_out(self.plan)}


def plan_table(
    name: str,
    request: Request,
    *,
    only: str | None,
    seeds: str | None,
    home: FilePath | None = None,
    options: LaunchOptions | None = None,
) -> PlannedTable:
    """Resolve every run of a table before one starts, and say in the log which rows cannot be run.

    Args:
        name: ``table1``, ``table2`` or ``table3``.
        request: What is asked of all rows.
        only: A pattern of row ids.
        seeds: Seeds of each row; 1-5 by default, 1 in the demo profile.
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        options: Where and how they are carried out; on this machine by default.

    Raises:
        BenchError: For a table, row or setting that does not exist, or data that are missing.
    """
    from bench.core.kept import looked_up_once
    from bench.experiment.devices import runs_elsewhere
    from bench.experiment.recipes import DEMO
    from bench.experiment.seeds import parse_seeds
    from bench.launch.matrix.tables import choose_systems, make_plan
    from leaderboard.published import printed_table

    if name not in paper.TABLES:
        raise SpecError(f"Unknown table '{echoed(name)}': {suggestion(str(name), (*paper.TABLES, paper.FIGURE))}")
    where = options or launch_options()
    table = printed_table(name)
    systems = choose_systems(table, only)
    chosen = parse_seeds(None, seeds) if seeds is not None else None
    with looked_up_once(), runs_elsewhere(where.elsewhere):
        source = choose_source(request)
        is_demo = source.profile == DEMO
        if is_demo:
            data = "; simulated data prove the pipeline" if source.simulated else ""
            logger.info(f"the demo profile trains from scratch, whatever the row's pretraining{data}")
        plan = make_plan(table, systems, request, source, chosen or ([1] if is_demo else range(1, 6)))
    asked = {"": only, "seeds-": seeds}
    plan = replace(plan, part=[f"{word}{value}" for word, value in asked.items() if value is not None])
    say_device(plan.matrix, where, request.device)
    for row, reason in plan.skipped.items():
        logger.warning(f"{row}: not run. {reason}")
    for row, error in plan.refused.items():
        logger.warning(f"{row}: cannot start. {error.message} {error.hint or ''}".rstrip())
    return PlannedTable(plan, home_folder(home), where)


def reproduce_table(planned: PlannedTable, *, rerun: bool = False) -> ReproducedTable:
    """Do the runs of a table that are missing.

    Args:
        planned: The runs.
        rerun: Run finished ones again.

    Raises:
        InterruptedRunError: If it was stopped; the run under way has saved its state.
        StoreError: If the board cannot take results.
    """
    from bench.experiment.paper_rows import table_of_board
    from leaderboard.store.store import Store

    # Without a board there would be no table in the end.
    board = board_location(planned.home)
    ended = run_planned(planned.matrix, planned.options, rerun=rerun).ended
    store = Store.open(board)
    table = table_of_board(planned.plan.table.name, store, paper.RULE)
    return ReproducedTable(planned.plan, ended, table)


def say_how_it_ended(done: ReproducedTable) -> None:
    """Say in the log how many runs finished, what failed with its cause and log, and how to go on."""
    say_ends(done.plan.matrix, done.ended, f"this table again: bench report {done.plan.table.name}")


def plan_figure2(
    request: Request,
    *,
    only: str | None,
    seeds: str | None,
    objective: str,
    workers: int,
    home: FilePath | None = None,
    launch: LaunchOptions | None = None,
) -> list[PlannedSearch]:
    """A search for each parameter of Figure 2 over its grid.

    Args:
        request: What is asked of all runs; model and method are the figure's.
        only: A pattern of parameter names.
        seeds: Seeds of each point; 1-5 by default, 1 in the demo profile.
        objective: ``held-out`` or ``test``.
        workers: Processes that work on trials side by side.
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        launch: Where and how they are carried out; on this machine by default. ``jobs`` are the workers of it.

    Raises:
        BenchError: The first thing that stands in the way.
    """
    from bench.search import planning

    where = launch or launch_options()
    if where.jobs is not None:
        if workers not in (1, where.jobs):
            raise SpecError(f"--jobs {where.jobs} and --workers {workers} say two things.", "Give one of them.")
        workers = where.jobs
    return planning.plan_figure2(
        request,
        choose_source,
        only=only,
        seeds=seeds,
        objective=objective,
        home=home_folder(home),
        workers=workers,
        launch=where,
    )


def start_figure2(planned: Sequence[PlannedSearch]) -> list[Study]:
    """Work on the searches of the figure, one after the other; raises as :func:`start_search` does."""
    return [start_search(one) for one in planned]


def _described(run: PlannedRun) -> dict[str, Any]:
    from bench.experiment.systems import system_card

    cards = [system_card(name) for name in run.systems]
    model, pretrain, method = run.names
    settings = cards[0].settings if cards else {}
    options = {name: value for name, value in settings.items() if name.startswith("method.")}
    return {
        "rows": list(run.rows),
        "systems": list(run.systems),
        "fidelity": cards[0].fidelity if cards else None,
        "run_id": run.run_id,
        "model": model,
        "pretrain": pretrain,
        "method": method,
        "seed": run.spec.seed,
        "options": {name.removeprefix("method."): value for name, value in options.items()},
        "parts": run.parts,
    }


def _left_out(plan: TablePlan) -> dict[str, Any]:
    refused = {row: error.message for row, error in plan.refused.items()}
    return {"not_runnable": dict(plan.skipped), "cannot_start": refused}
