"""LungAttn's decomposition equals that of the authors' own code."""

from __future__ import annotations

import re

import numpy as np
import pytest
from golden_cycles import at_positions
from golden_systems import rng

from bench.data.frontends.lungattn.dual_q import HIGH_Q, LOW_Q, DualQ, decompose
from bench.data.frontends.lungattn.tqwt import Wavelet, analyse, sub_bands, synthesise

pytestmark = pytest.mark.golden


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system("resnet-att")


LENGTHS = {"small": 64, "noise": 1600, "a": 1600, "b": 2048, "c": 1998}
"""Samples of each signal (README A, section 5)."""


def made_up_signal(seed: int, name: str) -> np.ndarray:
    """A signal of the set's README: a whistle and a click in noise, or noise alone."""
    g, n = rng(seed, f"tqwt:{name}"), LENGTHS[name]
    if name in ("small", "noise"):
        return g.standard_normal(n)
    e, phase, t = g.standard_normal(n), g.uniform(0, 2 * np.pi), np.arange(n) / 4000
    x = 0.05 * e + 0.2 * np.sin(2 * np.pi * 210 * t + phase) * (t >= 0.1)
    x = x + 0.6 * np.exp(-np.maximum(t - 0.2, 0) / 0.002) * (t >= 0.2)
    return (x - x.min()) / (x.max() - x.min())


def assert_values(golden, key: str, found: np.ndarray, atol: float) -> None:
    """Compare an array with the set's, whole or at its positions."""
    values, expected = at_positions(golden, key, found)
    np.testing.assert_allclose(values, expected, rtol=0, atol=atol)


def test_the_transform(golden):
    assert golden.facts["tqwt_coef"]
    for case, facts in golden.facts["tqwt_coef"].items():
        name, q, r, stages = re.fullmatch(r"(\w+)/q(\d+)_r(\d+)_J(\d+)", case).groups()
        x = made_up_signal(golden.seed, name)
        bands = sub_bands(Wavelet(q=int(q), redundancy=int(r), stages=int(stages)), len(x))
        assert [band.length for band in bands] == facts["lengths"]
        coefficients = analyse(x, bands)
        assert_values(golden, f"tqwt/{case}/real", np.concatenate(coefficients), 1e-10)
        for key, law in (("norm", np.linalg.norm), ("sum_real", np.sum), ("abs_sum", lambda v: np.abs(v).sum())):
            found = [law(values) for values in coefficients]
            np.testing.assert_allclose(found, golden.arrays[f"tqwt/{case}/{key}"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(synthesise(coefficients, bands, len(x)), x, rtol=0, atol=1e-13)


def test_the_room_for_stages(golden):
    for case, words in golden.facts["tqwt_length_limits"].items():
        length, q = case.split("/q")
        wavelet = {4: HIGH_Q, 1: LOW_Q}[int(q)]
        most = wavelet.most_stages(int(length))
        assert most >= wavelet.stages if words == "ok" else words.endswith(f"subbands to {most}"), (case, most)


def test_the_norms_of_wavelets(golden):
    for name in {key.split("/")[1] for key in golden.arrays.files if key.startswith("tqwt_norms/")}:
        length = LENGTHS[name]
        for key, wavelet in (("high", HIGH_Q), ("low", LOW_Q)):
            found = [band.norm for band in sub_bands(wavelet, length)]
            np.testing.assert_allclose(found, golden.arrays[f"tqwt_norms/{name}/{key}"], rtol=0, atol=1e-10)


def test_the_parts(golden):
    cases = {key.rsplit("/", 1)[0] for key in golden.arrays.files if re.fullmatch(r"dual/\w+/\d+/cost", key)}
    assert cases
    for case in sorted(cases):
        _, name, iterations = case.split("/")
        x = made_up_signal(golden.seed, name)
        parts = decompose(x, int(iterations))
        for part in ("high", "low", "residual"):
            found = getattr(parts, part)
            assert_values(golden, f"{case}/{part}", found, 1e-10)
            np.testing.assert_allclose(np.linalg.norm(found), golden.facts["numbers"][f"{case}/{part}_norm"], atol=1e-9)
        search, costs = DualQ(x), []
        for _ in range(int(iterations)):
            search.iterate()
            costs.append(search.cost())
        np.testing.assert_allclose(costs, golden.arrays[f"{case}/cost"], rtol=1e-10)
