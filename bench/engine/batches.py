"""Global batches: which rows a step takes, and how this process's part of them is loaded and augmented."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from accelerate import Accelerator
from torch import Tensor

from bench.core.errors import SpecError
from bench.core.inputs import by_name, map_inputs
from bench.data.frontends.chosen import choose_front_end
from bench.data.units import Inputs
from bench.engine.augment.concatenation import Partners
from bench.engine.augment.options import mask_value
from bench.engine.augment.spectrogram import apply_spectrogram, draw_spectrogram
from bench.engine.augmented_units import AugmentedUnits
from bench.engine.data import RunData
from bench.engine.distributed import gather_rows, own_rows
from bench.engine.host_arrays import array_on
from bench.engine.inputs import evaluation_inputs, training_inputs
from bench.engine.sampling import epoch_order
from bench.engine.stages import PlannedStage
from bench.experiment.spec import RunSpec
from methods import METHODS
from methods.base import Batch, TrainingRows


def random_stream(*key: int) -> np.random.Generator:
    """Make the random generator of an epoch, (seed, epoch), or of a step, (seed, epoch, step).

    Numbers that are drawn from it depend on nothing else, neither on what was drawn before nor on the process. NumPy
    ignores zeros at the end of a key: the order of an epoch and its first step (number 0) draw the same numbers.
    """
    return np.random.default_rng(np.random.SeedSequence(key))


class Batches:
    """The global batches of a run, as one of its processes sees them.

    Args:
        spec: The spec of the run.
        data: The rows of the feature bank.
        accelerator: Gives the device and this process's place.
    """

    def __init__(self, spec: RunSpec, data: RunData, accelerator: Accelerator) -> None:
        self.spec, self.data, self.accelerator = spec, data, accelerator
        self.steps = spec.sampling.steps_of_epoch(len(data.train))
        self.views = METHODS.card(spec.method).views
        chosen = choose_front_end(spec.frontend, spec.frontend_options)
        self.mask_fill = mask_value(spec.augment, spec.frontend, chosen.options)
        self.units = AugmentedUnits(spec.augment, data) if spec.augment.changes_waveforms else None

    def order(self, epoch: int) -> np.ndarray:
        """Rows of the bank in the order in which an epoch (from 1) takes them, a batch after the other."""
        train, sampler = self.data.train, self.spec.sampling.sampler
        # From (seed, epoch) alone: a run that is resumed in the middle of an epoch goes on in the same order.
        return epoch_order(train, self.data.bank.labels[train], sampler, random_stream(self.spec.seed, epoch))

    def rows_of_step(self, order: np.ndarray, step: int) -> np.ndarray:
        """Rows of the global batch of a step (from 0); an epoch's last batch may be smaller.

        Args:
            order: From :meth:`order`.
            step: Number of the step in its epoch.
        """
        batch = self.spec.sampling.batch
        return order[step * batch : (step + 1) * batch]

    def rows_of_steps(self, steps: int) -> int:
        """Count the rows that the first steps of an epoch see."""
        sampling = self.spec.sampling
        return min(steps * sampling.batch, sampling.rows_of_epoch(len(self.data.train)))

    def read_ahead(self, rows: np.ndarray) -> None:
        """Have this process's rows of a global batch read while the device computes the step before it.

        Args:
            rows: (global,) rows of the bank.
        """
        # Waveforms that are augmented are read in their own step: which ones are heard is drawn there.
        if self.units is None:
            self.data.read_ahead(rows[own_rows(len(rows), *self._place)])

    @property
    def _place(self) -> tuple[int, int]:
        return self.accelerator.process_index, self.accelerator.num_processes

    def load(self, rows: np.ndarray, place: PlannedStage, rng: np.random.Generator) -> Batch:
        """Load a global batch as this process sees it.

        Args:
            rows: (global,) rows of the bank.
            place: The stage that is trained.
            rng: Generator of the step; the augmentation draws from it.
        """
        local = own_rows(len(rows), *self._place)
        return self._load(rows, local, place, rng, partial(gather_rows, batch=len(rows)))

    def load_whole(self, rows: np.ndarray, place: PlannedStage, rng: np.random.Generator) -> Batch:
        """Load a global batch as a single process would; arguments as for :meth:`load`."""
        return self._load(rows, slice(0, len(rows)), place, rng, lambda tensor: tensor)

    def training_rows(self) -> TrainingRows:
        """The training part as a method prepares itself with it."""
        train = self.data.train

        def load(start: int, end: int) -> Inputs:
            # As in an evaluation: what is learnt does not depend on the size of a method's batches.
            return evaluation_inputs(self.data, train, np.arange(start, end), self.accelerator.device)

        return TrainingRows(
            labels=array_on(self.accelerator.device, self.data.bank.labels[train]),
            class_counts=tuple(self.data.class_counts()),
            devices=self.data.devices(train),
            patients=self.data.patients(train),
            load=load,
        )

    def _load(
        self,
        rows: np.ndarray,
        local: slice,
        place: PlannedStage,
        rng: np.random.Generator,
        gather: Callable[[Tensor], Tensor],
    ) -> Batch:
        """Load a global batch, of which this process holds the rows at the places ``local``."""
        heard = self.units.heard(rows, rng) if self.units is not None and place.stage.augment else None
        first, second = self._views(rows, local, place, heard, rng, gather)
        labels = self.data.bank.labels[rows] if heard is None else heard.labels
        # Of two units in a row, the device is that of the one that is heard first, as their waveform says too.
        of_rows = rows if heard is None else heard.first
        return Batch(
            features=first,
            second=second,
            # Labels of all rows: every process computes the loss of the whole batch, from gathered features.
            labels=array_on(self.accelerator.device, labels),
            host_labels=labels,
            local=local,
            gather=gather,
            devices=self.data.devices(of_rows),
            patients=self.data.patients(of_rows),
            stage=place.index,
        )

    def _views(
        self,
        rows: np.ndarray,
        local: slice,
        place: PlannedStage,
        heard: Partners | None,
        rng: np.random.Generator,
        gather: Callable[[Tensor], Tensor],
    ) -> tuple[Inputs, Inputs | None]:
        """Load a process's rows of the global batch and augment them on the device, twice if the method asks.

        Returns:
            Each view (local, channels, frames, mels), or such a tensor for each name.
        """
        device = self.accelerator.device

        def loaded() -> Inputs:
            # Normalised before it is masked: SCL's masks take the lowest value that a normalised spectrogram can have.
            units = None if heard is None or self.units is None else self.units.units(heard, local, device, rng)
            return training_inputs(self.data, rows, local, device, units=units, gather=gather)

        x = loaded()
        if not place.stage.augment:
            return x, None
        first = self._augment(x, local, len(rows), rng)
        if self.views == 1:
            return first, None
        # Pictures are loaded once; waveforms are changed anew for each view.
        return first, self._augment(x if heard is None else loaded(), local, len(rows), rng)

    def _augment(self, inputs: Inputs, local: slice, rows: int, rng: np.random.Generator) -> Inputs:
        """Augment this process's spectrograms, each named one by draws of its own.

        Everything is drawn for all rows, so that draws do not depend on the number of processes.

        Args:
            inputs: (local, channels, frames, mels), or such a tensor for each name; what is no picture stays.
            local: Places of this process's rows in the global batch.
            rows: Number of rows of the global batch.
            rng: Generator of the step.

        Raises:
            SpecError: If there is no picture among the inputs, which alone can be shifted or masked.
        """
        options = self.spec.augment
        if not options.changes_pictures:
            return inputs

        if not any(x.ndim == 4 for x in by_name(inputs).values()):
            raise SpecError(
                f"Rows of the front-end {self.spec.frontend} are no pictures, and cannot be shifted or masked.",
                "Use --set time_shift=false --set specaug_probability=0.",
            )

        def augmented(x: Tensor) -> Tensor:
            if x.ndim != 4:
                return x
            draw = draw_spectrogram(rows, x.shape[2], x.shape[3], options, rng)
            return apply_spectrogram(x, draw[local], self.mask_fill)

        return map_inputs(augmented, inputs)
