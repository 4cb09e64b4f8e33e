"""ICBHI's annotation files: one cycle per line, ``start end crackle wheeze``, separated by tabs or spaces."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.data.faults import Problem

END_TOLERANCE = 0.05
"""Seconds by which a cycle may end after its recording.

Ends are written in milliseconds, so that an end at the last sample may lie up to 0.5 ms behind it. In the 198 official
recordings that were measured none ends later than its recording (largest excess 0.0 ms), and no cycle of the others
ends after their nominal 20 s; the rest is room for copies that were re-encoded.
"""


@dataclass(frozen=True)
class Cycle:
    """One respiratory cycle.

    Attributes:
        recording: Name of its recording, without ending.
        index: Its place in the annotation file, from 0.
        start: Where it begins, s.
        end: Where it ends, s.
        label: 0 normal, 1 crackle, 2 wheeze, 3 both.
    """

    recording: str
    index: int
    start: float
    end: float
    label: int


def _times(fields: list[str]) -> tuple[float, float] | Problem:
    try:
        start, end = float(fields[0]), float(fields[1])
    except ValueError:
        return Problem("annotation-format", f"times are '{fields[0]}' and '{fields[1]}', but must be numbers (seconds)")
    if not (math.isfinite(start) and math.isfinite(end)):
        return Problem("annotation-format", f"times are {start} and {end}, but must be finite")
    if start < 0:
        return Problem("annotation-order", f"the cycle starts at {start} s, before the recording")
    if end <= start:
        return Problem("annotation-order", f"the cycle ends at {end} s, not after its start at {start} s")
    return start, end


def _cycle(recording: str, index: int, line: str) -> Cycle | Problem:
    fields = line.split()
    if len(fields) != 4:
        return Problem("annotation-format", f"{len(fields)} fields, but 4 are needed: start end crackle wheeze")
    times = _times(fields)
    if isinstance(times, Problem):
        return times
    if not set(fields[2:]) <= {"0", "1"}:
        return Problem("annotation-flag", f"crackle and wheeze are '{fields[2]}' and '{fields[3]}', but must be 0 or 1")
    return Cycle(recording, index, *times, label=int(fields[2]) + 2 * int(fields[3]))


def _beyond(cycle: Cycle, seconds: float) -> str | None:
    if cycle.start >= seconds:
        return f"the cycle starts at {cycle.start} s, but the recording ends at {seconds:.3f} s"
    if cycle.end > seconds + END_TOLERANCE:
        return f"the cycle ends at {cycle.end} s, but the recording ends at {seconds:.3f} s"
    return None


def parse(recording: str, content: bytes, seconds: float | None = None) -> tuple[tuple[Cycle, ...], list[Problem]]:
    """Read an annotation file's content.

    Args:
        recording: Name of its recording.
        content: The file's bytes.
        seconds: Length of the recording, s, where it is known.

    Returns:
        The cycles of all lines that can be read, and a problem for each line that is not sound; a cycle beyond the
        end of the recording is in both. Empty lines do not count.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return (), [Problem("annotation-format", f"is no text: byte {error.start} is {content[error.start]:#04x}")]
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        return (), [Problem("annotation-empty", "holds no cycle")]
    cycles, problems = [], []
    for index, (number, line) in enumerate(numbered):
        found = _cycle(recording, index, line)
        if isinstance(found, Problem):
            problems.append(Problem(found.kind, found.message, number))
            continue
        cycles.append(found)
        excess = None if seconds is None else _beyond(found, seconds)
        if excess is not None:
            problems.append(Problem("annotation-beyond", excess, number))
    return tuple(cycles), problems
