"""Saves and restores the state of a run: written beside the old one, synced, made the current one by one rename.

Random states need no place in it: every draw is made from (seed, epoch, step), so the position is the state. The state
before the newest is kept: a run goes on from it where the newest is damaged.
"""

from __future__ import annotations

import logging
import pickle
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError

from bench.core.errors import StoreError
from bench.core.files import share_as, sync_folder, sync_tree, write_json
from bench.core.text import plain
from bench.engine.position import CHOICE_FIELDS, Bounds, Position
from bench.engine.selection import Selection
from bench.engine.states import (
    CHOICES,
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

    Args:
        folder: The run's ``checkpoint`` folder.
        accelerator: Holds the prepared model, optimiser and scaler.
    """

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self.folder = folder
        self.accelerator = accelerator
        self._current: SavedState | None = None

    def save(self, position: Position, selection: Selection) -> None:
        """Write the state; called by every process.

        Raises:
            StoreError: If it cannot be written; the state before it stays the current one.
        """
        state = self.folder / state_name(position)
        try:
            if self.accelerator.is_main_process:
                # A damaged state that was passed over, or one whose saving was cut short, may lie under this name.
                shutil.rmtree(state, ignore_errors=True)
            # No process writes into the folder before it is empty.
            self.accelerator.wait_for_everyone()
            self.accelerator.save_state(str(state), safe_serialization=True)
            # Every process writes a file of its own into the state.
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                _write_contents(state, position, selection)
                self._make_current(state)
        except (OSError, RuntimeError, SafetensorError, StoreError) as error:
            shutil.rmtree(state, ignore_errors=True)
            reason = error.message if isinstance(error, StoreError) else str(error)
            raise StoreError(
                f"Cannot save the run's state in {state}: {plain(' '.join(reason.split())).rstrip('.')}.",
                "Free space there; the run goes on from the last one.",
            ) from error
        # No process trains on before the state is the current one.
        self.accelerator.wait_for_everyone()

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


def _write_contents(state: Path, position: Position, selection: Selection) -> None:
    choices = {
        rule: {name: getattr(choice, name) for name in CHOICE_FIELDS} for rule, choice in selection.choices.items()
    }
    write_json(state / POSITION, {"position": vars(position), "choices": choices})
    with (state / CHOICES).open("wb") as stream:
        np.savez(stream, **{rule: choice.scores for rule, choice in selection.choices.items()})  # type: ignore[arg-type]
