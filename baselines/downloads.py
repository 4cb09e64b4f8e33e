"""Files of weights on servers: fetched once into the cache, checked against a hash, resumed where they were cut."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baselines.checkpoints import INDEX_ENDING, MAX_BYTES, sha256, shard_names
from baselines.locations import RemoteFile, remote
from bench.core.download import Patience, download
from bench.core.errors import BenchError, WeightsError
from bench.core.files import ABANDONED_SECONDS, atomic_path, exclusive_lock, sweep
from bench.core.hub import ODD_ANSWERS
from bench.core.hub_sizes import bounded_file, bounded_snapshot
from bench.core.progress import counted
from bench.core.secrets import masked, public_url
from bench.core.text import echoed

PATIENCE = Patience()
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OLD_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}")
"""What a killed download of the first version left; what is begun now ends in ``.part`` and is gone on with."""


@dataclass(frozen=True)
class LocatedWeights:
    """A file of weights on this machine.

    Attributes:
        path: Path of the file.
        sha256: Hash of all that is read from the file, hexadecimal; part of a run's identity.
    """

    path: Path
    sha256: str


def fetch_weights(location: str, checksum: str, folder: Path) -> LocatedWeights:
    """Fetch a file once; its hash is the one that is given, or the one that was recorded at the first use.

    Args:
        location: Location that :func:`baselines.locations.remote` reads: an address, or a name on a hub. The files
            that an index of the hub names come with it.
        checksum: Hash that the file must have, ``algorithm:digits``; empty where none is known.
        folder: Folder in which such files are kept.

    Raises:
        WeightsError: If it cannot be fetched, or is not the file that it must be; nothing is kept then.
    """
    file = remote(location)
    found = _fetched(file, checksum or file.checksum, folder)
    if file.hub is not None and found.path.name.endswith(INDEX_ENDING):
        with _hint_of_file(file, folder / file.name):
            _fetch_shards(file, found.path, folder / "hub")
    return found


def _fetched(file: RemoteFile, wanted: str, folder: Path) -> LocatedWeights:
    ready = _cached_weights(file, wanted, folder)
    if ready is not None:
        return ready
    record = _record_path(file, folder)
    with exclusive_lock(folder / f"{file.name}.lock", _say_waiting):
        _sweep_leftovers(folder)
        known = wanted or _recorded_hash(record)
        path = _find_or_download(file, known, folder)
        found = sha256(path)
        _check_hashes(path, found, known, file, record)
        if not record.is_file():
            with atomic_path(record) as temporary:
                temporary.write_text(found + "\n", encoding="ascii")
    return LocatedWeights(path, found)


def is_kept(location: str, folder: Path) -> bool:
    """Whether a file of weights was fetched already; what is in it is not looked at.

    Args:
        location: Location that :func:`baselines.locations.remote` reads.
        folder: Folder in which such files are kept.
    """
    file = remote(location)
    return (folder / file.name).is_file() or _cached_by_hub(file, folder) is not None


def _cached_weights(file: RemoteFile, wanted: str, folder: Path) -> LocatedWeights | None:
    """A file that is there and right; needs no lock and writes nothing, so that a cache may be read-only."""
    path = folder / file.name
    if not path.is_file():
        path = _cached_by_hub(file, folder) or path
    # What was never recorded is recorded first, under the lock, where that is possible.
    known = wanted or _recorded_hash(_record_path(file, folder))
    if not path.is_file() or not (known or not os.access(folder, os.W_OK)):
        return None
    found = sha256(path)
    fits = all(_hash_like(path, each).startswith(each.partition(":")[2]) for each in _expected_hashes(path, known))
    return LocatedWeights(path, found) if fits else None


def _cached_by_hub(file: RemoteFile, folder: Path) -> Path | None:
    """A file that an earlier start fetched from the hub."""
    if file.hub is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(*file.hub, cache_dir=folder / "hub", revision=file.revision)
    return Path(found) if isinstance(found, str) else None


def _record_path(file: RemoteFile, folder: Path) -> Path:
    return folder / f"{file.name}.sha256"


def _recorded_hash(record: Path) -> str:
    """The hash of the first use, as ``sha256:digits``; empty where there was none."""
    if not record.is_file():
        return ""
    with record.open("rb") as stream:
        digits = stream.read(100).decode("latin-1").strip()
    if not _SHA256.fullmatch(digits):
        raise WeightsError(f"{record} holds no SHA-256.", "Delete it to trust the file of weights anew.")
    return f"sha256:{digits}"


def _sweep_leftovers(folder: Path) -> None:
    """Remove what killed processes left, which has the size of a model."""
    sweep(folder)
    for path in folder.glob("tmp*"):
        if _OLD_TEMPORARY.fullmatch(path.name) and time.time() - path.lstat().st_mtime > ABANDONED_SECONDS:
            path.unlink(missing_ok=True)


def _say_waiting(holder: str) -> None:
    sys.stderr.write(f"Waiting for {holder}, which is fetching the same weights.\n")


def _find_or_download(file: RemoteFile, known: str, folder: Path) -> Path:
    kept = folder / file.name
    with _hint_of_file(file, kept):
        if file.hub is None:
            return _from_url(file, known, kept)
        return kept if kept.is_file() else _from_hub(file, folder / "hub")


@contextlib.contextmanager
def _hint_of_file(file: RemoteFile, kept: Path) -> Iterator[None]:
    """Say what to do about a file that could not be fetched within the block."""
    try:
        yield
    except _FetchError as error:
        raise WeightsError(
            f"Cannot fetch the weights {public_url(file.url)}: {error}.",
            f"Fetch that file elsewhere and put it at {kept}, or name it with --pretrain FILE, or use --pretrain none.",
        ) from error


class _FetchError(Exception):
    """Why a file could not be fetched, on one line."""


def _from_url(file: RemoteFile, known: str, kept: Path) -> Path:
    """Fetch a file that is not there, or not the right one; what was cut short is gone on with at the next attempt."""
    if kept.is_file() and (not known or _hash_like(kept, known).startswith(known.partition(":")[2])):
        return kept
    target = kept.with_name(f"{kept.name}.download")
    sys.stderr.write(f"Fetching {public_url(file.url)}\n")
    try:
        with counted("bytes") as update:
            download(
                file.url,
                target,
                patience=PATIENCE,
                limit=MAX_BYTES,
                on_progress=lambda _, done, total: update(kept.name, done, total),
            )
        target.replace(kept)
    except BenchError as error:
        raise _FetchError(_sentence(error)) from error
    except OSError as error:
        raise _FetchError(one_line(error)) from error
    return kept


def _sentence(error: BenchError) -> str:
    return f"{error.message.rstrip('.')}{f' ({error.hint})' if error.hint else ''}"


def _from_hub(file: RemoteFile, folder: Path) -> Path:
    assert file.hub is not None
    repository, name = file.hub
    with _hub_faults(file):
        return bounded_file(repository, name, folder, name, revision=file.revision, cache_dir=folder)


def _fetch_shards(file: RemoteFile, index: Path, folder: Path) -> None:
    """Fetch the files that an index of the hub names, of its own commit, so that they lie beside it.

    One that the repository lacks is named where the checkpoint is read.
    """
    names = shard_names(index)
    # What was put there by hand is of no commit, and has its shards beside it or not.
    if folder not in index.parents or all((index.parent / name).is_file() for name in names):
        return
    assert file.hub is not None
    patterns = [glob.escape(name) for name in names]
    with _hub_faults(file):
        bounded_snapshot(file.hub[0], folder, file.hub[0], revision=index.parent.name, allow_patterns=patterns)


@contextlib.contextmanager
def _hub_faults(file: RemoteFile) -> Iterator[None]:
    """Say in words of our own why a file of the hub could not be fetched within the block."""
    from huggingface_hub import errors as hub

    assert file.hub is not None
    repository, name = file.hub
    try:
        yield
    except BenchError as error:
        raise _FetchError(_sentence(error)) from error
    except hub.RevisionNotFoundError as error:
        raise _FetchError(f"the repository {repository} has no revision {file.revision}") from error
    except hub.RepositoryNotFoundError as error:
        raise _FetchError(f"the hub has no repository {repository}, or only for those who have a token") from error
    except hub.LocalEntryNotFoundError as error:
        raise _FetchError(_error_line(error, file)) from error
    except hub.EntryNotFoundError as error:
        raise _FetchError(f"the repository {repository} has no file {name}") from error
    # HTTPError is that of the client which this version of the hub's library uses.
    except (OSError, ValueError, RuntimeError, *ODD_ANSWERS, hub.HTTPError) as error:  # type: ignore[attr-defined]
        raise _FetchError(_error_line(error, file)) from error


def _error_line(error: BaseException, file: RemoteFile) -> str:
    """An error's first line without secrets: the hub's addresses are signed, and proxies have passwords."""
    secrets = (file.url, *urllib.request.getproxies().values())
    return echoed(masked(one_line(error), *secrets), 300)


def _expected_hashes(path: Path, known: str) -> list[str]:
    """Hashes that a file must have: the known one, and its name where the hub gave it (the SHA-256 of a large file)."""
    blob = path.resolve().name
    return [each for each in (known, f"sha256:{blob}" if _SHA256.fullmatch(blob) else "") if each]


def _hash_like(path: Path, expected: str) -> str:
    """The hash of a file by the algorithm of an expected one."""
    import pooch

    algorithm = expected.partition(":")[0]
    return sha256(path) if algorithm == "sha256" else str(pooch.file_hash(str(path), alg=algorithm))


def _check_hashes(path: Path, found: str, known: str, file: RemoteFile, record: Path) -> None:
    """Compare a file with the hashes that it must have.

    Raises:
        WeightsError: If they differ; the file is deleted.
    """
    for expected in _expected_hashes(path, known):
        algorithm, _, digits = expected.partition(":")
        actual = _hash_like(path, expected)
        if not actual.startswith(digits):
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            replaced = f"; if they were replaced on purpose, delete {record}" if record.is_file() else ""
            raise WeightsError(
                f"The weights {public_url(file.url)} have the {algorithm} {actual}, but {digits} was expected; "
                "they are not kept.",
                f"Fetch them again{replaced}.",
            )


def one_line(error: BaseException) -> str:
    """Give the first line of an error's text, or the name of its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
