"""LungAttn's front-end makes the waveforms, spectrograms and pictures of the authors' own code, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_cycles import at_positions, cycle_names, golden_cycle
from golden_systems import grey_picture

from bench.data.frontends import FRONTENDS
from bench.data.frontends.drawn_pictures import GREYS, network_picture
from bench.data.frontends.lungattn.card import LungAttnOptions
from bench.data.frontends.lungattn.dual_q import DualQ
from bench.data.frontends.lungattn.pictures import (
    WINDOWS,
    cycle_parts,
    cycle_wave,
    part_decibels,
    part_drawing,
    with_room,
)
from bench.data.frontends.native_rate import cut_cycles, scaled_to_unit, with_low_byte

pytestmark = pytest.mark.golden

NAMES = {"original": "ori", "low": "ck", "high": "wh", "residual": "res"}
"""What the authors call the parts: undecomposed, crackles, wheezes, residual."""

COSTS_AFTER = (1, 2, 3, 5, 10, 20, 50, 100)


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system("resnet-att")


@pytest.fixture(scope="module", params=cycle_names("resnet-att"))
def cycle(request, golden):
    return golden_cycle(golden, request.param, request)


@pytest.fixture(scope="module")
def cut(cycle):
    return cut_cycles(cycle.wave, cycle.rate, [cycle.span])[0]


@pytest.fixture(scope="module")
def wave(cycle, cut):
    return cycle_wave(cut, cycle.rate)


@pytest.fixture(scope="module")
def parts(wave):
    return cycle_parts(wave)


def assert_near(golden, key: str, found: np.ndarray, most: float, share: float = 1.0, usual: float = 0.0) -> None:
    """All values are within ``most`` of the set's, and a share of them within ``usual``."""
    values, expected = at_positions(golden, key, np.asarray(found))
    apart = np.abs(values.astype(np.float64) - expected)
    assert apart.max() <= most, (key, apart.max())
    assert share == 1 or (apart <= usual).mean() >= share, (key, np.quantile(apart, share))


def assert_at(golden, cycle, step: str, found: np.ndarray, most: float) -> None:
    prefix = f"frontend/{cycle.name}"
    apart = np.abs(found[golden.arrays[f"{prefix}/wav_pos"]] - golden.arrays[f"{prefix}/{step}_val"])
    assert apart.max() <= most, (step, apart.max())


def test_the_cut(golden, cycle, cut):
    assert (cycle.rate, len(cut)) == (cycle.facts["rate"], cycle.facts["samples"])
    # 24 bits become 32 in pydub.
    assert_at(golden, cycle, "pcm", with_low_byte(cut) * 2.0 ** {16: 15, 24: 31}[cycle.bits], 0)


def test_the_waveform(golden, cycle, cut, wave):
    assert_at(golden, cycle, "norm", scaled_to_unit(with_low_byte(cut)), 1e-12)
    assert_at(golden, cycle, "filt", wave, 1e-9)
    np.testing.assert_allclose(wave[:8], golden.arrays[f"frontend/{cycle.name}/filt_head"], rtol=0, atol=1e-9)


def test_the_parts(golden, cycle, parts):
    assert len(parts["high"]) == cycle.facts["samples_into_tqwt"]
    for part in ("high", "low"):
        assert_at(golden, cycle, part, parts[part], 1e-9)
    for part in ("high", "low", "residual"):
        norm = golden.facts["numbers"][f"frontend/{cycle.name}/{part}_norm"]
        assert np.linalg.norm(parts[part]) == pytest.approx(norm, abs=1e-8)


def test_the_cost_falls_as_theirs(golden, cycle, wave):
    expected = golden.arrays[f"frontend/{cycle.name}/cost"]
    search, found = DualQ(with_room(wave)), []
    for iteration in range(1, COSTS_AFTER[-1] + 1):
        search.iterate()
        if iteration in COSTS_AFTER:
            found.append(search.cost())
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("part", WINDOWS)
def test_spectrograms_and_pictures(golden, cycle, parts, part):
    decibels, prefix = part_decibels(parts[part], cycle.rate, part), f"frontend/{cycle.name}/{NAMES[part]}"
    facts = cycle.facts["stft"][NAMES[part]]
    assert decibels.shape == (facts["kept_rows"], facts["frames"])
    assert_near(golden, f"{prefix}_db", decibels, 1e-3)
    for name, axis in (("rowmean", 1), ("colmean", 0)):
        if f"{prefix}_db_{name}" in golden.arrays:
            np.testing.assert_allclose(decibels.mean(axis), golden.arrays[f"{prefix}_db_{name}"], rtol=0, atol=1e-3)
    if f"{prefix}_png_val" not in golden.arrays:
        return
    drawing = part_drawing(decibels, cycle.rate)
    assert_near(golden, f"{prefix}_png", drawing, 255, 0.99, 3)
    small = np.rint(network_picture(drawing, 224) * 255)
    assert_near(golden, f"{prefix}_net_u8", small, 255, 0.99, 2)
    assert np.abs(small.mean(1) - golden.arrays[f"{prefix}_net_u8_rowmean"]).mean() <= 0.5


def test_the_front_end_itself(cycle, parts):
    built = FRONTENDS.get("lungattn").load()(LungAttnOptions())
    found = built.features(torch.from_numpy(cycle.wave), cycle.rate, [cycle.span])
    assert found.shape == (1, 3, 224, 224)
    drawings = [
        part_drawing(part_decibels(parts[part], cycle.rate, part), cycle.rate) for part in ("high", "low", "residual")
    ]
    np.testing.assert_array_equal(found[0], [network_picture(drawing, 224) for drawing in drawings])


def test_small_pictures_and_greys(golden):
    found = np.stack([network_picture(grey_picture(golden.seed, f"picL:{i}"), 224) for i in range(3)])
    assert_near(golden, "resize/u8", np.rint(found * 255), 1)
    for name, axis in (("rowmean", 2), ("colmean", 1)):
        expected = golden.arrays[f"resize/u8_{name}"]
        np.testing.assert_allclose((found * 255).mean(axis), expected, rtol=0, atol=1)
    np.testing.assert_array_equal(GREYS, golden.arrays["picture/magma_luminance"])
