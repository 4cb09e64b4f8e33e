"""Reading bundles, trusting nothing: the whole file is judged within bounds before anything of it is written.

Names, sizes and hashes of all members are checked, none is unpacked further than it announces, and all of it happens
in memory, one member after another. Each run's result is judged as one from a folder is, and its metrics are
recomputed from its predictions.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bench.core.documents import check_regular, parse_document
from bench.core.errors import ResultError, StoreError
from bench.core.text import echoed
from leaderboard.history.log import LogEntry, read_entry
from leaderboard.results.run_folder import CYCLES_FILE, RESULT_FILE, ReadFile, load_result, predictions_file
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import RULES

FORMAT = "lungbench bundle"
VERSION = 2
"""Raised when a bundle's form changes so that older code cannot read it; 2 has the log of its board."""

WITHOUT_LOG = 1
"""The form of a bundle without a log, which older code reads."""

MANIFEST = "manifest.json"
LOG_MEMBER = "log.json"

LARGEST_MEMBER = 64 * 2**20
LARGEST_RATIO = 200
"""Bytes of content for each byte of the archive; predictions reach 30, an archive made to fill a disk 1,000."""

LARGEST_DIRECTORY = 32 * 2**20
"""Bytes of the archive's own list of members: 300,000 of them, some 70,000 runs."""

_CHUNK = 2**18
_LOCAL_HEADER = 30
"""Bytes of what stands before each member, besides its name."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_OF_RUN = "|".join(map(re.escape, (RESULT_FILE, *map(predictions_file, RULES))))
_MEMBER = re.compile(rf"log\.json|cycles/[0-9a-f]{{64}}\.csv|runs/[0-9a-f]{{16}}/({_OF_RUN})")
_RUN_ID, _HASH = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{64}")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, RuntimeError, OSError, OverflowError)
"""What reading a damaged or odd archive raises."""


@dataclass(frozen=True)
class BundledRun:
    """A run of a bundle, as the manifest names it.

    Attributes:
        run_id: Id of the run.
        digest: Hash of everything that a board stores of the run.
        cycles: Hash of the run's judged cycles; None for a run without predictions.
    """

    run_id: str
    digest: str
    cycles: str | None


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose names, sizes and hashes were checked.

    Attributes:
        path: The file of the bundle.
        archive: The open archive.
        runs: The runs that the manifest names.
        log: The entries of the log of the board that the bundle comes from, their signatures checked.
    """

    path: Path
    archive: zipfile.ZipFile
    runs: Sequence[BundledRun] = ()
    log: Sequence[LogEntry] = ()

    def result(self, run: BundledRun) -> RunResult:
        """Read a run's result and check it; its metrics are recomputed from its predictions.

        Raises:
            StoreError: If the result cannot be read, is unsound, or is not that of the run which the manifest names.
        """
        with damage_named(self.path):
            result = load_result(self._files_of(run), f"run {run.run_id}")
        if (result.document["run_id"], result.digest) != (run.run_id, run.digest):
            raise damaged(self.path, f"the content of run {run.run_id} is not what the manifest says")
        return result

    def write(self, run: BundledRun, folder: Path) -> None:
        """Write a run as a run folder; ``result.json`` comes last, because a run is done when that is there.

        Raises:
            OSError: If the folder cannot be written.
            StoreError: If the bundle is damaged.
        """
        with damage_named(self.path):
            result, read = self.result(run), self._files_of(run)
            document = read(RESULT_FILE)
            names = [str(name) for rule, name in result.document["predictions"].items() if rule in result.scores]
            files = names if result.cycles is None else [*names, CYCLES_FILE]
            contents = {**{name: read(name) for name in files}, RESULT_FILE: document}
        folder.mkdir(parents=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)

    def _files_of(self, run: BundledRun) -> ReadFile:
        """Give a function that reads the files of a run by their names in its folder.

        Predictions have the names that result.json gives them; who asks for them has read and judged it.
        """
        names = {RESULT_FILE: f"runs/{run.run_id}/{RESULT_FILE}"}
        if run.cycles is not None:
            names[CYCLES_FILE] = cycles_member(run.cycles)

        def read(name: str) -> bytes:
            if name not in names:
                names.update(_prediction_members(read_member(self.archive, names[RESULT_FILE]), run.run_id))
            if name not in names:
                raise ResultError(f"it lacks the file {echoed(name)}")
            return read_member(self.archive, names[name])

        return read


def _prediction_members(content: bytes, run_id: str) -> dict[str, str]:
    """The members that hold the predictions, by the file names that a judged result gives them."""
    document = json.loads(content.decode("utf-8-sig"))
    files = document.get("predictions") if isinstance(document, dict) else None
    pairs = files.items() if isinstance(files, dict) else ()
    taken = (RESULT_FILE, CYCLES_FILE)
    return {
        name: f"runs/{run_id}/{predictions_file(rule)}"
        for rule, name in pairs
        if rule in RULES and isinstance(name, str) and name not in taken
    }


def cycles_member(digest: str) -> str:
    """Give the name of the member that holds the cycle set of a hash."""
    return f"cycles/{digest}.csv"


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open a bundle and check every member's name, size and hash; nothing is written.

    Raises:
        StoreError: If the file is no bundle, damaged, of a newer form, or not made as bundles are.
    """
    with _opened_file(path) as stream:
        try:
            archive = zipfile.ZipFile(cast(Any, _BoundedReader(stream)))
        except zipfile.BadZipFile as error:
            raise StoreError(
                f"{path} is no bundle: {echoed(error)}.", "`bench board export FILE` writes one."
            ) from error
        except _BROKEN as error:
            raise damaged(path, echoed(error, 200)) from error
        with archive:
            with damage_named(path):
                _check_members(path, archive)
                manifest = _read_manifest(path, archive)
                _check_hashes(path, archive, manifest["files"])
                log = _read_log(archive)
            yield Bundle(path, archive, _bundled_runs(path, manifest["runs"], set(manifest["files"])), log)


@contextmanager
def _opened_file(path: Path) -> Iterator[io.BufferedReader]:
    try:
        check_regular(path, path.stat())
        stream = path.open("rb")
    except (OSError, ValueError, ResultError) as error:
        said = error.message if isinstance(error, ResultError) else f"Cannot read {path}: {_os_reason(error)}."
        raise StoreError(said, "Name a bundle.") from error
    with stream:
        yield stream


def _os_reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


class _BoundedReader:
    """A file of which nobody reads more than :data:`LARGEST_DIRECTORY` at once.

    ``zipfile`` reads the list of members in one piece, as long as the archive says that it is, and makes an object of
    each; members are read in small pieces.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size if 0 <= size <= LARGEST_DIRECTORY else LARGEST_DIRECTORY + 1)
        if len(content) > LARGEST_DIRECTORY:
            raise ValueError("its list of members is longer than any bundle's")
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn any error that reading a damaged archive raises within the block into a StoreError of one sentence."""
    try:
        yield
    except (*_BROKEN, ResultError) as error:
        said = error.message.rstrip(".") if isinstance(error, ResultError) else f"{type(error).__name__}: {error}"
        raise damaged(path, echoed(said, 300)) from error


def damaged(path: Path, what: str) -> StoreError:
    """Make the error for a bundle that cannot be trusted.

    Args:
        path: The file of the bundle.
        what: What is wrong with it, as the middle of a sentence.
    """
    return StoreError(
        f"The bundle {path} is damaged, or was not made by `bench board export`: {what}. Nothing of it was imported.",
        "Copy or export it again.",
    )


# --- members ----------------------------------------------------------------------------------------------------


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise damaged(path, "a name stands twice")
    for member in members:
        fault = _member_fault(member)
        if fault:
            raise damaged(path, fault)
    # What follows refuses archives that are small on disk and huge in memory, by compression or by members that share
    # their bytes.
    total, size = sum(member.file_size for member in members), path.stat().st_size
    if total > LARGEST_RATIO * size:
        raise damaged(path, f"{size:,} bytes would become {total:,}")
    places = sorted(
        (member.header_offset, member.header_offset + _LOCAL_HEADER + member.compress_size) for member in members
    )
    if any(end > start for (_, end), (start, _) in itertools.pairwise(places)):
        raise damaged(path, "members lie one over another")


def _member_fault(member: zipfile.ZipInfo) -> str | None:
    name = echoed(member.filename)
    if member.filename != MANIFEST and not _MEMBER.fullmatch(member.filename):
        return f"it holds '{name}', which no bundle holds"
    if member.file_size > LARGEST_MEMBER:
        return f"{name} would have {member.file_size / 2**20:,.0f} MiB"
    if member.compress_type not in _METHODS:
        return f"{name} is compressed in a way that no bundle is"
    if member.flag_bits & _ENCRYPTED:
        return f"{name} is encrypted"
    return None


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read the content of a member, which is never longer than the archive announces.

    Raises:
        ResultError: If there is no such member.
    """
    return b"".join(_pieces(archive, name))


def _pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    if name not in archive.NameToInfo:
        raise ResultError(f"it lacks {echoed(name)}")
    with archive.open(name) as stream:
        while piece := stream.read(_CHUNK):
            yield piece


# --- the manifest -----------------------------------------------------------------------------------------------


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise damaged(path, f"it holds no {MANIFEST}")
    manifest = parse_document(read_member(archive, MANIFEST), MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise damaged(path, f"{MANIFEST} is no bundle's")
    version = manifest.get("version")
    if type(version) is int and version > VERSION:
        raise StoreError(
            f"The bundle {path} has the form {version}, but this lungbench reads up to {VERSION}.",
            "Update this one: pip install --upgrade lungbench",
        )
    if type(version) is not int or version not in (WITHOUT_LOG, VERSION):
        raise damaged(path, f"its form is {echoed(repr(version))}, but must be {WITHOUT_LOG} or {VERSION}")
    if not isinstance(manifest.get("runs"), list) or not isinstance(manifest.get("files"), dict):
        raise damaged(path, f"{MANIFEST} lacks runs or files")
    return manifest


def _read_log(archive: zipfile.ZipFile) -> tuple[LogEntry, ...]:
    if LOG_MEMBER not in archive.NameToInfo:
        return ()
    documents = parse_document(read_member(archive, LOG_MEMBER), LOG_MEMBER)
    if not isinstance(documents, list):
        raise ResultError(f"{LOG_MEMBER} is no log")
    return tuple(LogEntry(read_entry(document, LOG_MEMBER)) for document in documents)


def _check_hashes(path: Path, archive: zipfile.ZipFile, files: Mapping[str, Any]) -> None:
    names = set(archive.namelist()) - {MANIFEST}
    if names != set(files):
        odd = sorted(names ^ set(files))
        raise damaged(path, f"{MANIFEST} and the members differ in {len(odd)} names, first {echoed(odd[0])}")
    for name in sorted(names):
        digest = hashlib.sha256()
        for piece in _pieces(archive, name):
            digest.update(piece)
        said = files[name]
        if not isinstance(said, dict) or said.get("sha256") != digest.hexdigest():
            raise damaged(path, f"{name} has not the hash that {MANIFEST} gives")
        if said.get("bytes", archive.getinfo(name).file_size) != archive.getinfo(name).file_size:
            raise damaged(path, f"{name} has not the size that {MANIFEST} gives")


def _bundled_runs(path: Path, runs: Sequence[Any], names: set[str]) -> list[BundledRun]:
    """The runs of a manifest, each with the members that it must have, and no member of anything else."""
    entries = [_bundled_run(path, run) for run in runs]
    if len({entry.run_id for entry in entries}) != len(entries):
        raise damaged(path, f"{MANIFEST} names a run twice")
    known = {entry.run_id for entry in entries} | {entry.cycles for entry in entries}
    strays = [name for name in sorted(names - {LOG_MEMBER}) if name.split("/")[1].removesuffix(".csv") not in known]
    if strays:
        raise damaged(path, f"{echoed(strays[0])} is of no run that {MANIFEST} names")
    return entries


def _bundled_run(path: Path, run: Any) -> BundledRun:
    if not (isinstance(run, dict) and {"run_id", "digest", "cycles"} <= set(run)):
        raise damaged(path, f"{MANIFEST} has a run without id or hash")
    run_id, digest, cycles = run["run_id"], run["digest"], run["cycles"]
    if not (isinstance(run_id, str) and _RUN_ID.fullmatch(run_id)):
        raise damaged(path, f"{MANIFEST} names the run {echoed(repr(run_id))}, but ids have 16 hexadecimal characters")
    for value in (digest, cycles):
        if value is not None and not (isinstance(value, str) and _HASH.fullmatch(value)):
            raise damaged(path, f"{MANIFEST} gives run {run_id} the hash {echoed(repr(value))}")
    return BundledRun(run_id, str(digest), cycles)
