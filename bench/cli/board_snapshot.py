"""``bench board snapshot``: the board of one day as a folder that can be kept, cited and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import Format, Home
from bench.cli.output import check_format, print_json, print_text
from bench.core.errors import SpecError
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.api.pages import BoardSnapshot


def snapshot(
    out: Annotated[
        Path | None, typer.Option(help="The folder to make (default: snapshot-YYYY-MM-DD here).", metavar="DIR")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Check this snapshot instead of making one.", metavar="DIR")
    ] = None,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Make a dated copy of the board that needs nothing else: its page, the data behind it, all runs as a bundle.

    Every file has its SHA-256 in the manifest, and all of them together have one hash. --verify checks a snapshot.

    Examples:
      bench board snapshot --out board-2026-12
      bench board snapshot --verify board-2026-12
    """
    from bench.api.boards import open_board
    from bench.api.pages import make_snapshot, verify_snapshot

    check_format(output)
    if verify is None:
        _print(make_snapshot(open_board(home=home), out), "was made", output)
    elif out is None:
        _print(verify_snapshot(verify), "is whole", output)
    else:
        raise SpecError("--out makes a snapshot and --verify checks one: give one of them.")


def _print(found: BoardSnapshot, what: str, output: str) -> None:
    if output == "json":
        print_json(found.to_json())
        return
    size = f"{found.bytes / 2**20:.1f} MiB"
    print_text(
        f"{found.folder} {what}: {counted_noun(len(found.runs), 'run')}, {counted_noun(found.files, 'file')}, "
        f"{size}, of {found.created}\n"
        f"sha256 {found.sha256}"
    )


def register(group: typer.Typer) -> None:
    """Add the command to the group ``board``."""
    group.command()(snapshot)
