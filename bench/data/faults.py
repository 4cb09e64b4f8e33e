"""What can be wrong with the data on disk, as plain values, so that one report can hold all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FileProblem:
    """Something wrong inside one file.

    Attributes:
        kind: A word by which programs know the kind of problem (``audio-truncated``).
        message: A sentence for people, with the numbers.
        line: Line of a text file, from 1.
    """

    kind: str
    message: str
    line: int | None = None

    def in_file(self, file: str, *, blocking: bool = True) -> Fault:
        """The fault of the set that this problem of a file is.

        Args:
            file: The file, as a fault names it.
            blocking: Whether labels or features of a run would be other than those of sound data.
        """
        return Fault(file, self.line, self.kind, self.message, blocking)


@dataclass(frozen=True)
class Fault:
    """Something wrong with the set.

    Attributes:
        file: The file, relative to the data folder where it lies below it.
        line: Line of a text file, from 1.
        kind: A word by which programs know the kind of fault (``annotation-order``).
        message: A sentence for people, with the numbers.
        blocking: Whether labels or features of a run would be other than those of sound data.
    """

    file: str
    line: int | None
    kind: str
    message: str
    blocking: bool = True

    def __str__(self) -> str:
        """``file:line: message``, as compilers write it."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Fields as a JSON object."""
        return {"file": self.file, "line": self.line, "kind": self.kind, "message": self.message}
