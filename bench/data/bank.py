"""The feature bank: all pictures of a data set, computed once, then read from a file.

A bank lies in ``<cache>/features/<key>/``: ``features.npy`` (rows, frames, mels) float32, or ``features-NAME.npy`` for
each name where a front-end names its inputs. The key is a hash of the data's fingerprint and of the front-end's id,
version and options.

Helper processes compute recordings side by side and write them straight to their place. A preparation that is stopped
goes on from the recordings that are done (:mod:`bench.data.unfinished`).
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import SpecError, StoreError
from bench.core.files import write_json
from bench.core.inputs import UNNAMED, by_name, joined
from bench.data.bank_folder import (
    CHECKSUMS,
    DESCRIPTION,
    Progress,
    bank_folder,
    bank_identity,
    begin_writeback,
    check_has_cycles,
    clear_bank,
    one_thread,
    open_or_make,
    read_description,
    read_recording,
    reserve_space,
    results_of,
)
from bench.data.frontends import FrontEnd, LearningFrontEnd, WaveformFrontEnd
from bench.data.frontends.chosen import ChosenFrontEnd, choose_front_end
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.shapes import Shape, input_shapes
from bench.data.row_file import RowFile, npy_header, row_checksum
from bench.data.unfinished import Checksums, unfinished_files

if TYPE_CHECKING:
    from bench.data.dataset import Cycle, Dataset, Recording
    from bench.data.units import Inputs

__all__ = ["FeatureBank", "Progress", "Rows", "empty_bank", "has_bank", "prepare_bank", "recording_features"]

logger = logging.getLogger(__name__)

Rows: TypeAlias = RowFile | NDArray[np.float32]
"""(rows, ...) float32, read when asked for or in memory."""


@dataclass(frozen=True)
class FeatureBank:
    """Inputs and labels of a data set's cycles, in the data set's order.

    Attributes:
        features: (rows, frames, mels) float32, read from the file when asked for, or such rows for each name where the
            front-end names its inputs; a row is a cycle, or a piece of one where the front-end cuts cycles into pieces.
        cycles: The cycle of each row; pieces of a cycle follow one another.
        labels: (rows,) int64, 0 normal, 1 crackle, 2 wheeze, 3 both.
        path: The file behind ``features``, or behind the first of them.
    """

    features: Rows | Mapping[str, Rows]
    cycles: tuple[Cycle, ...]
    labels: NDArray[np.int64]
    path: Path


@dataclass(frozen=True)
class RecordingJob:
    """One recording whose pictures are to be computed, and their place in the bank's files.

    Attributes:
        recording: The recording.
        first: Number of the first row that the recording becomes.
        rows: Number of rows that it becomes.
    """

    recording: Recording
    first: int
    rows: int


@dataclass(frozen=True)
class RowsFile:
    """A file that rows of one input are written to.

    Attributes:
        path: The file, which begins with the header of a ``.npy`` file.
        shape: Shape of the whole array, (rows, …).
    """

    path: Path
    shape: Shape

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of float32."""
        return math.prod(self.shape[1:]) * 4

    def lay_out(self) -> None:
        """Write the header and reserve the space of the rows, so that a full disk shows at once.

        A file that was laid out before keeps its rows.
        """
        begin, rows = npy_header(self.shape), self.shape[0] * self.row_bytes
        is_there = self.path.is_file() and self.path.stat().st_size == len(begin) + rows
        with self.path.open("r+b" if is_there else "wb") as stream:
            stream.write(begin)
            stream.flush()
            reserve_space(stream.fileno(), len(begin), rows)

    def holds(self, first: int, checksums: Sequence[int]) -> bool:
        """Tell whether rows that were written before are there.

        Args:
            first: Number of the first of them.
            checksums: The checksum of each.
        """
        with self.path.open("rb") as stream:
            stream.seek(len(npy_header(self.shape)) + first * self.row_bytes)
            return all(zlib.crc32(stream.read(self.row_bytes)) == checksum for checksum in checksums)

    def write(self, rows: NDArray[np.float32], first: int) -> list[int]:
        """Write rows to their place.

        Args:
            rows: (n, …).
            first: Number of the first of them.

        Returns:
            The checksum of each row.
        """
        offset, checksums = len(npy_header(self.shape)) + first * self.row_bytes, []
        with self.path.open("r+b") as stream:
            stream.seek(offset)
            # Row by row: the kernel lets one process at a time write to a file, and others wait awake for it.
            for row in np.ascontiguousarray(rows):
                stream.write(row.data)
                checksums.append(row_checksum(row))
            stream.flush()
            begin_writeback(stream.fileno(), offset, rows.nbytes)
        return checksums


def recording_features(
    recording: Recording, frontend: str, options: Mapping[str, Any]
) -> tuple[Inputs, tuple[Cycle, ...]]:
    """Compute the pictures of one recording, without any cache; they equal those of a bank to the bit.

    Args:
        recording: A recording with audio.
        frontend: Id of a front-end.
        options: Options of the front-end, texts or values.

    Returns:
        (rows, frames, mels) float32, or such an array for each name, and the cycle of each row.

    Raises:
        DataError: If the audio cannot be read, or a cycle holds no sample of it.
        SpecError: For an unknown front-end or option, or a front-end that must learn from a run's rows first.
    """
    source = choose_front_end(frontend, options)
    with one_thread():
        return _compute_features(recording, _build(source)), source.cycles_of_rows([recording])[0]


def _build(source: ChosenFrontEnd) -> FrontEnd | WaveformFrontEnd:
    built = source.build()
    if isinstance(built, LearningFrontEnd):
        raise SpecError(
            f"The front-end {source.frontend} learns from the rows that a run is trained on: without a run it makes no "
            "pictures.",
            f"Use `bench run --frontend {source.frontend}`, which needs no features prepared.",
        )
    return built


def _compute_features(recording: Recording, frontend: FrontEnd | WaveformFrontEnd) -> Inputs:
    wave, rate, spans = read_recording(recording)
    return recording_pictures(frontend, wave, rate, spans, name=recording.name, device=recording.device)


def empty_bank(dataset: Dataset, frontend: str, options: Mapping[str, Any]) -> FeatureBank:
    """Make a bank that holds the cycles and labels of a data set but no features.

    It shows how a run would divide its rows, and serves runs whose pictures are made from waveforms alone.

    Args:
        dataset: The recordings and cycles.
        frontend: Id of a front-end.
        options: Options of the front-end, texts or values.

    Raises:
        SpecError: For an unknown front-end or option.
    """
    source = choose_front_end(frontend, options)
    none = {name: np.empty((0, *shape), np.float32) for name, shape in input_shapes(source.options).items()}
    return _bank_of(joined(none), source.cycles_of_rows(dataset.recordings), Path())


def _bank_of(features: Rows | Mapping[str, Rows], rows: Sequence[Sequence[Cycle]], path: Path) -> FeatureBank:
    cycles = tuple(cycle for part in rows for cycle in part)
    return FeatureBank(features, cycles, np.array([cycle.label for cycle in cycles], dtype=np.int64), path)


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
        SpecError: For an unknown front-end or option, a front-end that does not return what it says, or one that must
            learn from a run's rows first.
        RunError: If a helper process was killed.
        StoreError: If the cache cannot be written or the disk is full; nothing is left behind.
    """
    check_has_cycles(dataset)
    source = choose_front_end(frontend, options)
    rows = source.cycles_of_rows(dataset.recordings)
    identity = _identity(dataset, source, rows)
    folder = bank_folder(cache, "features", identity)
    bank = open_or_make(
        folder,
        lambda: _open_bank(folder, identity, rows),
        lambda: _make_bank(folder, identity, dataset.recordings, _build(source), workers, on_progress),
    )
    logger.debug("features of %s: %s, %d rows", frontend, folder, len(bank.cycles))
    return bank


def has_bank(dataset: Dataset, frontend: str, options: Mapping[str, Any], cache: Path) -> bool:
    """Whether the cache holds the feature bank of a data set; arguments as for :func:`prepare_bank`."""
    source = choose_front_end(frontend, options)
    identity = _identity(dataset, source, source.cycles_of_rows(dataset.recordings))
    return read_description(bank_folder(cache, "features", identity), identity, [CHECKSUMS]) is not None


def _identity(dataset: Dataset, source: ChosenFrontEnd, rows: Sequence[Sequence[Cycle]]) -> dict[str, Any]:
    total = sum(map(len, rows))
    shape = joined({name: [total, *shape] for name, shape in input_shapes(source.options).items()})
    return bank_identity(dataset, source.identity(), rows, shape=shape)


def _shapes(identity: Mapping[str, Any]) -> dict[str, Shape]:
    """Shape of the whole array of each input."""
    return {name: tuple(shape) for name, shape in by_name(identity["shape"]).items()}


def _file(folder: Path, name: str) -> Path:
    return folder / ("features.npy" if name == UNNAMED else f"features-{name}.npy")


def _open_bank(folder: Path, identity: Mapping[str, Any], rows: Sequence[Sequence[Cycle]]) -> FeatureBank | None:
    """Open a finished bank; None where there is none, or a file is foreign or was cut short (it is then remade)."""
    described, shapes = read_description(folder, identity, [CHECKSUMS]), _shapes(identity)
    if described is None:
        return None
    try:
        files = {name: RowFile(_file(folder, name), shape, folder / DESCRIPTION) for name, shape in shapes.items()}
        # Banks of the first version have no checksums.
        checksums = by_name(described[CHECKSUMS] if CHECKSUMS in described else _add_checksums(files, identity))
        for name, file in files.items():
            file.checksums = np.array(checksums[name], dtype=np.uint32)
    except (OSError, LookupError, TypeError, ValueError, OverflowError):
        return None
    if any(file.checksums is None or file.checksums.shape != file.shape[:1] for file in files.values()):
        return None
    return _bank_of(joined(files), rows, _file(folder, next(iter(files))))


def _add_checksums(files: Mapping[str, RowFile], identity: Mapping[str, Any]) -> Any:
    """Describe a bank that has no checksums by those of its rows as they are."""
    checksums = joined({name: [row_checksum(row) for row in file] for name, file in files.items()})
    # In a cache that cannot be written they are computed at each start.
    with suppress(StoreError):
        write_json(next(iter(files.values())).description, {**identity, CHECKSUMS: checksums})
    return checksums


def _make_bank(
    folder: Path,
    identity: Mapping[str, Any],
    recordings: Sequence[Recording],
    frontend: FrontEnd | WaveformFrontEnd,
    workers: int | None,
    on_progress: Progress | None,
) -> None:
    """Compute a bank, or what one that was stopped lacks; the caller holds its lock."""
    clear_bank(folder)
    shapes, jobs = _shapes(identity), _jobs(recordings, [rows for _, rows in identity["recordings"]])
    targets = [_file(folder, name) for name in shapes]
    with unfinished_files(folder, targets) as (done, parts):
        files = {name: RowsFile(part, shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        for file in files.values():
            file.lay_out()
        checksums = {place: found for place, found in done.read().items() if _are_there(place, found, jobs, files)}
        left = [place for place in range(len(jobs)) if place not in checksums]

        def compute(place: int) -> Checksums:
            return _compute_and_write(jobs[place], frontend, files)

        with results_of(compute, left, workers, on_progress, already=len(checksums)) as steps:
            for number, found in steps:
                checksums[left[number]] = found
                done.add(left[number], found)
    flat = {name: [number for place in range(len(jobs)) for number in checksums[place][name]] for name in shapes}
    write_json(folder / DESCRIPTION, {**identity, CHECKSUMS: joined(flat)})


def _are_there(place: int, found: Checksums, jobs: Sequence[RecordingJob], files: Mapping[str, RowsFile]) -> bool:
    """Whether the rows of a recording that was noted as done are what was written; a crash may have lost them."""
    if place >= len(jobs) or set(found) != set(files):
        return False
    job = jobs[place]
    return all(len(found[name]) == job.rows and file.holds(job.first, found[name]) for name, file in files.items())


def _jobs(recordings: Sequence[Recording], rows: Sequence[int]) -> list[RecordingJob]:
    jobs, first = [], 0
    for recording, count in zip(recordings, rows, strict=True):
        jobs.append(RecordingJob(recording, first, count))
        first += count
    return jobs


def _compute_and_write(
    job: RecordingJob, frontend: FrontEnd | WaveformFrontEnd, files: Mapping[str, RowsFile]
) -> dict[str, list[int]]:
    """Compute a recording and write it to its place; returns the checksum of each row of each input."""
    found = by_name(_compute_features(job.recording, frontend))
    if set(found) != set(files):
        raise SpecError(
            f"The front-end made {sorted(found)} of {job.recording.name}, not {sorted(files)}.",
            "It must return the inputs that its options and shape name.",
        )
    features = {name: array.numpy() for name, array in found.items()}
    for name, array in features.items():
        needed = (job.rows, *files[name].shape[1:])
        if array.shape != needed or array.dtype != np.float32:
            # Written all the same, they would run into the place of another recording.
            raise SpecError(
                f"The front-end made {array.dtype} {array.shape} of {job.recording.name}, not float32 {needed}.",
                "Its features() must return what its options and shape say.",
            )
    return {name: files[name].write(array, job.first) for name, array in features.items()}
