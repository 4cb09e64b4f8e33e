"""``bench doctor``: what this machine has, what of it a run would use, and whether that is well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from bench.cli.options import Cache, DataFolder, Format, Home
from bench.cli.output import check_format, print_json, print_laid_out, print_text
from bench.core.errors import RunError

if TYPE_CHECKING:
    from bench.api.health import Check

STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor")(doctor)


def doctor(
    output: Format = "table",
    home: Home = None,
    data: DataFolder = None,
    cache: Cache = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what starts processes: locks, and two that share a run.")
    ] = False,
    speed: Annotated[
        bool, typer.Option("--speed", help="Measure matrix products, a training step, features and start-up too.")
    ] = False,
) -> None:
    """Print what this machine has and what `auto` chooses here, and a verdict on each part with what to do about it.

    Exit code 1 where something is wrong, so that a run would fail. With --speed, some seconds are spent on measuring
    how fast the machine is: on a CPU by processor time on one thread.

    Examples:
      bench doctor
      bench doctor --home /mnt/cluster/results --format json
      bench doctor --quick --speed
    """
    from bench.api.health import check_machine, examine_machine, worst

    check_format(output)
    document = examine_machine(home, data, cache, speed=speed)
    checks = check_machine(home, data, cache, quick=quick)
    if output == "json":
        print_json({**document, "checks": [asdict(check) for check in checks]})
    else:
        _print_facts(document)
        _print_checks(checks)
    if worst(checks) == "wrong":
        raise typer.Exit(RunError.exit_code)


def _print_facts(document: Mapping[str, Mapping[str, Any]]) -> None:
    for section, values in document.items():
        print_laid_out(Text(section, style="bold"))
        table = _columns()
        for name, value in values.items():
            table.add_row("", name, _words(value, absent="not installed" if section == "packages" else "not known"))
        print_laid_out(table)


def _print_checks(checks: Sequence[Check]) -> None:
    print_laid_out(Text("checks", style="bold"))
    table = _columns()
    for check in checks:
        table.add_row("", Text(check.verdict, style=STYLES[check.verdict]), check.name, check.found)
        if check.advice is not None:
            table.add_row("", "", "", f"→ {check.advice}")
    print_laid_out(table)
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict in STYLES}
    print_text(f"{counts['ok']} ok, {counts['warning']} to look at, {counts['wrong']} wrong")


def _columns() -> Table:
    """A table without lines, whose last column is wrapped."""
    return Table.grid(padding=(0, 2, 0, 0))


def _words(value: Any, absent: str) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return absent if value is None else str(value)
