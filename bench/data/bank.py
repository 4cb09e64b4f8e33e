"""The feature bank: all spectrograms of a data set, computed once, then opened from a memory-mapped file.

A bank lies in ``<cache>/features/<key>/``: ``features.npy`` (rows, frames, mels) float32, and ``bank.json``, which
is written last and says what the file holds. The key is a hash of the data's fingerprint and of the front-end's id,
version and options, so a bank never goes stale.

Helper processes compute recordings side by side and write them straight to their place in a temporary file. One
process prepares a bank at a time (the lock dies with it); a second one waits and opens the result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.frontends import FRONTENDS, FrontEnd, PieceOptions
from bench.errors import DataError, RunError, SpecError, StoreError
from bench.lifetimes import die_with_parent
from bench.options import build_options
from bench.provenance import usable_cores
from leaderboard.files import atomic_path, exclusive_lock, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.icbhi import Cycle, Dataset, Recording

FORMAT = 1
"""Raised when the layout of a bank's folder changes."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FeatureBank:
    """Spectrograms and labels of a data set's cycles, in the data set's order.

    Attributes:
        features: (rows, frames, mels) float32, memory-mapped and read-only; a row is a cycle, or a piece of one where
            the front-end cuts cycles into pieces.
        cycles: The cycle of each row; pieces of a cycle follow one another.
        labels: (rows,) int64, 0 normal, 1 crackle, 2 wheeze, 3 both.
        path: The file behind ``features``.
    """

    features: NDArray[np.float32]
    cycles: tuple[Cycle, ...]
    labels: NDArray[np.int64]
    path: Path


@dataclass(frozen=True)
class Source:
    """A front-end and its options, by name.

    Attributes:
        frontend: Id in the registry.
        options: The options object of its card.
        version: The card's version.
        plugin: Version of the plug-in that it comes from; None where it is built in.
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
class Job:
    """One recording to compute.

    Attributes:
        recording: The recording.
        offset: Byte of the file at which its spectrograms begin.
        rows: How many it becomes.
    """

    recording: Recording
    offset: int
    rows: int


def _source(frontend: str, options: Mapping[str, Any]) -> Source:
    card, plugin = FRONTENDS.card(frontend), FRONTENDS.get(frontend).version
    return Source(frontend, build_options(card.options, options, f"front-end {frontend}"), card.version, plugin)


def recording_features(
    recording: Recording, frontend: str, options: Mapping[str, Any]
) -> tuple[Tensor, tuple[Cycle, ...]]:
    """Compute the spectrograms of one recording, without any cache.

    Args:
        recording: A recording with audio.
        frontend: Id of a front-end.
        options: Its options, texts or values.

    Returns:
        (rows, frames, mels) float32, and the cycle of each row.

    Raises:
        DataError: If the audio cannot be read, or a cycle holds no sample of it.
        SpecError: For an unknown front-end or option.
    """
    source = _source(frontend, options)
    return _compute(recording, source.build()), _rows([recording], source.options)[0]


def _rows(recordings: Sequence[Recording], options: Any) -> list[tuple[Cycle, ...]]:
    """The cycle of each row of some recordings: itself, or as often as the front-end makes pieces of it."""
    if not isinstance(options, PieceOptions):
        return [recording.cycles for recording in recordings]
    found = []
    for recording in recordings:
        counts = options.pieces([cycle.end - cycle.start for cycle in recording.cycles])
        pairs = zip(recording.cycles, counts, strict=True)
        found.append(tuple(cycle for cycle, count in pairs for _ in range(count)))
    return found


def _compute(recording: Recording, frontend: FrontEnd) -> Tensor:
    import torch

    from bench.data.samples import read_samples

    if recording.audio is None:
        raise DataError(f"The recording {recording.name} has no audio file.", "Run `bench data fetch`.")
    wave, rate = read_samples(recording.audio)
    spans = [(cycle.start, cycle.end) for cycle in recording.cycles]
    return frontend.features(torch.from_numpy(wave), rate, spans, name=recording.name)


def empty_bank(dataset: Dataset, frontend: str, options: Mapping[str, Any]) -> FeatureBank:
    """The rows of a data set's bank with their labels, without their features: what a run would divide.

    Raises:
        SpecError: For an unknown front-end or option.
    """
    source = _source(frontend, options)
    cycles = tuple(cycle for part in _rows(dataset.recordings, source.options) for cycle in part)
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
        options: Its options, texts or values; those left out keep their defaults.
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
    source = _source(frontend, options)
    rows = _rows(dataset.recordings, source.options)
    identity = _identity(dataset, source, rows)
    cycles = tuple(cycle for part in rows for cycle in part)
    folder = cache / "features" / _key(identity)
    bank = _open(folder, identity, cycles)
    if bank is None:
        with exclusive_lock(folder / "lock"):
            # Whoever held the lock before may have made it.
            if _open(folder, identity, cycles) is None:
                _make(folder, identity, dataset.recordings, source, workers, on_progress)
        bank = _open(folder, identity, cycles)
    if bank is None:
        raise StoreError(f"The feature bank {folder} changed while it was opened.", "Run the command again.")
    return bank


def _identity(dataset: Dataset, source: Source, rows: Sequence[Sequence[Cycle]]) -> dict[str, Any]:
    # A plug-in's code may change while its card keeps the version.
    plugin = {} if source.plugin is None else {"plugin": source.plugin}
    return {
        **plugin,
        "format": FORMAT,
        "data": dataset.fingerprint,
        "frontend": source.frontend,
        "version": source.version,
        "options": dataclasses.asdict(source.options),
        "shape": [sum(map(len, rows)), *source.options.shape],
        "recordings": [[recording.name, len(part)] for recording, part in zip(dataset.recordings, rows, strict=True)],
    }


def _key(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def _open(folder: Path, identity: Mapping[str, Any], cycles: tuple[Cycle, ...]) -> FeatureBank | None:
    """Open a finished bank; None where there is none, or a file is foreign or was cut short (it is then remade)."""
    path = folder / "features.npy"
    try:
        written = json.loads((folder / "bank.json").read_text(encoding="utf-8"))
        features = np.lib.format.open_memmap(path, mode="r")
        size = path.stat().st_size
    except (OSError, ValueError):
        return None
    rightly_formed = features.shape == tuple(identity["shape"]) and features.dtype == np.dtype("<f4")
    complete = features.flags.c_contiguous and features.offset + features.nbytes == size
    if written != identity or not (rightly_formed and complete):
        return None
    labels = np.array([cycle.label for cycle in cycles], dtype=np.int64)
    return FeatureBank(features, cycles, labels, path)


def _make(
    folder: Path,
    identity: Mapping[str, Any],
    recordings: Sequence[Recording],
    source: Source,
    workers: int | None,
    on_progress: Progress | None,
) -> None:
    """Compute a bank; the caller holds its lock, so temporary files that lie there belong to no living process."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    (folder / "bank.json").unlink(missing_ok=True)
    with atomic_path(folder / "features.npy") as path:
        jobs = _lay_out(path, tuple(identity["shape"]), recordings, [rows for _, rows in identity["recordings"]])
        with closing(_run(jobs, source, path, usable_cores() if workers is None else max(1, workers))) as steps:
            for done, _ in enumerate(steps, start=1):
                if on_progress is not None:
                    on_progress(done, len(jobs))
    write_json(folder / "bank.json", identity)


def _lay_out(path: Path, shape: tuple[int, ...], recordings: Sequence[Recording], rows: Sequence[int]) -> list[Job]:
    """Write the file's header, reserve its space, so that a full disk shows at once, and say what goes where."""
    size = math.prod(shape[1:]) * 4
    with path.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        offset = stream.tell()
        stream.flush()
        os.posix_fallocate(stream.fileno(), offset, shape[0] * size)
    jobs = []
    for recording, count in zip(recordings, rows, strict=True):
        jobs.append(Job(recording, offset, count))
        offset += count * size
    return jobs


def _fill(job: Job, frontend: FrontEnd, path: Path) -> None:
    """Compute a recording and write it to its place."""
    features = _compute(job.recording, frontend).numpy()
    needed = (job.rows, *frontend.shape)
    if features.shape != needed or features.dtype != np.float32:
        # Written all the same, they would run into the place of another recording.
        raise SpecError(
            f"The front-end made {features.dtype} {features.shape} of {job.recording.name}, not float32 {needed}.",
            "Its features() must return what its options and shape say.",
        )
    with path.open("r+b") as stream:
        stream.seek(job.offset)
        # Row by row: the kernel lets one process at a time write to a file, and others wait awake for it.
        for row in np.ascontiguousarray(features):
            stream.write(row.data)
        stream.flush()
        # Linux begins to write these pages to the disk now, so that the final sync finds little left to do.
        os.posix_fadvise(stream.fileno(), job.offset, features.nbytes, os.POSIX_FADV_DONTNEED)


_helper: tuple[FrontEnd, Path] | None = None
"""In a helper process: the front-end and the file that it writes to."""


def _become_helper(frontend: FrontEnd, path: Path) -> None:
    import torch

    global _helper
    _helper = frontend, path
    die_with_parent()
    # A terminal's Ctrl-C and a scheduler's SIGTERM reach the helpers too: it is the parent that answers them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Recordings are what runs side by side. Besides, OpenMP's threads do not outlive a fork.
    torch.set_num_threads(1)


def _help(job: Job) -> None:
    assert _helper is not None
    _fill(job, *_helper)


def _run(jobs: Sequence[Job], source: Source, path: Path, workers: int) -> Generator[None]:
    """Compute jobs side by side; yields once per finished job.

    Helpers are forks, as those of torch's data loader are: torch is there already, where a fresh process would import
    it for longer than its share of the work takes. Threads would hand the interpreter to one another at each of some
    forty short operations per cycle (measured: a third slower).
    """
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), multiprocessing.get_context("fork"), _become_helper, (source.build(), path)
    )
    try:
        for finished in as_completed([pool.submit(_help, job) for job in jobs]):
            finished.result()
            yield
    except BrokenProcessPool as error:
        raise RunError(
            "A process that computed features was killed, perhaps for want of memory.", "Run the command again."
        ) from error
    finally:
        # After an error or Ctrl-C, recordings that nobody has begun are left alone.
        pool.shutdown(cancel_futures=True)
