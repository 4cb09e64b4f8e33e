"""A running Dask cluster, as a driver of runs sees it: its scheduler, and the workers that can carry out runs."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bench.core.errors import RunError, SpecError
from bench.core.files import write_json
from bench.core.text import counted_noun
from bench.launch.executors.dask_fitness import Worker, shared_gpus, unfit, unfit_for
from bench.launch.executors.dask_worker import Description, carry_out, describe, stop
from bench.launch.jobs import Ended, Job

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
"""How long the scheduler or a worker may take to answer; one under load takes some seconds."""

LOOK_SECONDS = 0.5
"""Between two looks at which workers there are."""


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
        self._shared: dict[str, str] = {}
        self._first: tuple[tuple[Worker, ...], dict[str, str]] = ((), {})
        self._waited_for: set[str] = set()
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
        self._first = (tuple(self.workers.values()), self._shared)

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
        self._shared = shared_gpus(self.workers.values())
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

    def unfit_for(self, job: Job, worker: Worker) -> str | None:
        """Why a worker cannot carry out a job, as the end of a sentence; None where it can."""
        return unfit_for(job, worker, self._shared)

    def refusal(self, job: Job) -> str | None:
        """Why no worker of the beginning can carry out a job, as the end of a sentence; what one could waits later."""
        workers, shared = self._first
        reasons = [unfit_for(job, worker, shared) for worker in workers]
        return reasons[0] if all(reasons) and reasons else None

    def wait_for_other(self, job: Job) -> None:
        """Say, once for each reason, that none of the idle workers can carry out a job."""
        reasons = [self.unfit_for(job, worker) for worker in self.workers.values()]
        if reasons and reasons[0] is not None and all(reasons) and reasons[0] not in self._waited_for:
            self._waited_for.add(reasons[0])
            logger.warning(f"waiting for a worker that can carry out {job.name}: {reasons[0]}")

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
        if futures:
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
            logger.info(f"the Dask scheduler at {self.address} has {counted_noun(count, 'worker')}")
        self._count = count
