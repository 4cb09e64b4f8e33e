"""How far a run is: a small file in its folder while it is under way, which tables of running runs read.

It is no result: it may be missing, or be left behind by a process that was killed.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bench.core.documents import is_number, read_document
from bench.core.errors import ResultError
from bench.core.files import temporary_name


def _now() -> float:
    return time.time()


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a run is.

    Attributes:
        epoch: Number of the epoch under way, from 1; 0 before the first step.
        epochs: Number of epochs.
        step: Steps of this epoch that are done.
        steps: Steps of an epoch.
        loss: The last loss that was read; None before that, or where it is no finite number.
        score: Score of the last evaluated epoch, exact class, in per cent; None before the first.
        started: When this process began to train, in seconds since 1970.
        time: When this was written, in seconds since 1970.
        seconds_left: Seconds until the last epoch is over, at the pace so far; None where nobody can tell yet.
        cycles_per_second: Training rows that the run takes in a second; None where nobody can tell yet.
        host: The machine that it runs on; empty where an earlier version wrote this.
        process: The process that trains it, by its number there; None where an earlier version wrote this.
        mark: What tells that process from a later one of its number; None where the system does not say.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None = None
    score: float | None = None
    started: float
    time: float
    seconds_left: float | None = None
    cycles_per_second: float | None = None
    host: str = ""
    process: int | None = None
    mark: str | None = None

    @property
    def age(self) -> float:
        """Seconds since it was written."""
        return _now() - self.time

    def remaining(self, now: Callable[[], float] = _now) -> float | None:
        """Seconds that are left now, where it was known when this was written."""
        return None if self.seconds_left is None else max(0.0, self.seconds_left - (now() - self.time))

    def write(self, path: Path) -> None:
        """Write it in one step, but not through to the disk: after a loss of power it is worth nothing.

        Raises:
            OSError: If it cannot be written.
        """
        temporary = temporary_name(path)
        try:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def read_progress(path: Path) -> RunProgress | None:
    """Read what a run says of itself; None where it says nothing, or not in these words."""
    try:
        told = read_document(path)
        # A later version may tell more.
        found = RunProgress(**{name: value for name, value in told.items() if name in _NAMES})
    except (ResultError, TypeError, AttributeError):
        return None
    return found if all(_is_sound(name, getattr(found, name)) for name in _NAMES) else None


_NAMES = frozenset(field.name for field in fields(RunProgress))
_WHOLE = frozenset({"epoch", "epochs", "step", "steps", "process"})
_WORDS = frozenset({"host", "mark"})
_UNKNOWN = frozenset(field.name for field in fields(RunProgress) if field.default is None)


def _is_sound(name: str, value: Any) -> bool:
    if value is None:
        return name in _UNKNOWN
    if name in _WORDS:
        return isinstance(value, str)
    return is_number(value) and (name not in _WHOLE or isinstance(value, int))
