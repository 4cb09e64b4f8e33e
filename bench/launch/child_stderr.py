"""What a child process writes on stderr: read here, kept in its log, and shown where this process shows its own.

A child of a command on a terminal writes to a terminal too, a pseudo-terminal, and so draws its progress bar as the
command itself would; anywhere else it writes to a pipe, and plain lines come. Those are shown when they are complete:
several children share one stderr, and half a line of one must not run into a line of another.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Iterator, Sequence

from bench.launch.child_log import ChildLog

MOST_AT_ONCE = 1 << 16
MOST_READS = 64
"""Reads before somebody else has a turn: a program may write without an end."""


class ChildStderr:
    """The stderr of one child, from its start to its end.

    Args:
        log: Keeps what it writes; None for nothing.
        shown: Whether that is written to this process's stderr too.
    """

    def __init__(self, log: ChildLog | None, shown: bool) -> None:
        self._log, self._shown, self._ended = log, shown, False
        self._terminal = shown and sys.stderr.isatty()
        self._here, self._there = os.openpty() if self._terminal else os.pipe()
        if self._terminal:
            # The bytes reach the user's own terminal, which turns ends of lines into what it needs.
            tty.setraw(self._there)
            self._keep_size()
        os.set_blocking(self._here, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    @contextlib.contextmanager
    def end_of_child(self) -> Iterator[int]:
        """The descriptor that the child inherits; closed here as the block ends, so that its end is noticed."""
        try:
            yield self._there
        finally:
            os.close(self._there)

    @property
    def sources(self) -> Sequence[int]:
        """The descriptor to wait for; none when nothing will come any more."""
        return () if self._ended else (self._here,)

    def pass_on(self) -> None:
        """Log and show what it has written meanwhile, without waiting for more."""
        if self._terminal:
            self._keep_size()
        for _ in range(MOST_READS):
            data = b"" if self._ended else self._read()
            if not data:
                return
            if self._log is not None:
                self._log.write(data)
            self._show(self._decoder.decode(data))

    def close(self) -> None:
        """Pass on what is left. Whatever else holds the child's end, it is not waited for."""
        self.pass_on()
        self._show(self._decoder.decode(b"", final=True), ended=True)
        os.close(self._here)
        if self._log is not None:
            self._log.close()

    def _read(self) -> bytes:
        try:
            data = os.read(self._here, MOST_AT_ONCE)
        except BlockingIOError:
            return b""
        except OSError:
            # A pseudo-terminal that nobody writes to any more gives EIO.
            data = b""
        self._ended = not data
        return data

    def _show(self, text: str, *, ended: bool = False) -> None:
        if self._shown and (complete := self._take_complete(text, ended)):
            sys.stderr.write(complete)
            sys.stderr.flush()

    def _take_complete(self, text: str, ended: bool) -> str:
        """What may be shown of the text so far; what a child has left of a line is shown as its last line."""
        if self._terminal:
            # A progress bar is drawn without ends of lines.
            return text
        complete, end, self._rest = (self._rest + text).rpartition("\n")
        if ended and self._rest:
            return complete + end + self._rest + "\n"
        return complete + end

    def _keep_size(self) -> None:
        """Give the child's terminal the size of this one, which the user may change."""
        with contextlib.suppress(OSError, termios.error, ValueError):
            termios.tcsetwinsize(self._here, termios.tcgetwinsize(sys.stderr.fileno()))
