"""Samples of WAV files against soundfile's, and those that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from bench.core.errors import DataError
from bench.data.samples import read_samples


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_samples_are_those_of_soundfile(tmp_path, subtype, form):
    path = tmp_path / "x.wav"
    wave = np.random.default_rng(0).uniform(-1, 1, 1001)
    soundfile.write(path, wave, 4000, subtype=subtype, format=form)
    found, rate = read_samples(path)
    assert (rate, found.dtype) == (4000, np.float32)
    np.testing.assert_array_equal(found, soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_not_finite_are_refused(tmp_path, value):
    path = tmp_path / "x.wav"
    wave = np.zeros(100, np.float32)
    wave[7] = value
    soundfile.write(path, wave, 4000, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite numbers"):
        read_samples(path)
