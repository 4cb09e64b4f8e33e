"""The state of a run on disk: written beside the old one, made the current one by one rename, then the old one goes.

Random states need no place in it: every draw is made from (seed, epoch, step), so the position is the state.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from bench.engine.selection import Choice, Selection
from bench.errors import StoreError
from leaderboard.files import atomic_path, write_json

if TYPE_CHECKING:
    from accelerate import Accelerator


POINTER = "current.json"
"""Names the current state; replacing it is what makes a new state the current one."""


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        epoch: Epochs that are done.
        step: Steps done of the next epoch.
        loss_sum: Sum of the losses of those steps.
        seconds: Seconds spent training so far, over all starts.
        epoch_seconds: Seconds spent in the epoch under way.
        epochs: The entries of the epochs that are done.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    epochs: list[dict[str, Any]] = field(default_factory=list)


def current_state(folder: Path) -> Path | None:
    """The state that a run would go on from, below its ``checkpoint`` folder; None where there is none."""
    pointer = folder / POINTER
    if not pointer.is_file():
        return None
    return folder / str(json.loads(pointer.read_text(encoding="utf-8"))["state"])


def saved_position(state: Path) -> dict[str, Any]:
    """What a state says of itself: the fields of its position, and the choices of the selection rules."""
    document: dict[str, Any] = json.loads((state / "position.json").read_text(encoding="utf-8"))
    return document


class Checkpoint:
    """Saves and restores one run's state in its folder.

    Args:
        folder: The run's ``checkpoint`` folder.
        accelerator: Holds the prepared model, optimiser and scaler.
    """

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self.folder = folder
        self.accelerator = accelerator

    def save(self, position: Position, selection: Selection) -> None:
        """Write the state; called by every process.

        Raises:
            StoreError: If it cannot be written; the state before it stays the current one.
        """
        state = self.folder / f"epoch{position.epoch:04d}-step{position.step:06d}"
        try:
            if self.accelerator.is_main_process:
                shutil.rmtree(state, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            self.accelerator.save_state(str(state), safe_serialization=True)
            if self.accelerator.is_main_process:
                self._write_position(state, position, selection)
                write_json(self.folder / POINTER, {"state": state.name})
                self._remove_others(state)
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(state, ignore_errors=True)
            raise StoreError(
                f"Cannot save the run's state in {state}: {error}.",
                "Free space there; the run goes on from the last one.",
            ) from error
        self.accelerator.wait_for_everyone()

    def _write_position(self, state: Path, position: Position, selection: Selection) -> None:
        choices = {
            rule: {"epoch": choice.epoch, "score": choice.score, "eligible": choice.eligible}
            for rule, choice in selection.choices.items()
        }
        write_json(state / "position.json", {"position": vars(position), "choices": choices})
        with atomic_path(state / "choices.npz") as path, path.open("wb") as stream:
            np.savez(stream, **{rule: choice.scores for rule, choice in selection.choices.items()})  # type: ignore[arg-type]

    def _remove_others(self, state: Path) -> None:
        for other in self.folder.iterdir():
            if other.is_dir() and other != state:
                shutil.rmtree(other, ignore_errors=True)

    def epochs_done(self) -> int:
        """How many epochs the current state has behind it; 0 where there is none.

        Raises:
            StoreError: If there is a state but it cannot be read.
        """
        try:
            state = current_state(self.folder)
            return 0 if state is None else int(saved_position(state)["position"]["epoch"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> StoreError:
        return StoreError(
            f"The saved state in {self.folder} cannot be read: {error}.", "Start the run anew with --rerun."
        )

    def restore(self, selection: Selection) -> Position | None:
        """Load the current state into the prepared objects and the selection.

        Returns:
            The position, or None where there is no state.

        Raises:
            StoreError: If there is a state but it cannot be read.
        """
        try:
            state = current_state(self.folder)
            if state is None:
                return None
            document = saved_position(state)
            with np.load(state / "choices.npz") as arrays:
                for rule, values in document["choices"].items():
                    selection.choices[rule] = Choice(scores=arrays[rule], **values)
            self.accelerator.load_state(str(state))
            return Position(**document["position"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, SafetensorError) as error:
            raise self._unreadable(error) from error
