"""ICBHI's annotation files: one cycle per line, ``start end crackle wheeze``, separated by tabs or spaces."""

from __future__ import annotations

import re

from bench.core.text import decimal_number, echoed
from bench.data.dataset import Cycle
from bench.data.faults import FileProblem
from bench.data.spans import holds_samples
from bench.data.wav import WavHeader

END_TOLERANCE = 0.05
"""Seconds by which a cycle may end after its recording.

Ends are written in milliseconds, so that an end at the last sample may lie up to 0.5 ms behind it. In the 198 official
recordings that were measured none ends later than its recording (largest excess 0.0 ms), and no cycle of the others
ends after their nominal 20 s; the rest is room for copies that were re-encoded.
"""

LINE_END = re.compile(r"\r\n|\n|\r")
"""What ends a line in an editor; ``str.splitlines`` would also break at characters inside one."""


def _parse_times(fields: list[str]) -> tuple[float, float] | FileProblem:
    try:
        start, end = decimal_number(fields[0]), decimal_number(fields[1])
    except ValueError:
        words = f"times are '{echoed(fields[0])}' and '{echoed(fields[1])}', but must be numbers (seconds)"
        return FileProblem("annotation-format", words)
    if start < 0:
        return FileProblem("annotation-order", f"the cycle starts at {start} s, before the recording")
    if end <= start:
        return FileProblem("annotation-order", f"the cycle ends at {end} s, not after its start at {start} s")
    return start, end


def _parse_cycle(recording: str, index: int, line: str) -> Cycle | FileProblem:
    fields = line.split()
    if len(fields) != 4:
        return FileProblem("annotation-format", f"{len(fields)} fields, but 4 are needed: start end crackle wheeze")
    times = _parse_times(fields)
    if isinstance(times, FileProblem):
        return times
    if not set(fields[2:]) <= {"0", "1"}:
        words = f"crackle and wheeze are '{echoed(fields[2])}' and '{echoed(fields[3])}', but must be 0 or 1"
        return FileProblem("annotation-flag", words)
    return Cycle(recording, index, *times, label=int(fields[2]) + 2 * int(fields[3]))


def _misfit(cycle: Cycle, header: WavHeader) -> FileProblem | None:
    """Say what is wrong with a cycle of the recording that has this header; None where nothing is."""
    seconds = header.seconds
    if cycle.start >= seconds:
        words = f"the cycle starts at {cycle.start} s, but the recording ends at {seconds:.3f} s"
        return FileProblem("annotation-beyond", words)
    if cycle.end > seconds + END_TOLERANCE:
        words = f"the cycle ends at {cycle.end} s, but the recording ends at {seconds:.3f} s"
        return FileProblem("annotation-beyond", words)
    if not holds_samples(cycle.start, cycle.end, header.rate, header.frames):
        words = f"the cycle from {cycle.start} s to {cycle.end} s holds no sample of the recording ({header.rate} Hz)"
        return FileProblem("annotation-short", words)
    return None


def _decode_text(content: bytes) -> str | FileProblem:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return FileProblem("annotation-format", f"is no text: byte {error.start} is {content[error.start]:#04x}", line)


def parse_annotation(
    recording: str, content: bytes, header: WavHeader | None = None
) -> tuple[tuple[Cycle, ...], list[FileProblem]]:
    """Read an annotation file's content.

    Args:
        recording: Name of its recording.
        content: The file's bytes.
        header: Header of the recording, where it is sound.

    Returns:
        The cycles of all lines that can be read, and a problem for each line that is not sound; a cycle that does not
        lie in the recording, or holds no sample of it, is in both. Empty lines do not count.
    """
    text = _decode_text(content)
    if isinstance(text, FileProblem):
        return (), [text]
    numbered = [(number, line) for number, line in enumerate(LINE_END.split(text), start=1) if line.strip()]
    if not numbered:
        return (), [FileProblem("annotation-empty", "holds no cycle")]
    cycles, problems = [], []
    for index, (number, line) in enumerate(numbered):
        found: Cycle | FileProblem | None = _parse_cycle(recording, index, line)
        if isinstance(found, Cycle):
            cycles.append(found)
            found = None if header is None else _misfit(found, header)
        if found is not None:
            problems.append(FileProblem(found.kind, found.message, number))
    return tuple(cycles), problems
