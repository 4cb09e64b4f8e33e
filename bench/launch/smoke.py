"""Whether two processes of this machine can share a run, and whether locks hold between them: tried, in seconds.

For ``bench doctor``. The child of a lock is :mod:`bench.launch.lock_child`; that of a group is here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import RunError, StoreError
from bench.core.files import temporary_folder, temporary_name
from bench.core.locks import check_flock, exclusive_lock
from bench.launch.child import Child, Children, Grace, Work
from bench.launch.group import rank_environment

if TYPE_CHECKING:
    from bench.launch.child_process import Parent

GROUP_SECONDS = 60.0
LOCK_SECONDS = 20.0
"""How long either may take: a busy machine needs several seconds to start Python."""


ALONE = "Run with --processes 1 until it does; a firewall on the loopback interface is a common cause."


def try_group(seconds: float = GROUP_SECONDS) -> None:
    """Have two processes meet and add up what each knows, as those of a run do with gradients.

    Args:
        seconds: How long that may take.

    Raises:
        BenchError: If they cannot.
    """
    with (
        temporary_folder("bench-smoke") as meeting,
        Children(partners=True, grace=Grace(word=5.0, done=5.0, loss=1.0)) as children,
    ):
        check_flock(meeting, "Name a folder on a local disk in TMPDIR, or use --processes 1.")
        pair = [
            children.start(
                Work(
                    module="bench.launch.smoke",
                    task={"rank": rank},
                    name=f"process {rank + 1} of 2",
                    shown=False,
                    environment=rank_environment(rank, 2, meeting / "store", 1),
                )
            )
            for rank in range(2)
        ]
        children.limit(seconds)
        children.wait()
    for child in pair:
        _check_end(child, 3.0, seconds, ALONE)


def main(task: Mapping[str, Any], parent: Parent) -> float:
    """Be one of two processes that add up 1 and 2."""
    import torch
    import torch.distributed as dist

    from bench.engine.distributed import join_group, leave_group

    join_group("cpu")
    number = torch.tensor(float(task["rank"] + 1))
    dist.all_reduce(number)
    leave_group()
    return float(number)


def try_lock(folder: Path, seconds: float = LOCK_SECONDS) -> None:
    """Have another process wait for a lock that this one holds in a folder, and get it afterwards; nothing is left.

    Args:
        folder: A folder that can be written.
        seconds: How long that may take.

    Raises:
        BenchError: If the other process gets it at once, or never.
    """
    probe = temporary_name(folder / "lock-check")
    waits: list[Mapping[str, Any]] = []
    work = Work(module="bench.launch.lock_child", task={"path": str(probe)}, name="the process that waits", shown=False)
    try:
        with Children(lambda _, told: waits.append(told)) as children:
            with exclusive_lock(probe):
                child = children.start(work)
                children.limit(seconds)
                while children.alive and not waits:
                    children.look(0.05)
            children.wait()
        _check_end(child, "held", seconds, "Choose a folder on a local disk.")
        if not waits:
            raise StoreError(
                f"Two processes held one lock in {folder} at the same time.",
                "Choose a folder on another file system: two commands would spoil each other's runs there.",
            )
    finally:
        for path in (probe, probe.with_name(f"{probe.name}.held")):
            with contextlib.suppress(OSError):
                path.unlink()


def _check_end(child: Child, wanted: Any, seconds: float, hint: str) -> None:
    if child.error is not None:
        raise child.error
    if not child.said_last:
        why = f"did not answer within {seconds:g} seconds" if child.ended_here else f"ended with code {child.code}"
        raise RunError(f"{child.work.name.capitalize()} {why}.", hint)
    if child.value != wanted:
        raise RunError(f"{child.work.name.capitalize()} came to {child.value!r} in place of {wanted!r}.", hint)
