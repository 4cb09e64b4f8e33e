"""Commands that several processes are given at once, as torchrun, accelerate launch, srun and mpirun start them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence


def in_group(command: Callable[[], int], words: Sequence[str]) -> int:
    """Carry out a command that serves groups: by the first process, while the others lend it their ranks.

    Args:
        command: Does it and gives its exit code; called in the first process of the group, or where there is none.
        words: The command as it was given, the same in all processes.

    Returns:
        The exit code, the same in all processes.

    Raises:
        SpecError: If the environment describes no complete group, or its processes were given different commands.
        RunError: If the processes of the group cannot meet.
        LostProcessError: In the other processes, if the first has gone.
    """
    from bench.core.process_group import started_group

    group = started_group()
    if group is None:
        return command()
    if group.rank > 0:
        # Before torch is loaded, which would print the stack of its own code when the first process goes.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from bench.launch.adopted import follow, lead

    return lead(group, command, words) if group.rank == 0 else follow(group, words)
