"""The saved states of a run as files: which there are, what each of their files must be, which one is gone on from.

``current.json`` is the pointer. It names the newest state and the one before it, each with the SHA-256 of every file,
so that a bit that turned over on the disk is noticed before it moves a number, and there is a state to fall back to.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import TaskCard
from bench.core.errors import ResultError, StoreError
from bench.core.files import file_sha256, write_json
from bench.core.text import plain
from bench.engine.position import Bounds, Position, read_choices, read_position
from bench.engine.selection import Choice

POINTER = "current.json"
POSITION, CHOICES = "position.json", "choices.npz"
EPOCHS = "epochs.json"
"""The position after the last epoch that is done, beside the states: these are older, where they are saved by time."""

_NAME = re.compile(r"epoch[0-9]{4,19}-step[0-9]{6,19}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEADER = 4096
"""Bytes that the header of an array may take; NumPy's own take 128."""

UNSOUND = (
    ResultError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,  # encrypted and nested too deep
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged or hostile JSON document or archive of arrays raises."""


@dataclass(frozen=True)
class SavedState:
    """A state that the pointer names.

    Attributes:
        folder: Folder that holds the state's files.
        files: The SHA-256 of each of its files, by name; None where a version that kept none wrote it.
    """

    folder: Path
    files: Mapping[str, str] | None


@dataclass(frozen=True)
class StateContents:
    """The part of a state that is neither model nor optimiser.

    Attributes:
        position: Point that the run has come to.
        choices: The epoch that each selection rule holds, by the rule's name.
    """

    position: Position
    choices: dict[str, Choice]


def state_name(position: Position) -> str:
    """Name of the folder of a state."""
    return f"epoch{position.epoch:04d}-step{position.step:06d}"


def named_states(folder: Path) -> list[SavedState]:
    """Read which states the pointer in a run's ``checkpoint`` folder names, the newest first; none without a pointer.

    Raises:
        StoreError: If the pointer cannot be read.
    """
    path = folder / POINTER
    if not path.is_file():
        return []
    states = []
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        while document is not None:
            states.append(_checked_entry(folder, document))
            document = document.get("before")
    except UNSOUND as error:
        raise unreadable_state_error(path, reason_of(error)) from error
    return states


def _checked_entry(folder: Path, document: Any) -> SavedState:
    if not isinstance(document, dict) or not isinstance(name := document.get("state"), str):
        raise ValueError("it names no state")
    # Names are checked before they become paths: a pointer from elsewhere must not lead out of the folder.
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name of a state")
    # Pointers that the first version wrote hold no hashes.
    if set(document) == {"state"}:
        return SavedState(folder / name, None)
    files = document.get("files")
    if not isinstance(files, dict) or not {POSITION, CHOICES} <= set(files):
        raise ValueError(f"it does not say what {name} holds")
    for file, digest in files.items():
        if Path(file).name != file or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ValueError(f"'{file}' of {name} has no SHA-256")
    return SavedState(folder / name, files)


def write_pointer(folder: Path, states: Sequence[SavedState]) -> None:
    """Write the pointer anew; its replacement, in one rename, is what makes a new state the current one.

    Args:
        folder: The run's ``checkpoint`` folder.
        states: The states to name, the newest first.

    Raises:
        StoreError: If the pointer cannot be written.
    """
    document: dict[str, Any] | None = None
    for state in reversed(states):
        entry: dict[str, Any] = {"state": state.folder.name}
        if state.files is not None:
            entry["files"] = dict(state.files)
        document = {**entry, **({"before": document} if document is not None else {})}
    write_json(folder / POINTER, document)


def remove_others(folder: Path, states: Collection[SavedState]) -> None:
    """Remove all folders of states but those of ``states``: older ones, and those whose writing was cut short."""
    kept = {state.folder.name for state in states}
    for other in folder.iterdir() if folder.is_dir() else ():
        if _NAME.fullmatch(other.name) and other.name not in kept:
            shutil.rmtree(other, ignore_errors=True)


def hashed_state(folder: Path) -> SavedState:
    """Describe a state that has just been written by the SHA-256 of each of its files."""
    return SavedState(folder, {path.name: file_sha256(path) for path in sorted(folder.iterdir())})


def check_files(state: SavedState) -> None:
    """Make sure that the files of a state are those that were saved.

    Raises:
        ValueError: If one is missing or holds something else; it is named.
    """
    for name, digest in (state.files or {}).items():
        path = state.folder / name
        if not path.is_file():
            raise ValueError(f"{name} is missing")
        if file_sha256(path) != digest:
            raise ValueError(f"{name} is not what was saved (its SHA-256 differs)")


def read_contents(state: SavedState, bounds: Bounds) -> StateContents:
    """Read position and choices of a state.

    Raises:
        ValueError: If it cannot be read, or holds what no state of this run can hold.
    """
    try:
        document = _read_document(state.folder / POSITION, {"position", "choices"})
        position = read_position(document["position"], bounds.task, bounds)
        scores = _read_scores(state.folder / CHOICES, document["choices"], bounds)
        return StateContents(position, read_choices(document["choices"], scores, position, bounds))
    except UNSOUND as error:
        raise ValueError(reason_of(error)) from error


def _read_document(path: Path, names: Collection[str]) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or set(document) != set(names):
        raise ValueError(f"{path.name} does not hold {' and '.join(sorted(names, reverse=True))}")
    return document


def _read_scores(path: Path, rules: Collection[str], bounds: Bounds) -> dict[str, NDArray[np.float64]]:
    """Read the arrays of ``choices.npz``; one that announces more than scores of all cycles is not unpacked."""
    arrays = {}
    if not path.is_file():
        raise ValueError(f"{CHOICES} is missing")
    with zipfile.ZipFile(path) as archive:
        for rule in rules:
            member = archive.getinfo(f"{rule}.npy")
            # float64 scores of all classes; what is larger could fill the memory before it is refused.
            if member.file_size > _HEADER + bounds.cycles * len(bounds.task.classes) * 8:
                raise ValueError(f"{rule} in {CHOICES} is larger than the scores of {bounds.cycles} cycles")
            content = io.BytesIO(archive.read(member))
            # Without pickle: a state from elsewhere must not run code.
            arrays[rule] = np.lib.format.read_array(content, allow_pickle=False, max_header_size=_HEADER)
    return arrays


def epochs_so_far(folder: Path, task: TaskCard) -> list[dict[str, Any]]:
    """The entries of the epochs that a run has done; none where nothing that tells of them can be read.

    Args:
        folder: A run's ``checkpoint`` folder.
        task: What the run is judged on.
    """
    documents = [(folder / EPOCHS, {"position"})]
    with contextlib.suppress(StoreError):
        documents += [(state.folder / POSITION, {"position", "choices"}) for state in named_states(folder)]
    # What cannot be read is passed over: this only shows how far a failed run had come.
    for path, names in documents:
        with contextlib.suppress(*UNSOUND):
            return read_position(_read_document(path, names)["position"], task).epochs
    return []


def reason_of(error: BaseException) -> str:
    """What is wrong with a state, on one line and without what a library advises its own users to do."""
    if isinstance(error, ValueError | OSError | ResultError) and str(error):
        return plain(" ".join(str(error).split()))[:200].rstrip(".")
    if isinstance(error, KeyError):
        return f"it lacks {plain(error.args[0] if error.args else '')}"[:200]
    return f"it cannot be unpacked ({type(error).__name__})"


def unreadable_state_error(what: Path, reason: str) -> StoreError:
    """The error of a saved state that a run cannot go on from."""
    return StoreError(f"The saved state {what} cannot be read: {reason}.", "Start the run anew with --rerun.")
