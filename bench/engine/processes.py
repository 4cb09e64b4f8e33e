"""Starts the processes of one run on this machine and waits for them.

The processes meet through a file and talk over the loopback interface: no port is opened to the network. They die with
their parent, however it ends. Whether the run is done is read from its result, never from exit codes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from bench.engine.distributed import STORE_VARIABLE
from bench.engine.hooks import Hooks, WatchedGroup, watched_group
from bench.engine.worker import error_file, read_error
from bench.errors import BenchError, InterruptedRunError, RunError

GRACE_SECONDS = 60.0
"""How long the others may take to end after one process ended with an error."""


def _environment(rank: int, processes: int, store: Path, threads: int) -> dict[str, str]:
    return {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": str(threads),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0"),
        STORE_VARIABLE: str(store),
    }


@contextlib.contextmanager
def _forward_signals(
    group: Sequence[subprocess.Popen[bytes]],
) -> Iterator[Callable[[int, FrameType | None], None]]:
    """Pass SIGTERM on, and outlive Ctrl-C (which the terminal sends to the whole group) until the state is saved."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in group:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield pass_on
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_group(folder: Path, processes: int, cores: int, hooks: Hooks | None = None) -> None:
    """Run one spec in several processes of this machine.

    Args:
        folder: The run's folder; its ``spec.json`` says what to run.
        processes: How many.
        cores: Cores that they share.
        hooks: What a search adds to the run; its watcher is asked by the first process.

    Raises:
        BenchError: The error of the first process that reported one; RunError if one was lost without a word.
    """
    hooks = hooks or Hooks()
    for rank in range(processes):
        error_file(folder, rank).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-group-") as meeting, watched_group(hooks.watch) as watched:
        group = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.engine.worker", str(folder)],
                env={
                    **_environment(rank, processes, Path(meeting) / "store", max(1, cores // processes)),
                    **(watched.variables if watched else {}),
                },
                pass_fds=(watched.there.fileno(),) if watched else (),
                # Of its own session, so that a Ctrl-C reaches it once, through the launcher.
                start_new_session=True,
            )
            for rank in range(processes)
        ]
        with _forward_signals(group) as pass_on:
            if hooks.stopped():
                pass_on(signal.SIGTERM, None)
            _wait(group, watched)
    _raise_first_error(folder, group)


def _wait(group: Sequence[subprocess.Popen[bytes]], watched: WatchedGroup | None) -> None:
    """Wait for all, answering their questions.

    Once one has failed, the others (which wait for it) get a grace period and are ended.
    """
    deadline = None
    while any(process.poll() is None for process in group):
        time.sleep(0.05)
        if watched is not None:
            watched.answer()
        if deadline is None and any(process.returncode not in (None, 0) for process in group):
            lost = any(process.returncode is not None and process.returncode < 0 for process in group)
            deadline = time.monotonic() + (1.0 if lost else GRACE_SECONDS)
        if deadline is not None and time.monotonic() > deadline:
            for process in group:
                process.kill()


def _raise_first_error(folder: Path, group: Sequence[subprocess.Popen[bytes]]) -> None:
    errors: list[BenchError] = []
    for rank in range(len(group)):
        path = error_file(folder, rank)
        if path.is_file():
            errors.append(read_error(path))
            path.unlink()
    # A process that lost its partner complains of the connection: what the partner said comes first.
    errors.sort(key=lambda error: not isinstance(error, InterruptedRunError))
    if errors:
        raise errors[0]
    if not (folder / "result.json").is_file():
        codes = ", ".join(str(process.returncode) for process in group)
        raise RunError(
            f"The processes of the run ended with {codes} and left no result.",
            "Look at the lines above; the same command goes on from the last saved state.",
        )
