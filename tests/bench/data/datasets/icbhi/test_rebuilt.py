"""Copies without a split file: the split from pinned facts, or none."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256

import pytest
from icbhi_sets import NAMES, inspect_folder, load_dataset, write_set

from bench.data.datasets.icbhi import rebuilt
from bench.data.datasets.icbhi.rebuilt import NOTE, rebuilt_split


def test_no_split_is_rebuilt_of_other_names():
    assert rebuilt_split(["101_1b1_Al_sc", "156_2b3_Al_mc"]) is None


def test_the_split_follows_patients_and_of_shared_patients_recordings(tmp_path, monkeypatch):
    names = {**NAMES, "501_1b3_Ar_sc_Meditron": "test"}  # 501 is in both parts
    database = write_set(tmp_path, simulated=False, names=names)
    told = inspect_folder(tmp_path).split
    patients = dict.fromkeys((side, name[:3]) for name, side in names.items())
    shared = sha256(b"501_1b3_Ar_sc").hexdigest()[:8]
    monkeypatch.setattr(rebuilt, "BY_PATIENT", patients)
    monkeypatch.setattr(rebuilt, "SHARED_TEST_SHA256", frozenset({shared}))
    monkeypatch.setattr(rebuilt, "SPLIT_SHA256", told.sha256)
    (tmp_path / "ICBHI_challenge_train_test.txt").unlink()
    found = inspect_folder(tmp_path)
    assert found.split.sides == told.sides
    assert NOTE in found.notes
    (database / "501_1b3_Ar_sc_Meditron.txt").unlink()
    (database / "501_1b3_Ar_sc_Meditron.wav").unlink()
    assert "split-missing" in {fault.kind for fault in inspect_folder(tmp_path).faults}


@pytest.mark.icbhi
def test_the_official_split_is_rebuilt_where_all_names_are_there(icbhi_folder, tmp_path):
    told = inspect_folder(icbhi_folder)
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("*train_test*", "official_split*")
    shutil.copytree(icbhi_folder, copy, ignore=ignored, copy_function=os.symlink)
    found = inspect_folder(copy)
    assert found.split.sides == told.split.sides
    assert NOTE in found.notes
    one, two = (load_dataset(folder, allow_partial=True) for folder in (copy, icbhi_folder))
    assert one.fingerprint == two.fingerprint
    assert rebuilt_split(list(told.split.sides)[1:]) is None
