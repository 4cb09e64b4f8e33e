"""How far runs are, seen from outside: from the files of their folders alone, on a disk that machines may share.

Nothing is locked and nothing written. A file may be missing, half-written or gone in the next moment: then the run says
less of itself for once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.core.documents import is_number, read_document
from bench.core.errors import ResultError
from bench.core.lifetimes import is_alive, process_age_mark
from bench.engine.states import EPOCHS, POINTER
from bench.launch.matrix.heads import ResultHead, read_head
from leaderboard.results.run_folder import RUNS_FOLDER, RunFolder
from leaderboard.results.run_progress import RunProgress, read_progress

RunState = Literal["running", "stale", "waiting", "interrupted", "failed", "pruned", "finished"]
STATES: tuple[RunState, ...] = ("running", "stale", "waiting", "interrupted", "failed", "pruned", "finished")

GOING_ON = frozenset({"running", "stale", "waiting"})
"""States of which a run may still get out by itself."""

SILENT_SECONDS = 600.0
"""Without news for so long a run of another machine is stale, and one that told nothing yet is taken for stopped: the
evaluation of an epoch, in which nothing is told, takes minutes on a CPU."""


SETTLING_SECONDS = 15.0
"""Between the last news of a training and its result, which is written then."""


@dataclass(frozen=True, kw_only=True)
class WatchedRun:
    """How far a run is.

    Attributes:
        run_id: Its id.
        state: ``running``; ``stale``, without news for long; ``waiting``, before its first step or for its result;
            ``interrupted``, stopped or killed, with or without a saved state; ``failed``; ``pruned``; ``finished``.
        model: Id of the model; empty where the spec cannot be read.
        method: Id of the method.
        seed: Its seed; None where the spec cannot be read.
        host: The machine that it runs on; empty where it does not say.
        epoch: The epoch under way, or the last one.
        epochs: Number of epochs.
        step: Steps of this epoch that are done; None where it does not run.
        steps: Steps of an epoch.
        loss: The last loss.
        score: Score of the last evaluated epoch, exact class, percent.
        cycles_per_second: Its pace.
        seconds_left: Seconds until its end.
        seconds: How long it took, once it has ended.
        age: Seconds since its last news; None where there is none.
        saved: Whether it goes on from a saved state when it is started again.
        error: What it failed with.
        study: The study that it belongs to; empty for none.
    """

    run_id: str
    state: RunState
    model: str = ""
    method: str = ""
    seed: int | None = None
    host: str = ""
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    score: float | None = None
    cycles_per_second: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None
    age: float | None = None
    saved: bool = False
    error: str | None = None
    study: str = ""


@dataclass
class RunWatcher:
    """Looks at runs again and again; what does not change any more is read once.

    Attributes:
        home: The results folder.
        clock: Tells the time in seconds since 1970.
    """

    home: Path
    clock: Callable[[], float] = time.time
    _heads: dict[str, tuple[int, ResultHead | None]] = field(default_factory=dict)
    _names: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    def run_ids(self, since: float = 0.0) -> list[str]:
        """The runs of the results folder, in no order.

        Args:
            since: Only those whose folder has changed since then, in seconds since 1970.
        """
        found = []
        with contextlib.suppress(OSError), os.scandir(self.home / RUNS_FOLDER) as entries:
            for entry in entries:
                # Temporary names begin with a dot.
                if not entry.name.startswith(".") and (_time_of(Path(entry.path)) or 0.0) >= since:
                    found.append(entry.name)
        return found

    def look(self, run_id: str) -> WatchedRun | None:
        """How far a run is; None where it has no folder."""
        folder = RunFolder.of_run(self.home, run_id)
        if not folder.path.is_dir():
            return None
        named = self._named(folder)
        progress = read_progress(folder.progress)
        head = self._head(folder)
        if progress is not None and (head is None or _is_newer(progress, folder)):
            return _under_way(run_id, progress, folder, self.clock(), named)
        if head is not None:
            return self._ended(run_id, head, folder, named)
        return self._without_news(run_id, folder, named)

    def _ended(self, run_id: str, head: ResultHead, folder: RunFolder, named: dict[str, Any]) -> WatchedRun:
        states: dict[str, RunState] = {"finished": "finished", "pruned": "pruned"}
        trained = head.kind == "run"  # an ensemble has no epochs, nor a spec that names it
        return WatchedRun(
            run_id=run_id,
            state=states.get(head.status, "failed"),
            epoch=head.epochs if trained else None,
            epochs=head.epochs if head.status == "finished" else named.get("epochs"),
            score=head.score,
            seconds=head.seconds,
            age=_age(folder.result, self.clock()),
            error=head.error,
            **_who(named if trained else {"model": head.kind, **named}),
        )

    def _without_news(self, run_id: str, folder: RunFolder, named: dict[str, Any]) -> WatchedRun:
        """A run that neither trains nor has ended: it prepares, waits, or was stopped."""
        saved = (folder.checkpoint / POINTER).is_file()
        # The features of a run may take long; its lock names the process that is at it, if that is one of ours.
        age = _age(folder.path, self.clock())
        patience = SETTLING_SECONDS if saved else SILENT_SECONDS
        begins = _holder_lives(folder.lock) or (age is not None and age < patience)
        epoch, score = _epochs_so_far(folder)
        return WatchedRun(
            run_id=run_id,
            state="waiting" if begins else "interrupted",
            epoch=epoch,
            epochs=named.get("epochs"),
            score=score,
            age=age,
            saved=saved,
            **_who(named),
        )

    def _head(self, folder: RunFolder) -> ResultHead | None:
        """What the result says of itself; None where there is none. One that cannot be read has failed."""
        changed = _changed(folder.result)
        if changed is None:
            return None
        known = self._heads.get(folder.path.name)
        if known is None or known[0] != changed:
            try:
                head = read_head(self.home, folder.path.name)
            except ResultError as error:
                head = ResultHead("failed", error=error.message)
            self._heads[folder.path.name] = known = changed, head
        return known[1]

    def _named(self, folder: RunFolder) -> dict[str, Any]:
        """The identity of the spec; nothing where it cannot be read."""
        changed = _changed(folder.spec)
        if changed is None:
            return {}
        known = self._names.get(folder.path.name)
        if known is None or known[0] != changed:
            self._names[folder.path.name] = known = changed, _identity(folder.spec)
        return known[1]


def _under_way(run_id: str, progress: RunProgress, folder: RunFolder, now: float, named: dict[str, Any]) -> WatchedRun:
    state, age = _state_of(progress, now), max(0.0, now - progress.time)
    told = ("epoch", "epochs", "step", "steps", "loss", "score", "cycles_per_second", "host")
    return WatchedRun(
        run_id=run_id,
        state=state,
        age=age,
        seconds_left=progress.remaining(lambda: now) if state == "running" else None,
        saved=(folder.checkpoint / POINTER).is_file(),
        **{name: getattr(progress, name) for name in told},
        **_who(named),
    )


def _state_of(progress: RunProgress, now: float) -> RunState:
    if progress.process is not None and progress.host == socket.gethostname():
        # Of this machine more is known than the time of the last news.
        return "running" if _lives(progress.process, progress.mark) else "interrupted"
    return "running" if now - progress.time < SILENT_SECONDS else "stale"


def _lives(process: int, mark: str | None) -> bool:
    return is_alive(process) and (mark is None or process_age_mark(process) == mark)


def _holder_lives(lock: Path) -> bool:
    """Whether the process that a lock file names is one of this machine, and was there when it took the lock."""
    try:
        process = int(lock.read_text(encoding="utf-8").split()[1])
        return _lives(process, None) and lock.stat().st_mtime >= Path(f"/proc/{process}").stat().st_mtime - 1.0
    except (OSError, ValueError, IndexError):
        return False


def _is_newer(progress: RunProgress, folder: RunFolder) -> bool:
    """Whether a run trains again although an earlier result is there."""
    ended = _time_of(folder.result)
    return ended is None or progress.started > ended


def _epochs_so_far(folder: RunFolder) -> tuple[int | None, float | None]:
    """Epochs that a stopped run has done, and its last Score, as its saved state says."""
    try:
        epochs = read_document(folder.checkpoint / EPOCHS)["position"]["epochs"]
        judged = [entry["test"] for entry in epochs if entry["test"]]
        score = next(iter(judged[-1].values()))["score"] if judged else None
        return len(epochs), score if is_number(score) else None
    except (ResultError, KeyError, TypeError, AttributeError, StopIteration):
        return None, None


def _identity(path: Path) -> dict[str, Any]:
    try:
        document = read_document(path)
        return {**document["identity"], "study": document["execution"].get("study", {}).get("name", "")}
    except (ResultError, KeyError, TypeError, AttributeError):
        return {}


def _who(named: dict[str, Any]) -> dict[str, Any]:
    seed = named.get("seed")
    words = {name: str(named.get(name, "")) for name in ("model", "method", "study")}
    return {**words, "seed": seed if isinstance(seed, int) else None}


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _time_of(path: Path) -> float | None:
    changed = _changed(path)
    return None if changed is None else changed / 1e9


def _age(path: Path, now: float) -> float | None:
    changed = _time_of(path)
    return None if changed is None else max(0.0, now - changed)


def in_order(runs: Iterator[WatchedRun] | list[WatchedRun]) -> list[WatchedRun]:
    """Runs with those first that go on, then those that ended badly; within a state the newest news first."""
    return sorted(runs, key=lambda run: (STATES.index(run.state), run.age or 0.0, run.run_id))
