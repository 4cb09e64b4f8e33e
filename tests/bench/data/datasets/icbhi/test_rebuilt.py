"""Copies without a split file: the split from pinned facts, or none."""

from __future__ import annotations

import os
import shutil

import pytest
from icbhi_sets import inspect_folder, load_dataset

from bench.data.datasets.icbhi.rebuilt import NOTE, rebuilt_split


def test_no_split_is_rebuilt_of_other_names():
    assert rebuilt_split(["101_1b1_Al_sc", "156_2b3_Al_mc"]) is None


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
