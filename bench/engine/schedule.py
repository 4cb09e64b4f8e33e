"""Learning-rate schedules: the options of a run's schedule, and the rate that they give at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.core.errors import SpecError
from bench.core.fields import identity_field
from bench.core.options import Space
from bench.core.text import echoed, whole_number

LAWS = ("cosine", "steps", "wave", "constant", "exponential", "restarts")
UNITS = ("epoch", "iteration")

MOST_EPOCHS = 100_000
MOST_ITERATIONS = 1_000_000_000

FLOOR = 1e-3
"""The cosine's last value, as a share of the learning rate (official code @ 836b09f: 0.1 ** 3)."""


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """The length of a training, and the law by which its learning rate changes."""

    law: str = identity_field("law of the learning rate", "cosine", flat="schedule", choices=LAWS)
    unit: str = identity_field(
        "what the schedule counts: epochs or iterations (steps)", "epoch", since=3, flat="schedule_unit", choices=UNITS
    )
    milestones: str = identity_field(
        "epochs (or iterations) after which the schedule `steps` lowers the rate, as in 120,160", ""
    )
    lr_decay: float = identity_field(
        "what the schedules `steps` and `exponential` multiply the rate by", 0.1, low=0.0, high=1.0
    )
    lr_period: int = identity_field(
        "epochs (or iterations) from the top to the bottom of the schedules `wave` and `restarts`",
        40,
        low=1,
        high=MOST_EPOCHS,
    )
    lr_floor: float = identity_field("smallest rate of `wave` and `restarts`", 1e-6, low=0.0, boundless="at most lr")
    decay_every: int = identity_field(
        "epochs (or iterations) from one decay of the schedule `exponential` to the next",
        1,
        since=3,
        low=1,
        high=MOST_ITERATIONS,
    )
    warmup_epochs: int = identity_field(
        "epochs of linear warm-up", 0, low=0, high=MOST_EPOCHS, space=Space(low=0, high=10, grid=(0, 5, 10))
    )
    epochs: int = identity_field(
        "number of epochs", 50, low=1, high=MOST_EPOCHS, space=Space(low=10, high=100, grid=(25, 50, 100))
    )
    iterations: int = identity_field(
        "number of iterations (steps) that a run is long, in place of epochs; 0: epochs decide",
        0,
        since=3,
        low=0,
        high=MOST_ITERATIONS,
    )

    @property
    def milestone_places(self) -> tuple[int, ...]:
        """The epochs or iterations of ``milestones``; none where the law is not ``steps``.

        Raises:
            SpecError: If the text is no list of numbers, or is empty although the law is ``steps``.
        """
        words = self.milestones.split(",") if self.milestones or self.law == "steps" else []
        try:
            places = tuple(whole_number(word) for word in words)
        except ValueError:
            places = (0,)
        if any(place < 1 for place in places):
            raise SpecError(
                f"milestones is '{echoed(self.milestones)}', but schedule=steps needs {self.unit}s, as in 120,160."
            )
        return places if self.law == "steps" else ()

    def length_in_epochs(self, steps: int) -> int:
        """Number of epochs of a training; the last one may be cut short where its length is given in iterations.

        Args:
            steps: Steps of a whole epoch.
        """
        return -(-self.iterations // steps) if self.iterations else self.epochs

    def length_in_steps(self, steps: int) -> int:
        """Number of steps of a training.

        Args:
            steps: Steps of a whole epoch.
        """
        return self.iterations or self.epochs * steps

    def check(self, lr: float) -> None:
        """Check what must hold between the fields.

        Args:
            lr: Base learning rate.

        Raises:
            SpecError: If the warm-up is as long as the training, the floor lies above the rate, or the milestones are
                no numbers.
        """
        _ = self.milestone_places
        # How many epochs a number of iterations makes, the data say: the rate is asked for again when they are known.
        if not self.iterations and self.warmup_epochs >= self.epochs:
            raise SpecError(f"warmup_epochs is {self.warmup_epochs}, but must be below epochs ({self.epochs}).")
        if self.law in ("wave", "restarts") and self.lr_floor > lr:
            raise SpecError(f"lr_floor is {self.lr_floor:g}, but must be at most lr ({lr:g}).")


def learning_rate(lr: float, schedule: ScheduleOptions, epoch: int, step: int = 0, steps: int = 1) -> float:
    """Learning rate of a step; the same in all steps of an epoch where the schedule counts epochs.

    * ``cosine`` (Bae et al.): already below the base rate in epoch 1, and lr / 1000 in the last.
    * ``steps``: multiplied by ``lr_decay`` after each milestone.
    * ``wave`` (Moummad & Farrugia): a cosine that starts at the base rate, is at ``lr_floor`` after ``lr_period``
      epochs, and goes up and down again until the end, as torch's CosineAnnealingLR does beyond its T_max.
    * ``constant``.
    * ``exponential``: multiplied by ``lr_decay`` after every ``decay_every`` epochs.
    * ``restarts`` (SADACO): a cosine from the base rate towards ``lr_floor``, which begins anew at the base rate every
      ``lr_period`` epochs (Loshchilov & Hutter 2017).

    With ``unit`` ``iteration``, all these count steps in place of epochs. The first W = ``warmup_epochs`` are scaled
    by epoch / (W + 1); the papers have none.

    Args:
        lr: Base learning rate.
        schedule: Law and length.
        epoch: 1..length in epochs, counted within the stage.
        step: 0..steps - 1, counted within the epoch.
        steps: Steps of a whole epoch.

    Raises:
        SpecError: If the epoch or the warm-up lies outside the training.

    Source: raymin0223/patch-mix_contrastive_learning @ 836b09f, ``util/misc.py`` (``adjust_learning_rate``);
    ilyassmoummad/scl_icbhi2017 @ 76c4c99 (``wave``).
    """
    epochs, warmup = schedule.length_in_epochs(steps), schedule.warmup_epochs
    if not 1 <= epoch <= epochs:
        raise SpecError(f"Epoch {epoch} lies outside 1..{epochs}.")
    if not 0 <= warmup < epochs:
        raise SpecError(f"warmup_epochs is {warmup}, but must be at least 0 and below epochs ({epochs}).")
    if schedule.unit == "iteration":
        place, length, warmup = (epoch - 1) * steps + step + 1, schedule.length_in_steps(steps), warmup * steps
    else:
        place, length = epoch, epochs
    return _scheduled_rate(lr, schedule, place, length) * min(1.0, place / (warmup + 1))


def _scheduled_rate(lr: float, schedule: ScheduleOptions, place: int, length: int) -> float:
    """Rate of the epoch or iteration number ``place``, counted from 1, of ``length``."""
    if schedule.law == "cosine":
        return _cosine(lr, lr * FLOOR, place / length)
    if schedule.law == "wave":
        return _cosine(lr, schedule.lr_floor, (place - 1) / schedule.lr_period)
    if schedule.law == "restarts":
        return _cosine(lr, schedule.lr_floor, (place - 1) % schedule.lr_period / schedule.lr_period)
    if schedule.law == "steps":
        return lr * schedule.lr_decay ** sum(place > milestone for milestone in schedule.milestone_places)
    if schedule.law == "constant":
        return lr
    if schedule.law == "exponential":
        return lr * schedule.lr_decay ** ((place - 1) // schedule.decay_every)
    raise SpecError(f"Unknown schedule '{schedule.law}'.")


def _cosine(top: float, bottom: float, phase: float) -> float:
    """From ``top`` at phase 0 to ``bottom`` at phase 1."""
    return bottom + (top - bottom) * (1 + math.cos(math.pi * phase)) / 2
