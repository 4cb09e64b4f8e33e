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
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from bench.core.errors import BenchError, InterruptedRunError, LostProcessError
from bench.core.files import temporary_folder
from bench.core.lifetimes import signal_name, stop_signals
from bench.core.locks import check_flock
from bench.engine.distributed import STORE_VARIABLE
from bench.engine.hooks import WATCH_VARIABLE, Hooks, WatchedGroup, watched_group
from bench.launch.rank import read_error
from leaderboard.results.run_folder import RunFolder

GRACE_SECONDS = 60.0
"""How long the others may take to end after one process ended with an error, and all of them after the result."""

GRACE_SECONDS_AFTER_LOSS = 1.0
"""How long the others may take to end after one was killed: what they wait for never comes."""

GOES_ON = "The state is kept: the same command goes on from the last one that was saved."


def _environment(rank: int, processes: int, store: Path, threads: int) -> dict[str, str]:
    loopback = "lo" if sys.platform == "linux" else "lo0"
    return {
        # What another group left of its own watcher is not this one's.
        **{name: value for name, value in os.environ.items() if name != WATCH_VARIABLE},
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": str(threads),
        # Also where the environment names another one: a cluster's interface is no business of one machine.
        "GLOO_SOCKET_IFNAME": loopback,
        "NCCL_SOCKET_IFNAME": loopback,
        STORE_VARIABLE: str(store),
    }


def _command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "bench.launch.rank", str(folder)]


class Group:
    """The processes of one run, from their start to the end of the last one.

    Args:
        folder: The run's folder.
        size: How many processes.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = RunFolder(folder), size
        self.processes: list[subprocess.Popen[bytes]] = []
        self.asked = False
        self._ended_here: set[int] = set()
        self._first_to_end: list[int] = []

    def start(self, store: Path, cores: int, watched: WatchedGroup | None) -> None:
        """Start the processes; none any more once they were asked to stop."""
        for rank in range(self.size):
            if self.asked:
                return
            process = subprocess.Popen(
                _command(self.folder.path),
                env={
                    **_environment(rank, self.size, store, max(1, cores // self.size)),
                    **(watched.variables if watched else {}),
                },
                pass_fds=(watched.there.fileno(),) if watched else (),
                # Of its own session, so that a Ctrl-C reaches it once, through the launcher.
                start_new_session=True,
            )
            self.processes.append(process)
        if self.asked:
            # The signal may have come while the last one was being made.
            self.ask_to_stop()

    @contextlib.contextmanager
    def hearing_signals(self) -> Iterator[None]:
        """Pass signals on, and outlive them until the state is saved; a second Ctrl-C ends the processes at once."""

        def pass_on(number: int, frame: FrameType | None) -> None:
            if self.asked and number == signal.SIGINT:
                self.end()
            else:
                self.ask_to_stop()

        before = {number: signal.signal(number, pass_on) for number in stop_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ask_to_stop(self) -> None:
        """Ask every process to save its state and end."""
        self.asked = True
        for process in self.processes:
            process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """End what is left of the group."""
        for rank, process in enumerate(self.processes):
            if process.poll() is None:
                self._ended_here.add(rank)
                process.kill()

    def wait(self, watched: WatchedGroup | None) -> None:
        """Wait for all, answering their questions.

        Once one has failed, the others (which wait for it) get a grace period and are ended. So are those that stay
        after the result was written: a process can hang as it leaves the group.
        """
        deadline: float | None = None
        while any(process.poll() is None for process in self.processes):
            time.sleep(0.05)
            if watched is not None:
                watched.answer()
            if deadline is None:
                grace = self._grace()
                deadline = None if grace is None else time.monotonic() + grace
            elif time.monotonic() > deadline:
                self.end()
        self._grace()

    def _grace(self) -> float | None:
        """How long the others may still take; None while there is no reason for them to end."""
        failed = [rank for rank, process in enumerate(self.processes) if process.poll() not in (None, 0)]
        self._first_to_end = self._first_to_end or failed
        if any(self._lost(rank) for rank in failed):
            return GRACE_SECONDS_AFTER_LOSS
        reported = any(self.folder.error_of(rank).is_file() for rank in range(self.size))
        return GRACE_SECONDS if failed or reported or self.folder.has_result() else None

    def _lost(self, rank: int) -> bool:
        """Whether a process was ended by a signal that did not come from here."""
        code = self.processes[rank].returncode
        return code is not None and code < 0 and rank not in self._ended_here

    def raise_error(self) -> None:
        """Say how the group ended; nothing where it left a result.

        Raises:
            InterruptedRunError: If it was stopped, also before it could listen.
            LostProcessError: If a process was killed, or ended without a word and without a result.
            BenchError: The error of the first process that reported one.
        """
        errors = self._reported()
        if self.folder.has_result():
            return
        for error in errors:
            if isinstance(error, InterruptedRunError):
                raise error
        codes = [process.returncode for process in self.processes]
        if self.asked and (not errors or any(code < 0 for code in codes)):
            raise InterruptedRunError("Stopped before more of the state could be saved.")
        killed = self._killed(bool(errors))
        if killed is not None:
            raise LostProcessError(
                f"Process {killed + 1} of the run's {self.size} was killed by {signal_name(-codes[killed])}.",
                f"{GOES_ON} SIGKILL out of nowhere is what a machine does that runs out of memory.",
            )
        if errors:
            raise errors[0]
        told = ", ".join(str(code) for code in codes)
        raise LostProcessError(f"The processes of the run ended with {told} and left no result.", GOES_ON)

    def _killed(self, reported: bool) -> int | None:
        """The process whose end by a signal ended the group, if one did.

        Partners that complain of the connection then end after it. NCCL aborts a process whose partner has failed, so
        that an abort says nothing where there is a report.
        """
        for rank in self._first_to_end:
            if self._lost(rank) and not (reported and self.processes[rank].returncode == -signal.SIGABRT):
                return rank
        return None

    def _reported(self) -> list[BenchError]:
        """The errors that processes left behind, in their order; their files are removed."""
        errors = []
        for rank in range(self.size):
            path = self.folder.error_of(rank)
            if path.is_file():
                errors.append(read_error(path))
                path.unlink()
        return errors


def run_group(folder: Path, processes: int, cores: int, hooks: Hooks | None = None) -> None:
    """Run one spec in several processes of this machine.

    Args:
        folder: The run's folder; its ``spec.json`` says what to run.
        processes: How many.
        cores: Cores that they share.
        hooks: What a search adds to the run; its watcher is asked by the first process.

    Raises:
        InterruptedRunError: If the group was stopped.
        LostProcessError: If a process was killed, or lost without a word.
        BenchError: The error of the first process that reported one.
    """
    hooks = hooks or Hooks()
    for rank in range(processes):
        RunFolder(folder).error_of(rank).unlink(missing_ok=True)
    group = Group(folder, processes)
    with (
        temporary_folder("bench-group") as meeting,
        watched_group(hooks.watch) as watched,
        group.hearing_signals(),
    ):
        # The file through which torch lets the processes meet is locked with flock and nothing else.
        check_flock(meeting, "Name a folder on a local disk in TMPDIR, or use --processes 1.")
        if hooks.stopped():
            group.ask_to_stop()
        try:
            group.start(meeting / "store", cores, watched)
            group.wait(watched)
        finally:
            group.end()
    group.raise_error()
