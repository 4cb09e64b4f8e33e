"""The journal file of studies: Optuna's format (one JSON document a line), written so that no kill can spoil it.

Optuna's own file backend waits half a minute for the lock of a writer that was killed, and cannot read a file whose
last line was cut short by a full disk. Here the kernel frees the lock, and the next writer cuts such a line off. It is
read in one piece besides: a study of 2,000 trials and 100,000 epochs in a second or two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages.journal import BaseJournalBackend

from bench.core.errors import StoreError
from bench.core.files import exclusive_lock
from bench.search.files import check_journal

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

REPLAY_ERRORS = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, RecursionError)
"""What reading a line raises that is JSON, but tells of no study: Optuna believes what it finds."""


class Journal(BaseJournalBackend):
    """Reads and appends the lines of one file; any number of processes may do so at once.

    Args:
        path: The file; it is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(f".{path.name}.write.lock")
        self._read, self._offset = 0, 0
        self.line = 0
        if not path.exists():
            path.touch()

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """The documents from a number on, as far as their lines are whole.

        Raises:
            StoreError: If a line is no JSON document; its number is named.
        """
        if log_number_from != self._read:
            self._read, self._offset = 0, 0
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        logs = self._parsed(whole.split(b"\n")[:-1])
        skipped = log_number_from - self._read
        self._read += len(logs)
        self._offset += len(whole)
        return self._counted(logs[skipped:], log_number_from)

    def _parsed(self, lines: list[bytes]) -> list[dict[str, Any]]:
        try:
            logs: list[dict[str, Any]] = json.loads(b"[" + b",".join(lines) + b"]")
        except (ValueError, RecursionError):
            logs = []
        if len(logs) == len(lines) and all(isinstance(log, dict) for log in logs):
            return logs
        # Line by line, to name the first that cannot be read.
        return [self._document(number, line) for number, line in enumerate(lines, self._read + 1)]

    def _document(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self.damaged(number)
        return document

    def damaged(self, number: int) -> StoreError:
        """The error that names a line."""
        return StoreError(
            f"Line {number} of {self._path} is damaged.",
            "Put a copy of the file in its place, or move it away to begin anew; its runs stay.",
        )

    def _counted(self, logs: list[dict[str, Any]], before: int) -> Iterator[dict[str, Any]]:
        """The documents; ``line`` says which one is being read."""
        for self.line, log in enumerate(logs, before + 1):
            yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append documents; a cut line at the end, left by a writer that could not finish, goes first."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with exclusive_lock(self._lock), self._path.open("r+b") as stream:
            self._cut(stream)
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())

    @staticmethod
    def _cut(stream: Any) -> None:
        """Go to the end of the last whole line, and end the file there."""
        end = stream.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(0, end - 4096)
            stream.seek(begin)
            found = stream.read(end - begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        stream.seek(end)
        stream.truncate()


def open_journal(path: Path) -> JournalStorage:
    """Open a journal as Optuna's storage; the file is made where it is missing.

    Raises:
        StoreError: If it is no journal, or a line of it is damaged or tells what cannot be.
        OSError: If it cannot be read or made.
    """
    import optuna

    check_journal(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path)
    try:
        return optuna.storages.JournalStorage(journal)
    except REPLAY_ERRORS as error:
        raise journal.damaged(journal.line) from error
