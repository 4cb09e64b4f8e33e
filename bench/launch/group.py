"""Starts the processes of one run on this machine and waits for them.

The processes meet through a file and talk over the loopback interface: no port is opened to the network. Whether the
run is done is read from its result, never from exit codes.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError, InterruptedRunError, LostProcessError
from bench.core.files import temporary_folder
from bench.core.lifetimes import signal_name
from bench.core.locks import check_flock
from bench.core.log import SHORT_ID
from bench.engine.distributed import STORE_VARIABLE
from bench.engine.hooks import Watch
from bench.launch.child import KILLED_HINT, Child, Children, Grace, Work
from leaderboard.results.run_folder import RunFolder

GOES_ON = "The state is kept: the same command goes on from the last one that was saved."


def run_group(folder: Path, processes: int, cores: int, watch: Watch | None = None, grace: Grace | None = None) -> None:
    """Run one spec in several processes of this machine.

    Args:
        folder: The run's folder; its ``spec.json`` says what to run, and each process has a log there.
        processes: How many.
        cores: Cores that they share.
        watch: What a search asks after each epoch whether the run goes on; the first process asks it.
        grace: How long the processes may take to end.

    Raises:
        InterruptedRunError: If the group was stopped, also before it could listen.
        LostProcessError: If a process was killed, or ended without a word and without a result.
        BenchError: The error of the first process that reported one.
    """

    def answer(child: Child, question: Mapping[str, Any]) -> None:
        scores = {int(epoch): float(score) for epoch, score in question["scores"].items()}
        child.answer(watch(scores) if watch is not None else None)

    group: list[Child] = []
    in_order_of_end: list[Child] = []
    run = RunFolder(folder)
    with (
        temporary_folder("bench-group") as meeting,
        Children(answer, partners=True, is_over=run.has_result, grace=grace) as children,
    ):
        # The file through which torch lets the processes meet is locked with flock and nothing else.
        check_flock(meeting, "Name a folder on a local disk in TMPDIR, or use --processes 1.")
        for rank in range(processes):
            environment = _environment(rank, processes, meeting / "store", max(1, cores // processes))
            group.append(children.start(_work(run, rank, environment, watched=watch is not None)))
        in_order_of_end += children.ended()
    if not run.has_result():
        raise _reason(group, in_order_of_end, asked=children.asked)


def _work(run: RunFolder, rank: int, environment: Mapping[str, str], *, watched: bool) -> Work:
    return Work(
        module="bench.launch.rank",
        task={"folder": str(run.path), "rank": rank, "watched": watched},
        name=f"run {run.path.name}, rank {rank}",
        label=f"{run.path.name[:SHORT_ID]} rank {rank}",
        log=run.log_of(rank),
        environment=environment,
    )


def _environment(rank: int, processes: int, store: Path, threads: int) -> dict[str, str]:
    loopback = "lo" if sys.platform == "linux" else "lo0"
    return {
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


def _reason(group: Sequence[Child], in_order_of_end: Sequence[Child], *, asked: bool) -> BenchError:
    """Why a group has left no result.

    Args:
        group: Its processes, in the order of their ranks.
        in_order_of_end: The same, in the order in which they ended.
        asked: Whether they were asked to stop.
    """
    errors = [child.error for child in group if child.error is not None]
    for error in errors:
        if isinstance(error, InterruptedRunError):
            return error
    codes = [child.code or 0 for child in group]
    if asked and (not errors or any(code < 0 for code in codes)):
        return InterruptedRunError("Stopped before more of the state could be saved.")
    killed = _killed(in_order_of_end, reported=bool(errors))
    if killed is not None:
        return LostProcessError(
            f"Process {group.index(killed) + 1} of the run's {len(group)} was killed by "
            f"{signal_name(-(killed.code or 0))}.",
            f"{GOES_ON} {KILLED_HINT}",
        )
    if errors:
        return errors[0]
    told = ", ".join(str(code) for code in codes)
    return LostProcessError(f"The processes of the run ended with {told} and left no result.", GOES_ON)


def _killed(in_order_of_end: Sequence[Child], *, reported: bool) -> Child | None:
    """The process whose end by a signal ended the group, if one did.

    Partners that complain of the connection then end after it. NCCL aborts a process whose partner has failed, so that
    an abort says nothing where there is a report.
    """
    failed = [child for child in in_order_of_end if child.code]
    first = failed[0] if failed else None
    if first is None or not first.lost or (reported and first.code == -signal.SIGABRT):
        return None
    return first
