"""Fetches SPRSound 2022 from its owners' repository, as the archive of one commit.

The bytes of such archives are not promised to stay the same. So what is compared after unpacking is what is inside:
annotations and samples must have the pinned hashes, or nothing of it stays.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urljoin

from bench.core.download import NotOnServerError, Patience, Progress, UnreachableError, download
from bench.core.errors import DataError
from bench.data.datasets.sprsound.layout import scan
from bench.data.datasets.sprsound.pinned import ID, RECORDINGS
from bench.data.datasets.sprsound.verify import Report, verify
from bench.data.fetching import checked_address, fetching_into
from bench.data.unpack import BadArchiveError, unpack

BASE_URL = "https://codeload.github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound/zip/"
"""Where archives of the owners' repository are; ``BENCH_SPRSOUND_URL`` or ``--base-url`` name another place."""

COMMIT = "45b0d5d435ff320c46585762fa1090afd0ebb318"
"""The commit of 2023 that the evaluation of nttcslab/eval-audio-repr pins too: the set of 2022 with both tested parts,
before those of later years were added."""

PAGE = "https://github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound"
"""The owners' page, for people."""

ARCHIVE = f"SPRSound-{COMMIT[:8]}.zip"
DATABASE = "SPRSound"
UNCHECKED = f".{DATABASE}.unchecked.tmp"

MAX_ARCHIVE_BYTES = 4 << 30
"""Bound on what a server may send: the recordings of 2022 have 0.47 GB."""


def fetch(
    folder: Path,
    *,
    base_url: str | None = None,
    keep_archive: bool = False,
    patience: Patience | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Fetch SPRSound 2022 into a folder, unless it is there already.

    A stopped or dropped download goes on where it ended. An archive that was put there by hand is used.

    Args:
        folder: The data folder; it is made.
        base_url: Address before the commit; ``BENCH_SPRSOUND_URL`` or the owners' repository by default.
        keep_archive: Keep the archive after unpacking.
        patience: How long to try.
        on_progress: Called with a file's name, the bytes done and the bytes in all.

    Raises:
        DataError: If the server cannot be reached, what it sends is not the set, or the disk is full.
        SpecError: If the address is none.
    """
    url = urljoin(checked_address(base_url or os.environ.get("BENCH_SPRSOUND_URL") or BASE_URL), COMMIT)
    with fetching_into(folder, DATABASE):
        if _is_complete(folder):
            return
        archive = folder / ARCHIVE
        fresh = not archive.exists()
        if fresh:
            _download(url, archive, patience or Patience(), on_progress)
        _unpack_checked(archive, folder, fresh, on_progress)
        # An archive that was put there by hand stays; it is not ours to delete.
        if fresh and not keep_archive:
            archive.unlink()


def _is_complete(folder: Path) -> bool:
    """Whether all recordings are there; raises DataError if the folder that is unpacked to is in the way."""
    found = scan(folder)
    here = len(found.audio.keys() & found.annotations.keys())
    if here >= RECORDINGS:
        return True
    if (folder / DATABASE).exists():
        raise DataError(
            f"{folder / DATABASE} is there, but only {here} of {RECORDINGS} recordings are.",
            f"Move it away and run `bench data fetch --dataset {ID}` again, or complete it by hand.",
        )
    return False


def _download(url: str, archive: Path, patience: Patience, on_progress: Progress | None) -> None:
    try:
        download(url, archive, patience=patience, limit=MAX_ARCHIVE_BYTES, on_progress=on_progress)
    except (NotOnServerError, UnreachableError) as error:
        by_hand = (
            f"Without a connection: clone {PAGE} on another machine, check out {COMMIT[:12]}, and put its folders "
            f"into {archive.parent}; or put its archive there as {ARCHIVE} and run the command again."
        )
        raise DataError(error.message, by_hand) from error


def _unpack_checked(archive: Path, folder: Path, fresh: bool, on_progress: Progress | None) -> None:
    """Unpack an archive; what is inside gets its name when it proved to be the set, and is removed otherwise."""
    unchecked = folder / UNCHECKED
    try:
        unpack(archive, unchecked, on_progress)
        _refuse_others(verify(unchecked), archive)
        unchecked.rename(folder / DATABASE)
    except (BadArchiveError, DataError):
        if fresh:
            archive.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(unchecked, ignore_errors=True)


def _refuse_others(report: Report, archive: Path) -> None:
    if not report.faults and report.complete:
        return
    first = report.faults[0] if report.faults else report.partial
    more = f" ({len(report.faults)} faults in all)" if len(report.faults) > 1 else ""
    hint = f"Nothing of it was kept. Name another copy with --base-url, or get the folders from {PAGE} by hand."
    raise DataError(f"{archive.name} does not hold the official set: {first}{more}.", hint)
