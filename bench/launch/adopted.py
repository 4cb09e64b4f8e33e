"""Runs in the processes that another launcher started: the first one leads, the others follow.

The first process does all that a command does alone: it has the run's lock and the board, looks what is done, and
prints. For each run that is to be trained it tells the others the run's folder, and every process starts a rank there.
The others know of nothing else; they end with the first one's exit code.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, RunError, SpecError
from bench.core.log import LEVEL_VARIABLE, show_log
from bench.core.machine import usable_cores
from bench.core.process_group import ADOPTED_VARIABLE, ProcessGroup, adoption
from bench.core.text import echoed
from bench.engine.hooks import Watch
from bench.launch.child import LOOK_SECONDS, Children, Grace
from bench.launch.group import answer_of, loopback_alone, rank_work
from bench.launch.group_channel import GroupChannel, Silence, channel_to, group_channel, lost_first
from bench.launch.group_ends import RankEnd, reason_of
from leaderboard.results.run_folder import RunFolder

PATIENCE, SHORT_PATIENCE = 30, 5
"""Seconds without a sign of life after which a process counts as gone; the shorter where something is wrong already."""

FAREWELL_SECONDS = 60.0
"""What the others may take to hear of the end; one that still loads torch comes for it."""

SHARED_DISK_SECONDS = 30.0
"""What a file of the first process may take to be seen on another machine: network disks remember what they lacked."""


def lead(group: ProcessGroup, command: Callable[[], int], words: Sequence[str] = ()) -> int:
    """Be the first process of a group: carry out a command, and tell the others its exit code.

    Args:
        group: The group.
        command: Does it and gives its exit code; the runs that it launches are shared with the others.
        words: The command as it was given.

    Raises:
        RunError: If the processes cannot meet.
    """
    with group_channel(group, bool) as channel:
        channel.tell_command(words)
        os.environ.update(adoption(channel.group))
        code = RunError.exit_code
        try:
            code = command()
        finally:
            del os.environ[ADOPTED_VARIABLE]
            # A store that has gone with its launcher tells the others by itself.
            with contextlib.suppress(RuntimeError):
                _take_leave(channel, code)
    return code


def _take_leave(channel: GroupChannel, code: int) -> None:
    """Tell the others to end, and wait until they know: they find out here, or not at all."""
    channel.order({"code": code})
    silence, deadline = Silence(channel), time.monotonic() + FAREWELL_SECONDS
    left = set(range(1, channel.group.size))
    while left and time.monotonic() < deadline:
        silence.look(left)
        left -= {rank for rank in left if channel.has_left(rank) or silence.is_silent(rank, SHORT_PATIENCE)}
        time.sleep(LOOK_SECONDS / 2)


def run_adopted_group(
    group: ProcessGroup, folder: Path, watch: Watch | None = None, grace: Grace | None = None
) -> None:
    """Run one spec in the processes of an adopted group; called on the side of the first one.

    Args:
        group: The group that has been adopted.
        folder: The run's folder, on a disk that all machines of the group share; its ``spec.json`` says what to run.
        watch: What a search asks after each epoch whether the run goes on.
        grace: How long the processes may take to end.

    Raises:
        InterruptedRunError: If the group was stopped.
        LostProcessError: If a process was killed, or ended without a word and without a result.
        BenchError: The error of the first process that reported one.
    """
    run = RunFolder(folder.absolute())
    with Children(answer_of(watch), partners=True, is_over=run.has_result, grace=grace) as children:
        try:
            leading = _LedRun(run, channel_to(group), children, grace or Grace())
            leading.start(watched=watch is not None)
            ends = leading.ends()
        except RuntimeError as error:
            raise LostProcessError(f"The store of {group.launcher}, where the processes meet, has gone.") from error
    if not run.has_result():
        raise reason_of(ends, asked=children.asked)


class _LedRun:
    """One run of a group, as its first process sees it.

    Args:
        run: The run's folder.
        channel: The channel to the others.
        children: Has the first rank.
        grace: How long ranks may take to end once there is a reason for it.
    """

    def __init__(self, run: RunFolder, channel: GroupChannel, children: Children, grace: Grace) -> None:
        self.run, self.channel, self.children, self.grace = run, channel, children, grace
        self.silence = Silence(channel)
        self.awaited = set(range(1, channel.group.size))
        self.found: list[RankEnd] = []
        self.limit = float("inf")
        self.number = 0

    def start(self, *, watched: bool) -> None:
        """Start the first rank, and tell the others to start theirs."""
        # The order's number is a part of the place where they meet: the order comes first.
        order = {
            "folder": str(self.run.path),
            "spec": digest_of(self.run.spec),
            "watched": watched,
            "log": os.environ.get(LEVEL_VARIABLE, "info"),
        }
        self.number = self.channel.order(order)
        try:
            environment = rank_environment(self.channel.group, self.number)
            self.children.start(rank_work(self.run, 0, environment, watched=watched))
        except BaseException:
            self.channel.limit(self.number, 0)
            raise

    def ends(self) -> list[RankEnd]:
        """Wait for all ranks; gives how each ended, in that order."""
        try:
            while self.children.alive or self.awaited:
                for child in self.children.look(LOOK_SECONDS):
                    self._note(RankEnd.of(0, child))
                for end in self.channel.ends(self.number, self.awaited):
                    self._note(end)
                self._note_silent()
        finally:
            if self.awaited:
                self.channel.limit(self.number, 0)
        # A rank that complains of a connection may be heard of before the killed one that it was connected to.
        return sorted(self.found, key=lambda end: not end.lost)

    def _note(self, end: RankEnd) -> None:
        self.found.append(end)
        self.awaited.discard(end.rank)
        seconds = self.grace.loss if end.lost else self.grace.word if self._is_over() else self.grace.done
        self.children.limit(seconds)
        if seconds < self.limit:
            self.limit = seconds
            self.channel.limit(self.number, seconds)

    def _is_over(self) -> bool:
        return self.run.has_result() or any(end.failed for end in self.found)

    def _note_silent(self) -> None:
        self.silence.look(self.awaited)
        wrong = self.children.asked or any(end.failed for end in self.found)
        patience = SHORT_PATIENCE if wrong else PATIENCE
        for rank in sorted(self.awaited):
            if self.silence.is_silent(rank, patience):
                self._note(RankEnd(rank, code=None, lost=True))
                self.channel.leave(rank)


def follow(group: ProcessGroup, words: Sequence[str] = ()) -> int:
    """Be another process of a group: start a rank of each run that the first one says, until it says the end.

    Args:
        group: The group.
        words: The command as this process was given it.

    Returns:
        The exit code of the first process.

    Raises:
        SpecError: If the first process was given another command, and has done it.
        RunError: If the first process does not come.
        LostProcessError: If it has gone.
        InterruptedRunError: If this process was asked to stop, and the first one says nothing any more.
    """
    show_log()
    with Children() as children, group_channel(group, lambda: children.asked) as channel:
        try:
            return _Follower(channel, children, words).follow()
        except RuntimeError as error:
            # Errors of the store, which ends with the first process or with the launcher.
            raise lost_first(group) from error


class _Follower:
    """Another process than the first one.

    Args:
        channel: The channel to the first one.
        children: Has this process's rank, and hears of signals.
        words: The command that this process was given.
    """

    def __init__(self, channel: GroupChannel, children: Children, words: Sequence[str]) -> None:
        self.channel, self.children, self.words = channel, children, list(words)
        self.group = channel.group
        self.silence = Silence(channel)

    def follow(self) -> int:
        """Do what the first process says; gives its exit code."""
        number = 1
        while True:
            order = self._order(number)
            if "code" in order:
                self.channel.leave(self.group.rank)
                if order["code"] == 0:
                    self._check_command()
                return int(order["code"])
            self.channel.tell_end(number, self._carry_out(order, number))
            number += 1

    def _order(self, number: int) -> Any:
        while (order := self.channel.order_of(number)) is None:
            self._look()
        return order

    def _look(self) -> None:
        """Hear what the own rank tells, and make sure that the first process is there."""
        self.children.look(LOOK_SECONDS)
        self.silence.look([0])
        if self.silence.is_silent(0, SHORT_PATIENCE if self.children.asked else PATIENCE):
            raise InterruptedRunError("Stopped.") if self.children.asked else lost_first(self.group)

    def _carry_out(self, order: Any, number: int) -> RankEnd:
        """Be a rank of a run to its end."""
        run, rank = RunFolder(Path(order["folder"])), self.group.rank
        try:
            self._check_command()
            self._wait_for(run, order["spec"])
            environment = {**rank_environment(self.group, number), LEVEL_VARIABLE: order["log"]}
            child = self.children.start(rank_work(run, rank, environment, watched=order["watched"]))
        except BenchError as error:
            return RankEnd(rank, error.exit_code, error)
        while self.children.alive:
            self._look()
            seconds = self.channel.limit_of(number)
            if seconds is None and self.channel.order_of(number + 1) is not None:
                # Whoever led this run has gone without a word, as the process of a job does that is killed.
                seconds = SHORT_PATIENCE
            if seconds is not None:
                self.children.limit(seconds)
        return RankEnd.of(rank, child)

    def _check_command(self) -> None:
        """Refuse to lend a rank to another command than this process was given: its own would never be done."""
        first = self.channel.command()
        if first != self.words:
            which = f"Process {self.group.rank + 1} of the {self.group.size} that {self.group.launcher} started"
            commands = (echoed(" ".join(words), 300) for words in (self.words, first))
            raise SpecError(
                f"{which} was given another command than the first one: `bench {next(commands)}`, not "
                f"`bench {next(commands)}`.",
                "They share one run. Several runs are `--seeds 1-5`, `bench matrix`, or a launcher for each.",
            )

    def _wait_for(self, run: RunFolder, spec: str | None) -> None:
        """Wait until this machine sees the spec that the first process has written, and no earlier one."""
        deadline = time.monotonic() + SHARED_DISK_SECONDS
        while digest_of(run.spec) != spec:
            if time.monotonic() > deadline:
                raise RunError(
                    f"Process {self.group.rank + 1} of the run's {self.group.size} does not see {run.path}.",
                    "The results folder must be on a disk that all nodes share: name one with --home or BENCH_HOME.",
                )
            with contextlib.suppress(OSError):
                # Reading the folder makes a network disk look again.
                list(run.path.parent.iterdir())
            self._look()


def digest_of(path: Path) -> str | None:
    """The SHA-256 of a file; None where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def rank_environment(group: ProcessGroup, number: int) -> dict[str, str]:
    """What the rank of this process finds in its environment.

    Args:
        group: The group.
        number: The number of the order, which keeps the runs of a command apart.
    """
    from bench.engine.distributed import STORE_VARIABLE

    return {
        # Between machines the interface is for the environment to say.
        **(loopback_alone() if group.on_this_machine else {}),
        "RANK": str(group.rank),
        "LOCAL_RANK": str(group.local_rank),
        "WORLD_SIZE": str(group.size),
        "LOCAL_WORLD_SIZE": str(group.local_size),
        "OMP_NUM_THREADS": str(_threads(group)),
        STORE_VARIABLE: f"tcp://{group.address}:{group.port}/{group.space}/run/{number}",
    }


def _threads(group: ProcessGroup) -> int:
    """Threads of a rank: what Slurm gave each task, or its share of the cores."""
    each = os.environ.get("SLURM_CPUS_PER_TASK", "") if group.launcher == "srun" else ""
    cores = usable_cores()
    return min(cores, int(each)) if each.isdecimal() and int(each) else max(1, cores // group.local_size)
