"""What Slurm says about the nodes of a job step, in its own short notation."""

from __future__ import annotations

import re
import subprocess

PATIENCE = 20.0
"""Seconds that ``scontrol`` may take."""


def tasks_of_node(counts: str, node: int) -> int | None:
    """How many tasks a node of a step has.

    Args:
        counts: ``SLURM_STEP_TASKS_PER_NODE``: ``2(x3),1`` stands for 2, 2, 2 and 1.
        node: The node's number in the step.

    Returns:
        The number; None where the text does not tell.
    """
    for tasks, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", counts):
        node -= int(times or 1)
        if node < 0:
            return int(tasks)
    return None


def first_node(nodes: str) -> str:
    """The first of ``n[01-03],m4``: ``n01``."""
    found = re.match(r"([^,\[]+)(?:\[([^\],-]+))?", nodes.strip())
    return "" if found is None else found[1] + (found[2] or "")


def first_node_address(nodes: str) -> str:
    """Where the first node of a list is reached: the address that Slurm has for it, or else its name.

    Args:
        nodes: ``SLURM_STEP_NODELIST``.
    """
    named = _scontrol("hostnames", nodes).split()
    name = named[0] if named else first_node(nodes)
    address = re.search(r"\bNodeAddr=(\S+)", _scontrol("node", name))
    return name if address is None else address[1]


def _scontrol(kind: str, name: str) -> str:
    """What ``scontrol show`` prints; nothing where a container, say, does not have it."""
    try:
        done = subprocess.run(
            ["scontrol", "show", kind, name], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
