"""What there is of a bank that is being made, so that one that was stopped goes on from there.

Rows are written to their place in ``features.npy.part``; a line of ``done.jsonl`` says of each recording that its rows
are there, with their checksums; an encoder's features are noted batch by batch, each by its first row. Both lie in the
bank's folder, whose lock the caller holds, and are gone when the bank is whole.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO, TypeAlias

from bench.core.errors import LostProcessError, StoreError
from bench.core.files import advice, sync_file, sync_folder

DONE = "done.jsonl"
PART = ".part"
"""Name of the file that says which recordings are done, and what follows the names of files that are written to."""

KEPT_DAYS = 14
"""After so many days without a new row an unfinished bank is given up."""

Checksums: TypeAlias = Mapping[str, Sequence[int]]
"""The checksum of each row of a recording, for each input's name."""


class DoneRecordings:
    """The recordings whose rows are there.

    Args:
        folder: The bank's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / DONE
        self._stream: TextIO | None = None

    def read(self) -> dict[int, Checksums]:
        """Read what was noted so far.

        Returns:
            The checksums of each recording's rows, by its place. A line that was cut short is left out.
        """
        found: dict[int, Checksums] = {}
        with suppress(OSError, UnicodeDecodeError):
            for line in self._path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, TypeError):
                    place, checksums = json.loads(line)
                    found[int(place)] = dict(checksums)
        return found

    def add(self, place: int, checksums: Checksums) -> None:
        """Note that the rows of a recording are there.

        Args:
            place: The recording's place among all.
            checksums: Those of its rows.

        Raises:
            OSError: If it cannot be written.
        """
        if self._stream is None:
            self._stream = self._path.open("a", encoding="utf-8")
            # After a line that was cut short.
            self._stream.write("\n")
        self._stream.write(json.dumps([place, checksums]) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()


@contextlib.contextmanager
def unfinished_files(folder: Path, targets: Sequence[Path]) -> Iterator[tuple[DoneRecordings, list[Path]]]:
    """Files that are written to under names of their own, which they change for their targets when the block ends well.

    They stay where the block is interrupted, or a helper was killed, to be gone on with. After an error they are
    removed: what is put right makes another bank.

    Args:
        folder: The bank's folder, made where it is not there.
        targets: The files' names in the end, in this folder.

    Yields:
        The recordings that are done, and the path of each file, which may hold what was written before.

    Raises:
        StoreError: If the folder cannot be written or the disk is full; nothing is left behind.
    """
    parts = [target.with_name(target.name + PART) for target in targets]
    done = DoneRecordings(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield done, parts
        for part, target in zip(parts, targets, strict=True):
            sync_file(part)
            part.replace(target)
        sync_folder(folder)
        done.close()
        (folder / DONE).unlink(missing_ok=True)
    except OSError as error:
        give_up(folder)
        raise StoreError(f"Cannot write {targets[0]}: {error.strerror or error}.", advice(error)) from error
    except Exception as error:
        if not isinstance(error, LostProcessError):
            give_up(folder)
        raise
    finally:
        done.close()


def give_up(folder: Path, *, older_than_days: float = 0.0) -> None:
    """Remove what there is of an unfinished bank.

    Args:
        folder: The bank's folder.
        older_than_days: How long nothing must have been noted there.
    """
    begun = [*folder.glob(f"*{PART}"), folder / DONE]
    with suppress(OSError):
        newest = max((path.stat().st_mtime for path in begun if path.exists()), default=0.0)
        if time.time() - newest >= older_than_days * 86_400:
            for path in begun:
                path.unlink(missing_ok=True)
