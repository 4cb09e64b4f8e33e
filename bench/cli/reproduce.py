"""``bench reproduce``: the runs of a table of the paper, and the table; or the searches of its Figure 2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.later import later
from bench.cli.output import check_format, print_json, print_rendered
from bench.core.errors import InterruptedRunError, ResultError, RunError
from bench.core.paths import board_location

if TYPE_CHECKING:
    from bench.experiment.recipes import Request
    from bench.launch.matrix import Ended, Plan, PlannedRun
    from leaderboard.results.run_folder import Rule
    from leaderboard.tables.paper_tables import PaperTable

logger = logging.getLogger(__name__)

TABLES = ("table1", "table2", "table3")
LAUNCHERS = ("local", "slurm")
PROTOCOL: Rule = "best-test"
"""The paper's selection rule."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)


def reproduce(
    what: Annotated[str, typer.Argument(metavar="table1|table2|table3|figure2", help="Which table.")],
    seeds: Annotated[
        str | None, typer.Option(help="Seeds of each row: 1-5 or 1,3,7 (default 1-5; 1 in the demo profile).")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Rows whose id matches; see --dry-run for ids.", metavar="GLOB")
    ] = None,
    launcher: Annotated[str, typer.Option(help="local: on this machine, one run after the other.")] = "local",
    dry_run: Annotated[bool, typer.Option(help="List the runs and start none.")] = False,
    profile: Annotated[str, typer.Option(help="auto, paper or demo.")] = "auto",
    data: Annotated[
        str | None, typer.Option(help="Folder of the ICBHI data, or `demo` (default: BENCH_DATA or ./data/icbhi).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value for every row: any field of the spec or option; may be repeated."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every row (default: the row's recipe).")] = None,
    workers: Annotated[int, typer.Option(help="figure2: workers side by side, each with its own device.")] = 1,
    objective: Annotated[
        str, typer.Option(help="figure2: held-out training patients, or `test`, as the paper's own figure.")
    ] = "held-out",
    allow_partial: Annotated[
        bool, typer.Option(help="Run although recordings are missing; marked as partial.")
    ] = False,
    processes: Annotated[int, typer.Option(help="Processes (GPUs) that share a run.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    rerun: Annotated[bool, typer.Option(help="Run again although results exist.")] = False,
    output: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    home: Annotated[Path | None, typer.Option(help="Results folder (default: BENCH_HOME or ./results).")] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache folder (default: BENCH_CACHE or the user's).")] = None,
) -> None:
    """Run the rows of a table of the paper, and print it with what was run beside what was printed.

    Finished runs are not run twice: an interrupted command goes on when it is given again. Rows that this version
    cannot run are listed with the reason.

    Examples:
      bench reproduce table2
      bench reproduce table1 --only 'ast*' --seeds 1-3 --data ~/icbhi
      bench reproduce table2 --profile demo --dry-run
      bench reproduce figure2 --workers 4
    """
    from bench.api.words import known_word
    from bench.core.paths import cache_folder, home_folder
    from bench.experiment.recipes import Request

    known_word("table", what, (*TABLES, "figure2"))
    known_word("launcher", launcher, LAUNCHERS)
    if launcher != "local":
        raise later(f"bench reproduce --launcher {launcher}")
    check_format(output)
    request = Request(
        model="",
        method="",
        profile=profile,
        data=data,
        cache=cache_folder(cache),
        settings=settings or (),
        fields={"epochs": epochs},
        allow_partial=allow_partial,
        processes=processes,
        device=device,
        precision=precision,
    )
    if what == "figure2":
        from bench.cli.search import reproduce_figure2

        reproduce_figure2(request, only, seeds, objective, workers, dry_run, output, home_folder(home))
        return
    plan = _planned(what, only, request, seeds)
    folder = home_folder(home)
    if dry_run:
        _print_plan(plan, folder, output)
        return
    ended = _carried_out(plan, folder, rerun)
    _print_table(plan, ended, folder, output)
    if plan.refused or any(item.error for item in ended):
        raise typer.Exit(RunError.exit_code)


def _planned(what: str, only: str | None, request: Request, seeds: str | None) -> Plan:
    from bench.experiment.recipes import choose_source, parse_seeds
    from bench.launch.matrix import choose_rows, make_plan
    from leaderboard.published import printed_table

    table = printed_table(what)
    rows = choose_rows(table, only)
    chosen = parse_seeds(None, seeds) if seeds is not None else None
    source = choose_source(request)
    logger.info(f"profile {source.profile}: {source.reason}")
    if source.profile == "demo":
        logger.info(
            "the demo profile trains from scratch, whatever the row's pretraining; simulated data prove the pipeline"
        )
    plan = make_plan(table, rows, request, source, chosen or ([1] if source.profile == "demo" else range(1, 6)))
    for row, reason in plan.skipped.items():
        logger.warning(f"{row}: not run. {reason}")
    for row, error in plan.refused.items():
        logger.warning(f"{row}: cannot start. {error.message} {error.hint or ''}".rstrip())
    return plan


def _carried_out(plan: Plan, home: Path, rerun: bool) -> list[Ended]:
    from bench.cli.run import same_command
    from bench.launch.matrix import carry_out

    try:
        return carry_out(plan, home, rerun=rerun)
    except InterruptedRunError as error:
        raise InterruptedRunError(error.message, f"Go on with: {same_command()}") from error


# --- what is printed --------------------------------------------------------------------------------------------


def _status(run: PlannedRun, home: Path) -> str:
    from bench.launch.matrix import is_done

    try:
        return "done" if is_done(run, home) else "missing"
    except ResultError:
        return "broken"


def _row_options(plan: Plan, run: PlannedRun) -> dict[str, Any]:
    """The method options that make the rows of a run what they are."""
    printed = next(row for row in plan.table.rows if row.id == run.rows[0])
    return dict(printed.run.method_options) if printed.run else {}


def _described(plan: Plan, run: PlannedRun, status: str) -> dict[str, Any]:
    names = ("run_id", "model", "pretrain", "method", "seed")
    return {
        "rows": list(run.rows),
        **{name: getattr(run.spec, name) for name in names},
        "options": _row_options(plan, run),
        "status": status,
    }


def _left_out(plan: Plan) -> dict[str, Any]:
    refused = {row: error.message for row, error in plan.refused.items()}
    return {"not_runnable": dict(plan.skipped), "cannot_start": refused}


def _print_plan(plan: Plan, home: Path, output: str) -> None:
    runs = [_described(plan, run, _status(run, home)) for run in plan.runs]
    if output == "json":
        print_json({"table": plan.table.name, "profile": plan.profile, "runs": runs, **_left_out(plan)})
        return
    _print_grid(f"{plan.table.name}, profile {plan.profile}", runs)


def _print_grid(title: str, runs: Sequence[Mapping[str, Any]]) -> None:
    from leaderboard.forms import Column, console, grid, printed

    heads = ("rows", "run", "model", "pretrain", "method", "options", "seed", "status")
    columns = [Column(head, lambda row: [], number=head == "seed", wrap=head == "options") for head in heads]
    names = ("run_id", "model", "pretrain", "method")
    cells = [
        [
            "\n".join(run["rows"]),
            *(str(run[name]) for name in names),
            "\n".join(f"{name} {value}" for name, value in run["options"].items()),
            str(run["seed"]),
            run["status"],
        ]
        for run in runs
    ]
    print_rendered(printed(console(None, sys.stdout.isatty()), [grid(title, columns, cells)]))


def _print_table(plan: Plan, ended: Sequence[Ended], home: Path, output: str) -> None:
    from leaderboard.render_paper import render_paper

    table = _table(plan, home)
    if output == "json":
        runs = [
            {**_described(plan, item.run, item.status), "error": item.error.message if item.error else None}
            for item in ended
        ]
        print_json({**table.to_json(), "profile": plan.profile, "runs": runs, **_left_out(plan)})
        return
    print_rendered(render_paper(table, colour=sys.stdout.isatty()))
    _print_summary(plan, ended)


def _print_summary(plan: Plan, ended: Sequence[Ended]) -> None:
    from bench.launch.matrix import headline

    failed = [item for item in ended if item.error]
    counts = f"{len(ended) - len(failed)} finished, {len(failed)} failed"
    logger.info(f"{len(ended)} runs: {counts}; this table again: bench report {plan.table.name}")
    for item in failed:
        logger.warning(f"failed: {headline(item.run)}: {item.error.message if item.error else ''}")
    for row, error in plan.refused.items():
        logger.warning(f"not started: {row}: {error.message}")


def _table(plan: Plan, home: Path) -> PaperTable:
    from bench.experiment.paper_rows import table_of_board
    from leaderboard.store.store import Store

    return table_of_board(plan.table.name, Store.open(board_location(home)), PROTOCOL)
