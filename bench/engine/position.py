"""Where a run stands, and what a position and the choices of a saved state must be to be believed."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import FOUR_CLASSES, TaskCard
from bench.core.text import counted_noun, echoed
from bench.engine.selection import Choice
from leaderboard.metrics import metrics_of
from leaderboard.results.schema import LOSS_NAME, MOST_LOSSES, RULES, EpochRow, marks_of

LATER = frozenset({"losses"})
"""Fields of a position, and of the entry of an epoch, that states of earlier versions lack."""

ENTRY_FIELDS = tuple(name for name in marks_of(EpochRow) if name not in LATER)
"""What every state holds of each epoch that is done."""

CHOICE_FIELDS = ("epoch", "score", "eligible")
"""Names of the fields that ``position.json`` holds of a choice; its scores are an array of ``choices.npz``."""


@dataclass
class Position:
    """The point that a run has come to.

    Attributes:
        epoch: Number of epochs that are done.
        step: Number of steps that are done of the next epoch.
        loss_sum: Sum of the losses of those steps.
        seconds: Time spent on the epochs that are done, over all starts, s.
        epoch_seconds: Time spent training in the epoch under way, s.
        losses: Sums of the other losses that the method names, over those steps; None for one that was not finite, and
            None for all where a version that kept none has saved some of those steps.
        epochs: Entries of the epochs that are done, one dictionary each.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    losses: dict[str, float | None] | None = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)

    def end_epoch(self, entry: dict[str, Any]) -> None:
        """Go on to the first step of the next epoch.

        Args:
            entry: What the result holds of the epoch that is done.
        """
        self.epochs.append(entry)
        self.seconds += entry["seconds"]
        self.epoch, self.step, self.loss_sum, self.epoch_seconds = entry["epoch"], 0, 0.0, 0.0
        self.losses = {}


@dataclass(frozen=True)
class Bounds:
    """The limits that the position of a saved state must lie within.

    Attributes:
        epochs: Number of epochs of the run.
        steps: Number of steps of an epoch.
        cycles: Number of judged cycles.
        task: What is judged.
    """

    epochs: int
    steps: int
    cycles: int
    task: TaskCard = FOUR_CLASSES


def read_position(document: Any, task: TaskCard, bounds: Bounds | None = None) -> Position:
    """Read the position of a saved state.

    Args:
        document: The ``position`` of a state's ``position.json``.
        task: What the run is judged on.
        bounds: Epochs and steps that the position must lie within; None where they are not known.

    Raises:
        ValueError: If no run can stand at such a position; the field is named.
        ResultError: If the metrics of an epoch cannot be computed from its confusion matrix.
    """
    names = {field.name for field in dataclasses.fields(Position)}
    _check_names(document, names - LATER, "the position", LATER)
    epochs, steps = (bounds.epochs, bounds.steps) if bounds else (None, None)
    epoch = _check_count("epoch", document["epoch"], epochs)
    # A stop in the last step of an epoch is saved before the epoch is judged: ``step`` is then ``steps``.
    _check_count("step", document["step"], 0 if epoch == epochs else steps)
    for name in ("loss_sum", "seconds", "epoch_seconds"):
        _check_number(name, document[name])
    # Sums of the steps that are still to come would make no mean of the epoch.
    losses = document.get("losses", {} if document["step"] == 0 else None)
    if losses is not None:
        _check_losses("losses", losses)
    entries = document["epochs"]
    if not isinstance(entries, list) or len(entries) != epoch:
        raise ValueError(f"it holds {_count_in_words(entries)} entries of epochs after epoch {epoch}")
    for number, entry in enumerate(entries, start=1):
        _check_entry(entry, number, task)
    return Position(**{**document, "losses": losses})


def read_choices(
    document: Any, scores: Mapping[str, NDArray[np.float64]], position: Position, bounds: Bounds
) -> dict[str, Choice]:
    """Read the epochs that the selection rules hold.

    Args:
        document: The ``choices`` of a state's ``position.json``, by rule.
        scores: Class probabilities of each rule's epoch, (cycles, classes), by rule.
        position: The state's position.
        bounds: Number of cycles that the scores must be of.

    Raises:
        ValueError: If a run at that position cannot hold such choices.
    """
    judged = [entry for entry in position.epochs if entry["test"] is not None]
    rules = {"last", "best-test"} if judged else set()
    if any(entry["val"] is not None for entry in judged):
        rules.add("best-val")
    _check_names(document, rules, "the choices")
    epochs = {entry["epoch"] for entry in judged}
    choices: dict[str, Choice] = {}
    for rule in (name for name in RULES if name in rules):
        held = document[rule]
        _check_names(held, set(CHOICE_FIELDS), f"the choice of {rule}")
        if isinstance(held["epoch"], bool) or held["epoch"] not in epochs:
            raise ValueError(f"{rule} holds epoch {echoed(held['epoch'])}, which was not judged")
        if not isinstance(held["eligible"], bool):
            raise ValueError(f"eligible of {rule} is {echoed(held['eligible'])}, but must be true or false")
        _check_number(f"score of {rule}", held["score"])
        _check_scores(rule, scores[rule], bounds)
        choices[rule] = Choice(scores=scores[rule], **held)
    return choices


def _check_names(document: Any, names: set[str], what: str, optional: Collection[str] = ()) -> None:
    if not isinstance(document, dict) or set(document) - set(optional) != names:
        wanted = ", ".join(sorted(names)) or "nothing"
        raise ValueError(f"{what} must hold {wanted}, but is {echoed(document)}")


def _check_entry(entry: Any, number: int, task: TaskCard) -> None:
    """Check what a state holds of an epoch that is done."""
    where = f"entry {number} of epochs"
    _check_names(entry, set(ENTRY_FIELDS), where, LATER)
    if isinstance(entry["epoch"], bool) or entry["epoch"] != number:
        raise ValueError(f"{where} is of epoch {echoed(entry['epoch'])}")
    for name in ("loss", "lr", "seconds", "cycles_per_second"):
        _check_number(f"{name} in {where}", entry[name])
    _check_losses(f"losses in {where}", entry.get("losses", {}))
    for part in ("test", "val"):
        if entry[part] is not None:
            _check_names(entry[part], set(task.sensitivities), f"{part} in {where}")
            for judged in task.sensitivities:
                _check_metrics(entry[part][judged], judged, task, where)


def _check_metrics(stored: Any, judged: str, task: TaskCard, where: str) -> None:
    computed: Mapping[str, Any] = metrics_of(stored["confusion"], judged, task=task)
    _check_names(stored, set(computed), f"{judged} in {where}")
    if not all(math.isclose(stored[name], computed[name]) for name in set(computed) - {"confusion"}):
        raise ValueError(f"{judged} in {where} does not follow from its confusion matrix")


def _check_count(name: str, value: Any, most: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (most is not None and value > most):
        limit = "at least 0" if most is None else f"from 0 to {most}"
        raise ValueError(f"{name} is {echoed(value)}, but must be a whole number {limit}")
    return value


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {echoed(value)}, but must be a finite number")


def _check_losses(name: str, value: Any) -> None:
    if not isinstance(value, dict) or len(value) > MOST_LOSSES:
        raise ValueError(f"{name} is {echoed(value)}, but must be at most {MOST_LOSSES} numbers by name")
    for loss, number in value.items():
        if not re.fullmatch(LOSS_NAME, loss):
            raise ValueError(f"{name} names {echoed(loss)}, which is no name of a loss")
        if number is not None:
            _check_number(f"{loss} of {name}", number)


def _check_scores(rule: str, scores: NDArray[np.float64], bounds: Bounds) -> None:
    cycles = bounds.cycles
    if scores.shape != (cycles, len(bounds.task.classes)) or scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise ValueError(
            f"the scores of {rule} are {scores.dtype} {scores.shape}, not finite ones of "
            f"{counted_noun(cycles, 'cycle')}"
        )


def _count_in_words(entries: Any) -> str:
    return str(len(entries)) if isinstance(entries, list) else "no list of"
