"""``bench doctor``: what this machine has, and what of it a run would use."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import Cache, DataFolder, Format, Home
from bench.cli.output import check_format, print_json, stdout


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor")(doctor)


def doctor(
    output: Format = "table",
    home: Home = None,
    data: DataFolder = None,
    cache: Cache = None,
    speed: Annotated[
        bool, typer.Option("--speed", help="Measure matrix products, a training step, features and start-up too.")
    ] = False,
) -> None:
    """Print versions, hardware, folders, and what `auto` chooses here.

    With --speed, some seconds are spent on measuring how fast the machine is: on a CPU by processor time on one thread.

    Example: bench doctor --speed --format json
    """
    from bench.api.health import examine_machine

    check_format(output)
    document = examine_machine(home, data, cache, speed=speed)
    if output == "json":
        print_json(document)
        return
    console = stdout()
    for section, values in document.items():
        console.print(section, style="bold")
        for name, value in values.items():
            console.print(f"  {name}: {value}")
