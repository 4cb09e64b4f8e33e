"""The feature bank: all spectrograms of a data set, computed once, then read from a file.

A bank lies in ``<cache>/features/<key>/``: ``features.npy`` (rows, frames, mels) float32, and ``bank.json``, which
is written last and says what the file holds, with a checksum of each row. The key is a hash of the data's fingerprint
and of the front-end's id, version and options, so a bank never goes stale.

Helper processes compute recordings side by side and write them straight to their place in a temporary file. One
process prepares a bank at a time (the lock dies with it); a second one waits and opens the result.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import DataError, SpecError, StoreError
from bench.core.files import atomic_path, exclusive_lock, sweep, write_json
from bench.core.machine import usable_cores
from bench.core.options import build_options, without_later_defaults
from bench.data.forks import share_jobs
from bench.data.frontends import FRONTENDS, FrontEnd, PieceOptions
from bench.data.row_file import RowFile, npy_header, row_checksum

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.datasets.icbhi.annotation import Cycle
from bench.data.datasets.icbhi.recordings import Dataset, Recording

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raised when the layout of a bank's folder changes."""

DESCRIPTION = "bank.json"
"""Name of the file that describes a bank; it is written last, so that a bank that has one is whole."""

CHECKSUMS = "checksums"
"""Name of the description's field that holds the CRC-32 of each row and is no part of the bank's identity."""

CANNOT_RESERVE = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.ENODEV})
"""Error numbers of file systems that cannot reserve space: tmpfs of old kernels, NFS, FUSE, ZFS."""

Progress = Callable[[int, int], None]
"""Called with the number of recordings that are done and their total."""


@dataclass(frozen=True)
class FeatureBank:
    """Spectrograms and labels of a data set's cycles, in the data set's order.

    Attributes:
        features: (rows, frames, mels) float32, read from the file when asked for; a row is a cycle, or a piece of one
            where the front-end cuts cycles into pieces.
        cycles: The cycle of each row; pieces of a cycle follow one another.
        labels: (rows,) int64, 0 normal, 1 crackle, 2 wheeze, 3 both.
        path: The file behind ``features``.
    """

    features: RowFile | NDArray[np.float32]
    cycles: tuple[Cycle, ...]
    labels: NDArray[np.int64]
    path: Path


@dataclass(frozen=True)
class ChosenFrontEnd:
    """A front-end and its options, not yet built.

    Attributes:
        frontend: Id of the front-end in the registry.
        options: Options of the front-end, an object of the class that its card names.
        version: Version on the front-end's card.
        plugin: Version of the plug-in that the front-end comes from; None where it is built in.
    """

    frontend: str
    options: Any
    version: int
    plugin: str | None = None

    def build(self) -> FrontEnd:
        """Make the front-end; imports torch."""
        built: FrontEnd = FRONTENDS.get(self.frontend).load()(self.options)
        return built


@dataclass(frozen=True)
class RecordingJob:
    """One recording whose spectrograms are to be computed, and their place in the bank's file.

    Attributes:
        recording: The recording.
        offset: Byte of the file at which the recording's spectrograms begin.
        rows: Number of spectrograms that the recording becomes.
    """

    recording: Recording
    offset: int
    rows: int


def _choose_front_end(frontend: str, options: Mapping[str, Any]) -> ChosenFrontEnd:
    card, plugin = FRONTENDS.card(frontend), FRONTENDS.get(frontend).version
    return ChosenFrontEnd(frontend, build_options(card.options, options, f"front-end {frontend}"), card.version, plugin)


def recording_features(
    recording: Recording, frontend: str, options: Mapping[str, Any]
) -> tuple[Tensor, tuple[Cycle, ...]]:
    """Compute the spectrograms of one recording, without any cache.

    Args:
        recording: A recording with audio.
        frontend: Id of a front-end.
        options: Options of the front-end, texts or values.

    Returns:
        (rows, frames, mels) float32, and the cycle of each row.

    Raises:
        DataError: If the audio cannot be read, or a cycle holds no sample of it.
        SpecError: For an unknown front-end or option.
    """
    source = _choose_front_end(frontend, options)
    return _compute_features(recording, source.build()), _cycles_of_rows([recording], source.options)[0]


def _cycles_of_rows(recordings: Sequence[Recording], options: Any) -> list[tuple[Cycle, ...]]:
    """The cycle of each row of some recordings: itself, or as often as the front-end makes pieces of it."""
    if not isinstance(options, PieceOptions):
        return [recording.cycles for recording in recordings]
    found = []
    for recording in recordings:
        counts = options.pieces([cycle.end - cycle.start for cycle in recording.cycles])
        pairs = zip(recording.cycles, counts, strict=True)
        found.append(tuple(cycle for cycle, count in pairs for _ in range(count)))
    return found


def _compute_features(recording: Recording, frontend: FrontEnd) -> Tensor:
    import torch

    from bench.data.samples import read_samples

    if recording.audio is None:
        raise DataError(f"The recording {recording.name} has no audio file.", "Run `bench data fetch`.")
    wave, rate = read_samples(recording.audio)
    spans = [(cycle.start, cycle.end) for cycle in recording.cycles]
    return frontend.features(torch.from_numpy(wave), rate, spans, name=recording.name)


def empty_bank(dataset: Dataset, frontend: str, options: Mapping[str, Any]) -> FeatureBank:
    """Make a bank that holds the cycles and labels of a data set but no features, to see how a run would divide it.

    Args:
        dataset: The recordings and cycles.
        frontend: Id of a front-end.
        options: Options of the front-end, texts or values.

    Raises:
        SpecError: For an unknown front-end or option.
    """
    source = _choose_front_end(frontend, options)
    cycles = tuple(cycle for part in _cycles_of_rows(dataset.recordings, source.options) for cycle in part)
    labels = np.array([cycle.label for cycle in cycles], dtype=np.int64)
    return FeatureBank(np.empty((0, *source.options.shape), np.float32), cycles, labels, Path())


def prepare_bank(
    dataset: Dataset,
    frontend: str,
    options: Mapping[str, Any],
    cache: Path,
    *,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> FeatureBank:
    """Open the feature bank of a data set; compute it first where the cache does not hold it.

    Args:
        dataset: The recordings and cycles.
        frontend: Id of a front-end.
        options: Options of the front-end, texts or values; those that are left out keep their defaults.
        cache: Cache folder.
        workers: Recordings that are computed side by side; as many as there are usable cores by default.
        on_progress: Called with the recordings that are done and their total.

    Returns:
        The bank.

    Raises:
        DataError: If audio cannot be read, there is no cycle, or one holds no sample of its recording.
        SpecError: For an unknown front-end or option, or a front-end that does not return what it says.
        RunError: If a helper process was killed.
        StoreError: If the cache cannot be written or the disk is full; nothing is left behind.
    """
    if not dataset.cycles:
        raise DataError(f"The data below {dataset.root} holds no annotated cycle.", "Run `bench data verify`.")
    source = _choose_front_end(frontend, options)
    rows = _cycles_of_rows(dataset.recordings, source.options)
    identity = _bank_identity(dataset, source, rows)
    cycles = tuple(cycle for part in rows for cycle in part)
    folder = cache / "features" / _bank_key(identity)
    _sweep_banks(folder.parent)
    bank = _open_bank(folder, identity, cycles)
    if bank is None:
        with exclusive_lock(folder / "lock"):
            # Whoever held the lock before may have made it.
            if _open_bank(folder, identity, cycles) is None:
                _make_bank(folder, identity, dataset.recordings, source, workers, on_progress)
        bank = _open_bank(folder, identity, cycles)
    if bank is None:
        raise StoreError(f"The feature bank {folder} changed while it was opened.", "Run the command again.")
    logger.debug("features of %s: %s, %d rows", frontend, folder, len(cycles))
    return bank


def _bank_identity(dataset: Dataset, source: ChosenFrontEnd, rows: Sequence[Sequence[Cycle]]) -> dict[str, Any]:
    # A plug-in's code may change while its card keeps the version.
    plugin = {} if source.plugin is None else {"plugin": source.plugin}
    return {
        **plugin,
        "format": FORMAT,
        "data": dataset.fingerprint,
        "frontend": source.frontend,
        "version": source.version,
        # Options that came later orphan no bank.
        "options": without_later_defaults(dataclasses.asdict(source.options), type(source.options)),
        "shape": [sum(map(len, rows)), *source.options.shape],
        "recordings": [[recording.name, len(part)] for recording, part in zip(dataset.recordings, rows, strict=True)],
    }


def _bank_key(identity: Mapping[str, Any]) -> str:
    # Eighty bits are plenty for a cache: a folder whose description differs is not used anyway.
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def _sweep_banks(folder: Path) -> None:
    """Remove what killed processes left of banks, which may be gigabytes of data that nobody asks for again."""
    with suppress(OSError):
        for bank in folder.iterdir():
            sweep(bank)


def _open_bank(folder: Path, identity: Mapping[str, Any], cycles: tuple[Cycle, ...]) -> FeatureBank | None:
    """Open a finished bank; None where there is none, or a file is foreign or was cut short (it is then remade)."""
    path, shape = folder / "features.npy", tuple(identity["shape"])
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        rows = RowFile(path, shape, folder / DESCRIPTION)
    except (OSError, ValueError, RecursionError):
        return None
    # Checksums are taken out first: they say what was computed, not what was asked for.
    checksums = described.pop(CHECKSUMS, None) if isinstance(described, dict) else None
    if described != identity:
        return None
    try:
        # Banks of the first version have no checksums.
        rows.checksums = _add_checksums(rows, identity) if checksums is None else np.array(checksums, dtype=np.uint32)
    except (TypeError, ValueError, OverflowError):
        return None
    if rows.checksums.shape != shape[:1]:
        return None
    labels = np.array([cycle.label for cycle in cycles], dtype=np.int64)
    return FeatureBank(rows, cycles, labels, path)


def _add_checksums(rows: RowFile, identity: Mapping[str, Any]) -> NDArray[np.uint32]:
    """Describe a bank that has no checksums by those of its rows as they are."""
    checksums = [row_checksum(row) for row in rows]
    # In a cache that cannot be written they are computed at each start.
    with suppress(StoreError):
        write_json(rows.description, {**identity, CHECKSUMS: checksums})
    return np.array(checksums, dtype=np.uint32)


def _make_bank(
    folder: Path,
    identity: Mapping[str, Any],
    recordings: Sequence[Recording],
    source: ChosenFrontEnd,
    workers: int | None,
    on_progress: Progress | None,
) -> None:
    """Compute a bank; the caller holds its lock, so temporary files that lie there belong to no living process."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    # A bank without its description counts as none: whatever stops what follows leaves nothing that looks whole.
    (folder / DESCRIPTION).unlink(missing_ok=True)
    with atomic_path(folder / "features.npy") as path:
        jobs = _lay_out_file(path, tuple(identity["shape"]), recordings, [rows for _, rows in identity["recordings"]])
        checksums: list[list[int]] = [[] for _ in jobs]
        with closing(_run_jobs(jobs, source, path, usable_cores() if workers is None else max(1, workers))) as steps:
            for done, (place, found) in enumerate(steps, start=1):
                checksums[place] = found
                if on_progress is not None:
                    on_progress(done, len(jobs))
    write_json(folder / DESCRIPTION, {**identity, CHECKSUMS: [number for part in checksums for number in part]})


def _lay_out_file(
    path: Path, shape: tuple[int, ...], recordings: Sequence[Recording], rows: Sequence[int]
) -> list[RecordingJob]:
    """Write the file's header, reserve its space, so that a full disk shows at once, and say what goes where."""
    size = math.prod(shape[1:]) * 4  # bytes of a float32
    begin = npy_header(shape)
    with path.open("wb") as stream:
        stream.write(begin)
        stream.flush()
        _reserve_space(stream.fileno(), len(begin), shape[0] * size)
    jobs, offset = [], len(begin)
    for recording, count in zip(recordings, rows, strict=True):
        jobs.append(RecordingJob(recording, offset, count))
        offset += count * size
    return jobs


def _reserve_space(descriptor: int, offset: int, size: int) -> None:
    """Have the disk set space aside; where the system (macOS) or the file system cannot, a full disk shows later."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, offset, size)
    except OSError as error:
        if error.errno not in CANNOT_RESERVE:
            raise


def _begin_writeback(descriptor: int, offset: int, size: int) -> None:
    """Have Linux begin to write pages to the disk now, so that the final sync finds little left to do; only a hint."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)


def _compute_and_write(job: RecordingJob, frontend: FrontEnd, path: Path) -> list[int]:
    """Compute a recording and write it to its place; returns the checksum of each row."""
    features = _compute_features(job.recording, frontend).numpy()
    needed = (job.rows, *frontend.shape)
    if features.shape != needed or features.dtype != np.float32:
        # Written all the same, they would run into the place of another recording.
        raise SpecError(
            f"The front-end made {features.dtype} {features.shape} of {job.recording.name}, not float32 {needed}.",
            "Its features() must return what its options and shape say.",
        )
    checksums = []
    with path.open("r+b") as stream:
        stream.seek(job.offset)
        # Row by row: the kernel lets one process at a time write to a file, and others wait awake for it.
        for row in np.ascontiguousarray(features):
            stream.write(row.data)
            checksums.append(row_checksum(row))
        stream.flush()
        _begin_writeback(stream.fileno(), job.offset, features.nbytes)
    return checksums


def _use_one_thread() -> None:
    """Recordings are what runs side by side. Besides, OpenMP's threads do not outlive a fork."""
    import torch

    torch.set_num_threads(1)


def _run_jobs(
    jobs: Sequence[RecordingJob], source: ChosenFrontEnd, path: Path, workers: int
) -> Generator[tuple[int, list[int]]]:
    """Compute jobs side by side; yields the place of each job that is done and the checksums of its rows.

    Helpers are forks, as those of torch's data loader are: torch is there already, where a fresh process would import
    it for longer than its share of the work takes. Threads would hand the interpreter to one another at each of some
    forty short operations per cycle (measured: a third slower).
    """
    frontend = source.build()
    return share_jobs(lambda job: _compute_and_write(job, frontend, path), jobs, workers, _use_one_thread)
