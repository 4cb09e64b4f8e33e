"""A run's data: which rows of the feature bank are trained on, held out, and tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from bench.core.datasets import TRAIN, DatasetCard, TaskCard
from bench.core.errors import DataError, SpecError
from bench.core.inputs import by_name, joined, map_inputs
from bench.core.text import counted_noun, echoed
from bench.data.bank import FeatureBank, Progress, Rows, empty_bank, prepare_bank
from bench.data.dataset import Dataset, Recording
from bench.data.frontends import BatchFrontEnd, FrontEnd, LearningFrontEnd, WaveformFrontEnd
from bench.data.frontends.chosen import choose_front_end
from bench.data.sources import load_dataset
from bench.data.units import Inputs, UnitWaves
from bench.data.wave_bank import WaveBank, no_halves, prepare_wave_bank
from bench.engine.augment.concatenation import PartnerPool
from bench.engine.augment.options import AugmentOptions
from bench.engine.bank_rows import DeviceRows, rows_on_device
from bench.engine.folds import patient_folds
from bench.engine.normalisation import BatchExtremes
from bench.engine.sampling import hold_out_patients
from bench.experiment.spec import RunSpec

T = TypeVar("T")

OTHER_DATA = "Use the data of the run, or start a new run with these."


@dataclass(frozen=True)
class RunData:
    """A run's banks, and which of their rows are trained on, held out and tested.

    Attributes:
        bank: The feature bank; a row is a cycle, or a piece of one. It holds no features where the front-end learns.
        train: Rows that are trained on.
        val: Rows of held-out training patients; empty without ``val_fraction``.
        test: Rows that the run is judged on, each once: the official test part, or a fold of the training patients.
        recordings: The recordings by name.
        task: What is judged.
        card: The data set.
        extremes: Normalises batches where the front-end leaves that to the batch.
        waves: The waveform bank; None where the run makes no pictures of waveforms.
        frontend: Makes the pictures of waveforms; None where the run makes none.
        on_device: Gives the bank's rows on the device of a run; None where they are read when they are asked for.
    """

    bank: FeatureBank
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    recordings: Mapping[str, Recording]
    task: TaskCard
    card: DatasetCard
    extremes: BatchExtremes | None = None
    waves: WaveBank | None = None
    frontend: WaveformFrontEnd | None = None
    on_device: DeviceRows | None = None

    def inputs(self, rows: np.ndarray, device: torch.device | str = "cpu") -> Inputs:
        """What a model takes of some rows, nothing augmented and no batch normalised, in memory of their own.

        Args:
            rows: (n,) rows of the bank, one or more.
            device: Where they go.

        Returns:
            (n, channels, frames, mels), or such a tensor for each name where the front-end names its inputs.
        """
        if isinstance(self.frontend, LearningFrontEnd):
            return self.picture(self.units(rows).to(device))
        if self.on_device is not None and self.on_device.device.type == torch.device(device).type:
            return joined({name: with_channels(found) for name, found in self.on_device.take(rows).items()})

        # A copy: augmentation that wrote into the bank would spoil it for every later epoch.
        def copied(features: Rows) -> Tensor:
            return with_channels(torch.from_numpy(np.ascontiguousarray(features[rows]))).to(device)

        banks: Mapping[str, Rows] = by_name(self.bank.features)
        return joined({name: copied(features) for name, features in banks.items()})

    def read_ahead(self, rows: np.ndarray) -> None:
        """Say which rows :meth:`inputs` will be asked for next, where somebody can read them meanwhile."""
        if self.on_device is not None:
            self.on_device.read_ahead(rows)

    def units(self, rows: np.ndarray) -> UnitWaves:
        """Waveforms of some rows, on the CPU, in memory of their own.

        Args:
            rows: (n,) rows of the bank, one or more.

        Raises:
            ValueError: If the run has no waveforms: :func:`needs_waveforms` says which has.
        """
        if self.waves is None:
            raise ValueError("the run has no bank of waveforms")
        return self.waves.units(rows)

    def picture(self, units: UnitWaves) -> Inputs:
        """Make of waveforms what a model takes, on their device and in single precision; no batch is normalised.

        Args:
            units: Waveforms as :meth:`units` gives them, perhaps augmented.

        Returns:
            As :meth:`inputs`.

        Raises:
            ValueError: If the run makes no pictures of waveforms.
        """
        if self.frontend is None:
            raise ValueError("the run makes no pictures of waveforms")
        # Whatever the precision of the model: the bank's pictures are in single precision too.
        with torch.no_grad(), torch.autocast(units.samples.device.type, enabled=False):
            return map_inputs(with_channels, self.frontend.picture(units))

    def keys(self, rows: np.ndarray) -> list[tuple[str, int]]:
        """Recording name and cycle index of some rows."""
        return [(self.bank.cycles[row].recording, self.bank.cycles[row].index) for row in rows]

    def cycles_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cycles that some rows are pieces of; with one piece each, the rows themselves.

        Args:
            rows: (n,) rows in the bank's order.

        Returns:
            (cycles,) the first row of each cycle, and (n,) the place of each row's cycle among them.
        """
        keys = self.keys(rows)
        begins = np.array([place == 0 or key != keys[place - 1] for place, key in enumerate(keys)], dtype=bool)
        return rows[begins], np.cumsum(begins) - 1

    def devices(self, rows: np.ndarray) -> tuple[str, ...]:
        """Recording device of some rows."""
        return tuple(self.recordings[name].device for name, _ in self.keys(rows))

    def patients(self, rows: np.ndarray) -> tuple[str, ...]:
        """Patient of some rows."""
        return tuple(self.recordings[name].patient for name, _ in self.keys(rows))

    def tested_parts(self, rows: np.ndarray) -> tuple[str, ...]:
        """Tested part of some rows; the main one where training patients are judged."""
        parts = {part.id for part in self.task.parts}
        splits = (self.recordings[name].split for name, _ in self.keys(rows))
        return tuple(split if split in parts else self.task.main.id for split in splits)

    def partner_pool(self, options: AugmentOptions) -> PartnerPool:
        """The training rows that may be joined as the options say.

        Args:
            options: The law of concatenation, and where partners are from.

        Raises:
            SpecError: If a training row would find no partner.
        """
        every = np.arange(len(self.bank.labels))
        devices, patients = self.devices(every), self.patients(every)
        return PartnerPool(
            self.train, self.bank.labels, options, classes=self.task.classes, devices=devices, patients=patients
        )

    def class_counts(self) -> list[int]:
        """Training rows per class of the task."""
        return np.bincount(self.bank.labels[self.train], minlength=len(self.task.classes)).tolist()  # type: ignore[no-any-return]


def with_channels(pictures: Tensor) -> Tensor:
    """Pictures (rows, frames, mels) with one channel; what has channels or is no picture stays as it is.

    Args:
        pictures: What a front-end makes of some rows, or one input of it.
    """
    return pictures[:, None] if pictures.ndim == 3 else pictures


def open_run_data(spec: RunSpec, on_progress: Progress | None = None) -> RunData:
    """Load the data set of a spec, its features, and its waveforms where it needs them; what the cache lacks is made.

    Args:
        spec: The spec.
        on_progress: Called while features are made, with the recordings that are done and their total.

    Raises:
        DataError: If the data are missing, broken, or not those of the spec.
        SpecError: If the training part is smaller than a batch, a row to be joined would find no partner, or the
            front-end cuts no waveforms but must.
    """
    dataset = load_run_dataset(spec)
    # Before the features, which take minutes: parts that are too small.
    planned_data(dataset, spec)
    frontend = built_front_end(spec)
    given = (dataset, spec.frontend, spec.frontend_options, Path(spec.cache))
    workers = spec.distribution.workers or None
    if isinstance(frontend, LearningFrontEnd):
        bank = empty_bank(dataset, spec.frontend, spec.frontend_options)
    else:
        bank = prepare_bank(*given, workers=workers, on_progress=on_progress)
    data = replace(split_rows(dataset, bank, spec), extremes=extremes_of(bank, frontend))
    if not needs_waveforms(spec, frontend):
        return data
    if not isinstance(frontend, WaveformFrontEnd):
        raise no_halves(spec.frontend)
    return replace(data, frontend=frontend, waves=prepare_wave_bank(*given, workers=workers, on_progress=on_progress))


def with_rows_on_device(data: RunData, wanted: str, device: torch.device) -> RunData:
    """A run's data whose bank comes to its device as :func:`bench.engine.bank_rows.rows_on_device` decides.

    Args:
        data: The run's data; they are not changed, as other runs may share them.
        wanted: The field ``bank_on_device`` of the spec.
        device: The device of the run.

    Raises:
        MemoryRunError: If the bank was asked to lie on the device and does not fit.
    """
    return replace(data, on_device=rows_on_device(data.bank.features, wanted, device))


def built_front_end(spec: RunSpec) -> FrontEnd | WaveformFrontEnd:
    """Build the front-end of a spec; its plug-in is loaded."""
    return choose_front_end(spec.frontend, spec.frontend_options).build()


def banks_of(spec: RunSpec) -> tuple[bool, bool]:
    """Whether a run reads a bank of pictures, and whether it reads one of waveforms; its plug-in is loaded."""
    frontend = built_front_end(spec)
    return not isinstance(frontend, LearningFrontEnd), needs_waveforms(spec, frontend)


def needs_waveforms(spec: RunSpec, frontend: FrontEnd | WaveformFrontEnd) -> bool:
    """Tell whether a run makes pictures of waveforms in its steps: it augments them, or its front-end learns.

    Args:
        spec: The spec of the run.
        frontend: Its front-end.
    """
    return spec.augment.changes_waveforms or isinstance(frontend, LearningFrontEnd)


def load_run_dataset(spec: RunSpec) -> Dataset:
    """Load the data set of a spec, and make sure that it is that one.

    Raises:
        DataError: If the data are missing, broken, or not those of the spec.
    """
    partial, cache = spec.partial is not None, Path(spec.cache)
    dataset = load_dataset(Path(spec.data), spec.dataset, spec.task, allow_partial=partial, cache=cache)
    if dataset.fingerprint != spec.data_fingerprint:
        raise DataError(
            f"The data in {spec.data} have the fingerprint {dataset.fingerprint[:12]}, "
            f"but the run is for {spec.data_fingerprint[:12]}.",
            OTHER_DATA,
        )
    for name, there, wanted in (("dataset", dataset.name, spec.dataset), ("partial", dataset.partial, spec.partial)):
        if there != wanted:
            raise DataError(
                f"The run is for data that are '{wanted or 'complete'}' ({name}), "
                f"but those in {spec.data} are '{there or 'complete'}'.",
                OTHER_DATA,
            )
    return dataset


def planned_data(dataset: Dataset, spec: RunSpec) -> RunData:
    """Divide a data set's rows and labels as a run would, without making any features.

    Raises:
        DataError: If there is no test cycle.
        SpecError: If the training part is smaller than a batch, or a row to be joined would find no partner.
    """
    return split_rows(dataset, empty_bank(dataset, spec.frontend, spec.frontend_options), spec)


def extremes_of(bank: FeatureBank, frontend: FrontEnd | WaveformFrontEnd) -> BatchExtremes | None:
    """What normalises the batches of a bank; None where its front-end needs no batch for that, or has to learn first.

    Args:
        bank: The bank.
        frontend: The front-end that made it.

    Raises:
        SpecError: If the front-end leaves the normalisation of several inputs to the batch.
    """
    if not isinstance(frontend, BatchFrontEnd) or isinstance(frontend, LearningFrontEnd):
        return None
    return BatchExtremes.of(frontend, _only_input(bank.features))


def _only_input(inputs: T | Mapping[str, T]) -> T:
    if isinstance(inputs, Mapping):
        raise SpecError(
            f"The front-end leaves the normalisation of the inputs {', '.join(inputs)} to the batch, which is possible "
            "for one input alone.",
            "Normalise them in `picture`, row by row.",
        )
    return inputs


def split_rows(dataset: Dataset, bank: FeatureBank, spec: RunSpec) -> RunData:
    """Divide the bank's rows into train, held-out and test.

    Raises:
        DataError: If there is no test cycle.
        SpecError: If the training part is smaller than a batch, or a row to be joined would find no partner.
    """
    recordings = {recording.name: recording for recording in dataset.recordings}
    parts = np.array([recordings[cycle.recording].split for cycle in bank.cycles])
    patients = np.array([recordings[cycle.recording].patient for cycle in bank.cycles])
    train, test = np.flatnonzero(parts == TRAIN), np.flatnonzero(parts != TRAIN)
    task = dataset.task
    if spec.fold is not None:
        # The official test parts are left out altogether.
        task = task.main_alone
        fold, folds = spec.fold
        place = patient_folds(patients[train].tolist(), bank.labels[train], folds)
        is_judged = np.array([place[patient] == fold for patient in patients[train]])
        train, test = train[~is_judged], train[is_judged]
    val = np.array([], dtype=train.dtype)
    if spec.val_fraction > 0:
        held = hold_out_patients(patients[train].tolist(), bank.labels[train], spec.val_fraction)
        is_held = np.isin(patients[train], sorted(held))
        train, val = train[~is_held], train[is_held]
    if spec.sampling.train_device:
        # After patients were held out: models of several devices hold out the same ones.
        devices = np.array([recordings[cycle.recording].device for cycle in bank.cycles])
        train = _rows_of_device(train, devices[train], spec.sampling.train_device, "training part")
        if spec.val_fraction > 0:
            val = _rows_of_device(val, devices[val], spec.sampling.train_device, "held-out part")
    data = RunData(bank=bank, train=train, val=val, test=test, recordings=recordings, task=task, card=dataset.card)
    _check_parts(data, spec)
    return data


def _rows_of_device(rows: np.ndarray, devices: np.ndarray, device: str, part: str) -> np.ndarray:
    """The rows of a part that were recorded with one device."""
    found: np.ndarray = rows[devices == device]
    if len(found) == 0:
        raise SpecError(
            f"train_device is '{echoed(device)}', but the {part} was recorded with "
            f"{', '.join(sorted(set(devices.tolist()))) or 'none'}.",
            "Name one of these, or use another --val-fraction.",
        )
    return found


def _check_parts(data: RunData, spec: RunSpec) -> None:
    # Where the last, smaller batch of an epoch counts, an epoch may be no more than that.
    if len(data.train) < spec.sampling.batch and spec.sampling.drop_last:
        raise SpecError(
            f"batch is {spec.sampling.batch}, but the training part holds {len(data.train)} cycles.",
            f"Use --set batch={max(1, len(data.train) // 4)} or more data.",
        )
    _check_last_batch(len(data.train) % spec.sampling.batch, spec)
    if spec.augment.concatenates:
        data.partner_pool(spec.augment)
    missing = {part.id for part in data.task.parts} - set(data.tested_parts(data.test))
    if len(data.test) == 0:
        raise DataError(
            f"The test part of {spec.data} holds no cycle.", "Add the recordings of the official test part."
        )
    if missing:
        raise DataError(
            f"The test part '{sorted(missing)[0]}' of {spec.data} holds no cycle.", "Add the recordings of that part."
        )
    _check_rates(data, spec)


def _check_rates(data: RunData, spec: RunSpec) -> None:
    """Refuse a tested part without a normal or an abnormal cycle: it would have no Sp or no Se after the training."""
    labels, parts = data.bank.labels[data.test], np.array(data.tested_parts(data.test))
    for part in data.task.parts:
        held = set(labels[parts == part.id].tolist())
        for kind, classes in (("normal", {0}), ("abnormal", set(data.task.abnormal))):
            if not held & classes:
                raise DataError(
                    f"The test part '{part.id}' of {spec.data} holds no {kind} {data.task.unit}, so that its "
                    f"{'specificity' if kind == 'normal' else 'sensitivity'} is undefined.",
                    "Use a set whose tested parts hold normal and abnormal ones.",
                )


def _check_last_batch(rows: int, spec: RunSpec) -> None:
    """Refuse an epoch whose last batch is too small for the processes, or for batch normalisation."""
    if spec.sampling.drop_last or rows == 0:
        return
    hint = "Use another --set batch=…, or leave the last batch out with --set drop_last=true."
    if rows < spec.distribution.processes:
        raise SpecError(
            f"The last batch of an epoch has {counted_noun(rows, 'clip')} for {spec.distribution.processes} processes.",
            hint,
        )
    if rows == 1:
        from bench.engine.batch_of_one import check_batch_of_one

        check_batch_of_one(spec, "The last batch of an epoch", hint)
