"""Fetches ICBHI 2017 from its owners: the archive and the text files beside it.

The owners publish no hashes. So the first download is trusted once it proves to be what it should be (the archive's
own checksums, tables that can be read), its SHA-256 is written to ``fetched.json``, and any later copy must have it.
Counts and the split are pinned anyway: ``bench data verify`` compares them.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from bench.core.download import NotOnServerError, Patience, Progress, UnreachableError, download
from bench.core.errors import DataError
from bench.core.files import write_json
from bench.core.secrets import public_url
from bench.core.text import echoed
from bench.data.datasets.icbhi.files import DEMOGRAPHIC_NAMES, DIAGNOSIS_NAMES, SPLIT_NAMES, FoundFiles, scan
from bench.data.datasets.icbhi.pinned import RECORDINGS
from bench.data.datasets.icbhi.tables import parse_demographics, parse_diagnoses, parse_split
from bench.data.faults import FileProblem
from bench.data.fetching import checked_address, fetching_into
from bench.data.unpack import BadArchiveError, unpack

logger = logging.getLogger(__name__)

BASE_URL = "https://bhichallenge.med.auth.gr/sites/default/files/ICBHI_final_database/"
"""Where the owners offer the files; ``BENCH_ICBHI_URL`` or ``--base-url`` name another place (a mirror)."""

PAGE = "https://bhichallenge.med.auth.gr/ICBHI_2017_Challenge"
"""The owners' page, for people."""

ARCHIVE = "ICBHI_final_database.zip"
DATABASE = "ICBHI_final_database"
RECORD = "fetched.json"

MAX_ARCHIVE_BYTES = 4 << 30
MAX_TABLE_BYTES = 1 << 20
MAX_RECORD_BYTES = 1 << 20
"""Bounds on what a server, or a folder, may hold under these names: the archive has 2 GB, the tables 5 to 30 KB."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Companion:
    """A text file beside the archive.

    Attributes:
        name: Name of the file on disk.
        paths: Names of the file on the server, where capitals matter; the first that exists is taken.
        problems: Function that finds what is wrong with the file's content.
        needed: Whether runs need the file.
    """

    name: str
    paths: tuple[str, ...]
    problems: Callable[[bytes], Sequence[FileProblem]]
    needed: bool = False


COMPANIONS = (
    Companion(SPLIT_NAMES[0], (SPLIT_NAMES[0],), lambda content: parse_split(content).problems, needed=True),
    Companion(
        DIAGNOSIS_NAMES[0],
        ("ICBHI_Challenge_diagnosis.txt", DIAGNOSIS_NAMES[0]),
        lambda content: parse_diagnoses(content)[1],
    ),
    Companion(
        DEMOGRAPHIC_NAMES[0],
        ("ICBHI_Challenge_demographic_information.txt", DEMOGRAPHIC_NAMES[0]),
        lambda content: parse_demographics(content)[1],
    ),
)


class ChangedFileError(DataError):
    """A file is another one than the one on record."""


class _FetchRecord:
    """The record of the files that were fetched, with their hashes: ``fetched.json`` beside them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.files: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            try:
                self.files = _files_on_record(json.loads(_read_small_file(self.path, MAX_RECORD_BYTES)))
            except (OSError, ValueError, RecursionError) as error:
                hint = "Delete it to trust the files anew."
                reason = error.strerror if isinstance(error, OSError) else error
                raise DataError(f"{self.path} cannot be read: {echoed(reason)}.", hint) from error

    def check(self, path: Path) -> str:
        """Hash a file and compare it with what was fetched before.

        Raises:
            ChangedFileError: If it is another file than the one on record.
        """
        import pooch

        found = str(pooch.file_hash(str(path), alg="sha256"))
        known = self.files.get(path.name, {}).get("sha256")
        if known not in (None, found):
            raise ChangedFileError(
                f"{path} is not the file that was fetched before: its SHA-256 is {found}, on record is {known}.",
                f"Delete it and fetch again; if the owners changed the file, delete its entry in {self.path} as well.",
            )
        return found

    def keep(self, path: Path, sha256: str, url: str | None, **more: Any) -> None:
        """Write down a file that proved sound."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        entry = {"sha256": sha256, "bytes": path.stat().st_size, "url": url, "recorded": now}
        self.files[path.name] = {**entry, **more}
        write_json(self.path, {"files": self.files})


def _files_on_record(document: Any) -> dict[str, dict[str, Any]]:
    """The files of a record.

    Raises:
        ValueError: If it has not the form that :meth:`_FetchRecord.keep` writes.
    """
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, dict):
        raise ValueError("it holds no files by name")
    for name, entry in files.items():
        sha256 = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError(f"'{echoed(name)}' has no SHA-256")
        if type(entry.get("files", 0)) is not int:
            raise ValueError(f"'{echoed(name)}' has no number of files")
    return files


def _read_small_file(path: Path, limit: int) -> bytes:
    """Read a small file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no regular file (a pipe would be waited for), or larger than the limit.
    """
    _check_regular(path, limit)
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it has more than {limit:,} bytes")
    return content


def _check_regular(path: Path, limit: int) -> None:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    if found.st_size > limit:
        raise ValueError(f"it has more than {limit:,} bytes")


class _Fetcher:
    """One run of ``bench data fetch``."""

    def __init__(self, folder: Path, base_url: str, patience: Patience, progress: Progress | None) -> None:
        self.folder = folder
        self.base_url = base_url
        self.patience = patience
        self.progress = progress

        self.record = _FetchRecord(folder)

    def _download(self, target: Path, paths: Sequence[str], limit: int) -> str:
        """Download under the first name that the server knows; returns its URL as it may be shown."""
        for path in paths:
            url = urljoin(self.base_url, quote(path))
            try:
                download(url, target, patience=self.patience, limit=limit, on_progress=self.progress)
            except NotOnServerError as error:
                missing = error
            except UnreachableError as error:
                raise DataError(error.message, self._by_hand_hint()) from error
            else:
                return public_url(url)
        raise missing

    def _by_hand_hint(self) -> str:
        return (
            f"Without a connection: get {ARCHIVE} and {SPLIT_NAMES[0]} from {PAGE} on another machine, put both into "
            f"{self.folder}, and run `bench data fetch` again to unpack. If only the certificate is the trouble: "
            "--insecure; counts and split are checked either way."
        )

    def fetch_companion(self, companion: Companion) -> None:
        """Fetch a text file, check it, and put it on record."""
        target, url = self.folder / companion.name, None
        fresh = not target.exists()
        try:
            if fresh:
                url = self._download(target, companion.paths, MAX_TABLE_BYTES)
            self._check_usable(target, MAX_TABLE_BYTES)
            sha256 = self.record.check(target)
            self._check_content(target, companion)
        except NotOnServerError as error:
            if companion.needed:
                raise DataError(error.message, self._by_hand_hint()) from error
            logger.info(f"{companion.name} is not on the server; no run needs it.")
            return
        except DataError:
            # What was just downloaded and is not sound must not be taken for the file at the next start.
            if fresh:
                target.unlink(missing_ok=True)
            raise
        if companion.name not in self.record.files:
            self.record.keep(target, sha256, url)

    def _check_usable(self, target: Path, limit: int) -> None:
        try:
            _check_regular(target, limit)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise DataError(f"{target} is not what it should be: {reason}.", self._by_hand_hint()) from error

    def _check_content(self, target: Path, companion: Companion) -> None:
        content = target.read_bytes()
        problems = companion.problems(content)
        if problems or not content.strip():
            first = f"line {problems[0].line}: {problems[0].message}" if problems else "it is empty"
            raise DataError(f"{target.name} is not what it should be: {first}.", self._by_hand_hint())

    def fetch_archive(self, keep: bool) -> None:
        """Fetch the archive, unpack it, and put it on record."""
        target, database = self.folder / ARCHIVE, self.folder / DATABASE
        url, fresh = None, not target.exists()
        if fresh:
            url = self._download(target, (ARCHIVE,), MAX_ARCHIVE_BYTES)
        self._check_usable(target, MAX_ARCHIVE_BYTES)
        try:
            sha256 = self.record.check(target)
            files = unpack(target, database, self.progress)
        except (BadArchiveError, ChangedFileError):
            if fresh:
                target.unlink(missing_ok=True)
            raise
        self.record.keep(target, sha256, url, files=files)
        # An archive that was put there by hand stays; it is not ours to delete.
        if fresh and not keep:
            target.unlink()

    def archive_needed(self, found: FoundFiles) -> bool:
        """Whether recordings are missing, which only the archive can bring.

        Raises:
            DataError: If the folder that it unpacks to is in the way.
        """
        if len(set(found.audio) & set(found.annotations)) >= RECORDINGS:
            return False
        database = self.folder / DATABASE
        if not database.exists():
            return True
        here = sum(1 for path in database.rglob("*") if path.is_file())
        fetched = self.record.files.get(ARCHIVE, {}).get("files")
        if here == fetched:
            return False
        known = "" if fetched is None else f" of the {fetched} that were unpacked"
        raise DataError(
            f"{database} holds only {here} files{known}, not the whole set.",
            "Move it away and run `bench data fetch` again, or complete it by hand.",
        )


def fetch(
    folder: Path,
    *,
    base_url: str | None = None,
    keep_archive: bool = False,
    patience: Patience | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Fetch what is missing of ICBHI 2017: the archive (2 GB, unpacked) and the text files beside it.

    A stopped or dropped download goes on where it ended. Files that are there already are used, not fetched again.

    Args:
        folder: The data folder; it is made.
        base_url: Where the files are; ``BENCH_ICBHI_URL`` or the owners' server by default.
        keep_archive: Keep the archive after unpacking.
        patience: How long to try.
        on_progress: Called with a file's name, the bytes done and the bytes in all.

    Raises:
        DataError: If the server cannot be reached, a file is not what it was or should be, or the disk is full.
        SpecError: If the address is none.
        StoreError: If the record cannot be written.
    """
    url = checked_address(base_url or os.environ.get("BENCH_ICBHI_URL") or BASE_URL)
    with fetching_into(folder, DATABASE):
        fetcher = _Fetcher(folder, url, patience or Patience(), on_progress)
        found = scan(folder)
        needed = fetcher.archive_needed(found)
        there = (found.splits, found.diagnoses, found.demographics)
        for companion, files in zip(COMPANIONS, there, strict=True):
            if not files or files[0] == folder / companion.name:
                fetcher.fetch_companion(companion)
        if needed:
            fetcher.fetch_archive(keep_archive)
