"""``python -m benchmarks``: how fast the project is, against plain references and against itself earlier."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.output import show_error, stdout
from bench.core.errors import BenchError, SpecError
from benchmarks.runner import PASSES, QUICK_PASSES, Benchmark, Setting

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def benchmarks(
    context: typer.Context,
    only: Annotated[list[str] | None, typer.Option(help="Names, or patterns with *; may be given again.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes and 3 passes; says so in its output.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: Annotated[Path | None, typer.Option(help="File for the report as JSON.")] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Add to the report that --json names, of the same setting.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the benchmarks and run none.")] = False,
    passes: Annotated[int, typer.Option(help="Timed passes; 0 for 5, or 3 with --quick.", min=0)] = 0,
    threads: Annotated[int, typer.Option(help="Threads of torch on the CPU.", min=1)] = 1,
    batch: Annotated[int, typer.Option(help="Clips of a training step; 0 for each one's own.", min=0)] = 0,
    wall: Annotated[bool, typer.Option("--wall", help="Wall time on a CPU too: for a quiet machine.")] = False,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, each side in a process of its own.")] = True,
    note: Annotated[str, typer.Option(help="A sentence that the report keeps.")] = "",
) -> None:
    """Measure the project's speed against plain references, in turn, and print medians and ratios.

    Examples:
        python -m benchmarks --quick

        python -m benchmarks --only preparation --only 'step/*/ast-tiny' --json now.json

        python -m benchmarks compare before.json now.json
    """
    if context.invoked_subcommand is not None:
        return
    from bench.experiment.devices import choose_device
    from benchmarks.areas import choose_benchmarks
    from benchmarks.results import Report
    from benchmarks.session import run_all
    from benchmarks.table import print_report

    found = choose_device(device)
    chosen = choose_benchmarks(only or (), found)
    if listed:
        _print_list(chosen)
        return
    counted = passes or (QUICK_PASSES if quick else PASSES)
    setting = Setting(device=found, passes=counted, quick=quick, threads=threads, wall=wall, memory=memory, batch=batch)
    report = run_all(chosen, setting, note)
    print_report(report, stdout())
    if json is not None:
        (Report.read(json).joined(report) if add and json.exists() else report).write(json)
    if report.failed:
        raise typer.Exit(1)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="Report of an earlier run.")],
    after: Annotated[Path, typer.Argument(help="Report of a later run.")],
    least: Annotated[float, typer.Option(help="Smallest share that counts as a change.", min=0.0)] = 0.03,
) -> None:
    """Name what got slower by more than the noise; the exit code is 1 if anything did.

    Example: python -m benchmarks compare before.json now.json
    """
    from benchmarks.compare import compare_reports
    from benchmarks.results import Report
    from benchmarks.table import print_comparison

    comparison = compare_reports(Report.read(before), Report.read(after), least)
    print_comparison(comparison, stdout())
    if comparison.worse:
        raise typer.Exit(1)


def _print_list(chosen: list[Benchmark]) -> None:
    from rich.table import Table

    table = Table("benchmark", "what is measured", "against")
    for benchmark in chosen:
        table.add_row(benchmark.name, benchmark.about, benchmark.reference)
    stdout().print(table)


def main() -> int:
    """Run the command; what a user can put right is told in two lines, without a traceback."""
    try:
        app()
    except BenchError as error:
        show_error(error)
        return 2 if isinstance(error, SpecError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
