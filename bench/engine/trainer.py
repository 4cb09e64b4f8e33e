"""The one training loop.

What a batch means never depends on the number of processes: order, masks, λ and permutation are drawn from
(seed, epoch, step) for the global batch, and every process takes its own rows of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import InterruptedRunError, RunError
from bench.engine.accelerator import build_accelerator
from bench.engine.activation_checkpoints import checkpoint_activations
from bench.engine.batches import Batches, random_stream
from bench.engine.checkpoint import Checkpoint
from bench.engine.compilation import compile_blocks
from bench.engine.data import RunData, with_rows_on_device
from bench.engine.distributed import largest_of_processes, share_batch_statistics
from bench.engine.evaluate import judge_cycles
from bench.engine.graph import TrainingGraph, build_graph
from bench.engine.hooks import Hooks
from bench.engine.listeners import Listener, Listeners, Start, Wish
from bench.engine.losses import LOSS, add_named, means, read_losses
from bench.engine.position import Bounds, Position
from bench.engine.preparation import prepare_method
from bench.engine.probe import probed
from bench.engine.run_listeners import listeners_of_run
from bench.engine.saved_weights import save_weights
from bench.engine.selection import Selection
from bench.engine.stages import PlannedStage, StagePlan, stages_of, trainable_parameters
from bench.engine.step import StageSteps
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RunFolder, stage_name
from methods import METHODS
from methods.base import ChoosingMethod

CHECK_EVERY_ON_GPU = 16
"""Steps between two looks at the losses on a GPU: each look waits for the device."""


@dataclass(frozen=True)
class Outcome:
    """What training leaves.

    Attributes:
        position: The position at the end.
        selection: The epochs that the selection rules hold.
        rows: Number of training rows that all epochs together have seen.
        chosen: What the method chose for options that leave it the choice, by dotted name.
    """

    position: Position
    selection: Selection
    rows: int
    chosen: Mapping[str, float] = field(default_factory=dict)


class Trainer:
    """Trains one spec in one process of its group.

    Args:
        spec: The spec of the run.
        data: The rows of the feature bank that the spec's data set and options name.
        folder: The run's folder; checkpoints and weights are written below it.
        processes: Number of processes that share the run.
        hooks: Calls of a search; the watcher is asked in the main process alone, but all processes have one, or none.
        listeners: Others that hear of the run, beside those that every run has.
    """

    def __init__(
        self,
        spec: RunSpec,
        data: RunData,
        folder: Path,
        processes: int = 1,
        hooks: Hooks | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.spec, self.folder = spec, RunFolder(folder)
        self.accelerator = build_accelerator(spec, processes)
        built = build_graph(spec, data.class_counts())
        # What is saved: a probe trains a part of it.
        self.whole_model: Any = None
        if METHODS.card(spec.method).probe:
            self.whole_model = built.model
            built, data = probed(built, data, spec, self.accelerator, self.folder)
        # Before the model takes its memory: what is free now tells whether the bank leaves room for training.
        self.data = with_rows_on_device(data, spec.distribution.bank_on_device, self.accelerator.device)
        # Layers are replaced before a wrapper or an optimiser has seen them; their parameters stay the same tensors.
        if processes > 1:
            built.model = share_batch_statistics(built.model, spec.distribution.device)
        if spec.distribution.checkpointing:
            checkpoint_activations(built.model, spec.model)
        self.model: Any = built.model
        self.method: Any = built.method
        # Noted before a stage freezes anything: what model and method froze themselves stays frozen in every stage.
        self.trainable = trainable_parameters(built)
        self.batches = Batches(spec, self.data, self.accelerator)
        self.stage_plan = StagePlan(stages_of(spec, self.method), self.batches.steps)
        compile_blocks(self.model, spec, self.stage_plan.epochs * self.batches.steps, self.accelerator.device)
        self.selection = Selection(spec.best_min_se)
        self.checkpoint = Checkpoint(self.folder.checkpoint, self.accelerator)
        self.save_every_epoch, self._state_due = spec.distribution.checkpoint_minutes == 0, False
        of_run = listeners_of_run(spec, hooks or Hooks(), self.accelerator, self.folder)
        self.listeners = [*of_run, *listeners]
        # A CPU has computed a loss by the time it is returned: there a look costs nothing.
        self.check_every = 1 if self.accelerator.device.type == "cpu" else CHECK_EVERY_ON_GPU

    def fit(self) -> Outcome:
        """Train to the last epoch, from the saved state where there is one.

        Raises:
            RunError: If a loss is not finite; step and learning rate are named.
            InterruptedRunError: After Ctrl-C, SIGTERM or SIGHUP, when the state is saved.
            PrunedRunError: If the watcher said to stop.
            StoreError: If a state cannot be saved or read.
        """
        position, remarks = self._begin()
        self.checkpoint.note_epochs(position)
        label = f"{self.spec.model} · {self.spec.method} · seed {self.spec.seed}"
        start = Start(
            label=label, epochs=self.stage_plan.epochs, steps=self.batches.steps, remarks=remarks, rate=self._rate
        )
        with Listeners(self.listeners, start) as listeners, self.checkpoint:
            while position.epoch < self.stage_plan.epochs:
                self._train_epoch(position, listeners)
                listeners.on_epoch(self._finish_epoch(position))
                self._state_due |= self.save_every_epoch or position.epoch == self.stage.place.end
                self._next_stage(position, listeners)
                if self._state_due:
                    self._save_state(position, listeners)
                self.checkpoint.note_epochs(position)
                listeners.on_epoch_end(position)
        rows = sum(map(self._rows_of_epoch, range(1, position.epoch + 1)))
        chosen = self.method.chosen() if isinstance(self.method, ChoosingMethod) else {}
        dotted = {f"method_options.{name}": value for name, value in chosen.items()}
        return Outcome(position, self.selection, rows, dotted)

    def _rate(self, epoch: int, step: int) -> float:
        return self.stage_plan.at(epoch - 1).rate(epoch, step)

    def _rows_of_epoch(self, epoch: int) -> int:
        return self.batches.rows_of_steps(self.stage_plan.at(epoch - 1).steps_of(epoch))

    def _begin(self) -> tuple[Position, list[str]]:
        """Prepare the run's first step, or load its state; what is to be said of that state is returned too."""
        cycles = len(self.data.cycles_of(self.data.test)[0])
        found = self.checkpoint.find(Bounds(self.stage_plan.epochs, self.batches.steps, cycles, self.data.task))
        # The stage comes before its state: a state is loaded into the prepared model and the stage's own optimiser.
        self._enter_stage(self.stage_plan.at(found.contents.position.epoch if found else 0))
        if found is None:
            prepare_method(self.stage.bare, self.batches)
            return Position(), []
        position = self.checkpoint.load(found, self.selection)
        return position, [*found.remarks, f"going on after epoch {position.epoch}, step {position.step}"]

    def _enter_stage(self, place: PlannedStage) -> None:
        self.stage = StageSteps(self.model, self.method, place, self.batches, self.trainable)
        self.checkpoint.enter_stage(self.stage.bare, self.stage.optimizer)

    def _next_stage(self, position: Position, listeners: Listeners) -> None:
        """Enter the next stage at the end of one, before the state is saved: a state goes on with what it holds."""
        place, stages = self.stage.place, self.stage_plan.stages
        if position.epoch == place.end and position.epoch < self.stage_plan.epochs:
            self._save_weights(stage_name(place.index + 1))
            self._enter_stage(self.stage_plan.at(position.epoch))
            listeners.on_stage(place.index + 2, len(stages), self.stage.place.stage.name)

    def _train_epoch(self, position: Position, listeners: Listeners) -> None:
        epoch = position.epoch + 1
        order, steps = self.batches.order(epoch), self.stage.place.steps_of(epoch)
        self.stage.begin_epoch()
        began, before, pending = time.perf_counter(), position.epoch_seconds, list[Mapping[str, Tensor]]()
        while position.step < steps:
            if position.step + 1 < steps:
                self.batches.read_ahead(self.batches.rows_of_step(order, position.step + 1))
            pending.append(self._train_step(self.batches.rows_of_step(order, position.step), epoch, position.step))
            position.step += 1
            if position.step % self.check_every == 0 or position.step == steps:
                # Losses first: a saved position holds the sum over all of its steps, and none that is not finite.
                losses = self._add_losses(pending, position)
                position.epoch_seconds = before + time.perf_counter() - began
                self._obey(listeners.on_losses(epoch, position.step, losses), position, listeners)

    def _train_step(self, rows: np.ndarray, epoch: int, step: int) -> dict[str, Tensor]:
        # A generator for each step: a state needs no random states, and every process draws what one alone would.
        # What is drawn first (torch's seed, augmentation, the method's draw) is part of a run's numbers.
        rng = random_stream(self.spec.seed, epoch, step)
        # For models with random layers of their own, the same in all processes: each takes its rows of what is drawn.
        torch.manual_seed(int(rng.integers(2**63)))
        batch = self.batches.load(rows, self.stage.place, rng)
        draw = self.method.draw(len(rows), rng)
        # Not read as numbers: that would make every step wait for the GPU.
        return self.stage.take(batch, draw, self.stage.place.rate(epoch, step))

    def _add_losses(self, pending: list[Mapping[str, Tensor]], position: Position) -> list[dict[str, float]]:
        """Add the losses of the last steps to the epoch's sums and stop the run at the first that is not finite."""
        losses = read_losses(pending)
        pending.clear()
        epoch, place = position.epoch + 1, self.stage.place
        # One by one, so that the sums do not depend on how often they are looked at.
        for step, named in enumerate(losses, start=position.step - len(losses)):
            if not math.isfinite(named[LOSS]):
                raise RunError(
                    f"The loss is {named[LOSS]} in epoch {epoch}, step {step + 1} of {place.steps_of(epoch)}, "
                    f"at learning rate {place.rate(epoch, step):.3g}.",
                    "Use a smaller learning rate (--set lr=…) or --precision fp32.",
                )
            position.loss_sum += named[LOSS]
            add_named(position.losses, named)
        return losses

    def _obey(self, wish: Wish, position: Position, listeners: Listeners) -> None:
        """Do what a listener of any process asks for; all processes look in the same steps, and do the same."""
        self.checkpoint.raise_error()
        agreed = largest_of_processes(wish, self.accelerator.device)
        epoch, steps = position.epoch + 1, self.stage.place.steps_of(position.epoch + 1)
        self._state_due = agreed >= Wish.SAVE
        # In the last step of an epoch the state is saved after the evaluation, which need not be done again then.
        if agreed == Wish.STOP or (self._state_due and position.step < steps):
            self._save_state(position, listeners)
        if agreed == Wish.STOP:
            self.checkpoint.wait()
            raise InterruptedRunError(f"Stopped in epoch {epoch}, step {position.step} of {steps}; the state is saved.")

    def _save_state(self, position: Position, listeners: Listeners) -> None:
        self.checkpoint.save(position, self.selection)
        self._state_due = False
        listeners.on_checkpoint(position)

    def _finish_epoch(self, position: Position) -> dict[str, Any]:
        began, epoch, place = time.perf_counter(), position.epoch + 1, self.stage.place
        test, val = self._judge_epoch(epoch) if place.stage.evaluated else (None, None)
        seconds, steps = position.epoch_seconds + time.perf_counter() - began, place.steps_of(epoch)
        entry = {
            "epoch": epoch,
            "loss": position.loss_sum / steps,
            "lr": place.rate(epoch, steps - 1),
            "seconds": seconds,
            # Of training alone, where "seconds" holds the evaluation too.
            "cycles_per_second": self._rows_of_epoch(epoch) / max(position.epoch_seconds, 1e-9),
            "test": test,
            "val": val,
        }
        if position.losses:
            entry["losses"] = means(position.losses, steps)
        position.end_epoch(entry)
        return entry

    def _judge_epoch(self, epoch: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Evaluate test and held-out cycles; the weights of an epoch that a selection rule now holds are saved."""
        scores, test = self._evaluate(self.data.test)
        val, strict = self._evaluate(self.data.val)[1] if len(self.data.val) else None, self.data.task.strict
        for rule in self.selection.update(epoch, scores, test[strict], val[strict] if val else None):
            # The last epoch's weights are wanted once: the state of every epoch is in the checkpoint already.
            if rule != "last" or epoch == self.stage_plan.epochs:
                self._save_weights(rule)
                # Weights and the state that knows of them go together: an older state might train to others on a GPU.
                self._state_due = True
        return test, val

    def _evaluate(self, rows: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        return judge_cycles(self.stage.bare, self.data, rows, self.accelerator, self.spec)

    def _save_weights(self, which: str) -> None:
        # A run on held-out training patients is for choosing, never for use.
        if self.accelerator.is_main_process and self.spec.fold is None:
            bare = self.stage.bare
            whole = bare if self.whole_model is None else TrainingGraph(self.whole_model, bare.method)
            save_weights(whole, self.folder, which, self.spec)
