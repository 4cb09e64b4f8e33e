"""``bench doctor``: what this machine has, and what of it a run would use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.output import check_format, print_json, stdout
from bench.core.errors import StoreError


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor")(doctor)


def doctor(
    output: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    home: Annotated[Path | None, typer.Option(help="Results folder.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the ICBHI data.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache folder.")] = None,
) -> None:
    """Print versions, hardware, folders, and what `auto` chooses here.

    Example: bench doctor --format json
    """
    check_format(output)
    document = examine(home, data, cache)
    if output == "json":
        print_json(document)
        return
    console = stdout()
    for section, values in document.items():
        console.print(section, style="bold")
        for name, value in values.items():
            console.print(f"  {name}: {value}")


def examine(home: Path | None, data: Path | None, cache: Path | None) -> dict[str, dict[str, Any]]:
    """Collect what :func:`doctor` prints."""
    from bench.core.paths import cache_folder, data_folder, home_folder
    from bench.core.provenance import code_version, package_versions
    from bench.data.datasets.icbhi.dataset import holds_dataset
    from bench.engine.hardware import hardware
    from bench.experiment.devices import choose_device, choose_precision
    from bench.experiment.plugins import load_entry_points, registries

    device = choose_device("auto")
    found = bool(holds_dataset(data_folder(data)))
    problems = load_entry_points()
    installed = [entry for registry in registries().values() for entry in registry if entry.version is not None]
    return {
        "code": code_version(),
        "packages": package_versions(),
        "hardware": hardware(),
        "folders": {
            "results": str(home_folder(home)),
            "board": _board(home_folder(home)),
            "data": str(data_folder(data)),
            "data found": found,
            "cache": str(cache_folder(cache)),
        },
        "plug-ins": {
            "installed": [f"{entry.id} ({entry.origin})" for entry in installed],
            "not usable": [problem.reason for problem in problems],
        },
        "auto": {
            "profile": "paper" if found else "demo",
            "device": device,
            "precision": choose_precision("auto", device),
        },
    }


def _board(home: Path) -> str:
    """Where the board is, without its password."""
    from bench.core.paths import board_location
    from leaderboard.store.store import Store

    try:
        return str(Store.open(board_location(home)))
    except StoreError as error:
        return error.message
