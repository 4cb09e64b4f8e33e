"""A site as a folder: written beside what is there, then moved into place file by file, the page last."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.core.errors import StoreError
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
    # What may be removed in the end is what an earlier site listed as its own: files of others in the folder stay.
    before = _files_of_earlier_site(folder)
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
        for name in (MANIFEST, *written, PAGE):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).replace(folder / name)
    for name in before - {*written, PAGE}:
        (folder / name).unlink(missing_ok=True)
    return folder / PAGE


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
        if not any(folder.iterdir()):
            return set()
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["made_by"] != MADE_BY:
            raise refusal
        return {name for name in manifest["files"] if not Path(name).is_absolute() and ".." not in Path(name).parts}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise refusal from None
    except OSError as error:
        raise _write_error(folder, error) from error


@contextmanager
def _temporary_folder_in(folder: Path) -> Iterator[Path]:
    """A temporary folder within ``folder``, so that moving out of it is one step; it is gone in the end."""
    made = not folder.exists()
    fresh = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".writing.", dir=folder))
        yield fresh
    except OSError as error:
        raise _write_error(folder, error) from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()


def _write_error(folder: Path, error: OSError) -> StoreError:
    reason = error.strerror or error
    return StoreError(f"Cannot write {folder}: {reason}.", "Free space there or choose another folder.")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _licence(script: str) -> str:
    return resource(PACKAGE, "vendor", f"{script.partition('.')[0]}.LICENSE")
