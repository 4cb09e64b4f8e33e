"""The one training loop.

What a batch means never depends on the number of processes: order, masks, λ and permutation are drawn from
(seed, epoch, step) for the global batch, and every process takes its own rows of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from bench.core.errors import InterruptedRunError, PrunedRunError, RunError, SpecError
from bench.core.files import atomic_path
from bench.core.inputs import by_name, map_inputs
from bench.core.lifetimes import StopRequest
from bench.engine.accelerator import build_accelerator
from bench.engine.checkpoint import Checkpoint
from bench.engine.data import RunData
from bench.engine.distributed import any_process, gather_rows, own_rows, share_batch_statistics
from bench.engine.evaluate import class_probabilities
from bench.engine.graph import TrainingGraph, build_graph
from bench.engine.hooks import Hooks
from bench.engine.inputs import training_inputs
from bench.engine.optim import build_optimizer, set_learning_rate
from bench.engine.position import Bounds, Position
from bench.engine.progress import TrainingProgress
from bench.engine.random_layers import Division, GlobalDraws, learn_divisions
from bench.engine.sampling import epoch_order
from bench.engine.schedule import learning_rate
from bench.engine.selection import Selection
from bench.engine.specaug import apply_masks, apply_shift, draw_masks, draw_shift, mask_value
from bench.engine.stages import (
    PlannedStage,
    freeze_others,
    plan_stages,
    set_training_mode,
    trainable_parameters,
    trained_with_factors,
)
from bench.engine.step_average import StepAverage
from bench.experiment.spec import RunSpec
from leaderboard.metrics import score_cycles
from leaderboard.results.run_folder import RunFolder
from methods import METHODS
from methods.base import Batch

CHECK_EVERY_ON_GPU = 16
"""Steps between two looks at the losses on a GPU: each look waits for the device."""

ROWS_TO_LEARN_FROM = 3
"""Rows of each process in the two passes that show how random draws are divided."""


@dataclass(frozen=True)
class Outcome:
    """What training leaves: the position at the end and the epochs that the selection rules hold."""

    position: Position
    selection: Selection


def random_stream(*key: int) -> np.random.Generator:
    """Make the random generator of an epoch, (seed, epoch), or of a step, (seed, epoch, step).

    Numbers that are drawn from it depend on nothing else, neither on what was drawn before nor on the process. NumPy
    ignores zeros at the end of a key: the order of an epoch and its first step (number 0) draw the same numbers.
    """
    return np.random.default_rng(np.random.SeedSequence(key))


class Trainer:
    """Trains one spec in one process of its group.

    Args:
        spec: The spec of the run.
        data: The rows of the feature bank that the spec's data set and options name.
        folder: The run's folder; checkpoints and weights are written below it.
        processes: Number of processes that share the run.
        hooks: Calls of a search; the watcher is asked in the main process alone, but all processes have one, or none.
    """

    def __init__(
        self, spec: RunSpec, data: RunData, folder: Path, processes: int = 1, hooks: Hooks | None = None
    ) -> None:
        self.spec, self.data, self.folder, self.hooks = spec, data, folder, hooks or Hooks()
        self.accelerator = build_accelerator(spec, processes)
        built = build_graph(spec, data.class_counts())
        # Layers are replaced before a wrapper or an optimiser has seen them; their parameters stay the same tensors.
        if processes > 1:
            built.model = share_batch_statistics(built.model, spec.distribution.device)
        self.model: Any = built.model
        self.method: Any = built.method
        # Noted before a stage freezes anything: what model and method froze themselves stays frozen in every stage.
        self.trainable = trainable_parameters(built)
        self.stage_plan = plan_stages(spec, self.method)
        self.mask_fill = mask_value(spec)
        self.views = METHODS.card(spec.method).views
        self.selection = Selection(spec.best_min_se)
        self.checkpoint = Checkpoint(RunFolder(folder).checkpoint, self.accelerator)
        self.steps = spec.sampling.steps_of_epoch(len(data.train))
        self.draws: GlobalDraws | None = None
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
        spec = self.spec
        cycles = len(self.data.cycles_of(self.data.test)[0])
        found = self.checkpoint.find(Bounds(self.stage_plan.epochs, self.steps, cycles))
        # The stage comes before its state: a state is loaded into the prepared model and the stage's own optimiser.
        self._enter_stage(self.stage_plan.at(found.contents.position.epoch if found else 0))
        position = self.checkpoint.load(found, self.selection) if found else Position()
        label = f"{spec.model} · {spec.method} · seed {spec.seed}"
        shown = self.accelerator.is_main_process
        with (
            StopRequest() as stop,
            TrainingProgress(label, self.stage_plan.epochs, self.steps, shown) as progress,
        ):
            for remark in found.remarks if found else ():
                progress.say(remark)
            if found:
                progress.say(f"going on after epoch {position.epoch}, step {position.step}")
            while position.epoch < self.stage_plan.epochs:
                self._train_epoch(position, stop, progress)
                progress.epoch(self._finish_epoch(position))
                self._next_stage(position, progress)
                self.checkpoint.save(position, self.selection)
                # Asked only now: the result of a pruned run takes its epochs from the saved state.
                if position.epoch < self.stage_plan.epochs:
                    self._ask_watcher(position)
        return Outcome(position, self.selection)

    def _enter_stage(self, place: PlannedStage) -> None:
        """Prepare a stage: what it trains, and an optimiser of its own."""
        self.current, stage = place, place.stage
        # A fresh pair: the one before may be wrapped for precision or distribution.
        self.bare = TrainingGraph(self.model, self.method)
        freeze_others(self.bare, stage.trains, self.trainable)
        self.average = StepAverage(self.bare, stage.optim.step_average)
        # Accelerate saves and loads all that it ever prepared: model and optimiser of the stage before must go first.
        self.accelerator.free_memory()
        self.graph, self.optimizer = self.accelerator.prepare(
            self.bare, build_optimizer(trained_with_factors(self.bare, stage.optim), stage.optim)
        )
        if self.accelerator.num_processes > 1:
            self.draws = GlobalDraws(self._learn_draws())

    def _learn_draws(self) -> tuple[Division, ...]:
        """Learn how the random draws of this stage's steps are divided among the processes.

        Two small forward passes show it; ``bench.engine.random_layers`` says how.

        Raises:
            SpecError: If a draw cannot be divided by rows.
        """
        processes, rng = self.accelerator.num_processes, random_stream(self.spec.seed)
        rows = np.resize(self.data.train, ROWS_TO_LEARN_FROM * processes)
        everything = slice(0, len(rows))
        whole = self._load_batch(rows, everything, rng, lambda tensor: tensor)
        part = self._load_batch(rows, self._own_rows(len(rows)), rng, partial(gather_rows, batch=len(rows)))
        draw = self.method.draw(len(rows), rng)
        set_training_mode(self.bare, self.current.stage.trains)
        # The passes train nothing: the running statistics that they move are put back.
        buffers = [(buffer, buffer.clone()) for buffer in self.bare.buffers()]
        try:
            return learn_divisions(
                lambda: self.bare(whole, draw), lambda: self.bare(part, draw), ROWS_TO_LEARN_FROM, processes
            )
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)

    def _next_stage(self, position: Position, progress: TrainingProgress) -> None:
        """Enter the next stage at the end of one, before the state is saved: a state goes on with what it holds."""
        if position.epoch == self.current.end and position.epoch < self.stage_plan.epochs:
            self._enter_stage(self.stage_plan.at(position.epoch))
            progress.say(f"stage {self.current.index + 1} of {len(self.stage_plan.stages)}: {self.current.stage.name}")

    def _train_epoch(self, position: Position, stop: StopRequest, progress: TrainingProgress) -> None:
        epoch, spec, batch = position.epoch + 1, self.spec, self.spec.sampling.batch
        # The rate changes by epoch, as in the official code; the share of the step average is folded into it.
        rate = self._learning_rate(epoch)
        set_learning_rate(self.optimizer, self.average.effective_lr(rate))
        # From (seed, epoch) alone: a run that is resumed in the middle of an epoch goes on in the same order.
        train = self.data.train
        order = epoch_order(train, self.data.bank.labels[train], spec.sampling.sampler, random_stream(spec.seed, epoch))
        set_training_mode(self.bare, self.current.stage.trains)
        began, pending = time.perf_counter(), list[Tensor]()
        before = position.epoch_seconds
        while position.step < self.steps:
            rows = order[position.step * batch : (position.step + 1) * batch]
            pending.append(self._train_step(rows, epoch, position.step))
            position.step += 1
            if position.step % self.check_every == 0 or position.step == self.steps:
                # Losses first: a saved position holds the sum over all of its steps, and none that is not finite.
                loss = self._add_losses(pending, position, epoch, rate)
                position.epoch_seconds = before + time.perf_counter() - began
                progress.step(epoch, position.step, loss)
                # All processes ask in the same steps: one that asked alone would wait for the others for ever.
                if any_process(stop.wanted, self.accelerator.device):
                    self._save_and_interrupt(position)

    def _learning_rate(self, epoch: int) -> float:
        stage = self.current.stage
        return learning_rate(stage.optim.lr, stage.schedule, epoch - self.current.before)

    def _train_step(self, rows: np.ndarray, epoch: int, step: int) -> Tensor:
        # A generator for each step: a state needs no random states, and every process draws what one alone would.
        # What is drawn first (torch's seed, augmentation, the method's draw) is part of a run's numbers.
        rng = random_stream(self.spec.seed, epoch, step)
        # For models with random layers of their own, the same in all processes: each takes its rows of what is drawn.
        torch.manual_seed(int(rng.integers(2**63)))
        local = self._own_rows(len(rows))
        batch = self._load_batch(rows, local, rng, partial(gather_rows, batch=len(rows)))
        draw = self.method.draw(len(rows), rng)
        # Before the forward pass, which moves the running statistics that are averaged with what they were.
        self.average.before_step()
        with self._drawing_globally(local, len(rows)):
            losses: dict[str, Tensor] = self.graph(batch, draw)
        self.accelerator.backward(losses["loss"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        # Parameters are averaged through the learning rate; buffers are, here, after each step as the authors do.
        self.average.after_step()
        # Not read as a number: that would make every step wait for the GPU.
        return losses["loss"].detach()

    def _own_rows(self, rows: int) -> slice:
        """The rows of a global batch that this process holds."""
        return own_rows(rows, self.accelerator.process_index, self.accelerator.num_processes)

    def _drawing_globally(self, local: slice, rows: int) -> AbstractContextManager[object]:
        """A context in which a forward pass makes the random draws that a single process makes for the global batch."""
        if self.draws is None:
            return nullcontext()
        self.draws.begin(local, rows)
        return self.draws

    def _load_batch(
        self, rows: np.ndarray, local: slice, rng: np.random.Generator, gather: Callable[[Tensor], Tensor]
    ) -> Batch:
        """Load a global batch as this process sees it.

        Args:
            rows: (global,) rows of the bank.
            local: Places in ``rows`` of those that this process holds.
            rng: Generator of the augmentation.
            gather: Maps a tensor of this process's rows to one of all rows.
        """
        first, second = self._load_views(rows, local, rng)
        # Labels of all rows: every process computes the loss of the whole batch, from gathered features.
        labels = torch.from_numpy(self.data.bank.labels[rows]).to(self.accelerator.device)
        return Batch(features=first, second=second, labels=labels, local=local, gather=gather, stage=self.current.index)

    def _load_views(self, rows: np.ndarray, local: slice, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """Load a process's rows of the global batch and augment them on the device, twice if the method asks.

        Returns:
            Each view (local, 1, frames, mels).
        """
        # Normalised before it is masked: SCL's masks take the lowest value that a normalised spectrogram can have.
        x: Any = training_inputs(
            self.data, rows, local, self.accelerator.device, gather=partial(gather_rows, batch=len(rows))
        )
        if not self.current.stage.augment:
            return x, None
        first = self._augment(x, local, len(rows), rng)
        return first, self._augment(x, local, len(rows), rng) if self.views == 2 else None

    def _augment(self, x: Any, local: slice, rows: int, rng: np.random.Generator) -> Any:
        """Augment this process's part of a global batch: its pictures, each by draws of its own.

        Everything is drawn for all rows, so that draws do not depend on the number of processes.

        Args:
            x: (local, channels, frames, mels), or such a tensor for each name; inputs that are no pictures stay.
            local: Places of this process's rows in the global batch.
            rows: Number of rows of the global batch.
            rng: Generator of the step.

        Raises:
            SpecError: If there is no picture among the inputs, which alone can be shifted or masked.
        """
        if not self.spec.augment.changes_pictures:
            return x
        if not any(value.ndim == 4 for value in by_name(x).values()):
            raise SpecError(
                f"Rows of the front-end {self.spec.frontend} are no pictures, and cannot be shifted or masked.",
                "Use --set time_shift=false --set specaug_probability=0.",
            )

        def augmented(value: Tensor) -> Tensor:
            return self._augment_picture(value, local, rows, rng) if value.ndim == 4 else value

        return map_inputs(augmented, x)

    def _augment_picture(self, x: Tensor, local: slice, rows: int, rng: np.random.Generator) -> Tensor:
        options, (frames, mels) = self.spec.augment, x.shape[2:]
        if options.time_shift:
            x = apply_shift(x, draw_shift(rows, frames, rng)[local])
        if options.specaug_probability > 0:
            masks = draw_masks(
                rows,
                frames,
                mels,
                probability=options.specaug_probability,
                freq_masks=options.specaug_freq_masks,
                freq_width=options.specaug_freq_width,
                time_masks=options.specaug_time_masks,
                time_width=options.specaug_time_width,
                together=options.specaug_together,
                rng=rng,
            )
            x = apply_masks(x, masks[local], self.mask_fill)
        return x

    def _add_losses(self, pending: list[Tensor], position: Position, epoch: int, rate: float) -> float:
        """Add the losses of the last steps to the epoch's sum and stop the run at the first that is not finite."""
        # One transfer for all of them; added one by one, so that the sum does not depend on how often it is looked.
        losses = torch.stack(pending).double().tolist()
        for i, loss in enumerate(losses):
            if not np.isfinite(loss):
                step = position.step - len(losses) + i + 1
                raise RunError(
                    f"The loss is {loss} in epoch {epoch}, step {step} of {self.steps}, at learning rate {rate:.3g}.",
                    "Use a smaller learning rate (--set lr=…) or --precision fp32.",
                )
            position.loss_sum += loss
        pending.clear()
        return float(losses[-1])

    def _ask_watcher(self, position: Position) -> None:
        """Stop every process where the watcher says so; the state that was just saved is what the run ends with.

        Raises:
            PrunedRunError: If the watcher said to stop.
        """
        if self.hooks.watch is None:
            return
        reason = None
        if self.accelerator.is_main_process:
            judged = {entry["epoch"]: entry["test"] for entry in position.epochs if entry["test"] is not None}
            reason = self.hooks.watch({epoch: metrics["4class"]["score"] for epoch, metrics in judged.items()})
        # The main process alone knows the answer; the others hear of it here, so that all end together.
        if any_process(reason is not None, self.accelerator.device):
            raise PrunedRunError(
                f"Pruned after epoch {position.epoch} of {self.stage_plan.epochs}: {reason or 'see rank 0'}."
            )

    def _save_and_interrupt(self, position: Position) -> None:
        self.checkpoint.save(position, self.selection)
        raise InterruptedRunError(
            f"Stopped in epoch {position.epoch + 1}, step {position.step} of {self.steps}; the state is saved."
        )

    def _finish_epoch(self, position: Position) -> dict[str, Any]:
        began, epoch = time.perf_counter(), position.epoch + 1
        test, val = self._judge_epoch(epoch) if self.current.stage.evaluated else (None, None)
        seconds = position.epoch_seconds + time.perf_counter() - began
        trained = self.spec.sampling.rows_of_epoch(len(self.data.train))
        entry = {
            "epoch": epoch,
            "loss": position.loss_sum / self.steps,
            "lr": self._learning_rate(epoch),
            "seconds": seconds,
            # Of training alone, where "seconds" holds the evaluation too.
            "cycles_per_second": trained / max(position.epoch_seconds, 1e-9),
            "test": test,
            "val": val,
        }
        position.epochs.append(entry)
        position.epoch, position.step, position.loss_sum, position.epoch_seconds = epoch, 0, 0.0, 0.0
        position.seconds += seconds
        return entry

    def _judge_epoch(self, epoch: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Evaluate test and held-out cycles; the weights of an epoch that a selection rule now holds are saved."""
        scores, test = self._evaluate(self.data.test)
        val = self._evaluate(self.data.val)[1] if len(self.data.val) else None
        changed = self.selection.update(epoch, scores, test["4class"], val["4class"] if val else None)
        if self.spec.fold is not None:
            # A run on held-out training patients is for choosing, never for use.
            return test, val
        for rule in changed:
            # The last epoch's weights are wanted once: the state of every epoch is in the checkpoint already.
            if rule != "last" or epoch == self.stage_plan.epochs:
                self._save_weights(rule)
        return test, val

    def _evaluate(self, rows: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Scores of the cycles that some rows are pieces of, each the mean over its pieces, and their metrics."""
        pieces = class_probabilities(self.model, self.data, rows, self.accelerator, self.spec.distribution.eval_batch)
        first, scores = self.data.mean_over_pieces(rows, pieces)
        return scores, score_cycles(self.data.bank.labels[first], scores)

    def _save_weights(self, rule: str) -> None:
        if not self.accelerator.is_main_process:
            return
        with atomic_path(RunFolder(self.folder).weights_of(rule)) as path:
            # The model alone and by its own names: what a method adds is of no use after training.
            tensors = {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}
            metadata = {"model": self.spec.model, "rule": rule, "run_id": self.spec.run_id}
            try:
                save_file(tensors, path, metadata=metadata)
            except SafetensorError as error:
                # Its own error hides the system's: a full disk is to be told as one.
                raise OSError(str(error)) from error
