"""A site as a folder: written beside what is there, then moved into place file by file, the page last."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.core.errors import StoreError
from bench.core.files import exclusive_lock, sweep, temporary_name
from leaderboard.render.pages import resource
from leaderboard.results.schema import Rule
from leaderboard.site.data import read_site_data
from leaderboard.site.downloads import data_files
from leaderboard.site.pages import PACKAGE, VENDOR_SCRIPTS, site_page
from leaderboard.store.store import Store

PAGE = "index.html"
MANIFEST = "site.json"
"""Lists the files of a site: what may be replaced and removed when it is written again, and nothing else."""

MADE_BY = "lungbench"

AT_WORK = "writing"
"""What is hidden in a folder while it is written, and where a writer was killed, is called so."""


def write_site(store: Store, folder: Path, version: str, *, start: Rule = "last", made: datetime | None = None) -> Path:
    """Write the page of a board and the data behind it.

    The page itself is one file that holds all it shows, so that a reader sees the old board or the new one. Files of
    others in the folder stay.

    Args:
        store: The board.
        folder: The folder to write into; it must be new, empty, or hold a site that was written by this function.
        version: Version of the program, for the footer.
        start: The selection rule that the page shows first.
        made: When the site is made; now by default.

    Returns:
        The path of the page.

    Raises:
        StoreError: If the folder holds something else or cannot be written, or the board cannot be read.
    """
    check_folder(folder)
    board = read_site_data(store)
    moment = (made or datetime.now(UTC)).astimezone(UTC)
    with _temporary_folder_in(folder) as fresh:
        written = []
        for name, text in data_files(board):
            _write(fresh / name, text)
            written.append(name)
        for script in VENDOR_SCRIPTS:
            name = f"licences/{script.partition('.')[0]}.txt"
            _write(fresh / name, _licence(script))
            written.append(name)
        _write(fresh / PAGE, site_page(board, version, f"{moment:%Y-%m-%d %H:%M} UTC", start))
        about = {"made_by": MADE_BY, "version": version, "created": moment.isoformat(timespec="seconds")}
        _write(fresh / MANIFEST, json.dumps({**about, "files": [*written, PAGE]}, indent=1) + "\n")
        _move_into_place(fresh, folder, [*written, PAGE])
    return folder / PAGE


def _move_into_place(fresh: Path, folder: Path, written: list[str]) -> None:
    """Move the files of a site to where they belong, the page last, and remove those of the earlier site."""
    lock = folder / f".{AT_WORK}.lock"
    # Of two who write at once the files would be mixed.
    with exclusive_lock(lock):
        try:
            # What is removed is what an earlier site listed as its own: files of others in the folder stay.
            before = _files_of_earlier_site(folder)
            for name in (MANIFEST, *written):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).replace(folder / name)
            for name in before - {*written}:
                (folder / name).unlink(missing_ok=True)
        finally:
            lock.unlink(missing_ok=True)


def check_folder(folder: Path) -> None:
    """Raise StoreError unless a site may be written into a folder."""
    _files_of_earlier_site(folder)


def _files_of_earlier_site(folder: Path) -> set[str]:
    """The files of the site that a folder holds; none for a folder that is new or empty."""
    refusal = StoreError(
        f"{folder} is there and is no page of this program, so that nothing is written into it.",
        "Give --out a new folder, an empty one, or that of an earlier page.",
    )
    try:
        if not folder.is_dir():
            if folder.exists() or folder.is_symlink():
                raise refusal
            return set()
        if not _holds_anything(folder):
            return set()
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["made_by"] != MADE_BY:
            raise refusal
        return {name for name in manifest["files"] if not Path(name).is_absolute() and ".." not in Path(name).parts}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise refusal from None
    except OSError as error:
        raise _write_error(folder, error) from error


def _holds_anything(folder: Path) -> bool:
    """Whether a folder holds more than what others who write this site, or were killed at it, hide there."""
    return any(not path.name.startswith(f".{AT_WORK}.") for path in folder.iterdir())


@contextlib.contextmanager
def _temporary_folder_in(folder: Path) -> Iterator[Path]:
    """A temporary folder within ``folder``, so that moving out of it is one step; it is gone in the end."""
    made = not folder.exists()
    fresh = temporary_name(folder / AT_WORK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, of=AT_WORK)
        fresh.mkdir()
        yield fresh
    except OSError as error:
        raise _write_error(folder, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if made:
            # Not where it holds anything by now.
            with contextlib.suppress(OSError):
                folder.rmdir()


def _write_error(folder: Path, error: OSError) -> StoreError:
    reason = error.strerror or error
    return StoreError(f"Cannot write {folder}: {reason}.", "Free space there or choose another folder.")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _licence(script: str) -> str:
    return resource(PACKAGE, "vendor", f"{script.partition('.')[0]}.LICENSE")
