"""Folds of the training patients: disjoint by patient, alike in classes, the same every time, without a test cycle."""

from pathlib import Path

import numpy as np
import pytest
from icbhi_sets import load_dataset
from small_studies import base_spec

from bench.core.errors import SpecError
from bench.data.bank import FeatureBank
from bench.data.datasets.icbhi.pinned import BY_PATIENT
from bench.engine.data import split_rows
from bench.engine.folds import patient_folds


def official_training_part():
    rows = [
        (patient, label)
        for (side, patient), count in BY_PATIENT.items()
        if side == "train"
        for label, number in enumerate(count[1:])
        for _ in range(number)
    ]
    return [patient for patient, _ in rows], np.array([label for _, label in rows])


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_of_the_official_training_part_are_alike(folds):
    patients, labels = official_training_part()
    place = patient_folds(patients, labels, folds)
    assert set(place) == set(patients)
    assert set(place.values()) == set(range(1, folds + 1))
    of = np.array([place[patient] for patient in patients])
    parts = np.stack(
        [np.bincount(labels[of == fold], minlength=4) / np.bincount(labels) for fold in range(1, folds + 1)]
    )
    assert np.abs(parts.sum(0) - 1).max() < 1e-12
    # Patients are very uneven: the largest alone has a quarter of all crackles.
    assert parts.max() < 1.5 / folds
    assert parts.min() > 0.8 / folds


def test_the_single_hold_out_is_a_fifth_of_each_class():
    patients, labels = official_training_part()
    place = patient_folds(patients, labels, 5)
    held = np.array([place[patient] == 1 for patient in patients])
    assert np.abs(np.bincount(labels[held]) / np.bincount(labels) - 0.2).max() < 0.02


def test_folds_do_not_depend_on_the_order_of_cycles():
    patients, labels = official_training_part()
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = patient_folds([patients[i] for i in order], labels[order], 5)
    assert shuffled == patient_folds(patients, labels, 5)


def test_more_folds_than_patients_are_refused():
    with pytest.raises(SpecError, match=r"3 folds need as many training patients, but the training part holds 2"):
        patient_folds(["101", "102"], np.array([0, 1]), 3)


@pytest.mark.parametrize("split", ["training-fold-1-of-3", "training-fold-3-of-3", "training-fold-1-of-5"])
def test_a_run_of_a_fold_never_sees_a_test_cycle(small_data, small_cache, split):
    dataset = load_dataset(small_data, allow_partial=False, cache=small_cache)
    labels = np.array([cycle.label for cycle in dataset.cycles])
    bank = FeatureBank(np.zeros((len(labels), 2, 2), np.float32), dataset.cycles, labels, Path())
    spec = base_spec(small_data, small_cache).changed(split=split, val_fraction=0.25)
    data = split_rows(dataset, bank, spec)
    patients = [
        {data.recordings[name].patient for name, _ in data.keys(rows)} for rows in (data.train, data.val, data.test)
    ]
    parts = {data.recordings[name].split for rows in (data.train, data.val, data.test) for name, _ in data.keys(rows)}
    assert parts == {"train"}
    assert all(patients)
    assert not patients[0] & patients[1]
    assert not patients[2] & (patients[0] | patients[1])
    assert len(data.train) + len(data.val) + len(data.test) == sum(
        len(recording.cycles) for recording in dataset.recordings if recording.split == "train"
    )


@pytest.mark.parametrize("split", ["test", "training-fold-0-of-5", "training-fold-6-of-5", "training-fold-1-of-1", ""])
def test_other_splits_are_refused(small_data, small_cache, split):
    spec = base_spec(small_data, small_cache).changed(split=split)
    with pytest.raises(SpecError, match="must be official or like training-fold-1-of-5"):
        _ = spec.fold


@pytest.mark.parametrize("folds", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("seed", range(8))
def test_no_fold_is_empty_where_there_are_enough_patients(folds, seed):
    rng = np.random.default_rng(seed)
    # A class or two in each patient: a rare class has fewer patients than there are folds.
    patients = [f"p{i}" for i in range(folds + seed % 3)]
    cycles = [
        (patient, int(rng.choice(4, p=[0.7, 0.1, 0.1, 0.1]))) for patient in patients for _ in range(1 + seed % 2)
    ]
    place = patient_folds([patient for patient, _ in cycles], np.array([label for _, label in cycles]), folds)
    assert set(place) == set(patients)
    assert set(place.values()) == set(range(1, folds + 1))


def test_a_class_of_one_patient_leaves_no_fold_empty():
    place = patient_folds(["a", "b", "c"], np.array([0, 0, 1]), 3)
    assert sorted(place.values()) == [1, 2, 3]
