"""Starts the processes of one run on this machine and waits for them.

The processes meet through a file and talk over the loopback interface: no port is opened to the network. Whether the
run is done is read from its result, never from exit codes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.files import temporary_folder
from bench.core.locks import check_flock
from bench.core.log import SHORT_ID
from bench.engine.distributed import STORE_VARIABLE
from bench.engine.hooks import Watch
from bench.launch.child import Child, Children, Grace, Hear, Work
from bench.launch.group_ends import RankEnd, reason_of
from leaderboard.results.run_folder import RunFolder


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
    group: list[Child] = []
    ends: list[RankEnd] = []
    run = RunFolder(folder)
    with (
        temporary_folder("bench-group") as meeting,
        Children(answer_of(watch), partners=True, is_over=run.has_result, grace=grace) as children,
    ):
        # The file through which torch lets the processes meet is locked with flock and nothing else.
        check_flock(meeting, "Name a folder on a local disk in TMPDIR, or use --processes 1.")
        for rank in range(processes):
            environment = rank_environment(rank, processes, meeting / "store", max(1, cores // processes))
            group.append(children.start(rank_work(run, rank, environment, watched=watch is not None)))
        ends += [RankEnd.of(group.index(child), child) for child in children.ended()]
    if not run.has_result():
        raise reason_of(ends, asked=children.asked)


def answer_of(watch: Watch | None) -> Hear:
    """What answers the first rank of a run, which asks after each epoch whether the run goes on.

    Args:
        watch: What decides; None where nobody does.
    """

    def answer(child: Child, question: Mapping[str, Any]) -> None:
        scores = {int(epoch): float(score) for epoch, score in question["scores"].items()}
        child.answer(watch(scores) if watch is not None else None)

    return answer


def rank_work(run: RunFolder, rank: int, environment: Mapping[str, str], *, watched: bool) -> Work:
    """What the process of a rank shall do.

    Args:
        run: The run's folder.
        rank: The rank.
        environment: How it meets the others, and what of the machine is its own.
        watched: Whether somebody decides after each epoch whether the run goes on.
    """
    return Work(
        module="bench.launch.rank",
        task={"folder": str(run.path), "rank": rank, "watched": watched},
        name=f"run {run.path.name}, rank {rank}",
        label=f"{run.path.name[:SHORT_ID]} rank {rank}",
        log=run.log_of(rank),
        environment=environment,
    )


def loopback_alone() -> dict[str, str]:
    """The variables that keep what ranks say on this machine, also where the environment names an interface."""
    loopback = "lo" if sys.platform == "linux" else "lo0"
    return {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}


def rank_environment(rank: int, processes: int, store: Path, threads: int) -> dict[str, str]:
    """The variables by which a rank meets the others on this machine.

    Args:
        rank: The rank.
        processes: How many there are.
        store: The file through which they meet.
        threads: Threads of each.
    """
    return {
        **loopback_alone(),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": str(threads),
        STORE_VARIABLE: str(store),
    }
