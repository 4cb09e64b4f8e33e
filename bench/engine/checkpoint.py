"""Saves and restores the state of a run: written beside the old one, synced, made the current one by one rename.

Random states need no place in it: every draw is made from (seed, epoch, step), so the position is the state. The state
before the newest is kept: a run goes on from it where the newest is damaged.
"""

from __future__ import annotations

import copy
import logging
import pickle
import shutil
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from accelerate.utils import broadcast_object_list, gather_object, save
from accelerate.utils.constants import OPTIMIZER_NAME, RNG_STATE_NAME, SAFE_WEIGHTS_NAME, SCALER_NAME
from safetensors import SafetensorError

from bench.core.errors import StoreError
from bench.core.files import share_as, sync_folder, sync_tree, write_json
from bench.core.text import plain
from bench.engine.host_copies import HostCopies
from bench.engine.position import CHOICE_FIELDS, Bounds, Position
from bench.engine.random_states import random_states
from bench.engine.selection import Selection
from bench.engine.states import (
    CHOICES,
    EPOCHS,
    POSITION,
    UNSOUND,
    SavedState,
    StateContents,
    check_files,
    hashed_state,
    named_states,
    read_contents,
    reason_of,
    remove_others,
    state_name,
    unreadable_state_error,
    write_pointer,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

MODEL, OPTIMIZER, SCALER = SAFE_WEIGHTS_NAME, f"{OPTIMIZER_NAME}.bin", SCALER_NAME
"""Files of a state that `Accelerator.load_state` reads."""

UNLOADABLE = (*UNSOUND, SafetensorError, pickle.UnpicklingError, AttributeError, IndexError, AssertionError)
"""What loading model and optimiser from files of another content raises."""


@dataclass(frozen=True)
class ResumableState:
    """A state that a run can go on from.

    Attributes:
        state: The folder of the state and the hashes of its files.
        contents: Position and choices that the state holds.
        remarks: Sentences for the user: newer states that are damaged, or that there were no hashes to compare.
    """

    state: SavedState
    contents: StateContents
    remarks: Sequence[str] = ()


class Checkpoint:
    """Saves and restores one run's state in its folder.

    A save copies the state into host memory; a thread of the main process writes the copy while training goes on. In a
    ``with`` block, whose end waits for that thread.

    Args:
        folder: The run's ``checkpoint`` folder.
        accelerator: Prepared them, and loads their state.
    """

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self.folder = folder
        self.accelerator = accelerator
        self._current: SavedState | None = None
        self._copies = HostCopies()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._write: Future[None] | None = None
        self._trained: tuple[Any, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the state that is being written; where the run ends well, an error of that is the run's."""
        self._writer.shutdown()
        try:
            self._finish()
        except StoreError as unwritten:
            if error is None:
                raise
            logger.warning(unwritten.message)

    def enter_stage(self, graph: Any, optimizer: Any) -> None:
        """Say whose state is saved from now on.

        Args:
            graph: Model and method, not wrapped: names in a state do not depend on the number of processes.
            optimizer: The stage's optimiser, as the accelerator has prepared it.
        """
        self._trained = graph, optimizer

    def save(self, position: Position, selection: Selection) -> None:
        """Copy the state and begin to write it, once the one before is written; called by every process.

        Raises:
            StoreError: If the state before could not be written; the one before that stays the current one.
        """
        randoms = gather_object([random_states()])
        if self.accelerator.is_main_process:
            self._finish()
            contents = StateContents(copy.deepcopy(position), dict(selection.choices))
            self._write = self._writer.submit(self._write_state, contents, self._copies.copy(self._state()), randoms)

    def wait(self) -> None:
        """Wait until the last state is the current one; called by every process.

        Raises:
            StoreError: If it could not be written.
        """
        self._finish()
        self.accelerator.wait_for_everyone()

    def raise_error(self) -> None:
        """Raise the error of a write that has failed, and do not wait for one that is under way.

        Raises:
            StoreError: If the last state could not be written.
        """
        if self._write is not None and self._write.done():
            self._finish()

    def note_epochs(self, position: Position) -> None:
        """Write down the epochs that are done: a run that fails tells of them, however old its last state is.

        Raises:
            StoreError: If they cannot be written.
        """
        if not self.accelerator.is_main_process:
            return
        if position.epoch > 0:
            write_json(self.folder / EPOCHS, {"position": vars(position)})
        else:
            (self.folder / EPOCHS).unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._write is not None:
            written, self._write = self._write, None
            written.result()

    def _state(self) -> dict[str, Any]:
        """The state of model, optimiser and scaler by the name of its file, as ``Accelerator.save_state`` has it."""
        assert self._trained is not None
        model, optimizer = self._trained
        state = {MODEL: self.accelerator.get_state_dict(model, unwrap=False), OPTIMIZER: optimizer.state_dict()}
        if self.accelerator.scaler is not None:
            state[SCALER] = self.accelerator.scaler.state_dict()
        return state

    def _write_state(self, contents: StateContents, files: Mapping[str, Any], randoms: Sequence[Any]) -> None:
        """Write a state and make it the current one; in the thread."""
        folder = self.folder / state_name(contents.position)
        try:
            # A damaged state that was passed over, or one whose saving was cut short, may lie under this name.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for name, state in files.items():
                save(state, folder / name, safe_serialization=name == MODEL)
            for rank, state in enumerate(randoms):
                save(state, folder / f"{RNG_STATE_NAME}_{rank}.pkl")
            _write_contents(folder, contents)
            self._make_current(folder)
        except (OSError, RuntimeError, SafetensorError, StoreError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            reason = error.message if isinstance(error, StoreError) else str(error)
            raise StoreError(
                f"Cannot save the run's state in {folder}: {plain(' '.join(reason.split())).rstrip('.')}.",
                "Free space there; the run goes on from the last one.",
            ) from error

    def _make_current(self, folder: Path) -> None:
        """Let the pointer name a state, once it is on the disk, and the one before it; the others go."""
        # The library makes files for their owner alone; position.json has the permissions that the umask leaves.
        made = (folder / POSITION).stat()
        for file in folder.iterdir():
            share_as(file, made)
        state = hashed_state(folder)
        # On the disk before the pointer is: a power cut must not leave a pointer to files that never arrived.
        sync_tree(folder)
        sync_folder(self.folder)
        kept = [state, *([self._current] if self._current is not None else [])]
        write_pointer(self.folder, kept)
        # Last: until the pointer was replaced, the older states were those to go on from.
        remove_others(self.folder, kept)
        self._current = state
        logger.debug("state saved: %s", folder)

    def find(self, bounds: Bounds) -> ResumableState | None:
        """Find the newest state that is whole; called by every process.

        Args:
            bounds: Epochs, steps and cycles that the state's position must lie within.

        Returns:
            The state, or None where there is none.

        Raises:
            StoreError: If there are states and none of them is whole, or processes read different ones.
        """
        found = self._newest_sound_state(bounds)
        # Processes that went on from different states would train on without a word.
        chosen = ["" if found is None else found.state.folder.name]
        mine = chosen[0]
        broadcast_object_list(chosen)
        if chosen[0] != mine:
            raise unreadable_state_error(self.folder, "it reads differently in two processes of the run")
        return found

    def _newest_sound_state(self, bounds: Bounds) -> ResumableState | None:
        states = named_states(self.folder)
        refused: list[str] = []
        for state in states:
            try:
                check_files(state)
                contents = read_contents(state, bounds)
            except (ValueError, OSError) as error:
                refused.append(f"{state.folder.name}: {reason_of(error)}")
                continue
            remarks = [f"the saved state {text}; the one before it is used" for text in refused]
            if state.files is None:
                remarks.append("the saved state has no checksums, as an earlier version wrote it; it is used as it is")
            return ResumableState(state, contents, remarks)
        if refused:
            raise unreadable_state_error(self.folder, "; ".join(refused))
        return None

    def load(self, found: ResumableState, selection: Selection) -> Position:
        """Load a state into the prepared objects and the selection; called by every process.

        Returns:
            The position.

        Raises:
            StoreError: If its files do not hold what this run saves.
        """
        try:
            with warnings.catch_warnings(action="ignore"):
                self.accelerator.load_state(str(found.state.folder))
        except UNLOADABLE as error:
            # Neither warnings nor words of the library: they advise to load what may run code.
            reason = f"its files do not hold model and optimiser of this run ({type(error).__name__})"
            raise unreadable_state_error(found.state.folder, reason) from error
        selection.choices.update(found.contents.choices)
        # Kept beside the next state, as the one to fall back to.
        self._current = found.state
        return found.contents.position


def _write_contents(folder: Path, contents: StateContents) -> None:
    choices = {
        rule: {name: getattr(choice, name) for name in CHOICE_FIELDS} for rule, choice in contents.choices.items()
    }
    write_json(folder / POSITION, {"position": vars(contents.position), "choices": choices})
    with (folder / CHOICES).open("wb") as stream:
        np.savez(stream, **{rule: choice.scores for rule, choice in contents.choices.items()})  # type: ignore[arg-type]
