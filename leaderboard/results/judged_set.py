"""Which test cycles a number is of, as a hash.

The identity of a judged set is :attr:`leaderboard.results.predictions.CycleSet.hash`: the SHA-256, in hexadecimal
characters, of the JSON text of its sorted cycles, each ``[[recording, cycle], label, patient, device]`` (and the tested
part, where a task has several), as Python's ``json`` writes it with its usual separators and without escapes. One
label, patient or recording that differs gives another hash, and the order in which a file lists the cycles does not
matter. Which hashes are those of official test cycles, a task's card says
(:attr:`bench.core.datasets.TaskCard.judged_sets`).
"""

from __future__ import annotations

SHOWN = 8
"""Characters of a hash that tell sets apart for people."""


def short(judged_set: str | None) -> str:
    """Give the beginning of a hash, for titles; ``unknown`` where there is none."""
    return (judged_set or "unknown")[:SHOWN]
