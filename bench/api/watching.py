"""Runs, matrices and studies that are going on, looked at again and again from their files alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.api.watched_studies import StudyLook as StudyLook
from bench.api.watched_studies import StudyWatcher
from bench.core.errors import ResultError, SpecError
from bench.core.paths import expanded, home_folder
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.launch.matrix.folder import MatrixFolder, matrix_folders
from bench.launch.watched_runs import GOING_ON, STATES, RunWatcher, in_order
from bench.launch.watched_runs import WatchedRun as WatchedRun

LATELY_SECONDS = 3600.0
"""What has changed since is looked at where nothing is named."""

LOCAL = "local"
ENDED_BADLY = frozenset({"failed", "interrupted", "missing"})


@dataclass(frozen=True)
class MatrixLook:
    """How far a matrix is.

    Attributes:
        name: What it is called.
        driven: Whether a process is at it.
        going_on: Whether something of it may still come.
        counts: How many of its runs are in which state; ``missing`` are those that nobody will begin.
    """

    name: str
    driven: bool
    going_on: bool
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Snapshot:
    """What there was to see at a moment.

    Attributes:
        home: The results folder.
        time: When, in seconds since 1970.
        runs: Those that go on first.
        matrices: Matrices that are watched.
        studies: Studies that are watched.
    """

    home: Path
    time: float
    runs: Sequence[WatchedRun]
    matrices: Sequence[MatrixLook]
    studies: Sequence[StudyLook]

    @property
    def going_on(self) -> bool:
        """Whether something is still to come."""
        by_runs = any(run.state in GOING_ON for run in self.runs)
        return by_runs or any(one.going_on for one in (*self.matrices, *self.studies))

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench watch --format json`` prints."""
        return {
            "home": str(self.home),
            "time": self.time,
            "going_on": self.going_on,
            "runs": [asdict(run) for run in self.runs],
            "matrices": [asdict(one) for one in self.matrices],
            "studies": [asdict(one) for one in self.studies],
        }


@dataclass(frozen=True)
class _Asked:
    """What names mean: runs by their watchers, matrices and studies."""

    runs: list[tuple[RunWatcher, str]]
    matrices: list[MatrixFolder]
    studies: list[str]


class Watch:
    """Looks at what is named; where nothing is, at all that goes on in a results folder or has ended lately.

    Args:
        names: Ids of runs or their beginnings, folders of runs, names of matrices and of studies.
        home: Results folder (default: ``BENCH_HOME`` or ./results).

    Raises:
        SpecError: If there is nothing of a name, or several runs begin with it.
    """

    def __init__(self, names: Sequence[str] = (), home: Path | str | None = None) -> None:
        self.home, self.named = home_folder(home).absolute(), bool(names)
        self._runs, self._studies = RunWatcher(self.home), StudyWatcher(self.home)
        self._asked = self._resolve(names)
        # Done runs of a matrix stay done: thousands of them are not looked at each time.
        self._done: dict[str, WatchedRun] = {}
        self._first: set[str] | None = None

    def look(self) -> Snapshot:
        """See how far everything is now."""
        now = time.time()
        names = self._asked.studies if self.named else self._studies.changed_since(now - LATELY_SECONDS)
        studies = [look for name in names if (look := self._studies.look(name)) is not None]
        folders = self._asked.matrices if self.named else self._lately(now)
        runs = {run.run_id: run for run in self._single_runs(now)}
        matrices = [look for folder in folders if (look := self._matrix(folder, runs)) is not None]
        seen = Snapshot(self.home, now, in_order(list(runs.values())), matrices, studies)
        if self._first is None:
            self._first = {run.run_id for run in seen.runs if run.state not in GOING_ON}
        return seen

    def each(self, every: float) -> Iterator[Snapshot]:
        """Look again and again until all has ended.

        Args:
            every: Seconds between two looks.
        """
        while True:
            seen = self.look()
            yield seen
            if not seen.going_on:
                return
            time.sleep(every)

    def ended_badly(self, seen: Snapshot) -> bool:
        """Whether something that is named, or that was going on at the first look, ended otherwise than well."""
        before = set() if self.named else self._first or set()
        runs = any(run.state in ENDED_BADLY and run.run_id not in before and not run.study for run in seen.runs)
        if not self.named:
            return runs
        matrices = any(one.counts.get(state) for one in seen.matrices for state in ENDED_BADLY)
        return runs or matrices or any(study.best is None and not study.going_on for study in seen.studies)

    def _single_runs(self, now: float) -> Iterator[WatchedRun]:
        """Those that are named, those of named studies, or all that have changed lately."""
        asked = list(self._asked.runs)
        if not self.named:
            asked = [(self._runs, run_id) for run_id in self._runs.run_ids(now - LATELY_SECONDS)]
        for watcher, run_id in asked:
            if (run := watcher.look(run_id)) is not None:
                yield run
        if self._asked.studies:
            for run_id in self._runs.run_ids():
                run = self._runs.look(run_id)
                if run is not None and run.study in self._asked.studies:
                    yield run

    def _lately(self, now: float) -> list[MatrixFolder]:
        def is_new(folder: MatrixFolder) -> bool:
            try:
                return folder.is_driven() or folder.path.stat().st_mtime > now - LATELY_SECONDS
            except OSError:
                return False

        return [folder for folder in _folders(self.home) if is_new(folder)]

    def _matrix(self, folder: MatrixFolder, runs: dict[str, WatchedRun]) -> MatrixLook | None:
        """How far a matrix is; its runs are added to the others."""
        try:
            record = folder.read_record()
            asked, is_local = [entry["run_id"] for entry in record["runs"]], record["launcher"] == LOCAL
            parts = [part for entry in record["runs"] for part in entry["parts"].values()]
        except (ResultError, KeyError, TypeError, AttributeError):
            return None
        driven = folder.is_driven()
        unbegun = "waiting" if driven or not is_local else "missing"
        found = {run_id: self._run_of_matrix(run_id, runs) for run_id in dict.fromkeys((*asked, *parts))}
        counts = Counter(_state_within(found[run_id], driven, unbegun) for run_id in asked)
        runs.update({run_id: run for run_id, run in found.items() if run is not None})
        going_on = driven or bool(counts["waiting"] and not is_local)
        ordered = {state: counts[state] for state in (*STATES, "missing") if counts[state]}
        return MatrixLook(folder.name, driven, going_on, ordered)

    def _run_of_matrix(self, run_id: str, runs: Mapping[str, WatchedRun]) -> WatchedRun | None:
        run = runs.get(run_id) or self._done.get(run_id) or self._runs.look(run_id)
        if run is not None and run.state == "finished":
            self._done[run_id] = run
        return run

    def _resolve(self, names: Sequence[str]) -> _Asked:
        matrices = {folder.name: folder for folder in _folders(self.home)} if names else {}
        studies = self._studies.names() if names else []
        asked = _Asked([], [], [])
        for name in names:
            if name in matrices:
                asked.matrices.append(matrices[name])
            elif name in studies:
                asked.studies.append(name)
            else:
                asked.runs.append(self._find_run(name, [*matrices, *studies]))
        return asked

    def _find_run(self, name: str, others: Sequence[str]) -> tuple[RunWatcher, str]:
        path = expanded(name)
        if len(path.parts) > 1 and path.is_dir():
            return RunWatcher(path.absolute().parent.parent), path.absolute().name
        ids = sorted(self._runs.run_ids())
        matches = [run_id for run_id in ids if run_id.startswith(name.lower())]
        if name.lower() in matches or len(matches) == 1:
            return self._runs, name.lower() if name.lower() in matches else matches[0]
        word = echoed(name)
        if matches:
            shown = ", ".join(matches[:5]) + (", ..." if len(matches) > 5 else "")
            raise SpecError(f"'{word}' is the beginning of {len(matches)} runs: {shown}.", "Write more characters.")
        known = [*others, *ids]
        raise SpecError(
            f"There is no run, matrix or study '{word}' in {self.home}: "
            f"{suggestion(name, known) if known else 'there is nothing in it.'}",
            "`bench watch` alone shows what is going on; --home names another results folder.",
        )


def _state_within(run: WatchedRun | None, driven: bool, unbegun: str) -> str:
    """The state of a run of a matrix: what was stopped is done again by the process that is at it."""
    if run is None:
        return unbegun
    return "waiting" if driven and run.state == "interrupted" else run.state


def _folders(home: Path) -> list[MatrixFolder]:
    try:
        return matrix_folders(home)
    except OSError:
        # One went while its time was asked for; the next look finds the others.
        return []
