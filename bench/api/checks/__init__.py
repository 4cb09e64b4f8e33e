"""Checks of this machine, for ``bench doctor``: what was found, whether that is well, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from bench.core.errors import BenchError
from bench.core.messages import message_text
from bench.core.text import plain_lines

Verdict = Literal["ok", "warning", "wrong"]
VERDICTS: tuple[Verdict, ...] = ("ok", "warning", "wrong")


@dataclass(frozen=True)
class Check:
    """A verdict on a part of this machine.

    Attributes:
        name: What was looked at.
        verdict: ``ok``; ``warning``, for what works otherwise than most would want; ``wrong``, for what stops runs.
        found: What there is.
        advice: What to do; None where nothing is to be done.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str | None = None


@dataclass(frozen=True)
class Places:
    """The folders that a command would use here.

    Attributes:
        home: The results folder, which need not exist.
        data: Folder of the data that was named; None for the default.
        cache: The cache folder, which need not exist.
        encoding: That of the standard output.
    """

    home: Path
    data: Path | None
    cache: Path
    encoding: str


Examination: TypeAlias = Callable[[Places], Check]
"""Looks at one part; a BenchError that it raises is its verdict."""

UNUSABLE = (OSError, RuntimeError, ImportError, ValueError, AttributeError)
"""What a part of a machine that is broken raises; the other parts are looked at all the same."""


def examined(name: str, examination: Examination, places: Places) -> Check:
    """The verdict of an examination, whatever it raises.

    Args:
        name: What is looked at.
        examination: Looks at it.
        places: The folders.
    """
    try:
        return examination(places)
    except BenchError as error:
        return Check(name, "wrong", error.message, error.hint)
    except UNUSABLE as error:
        words = message_text(plain_lines(f"{type(error).__name__}: {error}"))
        return Check(name, "wrong", words, "Mend that first; `bench --debug doctor` says no more than this line.")


def worst(checks: Sequence[Check]) -> Verdict:
    """The gravest of some verdicts."""
    return max((check.verdict for check in checks), key=VERDICTS.index, default="ok")


def existing(folder: Path) -> Path:
    """A folder, or the nearest one above it that is there."""
    return next(_above(folder.absolute()))


def _above(folder: Path) -> Iterator[Path]:
    yield from (place for place in (folder, *folder.parents) if place.is_dir())
