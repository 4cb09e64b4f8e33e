"""The log file of a child process: what it writes on stderr, of a progress bar the last state alone."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import BinaryIO

from bench.core.errors import StoreError
from bench.core.files import advice

LOG_BYTES = 1 << 20
"""Largest size of a log file; beyond it the older half goes."""

_STEERING = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
"""What steers a terminal: colours, and the moves of a progress bar."""


class ChildLog:
    """Appends what a child writes to a file, line by line.

    Args:
        path: The file; it goes on where an earlier process left it, and its folder is made.
        most: Largest size of the file, bytes.

    Raises:
        StoreError: If the file cannot be opened.
    """

    def __init__(self, path: Path, most: int = LOG_BYTES) -> None:
        self.path, self._most, self._rest = path, most, b""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered and appending: whoever looks into it while the child is at work sees all.
            self._stream: BinaryIO = path.open("ab+", buffering=0)
        except OSError as error:
            raise StoreError(f"Cannot write {path}: {error.strerror or error}.", advice(error)) from error

    def write(self, data: bytes) -> None:
        """Take what a child wrote; a line is logged when it is complete."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = _last_drawn(rest)
        if lines:
            self._append(b"".join(_last_drawn(line.rstrip(b"\r")) + b"\n" for line in lines))

    def close(self) -> None:
        """Log what a child has left of an incomplete line, and close the file."""
        if rest := _last_drawn(self._rest):
            self._append(rest + b"\n")
        self._stream.close()

    def _append(self, text: bytes) -> None:
        # A full disk is told where results are written; a log that lacks lines must end no run.
        with contextlib.suppress(OSError):
            self._stream.write(text)
            if self._stream.tell() > self._most:
                self._shorten()

    def _shorten(self) -> None:
        self._stream.seek(-(self._most // 2), 2)
        kept = self._stream.read().partition(b"\n")[2]
        self._stream.truncate(0)
        self._stream.write(kept)


def _last_drawn(line: bytes) -> bytes:
    """What is left to see of a line, over which a progress bar was drawn before."""
    return _STEERING.sub(b"", line[line.rfind(b"\r") + 1 :])
