"""A running Dask cluster, as a driver of runs sees it: its scheduler, and the workers that can carry out runs."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.core.errors import BenchError, RunError, SpecError
from bench.core.files import write_json
from bench.core.text import echoed
from bench.core.version import __version__
from bench.launch.executors.dask_worker import Description, carry_out, describe, stop
from bench.launch.jobs import Ended, Job

logger = logging.getLogger(__name__)

VARIABLE = "DASK_SCHEDULER_ADDRESS"
CONNECT_SECONDS = 8.0
"""How long the scheduler may take to answer at first."""

ANSWER_SECONDS = 30.0
"""How long the scheduler or a worker may take to answer later; one under load takes some seconds."""

LOOK_SECONDS = 0.5
"""Between two looks at which workers there are."""


@dataclass(frozen=True)
class Worker:
    """A worker that can carry out runs: its address, and how it described itself."""

    address: str
    about: Description

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.about.name if self.about.name != self.address else self.address


def scheduler_place(named: str | None) -> dict[str, str]:
    """Where the scheduler is, in the words of Dask's client.

    Args:
        named: An address (``tcp://host:8786``, ``tls://…``) or the scheduler's file; None for what Dask's own
            variable and configuration say.

    Raises:
        SpecError: If nothing says where it is, or its file is not there.
    """
    import dask

    named = named or os.environ.get(VARIABLE) or dask.config.get("scheduler-address", None)
    if not named:
        raise SpecError(
            "Nothing says where the Dask scheduler is.",
            f"Give --scheduler tcp://HOST:8786, the file of `dask scheduler --scheduler-file`, or set {VARIABLE}.",
        )
    if "://" in named or not named.endswith(".json"):
        return {"address": named}
    if not Path(named).is_file():
        raise SpecError(
            f"The Dask scheduler's file {echoed(named)} is not there.", "`dask scheduler --scheduler-file` writes it."
        )
    return {"scheduler_file": named}


def connected(named: str | None) -> Any:
    """A client of the scheduler.

    Args:
        named: As for :func:`scheduler_place`.

    Raises:
        SpecError: If Dask is not installed, or the scheduler does not answer.
    """
    try:
        import distributed
    except ImportError as error:
        raise SpecError(
            "--launcher dask needs the package distributed.", "Install it: pip install 'lungbench[dask]'"
        ) from error
    place = scheduler_place(named)
    (words,) = place.values()
    try:
        return distributed.Client(**place, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        # Dask says what is wrong with addresses and with TLS in exceptions of Python's own classes.
        said = " ".join(str(error).split())
        raise SpecError(
            f"No Dask scheduler answers at {echoed(words)}: {echoed(said)}",
            "Start one (`dask scheduler`), or check the address and, for tls://, the certificates in Dask's "
            "configuration.",
        ) from error


class Cluster:
    """The scheduler and its workers.

    Args:
        client: What :func:`connected` gave.
        folder: The folder of the jobs, which every worker has to see.

    Attributes:
        workers: Those that can carry out runs, by address.
    """

    def __init__(self, client: Any, folder: Path) -> None:
        self.address = str(client.scheduler.address)
        self.workers: dict[str, Worker] = {}
        self._client = client
        self._folder = folder
        self._busy: frozenset[str] = frozenset()
        self._unfit: dict[str, str] = {}
        self._looked = float("-inf")
        self._count: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self._client.close(timeout=2)

    def check(self) -> None:
        """Look at the workers there are, and refuse a cluster with one that cannot carry out runs.

        Raises:
            SpecError: If one does not see the folder, or has another version of lungbench.
            RunError: If the scheduler does not answer.
        """
        self.look()
        for reason in self._unfit.values():
            raise SpecError(reason)

    def look(self) -> None:
        """See which workers there are now; soon after the last look nothing is asked.

        Raises:
            RunError: If the scheduler does not answer any more.
        """
        if time.monotonic() < self._looked + LOOK_SECONDS:
            return
        processing: Mapping[str, Sequence[str]] = self._answer(self._client.processing)
        self._busy = frozenset(address for address, keys in processing.items() if keys)
        for gone in self.workers.keys() - processing.keys():
            del self.workers[gone]
        self._meet(sorted(processing.keys() - self.workers.keys() - self._unfit.keys()))
        self._tell()
        self._looked = time.monotonic()

    def forget(self, worker: Worker) -> None:
        """Ask a worker anew what it is before it is given anything: another one may have taken its address."""
        self.workers.pop(worker.address, None)

    def idle(self, taken: Collection[str]) -> list[Worker]:
        """Workers that nobody has given anything to do.

        Args:
            taken: Addresses of those that were given a job from here, whether the scheduler knows of it yet or not.
        """
        return [it for it in self.workers.values() if it.address not in self._busy and it.address not in taken]

    def submit(self, job: Job, path: Path, worker: Worker, hear: Callable[[Any], None]) -> Any:
        """Give a job to a worker.

        Args:
            job: The job.
            path: Its file.
            worker: Who carries it out; nobody else does.
            hear: Called with the future, in another thread, when it is done.

        Returns:
            Dask's future, whose key names this attempt.
        """
        attempt = f"bench-{job.key}-{secrets.token_hex(4)}"
        future = self._client.submit(
            carry_out,
            path,
            attempt,
            worker.about.identity,
            key=attempt,
            workers=[worker.address],
            allow_other_workers=False,
            retries=0,
            pure=False,
        )
        future.add_done_callback(hear)
        return future

    def result(self, future: Any) -> Ended:
        """What the task of a future gave.

        Raises:
            OSError: If what it gave was lost with its worker, or the scheduler does not answer.
        """
        ended: Ended = future.result(timeout=ANSWER_SECONDS)
        return ended

    def stop(self, attempts: Mapping[str, Collection[str]]) -> None:
        """Ask attempts, by the address of their worker, to save their state and end; of lost workers is heard later."""
        for address, keys in attempts.items():
            self._answer(self._ask, stop, [address], list(keys))

    def cancel(self, futures: Sequence[Any]) -> None:
        """Let the scheduler forget futures; what a worker has begun of them goes on."""
        self._answer(self._client.cancel, list(futures))

    def _answer(self, method: Callable[..., Any], *words: Any) -> Any:
        async def answered() -> Any:
            return await method(*words)

        try:
            return self._client.sync(answered, callback_timeout=ANSWER_SECONDS)
        except OSError as error:  # among them time-outs and closed connections
            raise RunError(
                f"The Dask scheduler at {self.address} does not answer any more.",
                "Its workers end the runs that they had; when it is there again, the same command goes on from their "
                "last saved states.",
            ) from error

    async def _ask(self, function: Callable[..., Any], addresses: Sequence[str], *words: Any) -> dict[str, Any]:
        """What a function gives in the event loop of each worker; or the error that kept it from that."""

        async def asked(address: str) -> Any:
            try:
                ran = self._client.run(function, *words, workers=[address], on_error="return")
                found: Mapping[str, Any] = await asyncio.wait_for(ran, ANSWER_SECONDS / 2)
            except OSError as error:
                return error
            return found.get(address)

        return dict(zip(addresses, await asyncio.gather(*map(asked, addresses)), strict=True))

    def _meet(self, addresses: Sequence[str]) -> None:
        """Hear from new workers what they are; who is lost or busy meanwhile is asked at the next look."""
        if not addresses:
            return
        sign = self._folder / f"sign-{secrets.token_hex(4)}.json"
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(sign, {"scheduler": self.address})
        try:
            found = self._answer(self._ask, describe, addresses, sign)
        finally:
            sign.unlink(missing_ok=True)
        for address, about in found.items():
            if about is None or isinstance(about, OSError):
                continue
            reason = unfit(address, about, self._folder)
            if reason is None:
                self.workers[address] = Worker(address, about)
                self._tell_of_threads(about)
            else:
                self._unfit[address] = reason
                if self._count is not None:
                    logger.warning(f"{reason} Nothing is carried out there.")

    def _tell_of_threads(self, about: Description) -> None:
        if about.threads > 1:
            logger.warning(
                f"The Dask worker {about.name} has {about.threads} threads, and carries out one run at a time all the "
                "same: start one worker per device with --nthreads 1."
            )

    def _tell(self) -> None:
        """Say it where there are no workers, and when there are some again."""
        count = len(self.workers)
        if not count and self._count != 0:
            logger.info(f"waiting for workers: the Dask scheduler at {self.address} has none")
        elif count and not self._count:
            logger.info(f"the Dask scheduler at {self.address} has {count} worker{'s' if count > 1 else ''}")
        self._count = count


def unfit(address: str, about: Description | BaseException, folder: Path) -> str | None:
    """Why a worker cannot carry out runs, as a sentence; None where it can.

    Args:
        address: The worker.
        about: How it described itself, or the error that kept it from that.
        folder: The folder of the jobs.
    """
    if isinstance(about, BaseException):
        said = echoed(f"{type(about).__name__}: {about}")
        return (
            f"The Dask worker {address} cannot carry out runs ({said}): "
            f"install lungbench {__version__} with all that it needs there."
        )
    if about.version != __version__:
        return (
            f"The Dask worker {about.name} on {about.host} has lungbench {about.version}, and here is {__version__}: "
            "install the same version on both."
        )
    if not about.has_folder:
        return (
            f"The Dask worker {about.name} on {about.host} does not see the folder {folder}, or may not write there: "
            "--home (or BENCH_HOME) has to be on a disk that this machine and all workers share under one path."
        )
    return None


def unfit_for(job: Job, worker: Worker, workers: Collection[Worker]) -> str | None:
    """Why a worker can never carry out a job, as a sentence; None where it can.

    Args:
        job: The job.
        worker: The worker.
        workers: All workers.
    """
    if job.device != "cuda":
        return None
    devices = worker.about.devices
    if devices is not None and len(devices) < job.processes:
        seen = f"{len(devices)} GPU{'' if len(devices) == 1 else 's'}"
        return f"{job.name} needs {job.processes}, and the Dask worker {worker.name} sees {seen}"
    for other in workers:
        theirs = other.about.devices
        shared = devices is None or theirs is None or set(devices) & set(theirs)
        if other is not worker and other.about.host == worker.about.host and shared and theirs != ():
            return (
                f"the Dask workers {worker.name} and {other.name} on {worker.about.host} share a GPU: give each a "
                "CUDA_VISIBLE_DEVICES of its own"
            )
    return None


def task_error(error: BaseException, job: Job) -> BenchError:
    """What an error of Dask's says about a job that a worker carried out."""
    return RunError(f"Dask cannot carry out {job.name}: {echoed(f'{type(error).__name__}: {error}')}")
