"""RespireNet against numbers of the authors' own code (microsoft/RespireNet @ 5e3f41a)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_respirenet import (
    PRETEND_SPANS,
    SIDES,
    check_picture,
    front_end,
    pieces_by_row,
    pretend_wave,
    real_recording,
    row_of,
    special_wave,
    stats,
)
from golden_rules import rng

from bench.data.frontends.respirenet.colours import brightness, magma
from bench.data.frontends.respirenet.kaiser_best import resample_kaiser_best
from bench.data.frontends.respirenet.spectrogram import decibels, grey_levels, mel_filters, mel_power
from bench.data.units import UnitWaves

pytestmark = pytest.mark.golden

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system("respirenet")


@pytest.fixture(scope="module")
def pretend(golden):
    """The made-up recordings: entry, waveform and cycles."""
    entries = [entry for entry in golden.facts["recordings"] if entry["synthetic"]]
    assert entries
    return [(entry, pretend_wave(golden.seed, entry), PRETEND_SPANS) for entry in entries]


@pytest.fixture(scope="module")
def real(golden, icbhi_folder):
    """The real recordings of the set that the folder holds."""
    entries = [entry for entry in golden.facts["recordings"] if not entry["synthetic"]]
    found = [(entry, *made) for entry in entries if (made := real_recording(icbhi_folder, entry)) is not None]
    if not found:
        pytest.skip(
            f"BENCH_TEST_ICBHI holds none, as the set had it, of {', '.join(entry['rec'] for entry in entries)}"
        )
    return found


# --- the front-end --------------------------------------------------------------------------------------------------


def check_recordings(golden, cases):
    for entry, wave, _ in cases:
        key, got = entry["key"], resample_kaiser_best(wave, entry["sr"], 4000).numpy()
        assert len(got) == entry["n_4k"]
        np.testing.assert_allclose(
            got[golden.arrays[f"{key}/rec4k_pos"]], golden.arrays[f"{key}/rec4k_val"], atol=1e-6, rtol=0
        )
        edge = np.concatenate([got[:32], got[-32:]])
        np.testing.assert_allclose(edge, golden.arrays[f"{key}/rec4k_edge"], atol=1e-6, rtol=0)
        np.testing.assert_allclose(stats(got), golden.arrays[f"{key}/rec4k_stats"], atol=2e-6, rtol=0)


def check_pieces(golden, cases):
    """The pieces are those of the authors, and as many."""
    arrays, places = golden.arrays, golden.arrays["pos/wav"]
    for entry, wave, spans in cases:
        assert len(spans) == len(entry["filenames_with_labels"])
        for side in SIDES:
            made = pieces_by_row(entry, wave, spans, side)
            assert len(made) == len(entry["identifiers"])
            rows = [row for row in golden.facts["rows"]["wave"] if row.startswith(f"{entry['key']}/")]
            assert rows
            for row in rows:
                got, at = made[row], row_of(golden, "wave", row)
                np.testing.assert_allclose(got[places], arrays[f"wave/{side}_val"][at], atol=1e-6, rtol=0)
                edge = np.concatenate([got[:8], got[-8:]])
                np.testing.assert_allclose(edge, arrays[f"wave/{side}_edge"][at], atol=1e-6, rtol=0)
                np.testing.assert_allclose(stats(got), arrays[f"wave/{side}_stats"][at], atol=2e-6, rtol=0)


def check_pictures(golden, cases):
    for entry, wave, spans in cases:
        for side in SIDES:
            made = pieces_by_row(entry, wave, spans, side)
            for row in golden.facts["rows"]["picture"]:
                piece, _, last = row.rpartition("/")
                if row.startswith(f"{entry['key']}/") and last == side:
                    check_picture(golden, row, made[piece])
            for row in golden.facts["rows"]["steps"]:
                if row.startswith(f"{entry['key']}/") and row.endswith(f"/{side}"):
                    check_steps(golden, row, made[row.rpartition("/")[0]], resampled=entry["sr"] != 4000)


def check_steps(golden, row, wave, *, resampled=False):
    """Step by step; of a resampled recording the waveform itself differs in the seventh digit, and silence by more."""
    at, arrays, places = row_of(golden, "steps", row), golden.arrays, golden.arrays["pos/mel"]
    units = UnitWaves.of([torch.from_numpy(wave)])
    power = mel_power(units.samples)
    expected = arrays["steps/melpow_val"][at]
    loud = expected >= 1e-8
    np.testing.assert_allclose(
        power.flatten().numpy()[places][loud], expected[loud], rtol=1e-5, atol=1e-8 if resampled else 1e-11
    )
    levels = decibels(power)
    np.testing.assert_allclose(
        levels.flatten().numpy()[places], arrays["steps/db_val"][at], atol=0.03 if resampled else 1e-3
    )
    grey = grey_levels(levels)[0].numpy()
    far = np.abs(grey.flatten()[places] - arrays["steps/index_val"][at].astype(int))
    assert far.max() <= 1
    assert (far == 0).mean() >= 0.99  # 150 cells: one is 0.7 %
    np.testing.assert_allclose(grey.mean(1), arrays["steps/index_rowmean"][at], atol=0.1 if resampled else 1e-2)
    tensor = front_end().picture(units)[0].numpy()
    assert tensor.shape == (3, 192, 753)
    np.testing.assert_allclose(
        tensor.reshape(-1)[arrays["pos/tensor"]], arrays["steps/tensor_val"][at], atol=3 / 255 / 0.0743 + 1e-5, rtol=0
    )
    np.testing.assert_allclose(tensor.mean((1, 2)), arrays["steps/tensor_channel_mean"][at], atol=0.02, rtol=0)
    np.testing.assert_allclose(tensor.std((1, 2)), arrays["steps/tensor_channel_std"][at], atol=0.02, rtol=0)


def test_recordings_at_4_khz(golden, pretend):
    check_recordings(golden, pretend)


def test_real_recordings_at_4_khz(golden, real):
    check_recordings(golden, real)


def test_pieces_and_their_filling(golden, pretend):
    check_pieces(golden, pretend)


def test_real_pieces_and_their_filling(golden, real):
    check_pieces(golden, real)


def test_pictures(golden, pretend):
    check_pictures(golden, pretend)


def test_real_pictures(golden, real):
    check_pictures(golden, real)


def test_pictures_of_special_waves(golden):
    for name in golden.facts["special"]:
        wave = special_wave(golden.seed, name)
        check_picture(golden, f"special/{name}", wave)
        if f"special/{name}" in golden.facts["rows"]["steps"]:
            check_steps(golden, f"special/{name}", wave)


def test_filling_of_all_lengths(golden):
    arrays, places = golden.arrays, golden.arrays["pos/pad"]
    for case in golden.facts["padcases"]:
        wave = rng(golden.seed, f"pad:{case['case']}").standard_normal(case["n"]).astype(np.float32) * np.float32(0.1)
        built = front_end(pad_side=case["side"])
        fitted = built.fit(torch.from_numpy(wave), 4000, [(0.0, (case["n"] + 0.5) / 4000)])
        assert len(fitted) == case["pieces"]
        for piece, got in enumerate(built.at_length(UnitWaves.of(fitted)).samples.numpy()):
            at = row_of(golden, "pad", f"{case['case']}/p{piece}/{case['side']}")
            assert np.array_equal(got[places], arrays["pad/val"][at])
            assert np.array_equal(np.concatenate([got[:8], got[-8:]]), arrays["pad/edge"][at])


def test_colours_and_filters(golden):
    assert np.array_equal(magma(CPU).numpy(), golden.arrays["lut_rgb"])
    assert np.array_equal(brightness(magma(CPU)).numpy(), golden.arrays["lut_gray"])
    np.testing.assert_allclose(mel_filters(CPU).numpy(), golden.arrays["melbasis"], atol=1e-8, rtol=1e-5)
