"""Slurm's commands: what is in the queue, what is submitted, what is cancelled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.environment import outside_groups
from bench.core.errors import LostProcessError, RunError, SpecError
from bench.core.text import echoed
from bench.launch.jobs import JobState

COMMAND_SECONDS = 60
"""A controller that has much to do is slow."""

IDS_OF_A_COMMAND = 500

NO_ANSWER = re.compile(r"unable to contact|standby mode|timed out|zero bytes|temporarily", re.IGNORECASE)
"""In what sbatch says where the controller is down or busy: nothing is wrong with the jobs."""

RUNNING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"})
QUEUED = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESIZING"})


@dataclass(frozen=True)
class QueuedJob:
    """A job of an array, as Slurm knows it; for some minutes also one that has ended.

    Attributes:
        id: ``12_3``.
        state: ``RUNNING``, ``CANCELLED`` and so on.
        nodes: The nodes that it runs on; empty while it waits.
        reason: Why it waits, or how it ended.
    """

    id: str
    state: str
    nodes: str
    reason: str

    @property
    def alive(self) -> bool:
        """Whether it runs or will run."""
        return self.state in RUNNING or self.state in QUEUED

    @property
    def said(self) -> tuple[JobState, str]:
        """Whether it runs, and where; of one that waits, why."""
        if self.state in QUEUED:
            return "queued", f"Slurm: {self.reason}"
        return "running", f"node {self.nodes}"


Queue = dict[tuple[str, int], QueuedJob]
"""Jobs by the name of their array and their place in it."""


def check_slurm() -> None:
    """Make sure that there is a Slurm to submit to.

    Raises:
        SpecError: If this machine has no sbatch.
    """
    if shutil.which("sbatch") is None:
        raise SpecError(
            "There is no Slurm on this machine: sbatch is not found.",
            "Log in to a node of the cluster that submits jobs, or use --launcher local or dask.",
        )


def submit(script: Path) -> str:
    """Submit a script; gives the id of its array.

    Raises:
        SpecError: If sbatch refuses it; in its own words.
        LostProcessError: If the controller does not answer, or not in time: it may have the jobs all the same.
    """
    done = _run("sbatch", "--parsable", str(script))
    if not done.returncode:
        return done.stdout.strip().partition(";")[0]
    lines = [line.removeprefix("sbatch: error: ").strip(" .") for line in done.stderr.splitlines()]
    said = echoed("; ".join(line for line in lines if line) or f"exit code {done.returncode}", 300)
    if NO_ANSWER.search(done.stderr):
        raise LostProcessError(f"Slurm's controller takes no jobs now: {said}.", "Try again when it is back.")
    raise SpecError(
        f"sbatch refuses the jobs: {said}.",
        f"The script is {script}; the options of Slurm jobs are in docs/slurm.md.",
    )


def queue() -> Queue | None:
    """All array jobs of this user that Slurm knows; None where the controller does not answer."""
    try:
        done = _run(
            "squeue", "--array", "--noheader", "--states=all", f"--user={os.geteuid()}", "--format=%j|%F|%K|%T|%N|%r"
        )
    except RunError:
        return None
    if done.returncode:
        return None
    found: Queue = {}
    for line in done.stdout.splitlines():
        name, array, index, state, nodes, reason = line.split("|", 5)
        if index.isdigit():
            found[name, int(index)] = QueuedJob(f"{array}_{index}", state, nodes, reason)
    return found


def known_queue(places: Collection[object]) -> Queue:
    """The queue, for somebody who must not guess what is in it.

    Args:
        places: Where in it something may be; where there is none, nobody is asked.

    Raises:
        LostProcessError: If the controller does not answer.
    """
    known = queue() if places else {}
    if known is None:
        raise LostProcessError(
            "Slurm's controller does not answer, so that nobody knows which jobs are in its queue.",
            "Try again when it is back; jobs that run go on meanwhile.",
        )
    return known


def stop_gently(ids: Sequence[str]) -> None:
    """Take jobs that wait out of the queue, and ask those that run to save their state and end."""
    for start in range(0, len(ids), IDS_OF_A_COMMAND):
        some = ids[start : start + IDS_OF_A_COMMAND]
        _run("scancel", "--quiet", "--state=PENDING", *some)
        # To the batch shell alone, which passes it on.
        _run("scancel", "--quiet", "--state=RUNNING", "--batch", "--signal=TERM", *some)


def cancel(ids: Sequence[str]) -> None:
    """End jobs for good: Slurm asks them to end, and kills them when its ``KillWait`` is over."""
    for start in range(0, len(ids), IDS_OF_A_COMMAND):
        _run("scancel", "--quiet", *ids[start : start + IDS_OF_A_COMMAND])


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    # sbatch hands on what it finds: this process may be in a job of Slurm itself.
    environment = outside_groups(os.environ)
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise LostProcessError(
            f"Slurm does not answer: {command[0]} took longer than {COMMAND_SECONDS} seconds.",
            "Try again when the cluster's controller is back; jobs in the queue are not lost.",
        ) from None
    except OSError as error:
        raise RunError(f"{command[0]} cannot be started: {error.strerror or error}.") from error
