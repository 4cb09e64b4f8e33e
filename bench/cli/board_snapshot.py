"""``bench board snapshot``: the board of one day as a folder that can be kept, cited and checked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import check_format, print_json, print_text
from bench.core.errors import SpecError
from bench.core.paths import board_location, home_folder

if TYPE_CHECKING:
    from leaderboard.site.snapshots import Snapshot


def snapshot(
    out: Annotated[
        Path | None, typer.Option(help="The folder to make (default: snapshot-YYYY-MM-DD here).", metavar="DIR")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Check this snapshot instead of making one.", metavar="DIR")
    ] = None,
    home: Annotated[Path | None, typer.Option("--home", help="Results folder (BENCH_HOME).", metavar="DIR")] = None,
    output: Annotated[str, typer.Option("--format", help="table or json.", metavar="FORMAT")] = "table",
) -> None:
    """Make a dated copy of the board that needs nothing else: its page, the data behind it, all runs as a bundle.

    Every file has its SHA-256 in the manifest, and all of them together have one hash. --verify checks a snapshot.

    Examples:
      bench board snapshot --out board-2026-12
      bench board snapshot --verify board-2026-12
    """
    from bench.core.version import __version__
    from leaderboard.site.snapshots import verify_snapshot, write_snapshot
    from leaderboard.store.store import Store

    check_format(output)
    if verify is not None:
        if out is not None:
            raise SpecError("--out makes a snapshot and --verify checks one: give one of them.")
        _print(verify_snapshot(verify), "is whole", output)
        return
    now = datetime.now(UTC)
    store = Store.open(board_location(home_folder(home)))
    made = write_snapshot(store, out or Path(f"snapshot-{now:%Y-%m-%d}"), __version__, made=now)
    _print(made, "was made", output)


def _print(found: Snapshot, what: str, output: str) -> None:
    if output == "json":
        print_json(snapshot_document(found))
        return
    size = f"{found.size / 2**20:.1f} MiB"
    print_text(
        f"{found.folder} {what}: {len(found.run_ids):,} runs, {found.files:,} files, {size}, of {found.created}\n"
        f"sha256 {found.sha256}"
    )


def snapshot_document(found: Snapshot) -> dict[str, Any]:
    """The JSON of ``bench board snapshot``."""
    return {
        "folder": str(found.folder),
        "created": found.created,
        "runs": list(found.run_ids),
        "files": found.files,
        "bytes": found.size,
        "sha256": found.sha256,
    }


def register(group: typer.Typer) -> None:
    """Add the command to the group ``board``."""
    group.command()(snapshot)
