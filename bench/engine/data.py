"""A run's data: which rows of the feature bank are trained on, held out, and tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import DataError, SpecError
from bench.core.options import build_options
from bench.core.text import echoed
from bench.data.bank import FeatureBank, Progress, empty_bank, prepare_bank
from bench.data.datasets.icbhi.dataset import load_dataset
from bench.data.datasets.icbhi.recordings import Dataset, Recording
from bench.data.frontends import FRONTENDS, BatchFrontEnd
from bench.engine.folds import patient_folds
from bench.engine.normalisation import BatchExtremes
from bench.experiment.spec import RunSpec

CLASSES = 4
OTHER_DATA = "Use the data of the run, or start a new run with these."


@dataclass(frozen=True)
class RunData:
    """A run's feature bank, and which of its rows are trained on, held out and tested.

    Attributes:
        bank: The feature bank, (rows, frames, mels); a row is a cycle, or a piece of one.
        train: Rows that are trained on.
        val: Rows of held-out training patients; empty without ``val_fraction``.
        test: Rows that the run is judged on, each once: the official test part, or a fold of the training patients.
        recordings: The recordings by name.
        extremes: Normalises batches where the front-end leaves that to the batch.
    """

    bank: FeatureBank
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    recordings: Mapping[str, Recording]
    extremes: BatchExtremes | None = None

    def pictures(self, rows: np.ndarray) -> Tensor:
        """Features of some rows as pictures with channels: (rows, channels, frames, mels), in memory of their own.

        Rows of a front-end with two inputs stay as they are: (rows, values).
        """
        # A copy: augmentation that wrote into the bank would spoil it for every later epoch.
        features = torch.from_numpy(np.ascontiguousarray(self.bank.features[rows]))
        return features[:, None] if features.ndim == 3 else features

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

    def class_counts(self) -> list[int]:
        """Training rows per class: normal, crackle, wheeze, both."""
        return np.bincount(self.bank.labels[self.train], minlength=CLASSES).tolist()  # type: ignore[no-any-return]


def hold_out_patients(patients: Sequence[str], labels: np.ndarray, fraction: float, draws: int = 500) -> frozenset[str]:
    """Choose training patients to hold out, so that size and class shares come near the whole part's.

    The best of ``draws`` random choices is taken; the choice depends on the data and the fraction alone, so that all
    seeds of a system share it.

    Args:
        patients: (cycles,) patient of each training cycle.
        labels: (cycles,) class of each training cycle.
        fraction: Share of each class to hold out.
        draws: Number of random choices that are compared.

    Returns:
        The patients that are held out.

    Raises:
        SpecError: If the part holds fewer than two patients.
    """
    names = sorted(set(patients))
    if len(names) < 2:
        raise SpecError(f"val_fraction is {fraction}, but the training part holds {len(names)} patient(s), not 2.")
    counts = np.zeros((len(names), CLASSES))
    np.add.at(counts, (np.searchsorted(names, np.asarray(patients)), labels), 1)
    target = fraction * counts.sum(0)
    # A seed that is always the same: the choice belongs to the data, not to a run.
    rng, best, best_distance = np.random.default_rng(0), np.array([0]), np.inf
    for _ in range(draws):
        order = rng.permutation(len(names))
        held = counts[order].cumsum(0)
        # All but the last: somebody must be left to train on. A class of no cycles counts as one, to divide by.
        distances = (np.abs(held - target) / np.maximum(target, 1)).sum(1)[:-1]
        size = int(distances.argmin()) + 1
        if distances[size - 1] < best_distance:
            best, best_distance = order[:size], distances[size - 1]
    return frozenset(names[i] for i in best)


def open_run_data(spec: RunSpec, on_progress: Progress | None = None) -> RunData:
    """Load the data set and its features as a spec names them; features that the cache lacks are made.

    Args:
        spec: The spec.
        on_progress: Called while features are made, with the recordings that are done and their total.

    Raises:
        DataError: If the data are missing, broken, or not those of the spec.
        SpecError: If the training part is smaller than a batch.
    """
    dataset = load_run_dataset(spec)
    # Before the features, which take minutes: parts that are too small.
    planned_data(dataset, spec)
    bank = prepare_bank(
        dataset,
        spec.frontend,
        spec.frontend_options,
        Path(spec.cache),
        workers=spec.distribution.workers or None,
        on_progress=on_progress,
    )
    extremes = extremes_of(bank, spec.frontend, spec.frontend_options)
    return replace(split_rows(dataset, bank, spec), extremes=extremes)


def load_run_dataset(spec: RunSpec) -> Dataset:
    """Load the data set of a spec, and make sure that it is that one.

    Raises:
        DataError: If the data are missing, broken, or not those of the spec.
    """
    dataset = load_dataset(Path(spec.data), allow_partial=spec.partial is not None, cache=Path(spec.cache))
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
        SpecError: If the training part is smaller than a batch.
    """
    return split_rows(dataset, empty_bank(dataset, spec.frontend, spec.frontend_options), spec)


def extremes_of(bank: FeatureBank, frontend: str, options: Mapping[str, Any]) -> BatchExtremes | None:
    """What normalises the batches of a bank; None where its front-end needs no batch for that.

    Args:
        bank: The bank.
        frontend: Id of the front-end that made it.
        options: Its options.
    """
    entry = FRONTENDS.get(frontend)
    built = entry.load()(build_options(entry.card.options, options, f"front-end {frontend}"))
    return BatchExtremes.of(built, bank.features) if isinstance(built, BatchFrontEnd) else None


def split_rows(dataset: Dataset, bank: FeatureBank, spec: RunSpec) -> RunData:
    """Divide the bank's rows into train, held-out and test.

    Raises:
        DataError: If there is no test cycle.
        SpecError: If the training part is smaller than a batch.
    """
    recordings = {recording.name: recording for recording in dataset.recordings}
    parts = np.array([recordings[cycle.recording].split for cycle in bank.cycles])
    patients = np.array([recordings[cycle.recording].patient for cycle in bank.cycles])
    train, test = np.flatnonzero(parts == "train"), np.flatnonzero(parts == "test")
    if spec.fold is not None:
        # The official test part is left out altogether.
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
        devices = np.array([recordings[cycle.recording].device for cycle in bank.cycles])
        train = _rows_of_device(train, devices[train], spec.sampling.train_device)
    data = RunData(bank=bank, train=train, val=val, test=test, recordings=recordings)
    _check_parts(data, spec)
    return data


def _rows_of_device(train: np.ndarray, devices: np.ndarray, device: str) -> np.ndarray:
    if device not in devices:
        known = ", ".join(sorted(set(devices.tolist())))
        raise SpecError(
            f"train_device is '{echoed(device)}', but no training cycle was recorded with it.",
            f"The training part has {known}.",
        )
    kept: np.ndarray = train[devices == device]
    return kept


def _check_parts(data: RunData, spec: RunSpec) -> None:
    if len(data.train) < spec.sampling.batch:
        raise SpecError(
            f"batch is {spec.sampling.batch}, but the training part holds {len(data.train)} cycles.",
            f"Use --set batch={max(1, len(data.train) // 4)} or more data.",
        )
    _check_last_batch(len(data.train) % spec.sampling.batch, spec)
    if len(data.test) == 0:
        raise DataError(
            f"The test part of {spec.data} holds no cycle.", "Add the recordings of the official test part."
        )


def _check_last_batch(rows: int, spec: RunSpec) -> None:
    """Refuse an epoch whose last batch is too small for the processes, or for batch normalisation."""
    if spec.sampling.drop_last or rows == 0:
        return
    hint = "Use another --set batch=…, or leave the last batch out with --set drop_last=true."
    if rows < spec.distribution.processes:
        raise SpecError(
            f"The last batch of an epoch has {rows} clip(s) for {spec.distribution.processes} processes.", hint
        )
    if rows == 1:
        from bench.engine.batch_of_one import check_batch_of_one

        check_batch_of_one(spec, "The last batch of an epoch", hint)
