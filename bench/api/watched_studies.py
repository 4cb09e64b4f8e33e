"""How far studies are, from the journals of a results folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.search.study import Search

ENDING = ".journal"
"""As ``bench.search.storage`` has it, which would bring Optuna where nobody searches."""

SILENT_SECONDS = 600.0
"""After which a study whose journal says nothing more is not worked on: its workers write every minute."""


@dataclass(frozen=True)
class StudyLook:
    """How far a study is.

    Attributes:
        name: Its name.
        going_on: Whether workers are at it.
        trials: Trials that have ended.
        target: Trials that it shall have in total; 0 where nobody said.
        running: Trials under way.
        failed: Trials that failed.
        best: The highest Score of a trial, percent; None before the first.
    """

    name: str
    going_on: bool
    trials: int
    target: int
    running: int
    failed: int
    best: float | None


class StudyWatcher:
    """Looks at the studies of a results folder again and again; of their journals only what is new is read.

    Args:
        home: The results folder.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "studies"
        self._open: dict[str, Search] = {}

    def names(self) -> list[str]:
        """The studies by name, which is that of the journal."""
        return sorted(path.name.removesuffix(ENDING) for path in self.folder.glob(f"*{ENDING}"))

    def changed_since(self, when: float) -> list[str]:
        """Those whose journal has changed since a time, in seconds since 1970."""
        return [name for name in self.names() if self._changed(name) >= when]

    def look(self, name: str) -> StudyLook | None:
        """How far a study is; None where its journal cannot be read now."""
        import time

        from bench.search.study_values import summary

        try:
            told = summary(self._search(name))
        except BenchError:
            self._open.pop(name, None)
            return None
        counts = told["counts"]
        is_worked_on = counts["running"] > 0 and time.time() - self._changed(name) < SILENT_SECONDS
        return StudyLook(
            name=name,
            going_on=is_worked_on,
            trials=told["trials"],
            target=told["target"],
            running=counts["running"],
            failed=counts["fail"],
            best=told["best"],
        )

    def _search(self, name: str) -> Search:
        from bench.search.storage import Place
        from bench.search.study import open_study

        if name not in self._open:
            self._open[name] = open_study(Place(journal=self.folder / f"{name}{ENDING}"), name)
        return self._open[name]

    def _changed(self, name: str) -> float:
        try:
            return (self.folder / f"{name}{ENDING}").stat().st_mtime
        except OSError:
            return 0.0
