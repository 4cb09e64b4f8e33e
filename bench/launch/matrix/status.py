"""How far the runs of a matrix are: read from their results and progress, never from what a scheduler says."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import ResultError
from bench.core.paths import board_location, has_board
from bench.engine.states import POINTER
from bench.launch.board import results_board, store_result
from bench.launch.matrix.folder import MatrixFolder
from bench.launch.matrix.heads import ResultHead, read_head
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_progress import read_progress
from leaderboard.store.store import Store

logger = logging.getLogger(__name__)

State = Literal["done", "running", "missing", "failed"]
STATES: tuple[State, ...] = ("done", "running", "missing", "failed")

LOCAL = "local"

STILL_SECONDS = 600.0
"""After which a run that tells nothing of its progress is taken for one that does not run."""


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How far a run is.

    Attributes:
        run_id: Its id.
        rows: What it is for.
        model: Id of the model, or name of a composite.
        method: Id of the method, or how a composite combines.
        seed: Its seed.
        state: ``done``, ``running``, ``missing`` or ``failed``.
        saved: Whether it was stopped and goes on from a saved state.
        epoch: Epochs that it has trained; None where it has not begun.
        epochs: Epochs that it will train.
        loss: Loss of the last steps.
        score: Score of the last epoch with all classes told apart, percent.
        seconds: How long it took.
        seconds_left: How long it will take yet.
        error: What it failed with.
        log: The file that tells more of it; None where there is none.
        parts: How far the parts of a composite are, by name.
    """

    run_id: str
    rows: tuple[str, ...]
    model: str
    method: str
    seed: int
    state: State
    saved: bool = False
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    score: float | None = None
    seconds: float | None = None
    seconds_left: float | None = None
    error: str | None = None
    log: str | None = None
    parts: Mapping[str, str] | None = None


@dataclass(frozen=True)
class MatrixStatus:
    """How far a matrix is.

    Attributes:
        record: What was asked.
        driven: Whether a process is at it.
        runs: How far each run is.
    """

    record: Mapping[str, Any]
    driven: bool
    runs: tuple[RunStatus, ...]

    @property
    def counts(self) -> dict[State, int]:
        """How many runs are in each state."""
        found = Counter(run.state for run in self.runs)
        return {state: found[state] for state in STATES}

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench matrix status --format json`` prints."""
        names = ("name", "source", "profile", "begun", "launcher", "refused")
        return {
            **{name: self.record[name] for name in names},
            "driven": self.driven,
            "counts": self.counts,
            "runs": [asdict(run) for run in self.runs],
        }


def status_of(folder: MatrixFolder, home: Path) -> MatrixStatus:
    """How far a matrix is.

    Args:
        folder: Its folder.
        home: The results folder.

    Raises:
        ResultError: If its record is broken.
    """
    record, driven = folder.read_record(), folder.is_driven()
    # Jobs of a cluster go on without the process that began them, those of this machine do not.
    known = _Known(home.absolute(), folder.read_ends(), driven or record["launcher"] != LOCAL)
    return MatrixStatus(record, driven, tuple(_status(entry, known) for entry in record["runs"]))


@dataclass(frozen=True)
class _Known:
    """What is known of a matrix beyond the results of its runs.

    Attributes:
        home: The results folder, an absolute path.
        ends: How tasks ended, by key.
        may_run: Whether runs of it can be under way.
    """

    home: Path
    ends: Mapping[str, Mapping[str, Any]]
    may_run: bool


def _status(entry: Mapping[str, Any], known: _Known) -> RunStatus:
    """How far a run or a composite is."""
    named = {name: entry[name] for name in ("run_id", "model", "method", "seed")}
    named["rows"] = tuple(entry["rows"])
    own = _state(entry["run_id"], known)
    if own["state"] != "done" and entry["parts"]:
        own = _state_of_parts(entry["parts"], known, own)
    return RunStatus(**named, **own)


def _state_of_parts(parts: Mapping[str, str], known: _Known, own: dict[str, Any]) -> dict[str, Any]:
    """The state of a composite without a result: that of the part that it waits for."""
    states = {name: _state(run_id, known) for name, run_id in parts.items()}
    told: dict[str, Any] = {"parts": {name: state["state"] for name, state in states.items()}}
    for wanted in ("failed", "running"):
        for name, state in states.items():
            if state["state"] == wanted:
                error = None if state.get("error") is None else f"part {name}: {state['error']}"
                return {**state, **told, "error": error}
    return {**own, **told}


def _state(run_id: str, known: _Known) -> dict[str, Any]:
    """The state of one run, as fields of a :class:`RunStatus`."""
    home = known.home
    try:
        head = read_head(home, run_id)
    except ResultError as error:
        return {"state": "failed", "error": error.message, **_log(home, run_id)}
    if head is not None and head.status == "finished":
        times = {"seconds": head.seconds, "epoch": head.epochs, "epochs": head.epochs}
        return {"state": "done", "score": head.score, **times}
    progress = _progress(home, run_id) if known.may_run else None
    if progress is not None:
        return {"state": "running", **progress, **_log(home, run_id)}
    return _open_state(home, run_id, head, known.ends.get(run_id))


def _open_state(home: Path, run_id: str, head: ResultHead | None, end: Mapping[str, Any] | None) -> dict[str, Any]:
    """The state of a run that neither is done nor runs."""
    if head is not None:
        return {"state": "failed", "error": head.error, "epoch": head.epochs, **_log(home, run_id)}
    saved = (RunFolder.of_run(home, run_id).checkpoint / POINTER).is_file()
    if end is not None and end["status"] in ("failed", "not started"):
        return {"state": "failed", "error": end["error"], "saved": saved, **_log(home, run_id)}
    return {"state": "missing", "saved": saved}


def _log(home: Path, run_id: str) -> dict[str, str]:
    path = RunFolder.of_run(home, run_id).log
    return {"log": str(path)} if path.is_file() else {}


def _progress(home: Path, run_id: str) -> dict[str, Any] | None:
    """What a run tells of its progress; None where it tells nothing, or has not for long."""
    found = read_progress(RunFolder.of_run(home, run_id).progress)
    if found is None or found.age > STILL_SECONDS:
        return None
    told = {name: getattr(found, name) for name in ("epoch", "epochs", "loss", "score")}
    return {**told, "seconds_left": found.remaining()}


def bring_results(folder: MatrixFolder, home: Path) -> int:
    """Bring results to the board that an engine on other machines has left, and that are not on it yet.

    A result that cannot be read is told of in the log, and keeps no other from the board.

    Returns:
        How many.

    Raises:
        StoreError: If the board cannot be read, or there is something to bring and it cannot be written.
    """
    home = home.absolute()
    runs = folder.read_record()["runs"]
    ids = [run_id for entry in runs for run_id in (*entry["parts"].values(), entry["run_id"])]
    heads = {run_id: head for run_id in dict.fromkeys(ids) if (head := _head_or_none(home, run_id)) is not None}
    if not heads or not has_board():
        return 0
    known = Store.open(board_location(home)).statuses()
    new = [run_id for run_id, head in heads.items() if known.get(run_id) != head.status]
    store = results_board(home) if new else None
    return sum(_is_brought(store, home, run_id) for run_id in new)


def _is_brought(store: Store | None, home: Path, run_id: str) -> bool:
    try:
        return store_result(store, RunFolder.of_run(home, run_id).read())
    except ResultError as error:
        logger.warning(f"run {run_id} is not brought to the board: {error.message} {error.hint or ''}".rstrip())
        return False


def _head_or_none(home: Path, run_id: str) -> ResultHead | None:
    try:
        head = read_head(home, run_id)
    except ResultError:
        return None
    return head if head is not None and head.status in ("finished", "failed") else None
