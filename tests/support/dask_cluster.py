"""A real Dask scheduler and workers, each a process of its own, which listen on loopback alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = ["--host", "127.0.0.1", "--port", "0"]


class DaskCluster:
    """A scheduler, and workers that come and go.

    Args:
        folder: Where they write: logs, the scheduler's file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it says where it is."""
        self._start("scheduler", ["scheduler", *LOOPBACK, "--no-dashboard", "--scheduler-file", str(self.file)])
        # Dask creates the file before it writes it.
        wait_for(lambda: self.file.is_file() and self.file.read_text().endswith("}"), "the scheduler's file")
        self.address = json.loads(self.file.read_text())["address"]

    def add_worker(self, name: str, *, preload: str = "", threads: int = 1, **environment: str) -> None:
        """Start a worker.

        Args:
            name: What it is called.
            preload: Python that runs in it first.
            threads: Of Dask's.
            environment: Variables that it has besides this process's.
        """
        words = ["worker", self.address, "--name", name, "--host", "127.0.0.1", "--nthreads", str(threads)]
        words += ["--no-nanny", "--no-dashboard", "--local-directory", str(self.folder)]
        if preload:
            file = self.folder / f"preload_{name}.py"
            file.write_text(preload)
            words += ["--preload", str(file)]
        self._start(name, words, **environment)

    def _start(self, name: str, words: list[str], **environment: str) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path, **environment},
                start_new_session=True,
            )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process, and wait for its end."""
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(30)

    def close(self) -> None:
        """End all that still runs."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(30)


@contextlib.contextmanager
def dask_cluster(folder: Path, *workers: str) -> Iterator[DaskCluster]:
    """A scheduler with some workers."""
    cluster = DaskCluster(folder)
    try:
        cluster.start_scheduler()
        for name in workers:
            cluster.add_worker(name)
        yield cluster
    finally:
        cluster.close()


def wait_for(happened: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until something has happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not come in {seconds:g} s"
        time.sleep(0.02)
