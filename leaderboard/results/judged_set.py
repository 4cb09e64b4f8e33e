"""Which test cycles a number is of, and which set is the official one.

The identity of a judged set is :attr:`leaderboard.results.predictions.CycleSet.hash`: the SHA-256, in hexadecimal
characters, of the JSON text of its sorted cycles, each ``[[recording, cycle], label, patient, device]``, as Python's
``json`` writes it with its usual separators and without escapes. One label, patient or recording that differs gives
another hash, and the order in which a file lists the cycles does not matter.
"""

from __future__ import annotations

OFFICIAL_SETS = frozenset({"dd0f88f651641888d5309bc0d71217eb59bcbafc60b2912fd22bbed388ded153"})
"""The 2,756 cycles of the test part of ICBHI 2017's official split, from the 920 annotation files of its owners."""

SHOWN = 8
"""Characters of a hash that tell sets apart for people."""


def is_official(judged_set: str | None) -> bool:
    """Whether a hash is that of the official test cycles with their official labels."""
    return judged_set in OFFICIAL_SETS


def short(judged_set: str | None) -> str:
    """Give the beginning of a hash, for titles; ``unknown`` where there is none."""
    return (judged_set or "unknown")[:SHOWN]
