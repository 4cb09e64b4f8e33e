"""The folder of a matrix, ``HOME/matrices/NAME``: what was asked, how each run ended, who is at it, and who may be."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard

from bench.core.documents import read_bytes
from bench.core.errors import ResultError, SpecError, StoreError
from bench.core.files import advice, exclusive_lock, write_json
from bench.core.lifetimes import is_alive, process_age_mark
from bench.core.paths import listed
from bench.core.registry import suggestion
from bench.core.text import echoed

MATRICES_FOLDER = "matrices"
BEAT_SECONDS = 10.0
"""Between two signs of life of the process that is at a matrix."""
SILENT_SECONDS = 120.0
"""After which a process on another machine is taken for gone."""


@dataclass(frozen=True)
class MatrixFolder:
    """The folder of one matrix; nothing else knows the names in it.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @classmethod
    def of(cls, home: Path, name: str) -> MatrixFolder:
        """The folder of a matrix in a results folder."""
        return cls(home.absolute() / MATRICES_FOLDER / name)

    @property
    def name(self) -> str:
        """What the matrix is called."""
        return self.path.name

    @property
    def record(self) -> Path:
        """The file ``matrix.json``: what was asked, and which runs that is."""
        return self.path / "matrix.json"

    @property
    def ends(self) -> Path:
        """The file ``ends.jsonl``: how tasks ended, a line each; the last one of a task counts."""
        return self.path / "ends.jsonl"

    @property
    def jobs(self) -> Path:
        """The folder in which an engine on other machines keeps its jobs."""
        return self.path / "jobs"

    @property
    def logs(self) -> Path:
        """The folder of the logs of tasks that are no run: features that several runs read."""
        return self.path / "logs"

    @property
    def lock(self) -> Path:
        """The file that is locked by the process that is at this matrix."""
        return self.path / "lock"

    @property
    def driver(self) -> Path:
        """The file ``driver.json``: which process is at this matrix; it is touched while that one lives."""
        return self.path / "driver.json"

    @property
    def cancel(self) -> Path:
        """The file that asks the process at this matrix to stop."""
        return self.path / "cancel"

    def read_record(self) -> dict[str, Any]:
        """What was asked.

        Raises:
            ResultError: If the file is missing or broken.
        """
        try:
            found = json.loads(read_bytes(self.record))
        except (ValueError, RecursionError):
            found = None
        if not _is_record(found):
            raise ResultError(f"{self.record} is no record of a matrix.", "Run the matrix again, which writes it anew.")
        return found

    def read_ends(self) -> dict[str, dict[str, Any]]:
        """How tasks ended, by key; a line that a killed process left unfinished is passed over."""
        found: dict[str, dict[str, Any]] = {}
        try:
            lines = self.ends.read_bytes().splitlines()
        except OSError:
            return found
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                end = json.loads(line)
                found[end["key"]] = end
        return found

    def add_end(self, end: Mapping[str, Any]) -> None:
        """Add a line on how a task ended.

        Raises:
            StoreError: If it cannot be written.
        """
        try:
            with self.ends.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({**end, "time": now()}, ensure_ascii=False) + "\n")
        except OSError as error:
            raise StoreError(f"Cannot write {self.ends}: {error.strerror or error}.", advice(error)) from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the one process that is at this matrix.

        Raises:
            SpecError: If another one is.
            StoreError: If the folder cannot be written.
        """
        with exclusive_lock(self.lock, self._refuse):
            self.cancel.unlink(missing_ok=True)
            pid = os.getpid()
            told = {"pid": pid, "host": socket.gethostname(), "started": now(), "mark": process_age_mark(pid)}
            write_json(self.driver, told)
            try:
                yield
            finally:
                self.driver.unlink(missing_ok=True)

    def _refuse(self, holder: str) -> None:
        raise SpecError(
            f"The matrix '{self.name}' is being run: {holder or 'another process'} is at it.",
            f"`bench matrix status {self.name}` shows how far it is, `bench matrix cancel {self.name}` stops it.",
        )

    def is_driven(self) -> bool:
        """Whether a process is at this matrix; one on another machine is believed for two minutes."""
        try:
            found = json.loads(self.driver.read_text(encoding="utf-8"))
            silent = time.time() - self.driver.stat().st_mtime
            if found["host"] != socket.gethostname():
                return silent < SILENT_SECONDS
            pid = int(found["pid"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False
        # After a restart of the machine the number of a driver that was killed is soon another process's.
        return is_alive(pid) and bool(process_age_mark(pid) == found.get("mark"))


def _is_record(found: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a document names runs, and the parts of each, as a matrix does."""
    runs = found.get("runs") if isinstance(found, dict) else None
    return isinstance(runs, list) and all(map(_is_entry, runs))


def _is_entry(run: Any) -> bool:
    if not (isinstance(run, dict) and isinstance(run.get("run_id"), str)):
        return False
    parts = run.get("parts", {})
    return isinstance(parts, dict) and all(isinstance(part, str) for part in parts.values())


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def matrix_folders(home: Path) -> list[MatrixFolder]:
    """The matrices of a results folder, the one that was begun last first."""
    records = listed(home.absolute() / MATRICES_FOLDER, "*/matrix.json")
    return [MatrixFolder(path.parent) for path in sorted(records, key=lambda path: -path.stat().st_mtime)]


def find_matrix(home: Path, name: str | None) -> MatrixFolder | None:
    """The folder of a matrix; without a name the one that was begun last, None where there is none at all.

    Raises:
        SpecError: If there is none of this name.
    """
    folders = matrix_folders(home)
    if name is None:
        return folders[0] if folders else None
    found = next((folder for folder in folders if folder.name == name), None)
    if found is None:
        known = [folder.name for folder in folders]
        raise SpecError(
            f"There is no matrix '{echoed(name)}' in {home}: {suggestion(name, known) if known else 'there is none.'}",
            "`bench matrix list` shows them; `bench matrix run FILE` begins one.",
        )
    return found
