"""A folder of the cache that holds what was computed once from a whole data set: whole, or not there.

It lies in ``<cache>/<kind>/<key>/``, where the key is a hash of all that the numbers depend on, so that it never goes
stale. Its description, ``bank.json``, is written last and says what the files hold, with a checksum of each row. One
process makes a bank at a time (the lock dies with it); a second one waits and opens the result.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.core.errors import DataError, StoreError
from bench.core.files import exclusive_lock, sweep
from bench.core.machine import usable_cores
from bench.data.forks import share_jobs
from bench.data.unfinished import KEPT_DAYS, give_up

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.dataset import Cycle, Dataset, Recording

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")
BankT = TypeVar("BankT")

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


def check_has_cycles(dataset: Dataset) -> None:
    """Refuse a data set of which nothing can be computed.

    Raises:
        DataError: If it holds no cycle.
    """
    if not dataset.cycles:
        raise DataError(f"The data below {dataset.root} holds no annotated cycle.", "Run `bench data verify`.")


def bank_identity(
    dataset: Dataset, frontend: Mapping[str, Any], rows: Sequence[Sequence[Cycle]], **form: Any
) -> dict[str, Any]:
    """What says which numbers a bank holds.

    Args:
        dataset: The recordings and cycles.
        frontend: What says which front-end it is, with its options.
        rows: The cycle of each row of each recording.
        **form: What else says in which form they are.
    """
    counts = [[recording.name, len(part)] for recording, part in zip(dataset.recordings, rows, strict=True)]
    return {"format": FORMAT, "data": dataset.fingerprint, **frontend, **form, "recordings": counts}


def bank_folder(cache: Path, kind: str, identity: Mapping[str, Any]) -> Path:
    """The folder of a bank.

    Args:
        cache: Cache folder.
        kind: What such banks hold.
        identity: What says which numbers this one holds.
    """
    # Eighty bits are plenty for a cache: a folder whose description differs is not used anyway.
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
    return cache / kind / key


def open_or_make(folder: Path, open_bank: Callable[[], BankT | None], make_bank: Callable[[], None]) -> BankT:
    """Open a bank; make it first where it is not there, is foreign, or was damaged.

    Args:
        folder: The bank's folder.
        open_bank: Opens a finished bank; gives None where there is none.
        make_bank: Makes it, after :func:`clear_bank`; called by one process at a time.

    Raises:
        StoreError: If the cache cannot be written, or the bank changed at once.
    """
    _sweep_banks(folder.parent)
    bank = open_bank()
    if bank is None:
        with exclusive_lock(folder / "lock"):
            # Whoever held the lock before may have made it.
            if open_bank() is None:
                make_bank()
        bank = open_bank()
    if bank is None:
        raise StoreError(f"The bank {folder} changed while it was opened.", "Run the command again.")
    return bank


def _sweep_banks(folder: Path) -> None:
    """Remove what killed processes left of banks, which may be gigabytes of data that nobody asks for again.

    What a stopped one can go on from stays for a while.
    """
    with suppress(OSError):
        for bank in folder.iterdir():
            sweep(bank)
            give_up(bank, older_than_days=KEPT_DAYS)


def clear_bank(folder: Path) -> None:
    """Clear a bank's folder for a bank that is made; the caller holds its lock.

    Args:
        folder: The bank's folder.
    """
    # Under the lock temporary files that lie there belong to no living process.
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    # A bank without its description counts as none: whatever stops what follows leaves nothing that looks whole.
    (folder / DESCRIPTION).unlink(missing_ok=True)


def read_description(folder: Path, identity: Mapping[str, Any], found: Sequence[str]) -> dict[str, Any] | None:
    """Read what a finished bank's description says that was found when it was made.

    Args:
        folder: The bank's folder.
        identity: What says which numbers are asked for.
        found: Names of the fields that say what was computed, not what was asked for.

    Returns:
        Those fields that are there; None where there is no description, or it is of another bank.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(described, dict):
        return None
    fields = {name: described.pop(name) for name in found if name in described}
    return fields if described == identity else None


def reserve_space(descriptor: int, offset: int, size: int) -> None:
    """Have the disk set space aside; where the system (macOS) or the file system cannot, a full disk shows later.

    Args:
        descriptor: A file that is open for writing.
        offset: Byte at which the space begins.
        size: Number of bytes.

    Raises:
        OSError: If the disk is full.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, offset, size)
    except OSError as error:
        if error.errno not in CANNOT_RESERVE:
            raise


def begin_writeback(descriptor: int, offset: int, size: int) -> None:
    """Have Linux begin to write pages to the disk now, so that the final sync finds little left to do; only a hint.

    Args:
        descriptor: A file that was written to.
        offset: Byte at which the pages begin.
        size: Number of bytes.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def results_of(
    work: Callable[[JobT], ResultT],
    jobs: Sequence[JobT],
    workers: int | None,
    on_progress: Progress | None,
    *,
    already: int = 0,
) -> Iterator[Iterator[tuple[int, ResultT]]]:
    """Compute jobs side by side in forks of this process, which end with the block.

    Helpers are forks, as those of torch's data loader are: torch is there already, where a fresh process would import
    it for longer than its share of the work takes. Threads would hand the interpreter to one another at each of some
    forty short operations per cycle (measured: a third slower).

    Args:
        work: Does a job.
        jobs: The jobs, one for each recording.
        workers: Jobs that are done at once; as many as there are usable cores by default.
        on_progress: Told when the block has taken a result.
        already: Recordings that were done before, for the progress.

    Yields:
        An iterator over the place of each job and its result, as jobs are done.
    """
    forks = usable_cores() if workers is None else max(1, workers)
    with closing(share_jobs(work, jobs, forks, _use_one_thread)) as steps:
        yield _reported(steps, already, len(jobs), on_progress)


def _reported(
    steps: Iterable[tuple[int, ResultT]], already: int, left: int, on_progress: Progress | None
) -> Iterator[tuple[int, ResultT]]:
    for done, step in enumerate(steps, start=already + 1):
        yield step
        if on_progress is not None:
            on_progress(done, already + left)


def _use_one_thread() -> None:
    """Recordings are what runs side by side. Besides, OpenMP's threads do not outlive a fork."""
    import torch

    torch.set_num_threads(1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread of torch while the block runs, as forks do: sums over several have other last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read_recording(recording: Recording) -> tuple[Tensor, int, list[tuple[float, float]]]:
    """Read what a front-end needs of a recording.

    Args:
        recording: A recording with audio.

    Returns:
        (samples,) float32, the rate in Hz, and start and end of each cycle in seconds.

    Raises:
        DataError: If it has no audio, or that cannot be read.
    """
    import torch

    from bench.data.samples import read_samples

    if recording.audio is None:
        raise DataError(f"The recording {recording.name} has no audio file.", "Run `bench data fetch`.")
    wave, rate = read_samples(recording.audio)
    return torch.from_numpy(wave), rate, [(cycle.start, cycle.end) for cycle in recording.cycles]
